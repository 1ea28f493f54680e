//! Rules about fields and tags.

use serde_json::Value;

use super::{Check, Findings, Level, Rule, SpanView};

/// The rules of this file.
pub static RULES: &[&Rule] = &[
    &EMPTY,
    &TOO_LONG,
    &BROKEN_TEXT,
    &NOT_FINITE,
    &STATUS_CODE,
    &ERROR_DETAILS,
    &ERROR_FLAG,
    &KIND,
    &JSON,
    &BOTH,
    &BASE_SERVICE,
    &PEER_SOURCE,
    &RESOURCE,
];

/// The Agent's limit of service, name and type, in bytes.
pub const SHORT: usize = 100;
/// The Agent's limit of a resource, in bytes.
pub const RESOURCE_LIMIT: usize = 5000;
/// The limit of a tag's value, in characters.
pub const VALUE_LIMIT: usize = 25_000;

/// No service or name.
pub static EMPTY: Rule = Rule {
    id: "values.empty",
    level: Level::Violation,
    sentence: "the span has no service or no name",
    advice: "set both; the Agent stores unnamed-service and unnamed_operation instead",
    check: Check::Span(empty),
};

fn empty(view: &SpanView<'_>, out: &mut Findings) {
    if view.span.service.is_empty() {
        view.find(&EMPTY, "service", String::new(), out);
    }
    if view.span.name.is_empty() {
        view.find(&EMPTY, "name", String::new(), out);
    }
}

/// Longer than the Agent keeps.
pub static TOO_LONG: Rule = Rule {
    id: "values.too_long",
    level: Level::Violation,
    sentence: "a text is longer than the Agent keeps",
    advice: "cut service, name and type at 100 bytes, the resource at 5,000, values of tags at 25,000 characters",
    check: Check::Span(too_long),
};

fn too_long(view: &SpanView<'_>, out: &mut Findings) {
    let span = view.span;
    for (field, text, limit) in [
        ("service", &span.service, SHORT),
        ("name", &span.name, SHORT),
        ("type", &span.span_type, SHORT),
        ("resource", &span.resource, RESOURCE_LIMIT),
    ] {
        if text.len() > limit {
            view.find(
                &TOO_LONG,
                field,
                format!("{} bytes, limit {limit}", text.len()),
                out,
            );
        }
    }
    for (key, value) in view.meta() {
        if value.len() > VALUE_LIMIT && value.chars().count() > VALUE_LIMIT {
            view.find(
                &TOO_LONG,
                &format!("meta[{key:?}]"),
                format!("{} bytes", value.len()),
                out,
            );
        }
    }
}

/// Not UTF-8.
pub static BROKEN_TEXT: Rule = Rule {
    id: "values.broken_text",
    level: Level::Violation,
    sentence: "a text of the span is not UTF-8, as if cut inside a character",
    advice: "cut texts between characters; the Agent replaces the broken bytes",
    check: Check::Span(broken_text),
};

fn broken_text(view: &SpanView<'_>, out: &mut Findings) {
    if view.span.broken_text {
        let field = view
            .meta()
            .find(|(_, value)| value.contains('\u{fffd}'))
            .map(|(key, _)| format!("meta[{key:?}]"));
        view.find(&BROKEN_TEXT, &field.unwrap_or_default(), String::new(), out);
    }
}

/// NaN or infinite.
pub static NOT_FINITE: Rule = Rule {
    id: "values.not_finite",
    level: Level::Violation,
    sentence: "a metric is NaN or infinite",
    advice: "leave such numbers out",
    check: Check::Span(not_finite),
};

fn not_finite(view: &SpanView<'_>, out: &mut Findings) {
    for (key, value) in view.metrics().filter(|(_, value)| !value.is_finite()) {
        view.find(
            &NOT_FINITE,
            &format!("metrics[{key:?}]"),
            format!("found {value}"),
            out,
        );
    }
}

/// No status, or a number.
pub static STATUS_CODE: Rule = Rule {
    id: "values.status_code",
    level: Level::Violation,
    sentence: "http.status_code is not a text of 100 to 599",
    advice: "write the status as decimal text into meta; the Agent removes others",
    check: Check::Span(status_code),
};

fn status_code(view: &SpanView<'_>, out: &mut Findings) {
    if let Some(number) = view.known.status_metric {
        view.find(
            &STATUS_CODE,
            "metrics[\"http.status_code\"]",
            format!("found the metric {number}"),
            out,
        );
    }
    if let Some(text) = view.known.status_code
        && !is_status(text)
    {
        view.find(
            &STATUS_CODE,
            "meta[\"http.status_code\"]",
            format!("found {text:?}"),
            out,
        );
    }
}

/// Whether a text is an HTTP status.
pub fn is_status(text: &str) -> bool {
    text.len() == 3
        && text
            .parse()
            .is_ok_and(|status: u16| (100..600).contains(&status))
}

/// An error, but which?
pub static ERROR_DETAILS: Rule = Rule {
    id: "values.error_details",
    level: Level::Violation,
    sentence: "the span has error = 1, but neither error.type nor error.message",
    advice: "set both with the flag, so that errors can be told apart",
    check: Check::Span(error_details),
};

fn error_details(view: &SpanView<'_>, out: &mut Findings) {
    // A server error is told by its status; HTTP integrations set the flag alone.
    let told_by_status = view.known.status_code.is_some();
    if view.span.error == 1
        && view.known.error_type.is_none()
        && view.known.error_message.is_none()
        && !told_by_status
    {
        view.find(&ERROR_DETAILS, "error", String::new(), out);
    }
}

/// An error flag of another value.
pub static ERROR_FLAG: Rule = Rule {
    id: "values.error_flag",
    level: Level::Violation,
    sentence: "error is neither 0 nor 1",
    advice: "set it to 1 for an error",
    check: Check::Span(error_flag),
};

fn error_flag(view: &SpanView<'_>, out: &mut Findings) {
    if !(0..=1).contains(&view.span.error) {
        view.find(
            &ERROR_FLAG,
            "error",
            format!("found {}", view.span.error),
            out,
        );
    }
}

/// A kind that does not exist.
pub static KIND: Rule = Rule {
    id: "values.kind",
    level: Level::Violation,
    sentence: "span.kind is none of server, client, producer, consumer, internal",
    advice: "write one of those, in lower case; statistics and the service map are made from it",
    check: Check::Span(kind),
};

fn kind(view: &SpanView<'_>, out: &mut Findings) {
    if let Some(kind) = view.known.kind
        && !matches!(
            kind,
            "server" | "client" | "producer" | "consumer" | "internal"
        )
    {
        view.find(&KIND, "meta[\"span.kind\"]", format!("found {kind:?}"), out);
    }
}

/// Events or links that cannot be read.
pub static JSON: Rule = Rule {
    id: "values.events_links",
    level: Level::Violation,
    sentence: "a span event or span link is malformed",
    advice: "events: a JSON array of {name, time_unix_nano, attributes}; links: ids that are not 0, except span pointers",
    check: Check::Span(events_links),
};

fn events_links(view: &SpanView<'_>, out: &mut Findings) {
    if let Some(text) = view.known.events
        && let Err(what) = check_list(text, check_event)
    {
        view.find(&JSON, "meta[\"events\"]", what, out);
    }
    if let Some(text) = view.known.links
        && let Err(what) = check_list(text, check_link)
    {
        view.find(&JSON, "meta[\"_dd.span_links\"]", what, out);
    }
    let Some(extra) = &view.span.extra else {
        return;
    };
    for (number, event) in extra.events.iter().enumerate() {
        if event.time == 0 || event.name.is_empty() {
            view.find(
                &JSON,
                &format!("span_events[{number}]"),
                "an event needs a name and a time".into(),
                out,
            );
        }
    }
    for (number, link) in extra.links.iter().enumerate() {
        let pointer = link
            .attributes
            .iter()
            .any(|(k, v)| k == "link.kind" && v == "span-pointer");
        if !pointer && (link.span_id == 0 || (link.trace_id | link.trace_id_high) == 0) {
            view.find(
                &JSON,
                &format!("span_links[{number}]"),
                "an id is 0".into(),
                out,
            );
        }
    }
}

fn check_list(text: &str, check: fn(&Value) -> Result<(), &'static str>) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON: {error}"))?;
    let list = value.as_array().ok_or("no JSON array")?;
    for (number, item) in list.iter().enumerate() {
        check(item).map_err(|what| format!("number {number}: {what}"))?;
    }
    Ok(())
}

fn check_event(event: &Value) -> Result<(), &'static str> {
    if !event["name"].is_string() {
        return Err("an event needs a name");
    }
    match event["time_unix_nano"].as_u64() {
        Some(time) if time > 0 => Ok(()),
        _ => Err("an event needs time_unix_nano, an integer"),
    }
}

fn check_link(link: &Value) -> Result<(), &'static str> {
    let is_zero = |id: &Value| {
        id.as_str()
            .is_none_or(|text| text.bytes().all(|b| b == b'0'))
    };
    if link["attributes"]["link.kind"] == "span-pointer" {
        return Ok(());
    }
    if is_zero(&link["trace_id"]) || is_zero(&link["span_id"]) {
        return Err("an id is missing or 0");
    }
    Ok(())
}

/// One key, two values.
pub static BOTH: Rule = Rule {
    id: "values.both",
    level: Level::Violation,
    sentence: "meta and metrics hold the same key",
    advice: "setting a text tag removes the number tag of that key, and the other way round",
    check: Check::Span(both),
};

fn both(view: &SpanView<'_>, out: &mut Findings) {
    for (key, _) in view.metrics() {
        if key != "http.status_code" && view.meta().any(|(other, _)| other == key) {
            view.find(&BOTH, &format!("meta[{key:?}]"), String::new(), out);
        }
    }
}

/// A base service that says nothing.
pub static BASE_SERVICE: Rule = Rule {
    id: "values.base_service",
    level: Level::Violation,
    sentence: "_dd.base_service is the span's own service",
    advice: "write it only where the service differs from the process's",
    check: Check::Span(base_service),
};

fn base_service(view: &SpanView<'_>, out: &mut Findings) {
    if view
        .known
        .base_service
        .is_some_and(|base| base.eq_ignore_ascii_case(&view.span.service))
    {
        view.find(
            &BASE_SERVICE,
            "meta[\"_dd.base_service\"]",
            String::new(),
            out,
        );
    }
}

/// A source of nothing.
pub static PEER_SOURCE: Rule = Rule {
    id: "values.peer_source",
    level: Level::Violation,
    sentence: "_dd.peer.service.source stands without peer.service",
    advice: "write both or neither",
    check: Check::Span(peer_source),
};

fn peer_source(view: &SpanView<'_>, out: &mut Findings) {
    if view.known.peer_source.is_some() && view.known.peer_service.is_none() {
        view.find(
            &PEER_SOURCE,
            "meta[\"_dd.peer.service.source\"]",
            String::new(),
            out,
        );
    }
}

/// A resource with data in it.
pub static RESOURCE: Rule = Rule {
    id: "values.resource",
    level: Level::Hint,
    sentence: "the resource looks as if it held data: an SQL literal, or a query string",
    advice: "put placeholders for values; resources are grouped by, and shown to many",
    check: Check::Span(resource),
};

fn resource(view: &SpanView<'_>, out: &mut Findings) {
    let text = view.span.resource.as_ref();
    // Statements are obfuscated by the Agent, whole; what it cannot help is a literal in anything else.
    let literal = view.span.span_type == "sql" && text.contains('\'');
    let query = matches!(view.span.span_type.as_ref(), "web" | "http")
        && text.contains('?')
        && text.contains('=');
    if literal || query {
        view.find(&RESOURCE, "resource", String::new(), out);
    }
}
