//! When products say what their spans carry: once the sampling decision is known, before anything is encoded.

use std::sync::Arc;

use super::assemble::{Assembler, ChunkTexts, records};
use super::finished::FinishedSpan;
use crate::trace::Attachment;
use crate::trace::open::Record;
use crate::trace::segment::Buffer;

/// What products have attached to a span, here and from other threads.
fn attachments<'a>(
    record: &'a Record,
    texts: &'a ChunkTexts,
) -> impl Iterator<Item = &'a [Arc<dyn Attachment>]> {
    let own = record.open.tags.as_deref();
    let late = texts.late.iter();
    let late = late.filter(|late| late.span == record.open.id);
    own.into_iter()
        .chain(late.map(|late| &late.tags))
        .filter_map(|tags| tags.rare.as_deref())
        .map(|rare| &*rare.attachments)
        .filter(|attachments| !attachments.is_empty())
}

/// Has what products attached to the span write on it.
pub(super) fn settle<'a>(span: &mut FinishedSpan<'a>, record: &'a Record, texts: &'a ChunkTexts) {
    for attachments in attachments(record, texts) {
        crate::trace::settle(attachments, span, texts.is_sampled());
    }
}

impl Assembler {
    /// Asks what products have attached, in the order in which the spans ended: that of causes and effects. The answers stay.
    pub(super) fn settle_in_order<'a>(
        &'a self,
        buffer: &'a Buffer,
        texts: &'a ChunkTexts,
        span: &mut FinishedSpan<'a>,
    ) {
        let mut attached: Vec<_> = records(buffer)
            .filter(|record| attachments(record, texts).next().is_some())
            .collect();
        // Records come with the last one of a visit first; equal ends are those of a child and its parent.
        attached.reverse();
        attached.sort_by_key(|record| record.end);
        for record in attached {
            self.fill(span, record, &buffer.segment, &texts.late);
            settle(span, record, texts);
        }
    }
}
