//! `POST /api/v2/cicovreprt`, `multipart/form-data`: a whole coverage report.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Map, Value};

use super::multipart::{Form, Part};
use crate::ci::Tags;

/// The most flags; more of them are none.
const MAX_FLAGS: usize = 32;

/// What is said about the report: its format, and the tags of commit and pipeline.
pub fn event(format: &str, flags: &[String], tags: &Tags, now: SystemTime) -> Value {
    let millis = now
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let mut event = Map::new();
    event.insert("type".into(), "coverage_report".into());
    event.insert("format".into(), format.into());
    event.insert(
        "timestamp".into(),
        u64::try_from(millis).unwrap_or(0).into(),
    );
    if !flags.is_empty() && flags.len() <= MAX_FLAGS {
        event.insert("report.flags".into(), flags.into());
    }
    let prefixes = ["git.", "ci.", "pr."];
    for (key, value) in tags {
        if prefixes.iter().any(|prefix| key.starts_with(prefix)) && !value.is_empty() {
            event.insert(key.clone(), value.as_str().into());
        }
    }
    Value::Object(event)
}

/// The body of a request.
pub fn form(format: &str, compressed: Vec<u8>, event: &Value) -> Form {
    let name = format!("coverage.{format}.gz");
    Form::of(&[
        Part {
            name: "coverage",
            file_name: Some(&name),
            content_type: "application/gzip",
            data: Bytes::from(compressed),
        },
        Part {
            name: "event",
            file_name: Some("event.json"),
            content_type: "application/json",
            data: Bytes::from(event.to_string()),
        },
    ])
}
