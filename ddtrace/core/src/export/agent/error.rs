//! Why a request to the agent has no answer.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

/// Why a request to the agent has no answer. An answer with an unwelcome status is not an error here.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// Nobody could be reached at the address.
    Connect {
        /// The address.
        url: String,
        /// What the system said.
        error: io::Error,
    },
    /// The time for the whole request ran out.
    Timeout {
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke before an answer came.
    Closed,
    /// What came back is not HTTP.
    Protocol {
        /// What the parser said.
        error: hyper::Error,
    },
    /// The address, the path or a header cannot be used.
    Unsupported {
        /// What would be right.
        expected: &'static str,
    },
    /// The deadline of a shutdown came first.
    Interrupted,
}

impl SendError {
    /// Whether trying again may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            SendError::Connect { .. }
            | SendError::Timeout { .. }
            | SendError::Closed
            | SendError::Protocol { .. } => true,
            SendError::Unsupported { .. } | SendError::Interrupted => false,
        }
    }

    pub(super) fn from_hyper(error: hyper::Error) -> SendError {
        if error.is_parse() {
            SendError::Protocol { error }
        } else {
            SendError::Closed
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Connect { url, error } => write!(out, "cannot connect to {url}: {error}"),
            SendError::Timeout { after } => write!(out, "no answer within {after:?}"),
            SendError::Closed => out.write_str("the connection was closed before an answer came"),
            SendError::Protocol { error } => write!(out, "expected an HTTP answer: {error}"),
            SendError::Unsupported { expected } => write!(out, "expected {expected}"),
            SendError::Interrupted => out.write_str("the deadline for shutting down came first"),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            SendError::Connect { error, .. } => Some(error),
            SendError::Protocol { error } => Some(error),
            _ => None,
        }
    }
}
