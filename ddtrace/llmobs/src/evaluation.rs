//! What somebody thinks of a span: evaluations by programs, feedback by people.
//!
//! Both are metrics that are joined to spans by the backend, by the span's ids or by a tag whose value is unique. They may come long
//! after the span was sent, and from another program.
//!
//! Source: dd-trace-py `ddtrace/llmobs/_eval_metric.py`; `spec/llmobs.md` §13.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use ddtrace_core::export::agent::TRACER_VERSION;
use serde_json::{Map, Value, json};

use crate::span::ExportedSpan;
use crate::switch::Running;
use crate::{queue, switch, telemetry};

/// What is thought.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Metric {
    /// One of some words.
    Categorical(String),
    /// A number.
    Score(f64),
    /// Yes or no.
    Boolean(bool),
    /// Several things.
    Json(Map<String, Value>),
    /// Words of a person's own; feedback only.
    Text(String),
}

impl Metric {
    /// The word on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Categorical(_) => "categorical",
            Self::Score(_) => "score",
            Self::Boolean(_) => "boolean",
            Self::Json(_) => "json",
            Self::Text(_) => "text",
        }
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Self::Categorical(text) | Self::Text(text) => json!(text),
            Self::Score(score) => json!(score),
            Self::Boolean(flag) => json!(flag),
            Self::Json(map) => Value::Object(map.clone()),
        }
    }
}

/// Which spans an evaluation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// One span.
    Span(ExportedSpan),
    /// The span with this value of a tag.
    Tag {
        /// The tag.
        key: String,
        /// Its value.
        value: String,
    },
}

impl Target {
    /// The span with this value of a tag.
    pub fn tag(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self::Tag {
            key: key.into(),
            value: value.into(),
        }
    }
}

impl From<ExportedSpan> for Target {
    fn from(span: ExportedSpan) -> Self {
        Self::Span(span)
    }
}

/// Whether what was evaluated is good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the words are those of the wire")]
pub enum Assessment {
    Pass,
    Fail,
}

impl Assessment {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
        }
    }

    /// The assessment that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Pass, Self::Fail]
            .into_iter()
            .find(|it| it.as_str() == word)
    }
}

/// Whether an evaluation is about a span or about its whole trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the words are those of the wire")]
pub enum Scope {
    #[default]
    Span,
    Trace,
}

impl Scope {
    fn as_str(self) -> &'static str {
        match self {
            Self::Span => "span",
            Self::Trace => "trace",
        }
    }
}

/// What a program thinks of a span; [`submit`](Self::submit) sends it.
///
/// ```
/// use ddtrace_llmobs::{Assessment, Evaluation, Kind, Metric, span};
///
/// let call = span(Kind::Llm).start();
/// if let Some(exported) = call.export() {
///     Evaluation::new("quality", Metric::Score(0.9), exported)
///         .assessment(Assessment::Pass)
///         .reasoning("short and right")
///         .submit()?;
/// }
/// # Ok::<(), ddtrace_llmobs::EvaluationError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `submit()`"]
pub struct Evaluation {
    said: Said,
    target: Target,
    scope: Scope,
}

/// What evaluations and feedback have in common.
#[derive(Clone, Debug)]
struct Said {
    label: String,
    metric: Metric,
    tags: BTreeMap<String, String>,
    ml_app: Option<String>,
    timestamp_ms: Option<u64>,
    metadata: Map<String, Value>,
    assessment: Option<Assessment>,
    reasoning: Option<String>,
}

/// Why an evaluation or a feedback was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// A label is missing.
    #[error("expected a label, found an empty one")]
    NoLabel,
    /// Dots break what reads labels.
    #[error("expected a label without a dot, found {0}")]
    DotInLabel(String),
    /// A score has to be a number.
    #[error("expected a number as score, found {0}")]
    NoNumber(String),
    /// Only people have words of their own.
    #[error("expected a categorical, score, boolean or json metric, found text")]
    TextIsFeedback,
    /// Nobody is named.
    #[error("expected the id of who submits it, found an empty one")]
    NoSubmitter,
    /// Nothing is named.
    #[error("expected an id of what it is about, found an empty one")]
    NoTarget,
}

impl EvaluationError {
    fn label(&self) -> &'static str {
        match self {
            Self::NoLabel => "invalid_metric_label",
            Self::DotInLabel(_) => "invalid_label_value",
            Self::NoNumber(_) => "invalid_metric_value",
            Self::TextIsFeedback => "invalid_metric_type",
            Self::NoSubmitter => "invalid_submitter",
            Self::NoTarget => "invalid_span",
        }
    }
}

macro_rules! common_methods {
    () => {
        /// Adds a tag.
        pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
            self.said.tags.insert(key.into(), value.into());
            self
        }

        /// Says which application the span belongs to; without, the one that is set.
        pub fn ml_app(mut self, name: impl Into<String>) -> Self {
            self.said.ml_app = Some(name.into());
            self
        }

        /// Says when it was thought, in milliseconds since the epoch; without, now.
        pub fn timestamp_ms(mut self, milliseconds: u64) -> Self {
            self.said.timestamp_ms = Some(milliseconds);
            self
        }

        /// Says whether what was evaluated is good enough.
        pub fn assessment(mut self, assessment: Assessment) -> Self {
            self.said.assessment = Some(assessment);
            self
        }

        /// Says why.
        pub fn reasoning(mut self, reasoning: impl Into<String>) -> Self {
            self.said.reasoning = Some(reasoning.into());
            self
        }
    };
}

impl Evaluation {
    /// An evaluation by its label, of a span.
    pub fn new(label: impl Into<String>, metric: Metric, target: impl Into<Target>) -> Self {
        Self {
            said: Said::new(label.into(), metric),
            target: target.into(),
            scope: Scope::Span,
        }
    }

    common_methods!();

    /// Adds something that is worth knowing.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.said.metadata.insert(key.into(), value.into());
        self
    }

    /// Says that it is about the whole trace.
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// Sends it. While the product is off nothing happens.
    pub fn submit(self) -> Result<(), EvaluationError> {
        let kind = self.said.metric.kind();
        submit("evals_submitted", kind, |running| self.event(running))
    }

    /// The evaluation as it stands in a request.
    pub(crate) fn event(self, running: &Running) -> Result<Value, EvaluationError> {
        let join_on = match &self.target {
            Target::Span(span) if span.span_id.is_empty() || span.trace_id.is_empty() => {
                return Err(EvaluationError::NoTarget);
            }
            Target::Span(span) => json!({ "span": span }),
            Target::Tag { key, .. } if key.is_empty() => return Err(EvaluationError::NoTarget),
            Target::Tag { key, value } => json!({ "tag": { "key": key, "value": value } }),
        };
        if matches!(self.said.metric, Metric::Text(_)) {
            return Err(EvaluationError::TextIsFeedback);
        }
        let mut map = self
            .said
            .event("evaluation", running, running.settings.otel)?;
        map.insert("join_on".into(), join_on);
        map.insert("eval_scope".into(), self.scope.as_str().into());
        if !self.said.metadata.is_empty() {
            map.insert("metadata".into(), self.said.metadata.into());
        }
        Ok(map.into())
    }
}

impl Said {
    fn new(label: String, metric: Metric) -> Self {
        Self {
            label,
            metric,
            tags: BTreeMap::new(),
            ml_app: None,
            timestamp_ms: None,
            metadata: Map::new(),
            assessment: None,
            reasoning: None,
        }
    }

    fn event(
        &self,
        event_kind: &str,
        running: &Running,
        is_otel: bool,
    ) -> Result<Map<String, Value>, EvaluationError> {
        if self.label.is_empty() {
            return Err(EvaluationError::NoLabel);
        }
        if self.label.contains('.') {
            return Err(EvaluationError::DotInLabel(self.label.clone()));
        }
        if let Metric::Score(score) = self.metric {
            if !score.is_finite() {
                return Err(EvaluationError::NoNumber(score.to_string()));
            }
        }
        let ml_app = self.ml_app.as_ref().filter(|app| !app.is_empty());
        let ml_app = ml_app.unwrap_or(&running.settings.ml_app);
        let mut tags = vec![
            format!("ddtrace.version:{TRACER_VERSION}"),
            format!("ml_app:{ml_app}"),
        ];
        for (key, value) in &self.tags {
            match key.as_str() {
                "ddtrace.version" => tags[0] = format!("{key}:{value}"),
                "ml_app" => tags[1] = format!("{key}:{value}"),
                _ => tags.push(format!("{key}:{value}")),
            }
        }
        if is_otel {
            // The backend then waits for the span to be converted.
            tags.retain(|tag| !tag.starts_with("source:"));
            tags.push("source:otel".into());
        }
        let kind = self.metric.kind();
        let mut map = Map::new();
        map.insert("event_kind".into(), event_kind.into());
        map.insert("label".into(), self.label.clone().into());
        map.insert("metric_type".into(), kind.into());
        map.insert(
            "timestamp_ms".into(),
            self.timestamp_ms
                .filter(|at| *at > 0)
                .unwrap_or_else(now)
                .into(),
        );
        map.insert(format!("{kind}_value"), self.metric.to_value());
        map.insert("ml_app".into(), ml_app.clone().into());
        map.insert("tags".into(), tags.into());
        if let Some(assessment) = self.assessment {
            map.insert("assessment".into(), assessment.as_str().into());
        }
        if let Some(reasoning) = self.reasoning.as_ref().filter(|text| !text.is_empty()) {
            map.insert("reasoning".into(), reasoning.clone().into());
        }
        Ok(map)
    }
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn submit(
    metric: &str,
    kind: &str,
    event: impl FnOnce(&Running) -> Result<Value, EvaluationError>,
) -> Result<(), EvaluationError> {
    let running = switch::running().filter(|_| switch::is_on());
    let Some(running) = running else {
        switch::warn_that_it_is_off();
        return Ok(());
    };
    let event = event(&running);
    let error = event.as_ref().err().map(EvaluationError::label);
    telemetry::evaluated(metric, kind, error);
    queue::send_evaluation(event?);
    Ok(())
}

/// What a piece of feedback is about.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FeedbackTarget {
    /// A span, by its id.
    Span(String),
    /// A trace, by its id.
    Trace(String),
    /// A session.
    Session(String),
    /// Whatever has this key.
    JoinKey(String),
}

impl FeedbackTarget {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Span(id) => ("span_id", id),
            Self::Trace(id) => ("trace_id", id),
            Self::Session(id) => ("session_id", id),
            Self::JoinKey(key) => ("feedback_join_key", key),
        }
    }
}

/// Feedback takes the id of the span only.
impl From<ExportedSpan> for FeedbackTarget {
    fn from(span: ExportedSpan) -> Self {
        Self::Span(span.span_id)
    }
}

/// Who gives feedback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitter {
    /// Who.
    pub id: String,
    /// What sort of somebody: `user`, `reviewer`, …
    pub kind: Option<String>,
}

impl Submitter {
    /// Somebody, by their id.
    pub fn new(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            kind: None,
        }
    }
}

/// What a person thinks; [`submit`](Self::submit) sends it.
#[derive(Clone, Debug)]
#[must_use = "nothing is sent before `submit()`"]
pub struct Feedback {
    said: Said,
    target: FeedbackTarget,
    submitter: Submitter,
}

impl Feedback {
    /// A piece of feedback by its label.
    pub fn new(
        label: impl Into<String>,
        metric: Metric,
        target: impl Into<FeedbackTarget>,
        submitter: Submitter,
    ) -> Self {
        Self {
            said: Said::new(label.into(), metric),
            target: target.into(),
            submitter,
        }
    }

    common_methods!();

    /// Sends it. While the product is off nothing happens.
    pub fn submit(self) -> Result<(), EvaluationError> {
        let kind = self.said.metric.kind();
        submit("feedback_submitted", kind, |running| self.event(running))
    }

    fn event(self, running: &Running) -> Result<Value, EvaluationError> {
        let (key, id) = self.target.parts();
        if id.is_empty() {
            return Err(EvaluationError::NoTarget);
        }
        if self.submitter.id.is_empty() {
            return Err(EvaluationError::NoSubmitter);
        }
        let mut map = self.said.event("feedback", running, false)?;
        map.insert(key.into(), id.into());
        let mut submitter = json!({ "id": self.submitter.id });
        if let Some(kind) = &self.submitter.kind {
            submitter["type"] = kind.clone().into();
        }
        map.insert("submitter".into(), submitter);
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn sent(fixture: &Fixture) -> Vec<Value> {
        fixture.queue.take().waiting.evaluations
    }

    fn exported() -> ExportedSpan {
        ExportedSpan {
            span_id: "S".into(),
            trace_id: "T".into(),
        }
    }

    /// `spec/llmobs.md` §22.5.
    #[test]
    fn an_evaluation_is_what_the_reference_sends() {
        let fixture = Fixture::with(|config| config.set("DD_LLMOBS_ML_APP", "myapp"));
        Evaluation::new("quality", Metric::Score(0.9), exported())
            .assessment(Assessment::Pass)
            .reasoning("r")
            .metadata("m", 1)
            .tag("k", "v")
            .timestamp_ms(1_700_000_000_000)
            .submit()
            .unwrap();
        assert_eq!(
            sent(&fixture),
            [json!({
                "event_kind": "evaluation", "join_on": {"span": {"span_id": "S", "trace_id": "T"}}, "label": "quality",
                "metric_type": "score", "timestamp_ms": 1_700_000_000_000_u64, "score_value": 0.9, "ml_app": "myapp",
                "tags": [format!("ddtrace.version:{TRACER_VERSION}"), "ml_app:myapp", "k:v"], "eval_scope": "span",
                "assessment": "pass", "reasoning": "r", "metadata": {"m": 1},
            })]
        );
    }

    #[test]
    fn every_type_of_metric_and_target_has_its_place() {
        let fixture = Fixture::with(|config| config.set("DD_TRACE_OTEL_ENABLED", "true"));
        for metric in [
            Metric::Categorical("good".into()),
            Metric::Boolean(true),
            Metric::Json(Map::from_iter([("a".to_owned(), json!(1))])),
        ] {
            let kind = metric.kind();
            let value = metric.to_value();
            Evaluation::new("l", metric, Target::tag("id", "7"))
                .scope(Scope::Trace)
                .submit()
                .unwrap();
            let event = &sent(&fixture)[0];
            assert_eq!(event[format!("{kind}_value")], value);
            assert_eq!(
                event["join_on"],
                json!({"tag": {"key": "id", "value": "7"}})
            );
            assert_eq!(
                (&event["eval_scope"], &event["ml_app"]),
                (&json!("trace"), &json!("test"))
            );
            assert!(event["timestamp_ms"].as_u64().unwrap() > 1_700_000_000_000);
            assert_eq!(event["tags"][2], "source:otel");
        }
    }

    #[test]
    fn what_types_cannot_rule_out_is_refused() {
        let fixture = Fixture::new();
        let evaluation = |label: &str, metric| Evaluation::new(label, metric, exported()).submit();
        assert_eq!(
            evaluation("", Metric::Boolean(true)),
            Err(EvaluationError::NoLabel)
        );
        assert!(matches!(
            evaluation("a.b", Metric::Boolean(true)),
            Err(EvaluationError::DotInLabel(_))
        ));
        assert!(matches!(
            evaluation("l", Metric::Score(f64::NAN)),
            Err(EvaluationError::NoNumber(_))
        ));
        assert_eq!(
            evaluation("l", Metric::Text("x".into())),
            Err(EvaluationError::TextIsFeedback)
        );
        let nowhere = Evaluation::new("l", Metric::Boolean(true), ExportedSpan::default());
        assert_eq!(nowhere.submit(), Err(EvaluationError::NoTarget));
        let nobody = Feedback::new("l", Metric::Boolean(true), exported(), Submitter::new(""));
        assert_eq!(nobody.submit(), Err(EvaluationError::NoSubmitter));
        assert!(sent(&fixture).is_empty());
        crate::disable();
        assert_eq!(evaluation("l", Metric::Boolean(true)), Ok(()));
        assert!(sent(&fixture).is_empty());
    }

    #[test]
    fn feedback_names_who_and_one_thing() {
        let fixture = Fixture::new();
        let submitter = Submitter {
            kind: Some("user".into()),
            ..Submitter::new("u1")
        };
        for (target, key) in [
            (FeedbackTarget::from(exported()), "span_id"),
            (FeedbackTarget::Trace("S".into()), "trace_id"),
            (FeedbackTarget::Session("S".into()), "session_id"),
            (FeedbackTarget::JoinKey("S".into()), "feedback_join_key"),
        ] {
            Feedback::new(
                "helpful",
                Metric::Text("yes!".into()),
                target,
                submitter.clone(),
            )
            .submit()
            .unwrap();
            let event = &sent(&fixture)[0];
            assert_eq!(event["event_kind"], "feedback");
            assert_eq!(
                (&event[key], &event["text_value"]),
                (&json!("S"), &json!("yes!"))
            );
            assert_eq!(event["submitter"], json!({"id": "u1", "type": "user"}));
            assert!(event.get("join_on").is_none() && event.get("eval_scope").is_none());
        }
    }
}
