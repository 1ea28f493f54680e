//! `POST /api/v2/logs`, `application/json`: what tests print and log.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::json;

/// The longest message, in bytes.
const MAX_MESSAGE: usize = 1024 * 1024;

/// What stands at the end of a message that was cut.
const CUT: &str = "... [truncated]";

/// A line that a test wrote, or all that it printed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// When.
    pub date: SystemTime,
    /// What.
    pub message: String,
    /// `info`, `error` and so on.
    pub status: String,
    /// The trace of the test; 0 if none.
    pub trace_id: u64,
    /// The span of the test; 0 if none.
    pub span_id: u64,
}

impl LogRecord {
    /// Writes it as JSON.
    pub fn to_json(&self, service: &str, hostname: &str) -> Vec<u8> {
        let date = self.date.duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = json!({
            "date": u64::try_from(date.as_millis()).unwrap_or(u64::MAX),
            "ddsource": "rust",
            "ddtags": "datadog.product:citest",
            "hostname": hostname,
            "message": cut(&self.message),
            "service": service,
            "status": self.status,
            "dd.trace_id": self.trace_id.to_string(),
            "dd.span_id": self.span_id.to_string(),
        });
        record.to_string().into_bytes()
    }
}

fn cut(message: &str) -> String {
    if message.len() <= MAX_MESSAGE {
        return message.to_owned();
    }
    let room = MAX_MESSAGE - CUT.len();
    let end = (0..=room).rev().find(|end| message.is_char_boundary(*end));
    format!("{}{CUT}", &message[..end.unwrap_or(0)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_between_characters() {
        let long = "ü".repeat(MAX_MESSAGE);
        let cut = cut(&long);
        assert!(cut.len() <= MAX_MESSAGE && cut.ends_with("ü... [truncated]"));
        assert_eq!(super::cut("short"), "short");
    }
}
