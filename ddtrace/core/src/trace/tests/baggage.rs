//! Where baggage is in force, where it comes from, and where it goes.

use std::collections::BTreeMap;

use super::*;
use crate::propagation::Baggage;

type Headers = BTreeMap<String, String>;

fn shown(baggage: &Baggage) -> String {
    let items: Vec<_> = baggage
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    items.join(",")
}

/// What is in force on this thread.
fn here() -> String {
    shown(&baggage())
}

/// What a request that is made here would carry.
fn sent() -> Option<String> {
    let mut headers = Headers::new();
    inject(&mut headers);
    headers.remove("baggage")
}

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

const INBOUND: [(&str, &str); 3] = [
    ("x-datadog-trace-id", "7"),
    ("x-datadog-parent-id", "9"),
    ("baggage", "user.id=u1,tier=gold"),
];

#[test]
fn children_inherit_and_parents_do_not_see_what_children_change() {
    let _recorder = Recorder::new();
    let root = enter(&ROOT);
    root.set_baggage("a", "1");
    let before = Span::start(&OTHER);
    {
        let child = enter(&CHILD);
        assert_eq!(here(), "a=1");
        child.set_baggage("b", "2");
        assert_eq!(shown(&child.baggage()), "a=1,b=2");
        {
            let _leaf = enter(&LEAF);
            assert_eq!(here(), "a=1,b=2");
            current_span().remove_baggage("a");
            assert_eq!(here(), "b=2");
            current_span().clear_baggage();
            assert_eq!((here(), sent()), (String::new(), None));
        }
        assert_eq!((here(), sent()), ("a=1,b=2".into(), Some("a=1,b=2".into())));
        // Of spans further down as well.
        assert_eq!(shown(&root.baggage()), "a=1");
        root.set_baggage("a", "changed");
        assert_eq!(here(), "a=1,b=2");
    }
    assert_eq!(here(), "a=changed");
    // What began before the change keeps what it had.
    assert_eq!(shown(&before.baggage()), "a=1");
    drop(root);
    assert_eq!(here(), "");
}

#[test]
fn baggage_comes_in_with_a_trace_and_goes_out_with_it() {
    let recorder = Recorder::new();
    {
        let mut span = Span::start_from(&ROOT, extract(&headers(&INBOUND)));
        assert_eq!(shown(&span.baggage()), "user.id=u1,tier=gold");
        span.set_baggage("tier", "silver");
        span.set_baggage("account.id", "late");
        let entered = span.enter();
        assert_eq!(
            shown(&entered.baggage()),
            "user.id=u1,tier=silver,account.id=late"
        );
        entered.remove_baggage("account.id");
        let _child = enter(&CHILD);
        assert_eq!(sent().as_deref(), Some("user.id=u1,tier=silver"));
    }
    let spans = recorder.take();
    let root = named(&spans, "root");
    // A35: the keys of `DD_TRACE_BAGGAGE_TAG_KEYS`, as they came in; on the local root only.
    assert_eq!(root.meta("baggage.user.id"), Some("u1"));
    assert_eq!(
        (root.meta("baggage.tier"), root.meta("baggage.account.id")),
        (None, None)
    );
    assert_eq!(named(&spans, "child").meta("baggage.user.id"), None);
}

#[test]
fn baggage_without_a_trace_begins_one() {
    for (keys, tags) in [
        ("user.id,account.id,session.id", [Some("u1"), None]),
        ("*", [Some("u1"), Some("gold")]),
        ("USER.ID, tier", [None, Some("gold")]),
        // A57.
        ("", [None, None]),
    ] {
        let recorder = Recorder::with(|config| config.set("DD_TRACE_BAGGAGE_TAG_KEYS", keys));
        {
            let mut span = Span::start_from(&ROOT, extract(&headers(&INBOUND[2..])));
            assert!(span.is_recording() && !span.trace_id().is_zero());
            let _entered = span.enter();
            assert_eq!(sent().as_deref(), Some("user.id=u1,tier=gold"));
        }
        let spans = recorder.take();
        let root = &spans[0];
        assert!(root.is_local_root && root.parent_id == 0 && root.trace_id.high() != 0);
        let found = ["baggage.user.id", "baggage.tier"].map(|key| root.meta(key));
        assert_eq!(found, tags, "{keys}");
    }
}

#[test]
fn tasks_and_carried_contexts_take_along_what_there_was() {
    let recorder = Recorder::new();
    let root = enter(&ROOT);
    root.set_baggage("a", "1");
    let context = Context::current();
    let mut task = Box::pin(instrument(Span::start(&CHILD), async {
        current_span().set_baggage("task", "1");
        once().await;
        here()
    }));
    assert!(poll(task.as_mut()).is_pending());
    root.set_baggage("a", "2");
    let mut other = Span::start_child_of(&OTHER, &context);
    assert_eq!(shown(&other.baggage()), "a=1");
    let handle = recorder.handle();
    let on_thread = std::thread::spawn(move || {
        let _recorder = handle.activate();
        assert_eq!(here(), "");
        let _attached = context.attach();
        let carried = (here(), sent());
        let child = enter(&LEAF);
        child.set_baggage("b", "2");
        let by_parent = enter_child_of(&LEAF, &context);
        let from_parent = here();
        drop(by_parent);
        (carried, here(), from_parent)
    });
    let (carried, changed, from_parent) = on_thread.join().unwrap();
    assert_eq!(carried, ("a=1".into(), Some("a=1".into())));
    assert_eq!((&*changed, &*from_parent), ("a=1,b=2", "a=1"));
    // A task that is polled here sees its own, not what is in force here.
    assert_eq!(poll(task.as_mut()), Poll::Ready("a=1,task=1".into()));
    assert_eq!(here(), "a=2");
    let entered = other.enter();
    entered.set_baggage("c", "3");
    drop(entered);
    assert_eq!(shown(&other.baggage()), "a=1,c=3");
    assert_eq!(shown(&other.context().baggage()), "a=1,c=3");
}

#[test]
fn a_context_has_baggage_of_its_own() {
    let _recorder = Recorder::new();
    let _root = enter(&ROOT);
    let mut context = Context::current();
    context.set_baggage("a", "1");
    context.set_baggage("b", "2");
    context.remove_baggage("b");
    assert_eq!(
        (here(), shown(&context.baggage())),
        (String::new(), "a=1".into())
    );
    let mut out = Headers::new();
    inject_context(&context, &mut out);
    assert_eq!(out["baggage"], "a=1");
    assert!(out.contains_key("traceparent"));
    {
        let _attached = context.attach();
        assert_eq!(here(), "a=1");
        let child = enter(&CHILD);
        assert_eq!(here(), "a=1");
        drop(child);
    }
    context.clear_baggage();
    let _attached = context.attach();
    assert_eq!(here(), "");
}

#[test]
fn without_a_span_baggage_propagates_all_the_same() {
    let recorder = Recorder::new();
    let mut context = Context::current();
    assert!(context.is_none());
    context.set_baggage("a", "1");
    let mut out = Headers::new();
    inject_context(&context, &mut out);
    assert_eq!(out, headers(&[("baggage", "a=1")]));
    {
        let _attached = context.attach();
        assert_eq!((here(), sent()), ("a=1".into(), Some("a=1".into())));
        let mut inner = Context::current();
        inner.set_baggage("b", "2");
        {
            let _inner = inner.attach();
            assert_eq!(here(), "a=1,b=2");
        }
        // Traces that begin here take it over, as spans on the stack and off it.
        let root = enter(&ROOT);
        assert_eq!(shown(&root.baggage()), "a=1");
        {
            // Over an active span it is put in force for that one.
            let _inner = inner.attach();
            assert_eq!(here(), "a=1,b=2");
            let _child = enter(&CHILD);
            assert_eq!(here(), "a=1,b=2");
        }
        assert_eq!(here(), "a=1");
        drop(root);
        assert_eq!(shown(&Span::start(&OTHER).baggage()), "a=1");
        // What is said to begin under the context has its baggage, whatever is in force.
        assert_eq!(
            shown(&Span::start_child_of(&OTHER, &inner).baggage()),
            "a=1,b=2"
        );
        let root = enter_child_of(&LEAF, &inner);
        assert_eq!(shown(&root.baggage()), "a=1,b=2");
    }
    assert_eq!((here(), sent()), (String::new(), None));
    let spans = recorder.take();
    assert_under(&spans, "child", "root");
    assert!(spans.iter().all(|span| span.meta("baggage.a").is_none()));
}

#[test]
fn with_tracing_off_baggage_passes_through() {
    let recorder = Recorder::with(|config| config.trace_enabled(false));
    for (inbound, trace_id) in [(&INBOUND[..], Some("7")), (&INBOUND[2..], None)] {
        let mut span = Span::start_from(&ROOT, extract(&headers(inbound)));
        assert!(!span.is_recording());
        let entered = span.enter();
        let _off = enter(&CHILD);
        let mut out = Headers::new();
        inject(&mut out);
        assert_eq!(out.get("x-datadog-trace-id").map(String::as_str), trace_id);
        assert_eq!(out["baggage"], "user.id=u1,tier=gold");
        entered.set_baggage("tier", "silver");
        assert_eq!(sent().as_deref(), Some("user.id=u1,tier=silver"));
    }
    assert_eq!(recorder.take().len(), 0);
}

#[test]
fn rules_see_baggage_that_became_a_tag() {
    let rules = r#"[{"tags":{"baggage.user.id":"u1"},"sample_rate":0},{"sample_rate":1}]"#;
    let recorder = Recorder::with(|config| config.sampling_rules(rules));
    // At an injection, and at the end.
    for early in [true, false] {
        let mut span = Span::start_from(&ROOT, extract(&headers(&INBOUND[2..])));
        let entered = span.enter();
        if early {
            sent();
        }
        drop(entered);
        drop(span);
        let spans = recorder.take();
        assert_eq!(spans[0].metric("_dd.rule_psr"), Some(0.0), "early: {early}");
    }
}

#[test]
fn listed_integrations_get_links_in_the_place_of_parents() {
    let recorder =
        Recorder::with(|config| config.set("DD_TRACE_PROPAGATION_AS_SPAN_LINKS", "kafka,Other"));
    for (integration, is_continued) in [("axum", true), ("kafka", false), ("other", false)] {
        let span = Span::start_from(&ROOT, extract_for(integration, &headers(&INBOUND)));
        assert_eq!(shown(&span.baggage()), "user.id=u1,tier=gold");
        drop(span);
        let spans = recorder.take();
        let (root, links) = (&spans[0], &spans[0].links);
        assert_eq!(
            root.trace_id == TraceId::new(0, 7),
            is_continued,
            "{integration}"
        );
        assert_eq!(links.len(), usize::from(!is_continued), "{integration}");
        for link in links {
            assert_eq!(link.target.trace_id, TraceId::new(0, 7));
            assert_eq!(link.target.span_id, SpanId::new(9));
            assert!(
                link.attributes
                    .contains(&("context_headers".into(), "datadog".into()))
            );
        }
    }
}

#[test]
fn a_decision_that_came_without_a_trace_is_that_of_the_trace_that_begins() {
    let recorder = Recorder::with(|config| config.propagation_styles(&["b3"]));
    drop(Span::start_from(&ROOT, extract(&headers(&[("b3", "0")]))));
    let spans = recorder.take();
    assert!(!spans[0].trace_id.is_zero() && spans[0].parent_id == 0);
    assert_eq!(spans[0].metric("_sampling_priority_v1"), Some(0.0));
}
