//! A parsed value of a setting, and its text form for telemetry and messages.

use std::fmt;

use super::agent_url::{AgentUrl, DogstatsdAddress};
use super::secret::Secret;

/// What the text of a setting meant.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A boolean.
    Flag(bool),
    /// A whole number.
    Integer(i64),
    /// A decimal number.
    Number(f64),
    /// A text, a choice, a JSON text, or the source of a regular expression.
    Text(String),
    /// A list of texts.
    List(Vec<String>),
    /// Pairs, keys unique, in the order of their first appearance.
    Pairs(Vec<(String, String)>),
    /// Ranges of status codes, both ends included.
    Ranges(Vec<(u16, u16)>),
    /// A text that is never shown.
    Secret(Secret),
    /// The address of the agent.
    Agent(AgentUrl),
    /// The address of DogStatsD.
    Dogstatsd(DogstatsdAddress),
}

/// The form that telemetry reports: lists joined by commas, maps as `key:value`.
impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn joined<T>(
            out: &mut fmt::Formatter<'_>,
            items: &[T],
            mut one: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
        ) -> fmt::Result {
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.write_str(",")?;
                }
                one(out, item)?;
            }
            Ok(())
        }
        match self {
            Value::Flag(value) => write!(out, "{value}"),
            Value::Integer(value) => write!(out, "{value}"),
            Value::Number(value) => write!(out, "{value}"),
            Value::Text(value) => out.write_str(value),
            Value::List(items) => joined(out, items, |out, item| out.write_str(item)),
            Value::Pairs(pairs) => {
                joined(out, pairs, |out, (key, value)| write!(out, "{key}:{value}"))
            }
            Value::Ranges(ranges) => joined(out, ranges, |out, (low, high)| {
                if low == high {
                    write!(out, "{low}")
                } else {
                    write!(out, "{low}-{high}")
                }
            }),
            Value::Secret(secret) => write!(out, "{secret}"),
            Value::Agent(url) => write!(out, "{url}"),
            Value::Dogstatsd(address) => write!(out, "{address}"),
        }
    }
}
