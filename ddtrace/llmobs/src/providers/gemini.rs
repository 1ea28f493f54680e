//! Google's Gemini API and the models of Vertex: `…:generateContent`, `…:embedContent` and their kin.
//!
//! The API takes every field in two spellings, `generationConfig` and `generation_config`; so do the functions here.

use serde_json::{Value, json};

use super::exchange::{Exchange, Failure, Io, Recorded, Response, message, tool_call, tool_result};
use super::json::{arguments, elements, first_chars, number, shown, text, truthy};
use super::openai::embeddings::returned;
use super::streams::{json_values, sse_frames};
use crate::json_text::json_text;

/// Who made a model, by how its name begins.
const MAKERS: [(&str, &str); 17] = [
    ("gemini", "google"),
    ("imagen", "google"),
    ("veo", "google"),
    ("text-embedding", "google"),
    ("jamba", "ai21"),
    ("claude", "anthropic"),
    ("llama", "meta"),
    ("mistral", "mistral"),
    ("codestral", "mistral"),
    ("deepseek", "deepseek"),
    ("olmo", "ai2"),
    ("tulu", "ai2"),
    ("molmo", "ai2"),
    ("specter", "ai2"),
    ("cosmoo", "ai2"),
    ("qodo", "qodo"),
    ("mars", "camb.ai"),
];

/// Parameters of a generation: as the request spells them, and as metadata does.
const PARAMETERS: [(&str, &str); 13] = [
    ("temperature", "temperature"),
    ("topP", "top_p"),
    ("topK", "top_k"),
    ("candidateCount", "candidate_count"),
    ("maxOutputTokens", "max_output_tokens"),
    ("stopSequences", "stop_sequences"),
    ("responseLogprobs", "response_logprobs"),
    ("logprobs", "logprobs"),
    ("presencePenalty", "presence_penalty"),
    ("frequencyPenalty", "frequency_penalty"),
    ("seed", "seed"),
    ("responseMimeType", "response_mime_type"),
    ("safetySettings", "safety_settings"),
];

const EMBEDDING_PARAMETERS: [(&str, &str); 5] = [
    ("taskType", "task_type"),
    ("title", "title"),
    ("outputDimensionality", "output_dimensionality"),
    ("mimeType", "mime_type"),
    ("autoTruncate", "auto_truncate"),
];

/// Who made a model.
pub(super) fn provider_of(model: &str) -> &'static str {
    let model = model.to_ascii_lowercase();
    MAKERS
        .iter()
        .find(|(prefix, _)| model.starts_with(prefix))
        .map_or("unknown", |&(_, maker)| maker)
}

/// A field in one of its two spellings.
fn field<'a>(value: &'a Value, camel: &str, snake: &str) -> &'a Value {
    let found = value.get(camel).or_else(|| value.get(snake));
    found.unwrap_or(&Value::Null)
}

fn parameters(exchange: &mut Exchange, from: &Value, names: &[(&str, &str)]) {
    for (camel, snake) in names {
        let value = field(from, camel, snake);
        if !value.is_null() {
            exchange.metadata.insert((*snake).to_owned(), value.clone());
        }
    }
}

/// Reads an exchange that generates content.
pub(crate) fn generate(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let mut exchange = Exchange {
        model_name: recorded.path_model.unwrap_or_default().to_owned(),
        ..Exchange::default()
    };
    parameters(
        &mut exchange,
        field(request, "generationConfig", "generation_config"),
        &PARAMETERS,
    );
    parameters(
        &mut exchange,
        request,
        &[("safetySettings", "safety_settings")],
    );
    let system = field(request, "systemInstruction", "system_instruction");
    let mut input = Vec::new();
    if !system.is_null() {
        add_parts(system, "system", &mut input);
    }
    for content in elements(request.get("contents")) {
        add_parts(content, "user", &mut input);
    }
    exchange.input = Some(Io::Messages(input));
    exchange.output = Some(Io::Messages(vec![message("assistant", "")]));
    exchange.tool_definitions = elements(request.get("tools"))
        .iter()
        .flat_map(|tool| {
            elements(Some(field(
                tool,
                "functionDeclarations",
                "function_declarations",
            )))
        })
        .map(definition)
        .collect();
    if let Some(response) = &recorded.response {
        if response.is_failure() {
            exchange.failure = Some(Failure::of_response(response));
        } else {
            answered(&mut exchange, response);
        }
    }
    exchange
}

fn definition(function: &Value) -> Value {
    let schema = [
        function.get("parameters"),
        Some(field(
            function,
            "parametersJsonSchema",
            "parameters_json_schema",
        )),
    ];
    let schema = schema
        .into_iter()
        .flatten()
        .find(|schema| schema.is_object());
    json!({
        "name": text(function, "name"),
        "description": text(function, "description"),
        "schema": schema.cloned().unwrap_or_else(|| json!({})),
    })
}

/// A message of its own for every part.
fn add_parts(content: &Value, default_role: &str, messages: &mut Vec<Value>) {
    let role = truthy(content, "role").and_then(Value::as_str);
    let role = role.unwrap_or(default_role);
    match content {
        Value::String(told) => messages.push(message(role, told.as_str())),
        _ => messages.extend(
            elements(content.get("parts"))
                .iter()
                .map(|part| part_message(part, role)),
        ),
    }
}

fn part_message(part: &Value, role: &str) -> Value {
    let role = match role {
        _ if truthy(part, "thought").is_some() => "reasoning",
        // As other providers call it.
        "model" => "assistant",
        role => role,
    };
    let told = text(part, "text");
    if !told.is_empty() {
        return message(role, told);
    }
    let call = field(part, "functionCall", "function_call");
    if call.is_object() {
        let call = tool_call(
            text(call, "name"),
            arguments(call.get("args")),
            text(call, "id"),
            "function_call",
        );
        return json!({"role": role, "tool_calls": [call]});
    }
    let response = field(part, "functionResponse", "function_response");
    if response.is_object() {
        let result = response.get("response").map(shown).unwrap_or_default();
        let result = tool_result(
            Some(text(response, "name")),
            result,
            text(response, "id"),
            "function_response",
        );
        return json!({"role": role, "tool_results": [result]});
    }
    message(role, other_part(part))
}

/// What stands for a part that is neither text nor about a function.
fn other_part(part: &Value) -> String {
    let code = field(part, "executableCode", "executable_code");
    if code.is_object() {
        return json_text(&json!({"language": text(code, "language"), "code": text(code, "code")}));
    }
    let result = field(part, "codeExecutionResult", "code_execution_result");
    if result.is_object() {
        return json_text(
            &json!({"outcome": text(result, "outcome"), "output": text(result, "output")}),
        );
    }
    let inline = field(part, "inlineData", "inline_data");
    if inline.is_object() {
        let kind = field(inline, "mimeType", "mime_type");
        return described("inline data", kind.as_str().unwrap_or_default());
    }
    let file = field(part, "fileData", "file_data");
    if file.is_object() {
        let address = field(file, "fileUri", "file_uri")
            .as_str()
            .unwrap_or_default();
        let kind = field(file, "mimeType", "mime_type")
            .as_str()
            .unwrap_or_default();
        return described("file data", if address.is_empty() { kind } else { address });
    }
    // An empty part, or one that holds nothing but the signature of a thought.
    String::new()
}

fn described(what: &str, which: &str) -> String {
    if which.is_empty() {
        format!("[{what}]")
    } else {
        format!("[{what}: {}]", first_chars(which, 1000))
    }
}

/// Reads an answer: in one piece, in events, or as an array that grows.
fn answered(exchange: &mut Exchange, response: &Response<'_>) {
    let mut pieces = Vec::new();
    if response.is_sse() {
        for frame in sse_frames(response.body) {
            if let Ok(piece) = serde_json::from_str(&frame.data) {
                pieces.push((piece, frame.end));
            }
        }
    } else {
        pieces.extend(json_values(response.body));
    }
    let is_stream = response.is_sse() || pieces.len() > 1;
    // Messages, and whether they are a text that may go on.
    let mut output: Vec<(Value, bool)> = Vec::new();
    let mut reasons = Vec::new();
    let mut usage = Value::Null;
    for (piece, end) in &pieces {
        if let Some(failure) = Failure::in_json(piece) {
            exchange.failure = Some(failure);
        }
        if let Some(model) = field(piece, "modelVersion", "model_version").as_str() {
            exchange.model_name = model.to_owned();
        }
        let used = field(piece, "usageMetadata", "usage_metadata");
        if used.is_object() {
            usage = used.clone();
        }
        for candidate in elements(piece.get("candidates")) {
            let content = candidate.get("content").unwrap_or(&Value::Null);
            let role = truthy(content, "role").and_then(Value::as_str);
            for part in elements(content.get("parts")) {
                let is_text = truthy(part, "text").is_some();
                let told = part_message(part, role.unwrap_or("assistant"));
                if is_stream {
                    exchange.content_at(*end);
                }
                match output.last_mut() {
                    Some((last, true)) if is_stream && is_text && last["role"] == told["role"] => {
                        append(last, &told)
                    }
                    _ => output.push((told, is_text)),
                }
            }
            if let Some(reason) = field(candidate, "finishReason", "finish_reason").as_str() {
                exchange.is_complete = true;
                reasons.push(reason.to_ascii_lowercase());
            }
        }
    }
    exchange.finish_reasons(reasons.iter().map(String::as_str));
    tokens(exchange, &usage);
    if !output.is_empty() {
        let messages = output.into_iter().map(|(message, _)| message);
        exchange.output = Some(Io::Messages(messages.collect()));
    }
}

/// Adds a text to the one before it.
fn append(message: &mut Value, piece: &Value) {
    if let Some(Value::String(content)) = message.get_mut("content") {
        content.push_str(text(piece, "content"));
    }
}

fn tokens(exchange: &mut Exchange, usage: &Value) {
    let of = |camel: &str, snake: &str| number(usage, &[camel, snake]);
    let input = of("promptTokenCount", "prompt_token_count");
    let told = of("candidatesTokenCount", "candidates_token_count");
    let thought = of("thoughtsTokenCount", "thoughts_token_count");
    let output = told.map(|told| told + thought.unwrap_or(0.0)).or(thought);
    exchange.tokens(input, output);
    let total = of("totalTokenCount", "total_token_count");
    exchange.metric("total_tokens", total.filter(|total| *total > 0.0));
    let cached = of("cachedContentTokenCount", "cached_content_token_count");
    exchange.metric("cache_read_input_tokens", cached);
    exchange.metric("reasoning_output_tokens", thought);
}

/// Reads an exchange that makes embeddings, of one content or several.
pub(crate) fn embed(recorded: &Recorded<'_>) -> Exchange {
    let request = &recorded.request;
    let mut exchange = Exchange {
        model_name: recorded.path_model.unwrap_or_default().to_owned(),
        ..Exchange::default()
    };
    let many = elements(request.get("requests"));
    let requests = if many.is_empty() {
        std::slice::from_ref(request)
    } else {
        many
    };
    let mut input = Vec::new();
    for one in requests {
        parameters(&mut exchange, one, &EMBEDDING_PARAMETERS);
        add_parts(
            one.get("content").unwrap_or(&Value::Null),
            "user",
            &mut input,
        );
    }
    let documents = input
        .iter()
        .map(|part| json!({"text": text(part, "content")}));
    exchange.input = Some(Io::Documents(documents.collect()));
    exchange.output = Some(Io::Value(String::new()));
    let Some(response) = &recorded.response else {
        return exchange;
    };
    if response.is_failure() {
        exchange.failure = Some(Failure::of_response(response));
        return exchange;
    }
    let answer = response.json();
    let one = answer.get("embedding").map(std::slice::from_ref);
    let embeddings = one.unwrap_or(elements(answer.get("embeddings")));
    let Some(first) = embeddings.first() else {
        return exchange;
    };
    exchange.is_complete = true;
    let size = elements(first.get("values")).len();
    exchange.output = Some(Io::Value(returned(embeddings.len(), Some(size))));
    let counted = embeddings.iter().filter_map(|embedding| {
        let statistics = embedding.get("statistics")?;
        number(statistics, &["tokenCount", "token_count"])
    });
    let input: f64 = counted.sum();
    exchange.metric("input_tokens", (input > 0.0).then_some(input));
    let metadata = answer.get("metadata").unwrap_or(&Value::Null);
    let billable = number(
        metadata,
        &["billableCharacterCount", "billable_character_count"],
    );
    exchange.metric("billable_character_count", billable);
    exchange
}
