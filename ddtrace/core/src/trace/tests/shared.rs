//! Spans that are entered by several and left in any order.

use proptest::prelude::*;

use super::*;

fn shared(site: &'static Site) -> SharedSpan {
    SharedSpan::new(Span::start(site))
}

fn active() -> u64 {
    active_ids().map_or(0, |(_, span, _)| span.get())
}

#[test]
fn spans_made_inside_are_children_and_it_writes_like_any_other() {
    let recorder = Recorder::new();
    let root = shared(&ROOT);
    root.set_tag("before", 1);
    let entry = root.enter();
    root.set_tag("inside", 2);
    current_span().set_tag("by.current", 3);
    drop(enter(&CHILD));
    root.leave(entry);
    root.set_tag("after", 4);
    drop(root);
    let chunks = recorder.take_chunks();
    assert_eq!(chunks.len(), 1);
    assert_under(&chunks[0], "child", "root");
    let root = named(&chunks[0], "root");
    for (key, value) in [
        ("before", 1.0),
        ("inside", 2.0),
        ("by.current", 3.0),
        ("after", 4.0),
    ] {
        assert_eq!(root.metric(key), Some(value), "{key}");
    }
}

#[test]
fn leaving_early_keeps_what_is_above_open() {
    let recorder = Recorder::new();
    let root = shared(&ROOT);
    let entry = root.enter();
    let child = enter(&CHILD);
    root.leave(entry);
    assert_eq!(active(), child.span_id().get());
    drop(enter(&LEAF));
    drop(child);
    assert_eq!(active(), 0);
    drop(enter(&OTHER));
    drop(root);
    let chunks = recorder.take_chunks();
    let spans: Vec<_> = chunks.into_iter().flatten().collect();
    assert_eq!(spans.len(), 4);
    assert_under(&spans, "child", "root");
    assert_under(&spans, "leaf", "child");
    assert_eq!(named(&spans, "other").parent_id, 0);
}

#[test]
fn several_threads_may_be_in_it_at_once() {
    let recorder = Recorder::new();
    let root = shared(&ROOT);
    let entry = root.enter();
    let handle = recorder.handle();
    std::thread::scope(|scope| {
        for (site, key) in [(&CHILD, "one"), (&LEAF, "two")] {
            let (root, handle) = (&root, handle.clone());
            scope.spawn(move || {
                let _active = handle.activate();
                let entry = root.enter();
                drop(enter(site));
                root.set_tag(key, 1);
                root.leave(entry);
                assert_eq!(active(), 0);
            });
        }
    });
    drop(enter(&OTHER));
    root.leave(entry);
    drop(root);
    let chunks = recorder.take_chunks();
    assert_eq!(chunks.len(), 1);
    for name in ["child", "leaf", "other"] {
        assert_under(&chunks[0], name, "root");
    }
    let root = named(&chunks[0], "root");
    assert_eq!(
        (root.metric("one"), root.metric("two")),
        (Some(1.0), Some(1.0))
    );
}

#[test]
fn it_may_move_between_threads_and_end_on_another() {
    let recorder = Recorder::new();
    let root = shared(&ROOT);
    let entry = root.enter();
    drop(enter(&CHILD));
    root.leave(entry);
    let handle = recorder.handle();
    std::thread::spawn(move || {
        let _active = handle.activate();
        let entry = root.enter();
        drop(enter(&LEAF));
        root.leave(entry);
    })
    .join()
    .unwrap();
    let chunks = recorder.take_chunks();
    assert_eq!(chunks.len(), 1);
    assert_under(&chunks[0], "child", "root");
    assert_under(&chunks[0], "leaf", "root");
}

#[test]
fn it_can_end_when_it_was_left_the_last_time() {
    let recorder = Recorder::new();
    let root = shared(&ROOT);
    for _ in 0..2 {
        let entry = root.enter();
        root.leave(entry);
    }
    drop(enter(&OTHER));
    root.finish_when_left();
    let never_entered = shared(&CHILD);
    drop(enter(&LEAF));
    never_entered.finish_when_left();
    let spans = recorder.take();
    let end = |name| {
        let span = named(&spans, name);
        span.start + span.duration
    };
    assert!(end("root") <= named(&spans, "other").start);
    assert!(end("child") >= end("leaf"));
}

#[test]
fn an_entry_that_outlives_the_poll_around_it_ends_the_span_once() {
    let recorder = Recorder::new();
    let mut task = Span::start(&ROOT);
    let child;
    let entry;
    {
        let _entered = task.enter();
        child = shared(&CHILD);
        entry = child.enter();
    }
    child.leave(entry);
    drop(child);
    drop(task);
    let chunks = recorder.take_chunks();
    assert_eq!(chunks.len(), 1);
    assert_eq!(chunks[0].len(), 2);
    assert_under(&chunks[0], "child", "root");
}

#[test]
fn without_a_tracer_it_does_nothing() {
    let span = SharedSpan::new(Span::off());
    let entry = span.enter();
    span.set_tag("a", 1);
    span.leave(entry);
    assert!(!span.is_recording());
    span.finish_when_left();
}

/// What a thread may do.
#[derive(Clone, Debug)]
enum Step {
    Enter(usize),
    /// Leave the entry at this place among those that are open.
    Leave(usize),
    Open,
    /// Drop the guard at this place among those that are open.
    Close(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3usize).prop_map(Step::Enter),
        (0..8usize).prop_map(Step::Leave),
        Just(Step::Open),
        (0..8usize).prop_map(Step::Close),
    ]
}

proptest! {
    #[test]
    fn whatever_the_order_the_innermost_is_active_and_each_span_is_recorded_once(steps in proptest::collection::vec(step(), 0..40)) {
        let recorder = Recorder::new();
        let spans = [shared(&ROOT), shared(&CHILD), shared(&OTHER)];
        let mut entries = Vec::new();
        let mut guards = Vec::new();
        // What is on the stack: the number of the entry or guard, and the id of its span.
        let mut model: Vec<(usize, u64)> = Vec::new();
        let (mut numbers, mut made) = (0.., 3);
        for step in steps {
            match step {
                Step::Enter(at) => {
                    let number = numbers.next().unwrap();
                    entries.push((number, at, spans[at].enter()));
                    model.push((number, spans[at].id().span_id.get()));
                }
                Step::Leave(at) if !entries.is_empty() => {
                    let (number, span, entry) = entries.remove(at % entries.len());
                    spans[span].leave(entry);
                    model.retain(|(other, _)| *other != number);
                }
                Step::Open => {
                    let number = numbers.next().unwrap();
                    let guard = enter(&LEAF);
                    made += 1;
                    model.push((number, guard.span_id().get()));
                    guards.push((number, guard));
                }
                Step::Close(at) if !guards.is_empty() => {
                    let (number, guard) = guards.remove(at % guards.len());
                    drop(guard);
                    model.retain(|(other, _)| *other != number);
                }
                Step::Leave(_) | Step::Close(_) => {}
            }
            // Once something was taken from the middle, what is above stays; the top is always known.
            prop_assert_eq!(active(), model.last().map_or(0, |(_, id)| *id));
        }
        for (_, guard) in guards.into_iter().rev() {
            drop(guard);
        }
        for (_, span, entry) in entries.into_iter().rev() {
            spans[span].leave(entry);
        }
        prop_assert_eq!(active(), 0);
        drop(spans);
        let mut ids: Vec<_> = recorder.take().iter().map(|span| span.span_id).collect();
        prop_assert_eq!(ids.len(), made);
        ids.sort_unstable();
        ids.dedup();
        prop_assert_eq!(ids.len(), made);
    }
}
