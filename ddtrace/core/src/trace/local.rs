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

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::clock;
use super::id::TraceId;
use super::open::{Open, Stack, flags};
use super::outbox::Outbox;
use super::panic::PanicNote;
use super::segment::{Buffer, Segment};
use super::site::Site;
use super::tracer::{self, TracerCore};

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
    /// State of the span ids' sequence.
    random: u64,
    /// State of the trace ids' sequence.
    random_trace: u64,
    generation: u32,
    forks: u32,
    /// Finished spans at which the buffer is handed over early.
    limit: usize,
    /// Its thread is ending.
    reaped: bool,
}

/// Finished spans of a visit before it is flushed, on a thread that has no tracer to say so.
const LIMIT_WITHOUT_TRACER: usize = 300;

/// Where finished chunks go.
struct Port {
    tracer: Arc<TracerCore>,
    outbox: Arc<Outbox>,
}

thread_local! {
    // Without a destructor, so that an access costs no look at its state; the reaper below empties it.
    static LOCAL: RefCell<ManuallyDrop<Local>> = const { RefCell::new(ManuallyDrop::new(Local::new())) };
    static REAPER: Reaper = const { Reaper { armed: Cell::new(false) } };
}

/// Empties the thread's state when the thread ends.
struct Reaper {
    armed: Cell<bool>,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        with(|local| {
            local.reaped = true;
            local.generation = 0;
            local.abandon();
            if let Some(port) = local.port.take() {
                port.outbox.close();
            }
            local.chosen = None;
        });
    }
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
            random: 0,
            random_trace: 0,
            generation: 0,
            forks: 0,
            limit: 0,
            reaped: false,
        }
    }

    /// Whether the thread's state can be used: brought up to date, and not taken down.
    pub(crate) fn is_current(&mut self) -> bool {
        self.generation == tracer::generation() || self.renew()
    }

    /// The same for starting spans, which a thread whose tracer is switched off does not.
    #[cold]
    fn may_trace(&mut self) -> bool {
        self.renew() && self.generation != 0
    }

    /// Looks anew at which tracer to work for. Leaves behind what a forked child inherited.
    #[cold]
    #[inline(never)]
    fn renew(&mut self) -> bool {
        if self.reaped {
            return false;
        }
        let generation = tracer::generation();
        let forks = tracer::forks();
        if self.forks != forks {
            self.forget_inherited();
            self.forks = forks;
            if tracer::global().is_some_and(|tracer| tracer.forks != forks) {
                crate::worker::revive();
            }
        }
        let tracer = self
            .chosen
            .clone()
            .or_else(tracer::global)
            .filter(|tracer| tracer.forks == forks);
        REAPER.with(|reaper| reaper.armed.set(true));
        let stays = match (&self.port, &tracer) {
            (Some(port), Some(tracer)) => Arc::ptr_eq(&port.tracer, tracer),
            (None, None) => true,
            _ => false,
        };
        if !stays {
            if let Some(port) = self.port.take() {
                port.outbox.close();
            }
            self.spare = None;
            self.port = tracer.map(|tracer| Port {
                outbox: tracer.register(),
                tracer,
            });
        }
        self.limit = self
            .port
            .as_ref()
            .map_or(LIMIT_WITHOUT_TRACER, |port| port.tracer.partial_flush_limit);
        self.seed();
        // A thread without a tracer may still work on segments that are carried to it.
        let is_off = self.port.as_ref().is_some_and(|port| !port.tracer.enabled);
        self.generation = if is_off { 0 } else { generation };
        true
    }

    /// Ids that no other thread, process or run makes.
    fn seed(&mut self) {
        use std::hash::{BuildHasher, Hasher, RandomState};
        // std seeds its hashers from the system once per process and counts up per thread, so a forked child would repeat
        // its parent: process id and clock set it apart.
        let state = RandomState::new();
        let place = std::ptr::from_ref(self).addr();
        let draw = |salt: u64| {
            let mut hasher = state.build_hasher();
            hasher.write_u64(salt);
            hasher.write_u64(clock::now());
            hasher.write_u32(std::process::id());
            hasher.write_usize(place);
            hasher.finish()
        };
        self.random = draw(1);
        self.random_trace = draw(2);
    }

    /// Uses a tracer of one's own on this thread, or none.
    pub(crate) fn choose(&mut self, tracer: Option<Arc<TracerCore>>) -> Option<Arc<TracerCore>> {
        self.generation = 0;
        std::mem::replace(&mut self.chosen, tracer)
    }

    /// The tracer that the thread works for.
    pub(crate) fn tracer(&self) -> Option<&Arc<TracerCore>> {
        self.port.as_ref().map(|port| &port.tracer)
    }

    /// What the thread still holds when it ends: guards that were forgotten or outlive it.
    fn abandon(&mut self) {
        let leaked = self
            .stack
            .open()
            .iter()
            .filter(|open| open.flags & (flags::CONTEXT | flags::ENDED) == 0)
            .count();
        if let Some(port) = &self.port {
            port.tracer
                .counters
                .leaked
                .fetch_add(leaked as u64, Ordering::Relaxed);
        }
        self.stack.clear();
        self.buffer = None;
        self.shelf = Vec::new();
        self.spare = None;
    }

    /// In a forked child: nothing of the parent's is touched, its locks may be held by threads that do not exist here.
    fn forget_inherited(&mut self) {
        std::mem::forget(self.buffer.take());
        std::mem::forget(std::mem::take(&mut self.shelf));
        std::mem::forget(self.spare.take());
        std::mem::forget(self.port.take());
        self.stack.clear();
    }

    /// The next span id: a Weyl sequence through one wide multiplication; never 0.
    #[inline]
    pub(crate) fn span_id(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0xa076_1d64_78bd_642f);
        let wide =
            u128::from(self.random).wrapping_mul(u128::from(self.random ^ 0xe703_7ed1_a0b4_28db));
        ((wide >> 64) as u64 ^ wide as u64).max(1)
    }

    /// The low half of the next trace id, by splitmix64: the sampling hash sees it. Never 0.
    fn trace_low(&mut self) -> u64 {
        self.random_trace = self.random_trace.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random_trace;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
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
        id
    }

    /// Begins a visit of a new segment with a trace id of its own.
    fn open_segment(&mut self, site: &'static Site) -> bool {
        let random = self.trace_low();
        let forks = self.forks;
        let Some(port) = self.port.as_ref().filter(|port| port.tracer.enabled) else {
            return false;
        };
        let trace_id = port.tracer.new_trace_id(random);
        let mut buffer = match self.spare.take().or_else(|| port.outbox.take_free()) {
            Some(buffer) => buffer,
            None => Buffer::new(port.tracer.new_segment(trace_id, site)),
        };
        // Recycled unless a context still points at it.
        match Arc::get_mut(&mut buffer.segment)
            .filter(|segment| Arc::ptr_eq(&segment.tracer, &port.tracer))
        {
            Some(segment) => {
                segment.reset(trace_id, forks, site);
                segment.root_service = Site::service_of(site.word()).0;
            }
            None => buffer.segment = port.tracer.new_segment(trace_id, site),
        }
        self.begin_visit(buffer);
        true
    }

    /// A head for a segment that the caller fills in before it is shared.
    pub(crate) fn new_segment(
        &mut self,
        site: &'static Site,
        trace_id: Option<TraceId>,
    ) -> Option<Segment> {
        let random = self.trace_low();
        let tracer = self.tracer()?;
        let trace_id = trace_id.unwrap_or_else(|| tracer.new_trace_id(random));
        Some(Segment::new(Arc::clone(tracer), trace_id, self.forks, site))
    }

    /// A buffer for a segment that exists.
    pub(crate) fn buffer_for(&mut self, segment: &Arc<Segment>) -> Box<Buffer> {
        let free = self
            .spare
            .take()
            .or_else(|| self.port.as_ref()?.outbox.take_free());
        match free {
            Some(mut buffer) => {
                buffer.segment = Arc::clone(segment);
                buffer
            }
            None => Buffer::new(Arc::clone(segment)),
        }
    }

    /// Takes a buffer in hand.
    pub(crate) fn begin_visit(&mut self, buffer: Box<Buffer>) {
        if let Some(outer) = self.buffer.replace(buffer) {
            self.shelf.push(outer);
        }
    }

    /// Gives the buffer in hand away and takes the interrupted one back.
    pub(crate) fn end_visit(&mut self) -> Option<Box<Buffer>> {
        let buffer = self.buffer.take();
        self.buffer = self.shelf.pop();
        buffer
    }

    /// Whether the visit in hand is one of this segment.
    pub(crate) fn is_visiting(&self, segment: &Arc<Segment>) -> bool {
        self.buffer
            .as_ref()
            .is_some_and(|buffer| Arc::ptr_eq(&buffer.segment, segment))
    }

    /// Hands a chunk to the worker of its tracer.
    #[inline(never)]
    pub(crate) fn hand_over(&mut self, mut buffer: Box<Buffer>) {
        if buffer.spans.is_empty() && buffer.rest.is_empty() {
            // A context was attached and nothing happened under it.
            buffer.clear();
            self.spare = Some(buffer);
            return;
        }
        match &self.port {
            Some(port) if Arc::ptr_eq(&port.tracer, &buffer.segment.tracer) => {
                let result = port.outbox.put(buffer);
                if result.wake {
                    port.tracer.wake_worker();
                }
                if result.free.is_some() {
                    self.spare = result.free;
                }
            }
            _ => hand_over_shared(buffer),
        }
    }

    /// Counts the end of a visit whose buffer is this, and hands over what is complete.
    pub(crate) fn close(&mut self, buffer: Box<Buffer>) {
        if let Some(ready) = buffer.close() {
            self.hand_over(ready);
        }
    }

    /// Sends the spans finished so far, while others are open.
    #[cold]
    #[inline(never)]
    pub(crate) fn flush_partially(&mut self) {
        let Some(segment) = self
            .buffer
            .as_ref()
            .map(|buffer| Arc::clone(&buffer.segment))
        else {
            return;
        };
        let fresh = self.buffer_for(&segment);
        if let Some(mut full) = self.buffer.replace(fresh) {
            full.partial = true;
            self.hand_over(full);
        }
    }

    /// The ends that [`exit_on`] has no time for.
    #[cold]
    #[inline(never)]
    fn exit_rarely(&mut self, id: u64, end: u64) {
        let Some(index) = self.stack.open().iter().rposition(|open| open.id == id) else {
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

    /// Sends what is finished if it is as much as a visit may hold.
    pub(crate) fn flush_if_full(&mut self) {
        if self
            .buffer
            .as_ref()
            .is_some_and(|buffer| buffer.spans.len() >= self.limit)
        {
            self.flush_partially();
        }
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
            super::panic::mark(open, note.as_deref());
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

    /// The segment of the visit in hand.
    pub(crate) fn segment(&self) -> Option<&Arc<Segment>> {
        self.buffer.as_ref().map(|buffer| &buffer.segment)
    }
}

/// Hands a chunk over without the thread's own queue.
pub(crate) fn hand_over_shared(buffer: Box<Buffer>) {
    let tracer = Arc::clone(&buffer.segment.tracer);
    tracer.hand_over(buffer);
}
