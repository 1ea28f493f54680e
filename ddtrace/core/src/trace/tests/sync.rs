//! Spans on one thread: nesting, tags, errors, limits.

use std::time::{Duration, SystemTime};

use super::*;

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
