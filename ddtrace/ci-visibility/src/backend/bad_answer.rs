//! An answer that cannot be used.

use serde_json::Value;

/// An answer that is not what the protocol says. It is not shown: it may be long, and hostile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} in the answer")]
pub struct BadAnswer {
    expected: String,
}

impl BadAnswer {
    /// Says what would have been right.
    pub(crate) fn new(expected: &str) -> BadAnswer {
        BadAnswer {
            expected: expected.to_owned(),
        }
    }

    /// Reads JSON.
    pub(crate) fn read(body: &[u8]) -> Result<Value, BadAnswer> {
        serde_json::from_slice(body).map_err(|_| BadAnswer::new("JSON"))
    }
}
