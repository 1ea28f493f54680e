//! How often headers were written, read, cut and thrown away, for telemetry.
//!
//! Plain numbers that only rise, one addition without order per style and request. They belong to the process: whoever
//! reports them remembers what it read last.

use std::sync::atomic::{AtomicU64, Ordering};

use super::style::Style;

/// What is counted about one style.
#[derive(Debug)]
struct OfStyle {
    injected: AtomicU64,
    extracted: AtomicU64,
    malformed: AtomicU64,
}

static STYLES: [OfStyle; Style::ALL.len()] = [const {
    OfStyle {
        injected: AtomicU64::new(0),
        extracted: AtomicU64::new(0),
        malformed: AtomicU64::new(0),
    }
}; Style::ALL.len()];

static TOO_MANY_ITEMS: AtomicU64 = AtomicU64::new(0);
static TOO_MANY_BYTES: AtomicU64 = AtomicU64::new(0);

/// What was counted about one style since the process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StyleCounts {
    /// The style; its [name](Style::name) is the value of the metrics' tag `header_style`.
    pub style: Style,
    /// `context_header_style.injected`: carriers that it was written to.
    pub injected: u64,
    /// `context_header_style.extracted`: carriers in which it was found.
    pub extracted: u64,
    /// `context_header_style.malformed`: carriers whose header was thrown away. Only baggage is counted.
    pub malformed: u64,
}

/// How often baggage was cut since the process began: `context_header.truncated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TruncationCounts {
    /// With the tag `truncation_reason:baggage_item_count_exceeded`.
    pub too_many_items: u64,
    /// With the tag `truncation_reason:baggage_byte_count_exceeded`.
    pub too_many_bytes: u64,
}

/// The numbers of every style.
pub fn style_counts() -> [StyleCounts; Style::ALL.len()] {
    Style::ALL.map(|style| {
        let counts = &STYLES[style as usize];
        StyleCounts {
            style,
            injected: counts.injected.load(Ordering::Relaxed),
            extracted: counts.extracted.load(Ordering::Relaxed),
            malformed: counts.malformed.load(Ordering::Relaxed),
        }
    })
}

/// The numbers of what was cut.
pub fn truncation_counts() -> TruncationCounts {
    TruncationCounts {
        too_many_items: TOO_MANY_ITEMS.load(Ordering::Relaxed),
        too_many_bytes: TOO_MANY_BYTES.load(Ordering::Relaxed),
    }
}

pub(super) fn injected(style: Style) {
    STYLES[style as usize]
        .injected
        .fetch_add(1, Ordering::Relaxed);
}

pub(super) fn extracted(style: Style) {
    STYLES[style as usize]
        .extracted
        .fetch_add(1, Ordering::Relaxed);
}

pub(super) fn malformed(style: Style) {
    STYLES[style as usize]
        .malformed
        .fetch_add(1, Ordering::Relaxed);
}

pub(super) fn too_many_items() {
    TOO_MANY_ITEMS.fetch_add(1, Ordering::Relaxed);
}

pub(super) fn too_many_bytes() {
    TOO_MANY_BYTES.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_style_has_its_own_numbers() {
        let before = style_counts();
        assert_eq!(before.map(|counts| counts.style), Style::ALL);
        // Other tests count as well, so no more can be said than that it rose.
        injected(Style::B3);
        extracted(Style::B3Multi);
        malformed(Style::Baggage);
        let after = style_counts();
        let of = |counts: &[StyleCounts], style| counts[style as usize];
        assert!(of(&after, Style::B3).injected > of(&before, Style::B3).injected);
        assert!(of(&after, Style::B3Multi).extracted > of(&before, Style::B3Multi).extracted);
        assert!(of(&after, Style::Baggage).malformed > of(&before, Style::Baggage).malformed);
    }
}
