//! Environment variables as providers read them.

use std::collections::BTreeMap;

use ddtrace_core::config::Environment;
use serde_json::{Map, Value};

use super::Tags;

/// The most of a value that is kept: a commit message may be long.
const MAX_VALUE: usize = 64 * 1024;

/// All variables. A variable that is empty has no value, but exists.
#[derive(Clone, Debug, Default)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Those of an environment.
    pub fn of(environment: &dyn Environment) -> Variables {
        Variables(environment.variables().into_iter().collect())
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name)?.as_str();
        let end = (0..=value.len().min(MAX_VALUE))
            .rev()
            .find(|end| value.is_char_boundary(*end))?;
        (end > 0).then(|| &value[..end])
    }

    /// The value of the first of these variables that has one.
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }

    /// Whether a variable exists.
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The variables whose names begin so: what follows of the name, and the value.
    pub fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .range(prefix.to_owned()..)
            .map_while(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// Compact JSON of these variables; null where one has no value.
    pub(super) fn as_json(&self, names: &[&str]) -> String {
        let value = |name: &&str| match self.get(name) {
            Some(value) => Value::from(value),
            None => Value::Null,
        };
        in_order(names.iter().map(|name| (*name, value(name))))
    }
}

/// Compact JSON of an object whose keys stay in this order.
pub(super) fn in_order<'a>(pairs: impl Iterator<Item = (&'a str, Value)>) -> String {
    // Serde's map sorts its keys unless a feature is on somewhere in the program.
    let one = |(key, value): (&str, Value)| {
        let single = Value::Object(Map::from_iter([(key.to_owned(), value)])).to_string();
        single[1..single.len() - 1].to_owned()
    };
    let all: Vec<String> = pairs.map(one).collect();
    format!("{{{}}}", all.join(","))
}

/// Sets tags from variables.
#[derive(Debug, Default)]
pub(super) struct Found(Tags);

impl Found {
    /// Those of a provider.
    pub(super) fn of(provider: &str) -> Found {
        let mut found = Found::default();
        found.set(crate::model::tags::CI_PROVIDER_NAME, Some(provider));
        found
    }

    /// Sets a tag, if there is a value.
    pub(super) fn set(&mut self, tag: &str, value: Option<impl Into<String>>) {
        let value = value.map(Into::into).filter(|value| !value.is_empty());
        if let Some(value) = value {
            self.0.insert(tag.to_owned(), value);
        }
    }

    /// Sets tags to the values of variables: pairs of tag and variable.
    pub(super) fn copy(&mut self, variables: &Variables, pairs: &[(&str, &str)]) {
        for (tag, name) in pairs {
            self.set(tag, variables.get(name));
        }
    }

    pub(super) fn done(self) -> Tags {
        self.0
    }
}
