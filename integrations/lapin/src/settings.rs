//! What the user has set, and how tags are written.

use ddtrace_core::instrument::Settings;
use ddtrace_core::trace::{Tag, Value};

/// The kind of system, in events and in tags, and the integration's name.
pub(crate) const SYSTEM: &str = "rabbitmq";

/// The usual service of the spans.
pub(crate) const SERVICE: &str = "rabbitmq";

pub(crate) static SETTINGS: Settings = Settings::of(SYSTEM);

pub(crate) fn text<'a>(key: &'static str, value: Option<&'a str>) -> Tag<'a> {
    Tag {
        key,
        value: value.map_or(Value::Absent, Value::Text),
    }
}

pub(crate) fn flag(key: &'static str, value: bool) -> Tag<'static> {
    Tag {
        key,
        value: Value::Static(if value { "true" } else { "false" }),
    }
}

pub(crate) fn number(key: &'static str, value: Option<f64>) -> Tag<'static> {
    Tag {
        key,
        value: value.map_or(Value::Absent, Value::Number),
    }
}
