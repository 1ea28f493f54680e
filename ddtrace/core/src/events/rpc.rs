//! Calls of procedures that a program answers.

use http::HeaderMap;

use super::{Event, Listeners};
use crate::trace::Span;

/// A call has arrived, and the user's code has not seen it yet.
///
/// Dispatched by the integrations of servers of calls on the thread that serves, after the call's span was opened. A call is
/// not an [`HttpServerRequest`](super::HttpServerRequest) as well, unless a layer of an HTTP server made the span. Listeners may
/// add to the span.
#[derive(Debug)]
#[non_exhaustive]
pub struct RpcServerRequest<'a> {
    /// The call's span. It is not entered.
    pub span: &'a mut Span,
    /// What is spoken: `grpc`.
    pub system: &'a str,
    /// What is called: `/package.Service/Method`.
    pub path: &'a str,
    /// The metadata, all of it and as it came.
    pub headers: &'a HeaderMap,
}

impl<'a> RpcServerRequest<'a> {
    /// Puts the fact together.
    pub fn new(span: &'a mut Span, system: &'a str, path: &'a str, headers: &'a HeaderMap) -> Self {
        Self {
            span,
            system,
            path,
            headers,
        }
    }
}

impl Event for RpcServerRequest<'static> {
    type Payload<'a> = RpcServerRequest<'a>;
    const NAME: &'static str = "RpcServerRequest";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<RpcServerRequest<'static>> = Listeners::new();
        &LISTENERS
    }
}
