//! OpenAI's shape: chat, completions, responses, embeddings.

use serde_json::{Value, json};

use crate::ask::{Ask, content, list, text, words};
use crate::reply::Reply;

/// What a chat, a completion or a request of the Responses API asks.
pub(crate) fn read(body: &Value) -> Ask {
    let mut ask = Ask {
        model: text(body, "model").to_owned(),
        stream: body.get("stream") == Some(&Value::Bool(true)),
        stream_usage: body.pointer("/stream_options/include_usage") == Some(&Value::Bool(true)),
        ..Ask::default()
    };
    if let Some(instructions) = body.get("instructions").and_then(Value::as_str) {
        ask.say("system", instructions.to_owned());
    }
    for key in ["prompt", "input"] {
        if let Some(said) = body.get(key).and_then(Value::as_str) {
            ask.say("user", said.to_owned());
        }
    }
    for said in list(body, "messages") {
        ask.say(text(said, "role"), content(said.get("content")));
    }
    for item in list(body, "input") {
        match text(item, "type") {
            "function_call_output" => ask.say("tool", text(item, "output").to_owned()),
            _ if item.get("role").is_some() => {
                ask.say(text(item, "role"), content(item.get("content")))
            }
            _ => {}
        }
    }
    for tool in list(body, "tools") {
        let function = tool.get("function").unwrap_or(tool);
        ask.tools.push(text(function, "name").to_owned());
    }
    ask
}

fn usage(ask: &Ask, reply: &Reply) -> Value {
    let (input, output) = (ask.tokens(), reply.tokens());
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": words(&reply.thought)},
    })
}

fn finish_reason(reply: &Reply) -> &'static str {
    if reply.call.is_some() {
        "tool_calls"
    } else {
        "stop"
    }
}

/// A chat's answer in one piece.
pub(crate) fn chat(ask: &Ask, reply: &Reply) -> Value {
    let mut message = json!({"role": "assistant", "content": reply.text});
    if let Some((tool, arguments)) = &reply.call {
        message["content"] = Value::Null;
        message["tool_calls"] = json!([{"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments}}]);
    }
    if !reply.thought.is_empty() {
        message["reasoning_content"] = Value::from(reply.thought.as_str());
    }
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": format!("{}-0001", ask.model),
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason(reply)}],
        "usage": usage(ask, reply),
    })
}

/// A chat's answer in pieces.
pub(crate) fn chat_events(ask: &Ask, reply: &Reply) -> Vec<String> {
    let event = |choices: Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": format!("{}-0001", ask.model), "choices": choices,
        })
    };
    let piece = |delta: Value, reason: Option<&str>| {
        event(json!([{"index": 0, "delta": delta, "finish_reason": reason}]))
    };
    let mut events = vec![piece(json!({"role": "assistant", "content": ""}), None)];
    if !reply.thought.is_empty() {
        events.push(piece(json!({"reasoning_content": reply.thought}), None));
    }
    events.extend(
        reply
            .pieces()
            .into_iter()
            .map(|text| piece(json!({"content": text}), None)),
    );
    if let Some((tool, arguments)) = &reply.call {
        let call = |call: Value| piece(json!({"tool_calls": [call]}), None);
        events.push(call(json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": tool, "arguments": ""}})));
        events.push(call(
            json!({"index": 0, "function": {"arguments": arguments}}),
        ));
    }
    events.push(piece(json!({}), Some(finish_reason(reply))));
    if ask.stream_usage {
        let mut last = event(json!([]));
        last["usage"] = usage(ask, reply);
        events.push(last);
    }
    let mut lines: Vec<String> = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    lines.push("data: [DONE]\n\n".to_owned());
    lines
}

/// A completion in one piece.
pub(crate) fn completion(ask: &Ask, reply: &Reply) -> Value {
    json!({
        "id": "cmpl-1", "object": "text_completion", "created": 1_700_000_000, "model": ask.model,
        "choices": [{"index": 0, "text": reply.text, "finish_reason": "stop", "logprobs": null}],
        "usage": usage(ask, reply),
    })
}

/// A completion in pieces.
pub(crate) fn completion_events(ask: &Ask, reply: &Reply) -> Vec<String> {
    let piece = |text: &str, reason: Option<&str>| {
        let choice = json!({"index": 0, "text": text, "finish_reason": reason, "logprobs": null});
        let event = json!({"id": "cmpl-1", "object": "text_completion", "created": 1_700_000_000, "model": ask.model, "choices": [choice]});
        format!("data: {event}\n\n")
    };
    let mut lines: Vec<String> = reply
        .pieces()
        .into_iter()
        .map(|text| piece(text, None))
        .collect();
    lines.push(piece("", Some("stop")));
    lines.push("data: [DONE]\n\n".to_owned());
    lines
}

/// An answer of the Responses API in one piece.
pub(crate) fn response(ask: &Ask, reply: &Reply) -> Value {
    let mut output = Vec::new();
    if !reply.thought.is_empty() {
        output.push(json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": reply.thought}]}));
    }
    output.push(match &reply.call {
        Some((tool, arguments)) => {
            json!({"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": tool, "arguments": arguments, "status": "completed"})
        }
        None => json!({"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
            "content": [{"type": "output_text", "text": reply.text, "annotations": []}]}),
    });
    let (input_tokens, output_tokens) = (ask.tokens(), reply.tokens());
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_700_000_000, "status": "completed", "model": format!("{}-0001", ask.model),
        "error": null, "incomplete_details": null, "instructions": null, "output": output, "parallel_tool_calls": true, "tool_choice": "auto",
        "tools": [], "temperature": 1.0, "top_p": 1.0, "truncation": "disabled", "text": {"format": {"type": "text"}}, "metadata": {},
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens, "total_tokens": input_tokens + output_tokens,
            "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": words(&reply.thought)}},
    })
}

/// An answer of the Responses API in pieces.
pub(crate) fn response_events(ask: &Ask, reply: &Reply) -> Vec<String> {
    let whole = response(ask, reply);
    let mut begun = whole.clone();
    begun["status"] = Value::from("in_progress");
    begun["output"] = json!([]);
    begun["usage"] = Value::Null;
    let mut events = vec![json!({"type": "response.created", "response": begun})];
    for (index, item) in list(&whole, "output").iter().enumerate() {
        events.push(json!({"type": "response.output_item.added", "output_index": index, "item": {"type": item["type"], "id": item["id"]}}));
        let place = json!({"item_id": item["id"], "output_index": index, "content_index": 0});
        let delta = |kind: &str, delta: &str| {
            let mut event = place.clone();
            event["type"] = Value::from(kind);
            event["delta"] = Value::from(delta);
            event
        };
        match text(item, "type") {
            "message" => {
                let pieces = reply.pieces().into_iter();
                events.extend(pieces.map(|piece| delta("response.output_text.delta", piece)));
            }
            "function_call" => events.push(delta(
                "response.function_call_arguments.delta",
                text(item, "arguments"),
            )),
            _ => {}
        }
        events.push(
            json!({"type": "response.output_item.done", "output_index": index, "item": item}),
        );
    }
    events.push(json!({"type": "response.completed", "response": whole}));
    let numbered = events.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = Value::from(number);
        format!("event: {}\ndata: {event}\n\n", text(&event, "type"))
    });
    numbered.collect()
}

/// Embeddings: a few numbers that depend on the text.
pub(crate) fn embeddings(body: &Value) -> Value {
    let texts: Vec<&str> = match body.get("input") {
        Some(Value::String(text)) => vec![text],
        _ => list(body, "input")
            .iter()
            .filter_map(Value::as_str)
            .collect(),
    };
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| json!({"object": "embedding", "index": index, "embedding": embedding(text)}))
        .collect();
    let tokens: u64 = texts.iter().map(|text| words(text)).sum();
    json!({"object": "list", "model": text(body, "model"), "data": data, "usage": {"prompt_tokens": tokens, "total_tokens": tokens}})
}

/// How often the letters of a text fall into each of eight groups, as a vector of length one: texts with the same words are near.
pub(crate) fn embedding(text: &str) -> Vec<f64> {
    let mut groups = [0.0_f64; 8];
    for byte in text
        .to_lowercase()
        .bytes()
        .filter(u8::is_ascii_alphanumeric)
    {
        groups[usize::from(byte % 8)] += 1.0;
    }
    let length = groups.iter().map(|group| group * group).sum::<f64>().sqrt();
    groups
        .iter()
        .map(|group| if length > 0.0 { group / length } else { 0.0 })
        .collect()
}

/// An error in OpenAI's words.
pub(crate) fn error(message: &str) -> Value {
    json!({"error": {"message": message, "type": "server_error", "param": null, "code": null}})
}
