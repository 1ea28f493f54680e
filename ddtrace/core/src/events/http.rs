//! Requests that a program answers, and requests that it sends.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Method, StatusCode, Uri};

use super::{Event, Listeners, Verdict};
use crate::propagation::CarrierMut;
use crate::trace::Span;

/// A request has arrived, and the user's code has not seen it yet.
///
/// Dispatched by the integrations of HTTP servers on the thread that serves the request, after its span was opened.
/// Listeners may add to the span, and may answer: a blocked request gets the response of the answer, and the user's code
/// is not called.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpServerRequest<'a> {
    /// The request's span.
    pub span: &'a mut Span,
    /// Its method.
    pub method: &'a Method,
    /// Its target, as it stood in the request.
    pub uri: &'a Uri,
    /// The template of the route that it matched, if the framework knows already.
    pub route: Option<&'a str>,
    /// Its headers, all of them and as they came.
    pub headers: &'a HeaderMap,
    /// Who holds the other end of the connection, if the server was asked to remember.
    pub peer: Option<SocketAddr>,
    /// Who sent it, by headers and connection; found out only if `DD_TRACE_CLIENT_IP_ENABLED` says so.
    pub client_ip: Option<IpAddr>,
    /// Whether it is to be answered at once instead.
    pub verdict: Verdict,
}

/// The head of the response to a request is known, and not yet sent.
///
/// Dispatched by the integrations of HTTP servers on the thread that serves the request; the body comes after it, and the
/// span is still open. Listeners may add to the span.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpServerResponse<'a> {
    /// The request's span.
    pub span: &'a mut Span,
    /// The template of the route that the request matched.
    pub route: Option<&'a str>,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// A request is about to be sent.
///
/// Dispatched by the integrations of HTTP clients on the thread that sends it, after its span was opened and before trace
/// context is written to its headers. Listeners may add to the span.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpClientRequest<'a> {
    /// The request's span.
    pub span: &'a mut Span,
    /// Its method.
    pub method: &'a Method,
    /// Where it goes, query string and all.
    pub url: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
}

/// The headers of a request can be written to for the last time.
///
/// Dispatched by the integrations of HTTP clients, and of clients of calls that travel as requests, on the thread that sends, after
/// trace context was written. Not dispatched where the user does not want context in headers. The span is not entered: what is
/// active is what sends. Listeners may add to the span and to the headers.
#[non_exhaustive]
pub struct OutgoingHeaders<'a> {
    /// The request's span.
    pub span: &'a mut Span,
    /// What is spoken: `http`, `grpc`.
    pub protocol: &'a str,
    /// Where to write.
    pub headers: &'a mut dyn CarrierMut,
}

impl fmt::Debug for OutgoingHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingHeaders")
            .field("span", &self.span)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// The head of a response has arrived.
///
/// Dispatched by the integrations of HTTP clients, on the thread that waited, just before the span ends. Not dispatched when there is no
/// response. Listeners may add to the span.
#[derive(Debug)]
#[non_exhaustive]
pub struct HttpClientResponse<'a> {
    /// The request's span.
    pub span: &'a mut Span,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: &'a HeaderMap,
}

impl<'a> HttpServerRequest<'a> {
    /// Puts the fact together; what is optional is set on the result.
    pub fn new(
        span: &'a mut Span,
        method: &'a Method,
        uri: &'a Uri,
        headers: &'a HeaderMap,
    ) -> Self {
        Self {
            span,
            method,
            uri,
            route: None,
            headers,
            peer: None,
            client_ip: None,
            verdict: Verdict::default(),
        }
    }
}

impl<'a> HttpServerResponse<'a> {
    /// Puts the fact together.
    pub fn new(
        span: &'a mut Span,
        route: Option<&'a str>,
        status: StatusCode,
        headers: &'a HeaderMap,
    ) -> Self {
        Self {
            span,
            route,
            status,
            headers,
        }
    }
}

impl<'a> HttpClientRequest<'a> {
    /// Puts the fact together.
    pub fn new(
        span: &'a mut Span,
        method: &'a Method,
        url: &'a str,
        headers: &'a HeaderMap,
    ) -> Self {
        Self {
            span,
            method,
            url,
            headers,
        }
    }
}

impl<'a> OutgoingHeaders<'a> {
    /// Puts the fact together.
    pub fn new(span: &'a mut Span, protocol: &'a str, headers: &'a mut dyn CarrierMut) -> Self {
        Self {
            span,
            protocol,
            headers,
        }
    }
}

impl<'a> HttpClientResponse<'a> {
    /// Puts the fact together.
    pub fn new(span: &'a mut Span, status: StatusCode, headers: &'a HeaderMap) -> Self {
        Self {
            span,
            status,
            headers,
        }
    }
}

impl Event for HttpServerRequest<'static> {
    type Payload<'a> = HttpServerRequest<'a>;
    const NAME: &'static str = "HttpServerRequest";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<HttpServerRequest<'static>> = Listeners::new();
        &LISTENERS
    }
}

impl Event for HttpServerResponse<'static> {
    type Payload<'a> = HttpServerResponse<'a>;
    const NAME: &'static str = "HttpServerResponse";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<HttpServerResponse<'static>> = Listeners::new();
        &LISTENERS
    }
}

impl Event for HttpClientRequest<'static> {
    type Payload<'a> = HttpClientRequest<'a>;
    const NAME: &'static str = "HttpClientRequest";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<HttpClientRequest<'static>> = Listeners::new();
        &LISTENERS
    }
}

impl Event for OutgoingHeaders<'static> {
    type Payload<'a> = OutgoingHeaders<'a>;
    const NAME: &'static str = "OutgoingHeaders";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<OutgoingHeaders<'static>> = Listeners::new();
        &LISTENERS
    }
}

impl Event for HttpClientResponse<'static> {
    type Payload<'a> = HttpClientResponse<'a>;
    const NAME: &'static str = "HttpClientResponse";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<HttpClientResponse<'static>> = Listeners::new();
        &LISTENERS
    }
}
