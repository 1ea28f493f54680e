//! The life of spans, as the worker sees it in the end.
//!
//! `unsafe` in this file: the link section that `site!` uses.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::{Duration, SystemTime};

use super::*;
use crate::export::SpanData;
use crate::test_support::Recorder;

crate::site! { static ROOT: Site = Site::new("root", "root", module_path!(), file!(), line!()); }
crate::site! { static CHILD: Site = Site::new("child", "child", module_path!(), file!(), line!()); }
crate::site! { static LEAF: Site = Site::new("leaf", "leaf", module_path!(), file!(), line!()); }
crate::site! { static OTHER: Site = Site::new("other", "other", module_path!(), file!(), line!()).with_service("other-service"); }

fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("no {name} in {spans:?}"));
    assert!(found.next().is_none(), "{name} twice");
    span
}

/// Asserts that `child` is under `parent`.
#[track_caller]
fn assert_under(spans: &[SpanData], child: &str, parent: &str) {
    let (child, parent) = (named(spans, child), named(spans, parent));
    assert_eq!(
        (child.parent_id, child.trace_id),
        (parent.span_id, parent.trace_id)
    );
}

/// A future that is pending once.
struct Yield(Cell<bool>);

impl Future for Yield {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<()> {
        if self.0.replace(true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

fn once() -> Yield {
    Yield(Cell::new(false))
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut TaskContext::from_waker(Waker::noop()))
}

#[test]
fn nesting_makes_parents_and_the_root_comes_first() {
    let recorder = Recorder::new();
    {
        let _root = enter(&ROOT);
        let _child = enter(&CHILD);
        let _leaf = enter(&LEAF);
    }
    let chunks = recorder.take_chunks();
    let names: Vec<_> = chunks[0].iter().map(|span| &*span.name).collect();
    assert_eq!((chunks.len(), names), (1, vec!["root", "child", "leaf"]));
    assert_under(&chunks[0], "child", "root");
    assert_under(&chunks[0], "leaf", "child");
    assert_eq!(chunks[0][0].parent_id, 0);
    assert!(
        chunks[0]
            .iter()
            .all(|span| span.span_id != 0 && span.duration >= 0)
    );
    assert!(
        chunks[0][0].start <= chunks[0][1].start && chunks[0][0].duration >= chunks[0][1].duration
    );
}

#[test]
fn each_root_is_a_trace_of_its_own() {
    let recorder = Recorder::new();
    drop(enter(&ROOT));
    drop(enter(&CHILD));
    let chunks = recorder.take_chunks();
    assert_ne!(chunks[0][0].trace_id, chunks[1][0].trace_id);
    let seconds = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let high = chunks[0][0].trace_id.high();
    assert_eq!(high as u32, 0);
    assert!(seconds.abs_diff(high >> 32) < 60, "{high:x}");
}

#[test]
fn first_span_root_and_every_span_carry_what_they_must() {
    let recorder = Recorder::with(|config| config.env("prod").version("1.2").tag("team", "x"));
    {
        let _root = enter(&ROOT);
        let _other = enter(&OTHER);
        let _leaf = enter(&LEAF);
    }
    let spans = recorder.take();
    let (root, other, leaf) = (
        named(&spans, "root"),
        named(&spans, "other"),
        named(&spans, "leaf"),
    );
    assert_eq!(
        root.meta("_dd.p.tid"),
        Some(&*format!("{:016x}", root.trace_id.high()))
    );
    assert_eq!(
        (root.meta("language"), other.meta("language")),
        (Some("rust"), None)
    );
    assert_eq!(
        (root.metric("_sampling_priority_v1"), root.meta("_dd.p.dm")),
        (Some(1.0), Some("-0"))
    );
    assert_eq!(
        root.metric("process_id"),
        Some(f64::from(std::process::id()))
    );
    assert_eq!(root.meta("runtime-id").map(str::len), Some(36));
    assert!(
        spans
            .iter()
            .all(|span| span.meta("env") == Some("prod") && span.meta("team") == Some("x"))
    );
    // F28, F29
    assert_eq!(
        (root.meta("version"), other.meta("version")),
        (Some("1.2"), None)
    );
    assert_eq!(
        (other.meta("_dd.base_service"), other.meta("_dd.svc_src")),
        (Some("test"), Some("m"))
    );
    assert_eq!(
        (root.metric("_dd.top_level"), other.metric("_dd.top_level")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(
        (&*leaf.service, leaf.metric("_dd.top_level")),
        ("other-service", None)
    );
    assert_eq!(root.meta("_dd.base_service"), None);
}

#[test]
fn tags_follow_the_rules_of_their_kinds() {
    let recorder = Recorder::new();
    {
        let span = enter(&ROOT);
        span.set_tag("a", 1);
        span.set_tag("a", "s");
        span.set_tag("b", "s");
        span.set_tag("b", 2.5);
        span.set_tag("flag", true);
        span.set_tag("nan", f64::NAN);
        span.set_tag("none", None::<&str>);
        span.set_tag(format!("dynamic.{}", 1), "x");
        span.set_tag("http.status_code", 404);
        span.set_tag("measured", true);
        span.set_tag("service.name", "renamed");
        span.set_tag("resource.name", "r");
        span.set_tag("span.type", "web");
        span.set_tag("long", "é".repeat(25_001));
        span.set_tag("exact", "x".repeat(25_000));
        span.remove_tag("dynamic.1");
    }
    let spans = recorder.take();
    let span = &spans[0];
    assert_eq!((span.meta("a"), span.metric("a")), (Some("s"), None));
    assert_eq!((span.meta("b"), span.metric("b")), (None, Some(2.5)));
    assert_eq!(span.meta("flag"), Some("true"));
    for absent in ["nan", "none", "dynamic.1", "service.name", "measured"] {
        assert_eq!(
            (span.meta(absent), span.metric(absent)),
            (None, None),
            "{absent}"
        );
    }
    assert_eq!(span.meta("http.status_code"), Some("404"));
    assert_eq!(span.metric("_dd.measured"), Some(1.0));
    assert_eq!(
        (&*span.service, &*span.resource, &*span.span_type),
        ("renamed", "r", "web")
    );
    let long = span.meta("long").unwrap();
    assert_eq!(long.chars().count(), 2_500);
    assert!(long.ends_with("é<truncated>..."));
    assert_eq!(span.meta("exact").unwrap().len(), 25_000);
}

#[test]
fn a_service_that_is_set_is_inherited_from_then_on() {
    let recorder = Recorder::with(|config| config.service_mapping("db", "database"));
    {
        let root = enter(&ROOT);
        drop(enter(&CHILD));
        root.set_service("db");
        drop(enter(&LEAF));
    }
    let spans = recorder.take();
    assert_eq!(named(&spans, "child").service, "test");
    let leaf = named(&spans, "leaf");
    assert_eq!(
        (&*leaf.service, leaf.meta("_dd.svc_src")),
        ("database", Some("opt.service_mapping"))
    );
    assert_eq!(named(&spans, "root").service, "database");
}

#[test]
fn errors_are_described_with_their_sources() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let recorder = Recorder::new();
    let error = Outer("x".parse::<i32>().unwrap_err());
    {
        let root = enter(&ROOT);
        root.set_error(&error);
        enter(&CHILD).record_exception(&error);
    }
    let spans = recorder.take();
    let (root, child) = (named(&spans, "root"), named(&spans, "child"));
    assert!(root.error && !child.error);
    assert!(root.meta("error.type").unwrap().ends_with("Outer"));
    assert_eq!(root.meta("error.message"), Some("outer"));
    assert!(
        root.meta("error.stack")
            .unwrap()
            .contains("caused by: invalid digit found in string")
    );
    assert_eq!(child.events[0].name, "exception");
    assert_eq!(child.meta("_dd.span_events.has_exception"), Some("true"));
}

#[test]
fn a_panic_marks_what_it_unwinds_and_nothing_else() {
    let recorder = Recorder::new();
    struct TracedDrop;
    impl Drop for TracedDrop {
        fn drop(&mut self) {
            drop(enter(&OTHER));
        }
    }
    let outer = enter(&ROOT);
    let result = std::panic::catch_unwind(|| {
        let _child = enter(&CHILD);
        let _traced = TracedDrop;
        panic!("by {}", "design");
    });
    assert!(result.is_err());
    drop(outer);
    let spans = recorder.take();
    let child = named(&spans, "child");
    assert!(child.error && !named(&spans, "root").error && !named(&spans, "other").error);
    assert_eq!(child.meta("error.type"), Some("panic"));
    assert!(
        child
            .meta("error.message")
            .unwrap()
            .starts_with("by design (")
    );
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    let recorder = Recorder::new();
    let root = enter(&ROOT);
    let child = enter(&CHILD);
    let leaf = enter(&LEAF);
    drop(root);
    drop(child);
    assert_eq!(recorder.take().len(), 0);
    drop(leaf);
    let spans = recorder.take();
    assert_eq!(spans.len(), 3);
    assert_under(&spans, "leaf", "child");
    assert!(
        named(&spans, "root").duration
            <= named(&spans, "leaf").duration + named(&spans, "leaf").start
                - named(&spans, "root").start
    );
    drop(enter(&OTHER));
    assert_eq!(recorder.take()[0].parent_id, 0);
}

#[test]
fn a_forgotten_guard_does_not_outlive_its_visit() {
    let recorder = Recorder::new();
    let mut span = Span::start(&ROOT);
    {
        let _entered = span.enter();
        std::mem::forget(enter(&CHILD));
    }
    drop(span);
    drop(enter(&OTHER));
    let chunks = recorder.take_chunks();
    assert_eq!(chunks.len(), 2);
    assert_under(&chunks[0], "child", "root");
    assert_eq!(chunks[1][0].parent_id, 0);
}

#[test]
fn partial_flush_keeps_the_local_root_open() {
    let recorder = Recorder::new();
    let root = enter(&ROOT);
    for _ in 0..700 {
        drop(enter(&CHILD));
    }
    let partial = recorder.take_chunks();
    assert_eq!(partial.iter().map(Vec::len).collect::<Vec<_>>(), [300, 300]);
    assert_eq!(partial[0][0].metric("_dd.rs.partial_flush"), Some(300.0));
    assert_eq!(partial[1][0].metric("_sampling_priority_v1"), Some(1.0));
    drop(root);
    let rest = recorder.take();
    assert_eq!((rest.len(), &*rest[0].name), (101, "root"));
    assert!(
        partial
            .iter()
            .flatten()
            .all(|span| span.parent_id == rest[0].span_id)
    );
}

#[test]
fn without_partial_flush_all_waits_for_the_root() {
    let recorder = Recorder::with(|config| config.partial_flush(None));
    let root = enter(&ROOT);
    for _ in 0..500 {
        drop(enter(&CHILD));
    }
    assert!(recorder.take().is_empty());
    drop(root);
    assert_eq!(recorder.take().len(), 501);
}

#[test]
fn a_thousand_deep_chain_arrives_in_parts() {
    fn descend(depth: usize) {
        let _guard = enter(&CHILD);
        if depth > 0 {
            descend(depth - 1);
        }
    }
    let recorder = Recorder::new();
    descend(1000);
    let spans = recorder.take();
    assert_eq!(spans.len(), 1001);
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| span.span_id).collect();
    assert_eq!(
        spans
            .iter()
            .filter(|span| !ids.contains(&span.parent_id))
            .count(),
        1
    );
}

#[test]
fn a_span_can_end_on_another_thread() {
    let recorder = Recorder::new();
    let mut span = Span::start(&ROOT);
    drop({
        let entered = span.enter();
        entered.set_tag("here", 1);
        enter(&CHILD)
    });
    let handle = recorder.handle();
    std::thread::spawn(move || {
        let _active = handle.activate();
        let mut span = span;
        {
            let _entered = span.enter();
            drop(enter(&LEAF));
        }
        span.set_tag("there", 2);
    })
    .join()
    .unwrap();
    let chunks = recorder.take_chunks();
    assert_eq!(chunks.len(), 1);
    assert_under(&chunks[0], "child", "root");
    assert_under(&chunks[0], "leaf", "root");
    let root = named(&chunks[0], "root");
    assert_eq!(
        (root.metric("here"), root.metric("there")),
        (Some(1.0), Some(2.0))
    );
}

#[test]
fn a_future_is_active_only_while_it_is_polled() {
    let recorder = Recorder::new();
    let work = |site: &'static Site, leaf: &'static Site| {
        instrument(Span::start(site), async move {
            once().await;
            drop(enter(leaf));
            once().await;
        })
    };
    let root = enter(&ROOT);
    let mut first = pin!(work(&CHILD, &LEAF));
    let mut second = pin!(work(&OTHER, &ATTACHED));
    loop {
        let done = poll(first.as_mut()).is_ready();
        assert_eq!(current_span().span_id(), root.span_id());
        if done & poll(second.as_mut()).is_ready() {
            break;
        }
    }
    drop(root);
    let spans = recorder.take();
    assert_under(&spans, "child", "root");
    assert_under(&spans, "other", "root");
    assert_under(&spans, "leaf", "child");
    assert_under(&spans, "attached", "other");
}

crate::site! { static ATTACHED: Site = Site::new("attached", "attached", module_path!(), file!(), line!()); }

#[test]
fn a_dropped_future_is_cancelled_and_dropped_within_its_span() {
    struct TracedDrop;
    impl Drop for TracedDrop {
        fn drop(&mut self) {
            drop(enter(&LEAF));
        }
    }
    let recorder = Recorder::new();
    let mut future = Box::pin(instrument(Span::start(&CHILD), async {
        let _traced = TracedDrop;
        once().await;
    }));
    assert!(poll(future.as_mut()).is_pending());
    drop(future);
    let spans = recorder.take();
    assert_under(&spans, "leaf", "child");
    let child = named(&spans, "child");
    assert_eq!(
        (child.meta("ddtrace.cancelled"), child.error),
        (Some("true"), false)
    );
    assert_eq!(named(&spans, "leaf").meta("ddtrace.cancelled"), None);
}

#[test]
fn a_future_that_panicked_was_not_cancelled() {
    let recorder = Recorder::new();
    let mut future = Box::pin(instrument(Span::start(&CHILD), async {
        once().await;
        panic!("by design");
    }));
    assert!(poll(future.as_mut()).is_pending());
    let poll_again = std::panic::AssertUnwindSafe(|| poll(future.as_mut()));
    assert!(std::panic::catch_unwind(poll_again).is_err());
    drop(future);
    let spans = recorder.take();
    assert_eq!(spans[0].meta("error.type"), Some("panic"));
    assert_eq!(spans[0].meta("ddtrace.cancelled"), None);
}

#[test]
fn an_observer_sees_the_output_before_the_span_ends() {
    let recorder = Recorder::new();
    let observe = |output: &Result<(), &str>, span: &mut Span| {
        if let Err(message) = output {
            span.set_error_message("Refused", message, None);
        }
    };
    let future = pin!(instrument_with(
        Span::start(&ROOT),
        async { Err("no") },
        observe
    ));
    assert!(poll(future).is_ready());
    assert_eq!(recorder.take()[0].meta("error.message"), Some("no"));
}

#[test]
fn a_carried_context_makes_children_elsewhere_and_keeps_nothing_open() {
    let recorder = Recorder::new();
    let root = enter(&ROOT);
    let work = carry_fn(|| drop(enter(&CHILD)));
    let context = Context::current();
    std::thread::spawn(work).join().unwrap();
    drop(root);
    assert_eq!(recorder.take_chunks().len(), 1);
    std::thread::spawn(move || {
        let _attached = context.attach();
        drop(enter(&LEAF));
    })
    .join()
    .unwrap();
    let late = recorder.take_chunks();
    assert_eq!((late.len(), late[0].len()), (1, 1));
    assert_eq!(late[0][0].metric("_sampling_priority_v1"), Some(1.0));
}

#[test]
fn many_threads_share_a_segment_without_loss() {
    let recorder = Recorder::with(|config| config.partial_flush(None));
    let root = enter(&ROOT);
    let context = Context::current();
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let context = context.clone();
            std::thread::spawn(move || {
                for _ in 0..200 {
                    let _attached = context.attach();
                    let _child = enter(&CHILD);
                    drop(enter(&LEAF));
                }
            })
        })
        .collect();
    drop(root);
    for thread in threads {
        thread.join().unwrap();
    }
    let spans = recorder.take();
    assert_eq!(spans.len(), 1 + 8 * 200 * 2);
    let roots = spans.iter().filter(|span| span.name == "root").count();
    assert_eq!(roots, 1);
}

#[test]
fn tags_reach_a_span_of_another_thread() {
    let recorder = Recorder::new();
    let root = enter(&ROOT);
    let context = Context::current();
    std::thread::spawn(move || {
        let _attached = context.attach();
        current_root_span().set_tag("from", "elsewhere");
        current_root_span().set_error_flag(true);
    })
    .join()
    .unwrap();
    let reference = current_span().to_ref();
    reference.set_tag("from.here", 1);
    drop(root);
    let spans = recorder.take();
    assert_eq!(
        (
            spans[0].meta("from"),
            spans[0].metric("from.here"),
            spans[0].error
        ),
        (Some("elsewhere"), Some(1.0), true)
    );
}

#[test]
fn start_and_end_can_be_given() {
    let recorder = Recorder::new();
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut span = Span::start(&ROOT);
    span.set_start_time(start);
    span.finish_at(start + Duration::from_millis(5));
    let mut backwards = Span::start(&CHILD);
    backwards.set_start_time(start);
    backwards.finish_at(start - Duration::from_millis(5));
    let spans = recorder.take();
    let root = named(&spans, "root");
    assert_eq!(
        (root.start, root.duration),
        (1_700_000_000_000_000_000, 5_000_000)
    );
    assert_eq!(named(&spans, "child").duration, 0);
}

#[test]
fn a_decision_made_at_injection_stays() {
    let rules = r#"[{"resource":"late","sample_rate":0},{"sample_rate":1}]"#;
    let recorder = Recorder::with(|config| config.sampling_rules(rules));
    {
        let root = enter(&ROOT);
        let mut headers = std::collections::HashMap::<String, String>::new();
        inject(&mut headers);
        assert_eq!(headers["x-datadog-sampling-priority"], "2");
        assert!(headers["x-datadog-tags"].contains("_dd.p.dm=-3"));
        root.set_resource("late");
    }
    {
        let root = enter(&ROOT);
        root.set_resource("late");
    }
    let spans = recorder.take();
    assert_eq!(spans[0].metric("_sampling_priority_v1"), Some(2.0));
    assert_eq!(
        (
            spans[1].metric("_sampling_priority_v1"),
            spans[1].metric("_dd.rule_psr")
        ),
        (Some(-1.0), Some(0.0))
    );
}

#[test]
fn a_rule_can_make_traces_vanish() {
    let recorder =
        Recorder::with(|config| config.sampling_rules(r#"[{"sample_rate":0,"discard":true}]"#));
    drop(enter(&ROOT));
    assert!(recorder.take().is_empty());
    {
        let root = enter(&ROOT);
        root.manual_keep();
    }
    assert_eq!(recorder.take().len(), 1);
}

#[test]
fn manual_decisions_win_whenever_they_come() {
    let recorder = Recorder::with(|config| config.sampling_rules(r#"[{"sample_rate":0}]"#));
    {
        let _root = enter(&ROOT);
        enter(&CHILD).set_tag("manual.keep", true);
    }
    let spans = recorder.take();
    assert_eq!(
        (
            spans[0].metric("_sampling_priority_v1"),
            spans[0].meta("_dd.p.dm")
        ),
        (Some(2.0), Some("-4"))
    );
    assert_eq!(spans[0].metric("_dd.rule_psr"), None);
    assert_eq!(named(&spans, "child").meta("manual.keep"), None);
}

#[test]
fn an_inbound_trace_is_continued_with_its_decision() {
    let recorder = Recorder::new();
    let headers = std::collections::HashMap::from([
        ("x-datadog-trace-id".to_owned(), "7".to_owned()),
        ("x-datadog-parent-id".to_owned(), "9".to_owned()),
        ("x-datadog-sampling-priority".to_owned(), "-1".to_owned()),
        ("x-datadog-origin".to_owned(), "rum".to_owned()),
        (
            "x-datadog-tags".to_owned(),
            "_dd.p.dm=-4,_dd.p.tid=640000000000000a".to_owned(),
        ),
    ]);
    let mut out = std::collections::HashMap::<String, String>::new();
    {
        let mut span = Span::start_from(&ROOT, extract(&headers));
        let _entered = span.enter();
        let _child = enter(&CHILD);
        inject(&mut out);
    }
    let spans = recorder.take();
    let root = &spans[0];
    assert_eq!(
        (root.trace_id, root.parent_id),
        (TraceId::new(0x6400_0000_0000_000a, 7), 9)
    );
    assert_eq!(
        (root.metric("_sampling_priority_v1"), root.meta("_dd.p.dm")),
        (Some(-1.0), Some("-4"))
    );
    assert!(
        spans
            .iter()
            .all(|span| span.meta("_dd.origin") == Some("rum"))
    );
    assert_eq!(
        out["x-datadog-parent-id"],
        named(&spans, "child").span_id.to_string()
    );
    assert_eq!(out["x-datadog-sampling-priority"], "-1");
    assert!(out["x-datadog-tags"].contains("_dd.p.dm=-4"));
}

#[test]
fn with_tracing_off_contexts_pass_through_and_nothing_is_recorded() {
    let recorder = Recorder::with(|config| config.trace_enabled(false));
    let headers = std::collections::HashMap::from([
        (
            "traceparent".to_owned(),
            "00-11111111111111110000000000000001-0000000000000002-01".to_owned(),
        ),
        (
            "tracestate".to_owned(),
            "dd=s:2;p:00000000000000aa,foo=1".to_owned(),
        ),
    ]);
    let mut out = std::collections::HashMap::<String, String>::new();
    {
        let mut span = Span::start_from(&ROOT, extract(&headers));
        assert!(!span.is_recording());
        let _entered = span.enter();
        let _off = enter(&CHILD);
        inject(&mut out);
    }
    assert_eq!(
        out["traceparent"],
        "00-11111111111111110000000000000001-0000000000000002-01"
    );
    assert!(
        out["tracestate"].contains("p:00000000000000aa") && out["tracestate"].contains("foo=1")
    );
    assert_eq!(recorder.take().len(), 0);
}

#[test]
fn filters_change_and_drop_chunks_and_may_panic() {
    use crate::export::TraceFilter;
    struct Filter;
    impl TraceFilter for Filter {
        fn process(&self, mut spans: Vec<SpanData>) -> Option<Vec<SpanData>> {
            match &*spans[0].resource {
                "drop" => None,
                "panic" => panic!("by design"),
                _ => {
                    spans[0].resource = "changed".into();
                    Some(spans)
                }
            }
        }
    }
    let recorder = Recorder::with_filters(|config| config, vec![std::sync::Arc::new(Filter)]);
    for resource in ["drop", "panic", "change"] {
        enter(&ROOT).set_resource(resource);
    }
    let resources: Vec<_> = recorder
        .take()
        .into_iter()
        .map(|span| span.resource)
        .collect();
    assert_eq!(resources, ["panic", "changed"]);
}

#[test]
fn links_and_events_are_bounded() {
    let recorder = Recorder::new();
    {
        let root = enter(&ROOT);
        for _ in 0..130 {
            root.add_event(SpanEvent::new("e"));
            root.add_link(SpanLink::new(SpanContextId {
                trace_id: TraceId::new(0, 1),
                span_id: SpanId::new(1),
            }));
        }
    }
    let spans = recorder.take();
    assert_eq!((spans[0].events.len(), spans[0].links.len()), (128, 128));
    assert_eq!(spans[0].metric("ddtrace.left_out"), Some(4.0));
}

#[test]
fn ids_do_not_repeat() {
    let recorder = Recorder::new();
    for _ in 0..20_000 {
        drop(enter(&ROOT));
    }
    let spans = recorder.take();
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| span.span_id).collect();
    let traces: std::collections::HashSet<_> = spans.iter().map(|span| span.trace_id).collect();
    assert_eq!((ids.len(), traces.len()), (spans.len(), spans.len()));
}
