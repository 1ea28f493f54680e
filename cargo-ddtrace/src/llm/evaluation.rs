//! Evaluations and feedback as they are kept.

use serde_json::Value;

use super::span::{Span, integer, text};

/// One evaluation of a span, a trace, a session, or of whatever carries a tag.
#[derive(Debug, Clone)]
#[allow(missing_docs)] // named as in API.md
pub struct Evaluation {
    pub label: String,
    /// `score`, `categorical`, `boolean`, `json`, `text`.
    pub kind: String,
    pub value: Value,
    pub target: Target,
    pub ml_app: String,
    pub tags: Vec<String>,
    pub time_ms: i64,
    pub scope: String,
    pub assessment: String,
    pub reasoning: String,
    /// `evaluation` or `feedback`.
    pub event: String,
    /// Who gave the feedback.
    pub submitter: String,
    pub error: Option<String>,
}

/// What is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // they name themselves
pub enum Target {
    Span { trace: String, span: String },
    Trace(String),
    Session(String),
    Tag { key: String, value: String },
    Nothing,
}

impl Evaluation {
    /// Of a metric of a payload (version 1 has `span_id` and `trace_id` beside the label, version 2 `join_on`).
    pub fn read(metric: &Value) -> Evaluation {
        let kind = text(&metric["metric_type"]).to_lowercase();
        let join = &metric["join_on"];
        let span = |of: &Value| Target::Span {
            trace: text(&of["trace_id"]),
            span: text(&of["span_id"]),
        };
        let target = if join["span"].is_object() {
            span(&join["span"])
        } else if join["tag"].is_object() {
            Target::Tag {
                key: text(&join["tag"]["key"]),
                value: text(&join["tag"]["value"]),
            }
        } else if metric["feedback_join_key"].is_object() {
            let key = &metric["feedback_join_key"];
            Target::Tag {
                key: text(&key["key"]),
                value: text(&key["value"]),
            }
        } else if !metric["span_id"].is_null() {
            span(metric)
        } else if !metric["session_id"].is_null() {
            Target::Session(text(&metric["session_id"]))
        } else if !metric["trace_id"].is_null() {
            Target::Trace(text(&metric["trace_id"]))
        } else {
            Target::Nothing
        };
        let value = &metric[format!("{kind}_value").as_str()];
        let event = match text(&metric["event_kind"]) {
            kind if kind.is_empty() => "evaluation".to_owned(),
            kind => kind,
        };
        Evaluation {
            label: text(&metric["label"]),
            value: bounded(value),
            kind,
            target,
            ml_app: text(&metric["ml_app"]),
            tags: metric["tags"]
                .as_array()
                .map_or(&[][..], Vec::as_slice)
                .iter()
                .take(100)
                .map(text)
                .collect(),
            time_ms: integer(&metric["timestamp_ms"]),
            scope: text(&metric["eval_scope"]),
            assessment: text(&metric["assessment"]),
            reasoning: long(&metric["reasoning"]),
            event,
            submitter: text(&metric["submitter"]["id"]),
            error: (!metric["error"].is_null()).then(|| match &metric["error"]["message"] {
                Value::Null => bounded(&metric["error"]).to_string(),
                message => text(message),
            }),
        }
    }

    /// Whether it speaks of a span, or of the trace or session that the span is in the root of.
    pub fn is_of(&self, span: &Span) -> bool {
        match &self.target {
            Target::Span { span: id, trace } => {
                *id == span.span_id && (trace.is_empty() || *trace == span.trace_id)
            }
            Target::Trace(trace) => span.is_root() && *trace == span.trace_id,
            Target::Session(session) => span.is_root() && *session == span.session_id,
            Target::Tag { key, value } => span.tag(key) == Some(value.as_str()),
            Target::Nothing => false,
        }
    }

    /// Bytes of memory, about.
    pub fn memory(&self) -> usize {
        let value = match &self.value {
            Value::String(text) => text.len(),
            Value::Object(_) | Value::Array(_) => self.value.to_string().len() * 3,
            _ => 0,
        };
        size_of::<Evaluation>()
            + value
            + self.reasoning.len()
            + self.tags.iter().map(|tag| tag.len() + 24).sum::<usize>()
            + 400
    }
}

fn long(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_default()
        .chars()
        .take(8000)
        .collect()
}

/// A value that is not larger than what a page shows.
fn bounded(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::String(long(value)),
        Value::Object(_) | Value::Array(_) => {
            let text = value.to_string();
            if text.len() <= 16_000 {
                value.clone()
            } else {
                Value::String(text.chars().take(8000).collect())
            }
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn targets_of_all_forms_are_read() {
        let target = |metric: Value| Evaluation::read(&metric).target;
        let span = Target::Span {
            trace: "T".into(),
            span: "S".into(),
        };
        assert_eq!(
            target(json!({"join_on": {"span": {"span_id": "S", "trace_id": "T"}}})),
            span
        );
        assert_eq!(target(json!({"span_id": "S", "trace_id": "T"})), span);
        assert_eq!(
            target(json!({"join_on": {"tag": {"key": "k", "value": "v"}}})),
            Target::Tag {
                key: "k".into(),
                value: "v".into()
            }
        );
        assert_eq!(
            target(json!({"session_id": "s"})),
            Target::Session("s".into())
        );
        assert_eq!(target(json!({"trace_id": "t"})), Target::Trace("t".into()));
        assert_eq!(target(json!({})), Target::Nothing);
    }

    #[test]
    fn the_evaluation_of_the_dossier_is_read() {
        // spec/llmobs.md §22.5.
        let read = Evaluation::read(
            &json!({"event_kind": "evaluation", "join_on": {"span": {"span_id": "S", "trace_id": "T"}},
            "label": "quality", "metric_type": "score", "timestamp_ms": 1_700_000_000_000_i64, "score_value": 0.9, "ml_app": "myapp",
            "tags": ["ddtrace.version:1", "ml_app:myapp", "k:v"], "eval_scope": "span", "assessment": "pass", "reasoning": "r",
            "metadata": {"m": 1}}),
        );
        assert_eq!(
            [&read.label, &read.kind, &read.assessment, &read.reasoning],
            ["quality", "score", "pass", "r"]
        );
        assert_eq!((read.value, read.time_ms), (json!(0.9), 1_700_000_000_000));
    }
}
