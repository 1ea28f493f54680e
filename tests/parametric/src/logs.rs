//! The endpoints for logs: loggers are names, and lines go to standard output with what
//! the library wants in them, so that they are found with the span that is active.

use std::io::Write;

use ddtrace::correlation::Fields;
use serde_json::{Value, json};

use crate::http::Answer;
use crate::json;
use crate::spans::Spans;

pub(crate) fn answer(spans: &mut Spans, method: &str, path: &str, body: &Value) -> Option<Answer> {
    Some(match (method, path) {
        ("POST", "/otel/logger/create") => {
            let success = json::text(body, "name").is_some();
            Answer::Json(json!({ "success": success }))
        }
        ("POST", "/otel/logger/write") => {
            let success = write(spans, body).is_ok();
            Answer::Json(json!({ "success": success }))
        }
        ("POST", "/log/otel/flush") => {
            let success = std::io::stdout().flush().is_ok();
            let message = "lines are written to standard output";
            Answer::Json(json!({ "success": success, "message": message }))
        }
        _ => return None,
    })
}

fn write(spans: &mut Spans, body: &Value) -> std::io::Result<()> {
    let context = json::id(body, "span_id").and_then(|id| spans.context(id));
    let _active = context.as_ref().map(ddtrace::Context::attach);
    let mut line = serde_json::Map::new();
    for key in ["logger_name", "level", "message"] {
        line.insert(key.to_owned(), body[key].clone());
    }
    if let Some(fields) = ddtrace::correlation::fields() {
        let fields = Fields::KEYS.iter().zip(fields.values());
        line.extend(fields.map(|(key, value)| ((*key).to_owned(), Value::String(value))));
    }
    let line = Value::Object(line);
    writeln!(std::io::stdout(), "{line}")
}
