//! `POST /api/v2/cireport`, `multipart/form-data`: a JUnit file (agentless only).

use bytes::Bytes;
use serde_json::{Value, json};

use super::multipart::{Form, Part};
use crate::ci::Tags;

/// What is said about the report.
pub fn event(service: &str, env: &str, hostname: &str, name: &str, tags: &Tags) -> Value {
    let mut metadata = json!({
        "service": service,
        "env": env,
        "_dd.cireport_version": "3",
        "_dd.hostname": hostname,
        "_dd.report_name": name,
    });
    for (key, value) in tags {
        metadata[key.as_str()] = Value::from(value.as_str());
    }
    json!({
        "_dd.cireport_version": "3",
        "_dd.hostname": hostname,
        "_dd.report_name": name,
        "metadata": metadata,
        "metrics": {},
        "session": {"metrics": {}, "tags": {}},
        "tags": {},
    })
}

/// The body of a request.
pub fn form(compressed: Vec<u8>, event: &Value) -> Form {
    let name = format!("{}.xml.gz", crate::random::uuid());
    Form::of(&[
        Part {
            name: "event",
            file_name: Some("event.json"),
            content_type: "application/json",
            data: Bytes::from(event.to_string()),
        },
        Part {
            name: "junit_xml_report_file",
            file_name: Some(&name),
            content_type: "application/octet-stream",
            data: Bytes::from(compressed),
        },
    ])
}
