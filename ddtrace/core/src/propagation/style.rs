//! The names of the header families.

/// A family of headers that carries trace context.
///
/// ```
/// use ddtrace_core::propagation::{Style, StyleName};
///
/// assert_eq!(Style::from_name(" TraceContext "), StyleName::Known(Style::TraceContext));
/// assert_eq!(Style::from_name("baggage"), StyleName::Later);
/// assert_eq!(Style::from_name("zipkin"), StyleName::Unknown);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Style {
    /// `x-datadog-*`.
    Datadog,
    /// `traceparent` and `tracestate`, see <https://www.w3.org/TR/trace-context/>.
    TraceContext,
}

/// What a name in `DD_TRACE_PROPAGATION_STYLE` means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StyleName {
    /// A style that works.
    Known(Style),
    /// `none`: alone it switches propagation off, among others it is ignored.
    None,
    /// A correct name whose style this version cannot do: left out without a warning, since it is also in the default.
    Later,
    /// Not a name: left out with a warning.
    Unknown,
}

impl Style {
    /// Reads a name as settings spell it; case and surrounding blanks do not matter.
    pub fn from_name(name: &str) -> StyleName {
        let is = |candidate: &str| name.trim().eq_ignore_ascii_case(candidate);
        for style in [Self::Datadog, Self::TraceContext] {
            if is(style.name()) {
                return StyleName::Known(style);
            }
        }
        if is("none") {
            StyleName::None
        } else if ["b3", "b3multi", "b3 single header", "baggage"]
            .into_iter()
            .any(is)
        {
            StyleName::Later
        } else {
            StyleName::Unknown
        }
    }

    /// The name in settings, links and telemetry.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Datadog => "datadog",
            Self::TraceContext => "tracecontext",
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
            ("B3Multi", StyleName::Later),
            ("b3 single header", StyleName::Later),
            ("", StyleName::Unknown),
            ("trace context", StyleName::Unknown),
        ] {
            assert_eq!(Style::from_name(name), expected, "{name:?}");
        }
    }
}
