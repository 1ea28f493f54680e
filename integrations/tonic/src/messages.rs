//! Counts the messages in a body: more than one in a direction is a stream.
//!
//! A message is a byte that says whether it is compressed, four bytes of length (big-endian), and so many bytes; messages
//! know nothing of the frames they come in (gRPC over HTTP/2, "Length-Prefixed-Message").

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

const PREFIX_BYTES: usize = 5;

/// How far into which message a body is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Messages {
    /// Messages that have begun, up to two: what is beyond does not matter.
    begun: u8,
    prefix: [u8; PREFIX_BYTES],
    /// How much of the prefix is there.
    filled: usize,
    /// What is still to come of the message.
    left: usize,
}

impl Messages {
    /// Whether there was more than one.
    pub(crate) fn is_stream(&self) -> bool {
        self.begun > 1
    }

    pub(crate) fn pass(&mut self, mut data: &[u8]) {
        while !data.is_empty() && !self.is_stream() {
            if self.left > 0 {
                let skipped = self.left.min(data.len());
                self.left -= skipped;
                data = &data[skipped..];
                continue;
            }
            if self.filled == 0 {
                self.begun += 1;
            }
            let taken = (PREFIX_BYTES - self.filled).min(data.len());
            self.prefix[self.filled..self.filled + taken].copy_from_slice(&data[..taken]);
            self.filled += taken;
            data = &data[taken..];
            if self.filled == PREFIX_BYTES {
                let [_, length @ ..] = self.prefix;
                self.left = u32::from_be_bytes(length) as usize;
                self.filled = 0;
            }
        }
    }
}

pin_project! {
    /// A request's body, as it is, that tells whether it is a stream of messages.
    pub(crate) struct Counted<B> {
        #[pin]
        body: B,
        messages: Messages,
        is_stream: Arc<AtomicBool>,
    }
}

impl<B> Counted<B> {
    /// The body, and where it tells.
    pub(crate) fn new(body: B) -> (Self, Arc<AtomicBool>) {
        let is_stream = Arc::<AtomicBool>::default();
        let counted = Self {
            body,
            messages: Messages::default(),
            is_stream: Arc::clone(&is_stream),
        };
        (counted, is_stream)
    }
}

impl<B: Body<Data = Bytes>> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && !this.messages.is_stream()
        {
            this.messages.pass(data);
            if this.messages.is_stream() {
                this.is_stream.store(true, Ordering::Relaxed);
            }
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
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_body_is_counted_the_same_however_it_is_cut(body: Vec<u8>, size in 1_usize..9) {
            let (mut whole, mut cut) = (Messages::default(), Messages::default());
            whole.pass(&body);
            body.chunks(size).for_each(|chunk| cut.pass(chunk));
            prop_assert_eq!(whole.is_stream(), cut.is_stream());
        }
    }

    #[test]
    fn messages_are_counted_however_they_are_cut() {
        let message = |length: u8| {
            let mut message = vec![0, 0, 0, 0, length];
            message.extend((0..length).map(|_| 9));
            message
        };
        let cases = [
            (vec![], false),
            (message(0), false),
            (message(7), false),
            ([message(0), message(0)].concat(), true),
            ([message(7), message(3)].concat(), true),
        ];
        for (body, is_stream) in cases {
            for size in 1..=body.len().max(1) {
                let mut messages = Messages::default();
                for chunk in body.chunks(size) {
                    messages.pass(chunk);
                }
                assert_eq!(messages.is_stream(), is_stream, "{body:?} by {size}");
            }
        }
    }
}
