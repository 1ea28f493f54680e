//! `/responses`.
//!
//! A stream ends with an event that holds the whole response. If it does not get that far, what came until then is put
//! together from the items that were finished and the pieces of text of the one under way.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::exchange::{Exchange, Failure, Io, Recorded, message};
use super::super::json::{list, shown, text, truthy, without_nulls};
use super::super::streams::sse_frames;
use super::responses_items::{asked_messages, told_messages};
use super::{COMMON, prompt, tools, usage};

const PARAMETERS: [&str; 14] = [
    "background",
    "include",
    "max_output_tokens",
    "max_tool_calls",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "reasoning",
    "service_tier",
    "store",
    "text",
    "tool_choice",
    "top_logprobs",
    "truncation",
];

/// What the response says of parameters, which is what was in force.
const IN_FORCE: [&str; 7] = [
    "temperature",
    "max_output_tokens",
    "top_p",
    "tool_choice",
    "truncation",
    "text",
    "user",
];

/// Reads an exchange.
pub(crate) fn decode(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let mut exchange = Exchange {
        model_name: text(request, "model").to_owned(),
        ..Exchange::default()
    };
    let mut answer = Value::Null;
    if let Some(response) = &recorded.response {
        if response.is_failure() {
            exchange.failure = Some(Failure::of_response(response));
        } else if response.is_sse() {
            answer = streamed(&mut exchange, response.body);
        } else {
            answer = response.json();
            exchange.is_complete = answer.is_object();
        }
    }
    exchange.copy_metadata(request, &COMMON);
    exchange.copy_metadata(request, &PARAMETERS);
    asked(&mut exchange, recorded, &answer);
    exchange.tool_definitions = tools::definitions(list(request, "tools"));
    if answer.is_object() {
        answered(&mut exchange, &answer);
    } else {
        exchange.no_answer();
    }
    exchange
}

fn asked(exchange: &mut Exchange, recorded: &Recorded<'_>, answer: &Value) {
    let request = &recorded.request;
    // With a prompt that the provider keeps, what it came to is in the response.
    let kept = truthy(request, "prompt");
    let input = truthy(request, "input")
        .or_else(|| kept.and_then(|_| truthy(answer, "instructions")))
        .unwrap_or(&Value::Null);
    let mut messages = asked_messages(input, recorded.inline_limit);
    if let Some(instructions) = request.get("instructions") {
        messages.insert(0, message("system", shown(instructions)));
    }
    exchange.input = Some(Io::Messages(messages));
    exchange.prompt = kept.and_then(|kept| prompt::describe(kept, answer));
    exchange.prompt_is_multimodal = kept.is_some_and(prompt::is_multimodal);
}

fn answered(exchange: &mut Exchange, answer: &Value) {
    for key in IN_FORCE {
        if let Some(value) = answer.get(key).filter(|value| !value.is_null()) {
            exchange
                .metadata
                .insert(key.to_owned(), without_nulls(value));
        }
    }
    let details = answer.get("incomplete_details").unwrap_or(&Value::Null);
    exchange.finish_reasons(std::iter::once(text(details, "reason")));
    if let Some(model) = truthy(answer, "model") {
        exchange.model_name = shown(model);
    }
    if exchange.failure.is_none() {
        exchange.failure = Failure::in_json(answer);
    }
    usage::read(exchange, answer.get("usage").unwrap_or(&Value::Null));
    let (messages, definitions) = told_messages(list(answer, "output"));
    exchange.tool_definitions.extend(definitions);
    exchange.output = Some(Io::Messages(messages));
}

/// The response that a stream came to.
fn streamed(exchange: &mut Exchange, body: &[u8]) -> Value {
    let mut response = Value::Null;
    let mut items: BTreeMap<u64, Value> = BTreeMap::new();
    let mut texts: BTreeMap<u64, String> = BTreeMap::new();
    for frame in sse_frames(body) {
        let Ok(mut event) = serde_json::from_str::<Value>(&frame.data) else {
            continue;
        };
        let kind = text(&event, "type").to_owned();
        let index = event.get("output_index").and_then(Value::as_u64);
        let index = index.unwrap_or(0);
        match kind.as_str() {
            "response.completed" | "response.incomplete" | "response.failed" => {
                exchange.is_complete = true;
            }
            "response.output_text.delta" | "response.refusal.delta" => {
                texts
                    .entry(index)
                    .or_default()
                    .push_str(text(&event, "delta"));
            }
            "response.output_item.done" => {
                items.insert(
                    index,
                    event.get_mut("item").map(Value::take).unwrap_or_default(),
                );
            }
            "error" => {
                // The error's own type is not told, its code is.
                let code = truthy(&event, "code").map(shown);
                exchange.failure = Failure::in_json(&event).map(|failure| Failure {
                    kind: code.unwrap_or(failure.kind),
                    ..failure
                });
            }
            _ => {}
        }
        if kind.ends_with(".delta") {
            exchange.content_at(frame.end);
        }
        if let Some(whole) = event.get_mut("response").filter(|whole| whole.is_object()) {
            response = whole.take();
        }
    }
    if !exchange.is_complete && response.is_object() {
        for (index, told) in texts {
            items.entry(index).or_insert_with(|| {
                json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": told}]})
            });
        }
        response["output"] = items.into_values().collect();
    }
    response
}
