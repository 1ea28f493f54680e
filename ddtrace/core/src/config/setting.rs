//! What one row of the table of settings says, and the builders that rows are written with.

use super::Name;

/// One setting: everything that parsing, docs and telemetry need to know about it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Setting {
    /// Identifies the row in code.
    pub id: Name,
    /// The canonical name, which is also the name in telemetry.
    pub name: &'static str,
    /// Other names, read in this order when the canonical one is not set.
    pub aliases: &'static [&'static str],
    /// OpenTelemetry variables that map to this setting.
    pub otel: &'static [&'static str],
    /// How the text is parsed.
    pub kind: Kind,
    /// The default as text; `None` means unset.
    pub default: Option<&'static str>,
    /// Who reads it.
    pub products: &'static [&'static str],
    /// Never printed or reported when true.
    pub sensitive: bool,
    /// Whether an empty text is a value rather than "unset".
    pub empty_is_value: bool,
    /// Whether the OpenTelemetry variable outranks the `DD_` one. Only runtime metrics do this: a
    /// program told to export no metrics exports none (`core-vectors.md` D20, measured).
    pub otel_wins: bool,
    /// One sentence for people.
    pub doc: &'static str,
}

/// How the text of a setting is read, and what counts as wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// `true` and `1` in any case are true, everything else is false.
    Flag,
    /// A whole number within bounds.
    Integer {
        /// Smallest accepted value.
        min: i64,
        /// Largest accepted value.
        max: i64,
        /// What happens to a number outside the bounds.
        beyond: Beyond,
    },
    /// A decimal number within bounds; the default applies outside them.
    Number {
        /// Smallest accepted value.
        min: f64,
        /// Largest accepted value.
        max: f64,
    },
    /// Any text.
    Text,
    /// One of a few words, compared without regard to case.
    Choice(&'static [&'static str]),
    /// Texts separated by commas.
    List,
    /// `key:value` pairs separated by commas, or by blanks when there is no comma.
    Tags,
    /// `from:to` pairs separated by commas.
    Mapping,
    /// `Header[:tag]` items separated by commas.
    HeaderTags,
    /// A text that is never shown.
    Secret,
    /// A URL of any scheme; a user name and password in it are removed.
    Url,
    /// Status codes and ranges of them, separated by commas.
    StatusRanges,
    /// A JSON array, whose elements are the reader's business.
    JsonArray,
    /// Names of propagation styles separated by commas.
    Styles,
    /// A regular expression; an invalid one is kept and marked, because its reader must fail closed.
    Regexp,
    /// The address of the agent: `http://`, `https://` or `unix://`.
    AgentUrl,
    /// The address of DogStatsD: `udp://` or `unix://`.
    DogstatsdUrl,
    /// `host`, an address, or nothing else: no blanks, no slashes.
    Host,
}

/// What happens to a number outside its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// The nearest bound is used.
    Nearest,
    /// The default is used.
    Default,
}

impl Kind {
    /// The word for this kind in the documentation.
    pub fn word(&self) -> &'static str {
        match self {
            Kind::Flag => "boolean",
            Kind::Integer { .. } => "integer",
            Kind::Number { .. } => "number",
            Kind::Text | Kind::Host => "text",
            Kind::Choice(_) => "choice",
            Kind::List => "list",
            Kind::Tags => "tags",
            Kind::Mapping => "mapping",
            Kind::HeaderTags => "header tags",
            Kind::Secret => "secret",
            Kind::StatusRanges => "status ranges",
            Kind::JsonArray => "JSON array",
            Kind::Styles => "propagation styles",
            Kind::Regexp => "regular expression",
            Kind::AgentUrl | Kind::DogstatsdUrl | Kind::Url => "URL",
        }
    }
}

const fn row(kind: Kind, default: Option<&'static str>) -> Setting {
    Setting {
        // `id`, `name` and `doc` are filled in by the table.
        id: Name::DD_SERVICE,
        name: "",
        aliases: &[],
        otel: &[],
        kind,
        default,
        products: &["tracing"],
        sensitive: matches!(kind, Kind::Secret),
        empty_is_value: matches!(kind, Kind::Flag),
        otel_wins: false,
        doc: "",
    }
}

pub(super) const fn flag(default: bool) -> Setting {
    row(Kind::Flag, Some(if default { "true" } else { "false" }))
}

pub(super) const fn text() -> Setting {
    row(Kind::Text, None)
}

pub(super) const fn optional(kind: Kind) -> Setting {
    row(kind, None)
}

pub(super) const fn of(kind: Kind, default: &'static str) -> Setting {
    row(kind, Some(default))
}

pub(super) const fn integer(min: i64, beyond: Beyond, default: &'static str) -> Setting {
    let max = i64::MAX;
    row(Kind::Integer { min, max, beyond }, Some(default))
}

/// A length of time in seconds, above zero and at most a day.
pub(super) const fn seconds(default: &'static str) -> Setting {
    let (min, max) = (0.001, 86_400.0);
    row(Kind::Number { min, max }, Some(default))
}

impl Setting {
    pub(super) const fn default_text(self, default: &'static str) -> Setting {
        Setting {
            default: Some(default),
            ..self
        }
    }

    pub(super) const fn aliases(self, aliases: &'static [&'static str]) -> Setting {
        Setting { aliases, ..self }
    }

    pub(super) const fn otel(self, otel: &'static [&'static str]) -> Setting {
        Setting { otel, ..self }
    }

    pub(super) const fn products(self, products: &'static [&'static str]) -> Setting {
        Setting { products, ..self }
    }

    pub(super) const fn empty_is_value(self) -> Setting {
        Setting {
            empty_is_value: true,
            ..self
        }
    }

    pub(super) const fn otel_wins(self) -> Setting {
        Setting {
            otel_wins: true,
            ..self
        }
    }

    pub(super) const fn described(
        self,
        id: Name,
        name: &'static str,
        doc: &'static str,
    ) -> Setting {
        Setting {
            id,
            name,
            doc,
            ..self
        }
    }
}
