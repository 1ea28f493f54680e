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
    pub(super) fn resource<'a>(&'a mut self, span: &FinishedSpan<'a>) -> Cow<'a, str> {
        match span.span_type {
            "sql" | "cassandra" if !span.resource.is_empty() => self.statement(span.resource),
            "redis" | "valkey" => redis::commands(span.resource).into(),
            _ => span.resource.into(),
        }
    }

    fn statement(&mut self, statement: &str) -> Cow<'_, str> {
        if statement.len() > LONGEST {
            return sql::obfuscate(statement).into();
        }
        if !self.statements.contains_key(statement) {
            if self.statements.len() >= REMEMBERED {
                self.statements.clear();
            }
            let obfuscated = sql::obfuscate(statement).into_boxed_str();
            self.statements.insert(statement.into(), obfuscated);
        }
        self.statements
            .get(statement)
            .map(|known| &**known)
            .unwrap_or_default()
            .into()
    }
}
