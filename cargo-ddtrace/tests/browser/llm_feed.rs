//! LLM spans, evaluations and an experiment, as the library sends them.

use serde_json::{Value, json};

use super::feed;

fn post(address: &str, path: &str, subdomain: &str, body: &Value) -> Value {
    let headers = [("X-Datadog-EVP-Subdomain", subdomain)];
    let path = format!("/evp_proxy/v2{path}");
    let body = body.to_string();
    let answer = feed::post_with(
        address,
        &path,
        "application/json",
        &headers,
        body.as_bytes(),
    );
    assert!(
        (200..300).contains(&answer.status),
        "{path}: {}",
        answer.body
    );
    serde_json::from_str(&answer.body).unwrap_or_default()
}

pub(crate) fn spans(address: &str, spans: &[Value]) {
    let body = json!([{"_dd.stage": "raw", "_dd.tracer_version": "0.1.0", "event_type": "span", "spans": spans}]);
    post(address, "/api/v2/llmobs", "llmobs-intake", &body);
}

pub(crate) fn evaluations(address: &str, metrics: &[Value]) {
    let body = json!({"data": {"type": "evaluation_metric", "attributes": {"metrics": metrics}}});
    post(address, "/api/intake/llm-obs/v2/eval-metric", "api", &body);
}

/// A span event: trace and span by number, milliseconds from the trace's begin.
pub(crate) fn span(
    trace: u64,
    span: u64,
    parent: u64,
    kind: &str,
    name: &str,
    at: (i64, i64),
    meta: Value,
) -> Value {
    let begin = feed::now() - 60_000_000_000 + i64::try_from(trace).expect("small") * 5_000_000_000;
    let id = |span: u64| (trace * 1000 + span).to_string();
    let mut meta = meta;
    meta["span"] = json!({"kind": kind});
    if meta["metadata"].is_null() {
        meta["metadata"] = json!({});
    }
    let has_error = !meta["error"].is_null();
    json!({
        "trace_id": format!("{trace:032x}"), "span_id": id(span), "parent_id": if parent == 0 { "undefined".to_owned() } else { id(parent) },
        "name": name, "start_ns": begin + at.0 * 1_000_000, "duration": at.1 * 1_000_000, "status": if has_error { "error" } else { "ok" },
        "meta": meta, "metrics": {}, "tags": ["env:dev", "ml_app:support", "service:shop"],
        "_dd": {"span_id": id(span), "trace_id": format!("{trace:032x}"), "apm_trace_id": format!("{trace:032x}"), "sample_rate": "1"},
    })
}

/// One turn of the support assistant: it looks something up, asks the model, calls a tool, answers.
pub(crate) fn turn(
    trace: u64,
    question: &str,
    answer: &str,
    version: &str,
    fails: bool,
) -> Vec<Value> {
    let model = |messages: Value, output: Value| {
        json!({"model_name": "gpt-4o-2024-08-06", "model_provider": "openai", "input": {"messages": messages, "prompt":
            {"id": "answer", "version": version, "template": "Answer {{question}} from {{context}}.", "variables": {"question": question, "context": "the docs"}}},
            "output": output, "metadata": {"temperature": 0.2, "max_tokens": 400},
            "tool_definitions": [{"name": "lookup_order", "description": "Finds an order by its number.", "schema": {"type": "object", "properties": {"id": {"type": "integer"}}}}]})
    };
    let system = json!({"role": "system", "content": "You are the support assistant of a small shop. Answer from the documents, and look orders up before you speak about them."});
    let asked = json!({"role": "user", "content": question});
    let call = json!({"role": "assistant", "content": "", "tool_calls": [{"name": "lookup_order", "arguments": {"id": 4711}, "tool_id": "call_1", "type": "function"}]});
    let result = json!({"role": "tool", "content": "", "tool_results": [{"name": "lookup_order", "result": "{\"id\": 4711, \"state\": \"shipped\", \"carrier\": \"Northern Post\"}", "tool_id": "call_1"}]});
    let mut root = span(
        trace,
        1,
        0,
        "agent",
        "support.answer",
        (0, 2400),
        json!({"input": {"value": question}, "output": {"value": if fails { "" } else { answer }}}),
    );
    let retrieval = span(
        trace,
        2,
        1,
        "retrieval",
        "docs.search",
        (10, 40),
        json!({"input": {"value": question}, "output": {"documents": [
        {"name": "shipping.md", "id": "12", "score": 0.91, "text": "Orders leave the warehouse within a day. The carrier's number is in the confirmation."},
        {"name": "returns.md", "id": "31", "score": 0.42, "text": "Goods may be returned within thirty days."}]}}),
    );
    let mut first = span(
        trace,
        3,
        1,
        "llm",
        "openai.chat",
        (60, 820),
        model(json!([system, asked]), json!({"messages": [call]})),
    );
    first["metrics"] = json!({"input_tokens": 812, "output_tokens": 21, "total_tokens": 833, "time_to_first_token": 0.31});
    let tool = if fails {
        span(
            trace,
            4,
            1,
            "tool",
            "lookup_order",
            (890, 30),
            json!({"input": {"value": "{\"id\": 4711}"}, "error": {"type": "shop::OrderError", "message": "order 4711 is not known", "stack": "0: shop::orders::lookup\n   at src/orders.rs:88"}}),
        )
    } else {
        span(
            trace,
            4,
            1,
            "tool",
            "lookup_order",
            (890, 30),
            json!({"input": {"value": "{\"id\": 4711}"}, "output": {"value": "{\"id\": 4711, \"state\": \"shipped\"}"}}),
        )
    };
    let mut all = vec![];
    if fails {
        root["status"] = json!("error");
        root["meta"]["error"] =
            json!({"type": "shop::OrderError", "message": "order 4711 is not known"});
        root["duration"] = json!(930_000_000);
    } else {
        let mut second = span(
            trace,
            5,
            1,
            "llm",
            "openai.chat",
            (930, 1450),
            model(
                json!([system, asked, call, result]),
                json!({"messages": [{"role": "assistant", "content": answer}]}),
            ),
        );
        second["metrics"] = json!({"input_tokens": 1090, "output_tokens": 217, "total_tokens": 1307, "time_to_first_token": 0.28, "cache_read_input_tokens": 768});
        all.push(second);
    }
    all.extend([root, retrieval, first, tool]);
    for span in &mut all {
        span["session_id"] = json!("s-42");
        span["tags"]
            .as_array_mut()
            .expect("a list")
            .push(json!("session_id:s-42"));
    }
    all
}

/// What an evaluator says of a span.
pub(crate) fn evaluation(
    trace: u64,
    span: u64,
    label: &str,
    kind: &str,
    value: Value,
    assessment: Option<&str>,
    reasoning: &str,
) -> Value {
    let mut metric = json!({"event_kind": "evaluation", "join_on": {"span": {"span_id": (trace * 1000 + span).to_string(), "trace_id": format!("{trace:032x}")}},
        "label": label, "metric_type": kind, "timestamp_ms": feed::now() / 1_000_000, "ml_app": "support", "tags": ["ml_app:support"], "eval_scope": "span", "reasoning": reasoning});
    metric[format!("{kind}_value")] = value;
    if let Some(assessment) = assessment {
        metric["assessment"] = json!(assessment);
    }
    metric
}

/// Three turns of one session, the last of which fails, and evaluations of them.
pub(crate) fn support(address: &str) {
    let answer = "Your order 4711 was shipped with Northern Post. It should be with you **tomorrow**.\n\nIf it is not, write to us again and we will look after it.";
    spans(
        address,
        &turn(1, "Where is my order 4711?", answer, "2", false),
    );
    spans(
        address,
        &turn(
            2,
            "Can I still change its address?",
            "No: it has left the warehouse. The carrier can hold it for you at its next branch.",
            "3",
            false,
        ),
    );
    spans(
        address,
        &turn(3, "Then tell me what is in it", "", "3", true),
    );
    evaluations(
        address,
        &[
            evaluation(
                1,
                1,
                "helpful",
                "score",
                json!(0.9),
                Some("pass"),
                "It names the carrier and the day.",
            ),
            evaluation(
                2,
                1,
                "helpful",
                "score",
                json!(0.4),
                Some("fail"),
                "It does not say how to reach the carrier.",
            ),
            evaluation(1, 5, "tone", "categorical", json!("friendly"), None, ""),
            evaluation(2, 5, "grounded", "boolean", json!(true), None, ""),
        ],
    );
}

/// An experiment of two runs over three records; gives its id.
pub(crate) fn experiment(address: &str) -> String {
    let ask = |path: &str, kind: &str, attributes: Value| {
        post(
            address,
            path,
            "api",
            &json!({"data": {"type": kind, "attributes": attributes}}),
        )
    };
    let unstable = "/api/unstable/llm-obs/v1";
    let text = |answer: &Value| answer["data"]["id"].as_str().expect("an id").to_owned();
    let project = text(&ask(
        &format!("{unstable}/projects"),
        "projects",
        json!({"name": "support"}),
    ));
    let dataset = text(&ask(
        &format!("{unstable}/{project}/datasets"),
        "datasets",
        json!({"name": "questions", "description": "What customers asked in spring"}),
    ));
    let records = [
        ("r1", "Where is my order?", "shipped"),
        ("r2", "May I return it?", "within 30 days"),
        ("r3", "Do you ship abroad?", "no"),
    ];
    let inserts: Vec<Value> = records.iter().map(|(id, q, a)| json!({"id": id, "input": {"question": q}, "expected_output": a, "metadata": {}})).collect();
    ask(
        &format!("/api/v2/llm-obs/v1/{project}/datasets/{dataset}/batch_update"),
        "datasets",
        json!({"insert_records": inserts}),
    );
    let id = text(&ask(
        &format!("{unstable}/experiments"),
        "experiments",
        json!({"name": "prompt 3", "dataset_id": dataset, "project_id": project, "dataset_version": 1,
        "config": {"model": "gpt-4o", "temperature": 0.2}, "run_count": 2}),
    ));
    let (mut events, mut metrics) = (Vec::new(), Vec::new());
    for run in 0..2_u64 {
        for (number, (record, question, expected)) in (0..).zip(records) {
            let output = if number == 2 && run == 1 {
                "yes, everywhere"
            } else {
                expected
            };
            let mut event = span(
                10 + run * 3 + number,
                1,
                0,
                "experiment",
                "task",
                (0, 400),
                json!({"input": {"question": question}, "output": output, "expected_output": expected}),
            );
            event["tags"] = json!([
                "ml_app:support",
                format!("experiment_id:{id}"),
                format!("dataset_record_id:{record}"),
                format!("run_iteration:{run}")
            ]);
            metrics.push(json!({"metric_source": "custom", "span_id": event["span_id"], "trace_id": event["trace_id"], "timestamp_ms": 5, "metric_type": "boolean", "label": "exact", "boolean_value": output == expected, "tags": []}));
            events.push(event);
        }
    }
    spans(address, &events);
    metrics.push(json!({"metric_source": "summary", "span_id": "", "trace_id": "", "timestamp_ms": 5, "metric_type": "score", "label": "accuracy", "score_value": 0.833, "tags": []}));
    ask(
        &format!("{unstable}/experiments/{id}/events"),
        "experiments",
        json!({"scope": "experiments", "metrics": metrics, "tags": []}),
    );
    id
}
