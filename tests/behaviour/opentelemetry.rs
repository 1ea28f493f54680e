//! A program that speaks OpenTelemetry: whether its spans are ours is decided by settings.

use crate::program::{command, number};
use ddtrace_tests::payload::Span;
use ddtrace_tests::process;
use ddtrace_tests::weather::{Agent, Weather};
use serde_json::Value;

/// Runs the program with settings; gives its report and what arrived.
#[track_caller]
fn run(settings: &[(&str, &str)]) -> (Value, Vec<Span>) {
    let agent = Agent::start(Weather::Fair);
    let mut command = command(&["opentelemetry"], &agent.url());
    let ended = process::run(command.envs(settings.iter().copied()));
    let report = ended.report();
    assert_eq!(
        number(&report, "sent"),
        number(&report, "made"),
        "{ended:#?}"
    );
    (report, agent.chunks().concat())
}

fn named<'a>(spans: &'a [Span], resource: &str) -> Vec<&'a Span> {
    spans
        .iter()
        .filter(|span| span.resource == resource)
        .collect()
}

#[test]
fn its_spans_and_annotated_functions_are_one_trace_over_tasks_and_threads() {
    for settings in [
        [("DD_TRACE_OTEL_ENABLED", "true")],
        [("OTEL_SDK_DISABLED", "false")],
    ] {
        let (report, spans) = run(&settings);
        let [request] = named(&spans, "GET /cart")[..] else {
            panic!("{settings:?}: {spans:#?}")
        };
        assert_eq!(
            (&*request.name, request.parent_id),
            ("http.server.request", 0)
        );
        assert_eq!(request.meta["span.kind"], "server");
        assert!(
            spans.iter().all(|span| span.trace_id == request.trace_id),
            "{spans:#?}"
        );
        let injected = report["more"]["injected"].as_str();
        assert_eq!(injected, Some(&*request.span_id.to_string()));
        for (resource, parent, count) in [
            ("price", "GET /cart", 2),
            ("look up", "price", 2),
            ("leaf", "look up", 2),
            ("elsewhere", "GET /cart", 2),
        ] {
            let found = named(&spans, resource);
            assert_eq!(found.len(), count, "{resource}: {spans:#?}");
            for span in found {
                let is_child = |parent: &&Span| parent.span_id == span.parent_id;
                assert!(
                    named(&spans, parent).iter().any(is_child),
                    "{resource}: {spans:#?}"
                );
            }
        }
    }
}

#[test]
fn without_the_setting_its_spans_are_its_own_business() {
    for settings in [
        &[][..],
        &[("OTEL_SDK_DISABLED", "true")],
        &[
            ("DD_TRACE_OTEL_ENABLED", "false"),
            ("OTEL_SDK_DISABLED", "false"),
        ],
    ] {
        let (report, spans) = run(settings);
        assert_eq!(report["more"]["injected"], Value::Null, "{settings:?}");
        assert_eq!(spans.len(), 6, "{settings:?}: {spans:#?}");
        assert!(
            named(&spans, "price")
                .iter()
                .all(|span| span.parent_id == 0)
        );
        assert!(named(&spans, "look up").is_empty() && named(&spans, "GET /cart").is_empty());
    }
}
