//! Exchanges written by hand from the providers' public schemas, and what becomes of them.
//!
//! What is expected is what the dossier says: its four examples in full, its rules for the rest.

mod bad_weather;
mod openai;
mod others;

use serde_json::{Map, Value, json};

use super::call::{self, Call};
use super::exchange::{Exchange, Io, Recorded, Response};

/// What a call was and what became of it.
pub(super) struct Case<'a> {
    url: &'a str,
    request: Value,
    status: u16,
    media_type: &'a str,
    body: Vec<u8>,
}

pub(super) const JSON: &str = "application/json";
pub(super) const SSE: &str = "text/event-stream";

impl Case<'_> {
    fn decode(&self) -> (Call<'_>, Exchange) {
        let call = call::recognise(self.url, || self.request.get("model").is_some());
        let call = call.expect("a call of a model");
        let response = Response {
            status: self.status,
            body: &self.body,
            media_type: self.media_type,
            header_tokens: (None, None),
        };
        let exchange = (call.decode)(&Recorded {
            request: self.request.clone(),
            response: (self.status != 0).then_some(response),
            path_model: call.path_model.as_deref(),
            inline_limit: 4_000_000,
        });
        (call, exchange)
    }

    /// The event as the dossier prints it: name, status, meta without error, metrics.
    pub(super) fn event(&self) -> Value {
        let (call, exchange) = self.decode();
        event(&call, &exchange)
    }
}

/// An answer in one piece.
pub(super) fn answer<'a>(url: &'a str, request: Value, body: &Value) -> Case<'a> {
    Case {
        url,
        request,
        status: 200,
        media_type: JSON,
        body: body.to_string().into_bytes(),
    }
}

/// An answer in server-sent events, each with the name that its `type` has.
pub(super) fn stream<'a>(url: &'a str, request: Value, events: &[Value]) -> Case<'a> {
    let event = |event: &Value| match event.get("type").and_then(Value::as_str) {
        Some(kind) => format!("event: {kind}\ndata: {event}\n\n"),
        None => format!("data: {event}\n\n"),
    };
    Case {
        url,
        request,
        status: 200,
        media_type: SSE,
        body: events.iter().map(event).collect::<String>().into_bytes(),
    }
}

pub(super) fn event(call: &Call<'_>, exchange: &Exchange) -> Value {
    let whole = |number: f64| match number.fract() {
        0.0 => json!(number as i64),
        _ => json!(number),
    };
    let io = |io: &Io| match io {
        Io::Messages(messages) => json!({"messages": messages}),
        Io::Documents(documents) => json!({"documents": documents}),
        Io::Value(value) => json!({"value": value}),
    };
    let mut meta = json!({
        "span": {"kind": call.kind.as_str()},
        "metadata": exchange.metadata,
        "model_name": exchange.model_name,
        "model_provider": call.provider,
    });
    for (key, side) in [("input", &exchange.input), ("output", &exchange.output)] {
        if let Some(side) = side {
            meta[key] = io(side);
        }
    }
    if !exchange.tool_definitions.is_empty() {
        meta["tool_definitions"] = json!(exchange.tool_definitions);
    }
    let metrics: Map<String, Value> = exchange
        .metrics
        .iter()
        .map(|(&key, &value)| (key.to_owned(), whole(value)))
        .collect();
    let status = if exchange.failure.is_some() {
        "error"
    } else {
        "ok"
    };
    json!({"name": call.name, "status": status, "meta": meta, "metrics": metrics})
}
