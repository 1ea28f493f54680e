//! Anthropic, Google, Ollama, Amazon.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::super::streams::aws_frame;
use super::{Case, answer, stream};

const MESSAGES: &str = "https://api.anthropic.com/v1/messages";

#[test]
fn a_streamed_message_with_a_tool_is_the_example_of_the_dossier() {
    let model = "claude-sonnet-4-5-20250929";
    let case = stream(
        MESSAGES,
        json!({"max_tokens": 100, "temperature": 0.5, "model": model, "stream": true,
            "messages": [{"role": "user", "content": "What is the weather in New York City?"}],
            "tools": [{"name": "get_weather", "description": "Get the current weather in a given location", "input_schema": {"type": "object",
                "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}}, "required": ["location"]}}]}),
        &[
            json!({"type": "message_start", "message": {"model": model, "role": "assistant", "content": [], "stop_reason": null, "usage": {"input_tokens": 586,
                "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_013aDL24HvccQoVLTy5G4mes", "name": "get_weather", "input": {}}}),
            json!({"type": "ping"}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{\"location\":"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": " \"New York City, NY\"}"}}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 57}}),
            json!({"type": "message_stop"}),
        ],
    );
    let expected = json!({"meta":{"input":{"messages":[{"content":"What is the weather in New York City?","role":"user"}]},"metadata":{"finish_reason":"tool_use","max_tokens":100,"temperature":0.5},"model_name":"claude-sonnet-4-5-20250929","model_provider":"anthropic","output":{"messages":[{"content":"","role":"assistant","tool_calls":[{"arguments":{"location":"New York City, NY"},"name":"get_weather","tool_id":"toolu_013aDL24HvccQoVLTy5G4mes","type":"tool_use"}]}]},"span":{"kind":"llm"},"tool_definitions":[{"description":"Get the current weather in a given location","name":"get_weather","schema":{"properties":{"location":{"description":"The city and state, e.g. San Francisco, CA","type":"string"}},"required":["location"],"type":"object"}}]},"metrics":{"cache_read_input_tokens":0,"cache_write_input_tokens":0,"ephemeral_1h_input_tokens":0,"ephemeral_5m_input_tokens":0,"input_tokens":586,"output_tokens":57,"total_tokens":643},"name":"anthropic.request","status":"ok"});
    assert_eq!(case.event(), expected);
}

#[test]
fn blocks_are_messages_and_the_cache_counts_as_input() {
    let case = answer(
        MESSAGES,
        json!({"model": "claude", "max_tokens": 10, "system": [{"type": "text", "text": "Be brief."}], "messages": [
            {"role": "user", "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
                {"type": "image", "source": {"type": "url", "url": "https://x/a.png"}},
                {"type": "document", "source": {}},
            ]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]}]},
        ]}),
        &json!({"model": "claude-1", "role": "assistant", "stop_reason": "end_turn", "content": [{"type": "thinking", "thinking": "So."}, {"type": "text", "text": "A cat."}],
            "usage": {"input_tokens": 17, "output_tokens": 98, "cache_creation_input_tokens": 6163, "cache_read_input_tokens": 5}}),
    );
    let event = case.event();
    let input = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is it?"},
        {"role": "user", "content": "", "image_parts": [{"mime_type": "image/png", "content": "QUJD"}]},
        {"role": "user", "content": "([IMAGE DETECTED])"},
        {"role": "user", "content": "[document]"},
        {"role": "reasoning", "content": "Hm."},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"a": 1}, "tool_id": "t1", "type": "tool_use"}]},
        {"role": "user", "content": "", "tool_results": [{"result": "a,([IMAGE DETECTED]),b", "tool_id": "t1", "type": "tool_result"}]},
    ]);
    assert_eq!(event["meta"]["input"]["messages"], input);
    let output = json!([{"role": "reasoning", "content": "So."}, {"role": "assistant", "content": "A cat."}]);
    assert_eq!(event["meta"]["output"]["messages"], output);
    // Without a split all that was written is for five minutes.
    let metrics = json!({"input_tokens": 6185, "output_tokens": 98, "total_tokens": 6283, "cache_read_input_tokens": 5,
        "cache_write_input_tokens": 6163, "ephemeral_5m_input_tokens": 6163, "ephemeral_1h_input_tokens": 0});
    assert_eq!(event["metrics"], metrics);
    assert_eq!(
        event["meta"]["metadata"],
        json!({"finish_reason": "end_turn", "max_tokens": 10})
    );
}

#[test]
fn an_error_in_mid_stream_keeps_what_came_before() {
    let case = stream(
        MESSAGES,
        json!({"model": "claude", "max_tokens": 10, "messages": [], "stream": true}),
        &[
            json!({"type": "message_start", "message": {"role": "assistant", "usage": {"input_tokens": 3, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}}),
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ],
    );
    let event = case.event();
    assert_eq!(event["status"], "error");
    assert_eq!(
        event["meta"]["output"]["messages"],
        json!([{"role": "assistant", "content": "Hel"}])
    );
    let (_, exchange) = case.decode();
    assert_eq!(exchange.failure.unwrap().kind, "overloaded_error");
    assert!(!exchange.is_complete);
}

const GEMINI: &str = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-pro";

#[test]
fn gemini_answers_the_same_in_one_piece_in_events_and_as_an_array() {
    let request = json!({
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Weather?"}, {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}]},
            {"role": "model", "parts": [{"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}}]},
            {"role": "user", "parts": [{"functionResponse": {"id": "c1", "name": "f", "response": {"t": 20}}}]},
        ],
        "tools": [{"functionDeclarations": [{"name": "f", "description": "d", "parameters": {"type": "OBJECT"}}]}],
        "generationConfig": {"temperature": 0.1, "maxOutputTokens": 50},
    });
    let piece = |parts: Value, reason: Option<&str>, usage: Value| json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason}], "usageMetadata": usage, "modelVersion": "gemini-2.5-pro-1"});
    let usage = json!({"promptTokenCount": 18, "candidatesTokenCount": 10, "thoughtsTokenCount": 5, "cachedContentTokenCount": 4, "totalTokenCount": 33});
    let pieces = [
        piece(
            json!([{"text": "Thi", "thought": true}]),
            None,
            json!({"promptTokenCount": 18, "totalTokenCount": 18}),
        ),
        piece(
            json!([{"text": "nking", "thought": true}, {"text": "It is "}]),
            None,
            json!({"promptTokenCount": 18}),
        ),
        piece(
            json!([{"text": "20."}, {"executableCode": {"language": "PYTHON", "code": "1"}}]),
            Some("STOP"),
            usage.clone(),
        ),
    ];
    let whole = piece(
        json!([{"text": "Thinking", "thought": true}, {"text": "It is 20."}, {"executableCode": {"language": "PYTHON", "code": "1"}}]),
        Some("STOP"),
        usage,
    );
    let expected = json!({"meta": {
        "input": {"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather?"},
            {"role": "user", "content": "[inline data: image/png]"},
            {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"a": 1}, "tool_id": "c1", "type": "function_call"}]},
            {"role": "user", "tool_results": [{"name": "f", "result": "{\"t\": 20}", "tool_id": "c1", "type": "function_response"}]},
        ]},
        "output": {"messages": [
            {"role": "reasoning", "content": "Thinking"},
            {"role": "assistant", "content": "It is 20."},
            {"role": "assistant", "content": "{\"code\": \"1\", \"language\": \"PYTHON\"}"},
        ]},
        "metadata": {"temperature": 0.1, "max_output_tokens": 50, "finish_reason": "stop"},
        "model_name": "gemini-2.5-pro-1", "model_provider": "google", "span": {"kind": "llm"},
        "tool_definitions": [{"name": "f", "description": "d", "schema": {"type": "OBJECT"}}],
    }, "metrics": {"input_tokens": 18, "output_tokens": 15, "reasoning_output_tokens": 5, "cache_read_input_tokens": 4, "total_tokens": 33},
    "name": "google_genai.request", "status": "ok"});
    let url = format!("{GEMINI}:generateContent");
    assert_eq!(answer(&url, request.clone(), &whole).event(), expected);
    let url = format!("{GEMINI}:streamGenerateContent?alt=sse");
    let events = stream(&url, request.clone(), &pieces);
    assert_eq!(events.event(), expected);
    assert!(events.decode().1.first_content.is_some());
    let url = format!("{GEMINI}:streamGenerateContent");
    let array = answer(&url, request, &json!(pieces));
    assert_eq!(array.event(), expected);
    assert!(array.decode().1.first_content.is_some());
}

#[test]
fn gemini_embeds_one_or_many() {
    let content = |text: &str| json!({"parts": [{"text": text}], "role": "user"});
    let many = "https://generativelanguage.googleapis.com/v1beta/models/text-embedding-004:batchEmbedContents";
    let case = answer(
        many,
        json!({"requests": [{"content": content("a"), "outputDimensionality": 2}, {"content": content("b")}]}),
        &json!({"embeddings": [{"values": [0.1, 0.2], "statistics": {"tokenCount": 3}}, {"values": [0.1, 0.2], "statistics": {"tokenCount": 4}}]}),
    );
    let event = case.event();
    assert_eq!(
        event["meta"]["input"]["documents"],
        json!([{"text": "a"}, {"text": "b"}])
    );
    assert_eq!(
        event["meta"]["output"]["value"],
        "[2 embedding(s) returned with size 2]"
    );
    assert_eq!(
        event["meta"]["metadata"],
        json!({"output_dimensionality": 2})
    );
    assert_eq!(event["metrics"], json!({"input_tokens": 7}));
    let one = many.replace("batchEmbedContents", "embedContent");
    let event = answer(
        &one,
        json!({"content": content("a")}),
        &json!({"embedding": {"values": [0.1]}}),
    )
    .event();
    assert_eq!(
        event["meta"]["output"]["value"],
        "[1 embedding(s) returned with size 1]"
    );
}

fn lines<'a>(url: &'a str, request: Value, lines: &[Value]) -> Case<'a> {
    Case {
        url,
        request,
        status: 200,
        media_type: "application/x-ndjson",
        body: lines
            .iter()
            .map(|line| format!("{line}\n"))
            .collect::<String>()
            .into_bytes(),
    }
}

#[test]
fn ollama_tells_tokens_and_times_in_its_last_line() {
    let last = json!({"model": "llama3.2", "message": {"role": "assistant", "content": ""}, "response": "", "done": true, "done_reason": "stop", "prompt_eval_count": 26,
        "eval_count": 9, "total_duration": 5_000_000_000_u64, "load_duration": 500_000_000, "prompt_eval_duration": 1_500_000_000, "eval_duration": 3_000_000_000_u64});
    let metrics = json!({"input_tokens": 26, "output_tokens": 9, "total_tokens": 35, "time_in_queue": 0.5,
        "time_in_model_prefill": 1.5, "time_in_model_decode": 3, "time_in_model_inference": 5});
    let said = |key: &str, value: Value| json!({"model": "llama3.2", "message": {"role": "assistant", key: value}, "done": false});
    let chat = lines(
        "http://localhost:11434/api/chat",
        json!({"model": "llama3.2", "options": {"temperature": 0.1}, "messages": [
            {"role": "user", "content": "Hi", "images": ["iVBORw0K"]}, {"role": "tool", "tool_name": "f", "content": "42"},
        ], "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}]}),
        &[
            said("thinking", json!("Hm.")),
            said("content", json!("Hel")),
            said("content", json!("lo")),
            said(
                "tool_calls",
                json!([{"function": {"name": "f", "arguments": {"a": 1}}}]),
            ),
            last.clone(),
        ],
    );
    let event = chat.event();
    let input = json!([
        {"role": "user", "content": "Hi", "image_parts": [{"mime_type": "image/png", "content": "iVBORw0K"}]},
        {"role": "tool", "content": "", "tool_results": [{"name": "f", "result": "42", "tool_id": "", "type": "tool_result"}]},
    ]);
    assert_eq!(event["meta"]["input"]["messages"], input);
    let output = json!([
        {"role": "reasoning", "content": "Hm."},
        {"role": "assistant", "content": "Hello", "tool_calls": [{"name": "f", "arguments": {"a": 1}, "tool_id": "", "type": "function"}]},
    ]);
    assert_eq!(event["meta"]["output"]["messages"], output);
    assert_eq!(event["metrics"], metrics);
    assert_eq!(
        event["meta"]["metadata"],
        json!({"temperature": 0.1, "finish_reason": "stop"})
    );
    assert!(chat.decode().1.is_complete && chat.decode().1.first_content.is_some());
    let generate = lines(
        "http://localhost:11434/api/generate",
        json!({"model": "llama3.2", "prompt": "Hi", "system": "Be brief."}),
        &[
            json!({"model": "llama3.2", "response": "Hello", "done": false}),
            last,
        ],
    );
    let event = generate.event();
    assert_eq!(event["name"], "ollama.generate");
    assert_eq!(
        event["meta"]["input"]["messages"],
        json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}])
    );
    assert_eq!(
        event["meta"]["output"]["messages"],
        json!([{"role": "assistant", "content": "Hello"}])
    );
    assert_eq!(event["metrics"], metrics);
    let embed = answer(
        "http://localhost:11434/api/embed",
        json!({"model": "m", "input": ["a", "b"]}),
        &json!({"embeddings": [[0.1], [0.2]], "prompt_eval_count": 4}),
    );
    assert_eq!(
        embed.event()["meta"]["output"]["value"],
        "[2 embedding(s) returned with size 1]"
    );
}

const BEDROCK: &str =
    "https://bedrock-runtime.eu-west-1.amazonaws.com/model/anthropic.claude-3-haiku";

fn aws(url: &str, request: Value, frames: Vec<Vec<u8>>) -> Case<'_> {
    Case {
        url,
        request,
        status: 200,
        media_type: "application/vnd.amazon.eventstream",
        body: frames.concat(),
    }
}

fn frame(kind: &str, payload: &Value) -> Vec<u8> {
    aws_frame(
        &[(":message-type", "event"), (":event-type", kind)],
        payload.to_string().as_bytes(),
    )
}

#[test]
fn converse_answers_the_same_in_one_piece_and_in_frames() {
    let request = json!({
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "Weather"}, {"text": "today?"}, {"image": {"format": "png"}}]},
            {"role": "user", "content": [{"toolResult": {"toolUseId": "t0", "content": [{"json": {"t": 20}}, {"image": {}}]}}]},
        ],
        "inferenceConfig": {"temperature": 0.5, "maxTokens": 100},
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}}]},
    });
    let usage = json!({"inputTokens": 10, "outputTokens": 5, "totalTokens": 22, "cacheReadInputTokens": 4, "cacheWriteInputTokens": 3});
    let whole = json!({"stopReason": "tool_use", "usage": usage, "output": {"message": {"role": "assistant", "content": [
        {"text": "Let me see."}, {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}}]}}});
    let expected = json!({"meta": {
        "input": {"messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Weather today?"},
            {"role": "user", "content": "[Unsupported content type: image]"},
            {"role": "user", "tool_results": [{"result": "{\"t\": 20}", "tool_id": "t0", "type": "toolResult"}]},
            {"role": "user", "tool_results": [{"result": "[Unsupported content type(s): image]", "tool_id": "t0", "type": "toolResult"}]},
        ]},
        "output": {"messages": [{"role": "assistant", "content": "Let me see.", "tool_calls": [{"name": "f", "arguments": {"a": 1}, "tool_id": "t1", "type": "toolUse"}]}]},
        "metadata": {"temperature": 0.5, "max_tokens": 100, "finish_reason": "tool_use"},
        "model_name": "anthropic.claude-3-haiku", "model_provider": "amazon", "span": {"kind": "llm"},
        "tool_definitions": [{"name": "f", "description": "d", "schema": {"json": {"type": "object"}}}],
    }, "metrics": {"input_tokens": 17, "output_tokens": 5, "total_tokens": 22, "cache_read_input_tokens": 4, "cache_write_input_tokens": 3},
    "name": "bedrock-runtime.command", "status": "ok"});
    let url = format!("{BEDROCK}/converse");
    assert_eq!(answer(&url, request.clone(), &whole).event(), expected);
    let url = format!("{BEDROCK}/converse-stream");
    let case = aws(
        &url,
        request,
        vec![
            frame("messageStart", &json!({"role": "assistant"})),
            frame(
                "contentBlockDelta",
                &json!({"contentBlockIndex": 0, "delta": {"text": "Let me"}}),
            ),
            frame(
                "contentBlockDelta",
                &json!({"contentBlockIndex": 0, "delta": {"text": " see."}}),
            ),
            frame(
                "contentBlockStart",
                &json!({"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t1", "name": "f"}}}),
            ),
            frame(
                "contentBlockDelta",
                &json!({"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{\"a\":"}}}),
            ),
            frame(
                "contentBlockDelta",
                &json!({"contentBlockIndex": 1, "delta": {"toolUse": {"input": "1}"}}}),
            ),
            frame("messageStop", &json!({"stopReason": "tool_use"})),
            frame("metadata", &json!({"usage": usage})),
        ],
    );
    assert_eq!(case.event(), expected);
    assert!(case.decode().1.is_complete);
}

#[test]
fn models_of_bedrock_are_told_apart_by_their_bodies() {
    // Request, answer, text, tokens, reason.
    let cases = [
        (
            json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}),
            json!({"role": "assistant", "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}}),
        ),
        (
            json!({"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {"maxTokens": 5}}),
            json!({"output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}}, "stopReason": "end_turn", "usage": {"inputTokens": 1, "outputTokens": 2}}),
        ),
        (
            json!({"messages": [{"role": "user", "content": "Hi"}]}),
            json!({"choices": [{"message": {"role": "assistant", "content": "Hello"}, "finish_reason": "end_turn"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}),
        ),
        (
            json!({"inputText": "Hi", "textGenerationConfig": {"maxTokenCount": 5}}),
            json!({"inputTextTokenCount": 1, "results": [{"tokenCount": 2, "outputText": "Hello", "completionReason": "end_turn"}]}),
        ),
        (
            json!({"prompt": "Hi", "max_gen_len": 5}),
            json!({"generation": "Hello", "prompt_token_count": 1, "generation_token_count": 2, "stop_reason": "end_turn"}),
        ),
    ];
    let url = format!("{BEDROCK}/invoke");
    for (request, body) in cases {
        let event = answer(&url, request.clone(), &body).event();
        assert_eq!(
            event["meta"]["input"]["messages"][0]["content"], "Hi",
            "{request}"
        );
        assert_eq!(
            event["meta"]["output"]["messages"][0]["content"], "Hello",
            "{request}"
        );
        assert_eq!(
            event["metrics"],
            json!({"input_tokens": 1, "output_tokens": 2, "total_tokens": 3}),
            "{request}"
        );
        assert_eq!(
            event["meta"]["metadata"]["finish_reason"], "end_turn",
            "{request}"
        );
        assert_eq!(event["meta"]["model_name"], "anthropic.claude-3-haiku");
    }
    // A stream has such bodies in base64.
    let chunk = |body: Value| {
        frame(
            "chunk",
            &json!({"bytes": STANDARD.encode(body.to_string())}),
        )
    };
    let url = format!("{BEDROCK}/invoke-with-response-stream");
    let case = aws(
        &url,
        json!({"anthropic_version": "bedrock-2023-05-31", "messages": [{"role": "user", "content": "Hi"}]}),
        vec![
            chunk(
                json!({"type": "message_start", "message": {"role": "assistant", "usage": {"input_tokens": 1, "output_tokens": 1}}}),
            ),
            chunk(
                json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
            ),
            chunk(
                json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}}),
            ),
            chunk(
                json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}),
            ),
            chunk(
                json!({"type": "message_stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 1, "outputTokenCount": 2}}),
            ),
        ],
    );
    let event = case.event();
    assert_eq!(
        event["meta"]["output"]["messages"],
        json!([{"role": "assistant", "content": "Hello"}])
    );
    assert_eq!(event["metrics"]["total_tokens"], 3);
    let url = format!("{BEDROCK}/invoke-with-response-stream");
    let case = aws(
        &url,
        json!({"prompt": "Hi"}),
        vec![
            chunk(json!({"generation": "Hel"})),
            chunk(
                json!({"generation": "lo", "stop_reason": "stop", "amazon-bedrock-invocationMetrics": {"inputTokenCount": 1, "outputTokenCount": 2}}),
            ),
            aws_frame(
                &[(":exception-type", "throttlingException")],
                b"{\"message\":\"slow down\"}",
            ),
        ],
    );
    let event = case.event();
    assert_eq!(
        event["meta"]["output"]["messages"],
        json!([{"role": "assistant", "content": "Hello"}])
    );
    assert_eq!(
        event["metrics"],
        json!({"input_tokens": 1, "output_tokens": 2, "total_tokens": 3})
    );
    assert_eq!(event["status"], "error");
}
