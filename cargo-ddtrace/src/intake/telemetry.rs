//! `POST /telemetry/proxy/api/v2/apmtelemetry`, JSON: what the library says of itself.
//!
//! Read here: who it is, and how many chunks it says it lost. Checked here: everything that the intake would reject, and the
//! order in which requests of one runtime come. The schemas are those of system-tests, `tests/schemas/utils/miscs/telemetry`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::HeaderMap;
use serde_json::Value;

use crate::store::counts::Client;
use crate::validate::{Finding, Findings, Rule, telemetry as rules};

/// Runtimes whose numbers are remembered.
const RUNTIMES: usize = 256;

/// What a request says.
#[derive(Debug, Default)]
pub struct Telemetry {
    /// Who sent it.
    pub client: Client,
    /// Chunks that the library lost.
    pub dropped: u64,
    /// What is wrong with it.
    pub findings: Findings,
}

/// The last number of each runtime, and of the request with its start.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<HashMap<String, Session>>);

#[derive(Debug, Default)]
struct Session {
    last: u64,
    started: Option<u64>,
}

/// Reads and checks a request.
pub fn read(body: &[u8], headers: &HeaderMap, sessions: &Sessions) -> Result<Telemetry, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let application = &value["application"];
    let client = Client {
        runtime_id: text(&value["runtime_id"]),
        service: text(&application["service_name"]),
        env: text(&application["env"]),
        app_version: text(&application["service_version"]),
        language: text(&application["language_name"]),
        language_version: text(&application["language_version"]),
        tracer_version: text(&application["tracer_version"]),
        telemetry: true,
        ..Client::default()
    };
    let Some(request_type) = value["request_type"].as_str() else {
        return Err("request_type is missing".into());
    };
    let mut findings = Findings::default();
    check_envelope(&value, &mut findings);
    check_headers(&value, request_type, headers, &mut findings);
    let messages: Vec<(&str, &Value)> = if request_type == "message-batch" {
        let batch = value["payload"].as_array().map_or(&[][..], Vec::as_slice);
        if batch.is_empty() {
            found(
                &rules::PAYLOAD,
                "payload",
                "a batch without messages",
                &mut findings,
            );
        }
        let messages = batch.iter().map(|message| {
            let kind = message["request_type"].as_str().unwrap_or_default();
            (kind, &message["payload"])
        });
        messages.collect()
    } else {
        vec![(request_type, &value["payload"])]
    };
    for (kind, payload) in &messages {
        check_payload(kind, payload, &mut findings);
    }
    sessions.check(&value, request_type, &messages, &mut findings);
    let dropped = messages
        .iter()
        .map(|(kind, payload)| dropped(kind, payload))
        .sum();
    Ok(Telemetry {
        client,
        dropped,
        findings,
    })
}

fn found(rule: &'static Rule, field: &str, detail: impl Into<String>, out: &mut Findings) {
    out.add(Finding {
        rule,
        chunk: None,
        span: None,
        field: field.to_owned(),
        detail: detail.into(),
    });
}

fn check_envelope(value: &Value, out: &mut Findings) {
    let mut expect = |field: &str, holds: bool| {
        if !holds {
            found(&rules::ENVELOPE, field, "", out);
        }
    };
    expect("api_version", value["api_version"] == "v2");
    expect("tracer_time", value["tracer_time"].is_u64());
    expect(
        "runtime_id",
        !value["runtime_id"].as_str().unwrap_or_default().is_empty(),
    );
    expect(
        "seq_id",
        value["seq_id"].as_u64().is_some_and(|number| number >= 1),
    );
    expect(
        "debug",
        value["debug"].is_null() || value["debug"].is_boolean(),
    );
    for field in [
        "service_name",
        "tracer_version",
        "language_name",
        "language_version",
    ] {
        let text = value["application"][field].as_str().unwrap_or_default();
        expect(&format!("application.{field}"), !text.is_empty());
    }
    for object in ["application", "host"] {
        for (field, inner) in value[object].as_object().into_iter().flatten() {
            expect(&format!("{object}.{field}"), inner.is_string());
        }
    }
    expect("host.hostname", value["host"]["hostname"].is_string());
}

fn check_headers(value: &Value, request_type: &str, headers: &HeaderMap, out: &mut Findings) {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    for (name, expected) in [
        ("DD-Telemetry-API-Version", Some("v2")),
        ("DD-Telemetry-Request-Type", Some(request_type)),
        ("DD-Session-ID", value["runtime_id"].as_str()),
    ] {
        let sent = header(name);
        // Sessions are younger than the rest: a library that has none is let pass.
        if sent != expected && (sent.is_some() || name != "DD-Session-ID") {
            let detail = format!("found {:?}", sent.unwrap_or_default());
            found(&rules::HEADER, &format!("header {name}"), detail, out);
        }
    }
    if header("DD-Parent-Session-ID").is_some_and(|parent| value["runtime_id"] == parent) {
        let detail = "a session is not its own parent";
        found(&rules::HEADER, "header DD-Parent-Session-ID", detail, out);
    }
}

/// What a list of a payload has to hold.
enum Items {
    /// Texts under these names, others as they are.
    With(&'static [&'static str]),
    /// Points of metrics: pairs of numbers, or plain numbers.
    Series { pairs: bool },
}

fn check_payload(kind: &str, payload: &Value, out: &mut Findings) {
    let list = |name: &str, least: usize, most: usize, items: Items, out: &mut Findings| {
        let Some(list) = payload[name].as_array() else {
            return found(
                &rules::PAYLOAD,
                &format!("{kind}: {name}"),
                "expected a list",
                out,
            );
        };
        if !(least..=most).contains(&list.len()) {
            let detail = format!("expected {least} to {most} items, found {}", list.len());
            found(&rules::PAYLOAD, &format!("{kind}: {name}"), detail, out);
        }
        for (index, item) in list.iter().enumerate() {
            if let Err(detail) = check_item(item, &items, payload) {
                found(
                    &rules::PAYLOAD,
                    &format!("{kind}: {name}[{index}]"),
                    detail,
                    out,
                );
            }
        }
    };
    const MANY: usize = 5000;
    match kind {
        "app-started" => {
            list(
                "configuration",
                0,
                MANY,
                Items::With(&["name", "origin"]),
                out,
            );
            for forbidden in ["dependencies", "integrations"] {
                if payload[forbidden]
                    .as_array()
                    .is_some_and(|list| !list.is_empty())
                {
                    let detail = "has a message of its own";
                    found(
                        &rules::PAYLOAD,
                        &format!("{kind}: {forbidden}"),
                        detail,
                        out,
                    );
                }
            }
        }
        "app-client-configuration-change" => {
            list(
                "configuration",
                1,
                MANY,
                Items::With(&["name", "origin"]),
                out,
            );
        }
        "app-dependencies-loaded" => list("dependencies", 1, 2000, Items::With(&["name"]), out),
        "app-integrations-change" => list("integrations", 1, 2000, Items::With(&["name"]), out),
        "app-product-change" if !payload["products"].is_object() => {
            found(
                &rules::PAYLOAD,
                "app-product-change: products",
                "expected a map",
                out,
            );
        }
        "app-endpoints" => {
            let names = &["operation_name", "resource_name"];
            list("endpoints", 1, 300, Items::With(names), out);
        }
        "generate-metrics" => list("series", 1, MANY, Items::Series { pairs: true }, out),
        "distributions" => list("series", 1, MANY, Items::Series { pairs: false }, out),
        "sketches" => list("series", 1, MANY, Items::With(&["metric"]), out),
        "logs" => list("logs", 1, MANY, Items::With(&["message", "level"]), out),
        "app-extended-heartbeat" => {
            list(
                "configuration",
                0,
                MANY,
                Items::With(&["name", "origin"]),
                out,
            );
            list("dependencies", 0, MANY, Items::With(&["name"]), out);
            list("integrations", 0, MANY, Items::With(&["name"]), out);
        }
        "app-product-change" | "app-heartbeat" | "app-closing" => {}
        // What other libraries and the agent itself send besides.
        "apm-onboarding-event"
        | "apm-remote-config-event"
        | "agent-metrics"
        | "injection-metadata" => {}
        other => found(
            &rules::TYPE,
            "request_type",
            format!("found {other:?}"),
            out,
        ),
    }
}

fn check_item(item: &Value, items: &Items, payload: &Value) -> Result<(), String> {
    match items {
        Items::With(names) => {
            if let Some(missing) = names.iter().find(|name| !item[**name].is_string()) {
                return Err(format!("expected a text as {missing}"));
            }
            let level = &item["level"];
            let known = ["ERROR", "WARN", "INFO", "DEBUG"];
            if !level.is_null() && !known.iter().any(|name| level == name) {
                return Err(format!("expected a level, found {level}"));
            }
            match &item["value"] {
                Value::Array(_) | Value::Object(_) => Err("expected a plain value".to_owned()),
                _ => Ok(()),
            }
        }
        Items::Series { pairs } => {
            let is_named = item["metric"].is_string()
                && (item["namespace"].is_string() || payload["namespace"].is_string());
            if !is_named {
                return Err("expected a metric with a namespace".to_owned());
            }
            let is_point = |point: &Value| match pairs {
                true => point
                    .as_array()
                    .is_some_and(|pair| pair.len() == 2 && pair.iter().all(Value::is_number)),
                false => point.is_number(),
            };
            if !item["points"]
                .as_array()
                .is_some_and(|points| points.iter().all(is_point))
            {
                return Err("expected points".to_owned());
            }
            let needs_interval = item["type"] == "gauge" || item["type"] == "rate";
            if needs_interval && !item["interval"].is_number() {
                return Err("expected an interval".to_owned());
            }
            Ok(())
        }
    }
}

impl Sessions {
    /// Numbers rise by one; the same again is a repetition. A start is the first request of a runtime, alone.
    fn check(
        &self,
        value: &Value,
        request_type: &str,
        messages: &[(&str, &Value)],
        out: &mut Findings,
    ) {
        let (Some(runtime), Some(number)) =
            (value["runtime_id"].as_str(), value["seq_id"].as_u64())
        else {
            return;
        };
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sessions.len() >= RUNTIMES && !sessions.contains_key(runtime) {
            sessions.clear();
        }
        let is_new = !sessions.contains_key(runtime);
        let session = sessions.entry(runtime.to_owned()).or_default();
        let is_repeated = number == session.last;
        // An agent may come up in the middle of a program's life.
        if !is_new && !is_repeated && number != session.last + 1 {
            let detail = format!("found {number} after {}", session.last);
            found(&rules::SEQUENCE, "seq_id", detail, out);
        }
        session.last = number;
        if messages.iter().any(|(kind, _)| *kind == "app-started") {
            let is_first = number == 1 && request_type == "app-started";
            let is_again = session.started.is_some_and(|before| before != number);
            if !is_first || is_again {
                let detail = format!("in request {number}, a {request_type}");
                found(&rules::START, "request_type", detail, out);
            }
            session.started = Some(number);
        }
    }
}

fn dropped(request_type: &str, payload: &Value) -> u64 {
    if request_type != "generate-metrics" {
        return 0;
    }
    let series = payload["series"].as_array().map_or(&[][..], Vec::as_slice);
    let lost = |series: &&Value| {
        let names = |tags: &Value| {
            tags.as_array()
                .is_some_and(|tags| tags.iter().any(|tag| tag == "reason:p0_drop"))
        };
        series["metric"] == "trace_chunks_dropped" && !names(&series["tags"])
    };
    let points = series
        .iter()
        .filter(lost)
        .filter_map(|series| series["points"].as_array())
        .flatten();
    points
        .filter_map(|point| point[1].as_f64())
        .map(|n| n.max(0.0) as u64)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_chunks_are_added_up_and_sampled_ones_are_not() {
        let body = br#"{"request_type": "message-batch", "runtime_id": "r", "application": {"service_name": "shop"}, "payload": [
            {"request_type": "app-heartbeat", "payload": {}},
            {"request_type": "generate-metrics", "payload": {"series": [
                {"metric": "trace_chunks_dropped", "tags": ["reason:full"], "points": [[1, 2], [2, 3]]},
                {"metric": "trace_chunks_dropped", "tags": ["reason:p0_drop"], "points": [[1, 50]]},
                {"metric": "spans_created", "points": [[1, 9]]}]}}]}"#;
        let (headers, sessions) = (HeaderMap::new(), Sessions::default());
        let telemetry = read(body, &headers, &sessions).unwrap();
        assert_eq!(
            (telemetry.dropped, telemetry.client.service.as_str()),
            (5, "shop")
        );
        assert!(read(b"{}", &headers, &sessions).is_err());
        assert!(read(b"[", &headers, &sessions).is_err());
    }
}
