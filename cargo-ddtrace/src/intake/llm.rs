//! LLM Observability: spans and evaluations, and what the library asks the back end for.
//!
//! Spans come here, or inside APM traces (`carried`). The Agent passes all of this on to the back end; here it ends: the
//! questions are answered by [`Backend`](crate::llm::backend::Backend).

use std::time::Instant;

use axum::body::Bytes;
use axum::http::{StatusCode, request::Parts};
use serde_json::Value;

use super::answer::Answer;
use super::model::Payload;
use super::msgpack::Reader;
use super::multipart;
use super::take::{finish, raw, rejected, text};
use super::tests::behind_proxy;
use crate::api::Shared;
use crate::llm::backend::{Ask, Brought};
use crate::llm::evaluation::Evaluation;
use crate::llm::prices::Prices;
use crate::llm::span::{Span, Transport, event_of};
use crate::llm::{Kept, answers};
use crate::store::Change;
use crate::store::requests::{Raw, Request as KeptRequest};
use crate::validate::{Finding, Findings, Level, llm as rules, request, secret};

/// Bytes of a body.
const LIMIT: usize = 25 << 20;
/// Events of one body.
const EVENTS: usize = 10_000;
/// Where the library leaves its event in an APM span.
const CARRIED: &str = "_llmobs";

/// What a path of LLM Observability takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Llm {
    /// Spans.
    Spans,
    /// Evaluations and feedback.
    Evaluations,
    /// A question to the back end.
    Question,
}

impl Llm {
    /// What a path (behind the proxy) takes.
    pub(super) fn of(path: &str) -> Option<Llm> {
        Some(match path {
            "/api/v2/llmobs" => Llm::Spans,
            "/api/intake/llm-obs/v1/eval-metric" | "/api/intake/llm-obs/v2/eval-metric" => {
                Llm::Evaluations
            }
            path if rest(path).is_some() => Llm::Question,
            _ => return None,
        })
    }
}

/// What follows the common beginning of the back end's routes.
fn rest(path: &str) -> Option<&str> {
    path.strip_prefix("/api/unstable/llm-obs/v1/")
        .or_else(|| path.strip_prefix("/api/v2/llm-obs/v1/"))
}

/// Takes in a body.
pub(super) fn take(
    shared: &Shared,
    llm: Llm,
    mut kept: KeptRequest,
    parts: &Parts,
    body: &Bytes,
    begun: Instant,
) -> (Answer, u32) {
    let mut findings = Findings::default();
    let reject = |kept, rule, status, detail: &str, mut findings: Findings| {
        findings.add(rejected(rule, detail.to_owned()));
        finish(
            shared,
            kept,
            Answer::error(status, rule, detail, None),
            None,
            &findings,
            begun,
        )
    };
    if body.len() > LIMIT {
        kept.raw = Raw::TooLarge;
        let detail = format!("{} bytes, limit {LIMIT}", body.len());
        return reject(
            kept,
            &request::TOO_LARGE,
            StatusCode::PAYLOAD_TOO_LARGE,
            &detail,
            findings,
        );
    }
    kept.raw = raw(body.clone());
    let path = kept.path.clone();
    let Some((path, passes_compressed)) = behind_proxy(&path) else {
        return reject(
            kept,
            &request::UNDECODABLE,
            StatusCode::BAD_REQUEST,
            "this is no path of the proxy",
            findings,
        );
    };
    if !passes_compressed && !matches!(kept.encoding.as_str(), "" | "identity") {
        let detail = "version 2 of the proxy passes no compressed bodies";
        return reject(
            kept,
            &request::UNDECODABLE,
            StatusCode::BAD_REQUEST,
            detail,
            findings,
        );
    }
    if kept.path.starts_with("/evp_proxy/") {
        let expected = if llm == Llm::Spans {
            "llmobs-intake"
        } else {
            "api"
        };
        let found = text(&parts.headers, "x-datadog-evp-subdomain");
        if found != expected {
            findings.add(Finding {
                rule: &rules::HEADER,
                chunk: None,
                span: None,
                field: "header X-Datadog-EVP-Subdomain".to_owned(),
                detail: format!("found {found:?}, expected {expected}"),
            });
        }
    }
    if llm == Llm::Question {
        return question(shared, kept, parts, path, body, findings, begun);
    }
    let value = match lenient(body, &mut findings) {
        Ok(value) => value,
        Err(error) => {
            return reject(
                kept,
                &request::UNDECODABLE,
                StatusCode::BAD_REQUEST,
                &error,
                findings,
            );
        }
    };
    let mut spans = Vec::new();
    let mut evaluations = Vec::new();
    match llm {
        Llm::Spans => {
            let envelopes = match &value {
                Value::Array(list) => &list[..],
                one => std::slice::from_ref(one),
            };
            let mut count = 0;
            for (number, envelope) in envelopes.iter().enumerate() {
                let Some(events) = envelope["spans"].as_array() else {
                    let detail = format!("[{number}].spans is missing or no array");
                    return reject(
                        kept,
                        &request::UNDECODABLE,
                        StatusCode::BAD_REQUEST,
                        &detail,
                        findings,
                    );
                };
                count += events.len();
                if count > EVENTS {
                    return reject(
                        kept,
                        &request::TOO_LARGE,
                        StatusCode::PAYLOAD_TOO_LARGE,
                        "more than 10000 events",
                        findings,
                    );
                }
                for (at, event) in events.iter().enumerate() {
                    let place = format!("[{number}].spans[{at}]");
                    rules::check_span(event, &place, None, &mut findings);
                    spans.push(read(
                        event.clone(),
                        &place,
                        Transport::Intake,
                        &shared.llm().prices,
                        &mut findings,
                    ));
                }
            }
        }
        _ => {
            let Some(metrics) = value["data"]["attributes"]["metrics"].as_array() else {
                return reject(
                    kept,
                    &request::UNDECODABLE,
                    StatusCode::BAD_REQUEST,
                    "data.attributes.metrics is missing or no array",
                    findings,
                );
            };
            for (number, metric) in metrics.iter().take(EVENTS).enumerate() {
                let place = format!("data.attributes.metrics[{number}]");
                rules::check_evaluation(metric, &place, &mut findings);
                evaluations.push(Evaluation::read(metric));
            }
        }
    }
    judge_transports(&shared.llm().lock(), &spans, None, &mut findings);
    if findings
        .list
        .iter()
        .any(|found| found.rule.id == secret::SECRET.id)
    {
        kept.raw = Raw::Secret;
    }
    let answer = match findings.list.iter().min_by_key(|found| found.rule.level) {
        Some(found) if shared.is_strict() && found.rule.level <= Level::Violation => {
            Answer::error(StatusCode::BAD_REQUEST, found.rule, &found.detail, None)
        }
        _ => Answer {
            status: StatusCode::ACCEPTED,
            ..Answer::ok("{}")
        },
    };
    let (answer, number) = finish(shared, kept, answer, None, &findings, begun);
    keep(shared, spans, evaluations, number);
    (answer, number)
}

/// Keeps what a request brought.
pub(super) fn keep(shared: &Shared, spans: Vec<Span>, evaluations: Vec<Evaluation>, request: u32) {
    if spans.is_empty() && evaluations.is_empty() {
        return;
    }
    let mut kept = shared.llm().lock();
    for mut span in spans {
        span.request = request;
        kept.add(span);
    }
    for evaluation in evaluations {
        kept.evaluate(evaluation);
    }
    drop(kept);
    shared.store().change(|store| store.note(Change::Llm));
}

/// A span event as it is kept: its secrets masked, before anything of it is.
fn read(
    mut event: Value,
    place: &str,
    transport: Transport,
    prices: &Prices,
    findings: &mut Findings,
) -> Span {
    let mut secrets = 0;
    mask(&mut event, &mut secrets);
    if secrets > 0 {
        findings.add(Finding {
            rule: &secret::SECRET,
            chunk: None,
            span: None,
            field: place.to_owned(),
            detail: format!("{secrets} of them"),
        });
    }
    Span::read(&event, transport, prices)
}

/// Masks what looks like a secret in every text.
fn mask(value: &mut Value, found: &mut usize) {
    match value {
        Value::String(text) => {
            if let Some((masked, _)) = secret::masked(text) {
                *text = masked;
                *found += 1;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| mask(value, found)),
        Value::Object(map) => {
            for (key, value) in map {
                if let Some((masked, _)) = value
                    .as_str()
                    .and_then(|text| secret::masked_tag(key, text))
                {
                    *value = Value::String(masked);
                    *found += 1;
                } else {
                    mask(value, found);
                }
            }
        }
        _ => {}
    }
}

/// Finds spans that came the other way before.
fn judge_transports(
    kept: &Kept,
    spans: &[Span],
    places: Option<&[(usize, usize)]>,
    findings: &mut Findings,
) {
    for (number, span) in spans.iter().enumerate() {
        if kept
            .transport_of(&span.span_id)
            .is_some_and(|other| other != span.transport)
        {
            let place = places.and_then(|places| places.get(number));
            findings.add(Finding {
                rule: &rules::TWICE,
                chunk: place.map(|(chunk, _)| *chunk),
                span: place.map(|(_, span)| *span),
                field: String::new(),
                detail: format!("span {}", span.span_id),
            });
        }
    }
}

/// The LLM spans that a trace payload carries. What looks like a secret is masked in the payload, too.
pub(super) fn carried(
    shared: &Shared,
    payload: &mut Payload<'_>,
    findings: &mut Findings,
) -> Vec<Span> {
    let (mut spans, mut places) = (Vec::new(), Vec::new());
    for (number, chunk) in payload.chunks.iter().enumerate() {
        let high = payload.high_bits(chunk).unwrap_or(0);
        for (at, place) in chunk.spans.clone().enumerate() {
            let span = &payload.spans[place];
            let Some(extra) = &span.extra else { continue };
            let Some(index) = extra.meta_struct.iter().position(|(key, _)| key == CARRIED) else {
                continue;
            };
            let mut reader = Reader::new(&extra.meta_struct[index].1);
            let decoded = match reader.json() {
                Ok(value) if reader.left() == 0 && value.is_object() => value,
                other => {
                    findings.add(Finding {
                        rule: &rules::FIELD,
                        chunk: Some(number),
                        span: Some(at),
                        field: "meta_struct[\"_llmobs\"]".to_owned(),
                        detail: other
                            .err()
                            .map_or("it is no map".to_owned(), |error| error.to_string()),
                    });
                    continue;
                }
            };
            let error_type = payload.tag(span, "error.type").map(str::to_owned);
            let mut event = event_of(&decoded, span, high, error_type.as_deref());
            rules::check_span(
                &event,
                "meta_struct[\"_llmobs\"]",
                Some((number, at)),
                findings,
            );
            let mut secrets = 0;
            mask(&mut event, &mut secrets);
            spans.push(Span::read(&event, Transport::Apm, &shared.llm().prices));
            places.push((number, at));
            if secrets > 0 {
                findings.add(Finding {
                    rule: &secret::SECRET,
                    chunk: Some(number),
                    span: Some(at),
                    field: "meta_struct[\"_llmobs\"]".to_owned(),
                    detail: format!("{secrets} of them"),
                });
                let mut text = Vec::new();
                let _ = rmp::encode::write_str(&mut text, secret::MASK);
                if let Some(extra) = &mut payload.spans[place].extra {
                    extra.meta_struct[index].1 = text.into();
                }
            }
        }
    }
    if !spans.is_empty() {
        judge_transports(&shared.llm().lock(), &spans, Some(&places), findings);
    }
    spans
}

fn question(
    shared: &Shared,
    mut kept: KeptRequest,
    parts: &Parts,
    path: &str,
    body: &Bytes,
    mut findings: Findings,
    begun: Instant,
) -> (Answer, u32) {
    let content_type = text(&parts.headers, "content-type");
    let is_form = content_type
        .to_ascii_lowercase()
        .starts_with("multipart/form-data");
    let form = if is_form {
        multipart::read(&content_type, body)
    } else {
        Ok(Vec::new())
    };
    let json = match (&form, body.is_empty()) {
        (Ok(_), true) => Ok(Value::Null),
        (Ok(_), false) if is_form => Ok(Value::Null),
        (Ok(_), false) => lenient(body, &mut findings),
        (Err(error), _) => Err(error.clone()),
    };
    let json = match json {
        Ok(json) => json,
        Err(error) => {
            findings.add(rejected(&request::UNDECODABLE, error.clone()));
            let answer =
                Answer::error(StatusCode::BAD_REQUEST, &request::UNDECODABLE, &error, None);
            return finish(shared, kept, answer, None, &findings, begun);
        }
    };
    let file = form.ok().and_then(|parts| {
        parts
            .iter()
            .find(|part| part.name == "file")
            .map(|part| part.content)
    });
    let ask = Ask {
        method: parts.method.as_str(),
        path: rest(path)
            .unwrap_or_default()
            .split('/')
            .map(|part| decode(part, false))
            .collect(),
        query: pairs(parts.uri.query().unwrap_or_default()),
        body: json,
        file,
    };
    let ((status, value), brought) = {
        // Spans before the back end, wherever both are locked.
        let kept = shared.llm().lock();
        let mut backend = shared.llm().backend();
        match answers::answer(&kept, &backend, &ask) {
            Some(reply) => (reply, Brought::default()),
            None => backend.answer(&ask),
        }
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let spans: Vec<Span> = brought
        .spans
        .into_iter()
        .take(EVENTS)
        .map(|event| {
            read(
                event,
                "data.attributes.spans",
                Transport::Intake,
                &shared.llm().prices,
                &mut findings,
            )
        })
        .collect();
    kept.spans = spans.len();
    let answer = Answer {
        status,
        ..Answer::ok(&value.to_string())
    };
    let (answer, number) = finish(shared, kept, answer, None, &findings, begun);
    if spans.is_empty() && parts.method != axum::http::Method::GET {
        shared.store().change(|store| store.note(Change::Llm));
    }
    keep(shared, spans, Vec::new(), number);
    (answer, number)
}

/// JSON in which bare `NaN` and `Infinity` stand for null, as the reference writes them; they are found.
fn lenient(body: &[u8], findings: &mut Findings) -> Result<Value, String> {
    let error = match serde_json::from_slice(body) {
        Ok(value) => return Ok(value),
        Err(error) => error.to_string(),
    };
    let mut clean = body.to_vec();
    let (mut is_text, mut is_escaped, mut at, mut found) = (false, false, 0, 0);
    while at < clean.len() {
        match clean[at] {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'N' | b'I' | b'-' => {
                let words = [&b"NaN"[..], b"Infinity", b"-Infinity"];
                if let Some(word) = words.iter().find(|word| clean[at..].starts_with(word)) {
                    let end = at + word.len();
                    // The shortest of them has three letters, and null four.
                    if word.len() == 3 {
                        clean.splice(at..end, *b"null");
                        at += 3;
                    } else {
                        clean[at..end].fill(b' ');
                        clean[at..at + 4].copy_from_slice(b"null");
                        at = end - 1;
                    }
                    found += 1;
                    if found > 1000 {
                        return Err("more than 1000 bare NaN".to_owned());
                    }
                }
            }
            _ => {}
        }
        at += 1;
    }
    if found == 0 {
        return Err(error);
    }
    let value = serde_json::from_slice(&clean).map_err(|error| error.to_string())?;
    findings.add(Finding {
        rule: &rules::NAN,
        chunk: None,
        span: None,
        field: String::new(),
        detail: format!("{found} of them"),
    });
    Ok(value)
}

/// The parameters of an address.
fn pairs(query: &str) -> Vec<(String, String)> {
    let split = |pair: &str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key, true), decode(value, true))
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .take(100)
        .map(split)
        .collect()
}

/// Takes percent encoding away; what is not UTF-8 afterwards is repaired.
fn decode(text: &str, is_form: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) if is_form => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod unit {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_are_told_apart() {
        assert_eq!(Llm::of("/api/v2/llmobs"), Some(Llm::Spans));
        assert_eq!(
            Llm::of("/api/intake/llm-obs/v2/eval-metric"),
            Some(Llm::Evaluations)
        );
        for path in [
            "/api/unstable/llm-obs/v1/projects",
            "/api/v2/llm-obs/v1/p/datasets",
        ] {
            assert_eq!(Llm::of(path), Some(Llm::Question));
        }
        assert_eq!(Llm::of("/api/v2/citestcycle"), None);
        assert_eq!(
            pairs("filter[name]=a%20b+c&x"),
            [
                ("filter[name]".into(), "a b c".into()),
                ("x".into(), String::new())
            ]
        );
        assert_eq!(
            (decode("a%2Fb%", false), decode("%zz+", false)),
            ("a/b%".into(), "%zz+".into())
        );
    }

    #[test]
    fn bare_nan_is_read_as_null_and_said() {
        let mut findings = Findings::default();
        let body = br#"{"a": NaN, "b": "NaN \" NaN", "c": [-Infinity, Infinity, 1]}"#;
        assert_eq!(
            lenient(body, &mut findings),
            Ok(json!({"a": null, "b": "NaN \" NaN", "c": [null, null, 1]}))
        );
        assert_eq!(findings.list[0].rule.id, "llm.nan");
        assert!(lenient(b"{\"a\": Nothing}", &mut findings).is_err());
    }

    #[test]
    fn secrets_are_masked_wherever_they_stand() {
        let mut value = json!({"meta": {"input": {"value": "postgres://a:hunter2@db/x"}, "metadata": {"api_key": "abcdef123"}}});
        let mut found = 0;
        mask(&mut value, &mut found);
        assert_eq!(found, 2);
        assert!(!value.to_string().contains("hunter2") && !value.to_string().contains("abcdef123"));
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in prop::collection::vec(prop::sample::select(b"{}[]\":,-NaInfity\\1 ".to_vec()), 0..80)) {
            let _ = lenient(&body, &mut Findings::default());
        }

        #[test]
        fn no_event_makes_it_panic(texts in prop::collection::vec(".{0,20}", 12), n in any::<f64>()) {
            let event = json!({"trace_id": texts[0], "span_id": texts[1], "parent_id": n, "name": [texts[2]], "tags": [texts[3], n],
                "meta": {"span": {"kind": texts[4]}, "input": {"messages": [{"content": n}, texts[5]]}, "output": {"documents": texts[6]}},
                "metrics": {texts[7].clone(): n, "input_tokens": texts[8]}, "status": n, "_dd": texts[9]});
            let mut findings = Findings::default();
            rules::check_span(&event, "", None, &mut findings);
            let span = read(event, "", Transport::Intake, &Prices::default(), &mut findings);
            prop_assert!(span.memory() > 0);
            rules::check_evaluation(&json!({"label": texts[10], "metric_type": texts[11], "join_on": n}), "", &mut findings);
        }
    }
}
