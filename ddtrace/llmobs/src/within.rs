//! Spans over futures, streams and iterators of annotated functions.
//!
//! They are polled within the span of tracing, which core puts around them. The span of the product ends with the last
//! item or the output, or when what works is given up; then what was there so far is its output.

use std::pin::Pin;
use std::task::{Context, Poll};

use ddtrace_core::trace::{Failure, Site, current_span};
use futures_core::Stream;
use pin_project_lite::pin_project;
use serde_json::Value;

use crate::capture::Captured;
use crate::instrument::{Call, Form, Open, Recording, begin, put_aside};

pin_project! {
    /// A future that is a span of the product; made by [`within`] and [`future`].
    #[must_use = "futures do nothing unless polled"]
    #[derive(Debug)]
    pub struct Within<F, O> {
        // Before `open`: it is dropped while that is open.
        #[pin]
        inner: F,
        later: Option<(&'static Call, &'static Site)>,
        open: Open,
        observe: O,
    }
}

/// A future whose span begins with its first poll, in the span of tracing that is then active.
pub fn within<F: Future, O: Fn(&F::Output, &Recording)>(
    on: bool,
    call: &'static Call,
    site: &'static Site,
    inner: F,
    observe: O,
) -> Within<F, O> {
    Within {
        inner,
        later: on.then_some((call, site)),
        open: Open::OFF,
        observe,
    }
}

/// A future whose span has begun.
pub fn future<F: Future, O: Fn(&F::Output, &Recording)>(
    open: Open,
    inner: F,
    observe: O,
) -> Within<F, O> {
    Within {
        inner,
        later: None,
        open,
        observe,
    }
}

impl<F: Future, O: Fn(&F::Output, &Recording)> Future for Within<F, O> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut is_first = false;
        if let Some((call, site)) = this.later.take() {
            *this.open = begin(true, call, site);
            if this.open.is_recording() {
                is_first = true;
                put_aside(Some((call, Recording::clone(this.open))));
            }
        }
        if !this.open.is_recording() {
            return this.inner.poll(task);
        }
        let watched = Watch(this.open);
        let polled = this.inner.poll(task);
        drop(watched);
        if is_first {
            // Nobody wanted it.
            put_aside(None);
        }
        if let Poll::Ready(output) = &polled {
            (this.observe)(output, this.open);
            *this.open = Open::OFF;
        }
        polled
    }
}

/// Notes a panic that leaves what is watched: whoever drops it may have caught the panic by then.
struct Watch<'a>(&'a Open);

impl Drop for Watch<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.note_panic();
    }
}

/// What was collected of a stream, at most 1 MiB.
#[derive(Debug)]
pub struct Items {
    recording: Recording,
    text: String,
    values: Vec<Value>,
    room: usize,
    has_failed: bool,
}

/// The most that is collected, in bytes of text.
const LIMIT: usize = 1024 * 1024;

/// What stands at the end of what was cut.
const CUT: &str = "…[cut]";

impl Items {
    fn new(recording: Recording) -> Self {
        Self {
            recording,
            text: String::new(),
            values: Vec::new(),
            room: LIMIT,
            has_failed: false,
        }
    }

    /// Adds a piece of text.
    pub fn text(&mut self, piece: &str) {
        if self.room == 0 {
            return;
        }
        if piece.len() <= self.room {
            self.text.push_str(piece);
            self.room -= piece.len();
            return;
        }
        let end = (0..=self.room).rev().find(|&at| piece.is_char_boundary(at));
        self.text.push_str(&piece[..end.unwrap_or(0)]);
        self.text.push_str(CUT);
        self.room = 0;
    }

    /// Adds an item to a list.
    pub fn json(&mut self, item: Captured) {
        if self.room == 0 {
            return;
        }
        let value = Value::from(item);
        let size = size(&value);
        if size <= self.room {
            self.values.push(value);
            self.room -= size;
            return;
        }
        self.values.push(Value::String(CUT.to_owned()));
        self.room = 0;
    }

    /// Adds a piece of text or an item, whichever it is.
    pub fn any(&mut self, item: Captured) {
        match item {
            Captured::Nothing => {}
            Captured::Text(piece) if self.values.is_empty() => self.text(&piece),
            item => {
                // What began as text goes on as a list.
                if !self.text.is_empty() {
                    self.values
                        .push(Value::String(std::mem::take(&mut self.text)));
                }
                self.json(item);
            }
        }
    }

    /// An item is an error: the span has failed, and the first error says why.
    #[cold]
    pub fn fail(&mut self, failure: Failure<'_>) {
        if !std::mem::replace(&mut self.has_failed, true) {
            current_span().fail(failure);
            self.recording.fail(failure);
        }
    }

    /// What came out, if anything did.
    fn finish(&mut self) {
        let output = if self.values.is_empty() {
            match std::mem::take(&mut self.text) {
                text if text.is_empty() => return,
                text => Captured::Text(text),
            }
        } else {
            Captured::Json(Value::Array(std::mem::take(&mut self.values)))
        };
        self.recording.set_output(Form::Auto, output);
    }
}

/// Roughly the bytes of a value's text.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| 1 + size(item)).sum::<usize>(),
        Value::Object(map) => {
            let entries = map.iter();
            2 + entries
                .map(|(key, item)| key.len() + 4 + size(item))
                .sum::<usize>()
        }
    }
}

/// What streams and iterators have in common.
#[derive(Debug)]
struct Collecting<O> {
    open: Open,
    items: Items,
    is_first: bool,
    observe: O,
}

impl<O> Collecting<O> {
    fn new(open: Open, observe: O) -> Self {
        let items = Items::new(Recording::clone(&open));
        Self {
            open,
            items,
            is_first: true,
            observe,
        }
    }

    /// An item is there, or the end.
    fn see<T>(&mut self, item: Option<&T>)
    where
        O: FnMut(&T, &mut Items),
    {
        match item {
            Some(item) => {
                if std::mem::replace(&mut self.is_first, false) {
                    if let Some(seconds) = self.open.seconds() {
                        self.open.set_time_to_first_token(seconds);
                    }
                }
                (self.observe)(item, &mut self.items);
            }
            None => self.end(),
        }
    }

    fn end(&mut self) {
        if self.open.is_recording() {
            self.items.finish();
            self.open = Open::OFF;
        }
    }
}

impl<O> Drop for Collecting<O> {
    fn drop(&mut self) {
        self.open.note_panic();
        self.end();
    }
}

pin_project! {
    /// A stream that is a span of the product; made by [`stream`].
    #[must_use = "streams do nothing unless polled"]
    #[derive(Debug)]
    pub struct WithinStream<S, O> {
        #[pin]
        inner: S,
        collecting: Collecting<O>,
    }
}

/// A stream whose span has begun; `observe` sees every item.
pub fn stream<S: Stream, O: FnMut(&S::Item, &mut Items)>(
    open: Open,
    inner: S,
    observe: O,
) -> WithinStream<S, O> {
    WithinStream {
        inner,
        collecting: Collecting::new(open, observe),
    }
}

impl<S: Stream, O: FnMut(&S::Item, &mut Items)> Stream for WithinStream<S, O> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        if !this.collecting.open.is_recording() {
            return this.inner.poll_next(task);
        }
        let watched = Watch(&this.collecting.open);
        let polled = this.inner.poll_next(task);
        drop(watched);
        if let Poll::Ready(item) = &polled {
            this.collecting.see(item.as_ref());
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

/// An iterator that is a span of the product; made by [`iter`].
#[must_use = "iterators do nothing unless consumed"]
#[derive(Debug)]
pub struct WithinIter<I, O> {
    inner: I,
    collecting: Collecting<O>,
}

/// An iterator whose span has begun; `observe` sees every item.
pub fn iter<I: Iterator, O: FnMut(&I::Item, &mut Items)>(
    open: Open,
    inner: I,
    observe: O,
) -> WithinIter<I, O> {
    WithinIter {
        inner,
        collecting: Collecting::new(open, observe),
    }
}

impl<I: Iterator, O: FnMut(&I::Item, &mut Items)> Iterator for WithinIter<I, O> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if !self.collecting.open.is_recording() {
            return self.inner.next();
        }
        let watched = Watch(&self.collecting.open);
        let item = self.inner.next();
        drop(watched);
        self.collecting.see(item.as_ref());
        item
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
