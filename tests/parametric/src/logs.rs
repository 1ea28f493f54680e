//! The endpoints for logs: loggers are names, and lines go to standard output with the ids of the span that is active.

use std::io::Write;

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
    let ids = ddtrace::active_ids();
    let line = json!({
        "logger": body["logger_name"],
        "level": body["level"],
        "message": body["message"],
        "dd.trace_id": ids.map(|(trace_id, ..)| trace_id.to_string()),
        "dd.span_id": ids.map(|(_, span_id, _)| span_id.to_string()),
    });
    writeln!(std::io::stdout(), "{line}")
}
