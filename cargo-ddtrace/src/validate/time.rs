//! Rules about starts and durations.

use super::{Check, Findings, Level, Rule, SpanView};

/// The rules of this file.
pub static RULES: &[&Rule] = &[&START, &NEGATIVE, &OLD, &BEFORE_PARENT];

const SECOND: i64 = 1_000_000_000;
/// 2000-01-01, before which the Agent replaces a start.
pub const YEAR_2000: i64 = 946_684_800 * SECOND;

/// Starts or ends at an impossible time.
pub static START: Rule = Rule {
    id: "time.impossible",
    level: Level::Violation,
    sentence: "the span starts before 2000, or ends more than a minute after it was received",
    advice: "send nanoseconds since the epoch; the Agent replaces such a start by the time of receipt",
    check: Check::Span(start),
};

fn start(view: &SpanView<'_>, out: &mut Findings) {
    let span = view.span;
    if span.start < YEAR_2000 {
        view.find(&START, "start", format!("found {}", span.start), out);
    } else if span.start.saturating_add(span.duration.max(0)) > view.chunk.request.now + 60 * SECOND
    {
        let ahead = span
            .start
            .saturating_add(span.duration.max(0))
            .saturating_sub(view.chunk.request.now)
            / SECOND;
        view.find(
            &START,
            "duration",
            format!("ends {ahead} s after receipt"),
            out,
        );
    }
}

/// Ends before it starts.
pub static NEGATIVE: Rule = Rule {
    id: "time.negative",
    level: Level::Violation,
    sentence: "the duration is negative",
    advice: "take the duration from a monotonic clock; the Agent stores 0",
    check: Check::Span(negative),
};

fn negative(view: &SpanView<'_>, out: &mut Findings) {
    if view.span.duration < 0 {
        view.find(
            &NEGATIVE,
            "duration",
            format!("found {}", view.span.duration),
            out,
        );
    }
}

/// Came long after its end.
pub static OLD: Rule = Rule {
    id: "time.old",
    level: Level::Hint,
    sentence: "the span came more than 10 minutes after its end",
    advice: "flush more often, or look for what kept the chunk from being complete",
    check: Check::Span(old),
};

fn old(view: &SpanView<'_>, out: &mut Findings) {
    let span = view.span;
    let age = view
        .chunk
        .request
        .now
        .saturating_sub(span.start.saturating_add(span.duration));
    if span.start >= YEAR_2000 && age > 600 * SECOND {
        view.find(
            &OLD,
            "start",
            format!("{} s after its end", age / SECOND),
            out,
        );
    }
}

/// Starts before its parent.
pub static BEFORE_PARENT: Rule = Rule {
    id: "time.before_parent",
    level: Level::Violation,
    sentence: "the span starts more than 1 ms before its parent",
    advice: "take starts of one process from one clock; check explicit start times",
    check: Check::Span(before_parent),
};

fn before_parent(view: &SpanView<'_>, out: &mut Findings) {
    let Some(parent) = view.chunk.parents[view.number] else {
        return;
    };
    let lead = view.chunk.spans[parent]
        .start
        .saturating_sub(view.span.start);
    if lead > 1_000_000 {
        view.find(
            &BEFORE_PARENT,
            "start",
            format!("{} ms before", lead / 1_000_000),
            out,
        );
    }
}
