//! What the library says its configuration is at the moment, as the suite wants it: texts or `null`.

use ddtrace::config::{AgentUrl, Config, DogstatsdAddress};
use serde_json::{Value, json};

use crate::http::Answer;

pub(crate) fn config() -> Answer {
    let config = ddtrace::current_config();
    let config = config.as_deref().map_or(Value::Null, texts);
    Answer::Json(json!({ "config": config }))
}

fn texts(config: &Config) -> Value {
    let flag = |flag: bool| if flag { "true" } else { "false" };
    let tags: Vec<_> = config
        .tags
        .iter()
        .map(|(key, value)| format!("{key}:{value}"))
        .collect();
    let (host, port) = match &config.dogstatsd {
        DogstatsdAddress::Udp { host, port } => (Some(host.clone()), Some(port.to_string())),
        _ => (None, None),
    };
    json!({
        "dd_service": config.service,
        "dd_env": config.env,
        "dd_version": config.version,
        "dd_log_level": config.log_level.map(|level| level.to_string().to_lowercase()),
        "dd_trace_sample_rate": sample_rate(config),
        "dd_trace_enabled": flag(config.trace_enabled),
        "dd_runtime_metrics_enabled": flag(config.runtime_metrics),
        "dd_trace_debug": flag(config.debug),
        "dd_trace_otel_enabled": flag(config.otel_enabled),
        "dd_trace_sample_ignore_parent": null,
        "dd_logs_injection": flag(config.logs_injection),
        "dd_profiling_enabled": flag(config.profiling_enabled),
        "dd_data_streams_enabled": flag(config.data_streams_enabled),
        "dd_tags": tags.join(","),
        "dd_trace_propagation_style": config.propagation_inject.join(","),
        "dd_trace_rate_limit": config.rate_limit.to_string(),
        "dd_trace_agent_url": url(&config.agent_url),
        "dd_dogstatsd_host": host,
        "dd_dogstatsd_port": port,
    })
}

/// The rate of the rule that matches everything: the global one.
fn sample_rate(config: &Config) -> Option<String> {
    let rules: Value = serde_json::from_str(&config.sampling_rules).ok()?;
    let rules = rules.as_array()?;
    let global = rules.iter().filter_map(Value::as_object).find(|rule| {
        ["service", "name", "resource", "tags"]
            .iter()
            .all(|field| !rule.contains_key(*field))
    });
    Some(global?.get("sample_rate")?.as_f64()?.to_string())
}

fn url(url: &AgentUrl) -> String {
    url.to_string()
}
