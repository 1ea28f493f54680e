//! What products see of a request that they follow: its body if that is in memory, and the response as it passes.
//!
//! Neither body is touched. That of the request may be of any type; it is looked at if it is one of those that are texts or bytes and
//! nothing else, or if a [`Payload`] among the extensions tells it.

use std::any::Any;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use ddtrace_core::events::{self, End, HttpClientExchange, Taps};
use ddtrace_core::trace;
use http::{HeaderMap, Request, StatusCode};
use http_body::Body as _;
use http_body_util::Full;

use super::request::{authority, url};

/// What the body of a request is, for its extensions: for products that follow the exchange, where the body is of a type that hides it.
///
/// ```
/// # use bytes::Bytes;
/// let question = Bytes::from_static(b"{\"model\":\"gpt-4o\"}");
/// let request = http::Request::post("https://api.openai.com/v1/chat/completions")
///     .extension(ddtrace_tower::client::Payload(question.clone()));
/// ```
///
/// `Full<Bytes>` and `String` need none.
#[derive(Clone, Debug)]
pub struct Payload(pub Bytes);

/// The taps on one exchange, if there are any.
#[derive(Default)]
pub(super) struct Tapping {
    // Never locked: it makes bodies `Sync`, which some ask for, although taps are not.
    taps: Option<Box<Mutex<Taps>>>,
}

impl Tapping {
    /// Asks who wants to follow the exchange that this request begins.
    pub(super) fn offer<B: 'static>(request: &Request<B>) -> Self {
        let taps = offered(request).filter(|taps| !taps.is_empty());
        Self {
            taps: taps.map(|taps| Box::new(Mutex::new(taps))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.taps.is_none()
    }

    /// The place of a span that covers the exchange.
    pub(super) fn context(&mut self) -> Option<trace::Context> {
        self.get()?.context()
    }

    pub(super) fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        if let Some(taps) = self.get() {
            taps.head(status, headers);
        }
    }

    /// Shows data that passes, which stays where it is.
    pub(super) fn chunk<D: Buf>(&mut self, data: &D) {
        let Some(taps) = self.get() else { return };
        let mut pieces = [std::io::IoSlice::new(&[]); 16];
        let count = data.chunks_vectored(&mut pieces);
        for piece in &pieces[..count] {
            taps.chunk(piece);
        }
    }

    pub(super) fn end(mut self, end: End<'_>) {
        if let Some(taps) = self.get() {
            taps.end(end);
        }
    }

    fn get(&mut self) -> Option<&mut Taps> {
        self.taps.as_mut()?.get_mut().ok()
    }
}

fn offered<B: 'static>(request: &Request<B>) -> Option<Taps> {
    // Declared outside, because the event borrows from them; made only if somebody listens.
    let (mut address, mut payload) = (String::new(), None);
    let exchange = events::dispatch::<HttpClientExchange<'_>>(|| {
        let (uri, headers) = (request.uri(), request.headers());
        address = url(uri, authority(uri, headers).as_deref());
        payload = match request.extensions().get::<Payload>() {
            Some(Payload(told)) => Some(told.clone()),
            None => in_memory(request.body()),
        };
        HttpClientExchange::new(request.method(), &address, headers, payload.as_deref())
    });
    exchange.map(HttpClientExchange::into_taps)
}

/// The bytes of a body that is nothing but bytes.
fn in_memory(body: &dyn Any) -> Option<Bytes> {
    if let Some(text) = body.downcast_ref::<String>() {
        return Some(Bytes::copy_from_slice(text.as_bytes()));
    }
    // A copy of it shares the bytes; asked once, it gives them.
    let mut full = body.downcast_ref::<Full<Bytes>>()?.clone();
    let mut cx = Context::from_waker(Waker::noop());
    match Pin::new(&mut full).poll_frame(&mut cx) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().ok(),
        _ => Some(Bytes::new()),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Empty;

    use super::*;

    #[test]
    fn bodies_that_are_bytes_are_seen_and_others_are_not() {
        let seen = |body: &dyn Any| in_memory(body);
        assert_eq!(seen(&Full::new(Bytes::from_static(b"tea"))).unwrap(), "tea");
        assert_eq!(seen(&Full::new(Bytes::new())).unwrap(), "");
        assert_eq!(seen(&String::from("tea")).unwrap(), "tea");
        assert_eq!(seen(&Empty::<Bytes>::new()), None);
    }
}
