//! A request on its way out.

use std::error::Error as _;
use std::fmt::Write as _;
use std::future::Future;

use ddtrace_core::events::{self, HttpClientRequest, HttpClientResponse};
use ddtrace_core::http::endpoint;
use ddtrace_core::instrument::{Enabled, Settings};
use ddtrace_core::trace::{Site, Span, SpanKind, instrument_with};
use reqwest::{Client, Error, Request, RequestBuilder, Response, Url};

static SETTINGS: Settings = Settings::of("reqwest");

ddtrace_core::site! {
    static REQUEST: Site = Site::new("reqwest.request", "request", module_path!(), file!(), line!())
        .with_span_type("http")
        .with_kind(SpanKind::Client)
        .with_component("reqwest");
}

/// Sends what a [`RequestBuilder`] builds, in a span.
pub trait RequestBuilderExt {
    /// Like [`RequestBuilder::send`], in a span of its own. The span begins when the future is first polled.
    ///
    /// # Errors
    ///
    /// Those of [`RequestBuilder::send`].
    fn send_traced(self) -> impl Future<Output = Result<Response, Error>> + Send;
}

impl RequestBuilderExt for RequestBuilder {
    async fn send_traced(self) -> Result<Response, Error> {
        let (client, request) = self.build_split();
        send(&client, request?).await
    }
}

/// Sends a request that was built before, in a span.
pub trait ClientExt {
    /// Like [`Client::execute`], in a span of its own. The span begins when the future is first polled.
    ///
    /// # Errors
    ///
    /// Those of [`Client::execute`].
    fn execute_traced(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Response, Error>> + Send;
}

impl ClientExt for Client {
    fn execute_traced(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Response, Error>> + Send {
        send(self, request)
    }
}

async fn send(client: &Client, mut request: Request) -> Result<Response, Error> {
    let Some(settings) = SETTINGS.get() else {
        return client.execute(request).await;
    };
    let mut span = Span::start(&REQUEST);
    if span.is_recording() {
        describe(&mut span, &settings, &request);
    }
    if settings.own.distributed_tracing {
        // With tracing off, what came in with the request that is being served goes on from here.
        let _active = span.enter();
        ddtrace_core::trace::inject(request.headers_mut());
    }
    let observe = move |result: &Result<Response, Error>, span: &mut Span| match result {
        Ok(response) => answered(span, &settings, response),
        Err(error) => span.set_error_message(kind(error), &message(error), None),
    };
    instrument_with(span, client.execute(request), observe).await
}

fn describe(span: &mut Span, settings: &Enabled, request: &Request) {
    let url = request.url();
    if settings.own.split_by_domain && settings.own.service.is_none() {
        span.set_service(&host_and_port(url));
        span.set_tag("_dd.svc_src", "opt.split_by_domain");
    } else {
        settings.set_service(span, Some("reqwest"));
    }
    if settings.names_by_v1() {
        span.set_name("http.client.request");
    }
    span.set_resource(&format!("{} {}", request.method(), endpoint(url.path())));
    settings
        .http()
        .tag_client_request(span, request.method(), url.as_str(), request.headers());
    events::dispatch::<HttpClientRequest<'_>>(|| {
        HttpClientRequest::new(
            span,
            request.method(),
            request.url().as_str(),
            request.headers(),
        )
    });
}

fn answered(span: &mut Span, settings: &Enabled, response: &Response) {
    if span.is_recording() {
        let (status, headers) = (response.status(), response.headers());
        settings.http().tag_response(span, status, headers);
        events::dispatch::<HttpClientResponse<'_>>(|| {
            HttpClientResponse::new(span, status, headers)
        });
    }
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
fn kind(error: &Error) -> &'static str {
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

/// The error's causes. Its own text has the URL in it, secrets of the query string and all.
fn message(error: &Error) -> String {
    let mut message = String::from("the request failed");
    let mut source = error.source();
    while let Some(cause) = source {
        // Writing to a string does not fail, a cause that will not be written is left out.
        let _ = write!(message, ": {cause}");
        source = cause.source();
    }
    message
}
