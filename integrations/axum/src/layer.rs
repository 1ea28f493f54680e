//! The `tower` layer and the service it makes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ddtrace_core::events::Block;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::TracedBody;
use crate::request::{RequestSpan, Started, within};

/// Makes a span of every request that passes. See the [crate](crate) for where to put it.
pub fn layer() -> TraceLayer {
    TraceLayer { _private: () }
}

/// A [`Layer`] that makes a span of every request; made by [`layer`].
#[derive(Clone, Copy, Debug)]
pub struct TraceLayer {
    _private: (),
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner }
    }
}

/// The service that [`TraceLayer`] makes.
#[derive(Clone, Copy, Debug)]
pub struct Trace<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Trace<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> ResponseFuture<S::Future> {
        match RequestSpan::start(&mut request) {
            Started::Off => ResponseFuture {
                inner: Some(self.inner.call(request)),
                span: None,
                answer: None,
            },
            Started::Blocked(span, block) => ResponseFuture {
                inner: None,
                span: Some(span),
                answer: Some(block),
            },
            Started::Span(mut span) => {
                // A service may begin its work in `call`, so it is called within the span.
                let inner = span.within(|| self.inner.call(request));
                ResponseFuture {
                    inner: Some(inner),
                    span: Some(span),
                    answer: None,
                }
            }
        }
    }
}

pin_project! {
    /// The future of a response; made by [`Trace`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // Gone once it has completed, or if the request was answered without it.
        #[pin]
        inner: Option<F>,
        span: Option<RequestSpan>,
        answer: Option<Box<Block>>,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(span) = this.span.take() {
                span.abandoned_in(|| this.inner.set(None));
            }
        }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<TracedBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let (Some(span), Some(block)) = (&mut this.span, this.answer.take()) {
            let response = answer(*block);
            span.responded(&response);
            return Poll::Ready(Ok(
                response.map(|bytes| TracedBody::answer(bytes, this.span.take()))
            ));
        }
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let result = ready!(within(this.span, || inner.poll(cx)));
        this.inner.set(None);
        let Some(mut span) = this.span.take() else {
            return Poll::Ready(
                result.map(|response| response.map(|body| TracedBody::inner(body, None))),
            );
        };
        match result {
            Ok(response) => {
                let ends_with_head = span.responded(&response);
                let span = (!ends_with_head).then_some(span);
                Poll::Ready(Ok(response.map(|body| TracedBody::inner(body, span))))
            }
            Err(error) => {
                span.failed();
                Poll::Ready(Err(error))
            }
        }
    }
}

fn answer(block: Block) -> Response<Bytes> {
    let mut response = Response::new(block.body);
    *response.status_mut() = block.status;
    *response.headers_mut() = block.headers;
    response
}
