//! What a thread knows: its open spans, the buffer in hand, and its way to the worker.
//!
//! This is the hot path. [`enter_on`] and [`exit_on`] are all that an annotated function runs when tracing is on: an id, a
//! clock read, and six stores each, about 170 instructions in all, no allocation in the steady state, no lock, nothing
//! shared written. Whatever is rare (a root, a visit that ends, a full buffer, guards out of order, panics) is out of line.
//!
//! Invariants:
//! * the top of the stack is the active span;
//! * [`flags::BASE`] marks the lowest span of a visit; when it goes, the buffer in hand goes with it and the shelf's top comes back;
//! * `buffer` is empty only if the stack is, and then so is the shelf;
//! * a failed borrow means re-entry (a `Debug` of the user that opens spans while we format, an instrumented allocator) or
//!   a thread that is ending: the span is skipped.

mod thread;
mod visit;

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::propagation::Baggage;
use crate::trace::clock;
use crate::trace::open::{Open, Stack, flags};
use crate::trace::outbox::Outbox;
use crate::trace::panic::PanicNote;
use crate::trace::segment::Buffer;
use crate::trace::site::Site;
use crate::trace::tags::Tags;
use crate::trace::tracer::{self, TracerCore};

pub(crate) use visit::hand_over_shared;

/// One thread's state.
pub(crate) struct Local {
    pub(crate) stack: Stack,
    /// The buffer of the visit in hand.
    pub(crate) buffer: Option<Box<Buffer>>,
    /// Buffers of visits that are interrupted by the one in hand.
    shelf: Vec<Box<Buffer>>,
    /// An emptied buffer for the next root.
    spare: Option<Box<Buffer>>,
    port: Option<Port>,
    /// A tracer that was activated on this thread, instead of the global one.
    chosen: Option<Arc<TracerCore>>,
    pub(crate) panic: Option<Box<PanicNote>>,
    /// Baggage of the thread itself, for roots that begin on it.
    pub(crate) ambient: Baggage,
    /// State of the span ids' sequence.
    random: u64,
    /// State of the trace ids' sequence.
    random_trace: u64,
    /// The generation in which the thread may make spans; 0 in none.
    generation: u32,
    /// The generation in which it looked at which tracer to work for.
    looked: u32,
    forks: u32,
    /// Finished spans at which the buffer is handed over early.
    limit: usize,
    /// Its thread is ending.
    reaped: bool,
}

/// Where finished chunks go.
struct Port {
    tracer: Arc<TracerCore>,
    outbox: Arc<Outbox>,
}

thread_local! {
    // Without a destructor, so that an access costs no look at its state; the reaper below empties it.
    static LOCAL: RefCell<ManuallyDrop<Local>> = const { RefCell::new(ManuallyDrop::new(Local::new())) };
}

/// Runs `work` on the thread's state, unless it is in use or gone.
#[inline]
pub(crate) fn with<R>(work: impl FnOnce(&mut Local) -> R) -> Option<R> {
    LOCAL.with(|cell| cell.try_borrow_mut().ok().map(|mut local| work(&mut local)))
}

/// Like [`with`], after making sure that the thread works for the current tracer; nothing without one.
pub(crate) fn with_current<R>(work: impl FnOnce(&mut Local) -> R) -> Option<R> {
    with(|local| local.is_current().then(|| work(local))).flatten()
}

/// Emptied tags that the thread has at hand; nothing while its state is in use, as when the visit itself was asked before.
pub(crate) fn take_emptied_tags() -> Option<Box<Tags>> {
    let emptied = with(|local| {
        let in_hand = local.buffer.as_mut();
        let from_visit = in_hand.and_then(|buffer| buffer.spare_tags.pop());
        from_visit.or_else(|| local.spare.as_mut()?.spare_tags.pop())
    });
    emptied.flatten()
}

/// Starts a span and makes it active. Gives its id, 0 if there is none.
#[inline(never)]
pub(crate) fn enter_on(site: &'static Site, word: u32) -> u64 {
    LOCAL.with(|cell| {
        let Ok(mut local) = cell.try_borrow_mut() else {
            return 0;
        };
        let local = &mut **local;
        if local.generation != tracer::generation() && !local.may_trace() {
            return 0;
        }
        let Some(top) = local.stack.last() else {
            return local.push_root(site, word);
        };
        let (parent, service) = (top.id, top.service);
        local.push(site, word, parent, service, 0)
    })
}

/// Ends the span with this id, wherever on the stack it is.
#[inline(never)]
pub(crate) fn exit_on(id: u64) {
    let end = clock::now();
    LOCAL.with(|cell| {
        let Ok(mut local) = cell.try_borrow_mut() else {
            return;
        };
        let local = &mut **local;
        let Some(top) = local.stack.last_mut() else {
            return;
        };
        if top.id == id && !std::thread::panicking() {
            if top.flags & (flags::BASE | flags::EARLY | flags::COUNTED) == 0 {
                if let Some(buffer) = local
                    .buffer
                    .as_mut()
                    .filter(|buffer| buffer.spans.len() + 1 < local.limit)
                {
                    buffer.write(top, end);
                    local.stack.drop_top();
                    return;
                }
            } else if top.flags & (flags::EARLY | flags::CONTEXT) == 0 {
                local.finish_top(end);
                return;
            }
        }
        local.exit_rarely(id, end);
    });
}

impl Local {
    const fn new() -> Self {
        Self {
            stack: Stack::new(),
            buffer: None,
            shelf: Vec::new(),
            spare: None,
            port: None,
            chosen: None,
            panic: None,
            ambient: Baggage::new(),
            random: 0,
            random_trace: 0,
            generation: 0,
            looked: 0,
            forks: 0,
            limit: 0,
            reaped: false,
        }
    }

    /// The next span id: a Weyl sequence through one wide multiplication; never 0.
    #[inline]
    pub(crate) fn span_id(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0xa076_1d64_78bd_642f);
        let wide =
            u128::from(self.random).wrapping_mul(u128::from(self.random ^ 0xe703_7ed1_a0b4_28db));
        ((wide >> 64) as u64 ^ wide as u64).max(1)
    }

    /// Puts a span on the stack. The clock is read last, so that our own cost is not in the user's span.
    #[inline]
    pub(crate) fn push(
        &mut self,
        site: &'static Site,
        word: u32,
        parent: u64,
        service: u16,
        flags: u32,
    ) -> u64 {
        let id = self.span_id();
        let own = Site::service_of(word).0;
        let Some(slot) = self.stack.next() else {
            return self.push_and_grow(site, word, parent, service, flags);
        };
        slot.site = site;
        slot.id = id;
        slot.parent = parent;
        slot.flags = flags;
        slot.service = if own == 0 { service } else { own };
        slot.parent_service = service;
        slot.start = clock::now();
        id
    }

    #[cold]
    #[inline(never)]
    fn push_and_grow(
        &mut self,
        site: &'static Site,
        word: u32,
        parent: u64,
        service: u16,
        flags: u32,
    ) -> u64 {
        self.stack.grow();
        self.push(site, word, parent, service, flags)
    }

    /// Starts a root as the base of a new visit.
    #[inline(never)]
    pub(crate) fn push_root(&mut self, site: &'static Site, word: u32) -> u64 {
        if !self.open_segment(site) {
            return 0;
        }
        let id = self.push(site, word, 0, 0, flags::BASE | flags::ROOT | flags::COUNTED);
        if let Some(segment) = self.segment() {
            segment.set_root_id(id);
        }
        if !self.ambient.holds_nothing() {
            self.give_ambient_to_top();
        }
        id
    }

    #[cold]
    #[inline(never)]
    fn give_ambient_to_top(&mut self) {
        let baggage = self.ambient.clone();
        if let (Some(buffer), Some(top)) = (&self.buffer, self.stack.last_mut()) {
            crate::trace::baggage::set_own(top, &buffer.segment, baggage);
        }
    }

    /// The ends that [`exit_on`] has no time for.
    #[cold]
    #[inline(never)]
    fn exit_rarely(&mut self, id: u64, end: u64) {
        // A mark that was left behind when what stood on it was taken back by its owner.
        self.finish_ended(end);
        let is_open = |open: &Open| open.id == id && open.flags & flags::CONTEXT == 0;
        let Some(index) = self.stack.open().iter().rposition(is_open) else {
            return;
        };
        let above = self.stack.open().len() - index - 1;
        if std::thread::panicking() {
            self.note_panic(index);
        }
        if above > 0 {
            // A guard was dropped before one that was made later: it is kept until those above are gone.
            let open = &mut self.stack.open_mut()[index..];
            open[0].flags |= flags::ENDED;
            let rare = open[0].tags.get_or_insert_default().rare();
            rare.end_ticks = Some(end);
            for later in &mut open[1..] {
                later.flags |= flags::EARLY;
            }
            return;
        }
        self.finish_top(end);
        self.finish_ended(end);
    }

    /// Takes what has ended off the top: it waited for what was above it.
    pub(crate) fn finish_ended(&mut self, end: u64) {
        while let Some(top) = self
            .stack
            .last()
            .filter(|top| top.flags & flags::ENDED != 0)
        {
            let end = top
                .tags
                .as_ref()
                .and_then(|tags| tags.rare.as_ref()?.end_ticks)
                .unwrap_or(end);
            self.finish_top(end);
        }
    }

    /// Takes the top off the stack, as a record unless it is the mark of a context.
    pub(crate) fn finish_top(&mut self, end: u64) {
        let Some(top) = self.stack.last_mut() else {
            return;
        };
        let marks = top.flags;
        if let Some(buffer) = self.buffer.as_mut().filter(|_| marks & flags::CONTEXT == 0) {
            buffer.write(top, end);
        }
        top.tags = None;
        self.stack.drop_top();
        if marks & flags::BASE != 0 {
            if let Some(buffer) = self.end_visit() {
                self.close(buffer);
            }
            return;
        }
        if let Some(buffer) = self.buffer.as_ref().filter(|_| marks & flags::COUNTED != 0) {
            buffer.segment.count_down_inside();
        }
        self.flush_if_full();
    }

    /// Finishes whatever is above an index: spans whose guards were forgotten, or are held over a suspension.
    pub(crate) fn truncate_to(&mut self, len: usize) {
        while self.stack.open().len() > len {
            if let Some(port) = &self.port {
                port.tracer.counters.leaked.fetch_add(1, Ordering::Relaxed);
            }
            self.finish_top(clock::now());
        }
    }

    /// Marks a span that a panic unwinds through.
    pub(crate) fn note_panic(&mut self, index: usize) {
        let note = self.panic.take();
        let open = &mut self.stack.open_mut()[index];
        // A span that began after the panic belongs to a destructor that runs during unwinding.
        if note.as_ref().is_none_or(|note| open.start <= note.ticks) {
            crate::trace::panic::mark(open, note.as_deref());
        }
        self.panic = note;
    }

    /// The span with this id, searched from the top, and the buffer of its visit.
    #[inline]
    pub(crate) fn find(&mut self, id: u64) -> Option<(&mut Open, &mut Buffer)> {
        let Self {
            stack,
            buffer,
            shelf,
            ..
        } = self;
        let mut visits_above = 0;
        for open in stack.open_mut().iter_mut().rev() {
            if open.id == id && open.flags & flags::CONTEXT == 0 {
                let buffer = match visits_above {
                    0 => buffer.as_mut()?,
                    above => shelf.iter_mut().rev().nth(above - 1)?,
                };
                return Some((open, buffer));
            }
            visits_above += usize::from(open.flags & flags::BASE != 0);
        }
        None
    }
}
