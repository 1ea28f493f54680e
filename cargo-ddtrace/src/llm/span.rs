//! A span of LLM Observability as it is kept: what lists need as fields, the event itself as JSON text.
//!
//! Both transports come to the same event (`spec/llmobs.md` §4). What rides in the `meta_struct` of an APM span lacks what
//! that span already says (times, status, id); [`event_of`] puts it together as the backend does.

use serde_json::{Map, Value, json};

use super::prices::Prices;

/// Characters of a name or an identifier that are kept as a field.
const NAME: usize = 400;
/// Characters of input and output that lists show.
const PREVIEW: usize = 300;

/// The parent of a root.
pub const ROOT: &str = "undefined";

/// How a span came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Inside an APM trace.
    Apm,
    /// Through the intake.
    Intake,
}

impl Transport {
    /// The name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Apm => "apm",
            Transport::Intake => "intake",
        }
    }
}

/// A span.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named as in API.md
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    /// [`ROOT`] for a root.
    pub parent_id: String,
    pub apm_trace_id: String,
    pub name: String,
    pub kind: String,
    pub ml_app: String,
    pub service: String,
    pub env: String,
    pub session_id: String,
    pub model: String,
    pub provider: String,
    pub start: i64,
    pub duration: i64,
    pub is_error: bool,
    pub error: String,
    pub tags: Vec<String>,
    pub metrics: Vec<(String, f64)>,
    pub input: String,
    pub output: String,
    /// Id and version of the prompt.
    pub prompt: Option<(String, String)>,
    pub cost: Option<Cost>,
    pub transport: Transport,
    /// The number of the request that brought it.
    pub request: u32,
    /// All of it, as JSON.
    pub event: Box<str>,
}

/// What a call cost, in dollars.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The sum.
    pub total: f64,
    /// Reckoned here from tokens and list prices; nobody said it.
    pub is_estimated: bool,
}

impl Span {
    /// Of an event.
    pub fn read(event: &Value, transport: Transport, prices: &Prices) -> Span {
        let meta = &event["meta"];
        let tags: Vec<String> = event["tags"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .filter_map(Value::as_str)
            .take(200)
            .map(cut)
            .collect();
        let tag = |key: &str| {
            let found = tags
                .iter()
                .find_map(|tag| tag.strip_prefix(key)?.strip_prefix(':'));
            found.unwrap_or_default().to_owned()
        };
        let metrics: Vec<(String, f64)> = event["metrics"]
            .as_object()
            .into_iter()
            .flatten()
            .take(200)
            .filter_map(|(key, value)| Some((cut(key), value.as_f64()?)))
            .collect();
        let prompt = &meta["input"]["prompt"];
        let session = text(&event["session_id"]);
        let mut span = Span {
            trace_id: text(&event["trace_id"]),
            span_id: text(&event["span_id"]),
            parent_id: match text(&event["parent_id"]) {
                parent if parent.is_empty() || parent == "0" => ROOT.to_owned(),
                parent => parent,
            },
            apm_trace_id: text(&event["_dd"]["apm_trace_id"]),
            name: text(&event["name"]),
            kind: text(&meta["span"]["kind"]),
            ml_app: match text(&event["ml_app"]) {
                app if app.is_empty() => tag("ml_app"),
                app => app,
            },
            service: tag("service"),
            env: tag("env"),
            session_id: if session.is_empty() {
                tag("session_id")
            } else {
                session
            },
            model: text(&meta["model_name"]),
            provider: text(&meta["model_provider"]),
            start: integer(&event["start_ns"]),
            duration: integer(&event["duration"]),
            is_error: event["status"] == "error",
            error: error(meta),
            input: preview(&meta["input"], true),
            output: preview(&meta["output"], false),
            prompt: prompt
                .is_object()
                .then(|| (text(&prompt["id"]), version(&prompt["version"]))),
            cost: None,
            tags,
            metrics,
            transport,
            request: 0,
            event: event.to_string().into_boxed_str(),
        };
        span.cost = prices.cost(&span);
        span
    }

    /// A metric.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.metrics
            .iter()
            .find(|(own, _)| own == key)
            .map(|(_, value)| *value)
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags
            .iter()
            .find_map(|tag| tag.strip_prefix(key)?.strip_prefix(':'))
    }

    /// Whether nothing stands above it.
    pub fn is_root(&self) -> bool {
        self.parent_id == ROOT
    }

    /// Bytes of memory, about.
    pub fn memory(&self) -> usize {
        let texts: usize = self
            .tags
            .iter()
            .map(|tag| tag.len() + size_of::<String>())
            .sum();
        size_of::<Span>() + self.event.len() + texts + self.input.len() + self.output.len() + 600
    }
}

/// The event of an APM span that carries one; `high` are the high 64 bits of its trace id.
pub fn event_of(
    carried: &Value,
    span: &crate::intake::model::Span<'_>,
    high: u64,
    error_type: Option<&str>,
) -> Value {
    let apm_trace = format!(
        "{:032x}",
        (u128::from(high) << 64) | u128::from(span.trace_id)
    );
    let mut dd = carried["_dd"].as_object().cloned().unwrap_or_default();
    for (key, value) in [
        ("span_id", span.span_id.to_string()),
        ("trace_id", apm_trace.clone()),
        ("apm_trace_id", apm_trace),
    ] {
        dd.entry(key).or_insert(Value::String(value));
    }
    let name = match text(&carried["name"]) {
        name if name.is_empty() => span.name.to_string(),
        name => name,
    };
    let parent = match &carried["parent_id"] {
        Value::Null => json!(ROOT),
        parent => parent.clone(),
    };
    let mut event = json!({
        "trace_id": carried["trace_id"],
        "span_id": span.span_id.to_string(),
        "parent_id": parent,
        "name": name,
        "start_ns": span.start,
        "duration": span.duration,
        "status": if span.error == 0 { "ok" } else { "error" },
        "meta": object(&carried["meta"]),
        "metrics": object(&carried["metrics"]),
        "tags": tags_of(&carried["tags"], span.error != 0, error_type),
        "_dd": dd,
    });
    for key in [
        "ml_app",
        "session_id",
        "config",
        "span_links",
        "collection_errors",
    ] {
        if !carried[key].is_null() {
            event[key] = carried[key].clone();
        }
    }
    event
}

/// Tags as sorted `key:value`; they come as a map or as such a list.
fn tags_of(tags: &Value, is_error: bool, error_type: Option<&str>) -> Vec<String> {
    let mut list: Vec<String> = match tags {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| format!("{key}:{}", text(value)))
            .collect(),
        Value::Array(list) => list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    };
    list.retain(|tag| !tag.starts_with("error:"));
    list.push(format!("error:{}", u8::from(is_error)));
    if let Some(error_type) = error_type {
        list.retain(|tag| !tag.starts_with("error_type:"));
        list.push(format!("error_type:{error_type}"));
    }
    list.sort();
    list
}

fn object(value: &Value) -> Value {
    if value.is_object() {
        value.clone()
    } else {
        Value::Object(Map::new())
    }
}

fn error(meta: &Value) -> String {
    let error = &meta["error"];
    match (text(&error["type"]), text(&error["message"])) {
        (kind, message) if message.is_empty() => kind,
        (kind, message) if kind.is_empty() => message,
        (kind, message) => format!("{kind}: {message}"),
    }
}

fn cut(text: &str) -> String {
    text.chars().take(NAME).collect()
}

/// A text or a number as a text of bounded length.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => cut(text),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => String::new(),
    }
}

fn version(value: &Value) -> String {
    text(value)
}

/// Nanoseconds, which come as a number, or as a text where they are over 2^53.
pub(super) fn integer(value: &Value) -> i64 {
    value
        .as_i64()
        .or_else(|| value.as_str()?.parse().ok())
        .or_else(|| value.as_f64().map(|number| number as i64))
        .unwrap_or(0)
}

/// The beginning of what went in (the last message says what it is about) or came out.
fn preview(io: &Value, is_input: bool) -> String {
    let short = |text: &str| text.chars().take(PREVIEW).collect::<String>();
    if let Some(messages) = io["messages"].as_array() {
        let message = if is_input {
            messages.last()
        } else {
            messages.first()
        };
        let Some(message) = message else {
            return String::new();
        };
        let content = message["content"].as_str().unwrap_or_default();
        if !content.is_empty() {
            return short(content);
        }
        let calls = message["tool_calls"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        let names: Vec<String> = calls.iter().map(|call| text(&call["name"])).collect();
        return short(&names.join(", "));
    }
    if let Some(documents) = io["documents"].as_array() {
        let first = documents
            .first()
            .and_then(|document| document["text"].as_str());
        return match documents.len() {
            0 => String::new(),
            1 => short(first.unwrap_or_default()),
            n => short(&format!("{n} documents: {}", first.unwrap_or_default())),
        };
    }
    match &io["value"] {
        Value::Null => match io {
            // Experiments put in what they are given.
            Value::String(text) => short(text),
            Value::Object(map) if map.is_empty() => String::new(),
            Value::Null => String::new(),
            other => short(&other.to_string()),
        },
        Value::String(text) => short(text),
        other => short(&other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previews_say_what_it_is_about() {
        for (io, is_input, expected) in [
            (json!({"value": "q?"}), true, "q?"),
            (
                json!({"messages": [{"content": "a"}, {"content": "b"}]}),
                true,
                "b",
            ),
            (
                json!({"messages": [{"content": "a"}, {"content": "b"}]}),
                false,
                "a",
            ),
            (
                json!({"messages": [{"content": "", "tool_calls": [{"name": "search"}]}]}),
                false,
                "search",
            ),
            (
                json!({"documents": [{"text": "doc"}, {"text": "z"}]}),
                false,
                "2 documents: doc",
            ),
            (json!({"documents": [{"text": "q?"}]}), true, "q?"),
            (json!({"question": 1}), true, "{\"question\":1}"),
            (Value::Null, false, ""),
        ] {
            assert_eq!(preview(&io, is_input), expected, "{io}");
        }
    }

    #[test]
    fn what_an_apm_span_carries_becomes_the_event_of_the_intake() {
        let span = crate::intake::model::Span {
            name: "openai.request".into(),
            trace_id: 7,
            span_id: 9,
            start: 5,
            duration: 6,
            error: 1,
            ..crate::intake::model::Span::default()
        };
        let carried = json!({
            "name": "call", "parent_id": "undefined", "trace_id": "t", "ml_app": "svc",
            "tags": {"ml_app": "svc", "error": "0", "env": "e"}, "metrics": {}, "meta": {"span": {"kind": "llm"}},
            "_dd": {"sample_rate": "1"},
        });
        let event = event_of(&carried, &span, 1, Some("E"));
        assert_eq!(
            event["tags"],
            json!(["env:e", "error:1", "error_type:E", "ml_app:svc"])
        );
        assert_eq!(
            event["_dd"]["apm_trace_id"],
            "00000000000000010000000000000007"
        );
        assert_eq!(
            (
                &event["span_id"],
                &event["status"],
                &event["start_ns"],
                &event["name"]
            ),
            (&json!("9"), &json!("error"), &json!(5), &json!("call"))
        );
        let read = Span::read(&event, Transport::Apm, &Prices::default());
        assert!(read.is_root() && read.is_error);
        assert_eq!([read.kind, read.ml_app, read.env], ["llm", "svc", "e"]);
    }
}
