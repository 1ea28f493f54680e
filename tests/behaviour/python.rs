//! The Python tracer upstream and downstream of us: the same ids, the same decision, the same tags.

use ddtrace::sampling::SamplingPriority;
use ddtrace::test_support::Recorder;
use ddtrace::{Span, TraceId};
use ddtrace_core::trace::Site;
use ddtrace_tests::process::Process;
use ddtrace_tests::service;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;

ddtrace_core::site! { static SERVE: Site = Site::new("serve", "serve", module_path!(), file!(), line!()); }

type Headers = BTreeMap<String, String>;

const STYLES: [&str; 3] = ["datadog", "tracecontext", "datadog,tracecontext"];

/// The Python tracer, waiting for requests.
struct Python(Process);

impl Python {
    #[track_caller]
    fn start(styles: &str) -> Option<Python> {
        let mut command = Command::new(service::python()?);
        command.arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/python/propagation.py"
        ));
        command.env("DD_TRACE_PROPAGATION_STYLE", styles);
        command
            .env("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
            .env("DD_REMOTE_CONFIGURATION_ENABLED", "false");
        Some(Python(Process::start(&mut command)))
    }

    #[track_caller]
    fn ask(&mut self, request: &Value) -> Value {
        self.0.say(&request.to_string());
        serde_json::from_str(&self.0.line("")).expect("JSON")
    }

    #[track_caller]
    fn inject(&mut self, case: &Case) -> Headers {
        let context = json!({
            "trace_id": case.trace_id, "span_id": case.span_id, "priority": case.priority, "meta": case.meta,
        });
        let answer = self.ask(&json!({ "inject": context }));
        serde_json::from_value(answer["headers"].clone()).expect("headers")
    }

    #[track_caller]
    fn extract(&mut self, headers: &Headers) -> Value {
        self.ask(&json!({ "extract": headers }))
    }
}

struct Case {
    trace_id: &'static str,
    span_id: &'static str,
    priority: i32,
    meta: Value,
}

fn cases() -> Vec<Case> {
    let case = |trace_id, span_id, priority, meta| Case {
        trace_id,
        span_id,
        priority,
        meta,
    };
    vec![
        case(
            "640cfd8d00000000abcdefab12345678",
            "abcdefab12345678",
            2,
            json!({ "_dd.p.dm": "-4" }),
        ),
        case(
            "640cfd8d00000000abcdefab12345678",
            "0000000000000001",
            1,
            json!({ "_dd.p.dm": "-0" }),
        ),
        case(
            "00000000000000000000000000000001",
            "ffffffffffffffff",
            0,
            json!({}),
        ),
        case(
            "ffffffffffffffffffffffffffffffff",
            "7fffffffffffffff",
            -1,
            json!({ "_dd.p.dm": "-3" }),
        ),
        case(
            "640cfd8d00000000abcdefab12345678",
            "8000000000000000",
            2,
            json!({ "_dd.p.dm": "-4", "_dd.p.usr.id": "YmF6IDY0", "_dd.origin": "synthetics" }),
        ),
        case(
            "640cfd8d00000000abcdefab12345678",
            "8000000000000000",
            1,
            json!({ "_dd.p.dm": "-1", "_dd.p.odd": "a=b", "_dd.origin": "rum" }),
        ),
    ]
}

fn recorder(styles: &str) -> Recorder {
    let styles: Vec<&str> = styles.split(',').collect();
    Recorder::with(|config| config.propagation_styles(&styles))
}

#[test]
fn what_python_injects_continues_here() {
    for styles in STYLES {
        let Some(mut python) = Python::start(styles) else {
            return;
        };
        let _recorder = recorder(styles);
        for case in cases() {
            let headers = python.inject(&case);
            let said = format!("{styles}: {headers:?}");
            let extracted = ddtrace::extract(&headers);
            let context = extracted
                .context
                .as_ref()
                .unwrap_or_else(|| panic!("no context: {said}"));
            let full = format!(
                "{:016x}{:016x}",
                context.trace_id.high(),
                context.trace_id.low()
            );
            let high = context.tags.get("_dd.p.tid").unwrap_or("0000000000000000");
            let full = if context.trace_id.high() == 0 {
                format!("{high}{}", &full[16..])
            } else {
                full
            };
            assert_eq!(full, case.trace_id, "{said}");
            let span_id = context.span_id.map(|id| format!("{:016x}", id.get()));
            assert_eq!(span_id.as_deref(), Some(case.span_id), "{said}");
            assert_eq!(
                context.priority,
                Some(SamplingPriority::new(case.priority)),
                "{said}"
            );
            // The origin is the only one that is no propagated tag.
            for (key, value) in case.meta.as_object().expect("an object") {
                let here = if key == "_dd.origin" {
                    context.origin.as_deref()
                } else {
                    context.tags.get(key)
                };
                assert_eq!(here, value.as_str(), "{key}, {said}");
            }
        }
    }
}

#[test]
fn what_is_injected_here_continues_in_python() {
    for styles in STYLES {
        let Some(mut python) = Python::start(styles) else {
            return;
        };
        let recorder = recorder(styles);
        for decision in ["none", "keep", "drop"] {
            let mut span = Span::start_root(&SERVE);
            match decision {
                "keep" => span.manual_keep(),
                "drop" => span.manual_drop(),
                _ => {}
            }
            let mut headers = Headers::new();
            ddtrace::inject_context(&span.context(), &mut headers);
            let (trace_id, span_id) = (span.trace_id(), span.span_id());
            drop(span);
            let seen = python.extract(&headers);
            let said = format!("{styles}, {decision}: {headers:?}");
            assert_eq!(seen["trace_id"], text(trace_id), "{said}");
            assert_eq!(seen["span_id"], format!("{:016x}", span_id.get()), "{said}");
            let sent = recorder.take().pop().expect("one span");
            let priority = sent
                .metric("_sampling_priority_v1")
                .expect("a root says what was decided");
            assert_eq!(seen["priority"].as_f64(), Some(priority), "{said}");
            assert_eq!(
                seen["meta"]["_dd.p.dm"].as_str(),
                sent.meta("_dd.p.dm"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_trace_that_passes_through_here_comes_back_to_python_as_it_was() {
    for styles in STYLES {
        let Some(mut python) = Python::start(styles) else {
            return;
        };
        let _recorder = recorder(styles);
        for case in cases() {
            let before = python.inject(&case);
            let span = Span::start_from(&SERVE, ddtrace::extract(&before));
            let mut after = Headers::new();
            ddtrace::inject_context(&span.context(), &mut after);
            let (seen, expected) = (python.extract(&after), python.extract(&before));
            let said = format!("{styles}: {before:?} became {after:?}");
            assert_eq!(
                seen["span_id"],
                format!("{:016x}", span.span_id().get()),
                "{said}"
            );
            for key in ["trace_id", "priority"] {
                assert_eq!(seen[key], expected[key], "{key}, {said}");
            }
            // Where the last Datadog span was is for the next one to know, and ours is in between. The upper half of
            // the id is in `traceparent`; whether it is said once more as a tag makes no difference.
            let lasting = |context: &Value| {
                let mut meta = context["meta"].as_object().expect("an object").clone();
                meta.retain(|key, _| key != "_dd.parent_id" && key != "_dd.p.tid");
                meta
            };
            assert_eq!(lasting(&seen), lasting(&expected), "{said}");
        }
    }
}

fn text(id: TraceId) -> String {
    format!("{:016x}{:016x}", id.high(), id.low())
}
