//! Rules about how the spans of a chunk hang together.

use super::{Check, ChunkView, Findings, Level, Rule, SpanView};

/// The rules of this file.
pub static RULES: &[&Rule] = &[
    &EMPTY_CHUNK,
    &ROOT_NOT_FIRST,
    &NO_ROOT,
    &CYCLE,
    &ORPHAN,
    &TOP_LEVEL_MISSING,
    &TOP_LEVEL_WRONG,
    &LARGE,
];

/// A chunk of nothing.
pub static EMPTY_CHUNK: Rule = Rule {
    id: "structure.empty_chunk",
    level: Level::Dropped,
    sentence: "the chunk holds no spans",
    advice: "do not send empty chunks",
    check: Check::Chunk(empty_chunk),
};

fn empty_chunk(chunk: &ChunkView<'_>, out: &mut Findings) {
    if chunk.spans.is_empty() {
        chunk.find(&EMPTY_CHUNK, "", String::new(), out);
    }
}

/// The local root does not come first.
pub static ROOT_NOT_FIRST: Rule = Rule {
    id: "structure.root_not_first",
    level: Level::Violation,
    sentence: "the local root is in the chunk, but not its first span",
    advice: "put the local root first: chunk tags are read from the first span",
    check: Check::Chunk(root_not_first),
};

fn root_not_first(chunk: &ChunkView<'_>, out: &mut Findings) {
    if !chunk.request.from_rust() {
        return;
    }
    if let Some(root) = chunk
        .local_root
        .filter(|root| *root != 0 && chunk.parents[0].is_some())
    {
        chunk.find_span(&ROOT_NOT_FIRST, root, "", String::new(), out);
    }
}

/// The trace's root never came.
pub static NO_ROOT: Rule = Rule {
    id: "structure.no_root",
    level: Level::Violation,
    sentence: "no root of the trace came within 30 s of its last span",
    advice: "finish the root span; one that is still open is sent when it ends",
    check: Check::Elsewhere,
};

/// Spans that are each other's ancestors.
pub static CYCLE: Rule = Rule {
    id: "structure.cycle",
    level: Level::Violation,
    sentence: "the span is its own ancestor",
    advice: "take the parent's id from the parent, not from the span itself",
    check: Check::Chunk(cycle),
};

fn cycle(chunk: &ChunkView<'_>, out: &mut Findings) {
    // 0: not looked at; otherwise 1 + the number of the walk that reached it first. A walk that meets itself is a cycle.
    let mut reached = vec![0usize; chunk.spans.len()];
    for start in 0..chunk.spans.len() {
        let mut at = start;
        while reached[at] == 0 {
            reached[at] = start + 1;
            match chunk.parents[at] {
                Some(parent) if reached[parent] == start + 1 => {
                    return chunk.find_span(&CYCLE, parent, "parent_id", String::new(), out);
                }
                Some(parent) => at = parent,
                None => break,
            }
        }
    }
}

/// The parent never came.
pub static ORPHAN: Rule = Rule {
    id: "structure.orphan",
    level: Level::Violation,
    sentence: "the span's parent never came, and nothing says that it is in another process",
    advice: "finish the parent span, or check that it was not dropped; 30 s were waited for it",
    check: Check::Elsewhere,
};

/// A service entry without its mark.
pub static TOP_LEVEL_MISSING: Rule = Rule {
    id: "structure.top_level_missing",
    level: Level::Violation,
    sentence: "the span's service differs from its parent's, but _dd.top_level is not 1",
    advice: "set the metric _dd.top_level to 1 where a service is entered; statistics are made from it",
    check: Check::Span(top_level_missing),
};

fn top_level_missing(view: &SpanView<'_>, out: &mut Findings) {
    let Some(parent) = view.chunk.parents[view.number] else {
        return;
    };
    let parent = &view.chunk.spans[parent];
    if parent.service != view.span.service
        && !view.known.top_level
        && view.chunk.request.from_rust()
    {
        let detail = format!(
            "parent's service {:?}, own {:?}",
            parent.service, view.span.service
        );
        view.find(
            &TOP_LEVEL_MISSING,
            "metrics[\"_dd.top_level\"]",
            detail,
            out,
        );
    }
}

/// A mark inside a service.
pub static TOP_LEVEL_WRONG: Rule = Rule {
    id: "structure.top_level_wrong",
    level: Level::Violation,
    sentence: "_dd.top_level is 1 on a span whose parent has the same service",
    advice: "set _dd.top_level only where a service is entered; such spans are counted twice in statistics",
    check: Check::Span(top_level_wrong),
};

fn top_level_wrong(view: &SpanView<'_>, out: &mut Findings) {
    let Some(parent) = view.chunk.parents[view.number] else {
        return;
    };
    if view.known.top_level && view.chunk.spans[parent].service == view.span.service {
        view.find(
            &TOP_LEVEL_WRONG,
            "metrics[\"_dd.top_level\"]",
            String::new(),
            out,
        );
    }
}

/// Very many spans.
pub static LARGE: Rule = Rule {
    id: "structure.large",
    level: Level::Hint,
    sentence: "the trace has more than 10,000 spans",
    advice: "begin a trace per unit of work, and link them",
    check: Check::Elsewhere,
};
