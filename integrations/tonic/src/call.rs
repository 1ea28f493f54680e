//! The span of one call, from either side.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use ddtrace_core::instrument::{Enabled, Settings};
use ddtrace_core::trace::Span;
use ddtrace_tower::exchange::{Exchange, Fails, Rest, Stage};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body as HttpBody;
use tonic::Code;
use tonic::body::Body;

use crate::messages::{Counted, Messages};
use crate::method::{Kind, describe};
use crate::status;

pub(crate) static SETTINGS: Settings = Settings::of("tonic");

/// The tag of a call that was given up.
const CANCELLED: &str = "http.request.cancelled";

/// Which side of the call it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// The span of a call that is under way; ends when dropped.
pub struct CallSpan {
    span: Span,
    side: Side,
    settings: Arc<Enabled>,
    kind: Option<Kind>,
    /// Where the request tells whether it is a stream, unless the kind is known.
    client_streams: Option<Arc<AtomicBool>>,
    messages: Messages,
    deadline: Option<Instant>,
    /// The status of HTTP, once it is known.
    http: Option<StatusCode>,
    has_status: bool,
    /// Whether the service has control. Stays set if it panics.
    is_working: bool,
}

impl fmt::Debug for CallSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallSpan")
            .field("span", &self.span)
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

impl CallSpan {
    /// Describes a call whose span has begun.
    pub(crate) fn new(
        mut span: Span,
        side: Side,
        settings: Arc<Enabled>,
        path: &str,
        headers: &HeaderMap,
        kind: Option<Kind>,
    ) -> Self {
        let allowed = headers.get("grpc-timeout").and_then(|value| {
            let value = value.to_str().ok()?;
            timeout(value)
        });
        if span.is_recording() {
            let (service, name) = match side {
                Side::Server => (None, "grpc.server.request"),
                Side::Client => (Some("grpc-client"), "grpc.client.request"),
            };
            settings.set_service(&mut span, service);
            if settings.names_by_v1() {
                span.set_name(name);
            }
            describe(&mut span, path);
            span.set_tag("_dd.measured", 1);
            if let Some(allowed) = allowed {
                span.set_tag("grpc.deadline", allowed.as_secs_f64() * 1e3);
            }
        }
        Self {
            span,
            side,
            settings,
            kind,
            client_streams: None,
            messages: Messages::default(),
            deadline: allowed.and_then(|allowed| Instant::now().checked_add(allowed)),
            http: None,
            has_status: false,
            is_working: false,
        }
    }

    pub(crate) fn span(&mut self) -> &mut Span {
        &mut self.span
    }

    /// The body of the request, with its messages counted if that is the only way to learn what kind of call it is.
    pub(crate) fn counting<B>(&mut self, body: B) -> Body
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if self.kind.is_some() || !self.span.is_recording() {
            return Body::new(body);
        }
        let (body, client_streams) = Counted::new(body);
        self.client_streams = Some(client_streams);
        Body::new(body)
    }

    /// Writes the status; the first one counts.
    fn end_with(&mut self, code: Code, message: &str) {
        if std::mem::replace(&mut self.has_status, true) {
            return;
        }
        let name = status::name(code);
        self.span.set_tag("grpc.status.code", name);
        if code == Code::Unimplemented && self.side == Side::Server {
            self.span.set_resource(name);
        }
        if self.is_error(code) {
            self.span.set_error_message(name, message, None);
        }
    }

    fn is_error(&self, code: Code) -> bool {
        let config = &self.settings.config;
        let ranges = match self.side {
            Side::Server => &config.grpc_server_error_statuses,
            Side::Client => &config.grpc_client_error_statuses,
        };
        let code = code as u16;
        ranges
            .iter()
            .any(|&(first, last)| (first..=last).contains(&code))
    }

    /// Writes what only the end tells.
    fn tag_kind(&mut self) {
        let counted = || Kind {
            client_streams: self
                .client_streams
                .as_ref()
                .is_some_and(|streams| streams.load(Ordering::Relaxed)),
            server_streams: self.messages.is_stream(),
        };
        let kind = self.kind.unwrap_or_else(counted);
        self.span.set_tag("grpc.method.kind", kind.as_str());
    }
}

impl Exchange for CallSpan {
    fn within<R>(&mut self, work: impl FnOnce() -> R) -> R {
        self.is_working = true;
        let entered = self.span.enter();
        let result = work();
        drop(entered);
        self.is_working = false;
        result
    }

    fn reading<R>(&mut self, work: impl FnOnce() -> R) -> R {
        match self.side {
            Side::Server => self.within(work),
            Side::Client => work(),
        }
    }

    fn responded<B>(&mut self, response: &Response<B>) -> Rest {
        self.http = Some(response.status());
        if let Some((code, message)) = status::of_headers(response.headers()) {
            self.end_with(code, &message);
        }
        Rest::Body
    }

    fn passed<D: Buf>(&mut self, data: &D) {
        if self.kind.is_none() {
            // The data of gRPC's bodies is in one piece.
            self.messages.pass(data.chunk());
        }
    }

    fn trailed(&mut self, trailers: &HeaderMap) {
        if let Some((code, message)) = status::of_headers(trailers) {
            self.end_with(code, &message);
        }
    }

    fn completed(mut self) {
        if let Some(http) = self.http.filter(|_| !self.has_status) {
            let message = format!("no gRPC status; HTTP {}", http.as_u16());
            self.end_with(status::of_http(http), &message);
        }
        self.tag_kind();
    }

    fn given_up(mut self, _: Stage) {
        self.tag_kind();
        // A service that panicked did not wait for the end either, and the span says so already.
        if self.is_working || self.has_status {
            return;
        }
        if self.deadline.is_some_and(|at| at <= Instant::now()) {
            self.end_with(Code::DeadlineExceeded, "the deadline has passed");
        } else {
            self.span
                .set_tag("grpc.status.code", status::name(Code::Cancelled));
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

impl<E: Any> Fails<E> for CallSpan {
    fn failed(mut self, error: &E, _: Stage) {
        let (code, message) = status::of_error(error);
        self.end_with(code, &message);
        self.tag_kind();
    }
}

/// Whether a request is a call. Others pass untouched, and so does gRPC-web, whose trailers are in the body.
pub(crate) fn is_call(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let rest = content_type.and_then(|it| it.strip_prefix(b"application/grpc"));
    matches!(rest, Some([] | [b'+' | b';', ..]))
}

/// The time that a caller allows ("Timeout"): at most eight digits and a unit.
fn timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    let is_number = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
    let number: u64 = digits
        .parse()
        .ok()
        .filter(|_| is_number && digits.len() <= 8)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_timeout_is_read_or_refused(text in ".*", number in 0_u32..100_000_000) {
            let _ = timeout(&text);
            let seconds = Duration::from_secs(number.into());
            prop_assert_eq!(timeout(&format!("{number}S")), Some(seconds));
        }
    }

    #[test]
    fn timeouts_are_read_as_the_specification_has_them() {
        for (text, expected) in [
            ("2H", Some(7_200_000)),
            ("3M", Some(180_000)),
            ("5S", Some(5_000)),
            ("250m", Some(250)),
            ("7000u", Some(7)),
            ("9000000n", Some(9)),
            ("99999999H", Some(359_999_996_400_000)),
            ("123456789S", None),
            ("S", None),
            ("", None),
            ("+5S", None),
            ("5", None),
            ("5秒", None),
        ] {
            let found = timeout(text).map(|it| u64::try_from(it.as_millis()).unwrap());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn only_grpc_itself_is_a_call() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web+proto", false),
            ("application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
            assert_eq!(is_call(&headers), expected, "{content_type}");
        }
        assert!(!is_call(&HeaderMap::new()));
    }
}
