//! In fair weather everything arrives, from every kind of program.

use crate::program::{assert_balanced, number, run, start};
use ddtrace_tests::payload::Span;
use ddtrace_tests::wait;
use ddtrace_tests::weather::{Agent, Weather};
use std::collections::{BTreeMap, BTreeSet};

/// Runs a program against a fair agent, and gives the chunks that it took. Nothing may be lost.
#[track_caller]
fn chunks_of(arguments: &[&str]) -> Vec<Vec<Span>> {
    let agent = Agent::start(Weather::Fair);
    let (report, ended) = run(arguments, &agent.url());
    let chunks = agent.chunks();
    let received = chunks.iter().flatten().count() as u64;
    assert_eq!(
        (number(&report, "dropped"), number(&report, "sent")),
        (0, number(&report, "made")),
        "{ended:#?}"
    );
    assert_eq!(received, number(&report, "made"), "{ended:#?}");
    for chunk in &chunks {
        assert_is_one_trace(chunk);
    }
    chunks
}

/// All spans of a chunk are of one trace, every id is there once, and parents of the same chunk come first.
#[track_caller]
fn assert_is_one_trace(chunk: &[Span]) {
    let ids: BTreeSet<u64> = chunk.iter().map(|span| span.span_id).collect();
    assert_eq!(ids.len(), chunk.len(), "an id is there twice: {chunk:#?}");
    let mut seen = BTreeSet::new();
    for span in chunk {
        assert_eq!(span.trace_id, chunk[0].trace_id);
        let parent_is_later = ids.contains(&span.parent_id) && !seen.contains(&span.parent_id);
        assert!(
            !parent_is_later || span.parent_id == span.span_id,
            "a parent comes after its child: {chunk:#?}"
        );
        seen.insert(span.span_id);
    }
}

/// How many spans of each name there are.
fn names(chunks: &[Vec<Span>]) -> BTreeMap<&str, usize> {
    let mut names = BTreeMap::new();
    for span in chunks.iter().flatten() {
        *names.entry(&*span.name).or_default() += 1;
    }
    names
}

#[test]
fn every_kind_of_runtime_delivers_everything() {
    let kinds = [
        "none",
        "current-thread",
        "multi-thread",
        "inside-current-thread",
        "inside-multi-thread",
        "after-runtime",
        "two-runtimes",
        "in-a-task",
        "twice",
    ];
    for kind in kinds {
        eprintln!("{kind}");
        let chunks = chunks_of(&["runtime", kind]);
        for task in chunks.iter().filter(|chunk| chunk[0].name == "task") {
            assert_eq!(
                names(std::slice::from_ref(task)),
                BTreeMap::from([("task", 1), ("root", 1), ("child", 1)]),
                "{kind}"
            );
        }
    }
}

#[test]
fn ten_thousand_short_lived_threads_lose_nothing() {
    let chunks = chunks_of(&["threads", "10000"]);
    assert_eq!(
        names(&chunks),
        BTreeMap::from([("shared", 1), ("root", 20_000), ("child", 10_000)])
    );
    let root = chunks
        .iter()
        .flatten()
        .find(|span| span.name == "shared")
        .expect("it was counted");
    let of_it = chunks
        .iter()
        .flatten()
        .filter(|span| span.trace_id == root.trace_id && span.name == "root");
    assert_eq!(
        of_it.filter(|span| span.parent_id == root.span_id).count(),
        10_000,
        "all are its children"
    );
}

#[test]
fn a_million_spans_of_one_trace_arrive_in_parts() {
    let agent = Agent::start(Weather::Fair);
    let (report, ended) = run(&["million"], &agent.url());
    assert_balanced(&report);
    let chunks = agent.chunks();
    let received = chunks.iter().flatten().count() as u64;
    assert_eq!(received, number(&report, "sent"), "{ended:#?}");
    assert!(chunks.len() > 1, "it would not fit into one payload");
    let traces: BTreeSet<u64> = chunks.iter().flatten().map(|span| span.trace_id).collect();
    assert_eq!(traces.len(), 1);
    // The documented bounds: 32 MiB in the threads' queues, and what waits to be sent.
    let peak = number(&report["more"], "peak");
    assert!(peak < 200 << 20, "it held {peak} bytes");
}

#[test]
fn panics_go_through_spans_and_are_recorded() {
    let chunks = chunks_of(&["failing"]);
    assert_eq!(names(&chunks), BTreeMap::from([("work", 3), ("inner", 1)]));
    let panicked = chunks
        .iter()
        .find(|chunk| chunk.len() == 2)
        .expect("the trace of the panic");
    for span in panicked {
        assert_eq!(span.error, 1, "{span:#?}");
    }
}

#[test]
fn annotated_functions_survive_values_that_panic_and_follow_their_work_to_other_threads() {
    let chunks = chunks_of(&["annotated"]);
    let names = names(&chunks);
    assert_eq!(names.len(), 7, "{names:?}");
    let span = |name: &str| {
        let mut all = chunks.iter().flatten();
        all.find(|span| span.name == name || span.resource == name || span.name.ends_with(name))
            .unwrap_or_else(|| panic!("{name}: {names:?}"))
    };
    for (name, error) in [
        ("shown", 0),
        ("tagged", 0),
        ("fails", 1),
        ("panics", 1),
        ("parent", 0),
    ] {
        assert_eq!(span(name).error, error, "{name}");
    }
    for name in ["child", "on_a_thread"] {
        assert_eq!(
            (span(name).parent_id, span(name).trace_id),
            (span("parent").span_id, span("parent").trace_id),
            "{name}"
        );
    }
}

#[test]
fn futures_that_are_given_up_finish_their_spans() {
    let chunks = chunks_of(&["dropped-futures"]);
    assert_eq!(names(&chunks), BTreeMap::from([("work", 3), ("inner", 3)]));
    let inner = chunks.iter().flatten().filter(|span| span.name == "inner");
    for span in inner {
        let parent = chunks
            .iter()
            .flatten()
            .find(|other| other.span_id == span.parent_id)
            .expect("its parent was sent");
        assert_eq!(parent.name, "work");
    }
}

#[test]
fn a_forked_child_reports_its_own_spans_and_nothing_of_its_parents() {
    let agent = Agent::start(Weather::Fair);
    let mut process = start(&["fork"], &agent.url());
    let child: serde_json::Value = serde_json::from_str(&process.line("child ")).expect("JSON");
    assert_eq!(
        (
            number(&child, "sent"),
            number(&child, "dropped"),
            child["done"].as_bool()
        ),
        (3, 0, Some(true)),
        "{child}"
    );
    let report = process.end().report();
    assert_eq!(
        (number(&report, "sent"), number(&report, "dropped")),
        (number(&report, "made"), 0),
        "{report}"
    );
    let chunks = agent.chunks();
    assert_eq!(
        names(&chunks),
        BTreeMap::from([("root", 4), ("child", 7), ("parent", 1), ("forked", 1)])
    );
    let ids: BTreeSet<u64> = chunks.iter().flatten().map(|span| span.span_id).collect();
    assert_eq!(ids.len(), 13, "the child's ids are not its parent's again");
    let runtime_ids: BTreeSet<_> = chunks
        .iter()
        .filter_map(|chunk| chunk[0].meta.get("runtime-id"))
        .collect();
    assert_eq!(runtime_ids.len(), 2, "the child is a process of its own");
}

#[test]
fn a_program_that_exits_at_once_loses_at_most_what_was_not_sent_yet() {
    let agent = Agent::start(Weather::Fair);
    let mut process = start(&["exit"], &agent.url());
    process.line("made ");
    wait::until("the first trace arrives by itself", || {
        (agent.chunks().len() == 1).then_some(())
    });
    process.say("exit");
    let ended = process.end();
    assert_eq!(ended.status.code(), Some(7), "{ended:#?}");
    assert!(agent.chunks().len() <= 2);
}

#[test]
fn payloads_say_who_sends_them_and_how_much() {
    let agent = Agent::start(Weather::Fair);
    run(&["steady"], &agent.url());
    let mut process = start(&["steady"], &agent.url());
    process.say("make 5");
    process.say("flush");
    process.line("flushed ");
    let received = agent.received();
    let [request] = &received[..] else {
        panic!("one payload, got {}", received.len())
    };
    assert_eq!(request.line, "POST /v0.4/traces HTTP/1.1");
    for (name, value) in [
        ("content-type", "application/msgpack"),
        ("datadog-meta-lang", "rust"),
        ("datadog-meta-lang-interpreter", "rustc"),
        ("x-datadog-trace-count", "5"),
    ] {
        assert_eq!(request.header(name), Some(value), "{name}");
    }
    for name in [
        "datadog-meta-lang-version",
        "datadog-meta-tracer-version",
        "datadog-client-computed-top-level",
    ] {
        assert!(
            request.header(name).is_some_and(|value| !value.is_empty()),
            "{name}"
        );
    }
    assert_eq!(
        request.header("content-length"),
        Some(&*request.body.len().to_string())
    );
    assert_eq!(
        request.header("datadog-client-computed-stats"),
        None,
        "no stats are computed here"
    );
    process.end();
}

#[test]
fn a_function_of_lambda_without_an_agent_writes_lines_to_standard_output() {
    let mut command = crate::program::command(&["snapshot"], "unused");
    command
        .env_remove("DD_TRACE_AGENT_URL")
        .env("AWS_LAMBDA_FUNCTION_NAME", "checkout");
    let ended = ddtrace_tests::process::run(&mut command);
    let report = ended.report();
    assert_eq!(
        number(&report, "sent"),
        number(&report, "made"),
        "{ended:#?}"
    );
    let traces: Vec<serde_json::Value> = ended
        .lines
        .iter()
        .filter(|line| line.starts_with(r#"{"traces":[["#))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let spans: usize = traces
        .iter()
        .map(|line| line["traces"][0].as_array().expect("a chunk").len())
        .sum();
    assert_eq!((traces.len(), spans), (2, 4), "{ended:#?}");
}
