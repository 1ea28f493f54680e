//! Spans that leave their thread or scope: handles, futures, carried contexts.

use std::pin::pin;

use super::*;

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
