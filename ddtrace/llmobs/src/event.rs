//! From what was said about a span to what is sent of it.
//!
//! The same event goes one of two ways. On the trace it is a map without what the span says anyway (ids, times, status); in a
//! request of its own it has these as well. The rule about sizes holds for both: an event that is too large loses its input and output,
//! and says so, because a trace that is too large would be lost with everything in it.
//!
//! Sources: dd-trace-py `ddtrace/llmobs/_llmobs.py`, `_event_types.py`; `spec/llmobs.md` §3, §4, §18.

use std::collections::BTreeMap;

use ddtrace_core::export::FinishedSpan;
use ddtrace_core::trace::Settled;
use serde_json::{Map, Value, json};

use crate::annotation::ErrorText;
use crate::json_text::{flattened, into_text};
use crate::kind::Kind;
use crate::model::Message;
use crate::msgpack;
use crate::processor::{self, Verdict};
use crate::queue;
use crate::record::Record;
use crate::route::Mode;
use crate::said::{Io, Said};
use crate::telemetry;

/// The key in structured data.
pub(crate) const STRUCT: &str = "_llmobs";
/// The mark of a span whose event goes by itself.
const SUBMITTED: &str = "_dd.llmobs.submitted";
/// What stands where something was.
pub(crate) const DROPPED: &str =
    "[This value has been dropped because this span's size exceeds the 5MB size limit.]";

/// Tags of a span, without those that come of its end.
pub(crate) fn tags(record: &Record, said: &Said, service: &str) -> BTreeMap<String, String> {
    let node = &record.node;
    let mut tags = node.running.settings.tags.clone();
    let mut set = |key: &str, value: &str| tags.insert(key.to_owned(), value.to_owned());
    set("service", service);
    let ml_app = node.ml_app();
    set("ml_app", &ml_app);
    set("agent_service", &ml_app);
    if let Some(id) = &node.shared().session_id {
        set("session_id", id);
    }
    if record.is_macro {
        set("decorator", "1");
    }
    if let Some(name) = record.integration {
        set("integration", name);
    }
    if node.kind == Kind::Agent {
        if let Some(version) = &said.agent_version {
            set("agent_version", version);
        }
    }
    for (key, value) in node.experiment.iter().flat_map(|tags| tags.iter()) {
        set(key, value);
    }
    tags.extend(
        said.tags
            .iter()
            .map(|(key, value)| (key.clone(), value.clone())),
    );
    tags
}

/// Builds the event and sends it on its way; what the span carries of it is the result.
pub(crate) fn settle(
    record: &Record,
    said: &mut Said,
    span: &FinishedSpan<'_>,
    is_kept: bool,
) -> Settled {
    let node = &record.node;
    let mut settled = Settled::default();
    if record.integration.is_some() {
        shadow_tags(record, said, &mut settled);
    }
    if let Some(error) = &said.error {
        settled.is_failed = true;
        for (key, text) in [
            ("error.type", &error.kind),
            ("error.message", &error.message),
            ("error.stack", &error.stack),
        ] {
            if !text.is_empty() && span.meta(key).is_none() {
                settled.meta.push((key, text.clone()));
            }
        }
    }
    if !record.is_reported {
        return settled;
    }
    node.running.links.note(record, said);
    gen_ai_tags(record, said, &mut settled);
    let mode = node.running.mode();
    let rides = match mode {
        Mode::ApmAgentless => true,
        Mode::ApmAgent => is_kept,
        Mode::AgentProxy | Mode::Agentless => false,
    };
    let all_tags = tags(record, said, span.service);
    if processor::apply(&node.running, node.kind, said, &all_tags) == Verdict::Drop {
        return settled;
    }
    let event = Event {
        meta: meta(record, said, span, mode != Mode::ApmAgentless || !rides),
        metrics: metrics(said),
        tags: all_tags,
        links: links(said),
        config: said.config.take().map(flattened),
    };

    #[cfg(feature = "evaluators")]
    crate::evaluators::consider(record, &event.meta);
    if rides {
        let bytes = event.encode_for_trace(record, mode);
        settled.meta_struct = Some((STRUCT, bytes));
        telemetry::finished(record, span, mode);
    } else {
        let mode = node.running.intake_mode();
        settled.meta.push((SUBMITTED, "1".to_owned()));
        telemetry::finished(record, span, mode);
        event.send(record, span);
    }
    settled
}

/// An event without what its span says.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) meta: Map<String, Value>,
    metrics: Value,
    tags: BTreeMap<String, String>,
    links: Vec<Value>,
    config: Option<Value>,
}

fn meta(
    record: &Record,
    said: &mut Said,
    span: &FinishedSpan<'_>,
    says_error: bool,
) -> Map<String, Value> {
    let node = &record.node;
    let kind = node.kind;
    let mut meta = Map::new();
    meta.insert("span".into(), json!({ "kind": kind.as_str() }));
    meta.insert("metadata".into(), metadata(record, said).into());
    if kind.has_model() {
        let or_unknown = |name: &Option<String>| match name.as_deref() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => "unknown".to_owned(),
        };
        meta.insert("model_name".into(), or_unknown(&said.model_name).into());
        let provider = or_unknown(&said.model_provider).to_lowercase();
        meta.insert("model_provider".into(), provider.into());
    }
    if kind == Kind::Llm && !said.tool_definitions.is_empty() {
        meta.insert("tool_definitions".into(), json!(said.tool_definitions));
    }
    if kind == Kind::Tool {
        let name = node.shared().name.clone();
        let inherited = || {
            let parent = node
                .parent
                .as_ref()
                .filter(|parent| parent.kind == Kind::Llm)?;
            parent.shared().tool_versions.get(&name).cloned()
        };
        if let Some(version) = said.tool_version.clone().or_else(inherited) {
            meta.insert("tool".into(), json!({ "version": version }));
        }
    }
    if let Some(intent) = said.intent.as_deref().filter(|intent| !intent.is_empty()) {
        meta.insert("intent".into(), intent.into());
    }
    if let Some(expected) = said.expected_output.take() {
        meta.insert("expected_output".into(), expected);
    }
    let own = said.error.take();
    if says_error && (span.error || own.is_some()) {
        let text = |key| span.meta(key).unwrap_or_default().to_owned();
        let error = own.unwrap_or_else(|| ErrorText {
            kind: text("error.type"),
            message: text("error.message"),
            stack: text("error.stack"),
        });
        let error = json!({ "message": error.message, "stack": error.stack, "type": error.kind });
        meta.insert("error".into(), error);
    }
    if let Some(agent) = &node.agent {
        let agent = json!({ "pagent_name": agent.name, "pagent_span_id": agent.span_id });
        meta.insert("agent_attribution".into(), agent);
    }
    let mut input = io(std::mem::take(&mut said.input));
    if let Some(prompt) = prompt(record, said) {
        let map = input.get_or_insert_with(|| json!({}));
        if let Value::Object(map) = map {
            map.insert("prompt".into(), prompt.into());
        }
    }
    if let Some(input) = input {
        meta.insert("input".into(), input);
    }
    if let Some(output) = io(std::mem::take(&mut said.output)) {
        meta.insert("output".into(), output);
    }
    match flattened(Value::Object(meta)) {
        Value::Object(meta) => meta,
        _ => Map::new(),
    }
}

/// The prompt of a model's span: its own, or that of the span above it.
fn prompt(record: &Record, said: &mut Said) -> Option<Map<String, Value>> {
    let node = &record.node;
    let own = said.prompt.take();
    if node.kind != Kind::Llm {
        if own.is_some() {
            ddtrace_core::diagnostics::warn(format_args!(
                "a prompt is left out: it means something on spans of kind llm only"
            ));
        }
        return None;
    }
    let inherited = || node.parent.as_ref()?.shared().prompt.clone();
    own.or_else(inherited).map(|prompt| prompt.0)
}

fn metadata(record: &Record, said: &mut Said) -> Map<String, Value> {
    let mut metadata = std::mem::take(&mut said.metadata);
    // Reserved: what is in it is ours.
    metadata.remove("_dd");
    let mut own = Map::new();
    if !said.cost_tags.is_empty() {
        own.insert("cost_tags".into(), json!(said.cost_tags));
    }
    if record.node.kind == Kind::Agent && !said.manifest.is_empty() {
        let mut manifest = std::mem::take(&mut said.manifest);
        if !manifest.contains_key("name") {
            manifest.insert("name".into(), record.node.shared().name.clone().into());
        }
        own.insert("agent_manifest".into(), manifest.into());
    }
    if !own.is_empty() {
        metadata.insert("_dd".into(), own.into());
    }
    metadata
}

/// Input or output as it stands in the event.
fn io(io: Io) -> Option<Value> {
    Some(match io {
        Io::Nothing => return None,
        Io::Value(value) => json!({ "value": into_text(value) }),
        Io::Messages(messages) => {
            let messages: Vec<Value> = messages.iter().map(Message::to_wire).collect();
            json!({ "messages": messages })
        }
        Io::Documents(documents) => json!({ "documents": documents }),
        Io::Raw(value) => value,
    })
}

/// Numbers without a fraction are integers.
fn number(value: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() < EXACT {
        json!(value as i64)
    } else {
        json!(value)
    }
}

fn metrics(said: &Said) -> Value {
    let metrics = said.metrics.iter();
    Value::Object(
        metrics
            .map(|(key, value)| (key.clone(), number(*value)))
            .collect(),
    )
}

fn links(said: &Said) -> Vec<Value> {
    let links = said.links.iter().map(|link| {
        json!({
            "span_id": link.span_id, "trace_id": link.trace_id, "attributes": {"from": "output", "to": "input"},
        })
    });
    links.collect()
}

impl Event {
    /// What every form of it says about the decision.
    fn decision(record: &Record) -> Map<String, Value> {
        let mut dd = Map::new();
        if let Some(decision) = record.node.decision() {
            dd.insert("sample_rate".into(), decision.rate.clone().into());
            dd.insert("sampling_decision".into(), decision.word().into());
        }
        if record.node.experiment.is_some() {
            dd.insert("scope".into(), "experiments".into());
        }
        dd
    }

    /// The map that rides on a trace, as msgpack.
    fn encode_for_trace(self, record: &Record, mode: Mode) -> Vec<u8> {
        let node = &record.node;
        let (name, session) = {
            let shared = node.shared();
            (shared.name.clone(), shared.session_id.clone())
        };
        let tags = self.tags.into_iter().map(|(key, value)| {
            // What reads these takes a dot for a level.
            let key = if mode == Mode::ApmAgentless {
                key.replace('.', "_")
            } else {
                key
            };
            (key, value.into())
        });
        let mut map = Map::new();
        map.insert("name".into(), name.into());
        map.insert("parent_id".into(), node.parent_id.clone().into());
        map.insert("trace_id".into(), node.trace.id.clone().into());
        map.insert("ml_app".into(), node.ml_app().into());
        map.insert("tags".into(), Value::Object(tags.collect()));
        map.insert("metrics".into(), self.metrics);
        map.insert("meta".into(), self.meta.into());
        map.insert("_dd".into(), Self::decision(record).into());
        if let Some(id) = session {
            map.insert("session_id".into(), id.into());
        }
        if !self.links.is_empty() {
            map.insert("span_links".into(), self.links.into());
        }
        if let Some(config) = self.config {
            map.insert("config".into(), config);
        }
        if let Some(agent) = &node.agent {
            map.insert("pagent_name".into(), json!(agent.name));
            map.insert("pagent_span_id".into(), agent.span_id.clone().into());
        }
        let encoded = msgpack::encode(&map);
        let size = encoded.len();
        let limit = node.running.settings.event_limit;
        let encoded = if size >= limit {
            shorten(&mut map, size, limit);
            map.insert("collection_errors".into(), json!(["dropped_io"]));
            msgpack::encode(&map)
        } else {
            encoded
        };
        telemetry::sizes(record, size, encoded.len(), size >= limit);
        encoded
    }

    /// The event by itself, as JSON, into the queue.
    fn send(mut self, record: &Record, span: &FinishedSpan<'_>) {
        let node = &record.node;
        let is_failed = self.meta.contains_key("error");
        self.tags
            .insert("error".into(), u8::from(is_failed).to_string());
        let kind = self
            .meta
            .get("error")
            .and_then(|error| error.get("type")?.as_str());
        if let Some(kind) = kind.filter(|kind| !kind.is_empty()).map(str::to_owned) {
            self.tags.insert("error_type".into(), kind);
        }
        let tags = self
            .tags
            .into_iter()
            .map(|(key, value)| format!("{key}:{value}"));
        let mut tags: Vec<String> = tags.collect();
        tags.sort();
        let (name, session) = {
            let shared = node.shared();
            (shared.name.clone(), shared.session_id.clone())
        };
        let mut dd = Self::decision(record);
        let trace_id = span.trace_id.to_string();
        dd.insert("span_id".into(), span.span_id.to_string().into());
        dd.insert("trace_id".into(), trace_id.clone().into());
        dd.insert("apm_trace_id".into(), trace_id.into());
        let mut map = Map::new();
        map.insert("trace_id".into(), node.trace.id.clone().into());
        map.insert("span_id".into(), span.span_id.to_string().into());
        map.insert("parent_id".into(), node.parent_id.clone().into());
        map.insert("name".into(), name.into());
        map.insert("start_ns".into(), span.start.into());
        map.insert("duration".into(), span.duration.into());
        map.insert(
            "status".into(),
            if is_failed { "error" } else { "ok" }.into(),
        );
        map.insert("meta".into(), self.meta.into());
        map.insert("metrics".into(), self.metrics);
        map.insert("tags".into(), tags.into());
        map.insert("_dd".into(), dd.into());
        if let Some(id) = session {
            map.insert("session_id".into(), id.into());
        }
        if !self.links.is_empty() {
            map.insert("span_links".into(), self.links.into());
        }
        if let Some(config) = self.config {
            map.insert("config".into(), config);
        }
        let is_experiment = node.experiment.is_some();
        let bytes = envelope(&map, is_experiment);
        let size = bytes.len();
        let limit = node.running.settings.event_limit;
        let bytes = if size >= limit {
            shorten(&mut map, size, limit);
            map.insert("collection_errors".into(), json!(["dropped_io"]));
            envelope(&map, is_experiment)
        } else {
            bytes
        };
        telemetry::sizes(record, size, bytes.len(), size >= limit);
        queue::send_span(bytes);
    }
}

/// Takes input and output out of an event.
fn shorten(map: &mut Map<String, Value>, size: usize, limit: usize) {
    ddtrace_core::diagnostics::warn(format_args!(
        "input and output of a span are left out: it has {size} bytes, and {limit} are too many"
    ));
    if let Some(Value::Object(meta)) = map.get_mut("meta") {
        meta.insert("input".into(), json!({ "value": DROPPED }));
        meta.insert("output".into(), json!({ "value": DROPPED }));
    }
}

/// An event as an element of a request.
fn envelope(event: &Map<String, Value>, is_experiment: bool) -> Vec<u8> {
    let mut map = json!({
        "_dd.stage": "raw",
        "_dd.tracer_version": ddtrace_core::export::agent::TRACER_VERSION,
        "event_type": "span",
        "spans": [event],
    });
    if is_experiment {
        map["_dd.scope"] = "experiments".into();
    }
    // Maps of texts cannot fail to be JSON.
    serde_json::to_vec(&map).unwrap_or_default()
}

const TOKENS: [(&str, &str); 6] = [
    ("input_tokens", "gen_ai.usage.input_tokens"),
    ("output_tokens", "gen_ai.usage.output_tokens"),
    ("total_tokens", "gen_ai.usage.total_tokens"),
    (
        "cache_read_input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
    ),
    (
        "cache_write_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
    ),
    (
        "reasoning_output_tokens",
        "gen_ai.usage.reasoning_output_tokens",
    ),
];

const SHADOWS: [(&str, &str); 5] = [
    ("input_tokens", "_dd.llmobs.input_tokens"),
    ("output_tokens", "_dd.llmobs.output_tokens"),
    ("total_tokens", "_dd.llmobs.total_tokens"),
    (
        "cache_read_input_tokens",
        "_dd.llmobs.cache_read_input_tokens",
    ),
    (
        "cache_write_input_tokens",
        "_dd.llmobs.cache_write_input_tokens",
    ),
];

/// What OpenTelemetry calls these things, on the span.
fn gen_ai_tags(record: &Record, said: &Said, settled: &mut Settled) {
    let node = &record.node;
    let kind = node.kind;
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let unknown = || kind.has_model().then(|| "unknown".to_owned());
    let model = filled(&said.model_name).or_else(unknown);
    let provider = filled(&said.model_provider).or_else(unknown);
    let texts = [
        ("gen_ai.operation.name", Some(kind.as_str().to_owned())),
        ("gen_ai.request.model", model),
        (
            "gen_ai.provider.name",
            provider.map(|name| name.to_lowercase()),
        ),
        ("gen_ai.application.name", Some(node.ml_app())),
        ("gen_ai.conversation.id", node.shared().session_id.clone()),
        // Without it the backend would make a second span of these tags.
        ("_dd.llmobs.artificial_gen_ai_tags", Some("true".to_owned())),
    ];
    let texts = texts
        .into_iter()
        .filter_map(|(key, text)| Some((key, text?)));
    settled.meta.extend(texts);
    if kind.has_model() {
        let tokens = TOKENS.iter();
        let tokens = tokens.filter_map(|(key, tag)| Some((*tag, *said.metrics.get(*key)?)));
        settled.metrics.extend(tokens);
    }
}

/// What integrations say on the span whether the product is on or not.
fn shadow_tags(record: &Record, said: &Said, settled: &mut Settled) {
    let enabled = f64::from(u8::from(record.is_reported));
    settled.metrics.push(("_dd.llmobs.enabled", enabled));
    let kind = record.node.kind.as_str().to_owned();
    settled.meta.push(("_dd.llmobs.span_kind", kind));
    for (key, text) in [
        ("_dd.llmobs.model_name", &said.model_name),
        ("_dd.llmobs.model_provider", &said.model_provider),
    ] {
        if let Some(text) = text {
            settled.meta.push((key, text.clone()));
        }
    }
    let tokens = SHADOWS.iter();
    let tokens = tokens.filter_map(|(key, tag)| Some((*tag, *said.metrics.get(*key)?)));
    settled.metrics.extend(tokens);
}
