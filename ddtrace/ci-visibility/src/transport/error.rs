//! Why something could not be sent or asked.

use std::time::Duration;

use crate::backend::BadAnswer;

/// Why a request failed, after all tries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The peer cannot be reached, or broke the connection.
    #[error("{0}")]
    Network(String),
    /// The peer said no.
    #[error("the answer has status {0}")]
    Status(u16),
    /// The answer is not what the protocol says.
    #[error("{0}")]
    BadAnswer(#[from] BadAnswer),
    /// Something that the question needs is not known: the name of a tag.
    #[error("{0} is not known")]
    Missing(&'static str),
    /// The caller's time was over.
    #[error("the time for it was over")]
    Interrupted,
}

impl RequestError {
    /// Whether another try may help.
    pub(super) fn is_retryable(&self) -> bool {
        match self {
            RequestError::Timeout(_) | RequestError::Network(_) | RequestError::BadAnswer(_) => {
                true
            }
            RequestError::Status(status) => *status >= 500 || *status == 429,
            RequestError::Missing(_) | RequestError::Interrupted => false,
        }
    }

    /// The value of the telemetry tag `error_type`.
    pub fn error_type(&self) -> &'static str {
        match self {
            RequestError::Timeout(_) => "timeout",
            RequestError::Network(_) => "network",
            RequestError::Status(400..=499) => "status_code_4xx_response",
            RequestError::Status(500..=599) => "status_code_5xx_response",
            RequestError::BadAnswer(_) => "bad_json",
            RequestError::Status(_) | RequestError::Missing(_) | RequestError::Interrupted => {
                "unknown"
            }
        }
    }
}

/// Why nothing is reported at all: one line for the user, whose tests run as without us.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// It is switched off.
    #[error("CI Visibility is off: DD_CIVISIBILITY_ENABLED is false")]
    SwitchedOff,
    /// There is no key for sending without an agent.
    #[error(
        "CI Visibility is off: DD_API_KEY is not set, and DD_CIVISIBILITY_AGENTLESS_ENABLED needs it"
    )]
    NoApiKey,
    /// This build has no TLS.
    #[error("CI Visibility is off: this build cannot send without an agent (feature `agentless`)")]
    NoTls,
    /// A setting cannot be used.
    #[error("CI Visibility is off: {0}")]
    Settings(String),
    /// The agent did not answer.
    #[error("CI Visibility is off: no Datadog Agent at {url}: {reason}")]
    NoAgent {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The agent does not forward this product's data.
    #[error("CI Visibility is off: the Datadog Agent at {url} is too old: it has no EVP proxy")]
    NoProxy {
        /// The address.
        url: String,
    },
}
