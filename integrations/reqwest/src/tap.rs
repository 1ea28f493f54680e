//! Bodies for products that want to see them.
//!
//! A response is a concrete type, so its body is taken out, wrapped, and put back in. Address, extensions, size hint, timeouts and
//! decompression stay what they were; an error of the body has two more links in its chain of causes, because reqwest adds
//! one wherever a body of its own changes hands. Only responses that somebody taps are treated so.

use ddtrace_core::events::{self, End, HttpClientExchange, Tapped, Taps};
use http::response::Builder;
use reqwest::{Body, Error, Request, Response, ResponseBuilderExt as _};

use crate::request::{kind, message};

/// Asks who wants to follow the exchange that this request begins.
pub(crate) fn offer(request: &Request) -> Taps {
    events::dispatch::<HttpClientExchange<'_>>(|| {
        HttpClientExchange::new(
            request.method(),
            request.url().as_str(),
            request.headers(),
            request.body().and_then(Body::as_bytes),
        )
    })
    .map(HttpClientExchange::into_taps)
    .unwrap_or_default()
}

/// Shows the head of a response, and everything of its body as it is read.
pub(crate) fn lay(response: Response, mut taps: Taps) -> Response {
    taps.head(response.status(), response.headers());
    if taps.is_empty() {
        return response;
    }
    let Ok(address) = Builder::new().url(response.url().clone()).body(()) else {
        return response;
    };
    let (mut parts, body) = http::Response::<Body>::from(response).into_parts();
    // It is an extension of reqwest's own that hands the address over.
    parts.extensions.extend(address.into_parts().0.extensions);
    let body = Body::wrap(Tapped::new(body, taps, |error| {
        (kind(error), message(error))
    }));
    Response::from(http::Response::from_parts(parts, body))
}

/// Says that there will be no response.
pub(crate) fn failed(mut taps: Taps, error: &Error) {
    if !taps.is_empty() {
        taps.end(End::Failed {
            kind: kind(error),
            message: &message(error),
        });
    }
}

/// The same, of an error that was described before.
#[cfg(feature = "middleware")]
pub(crate) fn failed_by(mut taps: Taps, kind: &str, message: &str) {
    taps.end(End::Failed { kind, message });
}
