//! The endpoints of OpenTelemetry's interface.

use std::time::{Duration, SystemTime};

use ddtrace::opentelemetry::{ContextExt, Span, TracerProvider};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{
    Event, Link, Span as _, SpanKind, Status, TraceContextExt, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use serde_json::{Value, json};

use crate::datadog;
use crate::http::Answer;
use crate::json;
use crate::spans::{Parent, Spans};

/// Times here are in microseconds.
const MICROSECOND: u64 = 1000;

pub(crate) fn answer(spans: &mut Spans, method: &str, path: &str, body: &Value) -> Option<Answer> {
    let on_span =
        |spans: &mut Spans, work: &dyn Fn(&mut Span) -> Value| match json::id(body, "span_id")
            .and_then(|id| spans.get(id))
        {
            Some(span) => Answer::Json(work(span)),
            None => unknown(),
        };
    let done = || json!({});
    Some(match (method, path) {
        ("POST", "/trace/otel/start_span") => start(spans, body),
        ("POST", "/trace/otel/end_span") => end(spans, body),
        ("GET", "/trace/otel/current_span") => datadog::current(spans),
        ("POST", "/trace/otel/set_attributes") => on_span(spans, &|span| {
            set_attributes(span, &body["attributes"]);
            done()
        }),
        ("POST", "/trace/otel/set_name") => on_span(spans, &|span| {
            span.update_name(json::text(body, "name").unwrap_or_default().to_owned());
            done()
        }),
        ("POST", "/trace/otel/set_status") => on_span(spans, &|span| {
            span.set_status(status(body));
            done()
        }),
        ("POST", "/trace/otel/add_event") => on_span(spans, &|span| {
            let time = json::moment(&body["timestamp"], MICROSECOND);
            span.add_event_with_timestamp(
                json::text(body, "name").unwrap_or_default().to_owned(),
                time.unwrap_or_else(SystemTime::now),
                json::attributes(&body["attributes"]),
            );
            done()
        }),
        ("POST", "/trace/otel/record_exception") => on_span(spans, &|span| {
            span.add_event("exception", exception(body));
            done()
        }),
        ("POST", "/trace/otel/is_recording") => on_span(
            spans,
            &|span| json!({ "is_recording": span.is_recording() }),
        ),
        ("POST", "/trace/otel/span_context") => on_span(spans, &|span| span_context(span)),
        ("POST", "/trace/otel/otel_set_baggage") => set_baggage(spans, body),
        ("POST", "/trace/otel/flush") => {
            let seconds = body["seconds"].as_f64().filter(|seconds| *seconds > 0.0);
            let time = Duration::try_from_secs_f64(seconds.unwrap_or(5.0)).unwrap_or(Duration::MAX);
            spans.clear();
            let success = TracerProvider::new().force_flush(time);
            Answer::Json(json!({ "success": success }))
        }
        _ => return None,
    })
}

fn unknown() -> Answer {
    Answer::Unknown("there is no such span".to_owned())
}

fn start(spans: &mut Spans, body: &Value) -> Answer {
    let parent_id = json::id(body, "parent_id");
    let parent = match spans.parent(parent_id) {
        Some(Parent::None) => Context::new(),
        Some(Parent::Span(context)) => Context::new().with_datadog_context(&context),
        Some(Parent::Extracted(extracted)) => Context::new().with_extracted(extracted),
        None => return unknown(),
    };
    let tracer = TracerProvider::new().tracer("parametric");
    let mut builder = tracer
        .span_builder(json::text(body, "name").unwrap_or_default().to_owned())
        .with_attributes(json::attributes(&body["attributes"]))
        .with_links(links(spans, body))
        .with_events(events(body));
    builder.start_time = json::moment(&body["timestamp"], MICROSECOND);
    builder.span_kind = kind(&body["span_kind"]);
    let span = builder.start_with_context(&tracer, &parent);
    let trace_id = span.datadog_context().trace_id().low();
    let id = spans.add(span, parent_id);
    Answer::Json(json!({ "span_id": id, "trace_id": trace_id }))
}

/// Sets an item on a span and reads it back through OpenTelemetry's context of the span.
fn set_baggage(spans: &mut Spans, body: &Value) -> Answer {
    let key = json::text(body, "key").unwrap_or_default();
    let Some(span) = json::id(body, "span_id").and_then(|id| spans.get(id)) else {
        return unknown();
    };
    if let Some(open) = span.datadog() {
        open.set_baggage(key, json::text(body, "value").unwrap_or_default());
    }
    let context = Context::new().with_datadog_context(&span.datadog_context());
    let value = context
        .baggage()
        .get(key)
        .map(|value| value.as_str().to_owned());
    Answer::Json(json!({ "value": value }))
}

fn kind(value: &Value) -> Option<SpanKind> {
    Some(match value.as_u64()? {
        0 => SpanKind::Internal,
        1 => SpanKind::Server,
        2 => SpanKind::Client,
        3 => SpanKind::Producer,
        4 => SpanKind::Consumer,
        _ => return None,
    })
}

fn links(spans: &mut Spans, body: &Value) -> Vec<Link> {
    let links = body["links"].as_array().into_iter().flatten();
    let links = links.filter_map(|link| {
        let context = match spans.parent(json::id(link, "parent_id"))? {
            Parent::None => return None,
            Parent::Span(context) => Context::new().with_datadog_context(&context),
            Parent::Extracted(extracted) => Context::new().with_extracted(extracted),
        };
        let target = context.span().span_context().clone();
        Some(Link::new(target, json::attributes(&link["attributes"]), 0))
    });
    links.collect()
}

fn events(body: &Value) -> Vec<Event> {
    let events = body["events"].as_array().into_iter().flatten();
    let events = events.map(|event| {
        let time = json::moment(&event["time_unix_nano"], 1);
        Event::new(
            json::text(event, "name").unwrap_or_default().to_owned(),
            time.unwrap_or_else(SystemTime::now),
            json::attributes(&event["attributes"]),
            0,
        )
    });
    events.collect()
}

fn end(spans: &mut Spans, body: &Value) -> Answer {
    let Some(id) = json::id(body, "id") else {
        return unknown();
    };
    let ended = spans.finish(id, |span| {
        match json::moment(&body["timestamp"], MICROSECOND) {
            Some(time) => span.end_with_timestamp(time),
            None => span.end(),
        }
    });
    ended.map_or_else(unknown, |()| Answer::done())
}

/// OpenTelemetry's interface has no way to take an attribute away; ours has.
fn set_attributes(span: &mut Span, attributes: &Value) {
    span.set_attributes(json::attributes(attributes));
    if let Some(span) = span.datadog() {
        for (key, value) in attributes.as_object().into_iter().flatten() {
            if value.is_null() {
                span.remove_tag(key);
            }
        }
    }
}

fn status(body: &Value) -> Status {
    match json::text(body, "code") {
        Some("OK") => Status::Ok,
        Some("ERROR") => Status::error(
            json::text(body, "description")
                .unwrap_or_default()
                .to_owned(),
        ),
        _ => Status::Unset,
    }
}

/// What is said of an exception; the attributes of the request win.
fn exception(body: &Value) -> Vec<KeyValue> {
    let mut attributes = json::attributes(&body["attributes"]);
    let message = json::text(body, "message").unwrap_or_default();
    for (key, value) in [
        ("exception.type", "Exception"),
        ("exception.message", message),
        ("exception.stacktrace", message),
    ] {
        if attributes
            .iter()
            .all(|attribute| attribute.key.as_str() != key)
        {
            attributes.push(KeyValue::new(key, value.to_owned()));
        }
    }
    attributes
}

fn span_context(span: &mut Span) -> Value {
    let context = span.span_context();
    json!({
        "trace_id": context.trace_id().to_string(),
        "span_id": u64::from_be_bytes(context.span_id().to_bytes()),
        "trace_flags": format!("{:02x}", context.trace_flags().to_u8()),
        "trace_state": context.trace_state().header(),
        "remote": context.is_remote(),
    })
}
