//! Settings that every integration has, under names made from the integration's own.

use std::collections::BTreeMap;

use super::parse;
use super::setting::Kind;
use super::value::Value;

/// What a user can set for one integration.
///
/// | variable (for an integration named `axum`) | field |
/// | --- | --- |
/// | `DD_TRACE_AXUM_ENABLED` | `enabled` |
/// | `DD_AXUM_SERVICE`, `DD_AXUM_SERVICE_NAME` | `service` |
/// | `DD_AXUM_DISTRIBUTED_TRACING` | `distributed_tracing` |
/// | `DD_AXUM_SPLIT_BY_DOMAIN` | `split_by_domain` |
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntegrationSettings {
    /// Whether it makes spans. Default true.
    pub enabled: bool,
    /// The service of its spans, instead of its usual one.
    pub service: Option<String>,
    /// Whether it reads and writes trace context. Default true.
    pub distributed_tracing: bool,
    /// Whether a client's service is the host that it calls. Default false.
    pub split_by_domain: bool,
}

impl Default for IntegrationSettings {
    fn default() -> Self {
        IntegrationSettings {
            enabled: true,
            service: None,
            distributed_tracing: true,
            split_by_domain: false,
        }
    }
}

/// Whether a name belongs to a family that holds the name of a library.
pub(super) fn is_of_family(name: &str) -> bool {
    let Some(rest) = name.strip_prefix("DD_") else {
        return false;
    };
    let of_trace = rest
        .strip_prefix("TRACE_")
        .is_some_and(|rest| rest.ends_with("_ENABLED"));
    let suffixes = [
        "_SERVICE",
        "_SERVICE_NAME",
        "_DISTRIBUTED_TRACING",
        "_SPLIT_BY_DOMAIN",
    ];
    of_trace || suffixes.iter().any(|suffix| rest.ends_with(suffix))
}

/// The values under such names.
pub(super) fn of_families(values: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let kept = values.iter().filter(|(name, _)| is_of_family(name));
    kept.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Reads the settings of one integration; `sources` come highest first.
pub(super) fn read(name: &str, sources: &[BTreeMap<String, String>]) -> IntegrationSettings {
    let upper = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    let name: String = name.chars().map(upper).collect();
    let find = |names: &[String]| {
        let texts = sources
            .iter()
            .flat_map(|source| names.iter().filter_map(|name| source.get(name)));
        texts
            .map(|text| text.trim())
            .find(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let flag = |name: String, default| match find(&[name]) {
        Some(text) => parse::parse(&Kind::Flag, &text).value == Some(Value::Flag(true)),
        None => default,
    };
    IntegrationSettings {
        enabled: flag(format!("DD_TRACE_{name}_ENABLED"), true),
        service: find(&[
            format!("DD_{name}_SERVICE"),
            format!("DD_{name}_SERVICE_NAME"),
        ]),
        distributed_tracing: flag(format!("DD_{name}_DISTRIBUTED_TRACING"), true),
        split_by_domain: flag(format!("DD_{name}_SPLIT_BY_DOMAIN"), false),
    }
}
