//! The span of one request.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::extract::{ConnectInfo, MatchedPath, OriginalUri};
use ddtrace_core::events::{self, Block, HttpServerRequest, HttpServerResponse};
use ddtrace_core::instrument::{Enabled, ServerRequest, Settings};
use ddtrace_core::propagation::SpanContext;
use ddtrace_core::trace::{Context, Site, Span, SpanKind, Tag, Value};
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, Uri};

static SETTINGS: Settings = Settings::of("axum");

ddtrace_core::site! {
    static REQUEST: Site = Site::new("axum.request", "request", module_path!(), file!(), line!())
        .with_span_type("web")
        .with_kind(SpanKind::Server)
        .with_component("axum");
}

/// The tag of a request whose client went away.
const CANCELLED: &str = "http.request.cancelled";

/// The span of a request that is being answered; ends when dropped.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    span: Span,
    settings: Arc<Enabled>,
    method: Method,
    route: Route,
    /// The target, if its path is asked for once the response is known.
    target: Option<Uri>,
    /// Whether the response cannot have a body, whatever the service puts into it.
    has_no_body: bool,
    /// Whether the service has control. Stays set if it panics.
    is_working: bool,
}

/// What became of a request at the door.
pub(crate) enum Started {
    /// It is none of ours: the integration is off, or a layer outside of this one has it in hand.
    Off,
    /// It goes on to the service.
    Span(RequestSpan),
    /// It is answered at once instead.
    Blocked(RequestSpan, Box<Block>),
}

/// The route that a request matched. Lies among the request's extensions, so that a layer inside finds the span's own.
#[derive(Clone, Debug, Default)]
struct Route {
    matched: Arc<OnceLock<MatchedPath>>,
}

impl Route {
    fn note(&self, extensions: &Extensions) {
        if let Some(path) = extensions.get::<MatchedPath>() {
            // The first layer that knows is the outermost, and they all know the same.
            let _ = self.matched.set(path.clone());
        }
    }

    fn as_str(&self) -> Option<&str> {
        self.matched.get().map(MatchedPath::as_str)
    }
}

impl RequestSpan {
    pub(crate) fn start<B>(request: &mut Request<B>) -> Started {
        if let Some(route) = request.extensions().get::<Route>() {
            route.note(request.extensions());
            return Started::Off;
        }
        let Some(settings) = SETTINGS.get() else {
            return Started::Off;
        };
        let route = Route::default();
        route.note(request.extensions());
        let peer = request
            .extensions()
            .get::<ConnectInfo<SocketAddr>>()
            .map(|&ConnectInfo(peer)| peer);
        let mut this = Self {
            span: open(&settings, request.headers()),
            settings,
            method: request.method().clone(),
            route: route.clone(),
            target: None,
            has_no_body: false,
            is_working: false,
        };
        if this.span.is_recording() {
            if let Some(block) = this.received(request, peer) {
                return Started::Blocked(this, Box::new(block));
            }
        }
        request.extensions_mut().insert(route);
        Started::Span(this)
    }

    /// Says what came in, to the span and to whoever listens. Gives the answer of a listener that wants it stopped.
    fn received<B>(&mut self, request: &Request<B>, peer: Option<SocketAddr>) -> Option<Block> {
        let Self {
            span,
            settings,
            route,
            target,
            ..
        } = self;
        let uri = original_uri(request);
        settings.set_service(span, None);
        if settings.names_by_v1() {
            span.set_name("http.server.request");
        }
        let client_ip = settings.http().tag_server_request(
            span,
            ServerRequest {
                method: request.method(),
                uri,
                version: request.version(),
                headers: request.headers(),
                peer,
            },
        );
        if settings.http().tags_endpoints() {
            *target = Some(uri.clone());
        }
        if let Some(route) = route.as_str() {
            describe_route(span, &self.method, route);
        }
        let event = events::dispatch::<HttpServerRequest<'_>>(|| {
            let mut event = HttpServerRequest::new(span, request.method(), uri, request.headers());
            event.route = route.as_str();
            event.peer = peer;
            event.client_ip = client_ip;
            event
        });
        event?.verdict.into_block()
    }

    /// Lets the service work within the span.
    pub(crate) fn within<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.is_working = true;
        let entered = self.span.enter();
        let result = work();
        drop(entered);
        self.is_working = false;
        result
    }

    /// Says what the head of the response says. Whether the span ends with it.
    pub(crate) fn responded<R>(&mut self, response: &Response<R>) -> bool {
        let Self {
            span,
            settings,
            method,
            route,
            target,
            ..
        } = self;
        let (status, headers) = (response.status(), response.headers());
        if span.is_recording() {
            match route.as_str() {
                Some(route) => describe_route(span, method, route),
                None => span.set_resource(&format!("{method} {}", status.as_u16())),
            }
            settings.http().tag_response(span, status, headers);
            let route = route.as_str();
            if let Some(target) = target {
                settings
                    .http()
                    .tag_endpoint(span, target.path(), route.is_some(), status);
            }
            events::dispatch::<HttpServerResponse<'_>>(|| {
                HttpServerResponse::new(span, route, status, headers)
            });
        }
        self.has_no_body = *method == Method::HEAD
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        is_upgrade(method, status) || is_event_stream(headers)
    }

    pub(crate) fn has_no_body(&self) -> bool {
        self.has_no_body
    }

    /// The service gave no response but an error, which axum's own never do.
    pub(crate) fn failed(mut self) {
        self.span.set_error_flag(true);
    }

    /// The body broke off with an error of its own.
    pub(crate) fn body_failed(mut self) {
        self.span.set_error_flag(true);
    }

    /// The client went away before it had everything; unless the service went away itself, by a panic.
    pub(crate) fn abandoned(mut self) {
        if !self.is_working {
            self.span.set_tag(CANCELLED, true);
        }
    }

    /// The same, with what is left of the service dropped within the span.
    pub(crate) fn abandoned_in(mut self, drop_service: impl FnOnce()) {
        let has_panicked = self.is_working;
        self.within(drop_service);
        self.is_working = has_panicked;
        self.abandoned();
    }
}

/// Opens the span: under the caller's if headers say so, else under what is active here, if anything is.
fn open(settings: &Enabled, headers: &HeaderMap) -> Span {
    if !settings.own.distributed_tracing {
        return Span::start_root(&REQUEST);
    }
    let extracted = ddtrace_core::trace::extract_for("axum", headers);
    let active = Context::current();
    // A request that did not leave the process is already in its trace.
    let is_active = |context: &SpanContext| {
        !active.is_none() && context.trace_id.low() == active.trace_id().low()
    };
    let is_known = extracted.context.as_ref().is_none_or(is_active) && extracted.links.is_empty();
    if is_known && (extracted.baggage.is_empty() || !active.is_none()) {
        let mut span = Span::start(&REQUEST);
        for (key, value) in extracted.baggage.iter() {
            span.set_baggage(key, value);
        }
        return span;
    }
    Span::start_from(&REQUEST, extracted)
}

/// Runs something of the service's, within the span if there is one.
pub(crate) fn within<R>(span: &mut Option<RequestSpan>, work: impl FnOnce() -> R) -> R {
    match span {
        Some(span) => span.within(work),
        None => work(),
    }
}

/// The target as it stood in the request: a nested router sees only the rest of it.
fn original_uri<B>(request: &Request<B>) -> &Uri {
    let original = request.extensions().get::<OriginalUri>();
    original.map_or(request.uri(), |OriginalUri(original)| original)
}

fn describe_route(span: &mut Span, method: &Method, route: &str) {
    span.set_resource(&resource(method, route));
    span.set_tags(&[Tag {
        key: "http.route",
        value: Value::Text(route),
    }]);
}

/// Method and route. Joined by hand: formatting costs several times as much.
fn resource(method: &Method, route: &str) -> String {
    let method = method.as_str();
    let mut resource = String::with_capacity(method.len() + 1 + route.len());
    resource.push_str(method);
    resource.push(' ');
    resource.push_str(route);
    resource
}

/// Whether the connection is no longer one of requests and responses.
fn is_upgrade(method: &Method, status: StatusCode) -> bool {
    status == StatusCode::SWITCHING_PROTOCOLS || (*method == Method::CONNECT && status.is_success())
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    content_type.is_some_and(|content_type| content_type.starts_with(b"text/event-stream"))
}
