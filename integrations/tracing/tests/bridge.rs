//! Spans of `tracing`, as ddtrace records them.

use std::sync::Arc;

use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::{self, Site, enter};
use ddtrace_tracing::Bridge;
use tracing::{Dispatch, Instrument, Level, info_span};
use tracing_subscriber::prelude::*;

ddtrace_core::site! { static OUTER: Site = Site::new("outer", "outer", module_path!(), file!(), line!()); }
ddtrace_core::site! { static INNER: Site = Site::new("inner", "inner", module_path!(), file!(), line!()); }

/// Runs something with a subscriber that has the layer, and gives the spans.
fn spans_of(work: impl FnOnce()) -> Vec<SpanData> {
    spans_with(Bridge::new(), work)
}

fn spans_with(bridge: Bridge, work: impl FnOnce()) -> Vec<SpanData> {
    let recorder = Recorder::new();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(bridge.layer()), work);
    recorder.take()
}

#[track_caller]
fn named<'a>(spans: &'a [SpanData], name: &str) -> &'a SpanData {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("no {name} in {spans:#?}"));
    assert!(found.next().is_none(), "{name} twice");
    span
}

#[track_caller]
fn assert_under(spans: &[SpanData], child: &str, parent: &str) {
    let (child, parent) = (named(spans, child), named(spans, parent));
    assert_eq!(
        (child.parent_id, child.trace_id),
        (parent.span_id, parent.trace_id),
        "{} under {}",
        child.name,
        parent.name
    );
}

#[derive(Debug)]
struct Broken(Option<std::io::Error>);

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("it is broken")
    }
}

impl std::error::Error for Broken {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.as_ref().map(|error| error as _)
    }
}

#[test]
fn contexts_go_both_ways() {
    let spans = spans_of(|| {
        let _outer = enter(&OUTER);
        let _tracing = info_span!("tracing").entered();
        let _inner = enter(&INNER);
        info_span!("leaf").in_scope(|| {});
    });
    assert_eq!(spans.len(), 4);
    assert_under(&spans, "tracing", "outer");
    assert_under(&spans, "inner", "tracing");
    assert_under(&spans, "leaf", "inner");
    assert_eq!(named(&spans, "outer").parent_id, 0);
}

#[test]
fn fields_are_tags() {
    let spans = spans_of(|| {
        let span = tracing::warn_span!(
            target: "shop::cart",
            "work",
            text = "a",
            number = 3,
            float = 2.5,
            yes = true,
            debug = ?[1, 2],
            display = %"b",
            large = u128::MAX,
            later = tracing::field::Empty,
            never = tracing::field::Empty,
            resource.name = "GET /cart",
            service.name = "carts",
        );
        span.in_scope(|| span.record("later", "inside"));
        span.record("number", 4);
    });
    let span = named(&spans, "work");
    for (key, value) in [
        ("text", "a"),
        ("yes", "true"),
        ("debug", "[1, 2]"),
        ("display", "b"),
        ("large", "340282366920938463463374607431768211455"),
        ("later", "inside"),
        ("target", "shop::cart"),
        ("level", "WARN"),
        ("component", "tracing"),
    ] {
        assert_eq!(span.meta(key), Some(value), "{key}");
    }
    assert_eq!(span.metric("number"), Some(4.0));
    assert_eq!(span.metric("float"), Some(2.5));
    assert_eq!(span.meta("never"), None);
    assert_eq!((&*span.resource, &*span.service), ("GET /cart", "carts"));
}

#[test]
fn conventions_of_opentelemetry_are_followed() {
    let spans = spans_of(|| {
        info_span!("a", otel.name = "GET /users/{id}", otel.kind = "SERVER").in_scope(|| {});
        info_span!("b", otel.kind = ?trace::SpanKind::Client, otel.status_code = "ERROR", otel.status_description = "no").in_scope(|| {});
        info_span!("c", otel.status_code = "Ok", error = "ignored").in_scope(|| {});
        info_span!("d", exception.type = "T", exception.message = "M", exception.stacktrace = "S")
            .in_scope(|| {});
    });
    let server = named(&spans, "GET /users/{id}");
    assert_eq!(server.meta("span.kind"), Some("server"));
    assert_eq!(server.resource, "GET /users/{id}");
    assert_eq!(named(&spans, "b").meta("span.kind"), Some("client"));
    assert_eq!(named(&spans, "b").meta("error.message"), Some("no"));
    let errors = ["GET /users/{id}", "b", "c", "d"].map(|name| named(&spans, name).error);
    assert_eq!(errors, [false, true, false, true]);
    let exception = named(&spans, "d");
    let parts = ["error.type", "error.message", "error.stack"].map(|key| exception.meta(key));
    assert_eq!(parts, [Some("T"), Some("M"), Some("S")]);
}

#[test]
fn errors_mark_the_span() {
    #[tracing::instrument(err)]
    fn fails() -> Result<(), Broken> {
        Err(Broken(None))
    }
    let spans = spans_of(|| {
        let error = Broken(Some(std::io::Error::other("the cause")));
        let error: &(dyn std::error::Error + 'static) = &error;
        info_span!("field", error).in_scope(|| {});
        let _ = fails();
        info_span!("flag", error = true).in_scope(|| {});
        info_span!("handled").in_scope(|| tracing::error!("only said"));
        let _ours = enter(&OUTER);
        tracing::error!(error = %Broken(None), "of ours");
    });
    let field = named(&spans, "field");
    assert!(field.error);
    assert_eq!(field.meta("error.message"), Some("it is broken"));
    assert!(
        field
            .meta("error.stack")
            .unwrap()
            .contains("caused by: the cause")
    );
    let fails = named(&spans, "fails");
    assert!(fails.error);
    assert_eq!(fails.meta("error.message"), Some("it is broken"));
    assert!(named(&spans, "flag").error);
    assert!(!named(&spans, "handled").error);
    assert_eq!(
        named(&spans, "outer").meta("error.message"),
        Some("it is broken")
    );
}

#[test]
fn follows_from_is_a_link() {
    let spans = spans_of(|| {
        let cause = info_span!("cause");
        let effect = info_span!("effect");
        effect.follows_from(&cause);
    });
    let (cause, effect) = (named(&spans, "cause"), named(&spans, "effect"));
    assert_ne!(cause.trace_id, effect.trace_id);
    assert_eq!(effect.links.len(), 1);
    assert_eq!(effect.links[0].target.span_id.get(), cause.span_id);
    assert_eq!(effect.links[0].target.trace_id, cause.trace_id);
}

#[test]
fn events_are_span_events_of_the_innermost_span() {
    let events = |bridge| {
        let spans = spans_with(bridge, || {
            let _work = info_span!("work").entered();
            tracing::info!(target: "shop", items = 3, big = u64::MAX, "placed");
            tracing::warn!("late");
            tracing::debug!("detail");
            tracing::info!(target: "hyper::proto", "internal");
            tracing::info!(parent: None, "nowhere");
            let _inner = enter(&INNER);
            tracing::info!("inside");
        });
        let names = |name: &str| {
            let span = named(&spans, name);
            span.events
                .iter()
                .map(|event| event.name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("inner").len(), usize::from(!names("work").is_empty()));
        if let Some(event) = named(&spans, "work").events.first() {
            let attributes: Vec<_> = event
                .attributes
                .iter()
                .map(|(key, value)| format!("{key}={value:?}"))
                .collect();
            assert_eq!(
                attributes,
                [
                    "level=Text(\"INFO\")",
                    "target=Text(\"shop\")",
                    "items=Int(3)",
                    "big=Text(\"18446744073709551615\")"
                ]
            );
        }
        names("work")
    };
    let bridge = Bridge::new;
    assert_eq!(events(bridge()), ["placed", "late"]);
    assert_eq!(
        events(bridge().with_events(Level::DEBUG)),
        ["placed", "late", "detail"]
    );
    assert_eq!(
        events(bridge().with_internals(true)),
        ["placed", "late", "internal"]
    );
    assert_eq!(events(bridge().with_events(None)), [""; 0]);
}

#[test]
fn more_than_128_events_are_left_out() {
    let spans = spans_of(|| {
        let _work = info_span!("work").entered();
        for index in 0..200 {
            tracing::info!(index, "again");
        }
    });
    let work = named(&spans, "work");
    assert_eq!(work.events.len(), 128);
    assert_eq!(work.metric("ddtrace.left_out"), Some(72.0));
}

#[test]
fn parents_are_those_that_tracing_says() {
    let spans = spans_of(|| {
        let first = info_span!("first");
        let _outer = enter(&OUTER);
        info_span!(parent: None, "root").in_scope(|| {});
        info_span!(parent: &first, "child").in_scope(|| {});
        info_span!("contextual").in_scope(|| {});
    });
    assert_eq!(named(&spans, "root").parent_id, 0);
    assert_under(&spans, "child", "first");
    assert_under(&spans, "contextual", "outer");
}

#[test]
fn spans_that_are_left_out_hand_their_place_on() {
    let recorder = Recorder::new();
    let subscriber = tracing_subscriber::registry()
        .with(ddtrace_tracing::layer())
        // Somebody else takes them, so they exist.
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink));
    tracing::subscriber::with_default(subscriber, || {
        let _outer = info_span!("outer").entered();
        let internal = info_span!(target: "hyper::client", "internal").entered();
        info_span!("inner").in_scope(|| {});
        info_span!(parent: &internal, "explicit").in_scope(|| {});
    });
    let spans = recorder.take();
    assert_eq!(spans.len(), 3);
    assert_under(&spans, "inner", "outer");
    assert_under(&spans, "explicit", "outer");
}

#[test]
fn exits_may_come_in_any_order() {
    let spans = spans_of(|| {
        let (a, b) = (info_span!("a"), info_span!("b"));
        let (in_a, in_b) = (a.enter(), b.enter());
        let ours = enter(&OUTER);
        drop(in_a);
        info_span!("c").in_scope(|| {});
        drop(in_b);
        info_span!("d").in_scope(|| {});
        drop(ours);
        info_span!("e").in_scope(|| {});
    });
    assert_eq!(spans.len(), 6);
    assert_under(&spans, "outer", "b");
    assert_under(&spans, "c", "outer");
    assert_under(&spans, "d", "outer");
    assert_eq!(named(&spans, "e").parent_id, 0);
    assert_ne!(named(&spans, "a").trace_id, named(&spans, "b").trace_id);
}

#[test]
fn several_threads_may_be_in_a_span_at_once() {
    let recorder = Recorder::new();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(ddtrace_tracing::layer()));
    tracing::dispatcher::with_default(&dispatch, || {
        let shared = info_span!("shared", by = tracing::field::Empty);
        let _entered = shared.enter();
        std::thread::scope(|scope| {
            for name in ["one", "two"] {
                let (shared, dispatch, handle) = (&shared, &dispatch, recorder.handle());
                scope.spawn(move || {
                    let _active = handle.activate();
                    tracing::dispatcher::with_default(dispatch, || {
                        let _entered = shared.enter();
                        shared.record("by", "another thread");
                        info_span!("on a thread", otel.name = name).in_scope(|| {});
                    });
                });
            }
        });
        info_span!("here").in_scope(|| {});
    });
    drop(dispatch);
    let chunks = recorder.take_chunks();
    assert_eq!(chunks.len(), 1);
    for name in ["one", "two", "here"] {
        assert_under(&chunks[0], name, "shared");
    }
    assert_eq!(
        named(&chunks[0], "shared").meta("by"),
        Some("another thread")
    );
}

#[test]
fn a_span_ends_when_it_was_left_the_last_time() {
    let spans = spans_of(|| {
        let request = info_span!("request");
        let task = request.in_scope(|| info_span!("task"));
        drop(request);
        // Goes on in the background, and keeps its parent.
        task.in_scope(|| {});
        enter(&OUTER).finish();
    });
    let (request, task) = (named(&spans, "request"), named(&spans, "task"));
    assert_under(&spans, "task", "request");
    assert!(request.start + request.duration <= task.start + task.duration);
    assert!(task.start + task.duration <= named(&spans, "outer").start);
}

#[test]
fn a_debug_that_makes_spans_and_one_that_panics_do_no_harm() {
    struct Makes;
    impl std::fmt::Debug for Makes {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            info_span!("made").in_scope(|| tracing::info!("said"));
            out.write_str("makes")
        }
    }
    struct Panics;
    impl std::fmt::Debug for Panics {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("by design")
        }
    }
    let spans = spans_of(|| {
        // A place that is first reached while another span is made stays off: tracing does not go into itself.
        assert_eq!(format!("{Makes:?}"), "makes");
        let span = info_span!("work", value = ?Makes, bad = ?Panics, later = tracing::field::Empty);
        let _entered = span.enter();
        span.record("later", tracing::field::debug(Makes));
        tracing::info!(value = ?Makes, "event");
    });
    let work = named(&spans, "work");
    assert_eq!(work.meta("value"), Some("makes"));
    assert_eq!(work.meta("bad"), Some("<panicked in Debug>"));
    assert_eq!(work.meta("later"), Some("makes"));
    let made: Vec<_> = spans.iter().filter(|span| span.name == "made").collect();
    assert!(made.iter().any(|span| span.parent_id == 0), "before");
    let inside = made.iter().any(|span| span.parent_id == work.span_id);
    assert!(inside, "while a field is recorded");
}

#[test]
fn two_subscribers_do_not_mix_their_spans_up() {
    let recorder = Recorder::new();
    let subscriber =
        || Dispatch::new(tracing_subscriber::registry().with(ddtrace_tracing::layer()));
    let (one, other) = (subscriber(), subscriber());
    let first = tracing::dispatcher::with_default(&one, || info_span!("first"));
    let second = tracing::dispatcher::with_default(&other, || info_span!("second"));
    // Spans know their subscriber, so both may be entered here; the ids are the same.
    let in_first = first.enter();
    let in_second = second.enter();
    drop(in_first);
    tracing::dispatcher::with_default(&one, || info_span!("third").in_scope(|| {}));
    drop(in_second);
    drop((first, second));
    let spans = recorder.take();
    assert_under(&spans, "third", "second");
}

#[test]
fn the_integration_can_be_switched_off() {
    let recorder = Recorder::with_variables(&[("DD_TRACE_TRACING_ENABLED", "false")]);
    let subscriber = tracing_subscriber::registry().with(ddtrace_tracing::layer());
    tracing::subscriber::with_default(subscriber, || {
        let _outer = enter(&OUTER);
        let _tracing = info_span!("tracing").entered();
        drop(enter(&INNER));
    });
    let spans = recorder.take();
    assert_eq!(spans.len(), 2);
    assert_under(&spans, "inner", "outer");
}

#[test]
fn filters_work_as_for_any_layer() {
    let recorder = Recorder::new();
    let layer = ddtrace_tracing::layer().with_filter(tracing_subscriber::filter::LevelFilter::INFO);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let _outer = info_span!("outer").entered();
        let _hidden = tracing::debug_span!("hidden").entered();
        info_span!("inner").in_scope(|| {});
    });
    let spans = recorder.take();
    assert_eq!(spans.len(), 2);
    assert_under(&spans, "inner", "outer");
}

#[test]
fn the_tracers_own_target_never_comes_back() {
    let spans = spans_of(|| {
        let _work = info_span!("work").entered();
        info_span!(target: "ddtrace", "own").in_scope(|| {});
        tracing::error!(target: "ddtrace", error = "x", "a line");
    });
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].events.len(), spans[0].error), (0, false));
}

#[test]
fn a_panic_marks_the_spans_it_goes_through() {
    let spans = spans_of(|| {
        let result = std::panic::catch_unwind(|| {
            let _work = info_span!("work").entered();
            panic!("by design");
        });
        assert!(result.is_err());
        info_span!("after").in_scope(|| {});
    });
    let work = named(&spans, "work");
    assert!(work.error);
    assert!(work.meta("error.message").unwrap().starts_with("by design"));
    assert!(!named(&spans, "after").error);
}

#[tracing::instrument(fields(otel.name = format!("step {number}")))]
async fn step(number: u32) {
    tokio::task::yield_now().await;
    enter(&INNER).set_tag("number", number);
    tokio::task::yield_now().await;
}

/// A runtime whose threads all work for the recorder and the subscriber.
fn runtime(recorder: &Recorder, dispatch: &Dispatch) -> tokio::runtime::Runtime {
    let (handle, dispatch) = (recorder.handle(), dispatch.clone());
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .on_thread_start(move || {
            // For as long as the thread lives.
            std::mem::forget(handle.activate());
            std::mem::forget(tracing::dispatcher::set_default(&dispatch));
        })
        .build()
        .unwrap()
}

#[test]
fn tasks_keep_their_spans_apart_on_every_thread() {
    const STEPS: u32 = 50;
    let recorder = Recorder::new();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(ddtrace_tracing::layer()));
    let runtime = runtime(&recorder, &dispatch);
    let root = tracing::dispatcher::with_default(&dispatch, || info_span!("root"));
    let all = async {
        let steps: Vec<_> = (0..STEPS)
            .map(|number| tokio::spawn(step(number).in_current_span()))
            .collect();
        tokio::join!(step(STEPS), step(STEPS + 1));
        for step in steps {
            step.await.unwrap();
        }
    };
    let all = runtime.spawn(all.instrument(root));
    runtime.block_on(all).unwrap();
    drop(runtime);
    let spans: Vec<_> = recorder.take_chunks().into_iter().flatten().collect();
    assert_eq!(spans.len() as u32, 1 + 2 * (STEPS + 2));
    let root = named(&spans, "root");
    for number in 0..STEPS + 2 {
        let step = named(&spans, &format!("step {number}"));
        assert_eq!(step.parent_id, root.span_id);
        let mut inner = spans.iter().filter(|span| span.parent_id == step.span_id);
        let inner = inner
            .next()
            .unwrap_or_else(|| panic!("nothing under step {number}"));
        assert_eq!(inner.metric("number"), Some(f64::from(number)));
    }
}

#[test]
fn a_task_that_is_given_up_ends_its_spans() {
    let recorder = Recorder::new();
    let dispatch = Dispatch::new(tracing_subscriber::registry().with(ddtrace_tracing::layer()));
    let runtime = runtime(&recorder, &dispatch);
    let started = Arc::new(tokio::sync::Notify::new());
    let says = Arc::clone(&started);
    let task = runtime.spawn(async move {
        async {
            says.notify_one();
            std::future::pending::<()>().await;
        }
        .instrument(info_span!("waits"))
        .await;
    });
    runtime.block_on(async {
        started.notified().await;
        task.abort();
        let _ = task.await;
    });
    drop(runtime);
    assert_eq!(named(&recorder.take(), "waits").parent_id, 0);
}

#[test]
fn what_nobody_is_interested_in_is_not_even_made() {
    let _recorder = Recorder::new();
    let enabled = || {
        (
            tracing::enabled!(target: "hyper", Level::INFO),
            tracing::event_enabled!(target: "shop", Level::DEBUG),
            tracing::event_enabled!(target: "shop", Level::INFO),
            // The tracer's own lines have somewhere to go only if somebody else takes them.
            tracing::event_enabled!(target: "ddtrace", Level::ERROR),
        )
    };
    let alone = tracing_subscriber::registry().with(ddtrace_tracing::layer());
    let seen = tracing::subscriber::with_default(alone, enabled);
    assert_eq!(seen, (false, false, true, false));
    let with_others = tracing_subscriber::registry()
        .with(ddtrace_tracing::layer())
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::sink));
    let seen = tracing::subscriber::with_default(with_others, enabled);
    assert_eq!(seen, (true, true, true, true));
}
