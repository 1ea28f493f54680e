//! What OpenTelemetry's variables mean for our settings (`spec/core.md` §1.6).
//!
//! Which variable maps to which setting stands in the table; here is how its text is converted.

use super::agent_url::is_host;
use super::parse::{Note, Outcome, parse, styles};
use super::setting::Kind;
use super::table::{Name, SETTINGS};
use super::value::Value;
use crate::diagnostics::Level;

/// The most tags that are taken from resource attributes.
const MAX_TAGS: usize = 10;

/// Something that telemetry counts about an OpenTelemetry variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtelFinding {
    /// What was found.
    pub kind: OtelFindingKind,
    /// The OpenTelemetry variable.
    pub otel: String,
    /// The setting of ours that it maps to.
    pub setting: Option<&'static str>,
}

/// What was found about an OpenTelemetry variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OtelFindingKind {
    /// The `DD_` variable is set as well: `otel.env.hiding`.
    Hiding,
    /// Its text means nothing to us: `otel.env.invalid`.
    Invalid,
    /// It maps to nothing: `otel.env.unsupported`.
    Unsupported,
}

/// Converts the text of a variable into the value of the setting that it maps to. `sampler_argument`
/// is the text of `OTEL_TRACES_SAMPLER_ARG`. `None`: the text leaves the setting alone.
pub(super) fn convert(otel: &str, text: &str, sampler_argument: Option<&str>) -> Option<Outcome> {
    let word = text.trim().to_ascii_lowercase();
    let flag = |value| Some(Outcome::value(Value::Flag(value)));
    match otel {
        "OTEL_SERVICE_NAME" => Some(parse(&Kind::Text, text)),
        "OTEL_LOG_LEVEL" if word == "debug" => flag(true),
        "OTEL_LOG_LEVEL" => Some(Outcome::unusable("debug, no other level is mapped")),
        "OTEL_PROPAGATORS" => Some(styles(text)),
        "OTEL_TRACES_SAMPLER" => Some(sampler(&word, sampler_argument)),
        "OTEL_TRACES_EXPORTER" => match word.as_str() {
            "none" => flag(false),
            "otlp" => flag(true),
            _ => Some(Outcome::unusable("otlp or none")),
        },
        "OTEL_METRICS_EXPORTER" => match word.as_str() {
            "none" => flag(false),
            "otlp" => None,
            _ => Some(Outcome::unusable("none")),
        },
        "OTEL_RESOURCE_ATTRIBUTES" => Some(resource_attributes(text)),
        "OTEL_SDK_DISABLED" => match word.as_str() {
            "true" => flag(false),
            "false" => flag(true),
            _ => Some(Outcome::unusable("true or false")),
        },
        _ => None,
    }
}

fn sampler(word: &str, argument: Option<&str>) -> Outcome {
    let plain = word.strip_prefix("parentbased_").unwrap_or(word);
    let rate = match plain {
        "always_on" => "1.0",
        "always_off" => "0.0",
        "traceidratio" => argument.unwrap_or("1.0").trim(),
        _ => return Outcome::unusable("a sampler such as parentbased_traceidratio"),
    };
    let Some(number) = rate
        .parse::<f64>()
        .ok()
        .filter(|rate| (0.0..=1.0).contains(rate))
    else {
        return Outcome::unusable("a ratio from 0 to 1 in OTEL_TRACES_SAMPLER_ARG");
    };
    // `Debug` writes a decimal point in any case, as JSON readers of rates expect.
    let mut outcome = Outcome::value(Value::Text(format!(r#"[{{"sample_rate":{number:?}}}]"#)));
    if plain == word {
        outcome.notes.push(Note {
            level: Level::Warn,
            expected: "a parent-based sampler, the only sort there is".to_owned(),
            used: Some(format!("parentbased_{plain}")),
        });
    }
    outcome
}

fn resource_attributes(text: &str) -> Outcome {
    let mut unified: Vec<(String, String)> = Vec::new();
    let mut general: Vec<(String, String)> = Vec::new();
    // The newer name of the environment wins over the older, wherever they stand.
    let newer = |item: &str| {
        item.to_ascii_lowercase()
            .starts_with("deployment.environment.name=")
    };
    let has_newer = text.split(',').map(str::trim).any(newer);
    for item in text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
    {
        let Some((key, value)) = item.split_once('=') else {
            return Outcome::unusable("key=value items separated by commas");
        };
        let (key, value) = (key.trim(), value.trim());
        let target = match key.to_ascii_lowercase().as_str() {
            "deployment.environment" if has_newer => continue,
            "deployment.environment" | "deployment.environment.name" => "env",
            "service.name" => "service",
            "service.version" => "version",
            _ => "",
        };
        let (pairs, key) = match target {
            "" => (&mut general, key),
            target => (&mut unified, target),
        };
        match pairs.iter_mut().find(|(known, _)| known == key) {
            Some(pair) => pair.1 = value.to_owned(),
            None => pairs.push((key.to_owned(), value.to_owned())),
        }
    }
    let too_many = general.len() > MAX_TAGS;
    general.truncate(MAX_TAGS);
    unified.append(&mut general);
    let mut outcome = Outcome::value(Value::Pairs(unified));
    if too_many {
        outcome.notes.push(Note {
            level: Level::Warn,
            expected: format!(
                "at most {MAX_TAGS} attributes besides service, environment and version"
            ),
            used: outcome.value.as_ref().map(Value::to_string),
        });
    }
    outcome
}

/// Whether a variable that maps to no setting has a text that means nothing.
pub(super) fn is_invalid_elsewhere(otel: &str, text: &str) -> bool {
    let word = text.trim().to_ascii_lowercase();
    otel == "OTEL_LOGS_EXPORTER" && !matches!(word.as_str(), "" | "none" | "otlp")
}

/// Whether we know what to do with a variable, be it nothing.
pub(super) fn is_supported(otel: &str) -> bool {
    let read_elsewhere = [
        "OTEL_TRACES_SAMPLER_ARG",
        "OTEL_LOGS_EXPORTER",
        "OTEL_TRACES_SPAN_METRICS_ENABLED",
    ];
    let families = ["OTEL_EXPORTER_OTLP_", "OTEL_METRIC_EXPORT_"];
    Name::find(otel).is_some()
        || SETTINGS.iter().any(|row| row.otel.contains(&otel))
        || read_elsewhere.contains(&otel)
        || families.iter().any(|family| otel.starts_with(family))
}

/// The endpoint for traces: verbatim, or built from the general one, or on the agent's host.
pub(super) fn traces_endpoint(own: Option<String>, general: Option<String>, host: &str) -> String {
    own.unwrap_or_else(|| match general {
        Some(base) => format!("{}/v1/traces", base.trim_end_matches('/')),
        None if host.contains(':') && is_host(host) => format!("http://[{host}]:4318/v1/traces"),
        None => format!("http://{host}:4318/v1/traces"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_become_values() {
        let cases = [
            ("OTEL_SERVICE_NAME", "Shop", "Shop"),
            ("OTEL_LOG_LEVEL", "DEBUG", "true"),
            ("OTEL_LOG_LEVEL", "info", "- !"),
            ("OTEL_PROPAGATORS", "b3,baggage, xray", "b3,baggage !"),
            ("OTEL_PROPAGATORS", "none", ""),
            (
                "OTEL_TRACES_SAMPLER",
                "parentbased_always_on",
                r#"[{"sample_rate":1.0}]"#,
            ),
            (
                "OTEL_TRACES_SAMPLER",
                "always_off",
                r#"[{"sample_rate":0.0}] !"#,
            ),
            (
                "OTEL_TRACES_SAMPLER",
                "parentbased_traceidratio",
                r#"[{"sample_rate":0.25}]"#,
            ),
            ("OTEL_TRACES_SAMPLER", "jaeger", "- !"),
            ("OTEL_TRACES_EXPORTER", "None", "false"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "- !"),
            ("OTEL_METRICS_EXPORTER", "none", "false"),
            ("OTEL_METRICS_EXPORTER", "otlp", "nothing"),
            ("OTEL_SDK_DISABLED", "true", "false"),
            ("OTEL_SDK_DISABLED", "maybe", "- !"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "a=1,service.name=s,Deployment.Environment=e",
                "service:s,env:e,a:1",
            ),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment=old,deployment.environment.name=new",
                "env:new",
            ),
            ("OTEL_RESOURCE_ATTRIBUTES", "a", "- !"),
        ];
        for (otel, text, expected) in cases {
            let shown = match convert(otel, text, Some("0.25")) {
                None => "nothing".to_owned(),
                Some(outcome) => {
                    let value = outcome
                        .value
                        .map_or("-".to_owned(), |value| value.to_string());
                    value + if outcome.notes.is_empty() { "" } else { " !" }
                }
            };
            assert_eq!(shown, expected, "{otel}={text}");
        }
    }

    #[test]
    fn a_ratio_outside_0_to_1_is_unusable() {
        for argument in ["2", "-1", "x", "NaN"] {
            let outcome = convert(
                "OTEL_TRACES_SAMPLER",
                "parentbased_traceidratio",
                Some(argument),
            );
            assert_eq!(
                outcome.and_then(|outcome| outcome.value),
                None,
                "{argument}"
            );
        }
    }

    #[test]
    fn every_variable_of_the_table_is_converted() {
        for otel in SETTINGS.iter().flat_map(|row| row.otel) {
            assert!(convert(otel, "x", None).is_some(), "{otel}");
        }
    }
}
