//! `/completions`: the older interface, text in and text out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::exchange::{Exchange, Failure, Io, Recorded, message};
use super::super::json::{list, shown, text, truthy};
use super::super::streams::sse_frames;
use super::{COMMON, DONE, usage};

const PARAMETERS: [&str; 12] = [
    "best_of",
    "echo",
    "frequency_penalty",
    "logit_bias",
    "logprobs",
    "max_tokens",
    "n",
    "presence_penalty",
    "seed",
    "stop",
    "stream_options",
    "suffix",
];

/// Reads an exchange.
pub(crate) fn decode(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let mut exchange = Exchange {
        model_name: text(request, "model").to_owned(),
        input: Some(Io::Messages(prompts(request.get("prompt")))),
        ..Exchange::default()
    };
    exchange.copy_metadata(request, &COMMON);
    exchange.copy_metadata(request, &PARAMETERS);
    exchange.no_answer();
    let Some(response) = &recorded.response else {
        return exchange;
    };
    if response.is_failure() {
        exchange.failure = Some(Failure::of_response(response));
    } else if response.is_sse() {
        streamed(&mut exchange, response.body);
    } else {
        let answer = response.json();
        exchange.failure = Failure::in_json(&answer);
        let choices = list(&answer, "choices");
        if !choices.is_empty() {
            exchange.is_complete = true;
            let texts = choices.iter().map(|choice| content(text(choice, "text")));
            exchange.output = Some(Io::Messages(texts.collect()));
            exchange.finish_reasons(choices.iter().map(|choice| text(choice, "finish_reason")));
        }
        model(&mut exchange, &answer);
        usage::read(&mut exchange, answer.get("usage").unwrap_or(&Value::Null));
    }
    exchange
}

/// One prompt, several, or one in tokens.
fn prompts(prompt: Option<&Value>) -> Vec<Value> {
    match prompt {
        Some(Value::Array(prompts)) if prompts.first().is_some_and(|first| !first.is_number()) => {
            prompts
                .iter()
                .map(|prompt| content(&shown(prompt)))
                .collect()
        }
        Some(prompt) => vec![content(&shown(prompt))],
        None => vec![content("")],
    }
}

/// A message that nobody in particular says.
fn content(text: &str) -> Value {
    message("", text)
}

fn model(exchange: &mut Exchange, answer: &Value) {
    if let Some(model) = truthy(answer, "model") {
        exchange.model_name = shown(model);
    }
}

fn streamed(exchange: &mut Exchange, body: &[u8]) {
    let mut choices: BTreeMap<u64, (String, String)> = BTreeMap::new();
    let mut last_usage = Value::Null;
    for frame in sse_frames(body) {
        if frame.data == DONE {
            exchange.is_complete = true;
            break;
        }
        let Ok(chunk) = serde_json::from_str::<Value>(&frame.data) else {
            continue;
        };
        if let Some(failure) = Failure::in_json(&chunk) {
            exchange.failure = Some(failure);
        }
        model(exchange, &chunk);
        if let Some(usage) = truthy(&chunk, "usage") {
            last_usage = usage.clone();
        }
        for piece in list(&chunk, "choices") {
            let index = piece.get("index").and_then(Value::as_u64).unwrap_or(0);
            let (told, reason) = choices.entry(index).or_default();
            told.push_str(text(piece, "text"));
            if let Some(found) = truthy(piece, "finish_reason") {
                *reason = shown(found);
            }
            if truthy(piece, "text").is_some() {
                exchange.content_at(frame.end);
            }
        }
    }
    usage::read(exchange, &last_usage);
    if !choices.is_empty() {
        exchange.finish_reasons(choices.values().map(|(_, reason)| reason.as_str()));
        let texts = choices.values().map(|(told, _)| content(told));
        exchange.output = Some(Io::Messages(texts.collect()));
    }
}
