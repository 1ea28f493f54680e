//! Evaluators that look at calls of models as they end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use ddtrace_core::diagnostics;
use serde_json::Value;

use crate::evaluation::{Evaluation, Metric};
use crate::experiments::{Evaluator, EvaluatorContext, EvaluatorResult, wait};
use crate::json_text::text_of;
use crate::kind::Kind;
use crate::record::Record;
use crate::sampling::keeps;
use crate::span::ExportedSpan;

/// Calls that wait at most; beyond it they are dropped.
const WAITING: usize = 1000;

static HAS_ANY: AtomicBool = AtomicBool::new(false);
static RUNNER: Mutex<Option<Runner>> = Mutex::new(None);

struct Runner {
    evaluators: Vec<Arc<dyn Evaluator>>,
    queue: SyncSender<Asked>,
}

/// One call for one evaluator.
struct Asked {
    evaluator: Arc<dyn Evaluator>,
    context: EvaluatorContext,
    span: ExportedSpan,
    ml_app: String,
}

/// Has an evaluator look at every call of a model that ends from here on, and sends what it thinks as an evaluation of that span.
///
/// It sees the texts of what went in and out, and never what was expected. It may be slow: it runs on a thread that only evaluators use.
pub fn register(evaluator: Arc<dyn Evaluator>) {
    let mut runner = RUNNER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runner) = runner.as_mut() {
        return runner.evaluators.push(evaluator);
    }
    let (queue, waiting) = sync_channel(WAITING);
    let thread = std::thread::Builder::new().name("ddtrace-evaluators".into());
    match thread.spawn(move || work(&waiting)) {
        Ok(_) => {
            let evaluators = vec![evaluator];
            *runner = Some(Runner { evaluators, queue });
            HAS_ANY.store(true, Ordering::Relaxed);
        }
        Err(error) => diagnostics::error(format_args!("evaluators do not run: {error}")),
    }
}

/// Looks whether somebody wants to look at a span that has ended. On the worker: it hands over, and never waits.
pub(crate) fn consider(record: &Record, meta: &serde_json::Map<String, Value>) {
    if !HAS_ANY.load(Ordering::Relaxed) || record.node.kind != Kind::Llm {
        return;
    }
    let runner = RUNNER.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(runner) = runner.as_ref() else {
        return;
    };
    let node = &record.node;
    let name = node.shared().name.clone();
    let rules = node.running.settings.evaluator_rules.as_deref();
    for evaluator in &runner.evaluators {
        if !is_wanted(rules, evaluator.name(), &name, node.span_id) {
            continue;
        }
        let mut context = EvaluatorContext::new(
            content(meta.get("input")),
            content(meta.get("output")),
            Value::Null,
        );
        context.metadata = meta
            .get("metadata")
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        let span = ExportedSpan {
            span_id: node.span_id.to_string(),
            trace_id: node.trace.id.clone(),
        };
        context.span_id.clone_from(&span.span_id);
        context.trace_id.clone_from(&span.trace_id);
        let asked = Asked {
            evaluator: Arc::clone(evaluator),
            context,
            span,
            ml_app: node.ml_app(),
        };
        if runner.queue.try_send(asked).is_err() {
            diagnostics::warn(format_args!(
                "a call of a model is not evaluated: more than {WAITING} wait for it already"
            ));
        }
    }
}

/// The last message's text, or the value.
fn content(io: Option<&Value>) -> Value {
    let Some(io) = io else { return Value::Null };
    let messages = io.get("messages").and_then(Value::as_array);
    let last = messages.and_then(|messages| messages.last()?.get("content"));
    last.or_else(|| io.get("value"))
        .cloned()
        .unwrap_or_default()
}

/// What the first rule that fits says; without one every call is evaluated. Rules that make no sense are left out.
fn is_wanted(rules: Option<&str>, label: &str, span_name: &str, span_id: u64) -> bool {
    let Some(Ok(Value::Array(rules))) = rules.map(serde_json::from_str) else {
        return true;
    };
    let fits =
        |rule: &Value, key: &str, value: &str| rule.get(key).is_none_or(|wanted| wanted == value);
    let rate = rules.iter().find_map(|rule| {
        let rate = rule.get("sample_rate")?;
        let rate = rate.as_f64().or_else(|| rate.as_str()?.parse().ok())?;
        (fits(rule, "evaluator_label", label) && fits(rule, "span_name", span_name)).then_some(rate)
    });
    rate.is_none_or(|rate| keeps(rate, span_id))
}

fn work(waiting: &Receiver<Asked>) {
    while let Ok(asked) = waiting.recv() {
        let name = asked.evaluator.name().to_owned();
        let result = catch_unwind(AssertUnwindSafe(|| {
            wait(asked.evaluator.evaluate(asked.context))
        }));
        match result {
            Ok(Ok(outcome)) => {
                for (label, result) in outcome.labelled(&name) {
                    submit(&label, result, &asked.span, &asked.ml_app);
                }
            }
            Ok(Err(error)) => diagnostics::warn(format_args!("evaluator {name}: {error}")),
            Err(_) => diagnostics::error(format_args!("evaluator {name} panicked")),
        }
    }
}

fn submit(label: &str, result: EvaluatorResult, span: &ExportedSpan, ml_app: &str) {
    let metric = match result.value {
        Value::Null => return,
        Value::Bool(flag) => Metric::Boolean(flag),
        Value::Number(number) => Metric::Score(number.as_f64().unwrap_or_default()),
        Value::Object(map) => Metric::Json(map),
        other => Metric::Categorical(text_of(&other).to_lowercase()),
    };
    let mut evaluation = Evaluation::new(label, metric, span.clone()).ml_app(ml_app);
    if let Some(assessment) = result.assessment {
        evaluation = evaluation.assessment(assessment);
    }
    if let Some(reasoning) = result.reasoning {
        evaluation = evaluation.reasoning(reasoning);
    }
    for (key, value) in result.tags {
        evaluation = evaluation.tag(key, value);
    }
    for (key, value) in result.metadata {
        evaluation = evaluation.metadata(key, value);
    }
    if let Err(error) = evaluation.submit() {
        diagnostics::warn(format_args!("evaluator {label}: {error}"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde_json::json;

    use super::*;
    use crate::experiments::{BoxError, evaluator};
    use crate::testing::Fixture;
    use crate::{Annotation, Message, span};

    #[test]
    fn calls_of_models_are_evaluated_as_they_end() {
        let fixture = Fixture::with(|config| {
            config.set(
                "DD_LLMOBS_EVALUATOR_SAMPLING_RULES",
                r#"[{"sample_rate": 0, "span_name": "other"}, {"sample_rate": "1", "evaluator_label": "length"}]"#,
            )
        });
        register(evaluator(
            "broken",
            |_: &EvaluatorContext| -> Result<bool, BoxError> { panic!("by design") },
        ));
        register(evaluator("length", |call: &EvaluatorContext| {
            Ok(call.output.as_str().unwrap_or_default().len() as i64)
        }));
        for name in ["other", "call"] {
            let llm = span(Kind::Llm).name(name).start();
            llm.annotate(Annotation::new().output(Message::new("assistant", "four")))
                .unwrap();
            llm.finish();
        }
        let task = span(Kind::Task).start();
        task.finish();
        let data = fixture.structs();
        let until = Instant::now() + Duration::from_secs(60);
        let mut sent = Vec::new();
        while sent.is_empty() {
            assert!(Instant::now() < until);
            sent = fixture.queue.take().waiting.evaluations;
            std::thread::sleep(Duration::from_millis(2));
        }
        let call = data.iter().find(|data| data["name"] == "call").unwrap();
        assert_eq!(sent.len(), 1);
        assert_eq!(
            (&sent[0]["label"], &sent[0]["score_value"]),
            (&json!("length"), &json!(4.0))
        );
        assert_eq!(sent[0]["join_on"]["span"]["trace_id"], call["trace_id"]);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let rules = r#"[{"evaluator_label": "a", "span_name": "s", "sample_rate": 0}, {"evaluator_label": "a", "sample_rate": 1}, {"x": 1}, {"sample_rate": 0}]"#;
        for (label, name, expected) in [("a", "s", false), ("a", "t", true), ("b", "s", false)] {
            assert_eq!(
                is_wanted(Some(rules), label, name, 7),
                expected,
                "{label} {name}"
            );
        }
        for rules in [None, Some("nonsense"), Some("[]")] {
            assert!(is_wanted(rules, "a", "s", 7));
        }
    }
}
