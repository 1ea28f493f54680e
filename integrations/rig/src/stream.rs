//! The chunks of a response, shown to whoever follows the exchange.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ddtrace_core::events::End;
use futures_core::Stream;
use rig_http::http_client::{BoxedStream, Result};

use crate::exchange::Followed;

/// Chunks as they pass.
pub(crate) struct TappedStream {
    chunks: BoxedStream,
    followed: Followed,
}

impl TappedStream {
    /// Lays itself around the chunks, if somebody follows them.
    pub(crate) fn around(chunks: BoxedStream, followed: Followed) -> BoxedStream {
        if followed.0.is_empty() {
            return chunks;
        }
        Box::pin(Self { chunks, followed })
    }
}

impl Stream for TappedStream {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let chunk = ready!(self.chunks.as_mut().poll_next(cx));
        match &chunk {
            Some(Ok(bytes)) => self.followed.0.chunk(bytes),
            Some(Err(error)) => self.followed.failed(error),
            None => self.followed.0.end(End::Complete),
        }
        Poll::Ready(chunk)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}
