//! From several files to one value per setting.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::super::path::ConfigPath;
use super::file::{RemoteRule, SettingsFile};
use super::switch::Said;
use crate::config::{Name, RemoteSetting, Value};

/// A file that counts.
pub(super) struct Source<'a> {
    pub(super) path: &'a ConfigPath,
    pub(super) version: u64,
    pub(super) file: &'a SettingsFile,
}

/// A value, and the id of the file that it stands in.
#[derive(Clone, Debug, PartialEq)]
struct From<T> {
    value: T,
    config_id: String,
}

/// What the files say together.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Merged {
    sampling_rate: Option<From<f64>>,
    sampling_rules: Option<From<Vec<RemoteRule>>>,
    log_injection: Option<From<bool>>,
    header_tags: Option<From<Vec<(String, String)>>>,
    tags: Option<From<Vec<(String, String)>>>,
    tracing: Option<From<bool>>,
    runtime_metrics: Option<From<bool>>,
    pub(super) switches: BTreeMap<String, Said>,
    pub(super) texts: BTreeMap<String, String>,
}

/// Merges files key by key: the most specific one that has a key wins, among equals the newest.
pub(super) fn merge<'a>(sources: impl Iterator<Item = Source<'a>>) -> Merged {
    let mut sources: Vec<_> = sources.collect();
    sources.sort_by(|one, other| {
        let rank = |source: &Source<'_>| (source.file.precedence(), source.version);
        let (one_rank, other_rank) = (rank(one), rank(other));
        one_rank
            .0
            .cmp(&other_rank.0)
            .then(one.file.revision().total_cmp(&other.file.revision()))
            .then(one_rank.1.cmp(&other_rank.1))
    });
    let mut merged = Merged::default();
    for source in sources {
        let config = &source.file.lib_config;
        let id = source.path.config_id();
        put(&mut merged.sampling_rate, config.sampling_rate.as_ref(), id);
        put(
            &mut merged.sampling_rules,
            config.sampling_rules.as_ref(),
            id,
        );
        put(&mut merged.log_injection, config.log_injection.as_ref(), id);
        put(&mut merged.header_tags, config.header_tags.as_ref(), id);
        put(&mut merged.tags, config.tags.as_ref(), id);
        put(&mut merged.tracing, config.tracing.as_ref(), id);
        put(
            &mut merged.runtime_metrics,
            config.runtime_metrics.as_ref(),
            id,
        );
        let switches = config.switches.iter();
        let switches = switches.map(|(key, value)| (key.clone(), value.clone()));
        merged.switches.extend(switches);
        let texts = config.texts.iter();
        merged
            .texts
            .extend(texts.map(|(key, text)| (key.clone(), text.clone())));
    }
    merged
}

fn put<T: Clone>(to: &mut Option<From<T>>, value: Option<&T>, config_id: &str) {
    if let Some(value) = value {
        *to = Some(From {
            value: value.clone(),
            config_id: config_id.to_owned(),
        });
    }
}

impl Merged {
    /// Whether tracing is to be switched off.
    pub(super) fn says_stop(&self) -> bool {
        matches!(self.tracing, Some(From { value: false, .. }))
    }

    /// Keeps tracing switched off, whatever the files say.
    pub(super) fn stop(&mut self) {
        let tracing = self.tracing.get_or_insert_with(|| From {
            value: false,
            config_id: String::new(),
        });
        tracing.value = false;
    }

    /// The values for the table of settings.
    pub(super) fn settings(&self) -> Vec<RemoteSetting> {
        let mut settings = Vec::new();
        let mut add = |name: Name, value: Value, config_id: &str| {
            settings.push(RemoteSetting::new(name, value).from_file(config_id));
        };
        if let Some((rules, id)) = self.rules() {
            add(Name::DD_TRACE_SAMPLING_RULES, Value::Text(rules), id);
        }
        for (name, flag) in [
            (Name::DD_LOGS_INJECTION, &self.log_injection),
            (Name::DD_RUNTIME_METRICS_ENABLED, &self.runtime_metrics),
            // On is no remote value: what was switched off here stays off.
            (
                Name::DD_TRACE_ENABLED,
                &self.tracing.clone().filter(|tracing| !tracing.value),
            ),
        ] {
            if let Some(flag) = flag {
                add(name, Value::Flag(flag.value), &flag.config_id);
            }
        }
        for (name, pairs) in [
            (Name::DD_TRACE_HEADER_TAGS, &self.header_tags),
            (Name::DD_TAGS, &self.tags),
        ] {
            if let Some(pairs) = pairs {
                add(name, Value::Pairs(pairs.value.clone()), &pairs.config_id);
            }
        }
        settings
    }

    /// All rules as the setting writes them: the remote ones, then the rate as one for everything.
    fn rules(&self) -> Option<(String, &str)> {
        let rules = self.sampling_rules.as_ref();
        let rate = self.sampling_rate.as_ref();
        let id = rules
            .map(|rules| &rules.config_id)
            .or(rate.map(|rate| &rate.config_id))?;
        let mut list: Vec<Json> = rules
            .iter()
            .flat_map(|rules| rules.value.iter().map(to_local_form))
            .collect();
        list.extend(rate.map(|rate| json!({"sample_rate": rate.value})));
        Some((Json::Array(list).to_string(), id))
    }
}

/// A remote rule as the setting writes it: there, tags are an object.
fn to_local_form(rule: &RemoteRule) -> Json {
    let mut fields = Map::new();
    for (key, value) in [
        ("service", &rule.service),
        ("name", &rule.name),
        ("resource", &rule.resource),
    ] {
        if let Some(value) = value {
            fields.insert(key.to_owned(), json!(value));
        }
    }
    if let Some(tags) = &rule.tags {
        let tags = tags
            .iter()
            .map(|tag| (tag.key.clone(), json!(tag.value_glob)));
        fields.insert("tags".to_owned(), tags.collect::<Map<_, _>>().into());
    }
    fields.insert("sample_rate".to_owned(), json!(rule.sample_rate));
    fields.insert("provenance".to_owned(), json!(rule.provenance));
    Json::Object(fields)
}
