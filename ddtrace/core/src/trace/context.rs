//! A place in a trace, and baggage, that can be carried: to another thread, into a task, over a queue.

use std::marker::PhantomData;
use std::sync::Arc;

use super::clock;
use super::id::{SpanContextId, SpanId, TraceId};
use super::local::{self, Local};
use super::open::{Open, flags};
use super::segment::Segment;
use super::site::Site;
use super::tags::SpanLink;
use super::tracer;
use crate::propagation::Baggage;

/// The active span's place in its trace, to be carried elsewhere.
///
/// With it goes the [baggage](Self::baggage) that the span had when the context was made. A context may also have baggage
/// and no place: then requests and traces that begin while it is attached carry it.
///
/// Carrying it keeps nothing open: a span that is started under it after the local root has ended goes out as a later
/// chunk of the same trace. Attaching it costs a push on the thread's stack and one atomic addition.
///
/// ```
/// use ddtrace_core::trace::Context;
///
/// let context = Context::current();
/// std::thread::spawn(move || {
///     let _attached = context.attach();
///     // spans made here are children of the span that was active there
/// })
/// .join()
/// .unwrap();
/// ```
#[derive(Clone, Default)]
pub struct Context {
    at: Option<Place>,
    /// Nothing if it is what the segment came with.
    baggage: Option<Baggage>,
}

#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) segment: Arc<Segment>,
    pub(crate) span: u64,
    pub(crate) service: u16,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("id", &self.id())
            .finish_non_exhaustive()
    }
}

static ATTACHED: Site = Site::new("context", "attach", module_path!(), file!(), line!());

impl Context {
    /// The place of the active span with its baggage; without a place if there is none.
    pub fn current() -> Self {
        local::with(|local| match (local.stack.last(), local.segment()) {
            (Some(top), Some(segment)) => Self {
                at: Some(Place {
                    segment: Arc::clone(segment),
                    span: top.id,
                    service: top.service,
                }),
                baggage: local.baggage_to_carry(),
            },
            _ => Self {
                at: None,
                baggage: (!local.ambient.holds_nothing()).then(|| local.ambient.clone()),
            },
        })
        .unwrap_or_default()
    }

    pub(crate) fn of(
        segment: &Arc<Segment>,
        span: u64,
        service: u16,
        baggage: Option<Baggage>,
    ) -> Self {
        Self {
            at: Some(Place {
                segment: Arc::clone(segment),
                span,
                service,
            }),
            baggage,
        }
    }

    /// The baggage that goes along.
    ///
    /// ```
    /// use ddtrace_core::trace::{Context, baggage};
    ///
    /// let mut context = Context::current();
    /// context.set_baggage("user.id", "u1");
    /// assert_eq!(context.baggage().get("user.id"), Some("u1"));
    ///
    /// let attached = context.attach();
    /// assert_eq!(baggage().get("user.id"), Some("u1"));
    /// drop(attached);
    /// assert!(baggage().is_empty());
    /// ```
    pub fn baggage(&self) -> Baggage {
        match (&self.baggage, &self.at) {
            (Some(baggage), _) => baggage.clone(),
            (None, Some(place)) => place.segment.baggage().clone(),
            (None, None) => Baggage::new(),
        }
    }

    pub(super) fn change_baggage(&mut self, change: impl FnOnce(&mut Baggage)) {
        let mut baggage = self.baggage();
        change(&mut baggage);
        self.baggage = Some(baggage);
    }

    /// Sets an item of this context's baggage; the span it was made of does not see it.
    pub fn set_baggage(&mut self, key: &str, value: &str) {
        self.change_baggage(|baggage| {
            baggage.set(key, value);
        });
    }

    /// Takes one item out of this context's baggage.
    pub fn remove_baggage(&mut self, key: &str) {
        self.change_baggage(|baggage| baggage.remove(key));
    }

    /// Takes everything out of this context's baggage.
    pub fn clear_baggage(&mut self) {
        self.change_baggage(Baggage::clear);
    }

    /// Baggage that differs from what the segment came with.
    pub(crate) fn own_baggage(&self) -> Option<&Baggage> {
        self.baggage.as_ref()
    }

    /// The place, unless it is another process's.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.at
            .as_ref()
            .filter(|place| place.segment.forks == tracer::forks())
    }

    /// A tag that came with the trace from another service, by its whole name: `_dd.p.…`.
    pub fn remote_tag(&self, key: &str) -> Option<&str> {
        let remote = self.place()?.segment.remote.as_deref()?;
        remote.tags.get(key)
    }

    /// Whether it points nowhere. It may have baggage all the same.
    pub fn is_none(&self) -> bool {
        self.at.is_none()
    }

    /// Which span of which trace it points at.
    pub fn id(&self) -> Option<SpanContextId> {
        let place = self.at.as_ref()?;
        Some(SpanContextId {
            trace_id: place.segment.trace_id,
            span_id: SpanId::new(place.span),
        })
    }

    /// The trace's id, zero if it points nowhere.
    pub fn trace_id(&self) -> TraceId {
        self.at
            .as_ref()
            .map(|place| place.segment.trace_id)
            .unwrap_or_default()
    }

    /// The span's id, zero if it points nowhere.
    pub fn span_id(&self) -> SpanId {
        SpanId::new(self.at.as_ref().map_or(0, |place| place.span))
    }

    /// Makes the place active on this thread while the guard lives: spans started here become children of its span.
    ///
    /// Without a place only the baggage is put in force: for the span that is active, or else for the thread.
    pub fn attach(&self) -> Attached {
        let attached = match (self.place(), &self.baggage) {
            (Some(place), baggage) => {
                local::with_current(|local| Mark::Place(attach(local, place, baggage.clone())))
            }
            (None, Some(baggage)) => {
                local::with_current(|local| attach_baggage(local, baggage.clone()))
            }
            (None, None) => None,
        };
        Attached {
            mark: attached.unwrap_or(Mark::Nothing),
            thread_bound: PhantomData,
        }
    }

    /// Makes the place active whenever the future is polled.
    pub fn wrap<F: Future>(self, future: F) -> super::InContext<F> {
        super::InContext::new(self, future)
    }
}

/// A link to the place.
impl From<&Context> for SpanLink {
    fn from(context: &Context) -> Self {
        SpanLink::new(context.id().unwrap_or_default())
    }
}

impl From<Context> for SpanLink {
    fn from(context: Context) -> Self {
        SpanLink::from(&context)
    }
}

/// Puts the mark of a context on the stack, with a visit of its segment under it. Gives the mark's own number.
fn attach(local: &mut Local, place: &Place, baggage: Option<Baggage>) -> u64 {
    let nested = local.is_visiting(&place.segment);
    let base = if nested { 0 } else { flags::BASE };
    if !nested {
        let buffer = local.buffer_for(&place.segment);
        local.begin_visit(buffer);
    }
    place.segment.count_up();
    let mark = local.span_id();
    let mut open = Open {
        site: &ATTACHED,
        id: place.span,
        // The mark's own number: the id is the span's, which may stand on the stack as well.
        parent: mark,
        flags: base | flags::CONTEXT | flags::COUNTED,
        service: place.service,
        parent_service: place.service,
        ..Open::EMPTY
    };
    if let Some(baggage) = baggage {
        super::baggage::set_own(&mut open, &place.segment, baggage);
    }
    local.stack.push(open);
    mark
}

/// Puts baggage in force: by another mark of the place that is active, or for the thread if there is none.
fn attach_baggage(local: &mut Local, baggage: Baggage) -> Mark {
    match (local.stack.last(), local.segment()) {
        (Some(top), Some(segment)) => {
            let place = Place {
                segment: Arc::clone(segment),
                span: top.id,
                service: top.service,
            };
            Mark::Place(attach(local, &place, Some(baggage)))
        }
        _ => Mark::Thread(std::mem::replace(&mut local.ambient, baggage)),
    }
}

/// What an attached context has to take back.
#[derive(Debug)]
enum Mark {
    Nothing,
    /// The mark's number on the stack.
    Place(u64),
    /// The thread's baggage before.
    Thread(Baggage),
}

/// Keeps a [`Context`] active on this thread until it is dropped.
#[must_use = "the context is active until the guard is dropped"]
#[derive(Debug)]
pub struct Attached {
    mark: Mark,
    thread_bound: PhantomData<*const ()>,
}

impl Attached {
    /// Ends it, leaving what is above it on the stack open.
    pub(super) fn detach_anywhere(mut self) {
        if let Mark::Place(mark) = self.mark {
            self.mark = Mark::Nothing;
            local::with(|local| local.detach_anywhere(mark, clock::now()));
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        match &mut self.mark {
            Mark::Nothing => {}
            Mark::Place(mark) => {
                local::with(|local| local.detach(*mark, clock::now()));
            }
            Mark::Thread(before) => {
                local::with(|local| local.ambient = std::mem::take(before));
            }
        }
    }
}

impl Local {
    fn find_mark(&self, mark: u64) -> Option<usize> {
        let is_mark = |open: &Open| open.flags & flags::CONTEXT != 0 && open.parent == mark;
        self.stack.open().iter().rposition(is_mark)
    }

    /// Takes the mark of a context off the stack once what is above it is gone.
    fn detach_anywhere(&mut self, mark: u64, end: u64) {
        if let Some(index) = self.find_mark(mark) {
            if index + 1 == self.stack.open().len() {
                self.finish_top(end);
                self.finish_ended(end);
                return;
            }
            let open = &mut self.stack.open_mut()[index..];
            open[0].flags |= flags::ENDED;
            for later in &mut open[1..] {
                later.flags |= flags::EARLY;
            }
        }
    }

    /// Takes the mark of a context off the stack, with whatever was left open above it.
    fn detach(&mut self, mark: u64, end: u64) {
        if let Some(index) = self.find_mark(mark) {
            self.truncate_to(index + 1);
            self.finish_top(end);
            self.finish_ended(end);
        }
    }

    /// Starts a child of a carried place, as the base of a visit of its own if need be.
    pub(crate) fn push_child_of(
        &mut self,
        site: &'static Site,
        word: u32,
        parent: &Context,
    ) -> u64 {
        let Some(place) = parent.place() else {
            let id = self.push_root(site, word);
            if id != 0 {
                self.give_top(parent.own_baggage());
            }
            return id;
        };
        let nested = self.is_visiting(&place.segment);
        if !nested {
            let buffer = self.buffer_for(&place.segment);
            self.begin_visit(buffer);
        }
        place.segment.count_up();
        let base = if nested { 0 } else { flags::BASE };
        let id = self.push(site, word, place.span, place.service, base | flags::COUNTED);
        self.give_top(parent.own_baggage());
        id
    }

    /// Gives the span that just began baggage of its own, if there is any.
    fn give_top(&mut self, baggage: Option<&Baggage>) {
        if let (Some(baggage), Some(buffer), Some(top)) =
            (baggage, &self.buffer, self.stack.last_mut())
        {
            super::baggage::set_own(top, &buffer.segment, baggage.clone());
        }
    }
}
