//! The body of a response that somebody taps.

use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::exchange::{End, Taps};

/// Says what an error of a body is: its kind, and its message without secrets.
pub type Describe<E> = fn(&E) -> (&'static str, String);

pin_project! {
    /// A body that shows its chunks to [taps](super::Tap) as they pass, and changes nothing.
    ///
    /// The taps are told the end with the last frame, with an error, or when the body is dropped.
    pub struct Tapped<B: Body> {
        #[pin]
        body: B,
        // Never locked: it makes the body `Sync`, which some clients ask for, although taps are not.
        taps: Mutex<Taps>,
        describe: Describe<B::Error>,
    }
}

impl<B: Body> Tapped<B> {
    /// Lays taps around a body.
    pub fn new(body: B, mut taps: Taps, describe: Describe<B::Error>) -> Self {
        // Nobody asks for the frames of a body that is known to be empty.
        if body.is_end_stream() {
            taps.end(End::Complete);
        }
        Self {
            body,
            taps: Mutex::new(taps),
            describe,
        }
    }
}

impl<B: Body> std::fmt::Debug for Tapped<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tapped").finish_non_exhaustive()
    }
}

impl<B: Body<Data = Bytes>> Body for Tapped<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        let Ok(taps) = this.taps.get_mut() else {
            return Poll::Ready(frame);
        };
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    taps.chunk(data);
                }
                // Whoever knows the length does not ask for the end.
                if this.body.is_end_stream() {
                    taps.end(End::Complete);
                }
            }
            Some(Err(error)) if !taps.is_empty() => {
                let (kind, message) = (this.describe)(error);
                taps.end(End::Failed {
                    kind,
                    message: &message,
                });
            }
            Some(Err(_)) => {}
            None => taps.end(End::Complete),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use http::{HeaderMap, Method, StatusCode};

    use super::super::exchange::{HttpClientExchange, Tap};
    use super::*;

    struct Writer(Arc<Mutex<Vec<String>>>);

    impl Tap for Writer {
        fn head(&mut self, _: StatusCode, _: &HeaderMap) {}

        fn chunk(&mut self, bytes: &[u8]) {
            self.0
                .lock()
                .unwrap()
                .push(String::from_utf8(bytes.to_vec()).unwrap());
        }

        fn end(self: Box<Self>, end: End<'_>) {
            self.0.lock().unwrap().push(format!("{end:?}"));
        }
    }

    /// A body of these frames; `None` is a moment without any.
    struct Scripted {
        frames: VecDeque<Option<Result<Frame<Bytes>, &'static str>>>,
        knows_its_length: bool,
    }

    impl Body for Scripted {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            match self.frames.pop_front() {
                Some(None) => Poll::Pending,
                Some(frame) => Poll::Ready(frame),
                None => Poll::Ready(None),
            }
        }

        fn is_end_stream(&self) -> bool {
            self.knows_its_length && self.frames.is_empty()
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(7)
        }
    }

    fn data(text: &'static str) -> Option<Result<Frame<Bytes>, &'static str>> {
        Some(Ok(Frame::data(Bytes::from_static(text.as_bytes()))))
    }

    #[test]
    fn a_body_passes_as_it_is_and_tells_how_it_ended() {
        // Frames, whether their number is known, how many are read; what passes, what the tap sees.
        let trailers = Some(Ok(Frame::trailers(HeaderMap::new())));
        type Case<'a> = (
            Vec<Option<Result<Frame<Bytes>, &'static str>>>,
            bool,
            usize,
            &'a [&'a str],
            &'a [&'a str],
        );
        let cases: [Case<'_>; 6] = [
            (
                vec![data("a"), None, data("b"), trailers],
                false,
                5,
                &["a", "pending", "b", "trailers", "end"],
                &["a", "b", "Complete"],
            ),
            (
                vec![data("a"), data("b")],
                true,
                2,
                &["a", "b"],
                &["a", "b", "Complete"],
            ),
            (
                vec![data("a"), data("b")],
                false,
                1,
                &["a"],
                &["a", "Abandoned"],
            ),
            (
                vec![data("a"), None],
                false,
                2,
                &["a", "pending"],
                &["a", "Abandoned"],
            ),
            (
                vec![data("a"), Some(Err("cut"))],
                false,
                2,
                &["a", "cut"],
                &["a", "Failed { kind: \"body\", message: \"cut\" }"],
            ),
            (vec![], true, 0, &[], &["Complete"]),
        ];
        for (frames, knows_its_length, polls, passes, sees) in cases {
            let log = Arc::new(Mutex::new(Vec::new()));
            let (method, headers) = (Method::GET, HeaderMap::new());
            let mut exchange = HttpClientExchange::new(&method, "", &headers, None);
            exchange.tap(Box::new(Writer(log.clone())));
            let inner = Scripted {
                frames: frames.into(),
                knows_its_length,
            };
            let describe = |error: &&'static str| ("body", (*error).to_owned());
            let mut body = Box::pin(Tapped::new(inner, exchange.into_taps(), describe));
            assert_eq!(body.size_hint().exact(), Some(7));
            let mut passed = Vec::new();
            let mut cx = Context::from_waker(std::task::Waker::noop());
            for _ in 0..polls {
                passed.push(match body.as_mut().poll_frame(&mut cx) {
                    Poll::Pending => "pending".to_owned(),
                    Poll::Ready(None) => "end".to_owned(),
                    Poll::Ready(Some(Err(error))) => error.to_owned(),
                    Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                        Ok(data) => String::from_utf8(data.to_vec()).unwrap(),
                        Err(_) => "trailers".to_owned(),
                    },
                });
            }
            drop(body);
            assert_eq!(passed, passes);
            assert_eq!(*log.lock().unwrap(), sees);
        }
    }
}
