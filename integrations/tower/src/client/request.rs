//! The span of a request on its way out.

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Display, Write as _};
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Buf;
use ddtrace_core::events::{self, End, HttpClientRequest, HttpClientResponse, OutgoingHeaders};
use ddtrace_core::http::without_urls;
use ddtrace_core::instrument::{Enabled, Settings, set_resource_by_path};
use ddtrace_core::trace::{Site, Span};
use http::header::HOST;
use http::uri::Scheme;
use http::{Extensions, HeaderMap, Method, Request, Response, Uri};

use super::tap::Tapping;
use crate::exchange::{Exchange, ExchangeFuture, Fails, Rest, Stage};
use crate::server::rest;

/// The tag of a request that was given up.
const CANCELLED: &str = "http.request.cancelled";

/// A library that sends requests: what of its spans is its own.
///
/// A type without values stands for it.
pub trait Client: 'static {
    /// The integration's name in settings, and the service of its spans.
    const NAME: &'static str;

    /// Its settings.
    fn settings() -> &'static Settings;

    /// Where its spans come from.
    fn site() -> &'static Site;

    /// An error of one of the library's own types, so that its causes can be told.
    fn known_error(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
        let _ = error;
        None
    }

    /// What kind of error it is, in a word.
    fn error_kind(error: &(dyn Error + 'static)) -> Option<&'static str> {
        let _ = error;
        None
    }
}

/// The mark of a request that has a span, among its extensions, so that a layer inside makes none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mark {
    _private: (),
}

/// Marks a request whose span is made elsewhere. False if it was marked before: then nobody else has to make one.
pub fn mark(extensions: &mut Extensions) -> bool {
    extensions.insert(Mark::default()).is_none()
}

/// The future of a response; made by [`send`].
pub type ResponseFuture<F, C> = ExchangeFuture<F, RequestSpan<C>>;

/// Sends a request by `call`, in a span and with its context in the headers. A request that a layer outside of this one has in
/// hand goes on as it is.
pub fn send<C: Client, B: 'static, F>(
    mut request: Request<B>,
    call: impl FnOnce(Request<B>) -> F,
) -> ResponseFuture<F, C> {
    let span = RequestSpan::start(&mut request);
    ExchangeFuture::new(span, || call(request))
}

/// The span of a request that is under way; ends when dropped.
pub struct RequestSpan<C> {
    span: Span,
    settings: Arc<Enabled>,
    method: Method,
    // Below the span: whoever covers the exchange ends after it.
    taps: Tapping,
    of: PhantomData<fn() -> C>,
}

impl<C> fmt::Debug for RequestSpan<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSpan")
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}

impl<C: Client> RequestSpan<C> {
    fn start<B: 'static>(request: &mut Request<B>) -> Option<Self> {
        if request.extensions().get::<Mark>().is_some() {
            return None;
        }
        let settings = C::settings().get()?;
        let mut taps = Tapping::offer(request);
        let mut span = match taps.context() {
            Some(around) => Span::start_child_of(C::site(), &around),
            None => Span::start(C::site()),
        };
        if span.is_recording() {
            describe::<C>(
                &mut span,
                &settings,
                request.method(),
                request.uri(),
                request.headers(),
            );
        }
        if settings.own.distributed_tracing {
            // With tracing off, what came in with the request that is being served goes on from here.
            ddtrace_core::trace::inject_span(&span, request.headers_mut());
            if span.is_recording() {
                events::dispatch::<OutgoingHeaders<'_>>(|| {
                    OutgoingHeaders::new(&mut span, "http", request.headers_mut())
                });
            }
        }
        mark(request.extensions_mut());
        Some(Self {
            span,
            settings,
            method: request.method().clone(),
            taps,
            of: PhantomData,
        })
    }
}

fn describe<C: Client>(
    span: &mut Span,
    settings: &Enabled,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) {
    let authority = authority(uri, headers);
    let by_domain = authority
        .as_deref()
        .filter(|_| settings.own.split_by_domain && settings.own.service.is_none());
    match by_domain {
        Some(host) => {
            span.set_service(host);
            span.set_tag("_dd.svc_src", "opt.split_by_domain");
        }
        None => settings.set_service(span, Some(C::NAME)),
    }
    if settings.names_by_v1() {
        span.set_name("http.client.request");
    }
    set_resource_by_path(span, method, uri.path());
    let url = url(uri, authority.as_deref());
    settings
        .http()
        .tag_client_request(span, method, &url, headers);
    events::dispatch::<HttpClientRequest<'_>>(|| {
        HttpClientRequest::new(span, method, &url, headers)
    });
}

/// Where it goes: host, and port if it is not the scheme's. A request that is written to a connection in hand has it in a header.
pub(super) fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    if let Some(host) = uri.host() {
        let default = match uri.scheme_str() {
            Some("http") => Some(80),
            Some("https") => Some(443),
            _ => None,
        };
        let port = uri.port_u16().filter(|port| Some(*port) != default);
        return Some(port.map_or(Cow::Borrowed(host), |port| format!("{host}:{port}").into()));
    }
    headers.get(HOST)?.to_str().ok().map(Cow::Borrowed)
}

/// The absolute URL of a request.
pub(super) fn url(uri: &Uri, authority: Option<&str>) -> String {
    let target = uri.path_and_query().map(|target| target.as_str());
    [
        uri.scheme_str().unwrap_or(Scheme::HTTP.as_str()),
        "://",
        authority.unwrap_or_default(),
        target.unwrap_or(uri.path()),
    ]
    .concat()
}

impl<C: Client> Exchange for RequestSpan<C> {
    fn within<R>(&mut self, work: impl FnOnce() -> R) -> R {
        let _active = self.span.enter();
        work()
    }

    fn reading<R>(&mut self, work: impl FnOnce() -> R) -> R {
        work()
    }

    fn responded<B>(&mut self, response: &Response<B>) -> Rest {
        let (status, headers) = (response.status(), response.headers());
        if self.span.is_recording() {
            let span = &mut self.span;
            self.settings.http().tag_response(span, status, headers);
            events::dispatch::<HttpClientResponse<'_>>(|| {
                HttpClientResponse::new(span, status, headers)
            });
        }
        let rest = rest(&self.method, status, headers);
        if self.taps.is_empty() {
            return rest;
        }
        self.taps.head(status, headers);
        if rest == Rest::Detached {
            // What comes may last for hours: the span does not wait for it, those who follow it do.
            std::mem::replace(&mut self.span, Span::off()).finish();
            return Rest::Body;
        }
        rest
    }

    fn passed<D: Buf>(&mut self, data: &D) {
        self.taps.chunk(data);
    }

    fn completed(self) {
        let Self { span, taps, .. } = self;
        drop(span);
        taps.end(End::Complete);
    }

    fn given_up(mut self, at: Stage) {
        // Who only wants the status drops a body without having asked for any of it.
        if at != Stage::Unread {
            self.span.set_tag(CANCELLED, true);
        }
    }
}

impl<C: Client, E: Any + Display> Fails<E> for RequestSpan<C> {
    fn failed(mut self, error: &E, at: Stage) {
        if self.span.is_recording() || !self.taps.is_empty() {
            let known = unboxed(error).or_else(|| C::known_error(error));
            let default = match at {
                Stage::Head => "request",
                Stage::Unread | Stage::Body => "body",
            };
            let kind = known.and_then(C::error_kind).unwrap_or(default);
            let message = message(error, known);
            self.span.set_error_message(kind, &message, None);
            let Self { span, taps, .. } = self;
            drop(span);
            taps.end(End::Failed {
                kind,
                message: &message,
            });
        }
    }
}

/// The error in a box of tower's, if it is one.
fn unboxed(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    let boxed = error.downcast_ref::<Box<dyn Error + Send + Sync>>()?;
    Some(&**boxed)
}

/// The error and its causes, as far as they are known, without URLs: some clients put the whole of it into their errors.
fn message(error: &dyn Display, known: Option<&(dyn Error + 'static)>) -> String {
    let mut message = error.to_string();
    let mut source = known.and_then(Error::source);
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
