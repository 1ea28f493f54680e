//! One request and its response, with the span that lasts until both are over.
//!
//! An [`Exchange`] is the span, and knows what to write on it at every turn. [`ExchangeFuture`] keeps it until the head of the response,
//! [`TracedBody`] until the end of the body; whichever is dropped before hands it over as given up. Each exchange
//! ends once: whoever ends it takes it out of its place first.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

/// The span of a request and its response, from either side; ends when dropped.
pub trait Exchange: Sized {
    /// Lets the service work within the span.
    fn within<R>(&mut self, work: impl FnOnce() -> R) -> R;

    /// Lets the body of the response work: within the span, unless the span is that of a client.
    fn reading<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.within(work)
    }

    /// Says what the head of the response says, and what comes after it.
    fn responded<B>(&mut self, response: &Response<B>) -> Rest;

    /// Some data of the body passes.
    fn passed<D: Buf>(&mut self, data: &D) {
        let _ = data;
    }

    /// The trailers pass.
    fn trailed(&mut self, trailers: &HeaderMap) {
        let _ = trailers;
    }

    /// Everything has passed.
    fn completed(self) {}

    /// Nobody waits any more.
    fn given_up(self, at: Stage);

    /// Nobody waits for the head any more; what is left of the service is dropped within the span.
    fn given_up_in(mut self, drop_service: impl FnOnce()) {
        self.within(drop_service);
        self.given_up(Stage::Head);
    }
}

/// An [`Exchange`] that knows what to make of an error.
pub trait Fails<E: ?Sized>: Exchange {
    /// There will be no response, or no more of it.
    fn failed(self, error: &E, at: Stage);
}

/// What comes after the head of a response, as far as the span is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// A body, whose end is the end.
    Body,
    /// No body, whatever the service puts there.
    Nothing,
    /// Another protocol, or a body without end: the span does not wait for it.
    Detached,
}

/// How far an exchange came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Before the head of the response was there.
    Head,
    /// With a body that nobody had asked for anything.
    Unread,
    /// In the midst of the body.
    Body,
}

pin_project! {
    /// The future of a response, with the span of the exchange if there is one.
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct ExchangeFuture<F, X>
    where
        X: Exchange,
    {
        // Gone once it has completed.
        #[pin]
        inner: Option<F>,
        span: Option<X>,
    }

    impl<F, X> PinnedDrop for ExchangeFuture<F, X>
    where
        X: Exchange,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(span) = this.span.take() {
                span.given_up_in(|| this.inner.set(None));
            }
        }
    }
}

impl<F, X: Exchange> ExchangeFuture<F, X> {
    /// Calls the service, within the span: it may begin its work before the future is polled.
    pub fn new(span: Option<X>, call: impl FnOnce() -> F) -> Self {
        let (inner, span) = match span {
            Some(mut span) => (span.within(call), Some(span)),
            None => (call(), None),
        };
        Self {
            inner: Some(inner),
            span,
        }
    }
}

impl<F, X, B, E> Future for ExchangeFuture<F, X>
where
    F: Future<Output = Result<Response<B>, E>>,
    X: Fails<E>,
    B: Body,
{
    type Output = Result<Response<TracedBody<B, X>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let result = ready!(match this.span {
            Some(span) => span.within(|| inner.poll(cx)),
            None => inner.poll(cx),
        });
        this.inner.set(None);
        Poll::Ready(match (result, this.span.take()) {
            (Ok(response), Some(span)) => Ok(with_body(response, span)),
            (Ok(response), None) => {
                Ok(response.map(|body| TracedBody::new(body, None, Rest::Body)))
            }
            (Err(error), span) => {
                if let Some(span) = span {
                    span.failed(&error, Stage::Head);
                }
                Err(error)
            }
        })
    }
}

/// Tells the span of a response, and gives it to the body.
pub fn with_body<B: Body, X: Exchange>(
    response: Response<B>,
    mut span: X,
) -> Response<TracedBody<B, X>> {
    let rest = span.responded(&response);
    let span = match rest {
        Rest::Detached => {
            span.completed();
            None
        }
        Rest::Body | Rest::Nothing => Some(span),
    };
    response.map(|body| TracedBody::new(body, span, rest))
}

pin_project! {
    /// A response's body, as it is, with the span that ends when it does.
    ///
    /// Frames pass through untouched, and so do size hints. The span ends with the last frame, with an error,
    /// or when the body is dropped.
    #[derive(Debug)]
    pub struct TracedBody<B, X>
    where
        X: Exchange,
    {
        #[pin]
        body: B,
        span: Option<X>,
        // What is still to come, if that is known.
        left: Option<u64>,
        is_begun: bool,
    }

    impl<B, X> PinnedDrop for TracedBody<B, X>
    where
        X: Exchange,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(span) = this.span.take() {
                // Whoever knows the length does not ask for the end.
                match (*this.left, *this.is_begun) {
                    (Some(0), _) => span.completed(),
                    (_, false) => span.given_up(Stage::Unread),
                    (_, true) => span.given_up(Stage::Body),
                }
            }
        }
    }
}

impl<B: Body, X: Exchange> TracedBody<B, X> {
    /// Without a span the body is passed through and nothing else.
    fn new(body: B, span: Option<X>, rest: Rest) -> Self {
        let left = match &span {
            None => None,
            Some(_) if rest == Rest::Nothing || body.is_end_stream() => Some(0),
            Some(_) => body.size_hint().exact(),
        };
        Self {
            body,
            span,
            left,
            is_begun: false,
        }
    }
}

impl<B, X> Body for TracedBody<B, X>
where
    B: Body,
    X: Fails<B::Error>,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(span) = this.span else {
            return this.body.poll_frame(cx);
        };
        *this.is_begun = true;
        let body = this.body.as_mut();
        let frame = ready!(span.reading(|| body.poll_frame(cx)));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    span.passed(data);
                    if let Some(left) = this.left.as_mut() {
                        *left = left.saturating_sub(data.remaining() as u64);
                    }
                } else if let Some(trailers) = frame.trailers_ref() {
                    span.trailed(trailers);
                    *this.left = Some(0);
                }
                if this.body.is_end_stream() {
                    *this.left = Some(0);
                }
            }
            Some(Err(error)) => {
                if let Some(span) = this.span.take() {
                    span.failed(error, Stage::Body);
                }
            }
            None => {
                if let Some(span) = this.span.take() {
                    span.completed();
                }
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
