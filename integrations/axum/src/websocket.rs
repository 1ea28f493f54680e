//! What goes on over a websocket, after the request for it was answered.
//!
//! A connection may last for hours, and the span of the request that began it must not: that one ends with the head of its response. The
//! conversation has a span of its own, the root of a trace of its own, which links to the request.

use std::convert::Infallible;
use std::future::Future;

use axum::extract::{FromRequestParts, MatchedPath};
use ddtrace_core::trace::{Context, Site, Span, SpanKind, SpanLink, instrument};
use http::request::Parts;

use crate::layer::SETTINGS;

ddtrace_core::site! {
    static SESSION: Site = Site::new("websocket.session", "session", module_path!(), file!(), line!())
        .with_span_type("websocket")
        .with_kind(SpanKind::Server)
        .with_component("axum");
}

/// The span of a conversation that an upgraded connection is about to carry; an extractor.
///
/// ```
/// # use std::future::Future;
/// # // What axum's own is with its feature `ws`.
/// # struct WebSocket;
/// # struct WebSocketUpgrade;
/// # impl<S: Sync> axum::extract::FromRequestParts<S> for WebSocketUpgrade {
/// #     type Rejection = std::convert::Infallible;
/// #     async fn from_request_parts(_: &mut axum::http::request::Parts, _: &S) -> Result<Self, Self::Rejection> { Ok(Self) }
/// # }
/// # impl WebSocketUpgrade {
/// #     fn on_upgrade<F: Future<Output = ()> + Send + 'static>(self, _: impl FnOnce(WebSocket) -> F + Send + 'static) -> axum::response::Response {
/// #         axum::response::Response::default()
/// #     }
/// # }
/// use axum::response::Response;
/// use ddtrace_axum::WebSocketSession;
///
/// async fn chat(upgrade: WebSocketUpgrade, session: WebSocketSession) -> Response {
///     upgrade.on_upgrade(session.of(|socket| async move {
///         // speak, in the span `websocket.session`
///         # let _: WebSocket = socket;
///     }))
/// }
/// # let _: axum::Router = axum::Router::new().route("/chat", axum::routing::any(chat));
/// ```
///
/// Name `websocket.session`, type `websocket`, kind `server`, resource `websocket` and the route, `http.route`. It begins when the connection is
/// handed over and ends with the conversation: the root of a trace of its own, with a link to the request's span
/// (`dd.kind=executed_by`). A conversation that is dropped in the midst of it has the tag `ddtrace.cancelled`.
#[derive(Clone, Debug)]
pub struct WebSocketSession {
    /// The span of the request.
    request: Context,
    route: Option<MatchedPath>,
}

impl<S: Sync> FromRequestParts<S> for WebSocketSession {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            request: Context::current(),
            route: parts.extensions.get::<MatchedPath>().cloned(),
        })
    }
}

impl WebSocketSession {
    /// The conversation, in its span: for `on_upgrade`, or for whatever else hands the connection over.
    pub fn of<C, F: Future>(
        self,
        conversation: impl FnOnce(C) -> F,
    ) -> impl FnOnce(C) -> ddtrace_core::trace::Instrumented<F> {
        move |connection| {
            let mut span = self.start();
            let conversation = {
                let _active = span.enter();
                conversation(connection)
            };
            instrument(span, conversation)
        }
    }

    fn start(&self) -> Span {
        // The task that the connection is handed over in knows nothing of the tracer of the request.
        let _attached = self.request.attach();
        let Some(settings) = SETTINGS.get() else {
            return Span::off();
        };
        let mut span = Span::start_root(&SESSION);
        if span.is_recording() {
            settings.set_service(&mut span, None);
            match &self.route {
                Some(route) => {
                    span.set_resource(&format!("websocket {}", route.as_str()));
                    span.set_tag("http.route", route.as_str());
                }
                None => span.set_resource("websocket"),
            }
            span.set_tag("_dd.measured", 1);
            if !self.request.is_none() {
                let link = SpanLink::from(&self.request);
                span.add_link(link.with_attribute("dd.kind", "executed_by"));
            }
        }
        span
    }
}
