//! What the user has set, out of core's table of settings and out of code.

use std::collections::BTreeMap;
use std::time::Duration;

use ddtrace_core::config::{ApiVersion, Config, Name, Origin, Secret, Value};

use crate::sampling::Sampler;

/// What can be set in code, before everything else that sets it.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Options {
    /// The application that spans belong to.
    pub ml_app: Option<String>,
    /// Whether to send without an agent.
    pub agentless: Option<bool>,
    /// The share of traces that is kept.
    pub sample_rate: Option<f64>,
    /// The project of experiments and datasets.
    pub project_name: Option<String>,
}

impl Options {
    /// Says which application spans belong to.
    #[must_use]
    pub fn ml_app(mut self, name: impl Into<String>) -> Self {
        self.ml_app = Some(name.into());
        self
    }

    /// Says whether to send without an agent.
    #[must_use]
    pub fn agentless(mut self, agentless: bool) -> Self {
        self.agentless = Some(agentless);
        self
    }

    /// Says which share of traces is kept.
    #[must_use]
    pub fn sample_rate(mut self, rate: f64) -> Self {
        self.sample_rate = Some(rate);
        self
    }

    /// Says which project experiments and datasets belong to.
    #[must_use]
    pub fn project_name(mut self, name: impl Into<String>) -> Self {
        self.project_name = Some(name.into());
        self
    }
}

/// The settings of this product.
#[derive(Clone, Debug)]
#[non_exhaustive]
#[allow(
    missing_docs,
    reason = "each field is a row of core's table of settings, which documents it"
)]
pub struct Settings {
    pub ml_app: String,
    /// None: find out.
    pub agentless: Option<bool>,
    pub override_origin: Option<String>,
    pub project_name: String,
    pub instrumented_proxy_urls: Vec<String>,
    pub event_limit: usize,
    pub payload_limit: usize,
    pub evaluator_rules: Option<String>,
    pub prompts_ttl: Duration,
    pub prompts_timeout: Duration,
    pub prompts_in_files: bool,
    pub prompts_folder: Option<String>,
    pub capture_io: bool,
    pub(crate) writer_interval: Duration,
    pub(crate) writer_timeout: Duration,
    pub(crate) sampler: Sampler,
    pub(crate) apm_tracing: bool,
    /// Whether core sends traces without an agent.
    pub(crate) apm_agentless: bool,
    /// Whether the format of traces has a place for structured data.
    pub(crate) traces_take_structs: bool,
    pub(crate) otel: bool,
    pub(crate) site: String,
    pub(crate) env: Option<String>,
    pub(crate) api_key: Option<Secret>,
    pub(crate) app_key: Option<Secret>,
    #[cfg(feature = "agentless")]
    pub(crate) proxy: Option<Secret>,
    /// What every span says, the service excepted.
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) config_service: String,
}

impl Settings {
    /// Takes them out of a configuration, with what code says on top.
    pub(crate) fn read(config: &Config, options: &Options) -> Self {
        let text = |name| match value(config, name) {
            Some(Value::Text(text)) if !text.is_empty() => Some(text.clone()),
            _ => None,
        };
        let flag = |name| match value(config, name) {
            Some(Value::Flag(flag)) => Some(*flag),
            _ => None,
        };
        let seconds = |name| match value(config, name) {
            Some(Value::Number(seconds)) => Duration::from_secs_f64(*seconds),
            _ => Duration::from_secs(1),
        };
        let size = |name| match value(config, name) {
            Some(Value::Integer(size)) => usize::try_from(*size).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let rate = match value(config, Name::DD_LLMOBS_SAMPLE_RATE) {
            Some(Value::Number(rate)) => *rate,
            _ => 1.0,
        };
        let rules = text(Name::DD_LLMOBS_SAMPLING_RULES);
        if flag(Name::DD_LLMOBS_OPENAI_INJECT_USAGE) == Some(true) {
            ddtrace_core::diagnostics::warn(format_args!(
                "DD_LLMOBS_OPENAI_INJECT_USAGE=true: not supported, a program's requests are never changed; a stream \
                 that reports no usage has no tokens"
            ));
        }
        let ml_app = options
            .ml_app
            .clone()
            .or_else(|| text(Name::DD_LLMOBS_ML_APP));
        let ml_app = ml_app.filter(|name| !name.is_empty());
        let ml_app =
            ml_app.or_else(|| Some(config.service.clone()).filter(|name| !name.is_empty()));
        Self {
            ml_app: ml_app.unwrap_or_else(|| "unnamed-ml-app".to_owned()),
            agentless: options
                .agentless
                .or_else(|| flag(Name::DD_LLMOBS_AGENTLESS_ENABLED)),
            override_origin: text(Name::DD_LLMOBS_OVERRIDE_ORIGIN)
                .map(|url| url.trim_end_matches('/').to_owned()),
            project_name: options
                .project_name
                .clone()
                .or_else(|| text(Name::DD_LLMOBS_PROJECT_NAME))
                .unwrap_or_else(|| "default-project".to_owned()),
            instrumented_proxy_urls: match value(config, Name::DD_LLMOBS_INSTRUMENTED_PROXY_URLS) {
                Some(Value::List(urls)) => urls.clone(),
                _ => Vec::new(),
            },
            event_limit: size(Name::DD_LLMOBS_EVENT_SIZE_BYTES),
            payload_limit: size(Name::DD_LLMOBS_PAYLOAD_SIZE_BYTES),
            evaluator_rules: text(Name::DD_LLMOBS_EVALUATOR_SAMPLING_RULES),
            prompts_ttl: seconds(Name::DD_LLMOBS_PROMPTS_CACHE_TTL),
            prompts_timeout: seconds(Name::DD_LLMOBS_PROMPTS_TIMEOUT),
            prompts_in_files: flag(Name::DD_LLMOBS_PROMPTS_FILE_CACHE_ENABLED).unwrap_or(true),
            prompts_folder: text(Name::DD_LLMOBS_PROMPTS_CACHE_DIR),
            capture_io: flag(Name::DD_LLMOBS_CAPTURE_IO).unwrap_or(true),
            writer_interval: seconds(Name::_DD_LLMOBS_WRITER_INTERVAL),
            writer_timeout: seconds(Name::_DD_LLMOBS_WRITER_TIMEOUT),
            sampler: Sampler::new(options.sample_rate.unwrap_or(rate), rules.as_deref()),
            apm_tracing: config.apm_tracing_enabled,
            apm_agentless: config.agentless,
            traces_take_structs: config.api_version != ApiVersion::V05,
            otel: config.otel_enabled,
            site: config.site.clone(),
            env: config.env.clone(),
            api_key: config.api_key.clone(),
            app_key: match value(config, Name::DD_APP_KEY) {
                Some(Value::Secret(key)) => Some(key.clone()),
                _ => None,
            },
            #[cfg(feature = "agentless")]
            proxy: config.proxy_https.clone(),
            tags: tags(config),
            config_service: config.service.clone(),
        }
    }
}

/// Whether the user wants the product; nothing if nobody has said so.
pub(crate) fn wanted(config: &Config) -> Option<bool> {
    let setting = config.setting(Name::DD_LLMOBS_ENABLED).effective();
    match setting.value {
        Some(Value::Flag(on)) if setting.origin != Origin::Default => Some(on),
        _ => None,
    }
}

fn value(config: &Config, name: Name) -> Option<&Value> {
    config.setting(name).effective().value.as_ref()
}

/// Tags that are on every span.
fn tags(config: &Config) -> BTreeMap<String, String> {
    let mut tags: BTreeMap<String, String> = config.tags.iter().cloned().collect();
    let mut set = |key: &str, value: &str| tags.insert(key.to_owned(), value.to_owned());
    set("version", config.version.as_deref().unwrap_or_default());
    set("env", config.env.as_deref().unwrap_or_default());
    set("source", "integration");
    set(
        "ddtrace.version",
        ddtrace_core::export::agent::TRACER_VERSION,
    );
    set("language", "rust");
    if config.git_metadata {
        if let Some(url) = &config.git_repository_url {
            set("git.repository_url", url);
        }
        if let Some(commit) = &config.git_commit_sha {
            set("git.commit.sha", commit);
        }
    }
    tags
}
