//! OpenAI's API.

use serde_json::json;

use super::super::exchange::Io;
use super::{Case, JSON, SSE, answer, stream};

const CHAT: &str = "https://api.openai.com/v1/chat/completions";
const RESPONSES: &str = "https://api.openai.com/v1/responses";

#[test]
fn a_streamed_chat_is_the_example_of_the_dossier() {
    let model = "gpt-3.5-turbo-0125";
    let piece = |delta, reason: Option<&str>| {
        json!({"object": "chat.completion.chunk", "model": model, "usage": null,
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
    };
    let mut case = stream(
        CHAT,
        json!({"messages": [{"role": "user", "content": "Hello OpenAI!"}], "model": "gpt-3.5-turbo", "max_tokens": 35,
            "stream": true, "stream_options": {"include_usage": true}}),
        &[
            piece(json!({"role": "assistant", "content": ""}), None),
            piece(json!({"content": "Hello!"}), None),
            piece(json!({"content": " How can I assist you today?"}), None),
            piece(json!({}), Some("stop")),
            json!({"model": model, "choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 9, "total_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}}),
        ],
    );
    case.body.extend(b"data: [DONE]\n\n");
    let expected = json!({"meta":{"input":{"messages":[{"content":"Hello OpenAI!","role":"user"}]},"metadata":{"finish_reason":"stop","max_tokens":35,"stream":true,"stream_options":{"include_usage":true}},"model_name":"gpt-3.5-turbo-0125","model_provider":"openai","output":{"messages":[{"content":"Hello! How can I assist you today?","role":"assistant"}]},"span":{"kind":"llm"}},"metrics":{"cache_read_input_tokens":0,"input_tokens":11,"output_tokens":9,"reasoning_output_tokens":0,"total_tokens":20},"name":"OpenAI.createChatCompletion","status":"ok"});
    assert_eq!(case.event(), expected);
    let (_, exchange) = case.decode();
    assert!(exchange.is_complete);
    // The first event has the role only; the second is the first with content.
    let second = case
        .body
        .windows(2)
        .enumerate()
        .filter(|(_, pair)| pair == b"\n\n")
        .nth(1);
    assert_eq!(exchange.first_content, second.map(|(at, _)| at + 2));
}

#[test]
fn a_choice_of_a_tool_is_the_example_of_the_dossier() {
    let function = json!({"name": "extract_student_info", "description": "Get the student information from the body of the input text",
        "parameters": {"type": "object", "properties": {"name": {"type": "string", "description": "Name of the person"},
            "major": {"type": "string", "description": "Major subject."}, "school": {"type": "string", "description": "The university name."}}}});
    let arguments = r#"{"name":"Bob","major":"computer science","school":"Stanford University"}"#;
    let case = answer(
        CHAT,
        json!({"messages": [{"role": "user", "content": "Bob is a student at Stanford University. He is studying computer science."}],
            "model": "gpt-3.5-turbo", "stream": false, "tool_choice": "auto", "tools": [{"type": "function", "function": function}]}),
        &json!({"model": "gpt-3.5-turbo-0125", "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "content": null,
            "tool_calls": [{"id": "call_NTfbbrlRcX5kit5NaOuTfus0", "type": "function", "function": {"name": "extract_student_info", "arguments": arguments}}]}}],
            "usage": {"prompt_tokens": 89, "completion_tokens": 26, "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0}}}),
    );
    let expected = json!({"meta":{"input":{"messages":[{"content":"Bob is a student at Stanford University. He is studying computer science.","role":"user"}]},"metadata":{"finish_reason":"tool_calls","stream":false,"tool_choice":"auto"},"model_name":"gpt-3.5-turbo-0125","model_provider":"openai","output":{"messages":[{"content":"","role":"assistant","tool_calls":[{"arguments":{"major":"computer science","name":"Bob","school":"Stanford University"},"name":"extract_student_info","tool_id":"call_NTfbbrlRcX5kit5NaOuTfus0","type":"function"}]}]},"span":{"kind":"llm"},"tool_definitions":[{"description":"Get the student information from the body of the input text","name":"extract_student_info","schema":{"properties":{"major":{"description":"Major subject.","type":"string"},"name":{"description":"Name of the person","type":"string"},"school":{"description":"The university name.","type":"string"}},"type":"object"}}]},"metrics":{"cache_read_input_tokens":0,"input_tokens":89,"output_tokens":26,"reasoning_output_tokens":0,"total_tokens":115},"name":"OpenAI.createChatCompletion","status":"ok"});
    assert_eq!(case.event(), expected);
}

#[test]
fn an_embedding_is_the_example_of_the_dossier() {
    let case = answer(
        "https://api.openai.com/v1/embeddings",
        json!({"input": "Hello OpenAI!", "model": "text-embedding-ada-002", "encoding_format": "base64"}),
        &json!({"model": "text-embedding-ada-002-v2", "data": [{"index": 0, "embedding": "AAAA"}], "usage": {"prompt_tokens": 4, "total_tokens": 4}}),
    );
    let expected = json!({"meta":{"input":{"documents":[{"text":"Hello OpenAI!"}]},"metadata":{"encoding_format":"base64"},"model_name":"text-embedding-ada-002-v2","model_provider":"openai","output":{"value":"[1 embedding(s) returned]"},"span":{"kind":"embedding"}},"metrics":{"input_tokens":4,"output_tokens":0,"total_tokens":4},"name":"OpenAI.createEmbedding","status":"ok"});
    assert_eq!(case.event(), expected);
}

#[test]
fn embeddings_tell_their_number_and_size() {
    let inputs = [
        (json!("a"), json!([{"text": "a"}])),
        (json!(["a", "b"]), json!([{"text": "a"}, {"text": "b"}])),
        (json!([1, 2]), json!([{"text": "[1, 2]"}])),
        (
            json!([[1, 2], [3]]),
            json!([{"text": "[1, 2]"}, {"text": "[3]"}]),
        ),
    ];
    for (input, documents) in inputs {
        let case = answer(
            "https://api.openai.com/v1/embeddings",
            json!({"input": input, "model": "m", "dimensions": 3}),
            &json!({"data": [{"embedding": [0.1, 0.2, 0.3]}, {"embedding": [0.1, 0.2, 0.3]}]}),
        );
        let event = case.event();
        assert_eq!(event["meta"]["input"]["documents"], documents);
        assert_eq!(
            event["meta"]["output"]["value"],
            "[2 embedding(s) returned with size 3]"
        );
        assert_eq!(
            event["meta"]["metadata"],
            json!({"encoding_format": "float", "dimensions": 3})
        );
    }
}

#[test]
fn pieces_of_several_choices_and_calls_may_come_in_any_order() {
    let call = |index: u64, id: Option<&str>, name: Option<&str>, arguments: &str| {
        json!({"choices": [{"index": 1, "delta": {"tool_calls": [
            {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": arguments}}]}}]})
    };
    let case = stream(
        CHAT,
        json!({"model": "m", "messages": [], "stream": true}),
        &[
            json!({"choices": [{"index": 1, "delta": {"role": "assistant"}}]}),
            call(1, Some("c2"), Some("pay"), ""),
            call(0, Some("c1"), Some("find"), "{\"q\":"),
            json!({"choices": [{"index": 0, "delta": {"role": "assistant", "reasoning_content": "Hm"}}]}),
            call(0, None, None, "\"x\"}"),
            json!({"choices": [{"index": 0, "delta": {"reasoning_content": "m.", "content": null}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": " Yes. "}, "finish_reason": "stop"}]}),
            json!({"choices": [{"index": 1, "delta": {}, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}),
            json!({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}),
        ],
    );
    let event = case.event();
    let expected = json!([
        {"role": "reasoning", "content": "Hmm."},
        {"role": "assistant", "content": "Yes."},
        {"role": "assistant", "content": "", "tool_calls": [
            {"name": "find", "arguments": {"q": "x"}, "tool_id": "c1", "type": "function"},
            {"name": "pay", "arguments": {}, "tool_id": "c2", "type": "function"},
        ]},
    ]);
    assert_eq!(event["meta"]["output"]["messages"], expected);
    assert_eq!(
        event["meta"]["metadata"]["finish_reason"],
        "stop,tool_calls"
    );
    // The last usage wins.
    assert_eq!(
        event["metrics"],
        json!({"input_tokens": 3, "output_tokens": 4, "total_tokens": 7})
    );
}

#[test]
fn messages_of_every_kind_are_read() {
    // A message that is sent, and how it shows.
    let cases = [
        (
            json!({"role": "system", "content": "Be brief."}),
            json!({"role": "system", "content": "Be brief."}),
        ),
        (
            json!({"role": "assistant", "content": null}),
            json!({"role": "assistant", "content": ""}),
        ),
        (
            json!({"role": "user", "content": [
                {"type": "text", "text": "What"}, {"type": "text", "text": "is it?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}},
                {"type": "input_audio", "input_audio": {"format": "mp3"}},
                {"type": "file", "file": {"file_id": "f"}},
            ]}),
            json!({"role": "user", "content": "What\nis it?\n[image]\n[audio]\n[file]",
                "image_parts": [{"mime_type": "image/png", "content": "QUJD"}],
                "audio_parts": [{"mime_type": "audio/mpeg", "content": "QUJD"}]}),
        ),
        (
            json!({"role": "tool", "tool_call_id": "c1", "content": "42"}),
            json!({"role": "tool", "content": "", "tool_results": [{"name": "", "result": "42", "tool_id": "c1", "type": "tool_result"}]}),
        ),
        (
            json!({"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{not json"}}]}),
            json!({"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"value": "{not json"}, "tool_id": "c1", "type": "function"}]}),
        ),
        (
            json!({"role": "assistant", "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}}]}),
            json!({"role": "assistant", "content": "", "tool_calls": [{"name": "sh", "arguments": {"value": "ls"}, "tool_id": "c1", "type": "custom"}]}),
        ),
        (
            json!({"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{\"a\":1}"}}),
            json!({"role": "assistant", "content": "", "tool_calls": [{"name": "f", "arguments": {"a": 1}}]}),
        ),
    ];
    for (sent, shown) in cases {
        let request = json!({"model": "m", "messages": [sent]});
        let event = answer(CHAT, request, &json!({})).event();
        assert_eq!(event["meta"]["input"]["messages"], json!([shown]));
        assert_eq!(
            event["meta"]["output"]["messages"],
            json!([{"role": "", "content": ""}])
        );
    }
}

#[test]
fn an_answer_in_sound_shows_what_was_said() {
    let case = answer(
        CHAT,
        json!({"model": "m", "messages": [], "audio": {"format": "wav", "voice": "alloy"}, "modalities": ["text", "audio"]}),
        &json!({"choices": [{"message": {"role": "assistant", "content": null, "audio": {"data": "QUJD", "transcript": "Hi!"}}, "finish_reason": "stop"}]}),
    );
    let expected = json!([{"role": "assistant", "content": "Hi!", "audio_parts": [{"mime_type": "audio/wav", "content": "QUJD"}]}]);
    assert_eq!(case.event()["meta"]["output"]["messages"], expected);
}

#[test]
fn completions_have_texts_without_roles() {
    let url = "https://api.openai.com/v1/completions";
    let request = json!({"model": "m", "prompt": ["a", "b"], "n": 2, "echo": false, "unknown": 1});
    let case = answer(
        url,
        request.clone(),
        &json!({"model": "m-1", "choices": [{"text": "\n\nA", "finish_reason": "stop"}, {"text": "B", "finish_reason": "length"}], "usage": {"prompt_tokens": 2, "completion_tokens": 2}}),
    );
    let event = case.event();
    let messages = |texts: [&str; 2]| json!(texts.map(|text| json!({"role": "", "content": text})));
    assert_eq!(event["meta"]["input"]["messages"], messages(["a", "b"]));
    assert_eq!(
        event["meta"]["output"]["messages"],
        messages(["\n\nA", "B"])
    );
    assert_eq!(
        event["meta"]["metadata"],
        json!({"n": 2, "echo": false, "finish_reason": "stop,length"})
    );
    assert_eq!(event["name"], "OpenAI.createCompletion");
    let streamed = stream(
        url,
        request,
        &[
            json!({"choices": [{"index": 1, "text": "B"}]}),
            json!({"choices": [{"index": 0, "text": "\n\n"}]}),
            json!({"choices": [{"index": 0, "text": "A", "finish_reason": "stop"}]}),
            json!({"choices": [{"index": 1, "text": "", "finish_reason": "length"}]}),
        ],
    );
    let event = streamed.event();
    assert_eq!(
        event["meta"]["output"]["messages"],
        messages(["\n\nA", "B"])
    );
    assert_eq!(event["meta"]["metadata"]["finish_reason"], "stop,length");
}

#[test]
fn items_of_responses_become_messages() {
    let case = answer(
        RESPONSES,
        json!({"model": "m", "instructions": "Be brief.", "max_output_tokens": 50, "temperature": 0.1, "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "See "}, {"type": "input_image", "image_url": "https://x/a.png"}, {"type": "input_file", "file_id": "f1"}]},
            {"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png;base64,QUJD"}]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\":1}"},
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "a"}, {"type": "input_image"}]},
            {"type": "item_reference", "id": "r1"},
        ]}),
        &json!({"model": "m-1", "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "temperature": 0.1, "top_p": 1.0, "user": null,
            "text": {"format": {"type": "text"}, "verbosity": null}, "tool_choice": "auto", "error": null, "output": [
                {"type": "reasoning", "id": "rs_1", "summary": []},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Yes"}, {"type": "refusal", "refusal": ", no."}]},
                {"type": "custom_tool_call", "call_id": "c3", "name": "sh", "input": "ls"},
                {"type": "mcp_list_tools", "tools": [{"name": "roll", "description": "dice", "input_schema": {"type": "object"}}]},
                {"type": "mcp_call", "id": "mcp_1", "name": "roll", "arguments": "{}", "output": "4"},
                {"type": "image_generation_call", "result": "QUJD"},
                {"type": "web_search_call", "id": "ws_1"},
            ],
            "usage": {"input_tokens": 27, "output_tokens": 50, "input_tokens_details": {"cached_tokens": 8}, "output_tokens_details": {"reasoning_tokens": 2}}}),
    );
    let event = case.event();
    let input = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "See https://x/a.pngf1"},
        {"role": "user", "content": "", "image_parts": [{"mime_type": "image/png", "content": "QUJD"}]},
        {"role": "assistant", "tool_calls": [{"name": "f", "arguments": {"a": 1}, "tool_id": "c1", "type": "function_call"}]},
        {"role": "user", "tool_results": [{"name": "", "result": "42", "tool_id": "c1", "type": "function_call_output"}]},
        {"role": "user", "tool_results": [{"name": "", "result": "a", "tool_id": "c2", "type": "function_call_output"}]},
    ]);
    assert_eq!(event["meta"]["input"]["messages"], input);
    let output = json!([
        {"role": "reasoning", "content": r#"{"encrypted_content": "", "id": "rs_1", "summary": []}"#},
        {"role": "assistant", "content": "Yes, no."},
        {"role": "assistant", "tool_calls": [{"name": "sh", "arguments": {"value": "ls"}, "tool_id": "c3", "type": "custom_tool_call"}]},
        {"role": "assistant", "tool_calls": [{"name": "roll", "arguments": {}, "tool_id": "mcp_1", "type": "mcp_call"}],
            "tool_results": [{"name": "roll", "result": "4", "tool_id": "mcp_1", "type": "mcp_tool_result"}]},
        {"role": "assistant", "content": "[image]"},
        {"role": "assistant", "content": r#"{"id": "ws_1", "type": "web_search_call"}"#},
    ]);
    assert_eq!(event["meta"]["output"]["messages"], output);
    let metadata = json!({"finish_reason": "max_output_tokens", "max_output_tokens": 50, "temperature": 0.1, "top_p": 1.0,
        "text": {"format": {"type": "text"}}, "tool_choice": "auto"});
    assert_eq!(event["meta"]["metadata"], metadata);
    let metrics = json!({"cache_read_input_tokens": 8, "input_tokens": 27, "output_tokens": 50, "reasoning_output_tokens": 2, "total_tokens": 77});
    assert_eq!(event["metrics"], metrics);
    assert_eq!(
        event["meta"]["tool_definitions"],
        json!([{"name": "roll", "description": "dice", "schema": {"type": "object"}}])
    );
}

#[test]
fn a_streamed_response_is_its_last_event_or_what_came_before() {
    let request = json!({"model": "m", "input": "hi", "stream": true});
    let created = json!({"type": "response.created", "response": {"model": "m-1", "output": [], "usage": null}});
    let item = json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "One."}]});
    let events = [
        created,
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "One."}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.output_text.delta", "output_index": 1, "delta": "Tw"}),
        json!({"type": "response.completed", "response": {"model": "m-1", "output": [item], "usage": {"input_tokens": 1, "output_tokens": 2}}}),
    ];
    let whole = stream(RESPONSES, request.clone(), &events);
    let (_, exchange) = whole.decode();
    assert!(exchange.is_complete);
    assert_eq!(
        exchange.output,
        Some(Io::Messages(vec![
            json!({"role": "assistant", "content": "One."})
        ]))
    );
    assert_eq!(exchange.metrics["total_tokens"], 3.0);
    let (_, exchange) = stream(RESPONSES, request, &events[..4]).decode();
    assert!(!exchange.is_complete && exchange.first_content.is_some());
    assert_eq!(exchange.model_name, "m-1");
    let messages = ["One.", "Tw"].map(|text| json!({"role": "assistant", "content": text}));
    assert_eq!(exchange.output, Some(Io::Messages(messages.to_vec())));
}

#[test]
fn failures_keep_the_question_and_say_why() {
    let failure = json!({"error": {"message": "no such model", "type": "invalid_request_error", "param": null, "code": "model_not_found"}});
    for (url, request) in [
        (
            CHAT,
            json!({"model": "nope", "messages": [{"role": "user", "content": "hi"}]}),
        ),
        (RESPONSES, json!({"model": "nope", "input": "hi"})),
    ] {
        let case = Case {
            url,
            request,
            status: 404,
            media_type: JSON,
            body: failure.to_string().into_bytes(),
        };
        let event = case.event();
        assert_eq!(event["status"], "error");
        assert_eq!(
            event["meta"]["input"]["messages"],
            json!([{"role": "user", "content": "hi"}])
        );
        assert_eq!(
            event["meta"]["output"]["messages"],
            json!([{"role": "", "content": ""}])
        );
        assert_eq!(event["metrics"], json!({}));
        let (_, exchange) = case.decode();
        assert_eq!(exchange.failure.unwrap().kind, "invalid_request_error");
    }
    // In mid-stream: what came until then is kept.
    let mut case = stream(
        CHAT,
        json!({"model": "m", "messages": [], "stream": true}),
        &[json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]})],
    );
    case.body
        .extend(format!("data: {failure}\n\n").into_bytes());
    assert_eq!(case.media_type, SSE);
    let event = case.event();
    assert_eq!(event["status"], "error");
    assert_eq!(
        event["meta"]["output"]["messages"],
        json!([{"role": "assistant", "content": "Hel"}])
    );
    let response = json!({"type": "response.failed", "response": {"model": "m", "output": [], "error": {"code": "server_error", "message": "oops"}}});
    let (_, exchange) =
        stream(RESPONSES, json!({"model": "m", "input": "hi"}), &[response]).decode();
    assert_eq!(exchange.failure.unwrap().message, "oops");
}
