//! Which way spans go.
//!
//! | condition, the first that holds | way |
//! |---|---|
//! | an address for tests is set, tracing is off, or traces have no place for structured data | a request of their own |
//! | core sends traces without an agent | on the trace |
//! | this product is to send without an agent, or there is none that could | a request of their own |
//! | otherwise | on the trace, if it is kept; a request of their own if not |
//!
//! A request of their own goes through the agent's proxy, or straight to the intake. Source: `spec/llmobs.md` §3.

use crate::settings::Settings;

/// A way, by its name in telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Straight to the intake.
    Agentless,
    /// Through the agent's proxy.
    AgentProxy,
    /// On a trace that goes straight to Datadog.
    ApmAgentless,
    /// On a trace that goes to the agent.
    ApmAgent,
}

impl Mode {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Agentless => "llmobs_agentless",
            Self::AgentProxy => "llmobs_agent_proxy",
            Self::ApmAgentless => "apm_agentless",
            Self::ApmAgent => "apm_agent",
        }
    }
}

/// The way of a span's event. `has_agent`: whether there is an agent that passes requests on, as far as that is known.
pub(crate) fn mode(settings: &Settings, has_agent: bool) -> Mode {
    let leaves_the_trace = settings.override_origin.is_some()
        || !settings.apm_tracing
        || !settings.traces_take_structs;
    if leaves_the_trace || (is_agentless(settings, has_agent) && !settings.apm_agentless) {
        return intake(settings, has_agent);
    }
    if settings.apm_agentless {
        Mode::ApmAgentless
    } else {
        Mode::ApmAgent
    }
}

/// The way of a request of this product's own.
pub(crate) fn intake(settings: &Settings, has_agent: bool) -> Mode {
    if is_agentless(settings, has_agent) {
        Mode::Agentless
    } else {
        Mode::AgentProxy
    }
}

fn is_agentless(settings: &Settings, has_agent: bool) -> bool {
    settings
        .agentless
        .unwrap_or(settings.apm_agentless || !has_agent)
}

#[cfg(test)]
mod tests {
    use ddtrace_core::config::{Config, MapEnvironment};

    use super::*;
    use crate::settings::Options;

    #[test]
    fn the_first_condition_that_holds_decides() {
        type Variables = &'static [(&'static str, &'static str)];
        let cases: [(Variables, bool, Mode); 10] = [
            (&[], true, Mode::ApmAgent),
            (
                &[("DD_LLMOBS_AGENTLESS_ENABLED", "0")],
                false,
                Mode::ApmAgent,
            ),
            (
                &[("DD_LLMOBS_AGENTLESS_ENABLED", "1")],
                true,
                Mode::Agentless,
            ),
            (&[], false, Mode::Agentless),
            (
                &[("DD_LLMOBS_OVERRIDE_ORIGIN", "http://x")],
                true,
                Mode::AgentProxy,
            ),
            (
                &[
                    ("DD_LLMOBS_OVERRIDE_ORIGIN", "http://x"),
                    ("DD_LLMOBS_AGENTLESS_ENABLED", "1"),
                ],
                true,
                Mode::Agentless,
            ),
            (&[("DD_APM_TRACING_ENABLED", "0")], true, Mode::AgentProxy),
            (&[("DD_TRACE_API_VERSION", "v0.5")], true, Mode::AgentProxy),
            (
                &[("DD_TRACE_API_VERSION", "v0.5"), ("DD_LLMOBS_ENABLED", "1")],
                true,
                Mode::ApmAgent,
            ),
            (
                &[("DD_AGENTLESS_ENABLED", "1"), ("DD_API_KEY", "k")],
                true,
                Mode::ApmAgentless,
            ),
        ];
        for (variables, has_agent, expected) in cases {
            let environment = variables
                .iter()
                .fold(MapEnvironment::new(), |all, (name, value)| {
                    all.variable(*name, *value)
                });
            let config = Config::builder().environment(&environment).build();
            let settings = Settings::read(&config, &Options::default());
            assert_eq!(
                mode(&settings, has_agent),
                expected,
                "{variables:?}, {has_agent}"
            );
        }
    }
}
