//! One file of `APM_TRACING`: whom it is for, and what it sets.
//!
//! Keys that are unknown are skipped without being kept. A known key of the wrong type is an error of the file, which then
//! changes nothing; within lists, only the entry that is wrong is left out.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::super::capped::{Capped, CappedMap};
use super::switch::Said;

/// Entries of one list, and switches of other products, at most.
const MAX_ENTRIES: usize = 1_000;

/// Keys of one object in a list of a product's.
const MAX_KEYS: usize = 16;

/// How specific a file is: what a more specific one says counts, key by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Precedence(u8);

/// A file, read.
#[derive(Debug, Deserialize)]
pub(super) struct SettingsFile {
    /// Which of two that are equally specific is the newer one.
    #[serde(default)]
    revision: Option<f64>,
    #[serde(default)]
    service_target: Option<ServiceTarget>,
    /// The agent has chosen by it; that it is there is all that matters here.
    #[serde(default)]
    k8s_target_v2: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) lib_config: LibConfig,
}

#[derive(Debug, Default, Deserialize)]
struct ServiceTarget {
    service: Option<String>,
    env: Option<String>,
}

/// What is set; `None` leaves a setting to the next lower source.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LibConfig {
    pub(super) sampling_rate: Option<f64>,
    pub(super) sampling_rules: Option<Vec<RemoteRule>>,
    pub(super) log_injection: Option<bool>,
    /// Header and tag; an empty tag means the usual name.
    pub(super) header_tags: Option<Vec<(String, String)>>,
    pub(super) tags: Option<Vec<(String, String)>>,
    pub(super) tracing: Option<bool>,
    pub(super) runtime_metrics: Option<bool>,
    /// Other keys that end in `_enabled` or `_extractors`, and flags in an object under a key (`key.enabled`): switches and
    /// lists of products.
    pub(super) switches: BTreeMap<String, Said>,
    /// Texts in an object under a key.
    pub(super) texts: BTreeMap<String, String>,
}

/// A sampling rule as remote configuration writes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct RemoteRule {
    pub(super) service: Option<String>,
    pub(super) name: Option<String>,
    pub(super) resource: Option<String>,
    #[serde(default, deserialize_with = "rule_tags")]
    pub(super) tags: Option<Vec<RuleTag>>,
    pub(super) sample_rate: f64,
    pub(super) provenance: String,
}

/// One tag that a rule asks for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct RuleTag {
    pub(super) key: String,
    pub(super) value_glob: String,
}

impl SettingsFile {
    /// Reads a file, or says what is wrong with it.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        // A struct would be read from a list as well.
        if !content.trim_ascii_start().starts_with(b"{") {
            return Err("expected an object".to_owned());
        }
        serde_json::from_slice(content).map_err(|error| error.to_string())
    }

    /// Whether the file is for a program of this service and environment.
    pub(super) fn is_for(&self, service: &str, env: &str) -> bool {
        let Some(target) = &self.service_target else {
            return true;
        };
        let is_for = |target: Option<&str>, own: &str| {
            target.is_none_or(|target| target == "*" || target.to_lowercase() == own.to_lowercase())
        };
        is_for(target.service.as_deref(), service) && is_for(target.env.as_deref(), env)
    }

    /// How specific the file is.
    pub(super) fn precedence(&self) -> Precedence {
        let is_specific = |value: Option<&String>| value.is_some_and(|value| value != "*");
        let target = self.service_target.as_ref();
        let service = is_specific(target.and_then(|target| target.service.as_ref()));
        let env = is_specific(target.and_then(|target| target.env.as_ref()));
        let cluster = self.k8s_target_v2.is_some();
        Precedence(u8::from(service) * 4 + u8::from(env) * 2 + u8::from(cluster))
    }

    /// Rises from one version of a setting to the next.
    pub(super) fn revision(&self) -> f64 {
        self.revision.unwrap_or(0.0)
    }
}

impl RemoteRule {
    /// Whether the rule may be used: it says what it is about, and who made it.
    fn is_usable(&self) -> bool {
        let has_matcher = self.service.is_some()
            || self.name.is_some()
            || self.resource.is_some()
            || self.tags.is_some();
        has_matcher && matches!(self.provenance.as_str(), "customer" | "dynamic")
    }
}

/// An entry of a list, or whatever stands in its place.
#[derive(Deserialize)]
#[serde(untagged)]
enum Entry<T> {
    Fits(T),
    Other(IgnoredAny),
}

impl<T> Entry<T> {
    fn fitting(self) -> Option<T> {
        match self {
            Self::Fits(entry) => Some(entry),
            Self::Other(_) => None,
        }
    }
}

type Entries<T> = Option<Capped<Entry<T>, MAX_ENTRIES>>;

fn fitting<T>(entries: Entries<T>) -> Option<Vec<T>> {
    let entries = entries?.0;
    Some(entries.into_iter().filter_map(Entry::fitting).collect())
}

/// A rule with a tag that cannot be read must not match more than it says: it does not fit.
fn rule_tags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<RuleTag>>, D::Error> {
    let tags = Option::<Capped<RuleTag, MAX_ENTRIES>>::deserialize(deserializer)?;
    Ok(tags.map(|tags| tags.0))
}

impl<'de> Deserialize<'de> for LibConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = LibConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object as `lib_config`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut keys: A) -> Result<LibConfig, A::Error> {
                let mut config = LibConfig::default();
                while let Some(key) = keys.next_key::<String>()? {
                    config.read(key, &mut keys)?;
                }
                Ok(config)
            }

            fn visit_unit<E>(self) -> Result<LibConfig, E> {
                Ok(LibConfig::default())
            }
        }

        deserializer.deserialize_any(Keys)
    }
}

impl LibConfig {
    fn read<'de, A: MapAccess<'de>>(&mut self, key: String, keys: &mut A) -> Result<(), A::Error> {
        #[derive(Deserialize)]
        struct HeaderTag {
            header: String,
            #[serde(default)]
            tag_name: String,
        }

        /// A setting of a product, in an object under the product's key.
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Scalar {
            Flag(bool),
            Text(String),
        }

        match key.as_str() {
            "tracing_sampling_rate" => self.sampling_rate = keys.next_value()?,
            "tracing_sampling_rules" => {
                let rules = fitting::<RemoteRule>(keys.next_value()?);
                self.sampling_rules = rules.map(|mut rules| {
                    rules.retain(RemoteRule::is_usable);
                    rules
                });
            }
            "log_injection_enabled" => self.log_injection = keys.next_value()?,
            "tracing_header_tags" => {
                let tags = fitting::<HeaderTag>(keys.next_value()?);
                let pair = |tag: HeaderTag| {
                    let header = tag.header.trim().to_ascii_lowercase();
                    (!header.is_empty()).then(|| (header, tag.tag_name.trim().to_owned()))
                };
                self.header_tags = tags.map(|tags| tags.into_iter().filter_map(pair).collect());
            }
            "tracing_tags" => {
                let tags = fitting::<String>(keys.next_value()?);
                self.tags = tags.map(|tags| pairs(&tags));
            }
            "tracing_enabled" => self.tracing = keys.next_value()?,
            "runtime_metrics_enabled" => self.runtime_metrics = keys.next_value()?,
            _ if key.ends_with("_enabled") && self.switches.len() < MAX_ENTRIES => {
                let value: Entry<bool> = keys.next_value()?;
                if let Some(value) = value.fitting() {
                    self.switches.insert(key, Said::Flag(value));
                }
            }
            _ if key.ends_with("_extractors") && self.switches.len() < MAX_ENTRIES => {
                let list = fitting::<CappedMap<String, MAX_KEYS>>(keys.next_value()?);
                let objects = list.map(|list| list.into_iter().map(|object| object.0));
                if let Some(list) = objects.map(Iterator::collect::<Vec<_>>) {
                    let json = serde_json::to_string(&list).unwrap_or_default();
                    self.switches.insert(key, Said::List(json));
                }
            }
            _ if self.switches.len() < MAX_ENTRIES => {
                let group: Entry<BTreeMap<String, Entry<Scalar>>> = keys.next_value()?;
                for (name, value) in group
                    .fitting()
                    .unwrap_or_default()
                    .into_iter()
                    .take(MAX_ENTRIES)
                {
                    let key = format!("{key}.{name}");
                    match value.fitting() {
                        Some(Scalar::Flag(flag)) => {
                            drop(self.switches.insert(key, Said::Flag(flag)))
                        }
                        Some(Scalar::Text(text)) => drop(self.texts.insert(key, text)),
                        None => {}
                    }
                }
            }
            _ => {
                keys.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// `key:value` items, read as `DD_TAGS` is: a later one takes the place of an earlier one of the same key.
fn pairs(items: &[String]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for item in items {
        let (key, value) = item.split_once(':').unwrap_or((item, ""));
        let (key, value) = (key.trim(), value.trim().to_owned());
        match pairs.iter_mut().find(|(known, _)| known == key) {
            _ if key.is_empty() => {}
            Some((_, known)) => *known = value,
            None => pairs.push((key.to_owned(), value)),
        }
    }
    pairs
}
