//! `/model/{id}/invoke` and `/invoke-with-response-stream`: the body is whatever the model's maker chose.
//!
//! The families are told apart by the fields that a body has, not by the model's id, which may be that of a profile, a
//! router or an import and say nothing. A stream's events hold such a body each, in base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::super::exchange::{Exchange, Failure, Io, Recorded, message};
use super::super::json::{list, number, shown, text, truthy};
use super::super::streams::aws_frames;
use super::super::{anthropic, openai};
use super::converse;

/// Reads an exchange.
pub(crate) fn decode(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let family = Family::of(request);
    let mut exchange = match family {
        Family::Anthropic => anthropic::asked(recorded),
        Family::Nova => converse::asked(recorded),
        Family::OpenAi => openai::chat::decode(&Recorded {
            request: request.clone(),
            response: None,
            ..*recorded
        }),
        Family::Plain => plain_asked(request),
    };
    recorded
        .path_model
        .unwrap_or_default()
        .clone_into(&mut exchange.model_name);
    let Some(response) = &recorded.response else {
        return exchange;
    };
    if response.is_failure() {
        exchange.failure = Some(Failure::of_response(response));
    } else if response.media_type == "application/vnd.amazon.eventstream" {
        streamed(&mut exchange, family, response.body);
    } else {
        answered(&mut exchange, family, &response.json());
    }
    let (input, output) = response.header_tokens;
    if exchange.metrics.is_empty() {
        exchange.tokens(input, output);
    }
    // The answer's name of the model is the maker's; the one that was asked for is Amazon's.
    recorded
        .path_model
        .unwrap_or_default()
        .clone_into(&mut exchange.model_name);
    exchange
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Anthropic,
    /// Amazon's Nova, whose bodies are those of Converse.
    Nova,
    /// OpenAI's, DeepSeek's, AI21's and Mistral's newer ones.
    OpenAi,
    /// A text in, a text out.
    Plain,
}

impl Family {
    fn of(request: &Value) -> Self {
        let has = |key: &str| request.get(key).is_some();
        if has("anthropic_version") && has("messages") {
            Self::Anthropic
        } else if has("inferenceConfig")
            || request
                .pointer("/messages/0/content/0/text")
                .is_some_and(|_| request.pointer("/messages/0/content/0/type").is_none())
        {
            Self::Nova
        } else if has("messages") {
            Self::OpenAi
        } else {
            Self::Plain
        }
    }
}

fn plain_asked(request: &Value) -> Exchange {
    let asked = ["prompt", "inputText", "message"]
        .into_iter()
        .find_map(|key| truthy(request, key));
    let mut exchange = Exchange {
        input: Some(Io::Messages(vec![message(
            "",
            asked.map(shown).unwrap_or_default(),
        )])),
        ..Exchange::default()
    };
    let nested = request.get("textGenerationConfig").unwrap_or(request);
    let parameters = [
        ("temperature", ["temperature", "temperature", "temperature"]),
        ("top_p", ["top_p", "topP", "p"]),
        ("max_tokens", ["max_tokens", "maxTokenCount", "max_gen_len"]),
        (
            "max_tokens",
            ["max_tokens_to_sample", "maxTokens", "max_tokens"],
        ),
    ];
    for (to, from) in parameters {
        if let Some(value) = from.into_iter().find_map(|key| truthy(nested, key)) {
            exchange.metadata.insert(to.to_owned(), value.clone());
        }
    }
    exchange.no_answer();
    exchange
}

fn answered(exchange: &mut Exchange, family: Family, answer: &Value) {
    match family {
        Family::Anthropic => anthropic::answered(exchange, answer),
        Family::Nova => converse::answered(exchange, answer),
        Family::OpenAi | Family::Plain => plain_answered(exchange, answer),
    }
}

/// The text of an answer or of a piece of one, with the reason why it ended, for every family that we know.
fn told(answer: &Value) -> Vec<(String, String)> {
    let pair = |of: &Value, told: &Value, reasons: [&str; 3]| {
        let reason = reasons.into_iter().find_map(|key| truthy(of, key));
        (shown(told), reason.map(shown).unwrap_or_default())
    };
    // Titan, Cohere, Mistral, AI21's older ones, OpenAI's.
    let lists = [
        ("results", "/outputText"),
        ("generations", "/text"),
        ("outputs", "/text"),
        ("completions", "/data/text"),
        ("choices", "/message/content"),
        ("choices", "/delta/content"),
        ("choices", "/text"),
    ];
    for (key, at) in lists {
        let found: Vec<_> = list(answer, key)
            .iter()
            .filter_map(|item| {
                Some(pair(
                    item,
                    item.pointer(at)?,
                    ["completionReason", "finish_reason", "stop_reason"],
                ))
            })
            .collect();
        if !found.is_empty() {
            return found;
        }
    }
    // Llama, Anthropic's older ones, Titan's stream, Cohere's newer ones.
    for key in ["generation", "completion", "outputText", "text"] {
        if let Some(found) = answer.get(key).filter(|found| found.is_string()) {
            return vec![pair(
                answer,
                found,
                ["stop_reason", "completionReason", "finish_reason"],
            )];
        }
    }
    Vec::new()
}

fn plain_answered(exchange: &mut Exchange, answer: &Value) {
    let told = told(answer);
    exchange.failure = Failure::in_json(answer).filter(|_| told.is_empty());
    if told.is_empty() {
        return;
    }
    exchange.is_complete = true;
    exchange.finish_reasons(told.iter().map(|(_, reason)| reason.as_str()));
    let messages = told.iter().map(|(told, _)| message("", told.as_str()));
    exchange.output = Some(Io::Messages(messages.collect()));
    counted(exchange, answer);
}

/// Tokens, where the body has them.
fn counted(exchange: &mut Exchange, answer: &Value) {
    let usage = answer.get("usage").unwrap_or(answer);
    let input = number(
        usage,
        &[
            "prompt_tokens",
            "prompt_token_count",
            "inputTextTokenCount",
            "input_tokens",
        ],
    );
    let results = list(answer, "results").first().unwrap_or(&Value::Null);
    let output = number(
        usage,
        &[
            "completion_tokens",
            "generation_token_count",
            "totalOutputTextTokenCount",
            "output_tokens",
        ],
    )
    .or_else(|| number(results, &["tokenCount"]));
    exchange.tokens(input, output);
}

fn streamed(exchange: &mut Exchange, family: Family, body: &[u8]) {
    let mut events = Vec::new();
    let mut metrics = Value::Null;
    for frame in aws_frames(body) {
        let Ok(payload) = serde_json::from_slice::<Value>(frame.payload) else {
            continue;
        };
        if frame.is_exception {
            let (kind, message) = (frame.kind.to_owned(), text(&payload, "message").to_owned());
            exchange.failure = Some(Failure { kind, message });
            continue;
        }
        let inner = STANDARD.decode(text(&payload, "bytes")).ok();
        let inner = inner.and_then(|inner| serde_json::from_slice::<Value>(&inner).ok());
        let Some(inner) = inner else { continue };
        if let Some(found) = inner.get("amazon-bedrock-invocationMetrics") {
            metrics = found.clone();
        }
        events.push((inner, frame.end));
    }
    let failure = exchange.failure.take();
    match family {
        Family::Anthropic => anthropic::streamed(exchange, events.into_iter()),
        Family::Nova => {
            let events = events.into_iter().filter_map(|(event, end)| {
                // The kind is the one key of the event.
                let (kind, event) = event.as_object()?.iter().next()?;
                Some((kind.clone(), false, event.clone(), end))
            });
            converse::events_read(exchange, events);
        }
        Family::OpenAi | Family::Plain => plain_streamed(exchange, &events),
    }
    if failure.is_some() {
        exchange.failure = failure;
    }
    if exchange.metrics.is_empty() {
        let input = number(&metrics, &["inputTokenCount"]);
        exchange.tokens(input, number(&metrics, &["outputTokenCount"]));
    }
    exchange.is_complete |= metrics.is_object();
}

fn plain_streamed(exchange: &mut Exchange, events: &[(Value, usize)]) {
    let mut whole = String::new();
    let mut last = String::new();
    let mut any = false;
    for (event, end) in events {
        for (piece, reason) in told(event) {
            any = true;
            if !piece.is_empty() {
                exchange.content_at(*end);
                whole.push_str(&piece);
            }
            if !reason.is_empty() {
                last = reason;
            }
        }
    }
    if any {
        exchange.finish_reasons(std::iter::once(last.as_str()));
        exchange.output = Some(Io::Messages(vec![message("assistant", whole)]));
    }
}
