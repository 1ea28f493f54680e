//! Rules about trace, span and parent ids.

use std::collections::HashSet;

use super::{Check, ChunkView, Findings, Level, Rule};

/// The rules of this file.
pub static RULES: &[&Rule] = &[
    &ZERO,
    &MIXED,
    &TWICE,
    &HIGH_MALFORMED,
    &HIGH_MISSING,
    &DIFFERS,
    &HIGH_FOREIGN,
];

/// A zero id.
pub static ZERO: Rule = Rule {
    id: "ids.zero",
    level: Level::Dropped,
    sentence: "a trace id or span id is 0",
    advice: "make ids that are never 0; the Agent throws the whole chunk away",
    check: Check::Chunk(zero),
};

fn zero(chunk: &ChunkView<'_>, out: &mut Findings) {
    for (number, span) in chunk.spans.iter().enumerate() {
        if span.trace_id == 0 {
            return chunk.find_span(&ZERO, number, "trace_id", String::new(), out);
        }
        if span.span_id == 0 {
            return chunk.find_span(&ZERO, number, "span_id", String::new(), out);
        }
    }
}

/// Two traces in one chunk.
pub static MIXED: Rule = Rule {
    id: "ids.mixed",
    level: Level::Dropped,
    sentence: "the chunk holds spans of two traces",
    advice: "send the spans of each trace as a chunk of its own",
    check: Check::Chunk(mixed),
};

fn mixed(chunk: &ChunkView<'_>, out: &mut Findings) {
    let Some(first) = chunk.spans.first() else {
        return;
    };
    if let Some(number) = chunk
        .spans
        .iter()
        .position(|span| span.trace_id != first.trace_id)
    {
        let found = format!("{} and {}", first.trace_id, chunk.spans[number].trace_id);
        chunk.find_span(&MIXED, number, "trace_id", found, out);
    }
}

/// One span id, two spans.
pub static TWICE: Rule = Rule {
    id: "ids.twice",
    level: Level::Violation,
    sentence: "two spans of the chunk have the same span id",
    advice: "make a new id for every span; in a forked child, seed the generator anew",
    check: Check::Chunk(twice),
};

fn twice(chunk: &ChunkView<'_>, out: &mut Findings) {
    const FEW: usize = 24;
    if chunk.spans.len() <= FEW {
        for (number, span) in chunk.spans.iter().enumerate() {
            if chunk.spans[..number]
                .iter()
                .any(|other| other.span_id == span.span_id)
            {
                chunk.find_span(
                    &TWICE,
                    number,
                    "span_id",
                    format!("found {}", span.span_id),
                    out,
                );
            }
        }
        return;
    }
    let mut seen = HashSet::with_capacity(chunk.spans.len());
    for (number, span) in chunk.spans.iter().enumerate() {
        if !seen.insert(span.span_id) {
            chunk.find_span(
                &TWICE,
                number,
                "span_id",
                format!("found {}", span.span_id),
                out,
            );
        }
    }
}

/// `_dd.p.tid` is no 16 lower hex digits.
pub static HIGH_MALFORMED: Rule = Rule {
    id: "ids.high_malformed",
    level: Level::Violation,
    sentence: "_dd.p.tid is not 16 lower-case hexadecimal digits",
    advice: "write the high 64 bits of the trace id with leading zeros and in lower case",
    check: Check::Chunk(high_malformed),
};

fn high_malformed(chunk: &ChunkView<'_>, out: &mut Findings) {
    if let Some(text) = chunk.first().high_half
        && !is_high_half(text)
    {
        chunk.find_span(
            &HIGH_MALFORMED,
            0,
            "meta[\"_dd.p.tid\"]",
            format!("found {text:?}"),
            out,
        );
    }
}

fn is_high_half(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Another chunk of the trace has the high half.
pub static HIGH_MISSING: Rule = Rule {
    id: "ids.high_missing",
    level: Level::Violation,
    sentence: "_dd.p.tid is missing, while another chunk of the trace has it",
    advice: "write _dd.p.tid on the first span of every chunk of a trace with a 128-bit id",
    check: Check::Elsewhere,
};

/// One span id with two contents.
pub static DIFFERS: Rule = Rule {
    id: "ids.differs",
    level: Level::Violation,
    sentence: "a span came twice, with different content",
    advice: "send a finished span once; in a forked child, seed the generator of ids anew",
    check: Check::Elsewhere,
};

/// A trace that began here has a high half of another shape than ours.
pub static HIGH_FOREIGN: Rule = Rule {
    id: "ids.high_foreign",
    level: Level::Hint,
    sentence: "the high half of the trace id is not 32 bits of seconds followed by 32 zero bits",
    advice: "begin trace ids with the time: back ends sort and expire by it",
    check: Check::Chunk(high_foreign),
};

fn high_foreign(chunk: &ChunkView<'_>, out: &mut Findings) {
    const YEAR_2000: u64 = 946_684_800;
    if !chunk.begun_here() {
        return;
    }
    let Some(high) = chunk.first().high_half.filter(|text| is_high_half(text)) else {
        return;
    };
    let Ok(high) = u64::from_str_radix(high, 16) else {
        return;
    };
    let now = (chunk.request.now / 1_000_000_000) as u64;
    if high as u32 != 0 || !(YEAR_2000..=now + 3600).contains(&(high >> 32)) {
        chunk.find_span(
            &HIGH_FOREIGN,
            0,
            "meta[\"_dd.p.tid\"]",
            format!("found {high:016x}"),
            out,
        );
    }
}
