//! A span as a value: owned by whoever holds it, active only where and while it is entered.

mod anywhere;

use std::sync::Arc;
use std::time::SystemTime;

use super::baggage::{self, baggage_methods};
use super::clock;
use super::context::Context;
use super::id::{SpanContextId, SpanId, TraceId};
use super::local::{self, Local};
use super::open::{Open, flags};
use super::segment::{Buffer, Segment};
use super::service::ServiceId;
use super::site::Site;
use super::write::{Pen, writing_methods};
use crate::propagation::{Baggage, Extracted, SpanContext};

/// A span that is not bound to a thread or a scope.
///
/// It starts when it is made and ends when it is [finished](Self::finish) or dropped. It is not active by itself:
/// [`enter`](Self::enter) makes it so on this thread, [`instrument`](super::instrument) whenever a future is polled.
/// `Send`, so it may end on another thread than it began; not `Sync`, so writing takes no lock.
///
/// When tracing is off all of it does nothing.
#[derive(Debug)]
pub struct Span {
    open: Open,
    /// None: off, or not started yet, or over.
    segment: Option<Arc<Segment>>,
    /// The records of earlier visits, between polls.
    lane: Option<Box<Buffer>>,
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment")
            .field("trace_id", &self.trace_id)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Buffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Buffer")
            .field("spans", &self.spans.len())
            .finish_non_exhaustive()
    }
}

/// How a span will start, for those that start later than they are made.
#[derive(Clone, Debug)]
pub struct Start {
    site: &'static Site,
    parent: Parent,
}

#[derive(Clone, Debug)]
enum Parent {
    Active,
    Root,
    Of(Context),
    Off,
}

impl Start {
    /// A child of what is active when it starts.
    pub const fn new(site: &'static Site) -> Self {
        Self {
            site,
            parent: Parent::Active,
        }
    }

    /// The root of a new trace.
    #[must_use]
    pub fn root(mut self) -> Self {
        if !matches!(self.parent, Parent::Off) {
            self.parent = Parent::Root;
        }
        self
    }

    /// A child of a span that may be elsewhere.
    #[must_use]
    pub fn child_of(mut self, parent: &Context) -> Self {
        if !matches!(self.parent, Parent::Off) {
            self.parent = Parent::Of(parent.clone());
        }
        self
    }

    /// Without `on` there will be no span.
    #[must_use]
    pub fn enabled(mut self, on: bool) -> Self {
        if !on {
            self.parent = Parent::Off;
        }
        self
    }

    /// Starts it.
    pub fn start(self) -> Span {
        match &self.parent {
            Parent::Active => Span::start(self.site),
            Parent::Root => Span::start_root(self.site),
            Parent::Of(parent) => Span::start_child_of(self.site, parent),
            Parent::Off => Span::off(),
        }
    }
}

impl Span {
    /// A span that does nothing.
    pub const fn off() -> Self {
        Self {
            open: Open::EMPTY,
            segment: None,
            lane: None,
        }
    }

    /// Starts a child of the active span, or a root if there is none. One relaxed load when tracing is off.
    #[inline]
    pub fn start(site: &'static Site) -> Self {
        let word = site.word();
        if word == 0 {
            Self::off()
        } else {
            Self::start_on(site, word)
        }
    }

    #[inline(never)]
    fn start_on(site: &'static Site, word: u32) -> Self {
        let started = local::with_current(|local| match (local.stack.last(), local.segment()) {
            (Some(_), Some(segment)) if !segment.tracer.is_enabled() => None,
            (Some(top), Some(segment)) => {
                let (parent, service, segment) = (top.id, top.service, Arc::clone(segment));
                segment.count_up();
                let baggage = local.baggage_to_carry();
                let span = Self::begin(local, site, word, parent, service, segment, flags::COUNTED);
                Some(span.with_baggage(baggage))
            }
            _ => Self::begin_root(local, site, word),
        });
        started.flatten().unwrap_or_else(Self::off)
    }

    /// Starts the root of a new trace, whatever is active.
    pub fn start_root(site: &'static Site) -> Self {
        let word = site.word();
        if word == 0 {
            return Self::off();
        }
        local::with_current(|local| Self::begin_root(local, site, word))
            .flatten()
            .unwrap_or_else(Self::off)
    }

    /// Starts a child of a span that may be elsewhere; a root with the context's baggage if it points nowhere.
    pub fn start_child_of(site: &'static Site, parent: &Context) -> Self {
        let word = site.word();
        if word == 0 {
            return Self::off();
        }
        let Some(place) = parent.place() else {
            return Self::start_root(site).with_baggage(parent.own_baggage().cloned());
        };
        let started = local::with_current(|local| {
            place.segment.count_up();
            let segment = Arc::clone(&place.segment);
            let span = Self::begin(
                local,
                site,
                word,
                place.span,
                place.service,
                segment,
                flags::COUNTED,
            );
            span.with_baggage(parent.own_baggage().cloned())
        });
        started.unwrap_or_else(Self::off)
    }

    /// Starts the local root of a trace that began in another service; a root of a new trace if nothing was extracted.
    ///
    /// Baggage that was extracted is that of the span. With tracing off the span records nothing, but while it is entered
    /// context and baggage pass through to whatever is injected.
    pub fn start_from(site: &'static Site, extracted: Extracted) -> Self {
        let word = site.word();
        let Extracted {
            context,
            baggage,
            links,
            ..
        } = extracted;
        let mut span = if context.is_none() && baggage.is_empty() {
            Self::start_root(site)
        } else {
            let mut context = context.unwrap_or_default();
            context.baggage = baggage;
            local::with_current(|local| Self::begin_from(local, site, word, context))
                .flatten()
                .unwrap_or_else(Self::off)
        };
        for link in links {
            span.add_link(link.into());
        }
        span
    }

    /// Begins what [`start_from`](Self::start_from) says. A context without a trace begins one.
    fn begin_from(
        local: &mut Local,
        site: &'static Site,
        word: u32,
        context: SpanContext,
    ) -> Option<Self> {
        let is_enabled = local.tracer()?.is_enabled();
        let is_on = word != 0 && is_enabled;
        let is_new = context.trace_id.is_zero();
        if is_new && is_enabled && !is_on {
            // Only this site is off: what is started under it begins a trace of its own.
            return None;
        }
        let parent = context.span_id.map_or(0, SpanId::get);
        // With tracing off a zero id says that there is nothing but baggage to pass on.
        let trace_id = (!is_new || !is_on).then_some(context.trace_id);
        let segment = local.new_segment(site, trace_id, |segment| {
            segment.continue_from(Box::new(context));
            segment.root_service = Site::service_of(word).0;
        })?;
        if is_on {
            let marks = flags::ROOT | flags::COUNTED;
            return Some(Self::begin(local, site, word, parent, 0, segment, marks));
        }
        let open = Open {
            id: parent,
            flags: flags::CONTEXT | flags::COUNTED,
            ..Open::EMPTY
        };
        Some(Self {
            open,
            segment: Some(segment),
            lane: None,
        })
    }

    fn begin_root(local: &mut Local, site: &'static Site, word: u32) -> Option<Self> {
        local.tracer().filter(|tracer| tracer.is_enabled())?;
        let segment = local.new_segment(site, None, |segment| {
            segment.root_service = Site::service_of(word).0;
        })?;
        let baggage = (!local.ambient.holds_nothing()).then(|| local.ambient.clone());
        let span = Self::begin(
            local,
            site,
            word,
            0,
            0,
            segment,
            flags::ROOT | flags::COUNTED,
        );
        Some(span.with_baggage(baggage))
    }

    /// The span with baggage of its own, if there is any.
    #[inline]
    fn with_baggage(mut self, baggage: Option<Baggage>) -> Self {
        if let (Some(baggage), Some(segment)) = (baggage, &self.segment) {
            baggage::set_own(&mut self.open, segment, baggage);
        }
        self
    }

    fn begin(
        local: &mut Local,
        site: &'static Site,
        word: u32,
        parent: u64,
        service: u16,
        segment: Arc<Segment>,
        flags: u32,
    ) -> Self {
        let id = local.span_id();
        if flags & flags::ROOT != 0 {
            segment.set_root_id(id);
        }
        let own = Site::service_of(word).0;
        let open = Open {
            site,
            id,
            parent,
            start: clock::now(),
            tags: None,
            flags,
            service: if own == 0 { service } else { own },
            parent_service: service,
        };
        Self {
            open,
            segment: Some(segment),
            lane: None,
        }
    }

    /// A span that [`start_if_later`](Self::start_if_later) starts.
    #[inline]
    pub(crate) const fn later(site: &'static Site) -> Self {
        Self {
            open: Open {
                site,
                flags: flags::LATER,
                ..Open::EMPTY
            },
            segment: None,
            lane: None,
        }
    }

    /// Starts a span that was made to start later. False if there is no span: off, or over.
    #[inline]
    pub(crate) fn is_on_or_begins(&mut self) -> bool {
        if self.segment.is_some() {
            return true;
        }
        if self.open.flags & flags::LATER == 0 {
            return false;
        }
        self.open.flags = 0;
        let word = self.open.site.word();
        word != 0 && self.begin_later(word)
    }

    #[inline(never)]
    fn begin_later(&mut self, word: u32) -> bool {
        *self = Self::start_on(self.open.site, word);
        self.segment.is_some()
    }

    /// Sets the service by its number.
    pub(crate) fn set_service_by_id(&mut self, name: &str, id: ServiceId) {
        self.pen(|pen| pen.set_service_by_id(name, id));
    }

    /// Whether it neither records nor passes anything on, so that nothing is lost without it.
    pub fn is_off(&self) -> bool {
        self.segment.is_none()
    }

    /// Whether it has begun and not ended.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.segment.is_some()
    }

    /// Whether a panic went through it.
    pub(crate) fn has_panicked(&self) -> bool {
        self.open.flags & flags::PANICKED != 0
    }

    /// Marks the span on top of the stack, which is this one, swapped in.
    pub(crate) fn mark_top_cancelled(&self) {
        local::with(|local| {
            if let Some(top) = local.stack.last_mut() {
                top.flags |= flags::CANCELLED;
            }
        });
    }

    /// Makes the span active on this thread while the guard lives.
    pub fn enter(&mut self) -> Entered<'_> {
        let len = self.swap_in();
        Entered {
            span: self,
            len,
            thread_bound: std::marker::PhantomData,
        }
    }

    /// Ends the span.
    pub fn finish(self) {}

    /// Ends the span at a moment of the caller's. A moment before its start counts as the start.
    pub fn finish_at(mut self, time: SystemTime) {
        self.pen(|pen| pen.set_end(clock::unix_nanoseconds(time)));
    }

    /// Moves the start to a moment of the caller's.
    pub fn set_start_time(&mut self, time: SystemTime) {
        self.pen(|pen| pen.set_start(clock::unix_nanoseconds(time)));
    }

    /// The span's place, to be carried elsewhere.
    pub fn context(&self) -> Context {
        match &self.segment {
            Some(segment) => {
                let baggage = baggage::own(&self.open).cloned();
                Context::of(segment, self.open.id, self.open.service, baggage)
            }
            None => Context::default(),
        }
    }

    /// Which span of which trace it is; zeros when tracing is off.
    pub fn id(&self) -> SpanContextId {
        let trace_id = self
            .segment
            .as_ref()
            .map(|segment| segment.trace_id)
            .unwrap_or_default();
        SpanContextId {
            trace_id,
            span_id: self.span_id(),
        }
    }

    /// The trace's id; zero when tracing is off.
    pub fn trace_id(&self) -> TraceId {
        self.id().trace_id
    }

    /// The span's id; zero when tracing is off.
    pub fn span_id(&self) -> SpanId {
        SpanId::new(if self.recording() { self.open.id } else { 0 })
    }

    pub(crate) fn segment(&self) -> Option<&Arc<Segment>> {
        self.segment.as_ref()
    }

    /// What it is, open.
    pub(crate) fn open(&self) -> &Open {
        &self.open
    }

    #[inline]
    pub(crate) fn recording(&self) -> bool {
        self.segment.is_some() && self.open.flags & flags::CONTEXT == 0
    }

    #[inline]
    pub(crate) fn pen<R>(&mut self, write: impl FnOnce(&mut Pen<'_>) -> R) -> Option<R> {
        let segment = self.segment.as_ref()?;
        if self.open.flags & flags::CONTEXT != 0 {
            return None;
        }
        let spare = self.lane.as_mut().map(|lane| &mut lane.spare_tags);
        Some(write(&mut Pen {
            open: &mut self.open,
            segment,
            spare,
        }))
    }

    /// The span's baggage.
    pub fn baggage(&self) -> Baggage {
        let segment = self.segment.as_ref();
        segment.map_or_else(Baggage::new, |segment| {
            baggage::detached(&self.open, segment)
        })
    }

    pub(super) fn change_baggage(&mut self, change: impl FnOnce(&mut Baggage)) {
        let mut baggage = self.baggage();
        if let Some(segment) = &self.segment {
            change(&mut baggage);
            baggage::set_own(&mut self.open, segment, baggage);
        }
    }

    baggage_methods!(self: &mut Self);
    writing_methods!(self: &mut Self);

    /// Puts the span on this thread's stack. Gives the stack's length with it, 0 if it was not put there.
    #[inline]
    pub(crate) fn swap_in(&mut self) -> usize {
        if self.segment.is_none() {
            0
        } else {
            self.swap_in_on()
        }
    }

    #[inline(never)]
    fn swap_in_on(&mut self) -> usize {
        let Some(segment) = self
            .segment
            .as_ref()
            .filter(|segment| segment.forks == super::tracer::forks())
        else {
            return 0;
        };
        let entered = local::with_current(|local| {
            if !local.is_visiting(segment) {
                let buffer = self
                    .lane
                    .take()
                    .unwrap_or_else(|| local.buffer_for(segment));
                local.begin_visit(buffer);
                self.open.flags |= flags::BASE;
            }
            local.stack.put(&mut self.open);
            local.stack.open().len()
        });
        entered.unwrap_or(0)
    }

    /// Takes the span back from the stack.
    #[inline(never)]
    pub(crate) fn swap_out(&mut self, len: usize) {
        local::with(|local| {
            let at = len - 1;
            if local
                .stack
                .open()
                .get(at)
                .is_none_or(|open| open.id != self.open.id)
            {
                // The stack was taken away: a fork, or the end of the thread.
                return;
            }
            if local.stack.open().len() > len {
                local.truncate_to(len);
            }
            if std::thread::panicking() {
                local.note_panic(at);
            }
            let Some(top) = local.stack.last_mut() else {
                return;
            };
            self.open.flags = top.flags & !flags::BASE;
            self.open.service = top.service;
            if top.tags.is_some() {
                self.open.tags = top.tags.take();
            }
            let is_base = top.flags & flags::BASE != 0;
            local.stack.drop_top();
            if is_base {
                self.lane = local.end_visit();
            }
        });
    }

    /// Writes the record and counts the end.
    fn end(&mut self) {
        self.end_at(clock::now());
    }

    /// The same with an end in ticks.
    pub(crate) fn end_at(&mut self, end: u64) {
        let Some(segment) = self.segment.take() else {
            return;
        };
        if segment.forks != super::tracer::forks() {
            std::mem::forget((segment, self.lane.take(), self.open.tags.take()));
            return;
        }
        if std::thread::panicking() && self.open.flags & (flags::ERROR | flags::CONTEXT) == 0 {
            let note = local::with(|local| local.panic.take()).flatten();
            if note
                .as_ref()
                .is_none_or(|note| self.open.start <= note.ticks)
            {
                super::panic::mark(&mut self.open, note.as_deref());
            }
            local::with(|local| local.panic = note);
        }
        let is_span = self.open.flags & flags::CONTEXT == 0;
        let (open, lane) = (&mut self.open, &mut self.lane);
        let done = local::with(|local| {
            if local.is_current() && local.is_visiting(&segment) {
                if let Some(buffer) = local.buffer.as_mut().filter(|_| is_span) {
                    buffer.write(open, end);
                }
                // Inside a visit of the segment, which is counted itself; earlier visits' records wait in the segment.
                if let Some(lane) = lane.take().filter(|lane| !lane.spans.is_empty()) {
                    segment.park(lane);
                }
                segment.count_down_inside();
                local.flush_if_full();
            } else {
                let mut buffer = lane.take().unwrap_or_else(|| local.buffer_for(&segment));
                if is_span {
                    buffer.write(open, end);
                }
                local.close(buffer);
            }
        });
        if done.is_none() {
            // The thread's state is in use or gone: without it.
            let mut buffer = self
                .lane
                .take()
                .unwrap_or_else(|| Buffer::new(Arc::clone(&segment)));
            if is_span {
                buffer.write(&mut self.open, end);
            }
            if let Some(ready) = buffer.close() {
                local::hand_over_shared(ready);
            }
        }
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if self.segment.is_some() {
            self.end();
        }
    }
}

/// Keeps a [`Span`] active on this thread until it is dropped; writes on it meanwhile.
#[must_use = "the span is active until the guard is dropped"]
#[derive(Debug)]
pub struct Entered<'a> {
    span: &'a mut Span,
    /// The stack's length with the span on top; 0 if it is not on it.
    len: usize,
    thread_bound: std::marker::PhantomData<*const ()>,
}

impl Entered<'_> {
    fn recording(&self) -> bool {
        self.len != 0 && self.span.recording()
    }

    fn pen<R>(&self, write: impl FnOnce(&mut Pen<'_>) -> R) -> Option<R> {
        if !self.recording() {
            return None;
        }
        local::with(|local| {
            let (open, buffer) = local.find(self.span.open.id)?;
            Some(write(&mut Pen::with_buffer(open, buffer)))
        })
        .flatten()
    }

    /// The span's baggage.
    pub fn baggage(&self) -> Baggage {
        match self.len.checked_sub(1) {
            Some(index) => baggage::of_index(index),
            None => Baggage::new(),
        }
    }

    fn change_baggage(&self, change: impl FnOnce(&mut Baggage)) {
        if let Some(index) = self.len.checked_sub(1) {
            baggage::change_index(index, change);
        }
    }

    baggage_methods!(self: &Self);
    writing_methods!(self: &Self);
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.len != 0 {
            self.span.swap_out(self.len);
        }
    }
}
