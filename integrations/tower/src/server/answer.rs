//! The response, be it the service's or that of a listener which wants the request stopped.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ddtrace_core::events::Block;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::request::{Ends, RequestSpan, Server, Started};
use crate::exchange::{ExchangeFuture, TracedBody, with_body};

/// Answers a request by `call`, in a span. A request that a layer outside of this one has in hand gets none.
pub fn serve<S: Server, B, F>(
    request: Request<B>,
    call: impl FnOnce(Request<B>) -> F,
) -> ResponseFuture<F, S> {
    serve_until(Ends::WithBody, request, call)
}

pub(super) fn serve_until<S: Server, B, F>(
    ends: Ends,
    mut request: Request<B>,
    call: impl FnOnce(Request<B>) -> F,
) -> ResponseFuture<F, S> {
    let span = match RequestSpan::start(&mut request, ends) {
        Started::Off => None,
        Started::Span(span) => Some(span),
        Started::Blocked(span, block) => {
            return ResponseFuture {
                inner: None,
                blocked: Some((span, block)),
            };
        }
    };
    let call = || Answered {
        inner: call(request),
    };
    ResponseFuture {
        inner: Some(ExchangeFuture::new(span, call)),
        blocked: None,
    }
}

pin_project! {
    /// The future of a response; made by [`serve`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct ResponseFuture<F, S>
    where
        S: Server,
    {
        // Nothing if the request is answered without it.
        #[pin]
        inner: Option<ExchangeFuture<Answered<F>, RequestSpan<S>>>,
        blocked: Option<(RequestSpan<S>, Box<Block>)>,
    }
}

impl<F, S, B, E> Future for ResponseFuture<F, S>
where
    F: Future<Output = Result<Response<B>, E>>,
    S: Server,
    B: Body,
    B::Data: From<Bytes>,
{
    type Output = Result<Response<TracedBody<Answerable<B>, RequestSpan<S>>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match (this.inner.as_pin_mut(), this.blocked.take()) {
            (Some(inner), _) => inner.poll(cx),
            (None, Some((span, block))) => {
                let response = answer(*block).map(Answerable::answer);
                Poll::Ready(Ok(with_body(response, span)))
            }
            (None, None) => Poll::Pending,
        }
    }
}

fn answer(block: Block) -> Response<Bytes> {
    let mut response = Response::new(block.body);
    *response.status_mut() = block.status;
    *response.headers_mut() = block.headers;
    response
}

pin_project! {
    /// The service's future, whose response may as well have been an answer.
    #[derive(Debug)]
    struct Answered<F> {
        #[pin]
        inner: F,
    }
}

impl<F, B, E> Future for Answered<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Answerable<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.project().inner.poll(cx));
        Poll::Ready(result.map(|response| response.map(Answerable::inner)))
    }
}

pin_project! {
    /// A response's body: that of the service inside, as it is, or that of an answer given instead.
    #[derive(Debug)]
    pub struct Answerable<B> {
        #[pin]
        content: Content<B>,
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

impl<B> Answerable<B> {
    fn inner(body: B) -> Self {
        Self {
            content: Content::Inner { body },
        }
    }

    fn answer(bytes: Bytes) -> Self {
        Self {
            content: Content::Answer { bytes },
        }
    }
}

impl<B> Body for Answerable<B>
where
    B: Body,
    B::Data: From<Bytes>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().content.project() {
            ContentPin::Inner { body } => body.poll_frame(cx),
            ContentPin::Answer { bytes } => {
                let bytes = std::mem::take(bytes);
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes.into()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Inner { body } => body.is_end_stream(),
            Content::Answer { bytes } => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Inner { body } => body.size_hint(),
            Content::Answer { bytes } => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
