//! What must not be in statistics, and what would make a group of each query: literals of statements, arguments of commands, addresses of
//! peers.
//!
//! An agent does the same to the resources of traces, and the two are joined by them. So the rules are the agent's, by the number of
//! their version; resources are left alone for an agent that goes by another. Source: datadog-agent, `pkg/obfuscate`;
//! libdatadog, `libdd-trace-obfuscation`.

mod address;
mod redis;
mod sql;

use std::borrow::Cow;
use std::collections::HashMap;

pub(super) use address::without_addresses;

use crate::export::finished::FinishedSpan;

/// The version of the rules, as agents announce theirs in `/info`.
pub(super) const VERSION: u64 = 1;

/// How many texts are remembered.
const REMEMBERED: usize = 1024;
/// Longer texts are not.
const LONGEST: usize = 4096;

/// Obfuscates resources, and remembers the results: programs have few statements and run them often.
#[derive(Debug, Default)]
pub(super) struct Obfuscator {
    statements: HashMap<Box<str>, Box<str>>,
}

impl Obfuscator {
    /// The resource that a span is counted under.
    pub(super) fn resource<'a>(&mut self, span: &FinishedSpan<'a>) -> Cow<'a, str> {
        match span.span_type {
            "sql" | "cassandra" if !span.resource.is_empty() => {
                self.statement(span.resource).into()
            }
            "redis" | "valkey" => redis::commands(span.resource).into(),
            _ => span.resource.into(),
        }
    }

    fn statement(&mut self, statement: &str) -> String {
        if let Some(known) = self.statements.get(statement) {
            return known.to_string();
        }
        let obfuscated = sql::obfuscate(statement);
        if statement.len() <= LONGEST {
            if self.statements.len() >= REMEMBERED {
                self.statements.clear();
            }
            self.statements
                .insert(statement.into(), obfuscated.as_str().into());
        }
        obfuscated
    }
}
