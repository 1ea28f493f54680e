//! A request that a program sends, with the response to its end: for products that want to see what was said.
//!
//! [`HttpClientRequest`](super::HttpClientRequest) and [`HttpClientResponse`](super::HttpClientResponse) tell of heads. What
//! a body says is another matter: it passes through the user's hands, at the user's pace, and nobody may keep it up. So a
//! product does not read bodies, it *taps* them:
//!
//! 1. Before anything else the integration says [`HttpClientExchange`]: where the request goes, and its body if that is in
//!    memory. A listener that is interested puts a [`Tap`] on the exchange, most do not.
//! 2. If a tap has a [span of its own](Tap::context), the client's span begins as the child of that one: it then covers
//!    the exchange as a whole, while the client's span ends with the head of the response.
//! 3. The integration shows the taps the head, and lays [`Tapped`] around the body, which shows them every chunk as it
//!    passes. Chunks, their order, their pace and back-pressure, errors and size hints stay what they were.
//! 4. Every tap is told the [`End`] once: the body was read, it broke, or whoever read it went away.
//!
//! # What it costs
//!
//! An exchange that nobody taps costs the relaxed load of every dispatch: neither payload nor body wrapper are made. A chunk
//! that is tapped costs a call through a table per tap; a tap runs on the thread that reads, so it copies what it needs,
//! within a bound of its own, and thinks about it elsewhere.
//!
//! # Invariants
//!
//! * Nothing of the request changes because somebody taps it.
//! * A panic in a tap ends that tap: it is dropped, counted in [`panics`](super::panics), and the user's bytes go on.
//! * At most [`TAPS`] taps are on one exchange; more are dropped.

use std::fmt;

use http::{HeaderMap, Method, StatusCode};

use super::listeners::contained;
use super::{Event, Listeners};
use crate::trace::Context;

/// How many taps one exchange takes.
pub const TAPS: usize = 8;

/// A request is about to be sent, and no span was opened for it yet.
///
/// Dispatched by the integrations of HTTP clients on the thread that sends it. A listener may put a [`Tap`] on the exchange.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpClientExchange<'a> {
    /// Its method.
    pub method: &'a Method,
    /// Where it goes, query string and all.
    pub url: &'a str,
    /// Its headers, secrets and all.
    pub headers: &'a HeaderMap,
    /// Its body, if it is in memory as a whole.
    pub body: Option<&'a [u8]>,
    taps: Taps,
}

impl<'a> HttpClientExchange<'a> {
    /// Puts the fact together.
    pub fn new(
        method: &'a Method,
        url: &'a str,
        headers: &'a HeaderMap,
        body: Option<&'a [u8]>,
    ) -> Self {
        Self {
            method,
            url,
            headers,
            body,
            taps: Taps::default(),
        }
    }

    /// Follows the exchange from here to its end.
    pub fn tap(&mut self, tap: Box<dyn Tap>) {
        if self.taps.list.len() < TAPS {
            self.taps.list.push(tap);
        }
    }

    /// The taps that listeners put on it.
    pub fn into_taps(self) -> Taps {
        self.taps
    }
}

impl Event for HttpClientExchange<'static> {
    type Payload<'a> = HttpClientExchange<'a>;
    const NAME: &'static str = "HttpClientExchange";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<HttpClientExchange<'static>> = Listeners::new();
        &LISTENERS
    }
}

/// Follows one exchange.
///
/// Called on the threads that send and read, one at a time and in order: the head at most once, chunks, the end exactly once. Must be
/// short, must not block.
pub trait Tap: Send {
    /// The place of a span that covers the exchange: what the client opens begins as its child.
    fn context(&self) -> Option<Context> {
        None
    }

    /// The head of the response is there.
    fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        let _ = (status, headers);
    }

    /// A chunk of the response's body passes.
    fn chunk(&mut self, bytes: &[u8]);

    /// It is over.
    fn end(self: Box<Self>, end: End<'_>);
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End<'a> {
    /// The response was read to its end.
    Complete,
    /// Sending or reading failed.
    Failed {
        /// What kind of failure, as in the tag `error.type` of the client's span.
        kind: &'a str,
        /// What it says, without secrets.
        message: &'a str,
    },
    /// Whoever waited or read went away before the end.
    Abandoned,
}

/// The taps on one exchange. Dropped before they were told of an end, they are told that it was abandoned.
#[derive(Default)]
pub struct Taps {
    list: Vec<Box<dyn Tap>>,
}

impl Taps {
    /// Whether nobody follows the exchange.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The place of the span that covers the exchange: that of the first tap which has one.
    pub fn context(&self) -> Option<Context> {
        let mut taps = self.list.iter();
        taps.find_map(|tap| contained(|| tap.context()).flatten())
    }

    /// Shows the head of the response.
    pub fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.show(|tap| tap.head(status, headers));
    }

    /// Shows a chunk of the response's body.
    pub fn chunk(&mut self, bytes: &[u8]) {
        self.show(|tap| tap.chunk(bytes));
    }

    /// Tells the end.
    pub fn end(&mut self, end: End<'_>) {
        for tap in self.list.drain(..) {
            contained(|| tap.end(end));
        }
    }

    fn show(&mut self, show: impl Fn(&mut dyn Tap)) {
        self.list.retain_mut(|tap| {
            let went_on = contained(|| show(tap.as_mut())).is_some();
            if !went_on {
                // What is left of it may panic once more while it is dropped.
                let broken = std::mem::replace(tap, Box::new(Nobody));
                contained(|| drop(broken));
            }
            went_on
        });
    }
}

impl Drop for Taps {
    fn drop(&mut self) {
        self.end(End::Abandoned);
    }
}

impl fmt::Debug for Taps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taps").field(&self.list.len()).finish()
    }
}

/// Stands in for a tap that was taken away.
struct Nobody;

impl Tap for Nobody {
    fn chunk(&mut self, _: &[u8]) {}
    fn end(self: Box<Self>, _: End<'_>) {}
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    type Log = Arc<Mutex<Vec<String>>>;

    /// Writes down what it sees; panics at a chunk of this text.
    struct Writer {
        log: Log,
        fragile_at: &'static [u8],
    }

    impl Tap for Writer {
        fn head(&mut self, status: StatusCode, _: &HeaderMap) {
            self.log.lock().unwrap().push(status.to_string());
        }

        fn chunk(&mut self, bytes: &[u8]) {
            assert_ne!(bytes, self.fragile_at, "by design");
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.log.lock().unwrap().push(text);
        }

        fn end(self: Box<Self>, end: End<'_>) {
            self.log.lock().unwrap().push(format!("{end:?}"));
        }
    }

    fn taps(fragile: &[&'static [u8]]) -> (Taps, Vec<Log>) {
        let (method, headers) = (Method::POST, HeaderMap::new());
        let mut exchange = HttpClientExchange::new(&method, "http://models/", &headers, None);
        let logs: Vec<Log> = fragile.iter().map(|_| Log::default()).collect();
        for (log, &fragile_at) in logs.iter().zip(fragile) {
            exchange.tap(Box::new(Writer {
                log: log.clone(),
                fragile_at,
            }));
        }
        (exchange.into_taps(), logs)
    }

    #[test]
    fn a_tap_sees_everything_and_one_end() {
        let (mut taps, logs) = taps(&[b"-"]);
        assert!(!taps.is_empty());
        assert!(taps.context().is_none());
        taps.head(StatusCode::OK, &HeaderMap::new());
        taps.chunk(b"a");
        taps.chunk(b"b");
        taps.end(End::Complete);
        taps.end(End::Abandoned);
        drop(taps);
        assert_eq!(*logs[0].lock().unwrap(), ["200 OK", "a", "b", "Complete"]);
    }

    #[test]
    fn taps_that_are_dropped_were_abandoned() {
        let (taps, logs) = taps(&[b"-"]);
        drop(taps);
        assert_eq!(*logs[0].lock().unwrap(), ["Abandoned"]);
    }

    #[test]
    fn a_tap_that_panics_is_gone_and_the_others_go_on() {
        let before = super::super::panics();
        let (mut taps, logs) = taps(&[b"b", b"-"]);
        for chunk in [b"a", b"b", b"c"] {
            taps.chunk(chunk);
        }
        taps.end(End::Complete);
        assert_eq!(*logs[0].lock().unwrap(), ["a"]);
        assert_eq!(*logs[1].lock().unwrap(), ["a", "b", "c", "Complete"]);
        assert!(super::super::panics() > before);
    }

    #[test]
    fn an_exchange_takes_eight_taps() {
        let (mut taps, logs) = taps(&[b"-".as_slice(); TAPS + 1]);
        taps.chunk(b"a");
        let seen = logs.iter().filter(|log| !log.lock().unwrap().is_empty());
        assert_eq!(seen.count(), TAPS);
    }
}
