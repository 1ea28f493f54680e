//! Spans over futures, streams and closures.
//!
//! The span of a future is active only while the future is polled, so several tasks on one thread, and one task on several
//! threads, do not see each other's spans. It ends when the future completes or is dropped; a future that is dropped half
//! way is dropped inside its span, which is then marked as cancelled (tag `ddtrace.cancelled`), not as failed.
//!
//! Cost: 72 bytes in the future, two swaps and a call through a table per poll, no allocation in the steady state.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::context::Context;
use super::guard;
use super::site::Site;
use super::span::{Span, Start};

/// Runs a future within a span that has begun.
pub fn instrument<F: Future>(span: Span, future: F) -> Instrumented<F> {
    Instrumented::new(span, future, Unobserved)
}

/// The same, with a look at the output before the span ends.
pub fn instrument_with<F: Future, O: Fn(&F::Output, &mut Span)>(
    span: Span,
    future: F,
    observe: O,
) -> Instrumented<F, O> {
    Instrumented::new(span, future, observe)
}

/// Runs a future within a span that starts when the future is first polled.
pub fn instrument_start<F: Future>(start: Start, future: F) -> InstrumentedLater<F> {
    InstrumentedLater {
        start: Some(start),
        inner: instrument(Span::off(), future),
    }
}

/// The same, with a look at the output before the span ends.
pub fn instrument_start_with<F: Future, O: Fn(&F::Output, &mut Span)>(
    start: Start,
    future: F,
    observe: O,
) -> InstrumentedLater<F, O> {
    InstrumentedLater {
        start: Some(start),
        inner: instrument_with(Span::off(), future, observe),
    }
}

/// Runs a future within a span of this site that starts when the future is first polled.
#[doc(hidden)]
#[inline]
pub fn instrument_site<F: Future>(site: &'static Site, future: F) -> Instrumented<F> {
    instrument(Span::later(site), future)
}

/// The same, with a look at the output before the span ends.
#[doc(hidden)]
#[inline]
pub fn instrument_site_with<F: Future>(
    site: &'static Site,
    future: F,
    observe: fn(&F::Output, &mut Span),
) -> Instrumented<F, fn(&F::Output, &mut Span)> {
    instrument_with(Span::later(site), future, observe)
}

/// Runs a stream within a span that has begun.
pub fn instrument_stream_in<S: Stream>(span: Span, stream: S) -> InstrumentedStream<S> {
    InstrumentedStream {
        inner: Some(stream),
        start: None,
        span,
        items: 0,
    }
}

/// Runs an iterator within a span that has begun.
pub fn instrument_iter_in<I: Iterator>(span: Span, iter: I) -> InstrumentedIter<I> {
    InstrumentedIter {
        inner: iter,
        start: None,
        span,
        items: 0,
    }
}

/// Runs a stream within one span, from the first poll to the end of the stream or its drop.
pub fn instrument_stream<S: Stream>(start: Start, stream: S) -> InstrumentedStream<S> {
    InstrumentedStream {
        inner: Some(stream),
        start: Some(start),
        span: Span::off(),
        items: 0,
    }
}

/// Makes a span of its own of every poll.
pub fn enter_on_poll<F: Future>(site: &'static Site, future: F) -> EnterOnPoll<F> {
    EnterOnPoll {
        inner: future,
        site,
    }
}

/// Runs an iterator within one span, from its first element to its end or its drop.
pub fn instrument_iter<I: Iterator>(start: Start, iter: I) -> InstrumentedIter<I> {
    InstrumentedIter {
        inner: iter,
        start: Some(start),
        span: Span::off(),
        items: 0,
    }
}

/// Polls a future within a span that goes on afterwards, for the attributes.
#[doc(hidden)]
pub fn poll_within<F: Future>(span: &mut Span, future: F) -> PollWithin<'_, F> {
    PollWithin {
        inner: Some(future),
        span,
    }
}

/// Takes the active span along: whenever the future is polled, it is active.
pub fn carry<F: Future>(future: F) -> InContext<F> {
    InContext::new(Context::current(), future)
}

/// Takes the active span along: while the closure runs, wherever that is, it is active.
pub fn carry_fn<T, F: FnOnce() -> T>(work: F) -> impl FnOnce() -> T {
    let context = Context::current();
    move || {
        let _attached = context.attach();
        work()
    }
}

/// What looks at a future's output before its span ends.
pub trait Observe<T> {
    /// Looks at it.
    fn observe(&self, output: &T, span: &mut Span);
}

/// Looks at nothing.
#[derive(Clone, Copy, Debug)]
pub struct Unobserved;

impl<T> Observe<T> for Unobserved {
    #[inline]
    fn observe(&self, _: &T, _: &mut Span) {}
}

impl<T, O: Fn(&T, &mut Span)> Observe<T> for O {
    #[inline]
    fn observe(&self, output: &T, span: &mut Span) {
        self(output, span);
    }
}

pin_project! {
    /// A future within a span; made by [`instrument`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct Instrumented<F, O = Unobserved> {
        // Before the span: it is dropped within it.
        #[pin]
        inner: F,
        span: TaskSpan,
        observe: O,
    }

    impl<F, O> PinnedDrop for Instrumented<F, O> {
        fn drop(this: Pin<&mut Self>) {
            let span = this.project().span;
            if span.span.is_open() {
                span.give_up();
            }
        }
    }
}

impl<F, O> Instrumented<F, O> {
    fn new(span: Span, inner: F, observe: O) -> Self {
        Self {
            inner,
            span: TaskSpan { span, entered: 0 },
            observe,
        }
    }
}

impl<F: Future, O: Observe<F::Output>> Future for Instrumented<F, O> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        poll_observed(&mut this.span.span, this.inner, task, this.observe)
    }
}

/// One poll within a span.
///
/// The future is a trait object here, so that there is one such function per type of output and not one per future.
/// Otherwise the compiler copies the body of every annotated `async fn` into it and optimises it a second time, which
/// was the larger part of what an annotation cost; the call through the table costs about five instructions.
#[inline(never)]
fn poll_observed<T, O: Observe<T>>(
    span: &mut Span,
    inner: Pin<&mut dyn Future<Output = T>>,
    task: &mut TaskContext<'_>,
    observe: &O,
) -> Poll<T> {
    if !span.is_on_or_begins() {
        return inner.poll(task);
    }
    let entered = span.enter();
    let polled = inner.poll(task);
    drop(entered);
    if let Poll::Ready(output) = &polled {
        observe.observe(output, span);
        drop(std::mem::replace(span, Span::off()));
    }
    polled
}

/// The span of a future, which is still entered while the future is dropped half way.
#[derive(Debug)]
struct TaskSpan {
    span: Span,
    /// What [`Span::swap_out`] wants, while the future is being dropped; else 0.
    entered: usize,
}

impl TaskSpan {
    /// The future is dropped: if that is before its end, it happens within the span, which is marked as cancelled unless
    /// it was a panic that ended it.
    #[inline(never)]
    fn give_up(&mut self) {
        self.entered = self.span.swap_in();
        if self.entered != 0 && !self.span.has_panicked() {
            self.span.mark_top_cancelled();
        }
    }
}

impl Drop for TaskSpan {
    #[inline]
    fn drop(&mut self) {
        if self.entered != 0 {
            self.span.swap_out(self.entered);
        }
    }
}

pin_project! {
    /// A future within a span that starts with its first poll; made by [`instrument_start`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct InstrumentedLater<F, O = Unobserved> {
        start: Option<Start>,
        #[pin]
        inner: Instrumented<F, O>,
    }
}

impl<F: Future, O: Observe<F::Output>> Future for InstrumentedLater<F, O> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(start) = this.start.take() {
            this.inner.as_mut().project().span.span = start.start();
        }
        this.inner.poll(task)
    }
}

pin_project! {
    /// A stream within a span; made by [`instrument_stream`].
    #[must_use = "streams do nothing unless polled"]
    #[derive(Debug)]
    pub struct InstrumentedStream<S> {
        #[pin]
        inner: Option<S>,
        start: Option<Start>,
        span: Span,
        items: u64,
    }

    impl<S> PinnedDrop for InstrumentedStream<S> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.inner.is_some() {
                let mut inner = this.inner;
                this.span.set_tag(ITEMS, *this.items);
                let entered = this.span.enter();
                entered.mark_cancelled();
                inner.set(None);
            }
        }
    }
}

/// How many items a traced stream or iterator gave.
const ITEMS: &str = "ddtrace.stream.items";

impl<S: Stream> Stream for InstrumentedStream<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<S::Item>> {
        let mut this = self.project();
        if let Some(start) = this.start.take() {
            *this.span = start.start();
        }
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let entered = this.span.enter();
        let polled = inner.poll_next(task);
        match &polled {
            Poll::Ready(None) => {
                this.inner.set(None);
                drop(entered);
                this.span.set_tag(ITEMS, *this.items);
                drop(std::mem::replace(this.span, Span::off()));
            }
            Poll::Ready(Some(_)) => *this.items += 1,
            Poll::Pending => {}
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

/// An iterator within a span; made by [`instrument_iter`].
#[must_use = "iterators do nothing unless consumed"]
#[derive(Debug)]
pub struct InstrumentedIter<I> {
    inner: I,
    start: Option<Start>,
    span: Span,
    items: u64,
}

impl<I: Iterator> Iterator for InstrumentedIter<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if let Some(start) = self.start.take() {
            self.span = start.start();
        }
        let entered = self.span.enter();
        let item = self.inner.next();
        drop(entered);
        match &item {
            Some(_) => self.items += 1,
            None => {
                self.span.set_tag(ITEMS, self.items);
                self.span = Span::off();
            }
        }
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

pin_project! {
    /// A future that is polled within a span of somebody else's; made by [`poll_within`].
    #[doc(hidden)]
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct PollWithin<'a, F> {
        #[pin]
        inner: Option<F>,
        span: &'a mut Span,
    }

    impl<F> PinnedDrop for PollWithin<'_, F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.inner.is_some() {
                let mut inner = this.inner;
                let entered = this.span.enter();
                entered.mark_cancelled();
                inner.set(None);
            }
        }
    }
}

impl<F: Future> Future for PollWithin<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let entered = this.span.enter();
        let polled = inner.poll(task);
        if polled.is_ready() {
            this.inner.set(None);
        }
        drop(entered);
        polled
    }
}

pin_project! {
    /// A future whose every poll is a span of its own; made by [`enter_on_poll`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct EnterOnPoll<F> {
        #[pin]
        inner: F,
        site: &'static Site,
    }
}

impl<F: Future> Future for EnterOnPoll<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _guard = guard::enter(this.site);
        this.inner.poll(task)
    }
}

pin_project! {
    /// A future that runs under a carried [`Context`]; made by [`carry`] and [`Context::wrap`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct InContext<F> {
        #[pin]
        inner: Option<F>,
        context: Context,
    }

    impl<F> PinnedDrop for InContext<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.inner.is_some() {
                let mut inner = this.inner;
                let _attached = this.context.attach();
                inner.set(None);
            }
        }
    }
}

impl<F> InContext<F> {
    pub(crate) fn new(context: Context, inner: F) -> Self {
        Self {
            inner: Some(inner),
            context,
        }
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let _attached = this.context.attach();
        let polled = inner.poll(task);
        if polled.is_ready() {
            this.inner.set(None);
        }
        polled
    }
}
