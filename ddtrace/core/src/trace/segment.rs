//! A segment: the spans of one trace that share a local root, and the buffers that hold those that are done.
//!
//! Several threads may work on one segment. Each stay of one thread is a *visit*, and a [`Buffer`] belongs to one visit, so
//! writing a record takes no lock. What the visits share is the [`Segment`] head: ids, the sampling decision, a count of what
//! is open, and the buffers that ended visits left behind.
//!
//! **The count.** Only what can outlive a visit is counted: roots, task spans, attached contexts. As long as a buffer may
//! still be written the count is at least one, because the base of every visit is counted. How the last one is found is
//! told in [`visits`](super::visits).

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::id::TraceId;
use super::open::{Open, Records};
use super::service::ServiceId;
use super::site::Site;
use super::tags::Tags;
use super::tracer::TracerCore;
use super::visits::{Closed, Visits};
use crate::propagation::{Baggage, SpanContext};
use crate::sampling::{Decision, SamplingMechanism, SamplingPriority, TraceSource};

/// No decision yet; not a priority that [`SamplingPriority`] would be sent as.
const UNDECIDED: i32 = i32::MIN;

/// How many tags of spans on other threads a segment keeps for the worker.
const LATE_LIMIT: usize = 1024;

/// What all visits of a segment share.
pub(crate) struct Segment {
    pub(crate) tracer: Arc<TracerCore>,
    pub(crate) trace_id: TraceId,
    /// What came in from another service, if the trace began there.
    pub(crate) remote: Option<Box<SpanContext>>,
    /// The process that made it; in a forked child it is left alone, locks included.
    pub(crate) forks: u32,
    pub(crate) root_site: &'static Site,
    pub(crate) root_service: u16,
    root_id: AtomicU64,
    visits: Visits<Box<Buffer>>,
    priority: AtomicI32,
    sampling: Mutex<Sampling>,
    /// The root's tags as far as others need them before it is done: set if a rule looks at them, or its fields changed.
    root: Mutex<Option<Box<Tags>>>,
    late: Mutex<Vec<LateTag>>,
    /// Whether any span holds baggage of its own.
    own_baggage: AtomicBool,
}

/// How the priority came about.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sampling {
    /// What the sampler of this process said.
    pub(crate) decision: Option<Decision>,
    /// Kept or dropped by hand, or by a product.
    pub(crate) manual: Option<SamplingMechanism>,
    /// The randomness that a decision by a rate had, where a later one by hand took its place.
    pub(crate) randomness: Option<u64>,
    /// The products of this process that marked the trace.
    pub(crate) source: TraceSource,
}

/// A tag that was set through a reference to a span which was not at hand.
pub(crate) struct LateTag {
    pub(crate) span: u64,
    pub(crate) tags: Tags,
    pub(crate) flags: u32,
    /// The number of a service that was set, or 0.
    pub(crate) service: u16,
}

/// Finished spans of one visit, children first. Emptied buffers return to the thread that filled them.
pub(crate) struct Buffer {
    pub(crate) segment: Arc<Segment>,
    pub(crate) spans: Records,
    pub(crate) spare_tags: Vec<Box<Tags>>,
    /// Other visits' buffers of the same segment.
    pub(crate) rest: Vec<Box<Buffer>>,
    /// Bytes of the tags held, roughly.
    pub(crate) tag_bytes: usize,
    /// More spans of the segment follow in a later chunk.
    pub(crate) partial: bool,
}

/// How many emptied tag boxes a buffer keeps.
const KEPT_TAGS: usize = 128;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn lock_mut<T>(mutex: &mut Mutex<T>) -> &mut T {
    mutex.get_mut().unwrap_or_else(PoisonError::into_inner)
}

impl Segment {
    /// A head with a count of one.
    pub(crate) fn new(
        tracer: Arc<TracerCore>,
        trace_id: TraceId,
        forks: u32,
        root_site: &'static Site,
    ) -> Self {
        Self {
            tracer,
            trace_id,
            remote: None,
            forks,
            root_site,
            root_service: 0,
            root_id: AtomicU64::new(0),
            visits: Visits::new(),
            priority: AtomicI32::new(UNDECIDED),
            sampling: Mutex::default(),
            root: Mutex::default(),
            late: Mutex::default(),
            own_baggage: AtomicBool::new(false),
        }
    }

    /// Makes the head that of another trace.
    pub(crate) fn reset(&mut self, trace_id: TraceId, forks: u32, root_site: &'static Site) {
        self.trace_id = trace_id;
        self.remote = None;
        self.forks = forks;
        self.root_site = root_site;
        self.root_service = 0;
        *self.root_id.get_mut() = 0;
        self.visits.reset();
        *self.priority.get_mut() = UNDECIDED;
        let sampling = lock_mut(&mut self.sampling);
        sampling.decision = None;
        sampling.manual = None;
        sampling.randomness = None;
        sampling.source = TraceSource::NONE;
        *lock_mut(&mut self.root) = None;
        lock_mut(&mut self.late).clear();
        *self.own_baggage.get_mut() = false;
    }

    /// Continues a trace that began elsewhere, with the decision that was made there.
    ///
    /// A program without tracing of its own believes only in what another product's mark came with.
    pub(crate) fn continue_from(&mut self, mut remote: Box<SpanContext>) {
        if self.tracer.sampler.is_standalone() {
            let is_marked = remote.trace_source().is_some();
            remote.priority = is_marked.then_some(SamplingPriority::USER_KEEP);
        }
        if let Some(priority) = remote.priority {
            *self.priority.get_mut() = priority.get();
        }
        self.remote = Some(remote);
    }

    /// The baggage that the trace came with.
    pub(crate) fn baggage(&self) -> &Baggage {
        const NONE: &Baggage = &Baggage::new();
        self.remote.as_ref().map_or(NONE, |remote| &remote.baggage)
    }

    /// Whether any span of it holds baggage of its own.
    #[inline]
    pub(crate) fn has_own_baggage(&self) -> bool {
        self.own_baggage.load(Ordering::Relaxed)
    }

    /// Says that a span is given baggage of its own.
    pub(crate) fn note_own_baggage(&self) {
        self.own_baggage.store(true, Ordering::Relaxed);
    }

    /// The local root's span id; 0 before it began.
    pub(crate) fn root_id(&self) -> u64 {
        self.root_id.load(Ordering::Relaxed)
    }

    pub(crate) fn set_root_id(&self, id: u64) {
        self.root_id.store(id, Ordering::Relaxed);
    }

    /// Leaves records of an earlier visit for whoever ends the segment.
    pub(crate) fn park(&self, buffer: Box<Buffer>) {
        self.visits.park(buffer);
    }

    /// Counts one more that may outlive its visit.
    pub(crate) fn count_up(&self) {
        self.visits.count_up();
    }

    /// Counts down what ended inside a visit of the same segment.
    pub(crate) fn count_down_inside(&self) {
        self.visits.count_down_inside();
    }

    /// The priority, if it is decided.
    pub(crate) fn priority(&self) -> Option<SamplingPriority> {
        match self.priority.load(Ordering::Acquire) {
            UNDECIDED => None,
            priority => Some(SamplingPriority::new(priority)),
        }
    }

    /// The priority, decided by `decide` if nobody did. The first decision stays.
    pub(crate) fn decide(&self, decide: impl FnOnce() -> Decision) -> SamplingPriority {
        if let Some(priority) = self.priority() {
            return priority;
        }
        let mut sampling = lock(&self.sampling);
        if let Some(priority) = self.priority() {
            return priority;
        }
        let decision = decide();
        let priority = decision.priority;
        sampling.decision = Some(decision);
        self.priority.store(priority.get(), Ordering::Release);
        priority
    }

    /// Keeps or drops the trace by hand; what rules and rates said is forgotten.
    pub(crate) fn decide_by_hand(&self, priority: SamplingPriority, mechanism: SamplingMechanism) {
        let mut sampling = lock(&self.sampling);
        if let Some(probability) = sampling.decision.take().and_then(|it| it.probability) {
            sampling.randomness = Some(probability.randomness());
        }
        sampling.manual = Some(mechanism);
        self.priority.store(priority.get(), Ordering::Release);
    }

    /// Marks the trace as one that a product needs.
    pub(crate) fn mark(&self, source: TraceSource) {
        let mut sampling = lock(&self.sampling);
        sampling.source = sampling.source | source;
    }

    /// The products that marked the trace, here or where it came from; nothing if none of this process did.
    pub(crate) fn own_source(&self, sampling: &Sampling) -> Option<TraceSource> {
        let inbound = self
            .remote
            .as_ref()
            .and_then(|remote| remote.trace_source());
        (!sampling.source.is_none()).then(|| sampling.source | inbound.unwrap_or_default())
    }

    /// How the priority came about.
    pub(crate) fn sampling(&self) -> Sampling {
        lock(&self.sampling).clone()
    }

    /// Shows the root's tags to other threads.
    pub(crate) fn publish_root(&self, tags: Tags) {
        *lock(&self.root) = Some(Box::new(tags));
    }

    /// Runs `read` with what is known of the root before it is done.
    pub(crate) fn with_root<R>(
        &self,
        read: impl FnOnce(&'static Site, ServiceId, Option<&Tags>) -> R,
    ) -> R {
        let root = lock(&self.root);
        read(
            self.root_site,
            ServiceId(self.root_service),
            root.as_deref(),
        )
    }

    /// Keeps tags for a span that is open on another thread, until the worker sees the span.
    pub(crate) fn add_late(&self, late: LateTag) {
        let mut all = lock(&self.late);
        if all.len() < LATE_LIMIT {
            all.push(late);
        }
    }

    /// The late tags of spans that `wanted` knows.
    pub(crate) fn take_late(&self, mut wanted: impl FnMut(u64) -> bool) -> Vec<LateTag> {
        let mut all = lock(&self.late);
        if all.is_empty() {
            return Vec::new();
        }
        let (taken, kept) = std::mem::take(&mut *all)
            .into_iter()
            .partition(|late| wanted(late.span));
        *all = kept;
        taken
    }
}

impl Buffer {
    /// An empty buffer for a segment.
    pub(crate) fn new(segment: Arc<Segment>) -> Box<Self> {
        Box::new(Self {
            segment,
            spans: Records::default(),
            spare_tags: Vec::new(),
            rest: Vec::new(),
            tag_bytes: 0,
            partial: false,
        })
    }

    /// Ends the visit that this buffer belongs to: gives back all that is ready to be handed over.
    pub(crate) fn close(self: Box<Self>) -> Option<Box<Self>> {
        // Others may end the segment, and recycle its head, as soon as this visit has counted down.
        let segment = Arc::clone(&self.segment);
        let limit = segment.tracer.partial_flush_limit;
        let is_much = |parked: &[Box<Self>]| {
            parked
                .iter()
                .map(|buffer| buffer.spans.len())
                .sum::<usize>()
                >= limit
        };
        let (mut ready, partial) = match segment.visits.close(self, is_much) {
            Closed::Last(mut first, rest) => {
                first.rest = rest;
                return Some(first);
            }
            Closed::LastOfParked(ready) => (ready, false),
            Closed::Overflow(ready) => (ready, true),
            Closed::Parked => return None,
        };
        let mut first = ready.pop()?;
        first.rest = ready;
        first.partial = partial;
        Some(first)
    }

    /// Writes a finished span.
    #[inline]
    pub(crate) fn write(&mut self, open: &mut Open, end: u64) {
        if let Some(tags) = &open.tags {
            self.tag_bytes += tags.weight();
        }
        self.spans.write(open, end);
    }

    /// Bytes held by this buffer and those that go with it, roughly.
    pub(crate) fn weight(&self) -> usize {
        let own = size_of::<Self>() + size_of::<Segment>() + self.spans.bytes() + self.tag_bytes;
        self.rest
            .iter()
            .map(|buffer| buffer.weight())
            .sum::<usize>()
            + own
    }

    /// Spans in this buffer and those that go with it.
    pub(crate) fn span_count(&self) -> usize {
        self.rest
            .iter()
            .map(|buffer| buffer.span_count())
            .sum::<usize>()
            + self.spans.len()
    }

    /// Empties it for another segment.
    pub(crate) fn clear(&mut self) {
        let spare = &mut self.spare_tags;
        self.spans.clear(|mut tags| {
            if spare.len() < KEPT_TAGS {
                tags.clear();
                spare.push(tags);
            }
        });
        self.rest = Vec::new();
        self.tag_bytes = 0;
        self.partial = false;
    }
}
