//! Taking a span back from below others, for spans that are [shared](crate::trace::SharedSpan).

use super::Span;
use crate::trace::clock;
use crate::trace::local;
use crate::trace::open::{Open, flags};

impl Span {
    /// Takes the span back from wherever it is on the stack, leaving what is above it open.
    ///
    /// In its place stays a mark, which goes when it is on top. If the span was taken off meanwhile, because what it was
    /// entered in has ended, it is over.
    pub(crate) fn swap_out_anywhere(&mut self) {
        let id = self.open.id;
        local::with(|local| {
            let is_this = |open: &Open| open.id == id && open.flags & flags::CONTEXT == 0;
            let Some(at) = local.stack.open().iter().rposition(is_this) else {
                self.segment = None;
                return;
            };
            if std::thread::panicking() {
                local.note_panic(at);
            }
            let open = &mut local.stack.open_mut()[at..];
            let is_top = open.len() == 1;
            let slot = &mut open[0];
            self.open.flags = slot.flags & !(flags::BASE | flags::EARLY);
            self.open.service = slot.service;
            if slot.tags.is_some() {
                self.open.tags = slot.tags.take();
            }
            if is_top {
                let is_base = slot.flags & flags::BASE != 0;
                local.stack.drop_top();
                if is_base {
                    self.lane = local.end_visit();
                }
                local.finish_ended(clock::now());
                return;
            }
            let base = slot.flags & flags::BASE;
            // The visit that it began goes on, and is counted by the mark from here on.
            let counted = if base == 0 { 0 } else { flags::COUNTED };
            slot.flags = base | counted | flags::CONTEXT | flags::ENDED;
            for later in &mut open[1..] {
                later.flags |= flags::EARLY;
            }
            if let Some(segment) = self.segment.as_ref().filter(|_| base != 0) {
                segment.count_up();
            }
        });
    }
}
