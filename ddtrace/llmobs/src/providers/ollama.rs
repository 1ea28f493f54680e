//! Ollama's own API: `/api/chat`, `/api/generate`, `/api/embed`. It also speaks OpenAI's, under `/v1`.
//!
//! Answers stream unless the request says otherwise, a line of JSON each; the last line has the counts and the times.

use serde_json::{Map, Value, json};

use super::exchange::{Exchange, Failure, Io, Recorded, message, tool_call, tool_result};
use super::json::{arguments, elements, list, number, shown, text, truthy};
use super::openai::embeddings::returned;
use super::streams::json_values;

/// Parameters beside `options`.
const PARAMETERS: [&str; 5] = ["stream", "format", "keep_alive", "think", "raw"];

/// Times that the last line tells, in nanoseconds, and what we call them, in seconds.
const TIMES: [(&str, &str); 4] = [
    ("load_duration", "time_in_queue"),
    ("prompt_eval_duration", "time_in_model_prefill"),
    ("eval_duration", "time_in_model_decode"),
    ("total_duration", "time_in_model_inference"),
];

/// Reads `/api/chat`.
pub(crate) fn chat(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let asked = list(request, "messages").iter();
    let asked = asked
        .map(|asked| of_chat(asked, recorded.inline_limit))
        .collect();
    let mut exchange = begin(request, asked);
    let tools = list(request, "tools").iter().map(|tool| {
        let function = tool.get("function").unwrap_or(&Value::Null);
        json!({
            "name": text(function, "name"),
            "description": text(function, "description"),
            "schema": function.get("parameters").cloned().unwrap_or_else(|| json!({})),
        })
    });
    exchange.tool_definitions = tools.collect();
    let mut whole = json!({"role": "assistant", "content": "", "thinking": ""});
    answered(&mut exchange, recorded, |line| {
        let piece = line.get("message").unwrap_or(&Value::Null);
        merge(&mut whole, piece)
    });
    told(&mut exchange, &whole);
    exchange
}

/// Reads `/api/generate`.
pub(crate) fn generate(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let mut asked = Vec::new();
    if let Some(system) = truthy(request, "system") {
        asked.push(message("system", shown(system)));
    }
    let mut prompt = message("user", text(request, "prompt"));
    images(&mut prompt, request, recorded.inline_limit);
    asked.push(prompt);
    let mut exchange = begin(request, asked);
    let mut whole = json!({"role": "assistant", "content": "", "thinking": ""});
    answered(&mut exchange, recorded, |line| {
        let piece = json!({"content": text(line, "response"), "thinking": text(line, "thinking")});
        merge(&mut whole, &piece)
    });
    told(&mut exchange, &whole);
    exchange
}

/// Reads `/api/embed`.
pub(crate) fn embed(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let mut exchange = begin(request, Vec::new());
    let document = |input: &Value| json!({"text": shown(input)});
    let documents = match request.get("input") {
        Some(Value::Array(inputs)) => inputs.iter().map(document).collect(),
        input => vec![document(input.unwrap_or(&Value::Null))],
    };
    exchange.input = Some(Io::Documents(documents));
    exchange.output = None;
    let Some(response) = &recorded.response else {
        return exchange;
    };
    if response.is_failure() {
        exchange.failure = Some(Failure::of_response(response));
        return exchange;
    }
    let answer = response.json();
    let embeddings = list(&answer, "embeddings");
    if let Some(first) = embeddings.first() {
        exchange.is_complete = true;
        let size = elements(Some(first)).len();
        exchange.output = Some(Io::Value(returned(embeddings.len(), Some(size))));
    }
    finished(&mut exchange, &answer);
    exchange
}

fn begin(request: &Value, asked: Vec<Value>) -> Exchange {
    let mut exchange = Exchange {
        model_name: text(request, "model").to_owned(),
        input: Some(Io::Messages(asked)),
        ..Exchange::default()
    };
    exchange.copy_metadata(request, &PARAMETERS);
    let options = request.get("options").and_then(Value::as_object);
    exchange
        .metadata
        .extend(options.cloned().unwrap_or_else(Map::new));
    exchange.no_answer();
    exchange
}

fn of_chat(asked: &Value, limit: usize) -> Value {
    let role = text(asked, "role");
    if role == "tool" {
        // Newer servers call it `tool_name`.
        let name = truthy(asked, "tool_name").or_else(|| truthy(asked, "name"));
        let result = tool_result(
            Some(&name.map(shown).unwrap_or_default()),
            text(asked, "content").to_owned(),
            text(asked, "tool_call_id"),
            "tool_result",
        );
        let mut found = message(role, "");
        found["tool_results"] = json!([result]);
        return found;
    }
    let mut found = message(role, text(asked, "content"));
    calls(&mut found, asked);
    images(&mut found, asked, limit);
    found
}

fn calls(message: &mut Value, source: &Value) {
    let calls: Vec<Value> = list(source, "tool_calls")
        .iter()
        .map(|call| {
            let function = call.get("function").unwrap_or(&Value::Null);
            let sent = arguments(function.get("arguments"));
            tool_call(text(function, "name"), sent, text(call, "id"), "function")
        })
        .collect();
    if !calls.is_empty() {
        message["tool_calls"] = Value::from(calls);
    }
}

/// Images come as data without a media type; the first bytes tell it.
fn images(message: &mut Value, source: &Value, limit: usize) {
    let parts: Vec<Value> = list(source, "images")
        .iter()
        .filter_map(Value::as_str)
        .filter(|data| data.is_ascii() && !data.is_empty() && data.len() <= limit)
        .map(|data| {
            let mime_type = match data {
                _ if data.starts_with("/9j/") => "image/jpeg",
                _ if data.starts_with("R0lG") => "image/gif",
                _ if data.starts_with("UklG") => "image/webp",
                _ => "image/png",
            };
            json!({"mime_type": mime_type, "content": data})
        })
        .collect();
    if !parts.is_empty() {
        message["image_parts"] = Value::from(parts);
    }
}

/// Reads the lines of an answer. `take` keeps what a line says and tells whether that was content.
fn answered(
    exchange: &mut Exchange,
    recorded: &Recorded<'_>,
    mut take: impl FnMut(&Value) -> bool,
) {
    let Some(response) = &recorded.response else {
        return;
    };
    if response.is_failure() {
        exchange.failure = Some(Failure::of_response(response));
        return;
    }
    let is_stream = recorded.request.get("stream") != Some(&Value::Bool(false));
    for (line, end) in json_values(response.body) {
        if let Some(failure) = Failure::in_json(&line).filter(|_| line.get("error").is_some()) {
            exchange.failure = Some(failure);
        }
        if take(&line) && is_stream {
            exchange.content_at(end);
        }
        if line.get("done") == Some(&Value::Bool(true)) {
            exchange.is_complete = true;
            exchange.finish_reasons(std::iter::once(text(&line, "done_reason")));
            finished(exchange, &line);
        } else if let Some(model) = truthy(&line, "model") {
            exchange.model_name = shown(model);
        }
    }
}

/// What the last line tells: the model, counts and times.
fn finished(exchange: &mut Exchange, line: &Value) {
    if let Some(model) = truthy(line, "model") {
        exchange.model_name = shown(model);
    }
    let input = number(line, &["prompt_eval_count"]);
    exchange.tokens(input, number(line, &["eval_count"]));
    for (from, to) in TIMES {
        let seconds = number(line, &[from]).map(|nanoseconds| nanoseconds / 1e9);
        exchange.metric(to, seconds);
    }
}

/// Adds a piece to the whole; says whether there was content in it.
fn merge(whole: &mut Value, piece: &Value) -> bool {
    let mut has_content = false;
    for key in ["content", "thinking"] {
        let told = text(piece, key);
        if let Some(Value::String(so_far)) = whole.get_mut(key).filter(|_| !told.is_empty()) {
            so_far.push_str(told);
            has_content = true;
        }
    }
    let calls = list(piece, "tool_calls");
    if !calls.is_empty() {
        let mut all = list(whole, "tool_calls").to_vec();
        all.extend_from_slice(calls);
        whole["tool_calls"] = Value::from(all);
        has_content = true;
    }
    has_content
}

fn told(exchange: &mut Exchange, whole: &Value) {
    let mut output = Vec::new();
    if let Some(thought) = truthy(whole, "thinking") {
        output.push(message("reasoning", shown(thought)));
    }
    let mut answer = message("assistant", text(whole, "content"));
    calls(&mut answer, whole);
    output.push(answer);
    let is_empty = output.len() == 1 && output[0] == message("assistant", "");
    if !is_empty || exchange.is_complete {
        exchange.output = Some(Io::Messages(output));
    }
}
