//! One metric, before it is a line.

use std::fmt::{self, Write};
use std::time::Duration;

/// A number that a metric may have.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum MetricValue {
    /// A whole number.
    Integer(i64),
    /// A whole number that may be larger.
    Unsigned(u64),
    /// Any other number. NaN and infinities are not sent.
    Float(f64),
}

macro_rules! from {
    ($($type:ty => $variant:ident as $target:ty,)+) => {
        $(impl From<$type> for MetricValue {
            fn from(value: $type) -> Self {
                Self::$variant(value as $target)
            }
        })+
    };
}

from! {
    i8 => Integer as i64, i16 => Integer as i64, i32 => Integer as i64, i64 => Integer as i64, isize => Integer as i64,
    u8 => Integer as i64, u16 => Integer as i64, u32 => Integer as i64, u64 => Unsigned as u64, usize => Unsigned as u64,
    f32 => Float as f64, f64 => Float as f64,
}

impl MetricValue {
    /// The value with its sign turned.
    pub(super) fn negated(self) -> Self {
        match self {
            Self::Integer(value) => value
                .checked_neg()
                .map_or(Self::Float(-(value as f64)), Self::Integer),
            Self::Unsigned(value) => i64::try_from(value)
                .map_or(Self::Float(-(value as f64)), |value| Self::Integer(-value)),
            Self::Float(value) => Self::Float(-value),
        }
    }

    /// Whether the backend can take it.
    pub(super) fn is_finite(self) -> bool {
        match self {
            Self::Float(value) => value.is_finite(),
            Self::Integer(_) | Self::Unsigned(_) => true,
        }
    }
}

/// The shortest text that reads back as the same number.
impl fmt::Display for MetricValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(out, "{value}"),
            Self::Unsigned(value) => write!(out, "{value}"),
            Self::Float(value) => {
                let size = value.abs();
                // Without an exponent, 1e300 has 301 digits.
                if size >= 1e16 || (size < 1e-5 && size != 0.0) {
                    write!(out, "{value:e}")
                } else {
                    write!(out, "{value}")
                }
            }
        }
    }
}

/// What is done with the values of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Count,
    Gauge,
    Histogram,
    Distribution,
    Timing,
    Set,
}

impl Kind {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Count => "c",
            Self::Gauge => "g",
            Self::Histogram => "h",
            Self::Distribution => "d",
            Self::Timing => "ms",
            Self::Set => "s",
        }
    }
}

/// One metric with everything that can be said about it; [`send`](super::send) sends it.
///
/// ```
/// use ddtrace_core::dogstatsd::{self, Metric};
///
/// dogstatsd::send(Metric::gauge("queue.depth", 3).tags(&["queue:mail"]).at(1_700_000_000));
/// dogstatsd::send(Metric::count("cache.hits", 1).sample_rate(0.1));
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a metric does nothing before it is sent"]
pub struct Metric<'a> {
    pub(super) name: &'a str,
    pub(super) value: MetricValue,
    pub(super) kind: Kind,
    pub(super) tags: &'a [&'a str],
    pub(super) rate: f64,
    pub(super) timestamp: Option<u64>,
}

impl<'a> Metric<'a> {
    fn new(name: &'a str, value: MetricValue, kind: Kind) -> Self {
        Self {
            name,
            value,
            kind,
            tags: &[],
            rate: 1.0,
            timestamp: None,
        }
    }

    /// Adds to a counter; a negative value takes from it.
    pub fn count(name: &'a str, value: impl Into<MetricValue>) -> Self {
        Self::new(name, value.into(), Kind::Count)
    }

    /// How much of something there is.
    pub fn gauge(name: &'a str, value: impl Into<MetricValue>) -> Self {
        Self::new(name, value.into(), Kind::Gauge)
    }

    /// A value of a histogram, which the agent computes per host.
    pub fn histogram(name: &'a str, value: impl Into<MetricValue>) -> Self {
        Self::new(name, value.into(), Kind::Histogram)
    }

    /// A value of a distribution, which the backend computes over all hosts.
    pub fn distribution(name: &'a str, value: impl Into<MetricValue>) -> Self {
        Self::new(name, value.into(), Kind::Distribution)
    }

    /// How long something took; sent in milliseconds.
    pub fn timing(name: &'a str, took: Duration) -> Self {
        let milliseconds = took.as_secs_f64() * 1e3;
        Self::new(name, milliseconds.into(), Kind::Timing)
    }

    /// Tags, as `key:value` or just a word. Replaces earlier ones.
    pub fn tags(mut self, tags: &'a [&'a str]) -> Self {
        self.tags = tags;
        self
    }

    /// The share of calls that is sent, between 0 and 1, chosen at random; the agent multiplies counts back.
    pub fn sample_rate(mut self, rate: f64) -> Self {
        self.rate = rate;
        self
    }

    /// The moment of the value, in seconds since the epoch. Agents take it for counts and gauges, and then do not
    /// aggregate the value any further.
    pub fn at(mut self, unix_seconds: u64) -> Self {
        self.timestamp = Some(unix_seconds);
        self
    }
}

/// The elements of a set are texts.
pub(super) fn bounded(element: &impl fmt::Display) -> Option<String> {
    struct Bounded(String);
    impl Write for Bounded {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            if self.0.len() + text.len() > super::line::LIMIT {
                return Err(fmt::Error);
            }
            self.0.push_str(text);
            Ok(())
        }
    }
    crate::text::guarded(|| {
        let mut text = Bounded(String::new());
        write!(text, "{element}").ok().map(|()| text.0)
    })
    .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_integers_or_the_shortest_float() {
        let cases: [(MetricValue, &str); 10] = [
            (1.into(), "1"),
            ((-3_i64).into(), "-3"),
            (u64::MAX.into(), "18446744073709551615"),
            (1.0.into(), "1"),
            (0.1.into(), "0.1"),
            ((1.0 / 3.0).into(), "0.3333333333333333"),
            (1e300.into(), "1e300"),
            (2.5e-7.into(), "2.5e-7"),
            (0.0.into(), "0"),
            (123_456_789.25.into(), "123456789.25"),
        ];
        for (value, expected) in cases {
            assert_eq!(value.to_string(), expected);
        }
    }

    #[test]
    fn a_decrement_turns_the_sign_of_every_number() {
        let cases: [(MetricValue, &str); 4] = [
            (1.into(), "-1"),
            (2.5.into(), "-2.5"),
            (i64::MIN.into(), "9.223372036854776e18"),
            (7_u64.into(), "-7"),
        ];
        for (value, expected) in cases {
            assert_eq!(value.negated().to_string(), expected);
        }
    }
}
