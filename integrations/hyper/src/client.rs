//! Requests that are sent.

use std::any::Any;
use std::error::Error;

use ddtrace_core::instrument::Settings;
use ddtrace_core::trace::{Site, SpanKind};
pub use ddtrace_tower::client::Payload;
use ddtrace_tower::client::{Client, ResponseFuture, TraceLayer};
use http::Request;

/// Stands for hyper in the types of its spans.
#[derive(Clone, Copy, Debug)]
pub enum Hyper {}

static SETTINGS: Settings = Settings::of("hyper");

ddtrace_core::site! {
    static REQUEST: Site = Site::new("hyper.request", "send", module_path!(), file!(), line!())
        .with_span_type("http")
        .with_kind(SpanKind::Client)
        .with_component("hyper");
}

impl Client for Hyper {
    const NAME: &'static str = "hyper";

    fn settings() -> &'static Settings {
        &SETTINGS
    }

    fn site() -> &'static Site {
        &REQUEST
    }

    fn known_error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
        #[cfg(feature = "hyper-util")]
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return Some(error);
        }
        Some(error.downcast_ref::<hyper::Error>()?)
    }

    fn error_kind(error: &(dyn Error + 'static)) -> Option<&'static str> {
        #[cfg(feature = "hyper-util")]
        {
            use hyper_util::client::legacy;
            if error
                .downcast_ref::<legacy::Error>()
                .is_some_and(legacy::Error::is_connect)
            {
                return Some("connect");
            }
        }
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<hyper::Error>() {
                return kind(error);
            }
            cause = error.source();
        }
        None
    }
}

/// The most telling of the kinds that an error is.
fn kind(error: &hyper::Error) -> Option<&'static str> {
    type Question = fn(&hyper::Error) -> bool;
    let kinds: [(Question, &str); 6] = [
        (hyper::Error::is_timeout, "timeout"),
        (hyper::Error::is_canceled, "canceled"),
        (hyper::Error::is_closed, "closed"),
        (hyper::Error::is_incomplete_message, "incomplete"),
        (hyper::Error::is_parse, "parse"),
        (hyper::Error::is_user, "user"),
    ];
    kinds
        .iter()
        .find(|(is, _)| is(error))
        .map(|&(_, kind)| kind)
}

/// Makes a span of every request that passes on its way to a client that is a `tower` service.
pub const fn layer() -> TraceLayer<Hyper> {
    TraceLayer::new()
}

/// Sends a request in a span, by whatever sends it.
///
/// ```
/// # use bytes::Bytes;
/// # use http_body_util::Empty;
/// # use hyper::{Request, client::conn::http1::SendRequest};
/// # async fn example(mut sender: SendRequest<Empty<Bytes>>, request: Request<Empty<Bytes>>) -> hyper::Result<()> {
/// let response = ddtrace_hyper::client::send(request, |request| sender.send_request(request)).await?;
/// # Ok(())
/// # }
/// ```
pub fn send<B: 'static, F>(
    request: Request<B>,
    by: impl FnOnce(Request<B>) -> F,
) -> ResponseFuture<F, Hyper> {
    ddtrace_tower::client::send(request, by)
}

#[cfg(feature = "hyper-util")]
mod pooled {
    use ddtrace_tower::client::ResponseFuture;
    use http::Request;
    use http_body::Body;
    use hyper_util::client::legacy::connect::Connect;
    use hyper_util::client::legacy::{self, Client};

    use super::{Hyper, send};

    /// Sends requests by a [`Client`], in spans.
    pub trait ClientExt<B> {
        /// Like [`Client::request`], in a span of its own.
        fn request_traced(
            &self,
            request: Request<B>,
        ) -> ResponseFuture<legacy::ResponseFuture, Hyper>;
    }

    impl<C, B> ClientExt<B> for Client<C, B>
    where
        C: Connect + Clone + Send + Sync + 'static,
        B: Body + Send + 'static + Unpin,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        fn request_traced(
            &self,
            request: Request<B>,
        ) -> ResponseFuture<legacy::ResponseFuture, Hyper> {
            send(request, |request| self.request(request))
        }
    }
}

#[cfg(feature = "hyper-util")]
pub use pooled::ClientExt;
