//! Running a shape, and writing down what it did.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ddtrace::SpanData;
use ddtrace::test_support::Recorder;

/// One shape: its name, what it does, and the spans that it makes when it is traced.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Returns what came out, in any readable form.
    pub(crate) run: fn() -> String,
    /// Each span as `name` or `parent/name`, then `!message` if it failed, then ` key=value` for its tags, in the order
    /// in which they began.
    pub(crate) spans: &'static [&'static str],
}

thread_local! {
    static LOG: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Notes that something happened.
pub(crate) fn log(text: impl Into<String>) {
    LOG.with(|log| log.borrow_mut().push(text.into()));
}

/// A value that says when it is dropped.
#[derive(Debug)]
pub(crate) struct Loud(pub(crate) &'static str);

impl Drop for Loud {
    fn drop(&mut self) {
        log(format!("drop {}", self.0));
    }
}

/// Polls a future to its end, however often it yields.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut task = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut task) {
            return output;
        }
    }
    panic!("the future does not end");
}

/// Polls a future a number of times and gives it up.
pub(crate) fn give_up<F: Future>(future: F, polls: usize) {
    let mut future = pin!(future);
    let mut task = Context::from_waker(Waker::noop());
    for _ in 0..polls {
        assert!(future.as_mut().poll(&mut task).is_pending());
    }
}

/// Pending once.
pub(crate) async fn tick() {
    let mut first = true;
    std::future::poll_fn(|task| {
        if std::mem::replace(&mut first, false) {
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// Whether the type of a value is `Send`, asked without demanding it.
#[macro_export]
macro_rules! is_send {
    ($value:expr) => {{
        #[allow(unused_imports)]
        use $crate::harness::MaybeSend as _;
        $crate::harness::Probe(&$value).is_send()
    }};
}

pub(crate) struct Probe<'a, T>(pub(crate) &'a T);

impl<T: Send> Probe<'_, T> {
    pub(crate) fn is_send(&self) -> bool {
        let _ = self.0;
        true
    }
}

pub(crate) trait MaybeSend {
    fn is_send(&self) -> bool {
        false
    }
}

impl<T> MaybeSend for Probe<'_, T> {}

/// Runs both versions of each case and compares everything.
pub(crate) fn compare(plain: Vec<Case>, traced: Vec<Case>) {
    let mut wrong = Vec::new();
    for (plain, traced) in plain.iter().zip(&traced) {
        assert_eq!(plain.name, traced.name);
        let expected = observe(plain.run);
        let recorder = Recorder::new();
        let found = observe(traced.run);
        let spans = summary(&recorder.take());
        if found != expected {
            wrong.push(format!(
                "{}: plain {expected:#?}, traced {found:#?}",
                plain.name
            ));
        }
        if spans != traced.spans {
            wrong.push(format!(
                "{}: expected spans {:#?}, found {spans:#?}",
                plain.name, traced.spans
            ));
        }
        let recorder = Recorder::new();
        observe(plain.run);
        assert_eq!(
            summary(&recorder.take()),
            [""; 0],
            "{} without the attribute",
            plain.name
        );
    }
    assert_eq!(plain.len(), traced.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The result and the log; a panic counts as a result.
fn observe(run: fn() -> String) -> (String, Vec<String>) {
    LOG.with(|log| log.borrow_mut().clear());
    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        format!("panic: {}", text.unwrap_or("?"))
    });
    (result, LOG.with(|log| log.borrow_mut().split_off(0)))
}

/// The spans as a case lists them.
pub(crate) fn summary(spans: &[SpanData]) -> Vec<String> {
    let mut spans: Vec<&SpanData> = spans.iter().collect();
    spans.sort_by_key(|span| span.start);
    let name_of = |id: u64| {
        let span = spans.iter().find(|span| span.span_id == id);
        span.map_or("?", |span| short(&span.name))
    };
    let describe = |span: &&SpanData| {
        let mut text = match span.parent_id {
            0 => String::new(),
            parent => format!("{}/", name_of(parent)),
        };
        text.push_str(short(&span.name));
        if span.error {
            text.push('!');
            // A panic's message ends with its place.
            let message = span.meta("error.message").unwrap_or_default();
            text.push_str(message.split(" (").next().unwrap_or_default());
        }
        for (key, value) in tags(span) {
            text.push_str(&format!(" {key}={value}"));
        }
        text
    };
    spans.iter().map(describe).collect()
}

/// What the shape itself put on the span, without what every span has.
fn tags(span: &SpanData) -> Vec<(String, String)> {
    let metrics = span.metrics.iter();
    let metrics = metrics.map(|(key, value)| (key.clone(), value.to_string()));
    let mut tags: Vec<(String, String)> = span.meta.iter().cloned().chain(metrics).collect();
    tags.retain(|(key, _)| {
        let common = ["language", "process_id", "runtime-id"];
        !key.starts_with('_') && !key.starts_with("error.") && !common.contains(&key.as_str())
    });
    tags.sort();
    tags
}

/// The name of a span without the path of the file of shapes.
fn short(name: &str) -> &str {
    match name.split_once("::traced::") {
        Some((_, rest)) => rest.split_once("::").map_or(rest, |(_, rest)| rest),
        None => name,
    }
}
