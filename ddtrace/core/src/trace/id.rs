//! Trace and span ids.
//!
//! A trace id has 128 bits: 32 bits of Unix seconds, 32 zero bits, 64 random bits. On Datadog's wire the low half is
//! `trace_id` and the high half is 16 hex digits in `_dd.p.tid`; W3C headers carry all 32 digits.

use std::fmt;

/// The id of a trace: what all its spans, in all services, have in common.
///
/// ```
/// use ddtrace_core::trace::TraceId;
///
/// let id = TraceId::from(0x6564_0000_0000_0000_0000_0000_0000_000a_u128);
/// assert_eq!(id.low(), 10);
/// assert_eq!(id.to_string(), "6564000000000000000000000000000a");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId {
    high: u64,
    low: u64,
}

impl TraceId {
    /// Puts an id together from its halves.
    pub const fn new(high: u64, low: u64) -> Self {
        Self { high, low }
    }

    /// The upper 64 bits: seconds and zeros for ids made here, anything for ids from outside, 0 for 64-bit ids.
    pub const fn high(self) -> u64 {
        self.high
    }

    /// The lower 64 bits: what Datadog's payloads call `trace_id`.
    pub const fn low(self) -> u64 {
        self.low
    }

    /// Whether this is the invalid id.
    pub const fn is_zero(self) -> bool {
        self.high == 0 && self.low == 0
    }
}

impl From<u128> for TraceId {
    fn from(id: u128) -> Self {
        Self::new((id >> 64) as u64, id as u64)
    }
}

impl From<TraceId> for u128 {
    fn from(id: TraceId) -> Self {
        (u128::from(id.high) << 64) | u128::from(id.low)
    }
}

/// All 32 hexadecimal digits, lower case.
impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.high, self.low)
    }
}

/// The id of a span: 64 random bits, 0 for "none".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(u64);

impl SpanId {
    /// Takes an id as it is on the wire; 0 means "no span".
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// The bare number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether this is the invalid id.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

/// Decimal, as in `x-datadog-parent-id`.
impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Without leading zeros; `{:016x}` gives what W3C headers want.
impl fmt::LowerHex for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// Which span of which trace: what a link or a header points at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SpanContextId {
    /// The trace.
    pub trace_id: TraceId,
    /// The span in it.
    pub span_id: SpanId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_and_whole_agree() {
        let id = TraceId::new(1, 2);
        assert_eq!(u128::from(id), (1 << 64) | 2);
        assert_eq!(TraceId::from(u128::from(id)), id);
        assert_eq!(format!("{:016x}", SpanId::new(11)), "000000000000000b");
    }
}
