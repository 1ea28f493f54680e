//! The names of the header families.

/// A family of headers that carries trace context.
///
/// ```
/// use ddtrace_core::propagation::{Style, StyleName};
///
/// assert_eq!(Style::from_name(" TraceContext "), StyleName::Known(Style::TraceContext));
/// assert_eq!(Style::from_name("none"), StyleName::None);
/// assert_eq!(Style::from_name("zipkin"), StyleName::Unknown);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Style {
    /// `x-datadog-*`.
    Datadog,
    /// `traceparent` and `tracestate`, see <https://www.w3.org/TR/trace-context/>.
    TraceContext,
    /// `x-b3-*`, see <https://github.com/openzipkin/b3-propagation>.
    B3Multi,
    /// `b3`, the same in one header.
    B3,
    /// `baggage`, see <https://www.w3.org/TR/baggage/>: no trace, but what the program sends along.
    Baggage,
}

/// What a name in `DD_TRACE_PROPAGATION_STYLE` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StyleName {
    /// A style that works.
    Known(Style),
    /// `none`: alone it switches propagation off, among others it is ignored.
    None,
    /// Not a name: left out with a warning.
    Unknown,
}

impl Style {
    /// Every style, in the order of the enum.
    pub const ALL: [Self; 5] = [
        Self::Datadog,
        Self::TraceContext,
        Self::B3Multi,
        Self::B3,
        Self::Baggage,
    ];

    /// Reads a name as settings spell it; case and surrounding blanks do not matter.
    pub fn from_name(name: &str) -> StyleName {
        let is = |candidate: &str| name.trim().eq_ignore_ascii_case(candidate);
        if let Some(style) = Self::ALL.into_iter().find(|style| is(style.name())) {
            StyleName::Known(style)
        } else if is("b3 single header") {
            // An older name.
            StyleName::Known(Self::B3)
        } else if is("none") {
            StyleName::None
        } else {
            StyleName::Unknown
        }
    }

    /// The name in settings, links and telemetry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Datadog => "datadog",
            Self::TraceContext => "tracecontext",
            Self::B3Multi => "b3multi",
            Self::B3 => "b3",
            Self::Baggage => "baggage",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case() {
        for (name, expected) in [
            ("datadog", StyleName::Known(Style::Datadog)),
            ("Datadog", StyleName::Known(Style::Datadog)),
            ("tracecontext\t", StyleName::Known(Style::TraceContext)),
            ("None", StyleName::None),
            ("B3Multi", StyleName::Known(Style::B3Multi)),
            ("b3", StyleName::Known(Style::B3)),
            ("b3 single header", StyleName::Known(Style::B3)),
            ("Baggage", StyleName::Known(Style::Baggage)),
            ("", StyleName::Unknown),
            ("trace context", StyleName::Unknown),
        ] {
            assert_eq!(Style::from_name(name), expected, "{name:?}");
        }
    }
}
