//! `/chat/completions`.

use serde_json::Value;

use super::super::exchange::{Exchange, Failure, Io, Recorded, message};
use super::super::json::{list, shown, text, truthy};
use super::parts::{Parts, audio_part};
use super::{COMMON, chat_stream, tools, usage};

const PARAMETERS: [&str; 22] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream_options",
    "tool_choice",
    "top_logprobs",
    "web_search_options",
];

/// Reads an exchange.
pub(crate) fn decode(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let mut exchange = Exchange {
        model_name: text(request, "model").to_owned(),
        ..Exchange::default()
    };
    let input = list(request, "messages");
    let input = input
        .iter()
        .map(|asked| asked_message(asked, recorded.inline_limit));
    exchange.input = Some(Io::Messages(input.collect()));
    exchange.copy_metadata(request, &COMMON);
    exchange.copy_metadata(request, &PARAMETERS);
    exchange.tool_definitions = tools::definitions(list(request, "tools"));
    exchange
        .tool_definitions
        .extend(tools::definitions(list(request, "functions")));
    exchange.no_answer();
    let Some(response) = &recorded.response else {
        return exchange;
    };
    if response.is_failure() {
        exchange.failure = Some(Failure::of_response(response));
    } else if response.is_sse() {
        chat_stream::decode(&mut exchange, response.body);
    } else {
        let answer = response.json();
        exchange.failure = Failure::in_json(&answer);
        answered(&mut exchange, request, &answer);
    }
    exchange
}

/// A message that was sent to the model.
fn asked_message(asked: &Value, limit: usize) -> Value {
    let (content, parts) = match asked.get("content") {
        Some(Value::Array(parts)) => {
            let mut parts = Parts::of_chat(parts, limit);
            (std::mem::take(&mut parts.texts).join("\n"), parts)
        }
        content => (content.map(shown).unwrap_or_default(), Parts::default()),
    };
    let mut sent = message(text(asked, "role"), content);
    parts.attach(&mut sent);
    tools::add(&mut sent, asked);
    sent
}

fn answered(exchange: &mut Exchange, request: &Value, answer: &Value) {
    let choices = list(answer, "choices");
    if !answer.is_object() || choices.is_empty() {
        return;
    }
    exchange.is_complete = true;
    if let Some(model) = truthy(answer, "model") {
        exchange.model_name = shown(model);
    }
    let format = request.get("audio").map(|audio| text(audio, "format"));
    let mut output = Vec::new();
    for choice in choices {
        let told = choice.get("message").unwrap_or(&Value::Null);
        output.extend(reasoning(told));
        output.push(choice_message(told, format.unwrap_or_default()));
    }
    exchange.output = Some(Io::Messages(output));
    exchange.finish_reasons(choices.iter().map(|choice| text(choice, "finish_reason")));
    usage::read(exchange, answer.get("usage").unwrap_or(&Value::Null));
}

/// What the model thought before it answered, where it says so.
pub(super) fn reasoning(told: &Value) -> Option<Value> {
    // Two names for the same: DeepSeek's, and that of OpenRouter and newer servers.
    let thought = truthy(told, "reasoning_content").or_else(|| truthy(told, "reasoning"));
    Some(message("reasoning", thought?.as_str()?))
}

fn choice_message(told: &Value, audio_format: &str) -> Value {
    let mut content = told.get("content").map(shown).unwrap_or_default();
    let audio = truthy(told, "audio");
    if let (true, Some(audio)) = (content.is_empty(), audio) {
        content = text(audio, "transcript").to_owned();
    }
    if content.is_empty() {
        content = text(told, "refusal").to_owned();
    }
    let mut answered = message(text(told, "role"), content);
    let data = audio.map(|audio| text(audio, "data")).unwrap_or_default();
    if !data.is_empty() {
        answered["audio_parts"] = Value::from(vec![audio_part(data, audio_format)]);
    }
    tools::add(&mut answered, told);
    answered
}
