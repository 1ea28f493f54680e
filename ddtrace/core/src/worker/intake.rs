//! Sending traces without an agent: which intake, if any.

use std::sync::Arc;

use crate::config::Config;
use crate::diagnostics;
use crate::export::agent::AgentClient;

/// A client for the intake of traces, if settings ask for one and it can be used.
#[cfg(feature = "agentless")]
pub(super) fn client(config: &Config) -> Option<Arc<AgentClient>> {
    use crate::export::agent::meta_headers;
    use crate::export::agentless::{IntakeClient, trace_intake};

    if !config.agentless {
        return None;
    }
    let url = config
        .intake_url
        .clone()
        .unwrap_or_else(|| trace_intake(&config.site));
    let client = IntakeClient::builder(&url)
        .configured(config)
        .headers(meta_headers(config))
        .build();
    match client {
        Ok(client) => Some(Arc::new(client.into_inner())),
        Err(error) => {
            diagnostics::error(format_args!(
                "traces go to the agent although DD_AGENTLESS_ENABLED is set: {error}"
            ));
            None
        }
    }
}

/// None: the feature that could is not there.
#[cfg(not(feature = "agentless"))]
pub(super) fn client(config: &Config) -> Option<Arc<AgentClient>> {
    if config.agentless {
        diagnostics::error(format_args!(
            "traces go to the agent although DD_AGENTLESS_ENABLED is set: ddtrace was built without its feature `agentless`"
        ));
    }
    None
}
