//! What is wrong with a value, as data; one line each in the log.

use std::fmt;

use super::sources::Origin;
use crate::diagnostics::Level;

/// The longest part of a bad value that is shown.
const SHOWN: usize = 80;

/// A value that is not what its setting expects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// How loud to be about it.
    pub level: Level,
    /// The source of the value.
    pub origin: Origin,
    /// The variable, or the path of a file.
    pub name: String,
    /// The value; `None` when it is secret or there is none to show.
    pub value: Option<String>,
    /// What would have been right.
    pub expected: String,
    /// What is used instead.
    pub used: String,
}

/// One line: the variable, its value, what was expected, and what is used instead.
impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.name)?;
        if let Some(value) = &self.value {
            write!(out, "={}", Shortened(value))?;
        }
        let place = match self.origin {
            Origin::LocalStableConfig if self.value.is_some() => " (configuration file)",
            Origin::FleetStableConfig => " (configuration file of the fleet)",
            Origin::Code => " (set by the program)",
            Origin::RemoteConfig => " (remote configuration)",
            _ => "",
        };
        write!(
            out,
            "{place}: expected {}, using {}",
            self.expected,
            Shortened(&self.used)
        )
    }
}

/// The beginning of a text, quoted where it has blanks or characters that would break a line.
struct Shortened<'a>(&'a str);

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self
            .0
            .char_indices()
            .nth(SHOWN)
            .map_or(self.0.len(), |(index, _)| index);
        let shown = &self.0[..end];
        if shown.is_empty() || shown.chars().any(char::is_control) {
            write!(out, "{shown:?}")?;
        } else {
            out.write_str(shown)?;
        }
        if end < self.0.len() {
            out.write_str("...")
        } else {
            Ok(())
        }
    }
}
