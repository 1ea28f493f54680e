//! Spans for clients of `reqwest-middleware` 0.5; with the feature `middleware`.
//!
//! ```no_run
//! use reqwest_middleware::ClientBuilder;
//!
//! let client = ClientBuilder::new(reqwest::Client::new())
//!     .with(ddtrace_reqwest::middleware::layer())
//!     .build();
//! ```
//!
//! # Where to put it
//!
//! Last, with [`with`](reqwest_middleware::ClientBuilder::with): the middlewares that were added before run outside of it. Behind a middleware that
//! retries, every attempt is a span of its own with context of its own in its headers; from the second on they say which
//! repetition they are (`http.request.resend_count`). In front of it, one span holds all of them.
//!
//! The spans are those of [`send_traced`](crate::RequestBuilderExt::send_traced), see the [crate]. A middleware behind this one that
//! fails by itself gives the `error.type` `middleware`.

use ddtrace_core::trace::{Span, instrument_with};
use http::Extensions;
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

use crate::request::{self, SETTINGS};
use crate::tap;

/// Makes a span of every request that passes.
pub fn layer() -> TraceMiddleware {
    TraceMiddleware { _private: () }
}

/// A [`Middleware`] that makes a span of every request; made by [`layer`].
#[derive(Clone, Copy, Debug)]
pub struct TraceMiddleware {
    _private: (),
}

/// How often the request was sent before. Lies among the extensions, which belong to a request and all its repetitions.
#[derive(Clone, Copy, Default)]
struct SentBefore(u32);

/// A span of this layer is open: another one further in makes none.
#[derive(Clone, Copy)]
struct InSpan;

#[async_trait::async_trait]
impl Middleware for TraceMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let settings = SETTINGS
            .get()
            .filter(|_| extensions.get::<InSpan>().is_none());
        let Some(settings) = settings else {
            return next.run(request, extensions).await;
        };
        let taps = tap::offer(&request);
        let mut span = request::open(
            &settings,
            taps.context().as_ref(),
            request.method(),
            request.url(),
            request.headers(),
        );
        request::inject(&settings, &span, request.headers_mut());
        let SentBefore(count) = extensions.get().copied().unwrap_or_default();
        extensions.insert(SentBefore(count.saturating_add(1)));
        if count > 0 {
            span.set_tag("http.request.resend_count", u64::from(count));
        }
        let observe = move |result: &Result<Response>, span: &mut Span| match result {
            Ok(response) => {
                request::answered(span, &settings, response.status(), response.headers());
            }
            Err(Error::Reqwest(error)) => request::failed(span, error),
            Err(Error::Middleware(error)) => {
                span.set_error_message("middleware", &message(error.as_ref()), None);
            }
        };
        // Taken away again where the request ends, however it does: it may be sent once more.
        let marked = Marked::new(extensions);
        match instrument_with(span, next.run(request, marked.extensions), observe).await {
            Ok(response) => Ok(tap::lay(response, taps)),
            Err(error) => {
                match &error {
                    Error::Reqwest(error) => tap::failed(taps, error),
                    Error::Middleware(error) => {
                        tap::middleware_failed(taps, &message(error.as_ref()))
                    }
                }
                Err(error)
            }
        }
    }
}

/// The extensions while the span is open.
struct Marked<'a> {
    extensions: &'a mut Extensions,
}

impl<'a> Marked<'a> {
    fn new(extensions: &'a mut Extensions) -> Self {
        extensions.insert(InSpan);
        Self { extensions }
    }
}

impl Drop for Marked<'_> {
    fn drop(&mut self) {
        self.extensions.remove::<InSpan>();
    }
}

/// What the middleware says, unless it repeats an error of reqwest's, whose text has the URL in it.
fn message(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<reqwest::Error>() {
            return String::from("a middleware failed");
        }
        cause = error.source();
    }
    format!("a middleware failed: {error}")
}
