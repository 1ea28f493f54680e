//! Rules about LLM Observability: spans of both transports, evaluations.
//!
//! The model is `spec/llmobs.md` §4; what it says of each kind is checked on the event, wherever that came from.

use serde_json::Value;

use super::{Check, Finding, Findings, Level, Rule};

/// The rules of this file.
pub static RULES: &[&Rule] = &[
    &HEADER,
    &FIELD,
    &ID,
    &ROOT,
    &KIND,
    &MODEL,
    &MESSAGE,
    &NAN,
    &METRIC,
    &TOKENS,
    &LARGE,
    &TWICE,
    &EVALUATION,
];

macro_rules! rule {
    ($(#[$doc:meta])* $name:ident, $id:literal, $level:ident, $sentence:literal, $advice:literal) => {
        $(#[$doc])*
        pub static $name: Rule = Rule {
            id: $id,
            level: Level::$level,
            sentence: $sentence,
            advice: $advice,
            check: Check::Elsewhere,
        };
    };
}

rule!(
    /// Sent to another intake.
    HEADER, "llm.header", Violation,
    "the request does not say to which intake it goes, or says another",
    "through the Agent, send X-Datadog-EVP-Subdomain: llmobs-intake with spans, and api with evaluations"
);
rule!(
    /// A field is missing.
    FIELD, "llm.field", Violation,
    "an LLM span lacks a field, or it is not of its type",
    "send trace_id, span_id, parent_id, name, start_ns, duration, status, meta, metrics, tags with ml_app, and _dd"
);
rule!(
    /// An id that fits nothing.
    ID, "llm.id", Violation,
    "an id of an LLM span is not what it must be",
    "span_id is that of the APM span in decimal, the same in _dd; trace ids are 32 hexadecimal digits"
);
rule!(
    /// The parent of a root.
    ROOT, "llm.root", Violation,
    "the parent of an LLM span is neither a span id nor the word undefined",
    "send undefined for a root, not an empty text, null or 0"
);
rule!(
    /// A kind that nobody knows.
    KIND, "llm.kind", Violation,
    "there is no such kind of LLM span",
    "use llm, workflow, agent, tool, task, embedding, retrieval or experiment"
);
rule!(
    /// A model where none is called.
    MODEL, "llm.model", Violation,
    "an LLM span has what only other kinds have",
    "send model_name and model_provider with llm and embedding only and always, tool_definitions with llm only"
);
rule!(
    /// A message without a text.
    MESSAGE, "llm.message", Violation,
    "a message has no text as its content, or a document no text",
    "content and text must be strings: an empty one where there is nothing, the JSON where it is data"
);
rule!(
    /// Not JSON.
    NAN, "llm.nan", Violation,
    "the payload holds a bare NaN or Infinity, which is not JSON",
    "write null in its place"
);
rule!(
    /// A metric that the intake splits.
    METRIC, "llm.metric", Violation,
    "a metric has a dot in its name, or is no number",
    "replace dots by underscores, and send numbers only"
);
rule!(
    /// Tokens that do not add up.
    TOKENS, "llm.tokens", Hint,
    "total_tokens is not input_tokens and output_tokens together",
    "count what was read from or written to a cache as input"
);
rule!(
    /// Over the limit of the intake.
    LARGE, "llm.large", Violation,
    "an LLM span is over 5 MiB",
    "replace input and output by a note that they were dropped, and say so in collection_errors"
);
rule!(
    /// Both transports.
    TWICE, "llm.twice", Violation,
    "an LLM span came in an APM trace and through the intake",
    "remove _llmobs from meta_struct where the intake is used: it would be counted twice"
);
rule!(
    /// An evaluation that the intake refuses.
    EVALUATION, "llm.evaluation", Violation,
    "an evaluation lacks a field, or a field is not of its type",
    "send label (no dots), metric_type, a value of that type, timestamp_ms, ml_app, and one thing that it is of"
);

/// Bytes of an event.
const LIMIT: usize = 5 << 20;

const KINDS: [&str; 8] = [
    "llm",
    "workflow",
    "agent",
    "tool",
    "task",
    "embedding",
    "retrieval",
    "experiment",
];

/// Where something is, and where findings go.
struct At<'a> {
    place: &'a str,
    chunk: Option<(usize, usize)>,
    out: &'a mut Findings,
}

impl At<'_> {
    fn find(&mut self, rule: &'static Rule, field: &str, detail: String) {
        let dot = if self.place.is_empty() || field.is_empty() {
            ""
        } else {
            "."
        };
        self.out.add(Finding {
            rule,
            chunk: self.chunk.map(|(chunk, _)| chunk),
            span: self.chunk.map(|(_, span)| span),
            field: format!("{}{dot}{field}", self.place),
            detail,
        });
    }
}

/// Applies the rules to a span event. `place` says where it is in the request, `chunk` in which chunk and span it rode.
pub fn check_span(event: &Value, place: &str, chunk: Option<(usize, usize)>, out: &mut Findings) {
    let mut at = At { place, chunk, out };
    let meta = &event["meta"];
    for (key, is) in [
        ("name", Value::is_string as fn(&Value) -> bool),
        ("start_ns", Value::is_number),
        ("duration", Value::is_number),
        ("meta", Value::is_object),
        ("metrics", Value::is_object),
        ("tags", Value::is_array),
        ("_dd", Value::is_object),
    ] {
        if !is(&event[key]) && !is_great(&event[key], key) {
            at.find(&FIELD, key, format!("found {}", short(&event[key])));
        }
    }
    if !matches!(event["status"].as_str(), Some("ok" | "error")) {
        at.find(
            &FIELD,
            "status",
            format!("found {}", short(&event["status"])),
        );
    }
    if !event["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|tag| tag.as_str().is_some_and(|tag| tag.starts_with("ml_app:")))
    {
        at.find(&FIELD, "tags", "ml_app is missing".to_owned());
    }
    check_ids(event, &mut at);
    let kind = meta["span"]["kind"].as_str().unwrap_or_default();
    if !KINDS.contains(&kind) {
        at.find(
            &KIND,
            "meta.span.kind",
            format!("found {}", short(&meta["span"]["kind"])),
        );
    }
    check_model(meta, kind, &mut at);
    check_io(meta, kind, &mut at);
    check_metrics(&event["metrics"], &mut at);
    let size = event.to_string().len();
    if size > LIMIT {
        at.find(&LARGE, "", format!("{size} bytes"));
    }
}

/// Numbers over 2^53 come as texts from msgpack.
fn is_great(value: &Value, key: &str) -> bool {
    matches!(key, "start_ns" | "duration")
        && value
            .as_str()
            .is_some_and(|text| text.parse::<i64>().is_ok())
}

fn check_ids(event: &Value, at: &mut At<'_>) {
    let is_span = |value: &Value| {
        value
            .as_str()
            .is_some_and(|id| id.parse::<u64>().is_ok_and(|id| id > 0))
    };
    // Another service may have handed down an id of another form; such a trace still is one.
    let trace = event["trace_id"].as_str().unwrap_or_default();
    if trace.is_empty() {
        at.find(
            &ID,
            "trace_id",
            format!("found {}", short(&event["trace_id"])),
        );
    }
    if !is_span(&event["span_id"]) {
        at.find(
            &ID,
            "span_id",
            format!("found {}", short(&event["span_id"])),
        );
    }
    let own = &event["_dd"]["span_id"];
    if own.is_string() && own != &event["span_id"] {
        at.find(
            &ID,
            "_dd.span_id",
            format!("{} beside {}", short(own), short(&event["span_id"])),
        );
    }
    let apm = &event["_dd"]["apm_trace_id"];
    let is_hex = |id: &str| {
        id.len() == 32
            && id
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase())
    };
    if event["_dd"].is_object() && !apm.as_str().is_some_and(is_hex) {
        at.find(&ID, "_dd.apm_trace_id", format!("found {}", short(apm)));
    }
    let parent = &event["parent_id"];
    if parent.as_str() != Some("undefined") && !is_span(parent) {
        at.find(&ROOT, "parent_id", format!("found {}", short(parent)));
    }
}

fn check_model(meta: &Value, kind: &str, at: &mut At<'_>) {
    let calls_model = matches!(kind, "llm" | "embedding");
    for key in ["model_name", "model_provider"] {
        let is_there = meta[key].as_str().is_some_and(|text| !text.is_empty());
        if is_there != calls_model {
            at.find(
                &MODEL,
                &format!("meta.{key}"),
                format!(
                    "{} on kind {kind:?}",
                    if is_there {
                        "it stands"
                    } else {
                        "it is missing"
                    }
                ),
            );
        }
    }
    if !meta["tool_definitions"].is_null() && kind != "llm" {
        at.find(
            &MODEL,
            "meta.tool_definitions",
            format!("it stands on kind {kind:?}"),
        );
    }
}

fn check_io(meta: &Value, kind: &str, at: &mut At<'_>) {
    if kind == "experiment" {
        return;
    }
    for io in ["input", "output"] {
        for (list, key) in [("messages", "content"), ("documents", "text")] {
            for (number, one) in meta[io][list].as_array().into_iter().flatten().enumerate() {
                let field = format!("meta.{io}.{list}[{number}]");
                if !one[key].is_string() {
                    at.find(
                        &MESSAGE,
                        &format!("{field}.{key}"),
                        format!("found {}", short(&one[key])),
                    );
                }
                for (number, call) in one["tool_calls"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .enumerate()
                {
                    if !call["arguments"].is_object() && !call["arguments"].is_null() {
                        at.find(
                            &MESSAGE,
                            &format!("{field}.tool_calls[{number}].arguments"),
                            format!("found {}", short(&call["arguments"])),
                        );
                    }
                }
            }
        }
    }
}

fn check_metrics(metrics: &Value, at: &mut At<'_>) {
    for (key, value) in metrics.as_object().into_iter().flatten() {
        if key.contains('.') || !value.is_number() {
            let key: String = key.chars().take(100).collect();
            at.find(
                &METRIC,
                &format!("metrics[{key:?}]"),
                format!("found {}", short(value)),
            );
        }
    }
    let tokens = |key: &str| metrics[key].as_f64();
    if let (Some(input), Some(output), Some(total)) = (
        tokens("input_tokens"),
        tokens("output_tokens"),
        tokens("total_tokens"),
    ) && input + output != total
    {
        at.find(
            &TOKENS,
            "metrics",
            format!("{input} and {output}, total {total}"),
        );
    }
}

/// Applies the rules to a metric of an evaluation payload.
pub fn check_evaluation(metric: &Value, place: &str, out: &mut Findings) {
    let mut at = At {
        place,
        chunk: None,
        out,
    };
    let mut wrong =
        |field: &str, value: &Value| at.find(&EVALUATION, field, format!("found {}", short(value)));
    let label = metric["label"].as_str().unwrap_or_default();
    if label.is_empty() || label.contains('.') {
        wrong("label", &metric["label"]);
    }
    let is_feedback = metric["event_kind"] == "feedback";
    let kind = metric["metric_type"].as_str().unwrap_or_default();
    let value = &metric[format!("{kind}_value").as_str()];
    // An evaluator that failed has no value, but says why.
    let has_failed = !metric["error"].is_null();
    let fits = match kind {
        "score" => value.is_number(),
        "categorical" => value.is_string(),
        "boolean" => value.is_boolean(),
        "json" => value.is_object(),
        "text" if is_feedback => value.is_string(),
        _ => {
            wrong("metric_type", &metric["metric_type"]);
            true
        }
    };
    if !fits && !has_failed {
        wrong(&format!("{kind}_value"), value);
    }
    if metric["timestamp_ms"].as_i64().is_none_or(|time| time < 0) {
        wrong("timestamp_ms", &metric["timestamp_ms"]);
    }
    if metric["ml_app"].as_str().is_none_or(str::is_empty) {
        wrong("ml_app", &metric["ml_app"]);
    }
    if !matches!(metric["assessment"].as_str(), None | Some("pass" | "fail")) {
        wrong("assessment", &metric["assessment"]);
    }
    let join = &metric["join_on"];
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let targets = [
        text(&join["span"]["span_id"]) && text(&join["span"]["trace_id"]),
        text(&join["tag"]["key"]) && text(&join["tag"]["value"]),
        text(&metric["span_id"]),
        text(&metric["trace_id"]) && !text(&metric["span_id"]),
        text(&metric["session_id"]),
        metric["feedback_join_key"].is_object() || text(&metric["feedback_join_key"]),
    ];
    if targets.iter().filter(|is| **is).count() != 1 {
        wrong("join_on", join);
    }
    if is_feedback && !text(&metric["submitter"]["id"]) {
        wrong("submitter", &metric["submitter"]);
    }
    for (number, tag) in metric["tags"].as_array().into_iter().flatten().enumerate() {
        if !tag.as_str().is_some_and(|tag| tag.contains(':')) {
            wrong(&format!("tags[{number}]"), tag);
        }
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        other => other.to_string().chars().take(100).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// spec/llmobs.md §22.1, the second event, with ids of their form.
    fn event() -> Value {
        json!({"_dd": {"apm_trace_id": "6720a1b2000000001234567890abcdef", "sample_rate": "1", "sampling_decision": "1", "span_id": "2", "trace_id": "6720a1b2000000001234567890abcdef"},
            "duration": 0, "meta": {"input": {"messages": [{"content": "q?", "role": "user"}]}, "metadata": {"max_tokens": 35}, "model_name": "gpt-4o",
            "model_provider": "openai", "output": {"messages": [{"content": "hi", "role": "assistant", "tool_calls": [{"arguments": {"q": "x"}, "name": "search"}]}]},
            "span": {"kind": "llm"}, "tool_definitions": [{"name": "search"}]},
            "metrics": {"a_b": 1, "input_tokens": 5, "output_tokens": 2, "time_to_first_token": 0.12, "total_tokens": 7},
            "name": "call_llm", "parent_id": "1", "span_id": "2", "start_ns": 0, "status": "ok", "tags": ["env:test", "ml_app:svc"], "trace_id": "t"})
    }

    fn found(event: &Value) -> Vec<String> {
        let mut findings = Findings::default();
        check_span(event, "spans[0]", None, &mut findings);
        findings
            .list
            .iter()
            .map(|found| format!("{} {}", found.rule.id, found.field))
            .collect()
    }

    #[test]
    fn each_rule_has_a_change_of_a_right_event_that_breaks_it_alone() {
        assert_eq!(found(&event()), [""; 0]);
        let cases: [(&str, Value, &str); 17] = [
            ("/name", Value::Null, "llm.field spans[0].name"),
            ("/status", json!("fine"), "llm.field spans[0].status"),
            ("/tags/1", json!("x:y"), "llm.field spans[0].tags"),
            ("/start_ns", json!("soon"), "llm.field spans[0].start_ns"),
            ("/trace_id", json!(""), "llm.id spans[0].trace_id"),
            ("/_dd/span_id", json!("3"), "llm.id spans[0]._dd.span_id"),
            (
                "/_dd/apm_trace_id",
                json!("7"),
                "llm.id spans[0]._dd.apm_trace_id",
            ),
            ("/parent_id", json!("0"), "llm.root spans[0].parent_id"),
            ("/parent_id", json!(""), "llm.root spans[0].parent_id"),
            (
                "/meta/model_name",
                json!(""),
                "llm.model spans[0].meta.model_name",
            ),
            (
                "/meta/input/messages/0/content",
                json!({"a": 1}),
                "llm.message spans[0].meta.input.messages[0].content",
            ),
            (
                "/meta/output/messages/0/tool_calls/0/arguments",
                json!("{}"),
                "llm.message spans[0].meta.output.messages[0].tool_calls[0].arguments",
            ),
            (
                "/metrics",
                json!({"a.b": 1}),
                "llm.metric spans[0].metrics[\"a.b\"]",
            ),
            (
                "/metrics",
                json!({"a": "NaN"}),
                "llm.metric spans[0].metrics[\"a\"]",
            ),
            (
                "/metrics/total_tokens",
                json!(9),
                "llm.tokens spans[0].metrics",
            ),
            (
                "/meta/metadata",
                json!("x".repeat(6 << 20)),
                "llm.large spans[0]",
            ),
            (
                "/meta/output",
                json!({"documents": [{"name": "n"}]}),
                "llm.message spans[0].meta.output.documents[0].text",
            ),
        ];
        for (place, value, expected) in cases {
            let mut event = event();
            *event.pointer_mut(place).unwrap() = value;
            assert_eq!(found(&event), [expected], "{place}");
        }
        let mut tool = event();
        tool["meta"]["span"]["kind"] = json!("tool");
        assert_eq!(
            found(&tool),
            [
                "llm.model spans[0].meta.model_name",
                "llm.model spans[0].meta.model_provider",
                "llm.model spans[0].meta.tool_definitions"
            ]
        );
        tool["meta"] = json!({"span": {"kind": "chain"}});
        assert_eq!(found(&tool), ["llm.kind spans[0].meta.span.kind"]);
    }

    #[test]
    fn evaluations_are_judged_as_the_library_refuses_them() {
        // spec/llmobs.md §22.5: the right one, and the refusals.
        let right = json!({"event_kind": "evaluation", "join_on": {"span": {"span_id": "S", "trace_id": "T"}}, "label": "quality", "metric_type": "score",
            "timestamp_ms": 1_700_000_000_000_i64, "score_value": 0.9, "ml_app": "myapp", "tags": ["k:v"], "eval_scope": "span", "assessment": "pass"});
        let found = |change: &dyn Fn(&mut Value)| {
            let mut metric = right.clone();
            change(&mut metric);
            let mut findings = Findings::default();
            check_evaluation(&metric, "", &mut findings);
            findings
                .list
                .iter()
                .map(|found| found.field.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(found(&|_| ()), [""; 0]);
        assert_eq!(found(&|metric| metric["label"] = json!("a.b")), ["label"]);
        assert_eq!(found(&|metric| metric["label"] = json!("")), ["label"]);
        assert_eq!(
            found(&|metric| metric["score_value"] = json!("1")),
            ["score_value"]
        );
        for (kind, value) in [
            ("categorical", json!(1)),
            ("boolean", json!(1)),
            ("json", json!([1])),
        ] {
            let field = format!("{kind}_value");
            assert_eq!(
                found(&|metric| {
                    metric["metric_type"] = json!(kind);
                    metric[&field] = value.clone();
                }),
                std::slice::from_ref(&field)
            );
        }
        assert_eq!(
            found(&|metric| metric["metric_type"] = json!("text")),
            ["metric_type"]
        );
        assert_eq!(
            found(&|metric| metric["join_on"] = Value::Null),
            ["join_on"]
        );
        assert_eq!(
            found(&|metric| metric["join_on"]["tag"] = json!({"key": "k", "value": "v"})),
            ["join_on"]
        );
        assert_eq!(
            found(&|metric| metric["timestamp_ms"] = json!(-1)),
            ["timestamp_ms"]
        );
        assert_eq!(
            found(&|metric| metric["assessment"] = json!("maybe")),
            ["assessment"]
        );
        assert_eq!(found(&|metric| metric["tags"] = json!(["k"])), ["tags[0]"]);
        assert_eq!(
            found(&|metric| metric["event_kind"] = json!("feedback")),
            ["submitter"]
        );
    }
}
