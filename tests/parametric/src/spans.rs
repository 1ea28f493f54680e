//! What the endpoints refer to by id: spans of either interface, open or not, and contexts that came in.

use std::collections::HashMap;

use ddtrace::propagation::Extracted;
use ddtrace::{Context, opentelemetry::Span};
use opentelemetry::trace::Span as _;

/// Everything since the last flush.
#[derive(Default)]
pub(crate) struct Spans {
    spans: HashMap<u64, Entry>,
    extracted: HashMap<u64, Extracted>,
    /// Open spans, the latest last.
    open: Vec<u64>,
    active: Option<u64>,
    /// Open spans that a flush took out of sight. Dropping one would end it.
    forgotten: Vec<Span>,
    /// The last id that was made up.
    made_up: u64,
}

struct Entry {
    span: Span,
    parent: Option<u64>,
}

/// What a new span begins under.
pub(crate) enum Parent {
    None,
    Span(Context),
    Extracted(Extracted),
}

impl Spans {
    /// Takes a span that has begun; it becomes the active one.
    pub(crate) fn add(&mut self, span: Span, parent: Option<u64>) -> u64 {
        let id = span.datadog_context().span_id().get();
        self.spans.insert(id, Entry { span, parent });
        self.open.push(id);
        self.active = Some(id);
        id
    }

    pub(crate) fn get(&mut self, id: u64) -> Option<&mut Span> {
        self.spans.get_mut(&id).map(|entry| &mut entry.span)
    }

    /// The place of a span as it is at the moment.
    pub(crate) fn context(&mut self, id: u64) -> Option<Context> {
        self.get(id).map(|span| span.datadog_context())
    }

    pub(crate) fn extracted(&self, id: u64) -> Option<&Extracted> {
        self.extracted.get(&id)
    }

    pub(crate) fn parent(&mut self, id: Option<u64>) -> Option<Parent> {
        let Some(id) = id else {
            return Some(Parent::None);
        };
        if let Some(context) = self.context(id) {
            return Some(Parent::Span(context));
        }
        self.extracted.get(&id).cloned().map(Parent::Extracted)
    }

    /// Ends a span; then its parent is active, or the latest that is open.
    pub(crate) fn finish(&mut self, id: u64, end: impl FnOnce(&mut Span)) -> Option<()> {
        let entry = self.spans.get_mut(&id)?;
        let was_open = entry.span.is_recording();
        end(&mut entry.span);
        let parent = entry.parent;
        self.open.retain(|open| *open != id);
        if was_open {
            let parent = parent.filter(|parent| self.open.contains(parent));
            self.active = parent.or(self.open.last().copied());
        }
        Some(())
    }

    /// The active span, and its trace's id.
    pub(crate) fn active(&mut self) -> Option<(u64, Context)> {
        let id = self.active?;
        Some((id, self.context(id)?))
    }

    /// Keeps what came in; gives the id by which to call it. Nothing if nothing came.
    pub(crate) fn keep(&mut self, extracted: Extracted) -> Option<u64> {
        if extracted.is_empty() {
            return None;
        }
        let named = extracted
            .context
            .as_ref()
            .and_then(|context| context.span_id);
        let id = match named {
            Some(id) => id.get(),
            None => {
                self.made_up += 1;
                self.made_up
            }
        };
        self.extracted.insert(id, extracted);
        Some(id)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        for (_, entry) in self.spans.drain() {
            if entry.span.is_recording() {
                // Its place is no longer asked for, and it must not end.
                self.forgotten.push(entry.span);
            }
        }
        self.extracted.clear();
        self.open.clear();
        self.active = None;
    }
}
