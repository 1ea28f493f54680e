//! The span of a request that is being answered.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use ddtrace_core::events::{self, Block, HttpServerRequest, HttpServerResponse};
use ddtrace_core::instrument::{Enabled, ServerRequest, Settings, set_resource_by_path};
use ddtrace_core::propagation::SpanContext;
use ddtrace_core::trace::{Context, Site, Span, Tag, Value};
use http::header::CONTENT_TYPE;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, Uri};

use crate::exchange::{Exchange, Fails, Rest, Stage};

/// The tag of a request whose client went away.
const CANCELLED: &str = "http.request.cancelled";

/// A library that answers requests: what of its spans is its own.
///
/// A type without values stands for it.
pub trait Server: 'static {
    /// The integration's name in settings.
    const NAME: &'static str;

    /// Whether the library finds handlers by routes: then a request without one was for nothing that there is, and the path says
    /// nothing.
    const HAS_ROUTES: bool = false;

    /// A route, as the library keeps it.
    type Route: AsRef<str> + fmt::Debug + Send + 'static;

    /// Its settings.
    fn settings() -> &'static Settings;

    /// Where its spans come from.
    fn site() -> &'static Site;

    /// The route that the request matched, if that is known.
    fn route(extensions: &Extensions) -> Option<Self::Route> {
        let _ = extensions;
        None
    }

    /// Who holds the other end of the connection, if the server was asked to remember.
    fn peer(extensions: &Extensions) -> Option<SocketAddr> {
        extensions.get::<Peer>().map(|&Peer(peer)| peer)
    }

    /// The target as it stood in the request.
    fn target<B>(request: &Request<B>) -> &Uri {
        request.uri()
    }
}

/// Who holds the other end of the connection: for a request's extensions, if the client's address is to be known.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The mark of a request that has a span, among its extensions, so that a layer inside makes none.
#[derive(Clone, Debug)]
struct InSpan {
    /// Where a route goes that is found out further in. Nothing if it is known.
    late: Option<Arc<OnceLock<Box<str>>>>,
}

/// Marks a request whose span is made elsewhere.
pub fn mark(extensions: &mut Extensions) {
    extensions.insert(InSpan { late: None });
}

/// Whether a request has a span already: then nobody else has to make one.
pub fn is_marked(extensions: &Extensions) -> bool {
    extensions.get::<InSpan>().is_some()
}

/// Tells the span of a request which route the request matched, where a router of one's own finds that out.
///
/// ```
/// # let request = http::Request::new(());
/// ddtrace_tower::server::note_route(request.extensions(), "/users/{id}");
/// ```
///
/// The first route that is noted counts, and one that the library itself knows before any other. Without a span, nothing happens.
pub fn note_route(extensions: &Extensions, route: &str) {
    let late = extensions
        .get::<InSpan>()
        .and_then(|span| span.late.as_ref());
    if let Some(late) = late {
        // The first that knows is the outermost, and they all know the same.
        let _ = late.set(route.into());
    }
}

/// How long the span of a request lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ends {
    WithBody,
    WithHead,
}

/// The span of a request that is being answered; ends when dropped.
pub struct RequestSpan<S: Server> {
    span: Span,
    settings: Arc<Enabled>,
    method: Method,
    route: Option<S::Route>,
    late: Option<Arc<OnceLock<Box<str>>>>,
    /// The target, if its path is asked for once the response is known.
    target: Option<Uri>,
    ends: Ends,
    /// Whether the service has control. Stays set if it panics.
    is_working: bool,
}

impl<S: Server> fmt::Debug for RequestSpan<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSpan")
            .field("span", &self.span)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

/// What became of a request at the door.
pub(super) enum Started<S: Server> {
    /// It is none of ours: the integration is off, or a layer outside of this one has it in hand.
    Off,
    /// It goes on to the service.
    Span(RequestSpan<S>),
    /// It is answered at once instead.
    Blocked(RequestSpan<S>, Box<Block>),
}

impl<S: Server> RequestSpan<S> {
    pub(super) fn start<B>(request: &mut Request<B>, ends: Ends) -> Started<S> {
        if is_marked(request.extensions()) {
            if let Some(route) = S::route(request.extensions()) {
                note_route(request.extensions(), route.as_ref());
            }
            return Started::Off;
        }
        let Some(settings) = S::settings().get() else {
            return Started::Off;
        };
        let span = open::<S>(&settings, request.headers());
        if span.is_off() {
            return Started::Off;
        }
        let route = S::route(request.extensions());
        let late = route.is_none().then(Arc::default);
        let mut this = Self {
            span,
            settings,
            method: request.method().clone(),
            route,
            late: late.clone(),
            target: None,
            ends,
            is_working: false,
        };
        if this.span.is_recording() {
            if let Some(block) = this.received(request) {
                return Started::Blocked(this, Box::new(block));
            }
        }
        request.extensions_mut().insert(InSpan { late });
        Started::Span(this)
    }

    /// Says what came in, to the span and to whoever listens. Gives the answer of a listener that wants it stopped.
    fn received<B>(&mut self, request: &Request<B>) -> Option<Block> {
        let Self {
            span,
            settings,
            route,
            target,
            ..
        } = self;
        let uri = S::target(request);
        let peer = S::peer(request.extensions());
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
        match route {
            Some(route) => describe_route(span, &self.method, route.as_ref()),
            None if S::HAS_ROUTES => {}
            None => set_resource_by_path(span, &self.method, uri.path()),
        }
        let event = events::dispatch::<HttpServerRequest<'_>>(|| {
            let mut event = HttpServerRequest::new(span, request.method(), uri, request.headers());
            event.route = route.as_ref().map(AsRef::as_ref);
            event.peer = peer;
            event.client_ip = client_ip;
            event
        });
        event?.verdict.into_block()
    }
}

impl<S: Server> Exchange for RequestSpan<S> {
    fn within<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.is_working = true;
        let entered = self.span.enter();
        let result = work();
        drop(entered);
        self.is_working = false;
        result
    }

    fn responded<B>(&mut self, response: &Response<B>) -> Rest {
        let Self {
            span,
            settings,
            method,
            route,
            late,
            target,
            ..
        } = self;
        let (status, headers) = (response.status(), response.headers());
        if span.is_recording() {
            let late = late
                .as_ref()
                .and_then(|late| late.get())
                .map(|late| &**late);
            let known = route.as_ref().map(AsRef::as_ref);
            match (known, late) {
                (Some(_), _) => {}
                (None, Some(late)) => describe_route(span, method, late),
                (None, None) if S::HAS_ROUTES || status == StatusCode::NOT_FOUND => {
                    set_resource(span, method, status.as_str());
                }
                (None, None) => {}
            }
            let route = known.or(late);
            settings.http().tag_response(span, status, headers);
            if let Some(target) = target {
                settings
                    .http()
                    .tag_endpoint(span, target.path(), route.is_some(), status);
            }
            events::dispatch::<HttpServerResponse<'_>>(|| {
                HttpServerResponse::new(span, route, status, headers)
            });
        }
        match self.ends {
            Ends::WithBody => rest(method, status, headers),
            Ends::WithHead => Rest::Detached,
        }
    }

    fn given_up(mut self, _: Stage) {
        // A service that panicked did not wait for the end either, and the span says so already.
        if !self.is_working {
            self.span.set_tag(CANCELLED, true);
        }
    }

    fn given_up_in(mut self, drop_service: impl FnOnce()) {
        let has_panicked = self.is_working;
        self.within(drop_service);
        self.is_working = has_panicked;
        self.given_up(Stage::Head);
    }
}

/// A service's error may be anything, and is not sent to anybody as it is.
impl<S: Server, E: ?Sized> Fails<E> for RequestSpan<S> {
    fn failed(mut self, _: &E, _: Stage) {
        self.span.set_error_flag(true);
    }
}

/// Opens the span: under the caller's if headers say so, else under what is active here, if anything is.
fn open<S: Server>(settings: &Enabled, headers: &HeaderMap) -> Span {
    if !settings.own.distributed_tracing {
        return Span::start_root(S::site());
    }
    start_from_headers(S::NAME, S::site(), headers)
}

/// Starts the span of a request with what its headers bring. A request that did not leave the process is already in its trace.
pub fn start_from_headers(integration: &str, site: &'static Site, headers: &HeaderMap) -> Span {
    let extracted = ddtrace_core::trace::extract_for(integration, headers);
    let active = Context::current();
    let is_active = |context: &SpanContext| {
        !active.is_none() && context.trace_id.low() == active.trace_id().low()
    };
    let is_known = extracted.context.as_ref().is_none_or(is_active) && extracted.links.is_empty();
    if is_known && (extracted.baggage.is_empty() || !active.is_none()) {
        let mut span = Span::start(site);
        for (key, value) in extracted.baggage.iter() {
            span.set_baggage(key, value);
        }
        return span;
    }
    Span::start_from(site, extracted)
}

fn describe_route(span: &mut Span, method: &Method, route: &str) {
    set_resource(span, method, route);
    span.set_tags(&[Tag {
        key: "http.route",
        value: Value::Text(route),
    }]);
}

/// Method and route, or what is known instead.
fn set_resource(span: &mut Span, method: &Method, route: &str) {
    span.set_resource_joined(&[method.as_str(), " ", route]);
}

/// What comes after the head of a response.
pub(crate) fn rest(method: &Method, status: StatusCode, headers: &HeaderMap) -> Rest {
    let is_upgrade = status == StatusCode::SWITCHING_PROTOCOLS
        || (*method == Method::CONNECT && status.is_success());
    if is_upgrade || is_event_stream(headers) {
        Rest::Detached
    } else if *method == Method::HEAD
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    {
        Rest::Nothing
    } else {
        Rest::Body
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    content_type.is_some_and(|content_type| content_type.starts_with(b"text/event-stream"))
}
