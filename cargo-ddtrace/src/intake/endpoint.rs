//! Which path takes what.

use super::llm::Llm;
use super::tests::{self, Tests};

/// What an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Traces(Version),
    Services,
    Stats,
    Telemetry,
    RemoteConfig,
    PipelineStats,
    Llm(Llm),
    Tests(Tests),
    /// Taken and kept, not understood.
    Other,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V03,
    V04,
    V05,
    V07,
    V1,
}

impl Endpoint {
    pub(super) fn of(path: &str) -> Endpoint {
        match path {
            "/v0.3/traces" => Endpoint::Traces(Version::V03),
            "/v0.4/traces" => Endpoint::Traces(Version::V04),
            "/v0.5/traces" => Endpoint::Traces(Version::V05),
            "/v0.7/traces" => Endpoint::Traces(Version::V07),
            "/v1.0/traces" => Endpoint::Traces(Version::V1),
            "/v0.3/services" | "/v0.4/services" => Endpoint::Services,
            "/v0.6/stats" | "/api/v0.2/stats" => Endpoint::Stats,
            "/telemetry/proxy/api/v2/apmtelemetry" | "/api/v2/apmtelemetry" => Endpoint::Telemetry,
            "/v0.7/config" => Endpoint::RemoteConfig,
            "/v0.1/pipeline_stats" => Endpoint::PipelineStats,
            "/v1/input" => Endpoint::Other,
            path => tests::behind_proxy(path)
                .and_then(|(path, _)| {
                    let tests = Tests::of(path).map(Endpoint::Tests);
                    tests.or_else(|| Llm::of(path).map(Endpoint::Llm))
                })
                .unwrap_or(Endpoint::Unknown),
        }
    }

    pub(super) fn kind(self) -> &'static str {
        match self {
            Endpoint::Traces(_) => "traces",
            Endpoint::Services => "services",
            Endpoint::Stats => "stats",
            Endpoint::Telemetry => "telemetry",
            Endpoint::RemoteConfig => "config",
            Endpoint::PipelineStats => "streams",
            Endpoint::Llm(_) => "llm",
            Endpoint::Tests(_) => "tests",
            Endpoint::Other => "other",
            Endpoint::Unknown => "unknown",
        }
    }
}

/// Whether a path under `/api/` is one of the agentless intakes rather than our API.
pub fn is_intake_api(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/api/") else {
        return false;
    };
    let is_version = rest
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_version || rest.starts_with("intake/") || rest.starts_with("unstable/")
}
