//! A request on its way out, and what comes back.

use std::future::Future;

use bytes::Bytes;
use ddtrace_core::events::{
    self, End, HttpClientExchange, HttpClientRequest, HttpClientResponse, Taps,
};
use ddtrace_core::http::endpoint;
use ddtrace_core::instrument::Enabled;
use ddtrace_core::trace::{Site, Span, SpanKind, instrument_with};
use http::{Request, Response};
use rig_http::http_client::{Error, Result};
use std::sync::Arc;

use crate::SETTINGS;

ddtrace_core::site! {
    static REQUEST: Site = Site::new("rig.request", "request", module_path!(), file!(), line!())
        .with_span_type("http")
        .with_kind(SpanKind::Client)
        .with_component("rig");
}

/// A request that was opened. Nothing, if the integration is off.
pub(crate) struct Exchange(Option<(Span, Followed, Arc<Enabled>)>);

/// Whoever follows the exchange.
pub(crate) struct Followed(pub(crate) Taps);

impl Exchange {
    /// Opens the span of a request and writes trace context into its headers.
    pub(crate) fn begin<B, D: AsRef<[u8]> + ?Sized>(
        request: &mut Request<B>,
        body: impl FnOnce(&Request<B>) -> &D,
    ) -> Self {
        let Some(settings) = SETTINGS.get() else {
            return Self(None);
        };
        let url = request.uri().to_string();
        let taps = events::dispatch::<HttpClientExchange<'_>>(|| {
            let body = Some(body(request).as_ref()).filter(|body| !body.is_empty());
            HttpClientExchange::new(request.method(), &url, request.headers(), body)
        });
        let taps = taps.map(HttpClientExchange::into_taps).unwrap_or_default();
        let mut span = match taps.context() {
            Some(around) => Span::start_child_of(&REQUEST, &around),
            None => Span::start(&REQUEST),
        };
        if span.is_recording() {
            settings.set_service(&mut span, Some("rig"));
            if settings.names_by_v1() {
                span.set_name("http.client.request");
            }
            let path = endpoint(request.uri().path());
            span.set_resource(&format!("{} {path}", request.method()));
            settings.http().tag_client_request(
                &mut span,
                request.method(),
                &url,
                request.headers(),
            );
            events::dispatch::<HttpClientRequest<'_>>(|| {
                HttpClientRequest::new(&mut span, request.method(), &url, request.headers())
            });
        }
        if settings.own.distributed_tracing {
            let _active = span.enter();
            ddtrace_core::trace::inject(request.headers_mut());
        }
        Self(Some((span, Followed(taps), settings)))
    }

    /// Waits for the head of the response, within the span.
    pub(crate) async fn send<T>(
        self,
        sent: impl Future<Output = Result<Response<T>>>,
    ) -> Result<(Response<T>, Followed)> {
        let Some((span, mut followed, settings)) = self.0 else {
            return Ok((sent.await?, Followed(Taps::default())));
        };
        let observe = move |result: &Result<Response<T>>, span: &mut Span| match result {
            Ok(response) => answered(span, &settings, response.status(), response.headers()),
            Err(error) => match (error.non_success_status(), error.non_success_headers()) {
                (Some(status), Some(headers)) => answered(span, &settings, status, headers),
                _ => span.set_error_message(kind(error), &message(error), None),
            },
        };
        match instrument_with(span, sent, observe).await {
            Ok(response) => {
                followed.0.head(response.status(), response.headers());
                Ok((response, followed))
            }
            Err(error) => {
                followed.failed(&error);
                Err(error)
            }
        }
    }
}

fn answered(
    span: &mut Span,
    settings: &Enabled,
    status: http::StatusCode,
    headers: &http::HeaderMap,
) {
    if span.is_recording() {
        settings.http().tag_response(span, status, headers);
        events::dispatch::<HttpClientResponse<'_>>(|| {
            HttpClientResponse::new(span, status, headers)
        });
    }
}

impl Followed {
    /// The body was read as a whole, or not.
    pub(crate) fn read(mut self, read: &Result<Bytes>) {
        match read {
            Ok(body) => {
                self.0.chunk(body);
                self.0.end(End::Complete);
            }
            Err(error) => self.failed(error),
        }
    }

    /// There is nothing more to come. An answer with a status that is no success is an error to rig, head and body included.
    pub(crate) fn failed(&mut self, error: &Error) {
        if self.0.is_empty() {
            return;
        }
        let head = error.non_success_status().zip(error.non_success_headers());
        if let Some((status, headers)) = head {
            self.0.head(status, headers);
            self.0
                .chunk(error.non_success_body().unwrap_or_default().as_bytes());
            self.0.end(End::Complete);
        } else {
            self.0.end(End::Failed {
                kind: kind(error),
                message: &message(error),
            });
        }
    }
}

/// What kind of error it is.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Protocol(_) => "protocol",
        Error::InvalidStatusCodeWithDetails { .. } => "status",
        Error::StreamEnded => "body",
        Error::InvalidContentType(_) => "decode",
        Error::Instance(_) => "transport",
        _ => "request",
    }
}

/// What it says. The text of a transport's own error may have the address in it, secrets of the query string and all, so only its causes are told.
fn message(error: &Error) -> String {
    let Error::Instance(inner) = error else {
        return error.to_string();
    };
    let mut message = String::from("the request failed");
    let mut source = inner.source();
    while let Some(cause) = source {
        message.push_str(": ");
        message.push_str(&cause.to_string());
        source = cause.source();
    }
    message
}
