//! A place in a trace that can be carried: to another thread, into a task, over a queue.

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

/// The active span's place in its trace, to be carried elsewhere.
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
}

#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) segment: Arc<Segment>,
    pub(crate) span: u64,
    pub(crate) service: u16,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Context").field(&self.id()).finish()
    }
}

static ATTACHED: Site = Site::new("context", "attach", module_path!(), file!(), line!());

impl Context {
    /// The place of the active span; empty if there is none.
    pub fn current() -> Self {
        let at = local::with(|local| {
            let top = local.stack.last()?;
            let (span, service) = (top.id, top.service);
            Some(Place {
                segment: Arc::clone(local.segment()?),
                span,
                service,
            })
        });
        Self { at: at.flatten() }
    }

    pub(crate) fn of(segment: &Arc<Segment>, span: u64, service: u16) -> Self {
        Self {
            at: Some(Place {
                segment: Arc::clone(segment),
                span,
                service,
            }),
        }
    }

    /// The place, unless it is another process's.
    pub(crate) fn place(&self) -> Option<&Place> {
        self.at
            .as_ref()
            .filter(|place| place.segment.forks == tracer::forks())
    }

    /// Whether it points nowhere.
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
    pub fn attach(&self) -> Attached {
        let id = self
            .place()
            .and_then(|place| local::with_current(|local| attach(local, place)));
        Attached {
            id: id.unwrap_or(0),
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
fn attach(local: &mut Local, place: &Place) -> u64 {
    let nested = local.is_visiting(&place.segment);
    let base = if nested { 0 } else { flags::BASE };
    if !nested {
        let buffer = local.buffer_for(&place.segment);
        local.begin_visit(buffer);
    }
    place.segment.count_up();
    let mark = local.span_id();
    local.stack.push(Open {
        site: &ATTACHED,
        id: place.span,
        // The mark's own number: the id is the span's, which may stand on the stack as well.
        parent: mark,
        flags: base | flags::CONTEXT | flags::COUNTED,
        service: place.service,
        parent_service: place.service,
        ..Open::EMPTY
    });
    mark
}

/// Keeps a [`Context`] active on this thread until it is dropped.
#[must_use = "the context is active until the guard is dropped"]
#[derive(Debug)]
pub struct Attached {
    /// The mark's number, 0 if nothing was attached.
    id: u64,
    thread_bound: PhantomData<*const ()>,
}

impl Attached {
    /// Ends it, leaving what is above it on the stack open.
    pub(super) fn detach_anywhere(mut self) {
        let mark = std::mem::take(&mut self.id);
        if mark != 0 {
            local::with(|local| local.detach_anywhere(mark, clock::now()));
        }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if self.id != 0 {
            local::with(|local| local.detach(self.id, clock::now()));
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
            return self.push_root(site, word);
        };
        let nested = self.is_visiting(&place.segment);
        if !nested {
            let buffer = self.buffer_for(&place.segment);
            self.begin_visit(buffer);
        }
        place.segment.count_up();
        let base = if nested { 0 } else { flags::BASE };
        self.push(site, word, place.span, place.service, base | flags::COUNTED)
    }
}
