//! The response's body, with the span that ends when the body does.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::request::{RequestSpan, within};

pin_project! {
    /// A response's body: that of the service inside, or that of an answer given instead.
    ///
    /// Frames pass through as they are, and so do size hints. The request's span ends with the last frame, with an error,
    /// or when the body is dropped.
    #[derive(Debug)]
    pub struct TracedBody<B> {
        #[pin]
        body: Content<B>,
        span: Option<RequestSpan>,
        // What is still to come, if the length was known from the start.
        left: Option<u64>,
    }

    impl<B> PinnedDrop for TracedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // A server does not ask for the end of a body whose length it knows.
            if let Some(span) = this.span.take().filter(|_| *this.left != Some(0)) {
                span.abandoned();
            }
        }
    }
}

pin_project! {
    #[project = ContentPin]
    #[derive(Debug)]
    enum Content<B> {
        Inner { #[pin] body: B },
        Answer { bytes: Bytes },
    }
}

impl<B: Body> TracedBody<B> {
    /// The service's own body. Without a span it is passed through and nothing else.
    pub(crate) fn inner(body: B, span: Option<RequestSpan>) -> Self {
        let has_no_body = span.as_ref().is_some_and(RequestSpan::has_no_body);
        let left = if has_no_body || body.is_end_stream() {
            Some(0)
        } else {
            body.size_hint().exact()
        };
        Self {
            body: Content::Inner { body },
            span,
            left,
        }
    }
}

impl<B> TracedBody<B> {
    /// The body of an answer that stands in for the service's.
    pub(crate) fn answer(bytes: Bytes, span: Option<RequestSpan>) -> Self {
        Self {
            left: Some(bytes.len() as u64),
            body: Content::Answer { bytes },
            span,
        }
    }
}

impl<B: Body<Data = Bytes>> Body for TracedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = match this.body.project() {
            ContentPin::Inner { body } => ready!(within(this.span, || body.poll_frame(cx))),
            ContentPin::Answer { bytes } => {
                (!bytes.is_empty()).then(|| Ok(Frame::data(std::mem::take(bytes))))
            }
        };
        match &frame {
            Some(Ok(frame)) => {
                if let (Some(left), Some(data)) = (this.left.as_mut(), frame.data_ref()) {
                    *left = left.saturating_sub(data.remaining() as u64);
                }
            }
            Some(Err(_)) => {
                if let Some(span) = this.span.take() {
                    span.body_failed();
                }
            }
            None => drop(this.span.take()),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Content::Inner { body } => body.is_end_stream(),
            Content::Answer { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Content::Inner { body } => body.size_hint(),
            Content::Answer { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
