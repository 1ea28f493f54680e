//! The endpoints of Datadog's own interface.

use std::time::Duration;

use ddtrace::propagation::{Carrier, CarrierMut};
use ddtrace::{Baggage, Span, SpanEvent, SpanLink};
use opentelemetry::trace::Span as _;
use serde_json::{Value, json};

use crate::http::Answer;
use crate::json::{self, Tag};
use crate::spans::{Parent, Spans};

/// How long a flush, or an answer of the agent, may take.
const WAIT: Duration = Duration::from_secs(9);

pub(crate) fn answer(spans: &mut Spans, method: &str, path: &str, body: &Value) -> Option<Answer> {
    let on_span = |spans: &mut Spans, work: &dyn Fn(&mut Span)| with_span(spans, body, work);
    Some(match (method, path) {
        ("POST", "/trace/span/start") => start(spans, body),
        ("POST", "/trace/span/finish") => match json::id(body, "span_id") {
            Some(id) => found(spans.finish(id, |span| span.end())),
            None => unknown(),
        },
        ("GET", "/trace/span/current") => current(spans),
        ("POST", "/trace/span/set_resource") => on_span(spans, &|span| {
            span.set_resource(json::text(body, "resource").unwrap_or_default());
        }),
        ("POST", "/trace/span/set_meta" | "/trace/span/set_metric") => on_span(spans, &|span| {
            set_tag(span, body, path.ends_with("set_meta"))
        }),
        ("POST", "/trace/span/manual_keep") => on_span(spans, &|span| span.manual_keep()),
        ("POST", "/trace/span/manual_drop") => on_span(spans, &|span| span.manual_drop()),
        ("POST", "/trace/span/error") => on_span(spans, &|span| {
            let text = |key| json::text(body, key).unwrap_or_default();
            span.set_error_message(text("type"), text("message"), json::text(body, "stack"));
        }),
        ("POST", "/trace/span/add_link") => add_link(spans, body),
        ("POST", "/trace/span/add_event") => on_span(spans, &|span| add_event(span, body)),
        ("POST", "/trace/span/set_baggage") => on_span(spans, &|span| {
            let text = |key| json::text(body, key).unwrap_or_default();
            span.set_baggage(text("key"), text("value"));
        }),
        ("POST", "/trace/span/remove_baggage") => on_span(spans, &|span| {
            span.remove_baggage(json::text(body, "key").unwrap_or_default());
        }),
        ("POST", "/trace/span/remove_all_baggage") => on_span(spans, &|span| span.clear_baggage()),
        ("GET", "/trace/span/get_baggage" | "/trace/span/get_all_baggage") => {
            match json::id(body, "span_id").and_then(|id| spans.context(id)) {
                Some(context) => baggage(&context.baggage(), json::text(body, "key")),
                None => unknown(),
            }
        }
        ("POST", "/trace/span/inject_headers") => inject(spans, body),
        ("POST", "/trace/span/extract_headers") => extract(spans, body),
        ("POST", "/trace/span/flush") => {
            spans.clear();
            flush()
        }
        // The same delivers both.
        ("POST", "/trace/stats/flush") => flush(),
        ("GET", "/trace/agent/ensure_agent_info") => {
            Answer::Json(json!({ "ready": ddtrace::agent_known_within(WAIT) }))
        }
        ("POST", "/trace/remote-config/apply") => apply(),
        _ => return None,
    })
}

fn flush() -> Answer {
    if ddtrace::flush_within(WAIT) {
        Answer::done()
    } else {
        Answer::Late
    }
}

/// Asks the agent for configuration now, and tells what is in force.
fn apply() -> Answer {
    let Some(paths) = ddtrace::remote_config::poll_now(WAIT) else {
        return Answer::Late;
    };
    let applied = paths
        .iter()
        .map(|path| json!({ "config_id": path.config_id(), "product": path.product() }));
    Answer::Json(json!({ "applied_configs": applied.collect::<Vec<_>>() }))
}

fn unknown() -> Answer {
    Answer::Unknown("there is no such span".to_owned())
}

fn found(found: Option<()>) -> Answer {
    found.map_or_else(unknown, |()| Answer::done())
}

/// Does something to the span that the request names; nothing if it is over.
fn with_span(spans: &mut Spans, body: &Value, work: &dyn Fn(&mut Span)) -> Answer {
    let span = json::id(body, "span_id").and_then(|id| spans.get(id));
    found(span.map(|span| {
        if let Some(span) = span.datadog() {
            work(span);
        }
    }))
}

fn start(spans: &mut Spans, body: &Value) -> Answer {
    let parent_id = json::id(body, "parent_id");
    let builder = Span::builder(json::text(body, "name").unwrap_or_default().to_owned());
    let mut builder = match spans.parent(parent_id) {
        Some(Parent::None) => builder.root(),
        Some(Parent::Span(context)) => builder.child_of(&context),
        Some(Parent::Extracted(extracted)) => builder.continuing(extracted),
        None => return unknown(),
    };
    if let Some(service) = json::text(body, "service") {
        builder = builder.service(service);
    }
    if let Some(resource) = json::text(body, "resource") {
        builder = builder.resource(resource);
    }
    if let Some(span_type) = json::text(body, "type") {
        builder = builder.span_type(span_type);
    }
    for pair in body["span_tags"].as_array().into_iter().flatten() {
        if let (Some(key), Some(value)) = (pair[0].as_str(), pair[1].as_str()) {
            builder = builder.tag(key.to_owned(), value);
        }
    }
    let span = builder.start();
    let trace_id = span.context().trace_id().low();
    let id = spans.add(span.into(), parent_id);
    Answer::Json(json!({ "span_id": id, "trace_id": trace_id }))
}

/// The active span, zeros if there is none.
pub(crate) fn current(spans: &mut Spans) -> Answer {
    let active = spans.active();
    let (span_id, trace_id) = active.map_or((0, 0), |(id, context)| (id, context.trace_id().low()));
    Answer::Json(json!({ "span_id": span_id, "trace_id": trace_id }))
}

/// Numbers in `set_meta` are texts.
fn set_tag(span: &mut Span, body: &Value, is_meta: bool) {
    let Some(key) = json::text(body, "key") else {
        return;
    };
    json::flatten(key, &body["value"], &mut |key, tag| match tag {
        Tag::Text(text) => span.set_tag(key, text),
        Tag::Number(number) if is_meta => span.set_tag(key, number.to_string()),
        Tag::Number(number) => span.set_tag(key, number),
        // These are switches: without a value they are on.
        Tag::Nothing if key.starts_with("manual.") => span.set_tag(key, true),
        Tag::Nothing => span.remove_tag(&key),
    });
}

fn add_link(spans: &mut Spans, body: &Value) -> Answer {
    let Some(link) = json::id(body, "parent_id").and_then(|id| link_to(spans, id)) else {
        return unknown();
    };
    let mut link = link;
    json::flatten_texts(&body["attributes"], &mut |key, value| {
        link.attributes.push((key.into(), value.into()));
    });
    with_span(spans, body, &|span| span.add_link(link.clone()))
}

fn link_to(spans: &mut Spans, id: u64) -> Option<SpanLink> {
    if let Some(context) = spans.context(id) {
        return Some(SpanLink::from(&context));
    }
    let extracted = spans.extracted(id)?;
    extracted.context.as_ref().map(SpanLink::from)
}

fn add_event(span: &mut Span, body: &Value) {
    let name = json::text(body, "name").unwrap_or_default().to_owned();
    let mut event = match json::moment(&body["timestamp"], 1) {
        Some(time) => SpanEvent::at(name, time),
        None => SpanEvent::new(name),
    };
    for (key, value) in body["attributes"].as_object().into_iter().flatten() {
        if let Some(value) = json::event_value(value) {
            event = event.with_attribute(key.clone(), value);
        }
    }
    span.add_event(event);
}

/// One item, or all of them.
fn baggage(baggage: &Baggage, key: Option<&str>) -> Answer {
    let answer = match key {
        Some(key) => json!(baggage.get(key)),
        None => baggage
            .iter()
            .map(|(key, value)| (key, json!(value)))
            .collect(),
    };
    Answer::Json(json!({ "baggage": answer }))
}

struct Headers(Vec<(String, String)>);

impl CarrierMut for Headers {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.0.retain(|(known, _)| known != name);
        let value = String::from_utf8_lossy(value).into_owned();
        self.0.push((name.to_owned(), value));
    }
}

impl Carrier for Headers {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let mut named = self
            .0
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_bytes())
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        let named = self
            .0
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.for_each(|(_, value)| visit(value.as_bytes()));
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.0.iter().for_each(|(name, _)| visit(name));
    }
}

fn inject(spans: &mut Spans, body: &Value) -> Answer {
    let Some(context) = json::id(body, "span_id").and_then(|id| spans.context(id)) else {
        return unknown();
    };
    let mut headers = Headers(Vec::new());
    ddtrace::inject_context(&context, &mut headers);
    Answer::Json(json!({ "http_headers": headers.0 }))
}

fn extract(spans: &mut Spans, body: &Value) -> Answer {
    let pairs = body["http_headers"].as_array().into_iter().flatten();
    let headers = pairs.filter_map(|pair| {
        let text = |at: usize| pair[at].as_str().map(str::to_owned);
        Some((text(0)?, text(1)?))
    });
    let id = spans.keep(ddtrace::extract(&Headers(headers.collect())));
    Answer::Json(json!({ "span_id": id }))
}
