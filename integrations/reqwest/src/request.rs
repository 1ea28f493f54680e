//! What the span of a request says, whichever client sends it.

use std::borrow::Cow;
use std::error::Error as _;
use std::fmt::Write as _;

use ddtrace_core::events::{self, HttpClientRequest, HttpClientResponse, OutgoingHeaders};
use ddtrace_core::http::without_urls;
use ddtrace_core::instrument::{Enabled, Settings, set_resource_by_path};
use ddtrace_core::trace::{Context, Site, Span, SpanKind};
use reqwest::header::HeaderMap;
use reqwest::{Error, Method, StatusCode, Url};

pub(crate) static SETTINGS: Settings = Settings::of("reqwest");

ddtrace_core::site! {
    static REQUEST: Site = Site::new("reqwest.request", "request", module_path!(), file!(), line!())
        .with_span_type("http")
        .with_kind(SpanKind::Client)
        .with_component("reqwest");
}

/// Opens the span of a request, as the child of a span that covers the exchange if there is one.
pub(crate) fn open(
    settings: &Enabled,
    around: Option<&Context>,
    method: &Method,
    url: &Url,
    headers: &HeaderMap,
) -> Span {
    let mut span = match around {
        Some(around) => Span::start_child_of(&REQUEST, around),
        None => Span::start(&REQUEST),
    };
    if span.is_recording() {
        describe(&mut span, settings, method, url, headers);
    }
    span
}

/// Writes trace context into the headers of the request.
pub(crate) fn inject(settings: &Enabled, span: &mut Span, headers: &mut HeaderMap) {
    if settings.own.distributed_tracing {
        // With tracing off, what came in with the request that is being served goes on from here.
        ddtrace_core::trace::inject_span(span, headers);
        if span.is_recording() {
            events::dispatch::<OutgoingHeaders<'_>>(|| OutgoingHeaders::new(span, "http", headers));
        }
    }
}

fn describe(span: &mut Span, settings: &Enabled, method: &Method, url: &Url, headers: &HeaderMap) {
    if settings.own.split_by_domain && settings.own.service.is_none() {
        span.set_service(&host_and_port(url));
        span.set_tag("_dd.svc_src", "opt.split_by_domain");
    } else {
        settings.set_service(span, Some("reqwest"));
    }
    if settings.names_by_v1() {
        span.set_name("http.client.request");
    }
    set_resource_by_path(span, method, url.path());
    settings
        .http()
        .tag_client_request(span, method, url.as_str(), headers);
    events::dispatch::<HttpClientRequest<'_>>(|| {
        HttpClientRequest::new(span, method, url.as_str(), headers)
    });
}

/// Says what the head of the response says.
pub(crate) fn answered(
    span: &mut Span,
    settings: &Enabled,
    status: StatusCode,
    headers: &HeaderMap,
) {
    if span.is_recording() {
        settings.http().tag_response(span, status, headers);
        events::dispatch::<HttpClientResponse<'_>>(|| {
            HttpClientResponse::new(span, status, headers)
        });
    }
}

/// Marks the span of a request that got no response.
pub(crate) fn failed(span: &mut Span, error: &Error) {
    span.set_error_message(kind(error), &message(error), None);
}

/// What a service is called by domain: the host, and its port if it is not the scheme's.
fn host_and_port(url: &Url) -> String {
    let mut service = url.host_str().unwrap_or_default().to_owned();
    if let Some(port) = url.port() {
        // Writing to a string does not fail.
        let _ = write!(service, ":{port}");
    }
    service
}

/// The most telling of the kinds that an error is.
pub(crate) fn kind(error: &Error) -> &'static str {
    type Question = fn(&Error) -> bool;
    let kinds: [(Question, &str); 8] = [
        (Error::is_timeout, "timeout"),
        (Error::is_connect, "connect"),
        (Error::is_redirect, "redirect"),
        (Error::is_body, "body"),
        (Error::is_decode, "decode"),
        (Error::is_upgrade, "upgrade"),
        (Error::is_builder, "builder"),
        (Error::is_request, "request"),
    ];
    kinds
        .iter()
        .find(|(is, _)| is(error))
        .map_or("request", |(_, kind)| kind)
}

/// The error's causes, without the URLs that these may have in them. Its own text has the request's, secrets of the query string and all.
pub(crate) fn message(error: &Error) -> String {
    let mut message = String::from("the request failed");
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string does not fail, a cause that will not be written is left out.
        let _ = write!(message, ": {cause}");
        source = cause.source();
    }
    match without_urls(&message) {
        Cow::Owned(clean) => clean,
        Cow::Borrowed(_) => message,
    }
}
