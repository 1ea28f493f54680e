//! One active span for both interfaces: what is attached there is active here, and what is active here is the parent there.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::task::{Context as TaskContext, Poll, Waker};

use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::{self, Span as Datadog};
use ddtrace_opentelemetry::{ContextExt, Propagator, Tracer, TracerProvider, current};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    FutureExt, Span as _, SpanContext, TraceContextExt, TraceFlags, TraceState, Tracer as _,
    TracerProvider as _, mark_span_as_active,
};
use opentelemetry::{Context, KeyValue, SpanId, TraceId};

fn tracer() -> Tracer {
    TracerProvider::new().tracer("test")
}

/// A span of ours by hand, below whatever is active.
fn ours(name: &'static str) {
    Datadog::builder(name).start().finish();
}

/// Who is whose child, by resource.
#[track_caller]
fn parents(spans: &[SpanData]) -> HashMap<String, String> {
    let name_of = |id: u64| {
        let parent = spans.iter().find(|span| span.span_id == id);
        parent.map_or_else(|| id.to_string(), |span| span.resource.clone())
    };
    spans
        .iter()
        .map(|span| (span.resource.clone(), name_of(span.parent_id)))
        .collect()
}

#[track_caller]
fn assert_parents(spans: &[SpanData], expected: &[(&str, &str)]) {
    let expected = expected
        .iter()
        .map(|(child, parent)| ((*child).to_owned(), (*parent).to_owned()));
    assert_eq!(parents(spans), expected.collect::<HashMap<_, _>>());
}

#[test]
fn spans_of_both_interfaces_nest_in_one_trace() {
    let recorder = Recorder::new();
    let tracer = tracer();
    tracer.in_span("a", |_| {
        let mut b = Datadog::builder("b").start();
        let active = b.enter();
        tracer.in_span("c", |_| ours("d"));
        // Back below ours, although OpenTelemetry's own current span is the outer one.
        tracer.start("e").end();
        drop(active);
        drop(b);
        ours("f");
    });
    ours("g");
    let chunks = recorder.take_chunks();
    assert_eq!(chunks.len(), 2, "{chunks:?}");
    let expected = [
        ("a", "0"),
        ("b", "a"),
        ("c", "b"),
        ("d", "c"),
        ("e", "b"),
        ("f", "a"),
    ];
    let whole = chunks
        .iter()
        .find(|chunk| chunk.len() > 1)
        .expect("one trace is larger");
    assert_parents(whole, &expected);
}

#[test]
fn a_value_in_a_context_leaves_the_active_span_alone() {
    let recorder = Recorder::new();
    let tracer = tracer();
    tracer.in_span("a", |context| {
        let mut b = Datadog::builder("b").start();
        let active = b.enter();
        {
            let _attached = context.with_value(7_u8).attach();
            ours("c");
            tracer.start("d").end();
        }
        drop(active);
    });
    assert_parents(
        &recorder.take(),
        &[("a", "0"), ("b", "a"), ("c", "b"), ("d", "b")],
    );
}

#[test]
fn a_context_that_is_named_beats_the_active_span() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let mut parent = tracer.start("parent");
    let named = Context::new().with_remote_span_context(parent.span_context().clone());
    let mut active = Datadog::builder("active").root().start();
    let entered = active.enter();
    tracer.start_with_context("child", &named).end();
    tracer.start_with_context("root", &Context::new()).end();
    drop(entered);
    parent.end();
    // Its place is known as long as the span is held, ended or not.
    tracer.start_with_context("late", &named).end();
    drop((active, parent));
    let spans = recorder.take();
    assert_parents(
        &spans,
        &[
            ("active", "0"),
            ("parent", "0"),
            ("child", "parent"),
            ("root", "0"),
            ("late", "parent"),
        ],
    );
    let is_root = |name: &str| {
        spans
            .iter()
            .any(|span| span.resource == name && span.is_local_root)
    };
    assert!(!is_root("child") && !is_root("late"));
}

#[test]
fn contexts_may_be_left_in_any_order() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let context = |name: &'static str| {
        Context::new().with_span(tracer.start_with_context(name, &Context::new()))
    };
    let (a, b, c) = (context("a"), context("b"), context("c"));
    let first = a.clone().attach();
    let second = b.clone().attach();
    let third = c.clone().attach();
    drop(second);
    ours("in c");
    drop(third);
    ours("in a");
    // Twice the same.
    let again = a.clone().attach();
    drop(first);
    ours("in a again");
    drop(again);
    ours("outside");
    assert!(trace::active_ids().is_none());
    drop((a, b, c));
    let expected = [
        ("a", "0"),
        ("b", "0"),
        ("c", "0"),
        ("in c", "c"),
        ("in a", "a"),
        ("in a again", "a"),
        ("outside", "0"),
    ];
    assert_parents(&recorder.take(), &expected);
}

#[test]
fn a_future_with_a_context_has_it_at_every_poll() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let context = Context::new().with_span(tracer.start("task"));
    let other = Context::new().with_span(tracer.start("other"));
    let twice = |name: &'static str| {
        let mut polls = 0;
        std::future::poll_fn(move |_| {
            ours(name);
            polls += 1;
            if polls == 2 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    };
    {
        let mut one = pin!(twice("in task").with_context(context));
        let mut two = pin!(twice("in other").with_context(other));
        let mut task = TaskContext::from_waker(Waker::noop());
        // Interleaved, as on a runtime's thread.
        for _ in 0..2 {
            let _ = one.as_mut().poll(&mut task);
            ours("between");
            let _ = two.as_mut().poll(&mut task);
        }
    }
    let expected = [
        ("task", "0"),
        ("other", "0"),
        ("in task", "task"),
        ("in other", "other"),
        ("between", "0"),
    ];
    let spans = recorder.take();
    assert_eq!(spans.len(), 8);
    assert_parents(&spans, &expected);
}

#[test]
fn the_active_span_of_ours_can_be_shown_to_opentelemetry() {
    let recorder = Recorder::new();
    let mut span = Datadog::builder("ours").start();
    {
        let _active = span.enter();
        let context = current();
        assert_eq!(
            context.span().span_context().span_id().to_bytes(),
            span_id()
        );
        assert!(context.span().is_recording());
        context
            .span()
            .set_attribute(KeyValue::new("team", "checkout"));
        context.span().end();
        let _attached = context.attach();
        tracer().start("theirs").end();
    }
    span.set_tag("still", "open");
    span.finish();
    let spans = recorder.take();
    assert_parents(&spans, &[("ours", "0"), ("theirs", "ours")]);
    let ours = spans
        .iter()
        .find(|span| span.resource == "ours")
        .expect("it is there");
    assert_eq!(
        (ours.meta("team"), ours.meta("still")),
        (Some("checkout"), Some("open"))
    );
}

fn span_id() -> [u8; 8] {
    trace::active_ids()
        .map_or(0, |(_, span, _)| span.get())
        .to_be_bytes()
}

#[test]
fn a_span_of_ours_may_be_handed_over_and_back() {
    let recorder = Recorder::new();
    let mut span =
        ddtrace_opentelemetry::Span::from(Datadog::builder("job").resource("reindex").start());
    span.set_attribute(KeyValue::new("db.system", "redis"));
    span.datadog().expect("it is open").set_tag("theirs", 1);
    let place = span.datadog_context().clone();
    let context = Context::new().with_datadog_context(&place);
    tracer().start_with_context("below", &context).end();
    span.end();
    assert!(span.datadog().is_none());
    let spans = recorder.take();
    let job = spans
        .iter()
        .find(|span| span.resource == "reindex")
        .expect("it is there");
    assert_eq!((&*job.name, job.metric("theirs")), ("job", Some(1.0)));
    assert_parents(&spans, &[("reindex", "0"), ("below", "reindex")]);
}

#[test]
fn a_trace_that_came_in_is_continued_with_all_that_it_said() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let headers: HashMap<String, String> = [
        ("x-datadog-trace-id", "123456789"),
        ("x-datadog-parent-id", "987654321"),
        ("x-datadog-sampling-priority", "-1"),
        ("x-datadog-tags", "_dd.p.foo=bar"),
        ("x-datadog-origin", "synthetics"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let context = Propagator::new().extract(&headers);
    assert!(context.span().span_context().is_remote());
    let mut named = tracer.start_with_context("named", &context);
    let seen = named.span_context().clone();
    named.end();
    {
        let _attached = context.clone().attach();
        let attached = tracer.start("attached");
        let _active = mark_span_as_active(attached);
        ours("below");
    }
    assert_eq!(seen.trace_id(), TraceId::from(123_456_789_u128));
    assert_eq!(seen.trace_flags(), TraceFlags::NOT_SAMPLED);
    let state = seen.trace_state().header();
    for part in ["o:synthetics", "s:-1", "t.foo:bar"] {
        assert!(state.contains(part), "{part}: {state}");
    }
    let spans = recorder.take();
    assert_parents(
        &spans,
        &[
            ("named", "987654321"),
            ("attached", "987654321"),
            ("below", "attached"),
        ],
    );
    for span in &spans {
        assert_eq!(
            (span.trace_id.low(), span.meta("_dd.origin")),
            (123_456_789, Some("synthetics"))
        );
    }

    // Without a span in between it is passed on as it came.
    let mut outbound = HashMap::<String, String>::new();
    Propagator::new().inject_context(&context, &mut outbound);
    assert_eq!(outbound["x-datadog-parent-id"], "987654321");
    assert_eq!(outbound["x-datadog-origin"], "synthetics");
}

#[test]
fn a_foreign_parent_is_continued_by_what_its_context_says() {
    let recorder = Recorder::new();
    let state =
        TraceState::from_key_value([("dd", "s:2;o:rum"), ("foo", "1")]).expect("it is valid");
    let remote = SpanContext::new(
        TraceId::from(42_u128),
        SpanId::from(3),
        TraceFlags::SAMPLED,
        true,
        state,
    );
    let parent = Context::new().with_remote_span_context(remote);
    let mut span = tracer().start_with_context("child", &parent);
    assert!(
        span.span_context()
            .trace_state()
            .header()
            .ends_with(",foo=1")
    );
    span.end();
    let spans = recorder.take();
    assert_eq!((spans[0].trace_id.low(), spans[0].parent_id), (42, 3));
    assert_eq!(spans[0].metric("_sampling_priority_v1"), Some(2.0));
    assert_eq!(spans[0].meta("_dd.origin"), Some("rum"));
}

#[test]
fn what_is_injected_names_the_span_of_the_context() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let mut names = Vec::new();
    let inject = |context: Option<&Context>| {
        let mut headers = HashMap::<String, String>::new();
        match context {
            Some(context) => Propagator::new().inject_context(context, &mut headers),
            None => Propagator::new().inject(&mut headers),
        }
        headers
            .get("x-datadog-parent-id")
            .and_then(|id| id.parse::<u64>().ok())
    };
    tracer.in_span("a", |context| {
        let mut b = Datadog::builder("b").start();
        let active = b.enter();
        names.push((inject(None), b"b"));
        names.push((inject(Some(&context)), b"a"));
        drop(active);
    });
    assert_eq!(inject(Some(&Context::new())), None);
    let spans = recorder.take();
    for (id, name) in names {
        let name = std::str::from_utf8(name).expect("ASCII");
        let span = spans.iter().find(|span| span.resource == name).expect(name);
        assert_eq!(id, Some(span.span_id), "{name}");
    }
}

#[test]
fn baggage_of_an_attached_context_is_in_force() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let baggage = || {
        let all = trace::baggage();
        let mut items: Vec<_> = all
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        items.sort();
        items.join(",")
    };
    // Without any span.
    let outer = Context::new()
        .with_baggage([KeyValue::new("a", "1")])
        .attach();
    assert_eq!(baggage(), "a=1");
    tracer.in_span("theirs", |context| {
        assert_eq!(baggage(), "a=1");
        let mut ours = Datadog::builder("ours").start();
        ours.set_baggage("b", "2");
        let entered = ours.enter();
        // The span stays the active one, and the change is over with the context.
        {
            let _changed = context.with_baggage([KeyValue::new("c", "3")]).attach();
            assert_eq!(baggage(), "b=2,c=3");
            assert_eq!(current().baggage().len(), 2);
            Datadog::builder("below").start().finish();
        }
        assert_eq!(baggage(), "a=1,b=2");
        drop(entered);
    });
    drop(outer);
    assert_eq!(baggage(), "");
    assert_parents(
        &recorder.take(),
        &[("theirs", "0"), ("ours", "theirs"), ("below", "ours")],
    );
}

#[test]
fn baggage_goes_out_and_comes_in_with_the_headers() {
    let recorder = Recorder::new();
    let headers = HashMap::from([("baggage".to_owned(), "user.id=u1,x=y".to_owned())]);
    let came = Propagator::new().extract(&headers);
    assert_eq!(
        came.baggage().get("user.id").map(|value| value.as_str()),
        Some("u1")
    );
    let changed = came.with_baggage([KeyValue::new("x", "z")]);
    let mut outbound = HashMap::<String, String>::new();
    Propagator::new().inject_context(&changed, &mut outbound);
    let mut items: Vec<_> = outbound["baggage"].split(',').collect();
    items.sort_unstable();
    assert_eq!(items, ["user.id=u1", "x=z"]);
    assert!(!outbound.contains_key("traceparent"));

    let mut span = tracer().start_with_context("below", &changed);
    let place = span.datadog_context();
    span.end();
    assert_eq!(place.baggage().get("x"), Some("z"));
    let spans = recorder.take();
    assert_eq!(
        (spans[0].parent_id, spans[0].meta("baggage.user.id")),
        (0, Some("u1"))
    );
}

#[test]
fn with_tracing_off_what_came_in_passes_through() {
    let recorder = Recorder::with(|config| config.trace_enabled(false));
    let headers: HashMap<String, String> = [
        ("x-datadog-trace-id", "123456789"),
        ("x-datadog-parent-id", "987654321"),
        ("x-datadog-sampling-priority", "2"),
        ("x-datadog-origin", "rum"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let came = Propagator::new().extract(&headers);
    let span = tracer().start_with_context("nothing", &came);
    assert!(!span.is_recording());
    assert_eq!(
        span.span_context().trace_id(),
        TraceId::from(123_456_789_u128)
    );
    assert!(span.span_context().is_sampled());
    let context = Context::new().with_span(span);
    let attached = context.clone().attach();
    for context in [&context, &current(), &Context::current()] {
        let mut outbound = HashMap::<String, String>::new();
        Propagator::new().inject_context(context, &mut outbound);
        for (name, value) in &headers {
            assert_eq!(outbound.get(name), Some(value), "{name}: {outbound:?}");
        }
    }
    drop((attached, context));
    assert_eq!(recorder.take().len(), 0);
}
