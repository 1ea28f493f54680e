//! The start-up log: one line with everything that was configured, for whoever asks why there are no traces.
//!
//! `DATADOG TRACER CONFIGURATION - {…}` once the agent was asked whether it is there, and, if it is not,
//! `DATADOG TRACER DIAGNOSTIC - Agent not reachable at …`. Written if `DD_TRACE_STARTUP_LOGS` is on, or if it is not set and
//! `DD_TRACE_DEBUG` is on. The fields are those of dd-trace-py (`ddtrace/internal/debug.py`), without what only an interpreter
//! has; see `spec/telemetry-and-remote-config.md` §7.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use crate::config::{Config, Name, Origin};
use crate::diagnostics::{self, Level};
use crate::export::agent::{AgentInfo, RUSTC_VERSION, TRACER_VERSION};
use crate::instrument::{Linked, linked};
use crate::telemetry::{os_name, os_version};
use crate::worker::task::{Task, TaskContext, TaskFuture};

/// Asks the agent and writes the lines.
pub(crate) const TASK: Task = Task::new("start-up log", start);

fn start(context: TaskContext) -> Option<TaskFuture> {
    let config = context.config();
    is_wanted(&config).then(|| Box::pin(write(context)) as TaskFuture)
}

fn is_wanted(config: &Config) -> bool {
    let is_set = config
        .setting(Name::DD_TRACE_STARTUP_LOGS)
        .effective()
        .origin
        > Origin::Default;
    config.startup_logs || (config.debug && !is_set)
}

async fn write(context: TaskContext) {
    let config = context.config();
    let error = if context.has_agent() && !config.agentless {
        let answer = AgentInfo::fetch(context.agent()).await;
        answer.err().map(|error| diagnostic(&config, &error))
    } else {
        None
    };
    let time = SystemTime::now().duration_since(UNIX_EPOCH);
    let time = time.unwrap_or_default().as_micros() as u64;
    let line = configuration(&config, error.as_deref(), &linked(), time);
    diagnostics::announce(
        Level::Info,
        format_args!("DATADOG TRACER CONFIGURATION - {line}"),
    );
    if let Some(error) = error {
        diagnostics::announce(
            Level::Warn,
            format_args!("DATADOG TRACER DIAGNOSTIC - {error}"),
        );
    }
}

fn diagnostic(config: &Config, error: &dyn std::fmt::Display) -> String {
    let url = &config.agent_url;
    format!("Agent not reachable at {url}. Exception raised: {error}")
}

/// The line's JSON; `time` is in microseconds since the epoch. Nothing secret is in it: neither keys nor passwords of URLs.
fn configuration(config: &Config, agent_error: Option<&str>, linked: &Linked, time: u64) -> Value {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let tags = |pairs: &[(String, String)]| {
        let items: Vec<_> = pairs
            .iter()
            .map(|(key, value)| format!("{key}:{value}"))
            .collect();
        items.join(",")
    };
    let integrations = linked.integrations.iter().map(|integration| {
        let enabled = config.integration(integration.name()).enabled;
        let state = json!({
            "enabled": enabled,
            "instrumented": enabled,
            "module_version": integration.supported(),
        });
        (integration.name().to_owned(), state)
    });
    let rules: Vec<Value> = serde_json::from_str(&config.sampling_rules).unwrap_or_default();
    let rules: Vec<String> = rules.iter().map(Value::to_string).collect();
    json!({
        "date": date(time),
        "os_name": os_name(),
        "os_version": os_version(),
        "is_64_bit": cfg!(target_pointer_width = "64"),
        "architecture": std::env::consts::ARCH,
        "vm": "rustc",
        "version": TRACER_VERSION,
        "lang": "rust",
        "lang_version": RUSTC_VERSION,
        "agent_url": config.agent_url.to_string(),
        "agent_error": agent_error,
        "statsd_url": config.dogstatsd.to_string(),
        "env": text(&config.env),
        "ddtrace_enabled": config.trace_enabled,
        "sampling_rules": rules,
        "service": config.service,
        "debug": config.debug,
        "log_injection_enabled": config.logs_injection,
        "health_metrics_enabled": config.health_metrics,
        "runtime_metrics_enabled": config.runtime_metrics,
        "dd_version": text(&config.version),
        "global_tags": config.setting(Name::DD_TAGS).effective().value.as_ref().map_or(String::new(), ToString::to_string),
        "tracer_tags": tags(&config.tags),
        "integrations": integrations.collect::<Map<_, _>>(),
        "partial_flush_enabled": config.partial_flush,
        "partial_flush_min_spans": config.partial_flush_min_spans,
        "asm_enabled": config.appsec_enabled == Some(true),
        "iast_enabled": false,
        "waf_timeout": "",
        "remote_config_enabled": config.remote_config_enabled,
        "config_endpoint": "",
        "crashtracking_enabled": false,
        "gitmetadata_enabled": config.git_metadata,
        "git_repository_url": text(&config.git_repository_url),
        "git_commit_sha": text(&config.git_commit_sha),
        "git_main_package": "",
        "log_level_override": log_level(config),
        "profiling_enabled": config.profiling_enabled,
        "data_streams_enabled": config.data_streams_enabled,
        "dynamic_instrumentation_enabled": config.dynamic_instrumentation_enabled,
    })
}

/// What was asked for instead of the usual level.
fn log_level(config: &Config) -> String {
    let entry = config.setting(Name::DD_TRACE_LOG_LEVEL).effective();
    entry
        .value
        .as_ref()
        .map_or(String::new(), ToString::to_string)
}

/// Microseconds since the epoch as ISO 8601 in UTC, without an offset.
fn date(time: u64) -> String {
    let (seconds, micros) = (time / 1_000_000, time % 1_000_000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}")
}

/// The date of a day since 1970-01-01. Years begin in March here, so that the day that comes and goes is the last of one; 400
/// of them have 146,097 days (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_TO_EPOCH: u64 = 719_468;
    const DAYS_OF_ERA: u64 = 146_097;
    let days = days + DAYS_TO_EPOCH;
    let (era, of_era) = (days / DAYS_OF_ERA, days % DAYS_OF_ERA);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;
    use crate::instrument::Integration;

    fn config(variables: &[(&str, &str)]) -> Config {
        let environment = variables.iter().fold(
            MapEnvironment::new().executable("shop"),
            |all, (name, value)| all.variable(*name, *value),
        );
        Config::builder().environment(&environment).build()
    }

    #[test]
    fn the_line_is_written_when_asked_for() {
        let on = ("DD_TRACE_STARTUP_LOGS", "true");
        let off = ("DD_TRACE_STARTUP_LOGS", "false");
        let debug = ("DD_TRACE_DEBUG", "true");
        for (variables, expected) in [
            (&[][..], false),
            (&[on], true),
            (&[debug], true),
            (&[debug, off], false),
            (&[on, ("DD_TRACE_LOG_LEVEL", "error")], true),
        ] {
            assert_eq!(is_wanted(&config(variables)), expected, "{variables:?}");
        }
    }

    #[test]
    fn the_line_has_the_fields_of_the_reference_and_no_secrets() {
        static KETTLE: Integration = Integration::new("kettle", "kettle", "0.3");
        let linked = Linked {
            integrations: vec![&KETTLE],
            products: Vec::new(),
        };
        let config = config(&[
            ("DD_API_KEY", "0123456789abcdef0123456789abcdef"),
            ("DD_TRACE_AGENT_URL", "http://user:hunter2@h:1"),
            (
                "DD_GIT_REPOSITORY_URL",
                "https://user:hunter2@git.example/r.git",
            ),
            ("DD_TAGS", "team:a"),
            ("DD_TRACE_SAMPLING_RULES", r#"[{"sample_rate":0.5}]"#),
            ("DD_TRACE_KETTLE_ENABLED", "false"),
        ]);
        let error = diagnostic(&config, &"connection refused");
        let line = configuration(&config, Some(&error), &linked, 0);
        let text = line.to_string();
        assert!(
            !text.contains("hunter2") && !text.contains("cdef"),
            "{text}"
        );
        for (key, value) in [
            ("date", json!("1970-01-01T00:00:00.000000")),
            ("agent_url", json!("http://h:1")),
            (
                "agent_error",
                json!("Agent not reachable at http://h:1. Exception raised: connection refused"),
            ),
            ("service", json!("shop")),
            ("env", json!("")),
            ("dd_version", json!("")),
            ("lang", json!("rust")),
            ("sampling_rules", json!([r#"{"sample_rate":0.5}"#])),
            ("global_tags", json!("team:a")),
            ("git_repository_url", json!("https://git.example/r.git")),
            (
                "integrations",
                json!({"kettle": {"enabled": false, "instrumented": false, "module_version": "0.3"}}),
            ),
        ] {
            assert_eq!(line[key], value, "{key}");
        }
        for key in [
            "os_name",
            "os_version",
            "is_64_bit",
            "architecture",
            "vm",
            "version",
            "lang_version",
            "statsd_url",
            "ddtrace_enabled",
            "debug",
            "log_injection_enabled",
            "health_metrics_enabled",
            "runtime_metrics_enabled",
            "tracer_tags",
            "partial_flush_enabled",
            "partial_flush_min_spans",
            "asm_enabled",
            "iast_enabled",
            "waf_timeout",
            "remote_config_enabled",
            "config_endpoint",
            "crashtracking_enabled",
            "gitmetadata_enabled",
            "git_commit_sha",
            "git_main_package",
            "log_level_override",
            "profiling_enabled",
            "data_streams_enabled",
            "dynamic_instrumentation_enabled",
        ] {
            assert!(!line[key].is_null(), "{key}");
        }
        assert!(configuration(&config, None, &linked, 0)["agent_error"].is_null());
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000000"),
            (951_782_399, "2000-02-28T23:59:59.000000"),
            (951_782_400, "2000-02-29T00:00:00.000000"),
            (1_709_164_800, "2024-02-29T00:00:00.000000"),
            (1_735_689_599, "2024-12-31T23:59:59.000000"),
            (4_107_542_400, "2100-03-01T00:00:00.000000"),
        ] {
            assert_eq!(date(seconds * 1_000_000), expected);
        }
        assert_eq!(date(1_000_001), "1970-01-01T00:00:01.000001");
    }
}
