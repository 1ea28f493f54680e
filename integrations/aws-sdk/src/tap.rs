//! What products see of an operation that they follow: its request as it was serialised, and the answer as it passes.
//!
//! An operation is one exchange, however often it is attempted: of answers only the last one counts, which is one that succeeds, or
//! whatever the operation ended with. Only the body of an answer that is followed is touched.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::body::SdkBody;
use ddtrace_core::events::{self, End, HttpClientExchange, Tapped, Taps};
use ddtrace_core::http::without_urls;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

/// Asks who wants to follow the exchange that this request begins.
pub(crate) fn offer(request: &HttpRequest) -> Taps {
    // Declared outside, because the event borrows from them; made only if somebody listens.
    let (mut method, mut headers) = (Method::POST, HeaderMap::new());
    events::dispatch::<HttpClientExchange<'_>>(|| {
        method = request.method().parse().unwrap_or(Method::POST);
        headers = header_map(request.headers());
        HttpClientExchange::new(&method, request.uri(), &headers, request.body().bytes())
    })
    .map(HttpClientExchange::into_taps)
    .unwrap_or_default()
}

/// Shows the head of an answer, and everything of its body as it is read. Gives the taps back if the answer is one after which the
/// operation may be attempted again.
pub(crate) fn lay(response: &mut HttpResponse, mut taps: Taps) -> Taps {
    if !response.status().is_success() {
        return taps;
    }
    show_head(&mut taps, response);
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let describe = |error: &BoxError| ("body", text(error));
    *response.body_mut() = SdkBody::from_body_1_x(Tapped::new(body, taps, describe));
    Taps::default()
}

fn text(error: &impl std::fmt::Display) -> String {
    without_urls(&error.to_string()).into_owned()
}

/// Tells how an operation ended whose answer was not shown: with one that says what went wrong, or with none.
pub(crate) fn ended(mut taps: Taps, response: Option<&HttpResponse>, kind: &str, message: &str) {
    if taps.is_empty() {
        return;
    }
    let Some(response) = response else {
        taps.end(End::Failed { kind, message });
        return;
    };
    show_head(&mut taps, response);
    taps.chunk(response.body().bytes().unwrap_or_default());
    taps.end(End::Complete);
}

fn show_head(taps: &mut Taps, response: &HttpResponse) {
    let status = StatusCode::from_u16(response.status().as_u16());
    taps.head(status.unwrap_or_default(), &header_map(response.headers()));
}

fn header_map(headers: &Headers) -> HeaderMap {
    let headers = headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::try_from(name).ok()?;
        Some((name, HeaderValue::try_from(value).ok()?))
    });
    headers.collect()
}
