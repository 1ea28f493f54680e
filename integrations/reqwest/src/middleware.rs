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
//! fails gives the `error.type` of reqwest's error behind that, if there is one to be seen, or else `middleware`.

use std::error::Error as StdError;

use ddtrace_core::http::without_urls;
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
        request::inject(&settings, &mut span, request.headers_mut());
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
                let (kind, message) = failure(error.as_ref());
                span.set_error_message(kind, &message, None);
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
                        let (kind, message) = failure(error.as_ref());
                        tap::failed_by(taps, kind, &message);
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

/// What kind of error it is, and what it says: that of reqwest behind it, or else the middleware's own.
fn failure(error: &(dyn StdError + 'static)) -> (&'static str, String) {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let sent = match error.downcast_ref::<Error>() {
            Some(Error::Reqwest(error)) => Some(error),
            _ => error.downcast_ref::<reqwest::Error>(),
        };
        if let Some(error) = sent {
            return (request::kind(error), request::message(error));
        }
        cause = error.source();
    }
    // Some hide an error of reqwest's, but repeat its text, URL and all.
    let message = format!("a middleware failed: {error}");
    ("middleware", without_urls(&message).into_owned())
}
