//! What fields of spans and events say.

use std::error::Error;
use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ddtrace_core::events::{Attribute, Followers};
use ddtrace_core::trace::{EventValue, SharedSpan, SpanKind};
use tracing::field::{Field, Visit};

/// The longest text of one field, in bytes: a tag's limit.
const LIMIT: usize = 25_000;

/// The longest text of one field where somebody follows the span: what is said to a language model may be long.
const FOLLOWED_LIMIT: usize = 4 << 20;

/// Formats with `Debug`, which is how tracing hands over everything that is no number, text or error. Bounded, and a panic in it
/// stays here.
fn text_of(value: &dyn fmt::Debug, limit: usize) -> String {
    struct Bounded(String, usize);
    impl Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let mut room = (self.1 - self.0.len()).min(text.len());
            while !text.is_char_boundary(room) {
                room -= 1;
            }
            self.0.push_str(&text[..room]);
            if room < text.len() {
                return Err(fmt::Error);
            }
            Ok(())
        }
    }
    let format = || {
        let mut text = Bounded(String::new(), limit);
        // An error means that the bound was reached: what is there is kept.
        let _ = write!(text, "{value:?}");
        text.0
    };
    catch_unwind(AssertUnwindSafe(format)).unwrap_or_else(|_| "<panicked in Debug>".to_owned())
}

/// How a span stands with OpenTelemetry's status, and with errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Status {
    #[default]
    Unset,
    /// Stays, whatever errors are recorded.
    Ok,
}

/// Writes the fields of a span on it.
pub(crate) struct SpanFields<'a> {
    pub(crate) span: &'a SharedSpan,
    pub(crate) followers: &'a Followers,
    pub(crate) status: Status,
}

impl SpanFields<'_> {
    fn limit(&self) -> usize {
        if self.followers.is_empty() {
            LIMIT
        } else {
            FOLLOWED_LIMIT
        }
    }

    /// Shows a field to whoever follows the span.
    fn show(&self, field: &Field, value: Attribute<'_>) {
        if !self.followers.is_empty() {
            self.followers
                .written(self.span.into(), field.name(), value);
        }
    }

    fn text(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel.name" => {
                self.span.set_name(value);
                self.followers.renamed(value);
            }
            "otel.kind" => {
                if let Some(kind) = kind(value) {
                    self.span.set_kind(kind);
                }
            }
            "otel.status_code" => self.set_status(value),
            "otel.status_description" | "otel.status_message" => {
                self.span.set_tag("error.message", value);
            }
            "error" | "err" => match value {
                "true" | "false" => self.set_error_flag(value == "true"),
                message => self.set_error("error.message", message),
            },
            "exception.message" => self.set_error("error.message", value),
            "exception.type" => self.set_error("error.type", value),
            "exception.stacktrace" => self.set_error("error.stack", value),
            name => {
                self.span.set_tag(name, value);
                self.show(field, Attribute::Text(value));
            }
        }
    }

    fn set_error(&mut self, key: &'static str, value: &str) {
        self.span.set_tag(key, value);
        self.set_error_flag(true);
    }

    fn set_error_flag(&mut self, error: bool) {
        if self.status != Status::Ok {
            self.span.set_error_flag(error);
        }
    }

    fn set_status(&mut self, code: &str) {
        if code.eq_ignore_ascii_case("ok") {
            self.span.set_error_flag(false);
            self.status = Status::Ok;
        } else if code.eq_ignore_ascii_case("error") {
            self.set_error_flag(true);
        }
    }
}

fn kind(text: &str) -> Option<SpanKind> {
    let kinds = [
        SpanKind::Internal,
        SpanKind::Server,
        SpanKind::Client,
        SpanKind::Producer,
        SpanKind::Consumer,
    ];
    kinds
        .into_iter()
        .find(|kind| text.eq_ignore_ascii_case(kind.as_str()))
}

impl Visit for SpanFields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.span.set_tag(field.name(), value);
        self.show(field, Attribute::Number(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.span.set_tag(field.name(), value);
        self.show(field, Attribute::Number(value as f64));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.span.set_tag(field.name(), value);
        self.show(field, Attribute::Number(value as f64));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.span.set_tag(field.name(), value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.span.set_tag(field.name(), value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "error" | "err" => self.set_error_flag(value),
            name => {
                self.span.set_tag(name, value);
                self.show(field, Attribute::Bool(value));
            }
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        match field.name() {
            "error" | "err" | "exception" => {
                self.span.set_error(value);
                if self.status == Status::Ok {
                    self.span.set_error_flag(false);
                }
            }
            _ => self.text(field, &text_of(&format_args!("{value}"), self.limit())),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = text_of(value, self.limit());
        self.text(field, &text);
    }
}

/// Collects the fields of an event.
#[derive(Debug, Default)]
pub(crate) struct EventFields {
    pub(crate) message: Option<String>,
    pub(crate) attributes: Vec<(&'static str, EventValue)>,
    pub(crate) error: Failure,
}

/// What the error fields of an event say.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    pub(crate) error_type: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) stack: Option<String>,
}

impl Failure {
    pub(crate) fn is_some(&self) -> bool {
        self.error_type.is_some() || self.message.is_some()
    }
}

impl EventFields {
    fn text(&mut self, field: &Field, value: String) {
        let part = match field.name() {
            "message" => {
                self.message = Some(value);
                return;
            }
            "error" | "err" | "exception.message" => Some(&mut self.error.message),
            "exception.type" => Some(&mut self.error.error_type),
            "exception.stacktrace" => Some(&mut self.error.stack),
            _ => None,
        };
        if let Some(part) = part {
            *part = Some(value.clone());
        }
        self.push(field, value);
    }

    fn push(&mut self, field: &Field, value: impl Into<EventValue>) {
        self.attributes.push((field.name(), value.into()));
    }
}

impl Visit for EventFields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.push(field, value),
            Err(_) => self.push(field, value.to_string()),
        }
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.push(field, value.to_string());
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.push(field, value.to_string());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut end = value.len().min(LIMIT);
        while !value.is_char_boundary(end) {
            end -= 1;
        }
        self.text(field, value[..end].to_owned());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, text_of(&format_args!("{value}"), LIMIT));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, text_of(value, LIMIT));
    }
}
