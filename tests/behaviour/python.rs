//! The Python tracer upstream and downstream of us: the same ids, the same decision, the same tags, the same baggage.

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

/// What b3 can say of a case: no tags, and of the decision only whether a user kept the trace.
#[test]
fn b3_goes_both_ways() {
    for styles in ["b3", "b3multi", "b3,b3multi"] {
        let Some(mut python) = Python::start(styles) else {
            return;
        };
        let recorder = recorder(styles);
        for case in cases() {
            let before = python.inject(&case);
            let expected = python.extract(&before);
            let context = ddtrace::extract(&before).context.expect("a context");
            let said = format!("{styles}: {before:?}");
            assert_eq!(text(context.trace_id), case.trace_id, "{said}");
            assert_eq!(expected["trace_id"], case.trace_id, "{said}");
            let span_id = context.span_id.map(|id| format!("{:016x}", id.get()));
            assert_eq!(span_id.as_deref(), Some(case.span_id), "{said}");
            let priority = context.priority.map(SamplingPriority::get);
            assert_eq!(expected["priority"], json!(priority), "{said}");

            let span = Span::start_from(&SERVE, ddtrace::extract(&before));
            let mut after = Headers::new();
            ddtrace::inject_context(&span.context(), &mut after);
            assert_eq!(
                after.keys().collect::<Vec<_>>(),
                before.keys().collect::<Vec<_>>(),
                "{said}"
            );
            let seen = python.extract(&after);
            assert_eq!(seen["trace_id"], expected["trace_id"], "{said}");
            assert_eq!(
                seen["span_id"],
                format!("{:016x}", span.span_id().get()),
                "{said}"
            );
            assert_eq!(seen["priority"], expected["priority"], "{said}");
        }
        recorder.take();
    }
}

#[test]
fn baggage_goes_both_ways() {
    let styles = "datadog,tracecontext,baggage";
    let Some(mut python) = Python::start(styles) else {
        return;
    };
    let recorder = recorder(styles);
    let many: Vec<(String, String)> = (0..70).map(|n| (format!("k{n}"), "v".into())).collect();
    let long = [("a", "x".repeat(8190)), ("b", "1".into())];
    let long: Vec<_> = long.map(|(key, value)| (key.to_owned(), value)).into();
    let plain = |items: &[(&str, &str)]| -> Vec<(String, String)> {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        items.iter().map(owned).collect()
    };
    for items in [
        plain(&[("foo", "bar"), ("user.id", "u1")]),
        plain(&[("userId", "Am\u{e9}lie"), ("serverNode", "DF 28")]),
        plain(&[("\",;\\()/:<=>?@[]{}", "\",;\\")]),
        plain(&[("k", "a=b;c, d&e+f'g"), ("emoji", "\u{1f980}")]),
        many,
        long,
    ] {
        // From there to here, with the tags that it becomes.
        let wanted: serde_json::Map<String, Value> = items
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        let context = json!({
            "trace_id": "640cfd8d00000000abcdefab12345678", "span_id": "0000000000000001",
            "priority": 1, "meta": {}, "baggage": wanted,
        });
        let answer = python.ask(&json!({ "inject": context }));
        let before: Headers = serde_json::from_value(answer["headers"].clone()).expect("headers");
        let there = python.extract(&before);
        let span = Span::start_from(&SERVE, ddtrace::extract(&before));
        let here = span.baggage();
        let shown: serde_json::Map<String, Value> = here
            .iter()
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect();
        assert_eq!(json!(shown), there["baggage"], "{before:?}");

        // And back again: the same header, byte by byte.
        let mut after = Headers::new();
        ddtrace::inject_context(&span.context(), &mut after);
        assert_eq!(after["baggage"], before["baggage"]);
        assert_eq!(python.extract(&after)["baggage"], there["baggage"]);
        drop(span);
        let sent = recorder.take().pop().expect("one span");
        assert_eq!(
            sent.meta("baggage.user.id"),
            there["meta"]["baggage.user.id"].as_str()
        );
    }
    // What one loses, both lose; and headers that nobody writes are read alike.
    for header in [
        "foo=,a=b",
        "a",
        "a=1,",
        "=1",
        "a=%20",
        " a = 1 , b = 2 ",
        "a=b;p=1",
        "a=%zz%4",
        "%61=%C3%A9+%ff",
        "a=1,a=2",
        "a==b",
    ] {
        let headers = Headers::from([("baggage".to_owned(), header.to_owned())]);
        let here = ddtrace::extract(&headers).baggage;
        let shown: serde_json::Map<String, Value> = here
            .iter()
            .map(|(key, value)| (key.to_owned(), json!(value)))
            .collect();
        assert_eq!(
            json!(shown),
            python.extract(&headers)["baggage"],
            "{header:?}"
        );
    }
}

/// What is cleaned of a `tracestate` is cleaned by both, the member of OpenTelemetry included.
#[test]
fn vendors_states_are_read_alike() {
    let styles = "tracecontext";
    let Some(mut python) = Python::start(styles) else {
        return;
    };
    let _recorder = recorder(styles);
    for tracestate in [
        "dd=s:1,ot=rv:not-hex;th:not-hex,congo=xyz",
        "ot=rv:1234567890abcd;th:zz",
        "ot=rv:1234567890abcd;th:0;x:1;y:zz",
        "ot=x:1;th:8;rv:1234567890abcd",
        "ot=rv:1234;th:8",
        "ot=th:8;th:9",
        "ot=th:8;zzz",
        "a=1,ot=th:0,b=2",
        "ot=rv:1234567890abcd,ot=rv:00000000000000",
        "foo=1,bar=2",
    ] {
        let headers = Headers::from([
            (
                "traceparent".to_owned(),
                "00-640cfd8d00000000abcdefab12345678-0000000000000001-01".to_owned(),
            ),
            ("tracestate".to_owned(), tracestate.to_owned()),
        ]);
        // What is sent on is what can be compared: how it is kept meanwhile is everybody's own business.
        let span = Span::start_from(&SERVE, ddtrace::extract(&headers));
        let mut after = Headers::new();
        ddtrace::inject_context(&span.context(), &mut after);
        let others = |state: &str| {
            let members = state.split(',').filter(|member| !member.starts_with("dd="));
            members.map(str::to_owned).collect::<Vec<_>>()
        };
        let there = python.extract(&headers);
        let seen = python.extract(&after);
        assert_eq!(
            others(seen["tracestate"].as_str().expect("text")),
            others(&after["tracestate"]),
            "{tracestate}"
        );
        let sent_on = python.ask(&json!({ "inject": {
            "trace_id": there["trace_id"], "span_id": there["span_id"], "priority": there["priority"],
            "meta": { "tracestate": there["tracestate"] },
        }}));
        let sent_on = sent_on["headers"]["tracestate"].as_str().expect("text");
        assert_eq!(
            others(&after["tracestate"]),
            others(sent_on),
            "{tracestate}"
        );
    }
}
