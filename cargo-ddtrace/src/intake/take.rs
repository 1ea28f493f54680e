//! Taking in a body by its endpoint: decode, check, store, answer.

use std::time::Instant;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode};

use super::answer::Answer;
use super::body::BodyError;
use super::endpoint::{Endpoint, Version};
use super::model::Payload;
use super::msgpack::{DecodeError, Fault};
use super::{json, llm, stats, streams, telemetry, tests, v1, v04, v05, v07};
use crate::api::Shared;
use crate::store::counts::Client;
use crate::store::requests::{Raw, Request as KeptRequest};
use crate::store::{Change, now};
use crate::validate::{
    Finding, Findings, Headers, Level, RequestView, Rule, check, request as rules, secret,
};

/// The Agent's own limit of a traces payload.
const AGENT_LIMIT: usize = 26_214_400;

/// A body as it is kept.
pub(super) fn raw(body: Bytes) -> Raw {
    if body.is_empty() {
        Raw::Empty
    } else if secret::in_bytes(&body) {
        Raw::Secret
    } else {
        Raw::Kept(body)
    }
}

pub(super) fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map_or(String::new(), |value| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    })
}

/// A request as it is kept, before anything is known but its headers.
pub(super) fn kept(
    method: &Method,
    path: &str,
    endpoint: Endpoint,
    headers: &HeaderMap,
) -> KeptRequest {
    KeptRequest {
        n: 0,
        time: now(),
        method: method.to_string(),
        path: path.chars().take(1000).collect(),
        kind: endpoint.kind(),
        status: 200,
        bytes: 0,
        inflated: 0,
        content_type: text(headers, "content-type"),
        encoding: text(headers, "content-encoding")
            .trim()
            .to_ascii_lowercase(),
        micros: 0,
        language: text(headers, "datadog-meta-lang"),
        tracer_version: text(headers, "datadog-meta-tracer-version"),
        runtime_id: String::new(),
        chunks: 0,
        spans: 0,
        traces: Vec::new(),
        problems: 0,
        worst: None,
        raw: Raw::Empty,
        fault: None,
        forwarded: None,
        headers: crate::security::shown_headers(headers),
        answer: String::new(),
        findings: Vec::new(),
    }
}

/// Stores the request and gives its answer and number.
pub(super) fn finish(
    shared: &Shared,
    mut kept: KeptRequest,
    answer: Answer,
    payload: Option<&Payload<'_>>,
    findings: &Findings,
    begun: Instant,
) -> (Answer, u32) {
    kept.status = answer.status.as_u16();
    kept.answer = answer.body.chars().take(2000).collect();
    kept.micros = begun.elapsed().as_micros() as u64;
    let number = shared.store().change(|store| {
        if findings.worst() == Some(Level::Rejected) {
            store.counts.rejected_payloads += 1;
        }
        store.keep_request(kept, payload, findings)
    });
    (answer, number)
}

/// Answers a request whose body could not be read.
pub(super) fn refuse(
    shared: &Shared,
    kept: KeptRequest,
    error: &BodyError,
    begun: Instant,
) -> Answer {
    let (status, rule, detail) = match error {
        BodyError::TooLarge(what) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            &rules::TOO_LARGE,
            what.as_str(),
        ),
        BodyError::Encoding(what) => (StatusCode::BAD_REQUEST, &rules::ENCODING, what.as_str()),
        BodyError::Slow => (
            StatusCode::REQUEST_TIMEOUT,
            &rules::TRUNCATED,
            "the body took longer than 30 s",
        ),
        BodyError::Broken => (
            StatusCode::BAD_REQUEST,
            &rules::TRUNCATED,
            "the connection broke within the body",
        ),
        BodyError::Busy => {
            let body = r#"{"error": "too many bytes are being taken in"}"#.to_owned();
            return Answer {
                status: StatusCode::TOO_MANY_REQUESTS,
                body,
                rates_version: None,
            };
        }
    };
    let mut findings = Findings::default();
    findings.add(Finding {
        rule,
        chunk: None,
        span: None,
        field: String::new(),
        detail: detail.to_owned(),
    });
    finish(
        shared,
        kept,
        Answer::error(status, rule, detail, None),
        None,
        &findings,
        begun,
    )
    .0
}

/// Takes in a body; gives the answer and the number of the request.
pub(super) fn take(
    shared: &Shared,
    endpoint: Endpoint,
    mut kept: KeptRequest,
    headers: &HeaderMap,
    length: Option<u64>,
    body: &Bytes,
    begun: Instant,
) -> (Answer, u32) {
    let none = Findings::default();
    match endpoint {
        Endpoint::Traces(version) => {
            take_traces(shared, version, kept, headers, length, body, begun)
        }
        Endpoint::Services => {
            kept.raw = raw(body.clone());
            finish(shared, kept, Answer::ok("OK"), None, &none, begun)
        }
        Endpoint::Other => {
            kept.raw = raw(body.clone());
            finish(shared, kept, Answer::ok("{}"), None, &none, begun)
        }
        Endpoint::Unknown => {
            kept.raw = raw(body.clone());
            let answer = Answer {
                status: StatusCode::NOT_FOUND,
                body: r#"{"error": "nothing is known at this path; the request was kept"}"#
                    .to_owned(),
                rates_version: None,
            };
            finish(shared, kept, answer, None, &none, begun)
        }
        Endpoint::Stats => {
            kept.raw = raw(body.clone());
            match stats::read(body) {
                Ok(stats) => {
                    kept.runtime_id = stats.client.runtime_id.clone();
                    shared
                        .store()
                        .change(|store| store.meet(stats.client, None, now()));
                    finish(shared, kept, Answer::ok("{}"), None, &none, begun)
                }
                Err(error) => undecodable(shared, kept, &error, begun),
            }
        }
        // These need more of the request; `handle` gives it to them.
        Endpoint::Llm(_) => finish(shared, kept, Answer::ok("{}"), None, &none, begun),
        Endpoint::PipelineStats => streams::take(shared, kept, headers, body, begun),
        Endpoint::Tests(kind) => tests::take(shared, kind, kept, headers, body, begun),
        Endpoint::RemoteConfig => {
            kept.raw = raw(body.clone());
            match shared.remote_config().poll(body) {
                Ok(polled) => {
                    kept.runtime_id = polled.who.runtime_id.clone();
                    let is_worth_keeping = polled.is_news || !polled.findings.list.is_empty();
                    shared.store().change(|store| {
                        store.meet(polled.who, None, now());
                        if polled.is_news {
                            store.note(Change::RemoteConfig);
                        }
                    });
                    let answer = Answer::ok(&polled.body);
                    if is_worth_keeping {
                        finish(shared, kept, answer, None, &polled.findings, begun)
                    } else {
                        // Clients ask every few seconds: what says nothing would push out what says something.
                        (answer, 0)
                    }
                }
                Err(what) => {
                    let mut findings = Findings::default();
                    findings.add(rejected(&rules::UNDECODABLE, what.clone()));
                    let answer =
                        Answer::error(StatusCode::BAD_REQUEST, &rules::UNDECODABLE, &what, None);
                    finish(shared, kept, answer, None, &findings, begun)
                }
            }
        }
        Endpoint::Telemetry => {
            kept.raw = raw(body.clone());
            let accepted = || Answer {
                status: StatusCode::ACCEPTED,
                ..Answer::ok("{}")
            };
            match telemetry::read(body, headers, shared.telemetry()) {
                Ok(telemetry) => {
                    kept.runtime_id = telemetry.client.runtime_id.clone();
                    if kept.language.is_empty() {
                        kept.language = telemetry.client.language.clone();
                        kept.tracer_version = telemetry.client.tracer_version.clone();
                    }
                    shared.store().change(|store| {
                        store.counts.dropped += telemetry.dropped;
                        store.meet(telemetry.client, None, now());
                        store.note(Change::Status);
                    });
                    let findings = telemetry.findings;
                    let worst = findings.list.first().filter(|_| shared.is_strict());
                    let answer = worst.map_or_else(accepted, |finding| {
                        let (status, detail) = (StatusCode::BAD_REQUEST, &finding.detail);
                        Answer::error(status, finding.rule, detail, None)
                    });
                    finish(shared, kept, answer, None, &findings, begun)
                }
                Err(what) => {
                    let mut findings = Findings::default();
                    findings.add(rejected(&rules::UNDECODABLE, what.clone()));
                    let answer =
                        Answer::error(StatusCode::BAD_REQUEST, &rules::UNDECODABLE, &what, None);
                    finish(shared, kept, answer, None, &findings, begun)
                }
            }
        }
    }
}

pub(super) fn rejected(rule: &'static Rule, detail: String) -> Finding {
    Finding {
        rule,
        chunk: None,
        span: None,
        field: String::new(),
        detail,
    }
}

pub(super) fn undecodable(
    shared: &Shared,
    kept: KeptRequest,
    error: &DecodeError,
    begun: Instant,
) -> (Answer, u32) {
    let rule = match error.what {
        Fault::Truncated => &rules::TRUNCATED,
        Fault::Trailing(_) => &rules::TRAILING,
        _ => &rules::UNDECODABLE,
    };
    let mut findings = Findings::default();
    let mut finding = rejected(rule, error.to_string());
    finding.field = format!("byte {}", error.at);
    findings.add(finding);
    let answer = Answer::error(
        StatusCode::BAD_REQUEST,
        rule,
        &error.to_string(),
        Some(error.at),
    );
    finish(shared, kept, answer, None, &findings, begun)
}

/// A traces payload that could not be decoded.
enum Undecoded {
    Msgpack(DecodeError),
    Json(String),
    ContentType,
}

fn decode<'b>(
    version: Version,
    content_type: &str,
    body: &'b [u8],
) -> Result<Payload<'b>, Undecoded> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    match (media, version) {
        ("application/json" | "text/json", Version::V03 | Version::V04) => {
            json::read(body).map_err(Undecoded::Json)
        }
        // Without a type the Agent takes msgpack for granted, and so do old tracers.
        ("application/msgpack" | "application/x-msgpack" | "", _) => match version {
            Version::V03 | Version::V04 => v04::read(body),
            Version::V05 => v05::read(body),
            Version::V07 => v07::read(body),
            Version::V1 => v1::read(body),
        }
        .map_err(Undecoded::Msgpack),
        _ => Err(Undecoded::ContentType),
    }
}

fn take_traces(
    shared: &Shared,
    version: Version,
    mut kept: KeptRequest,
    headers: &HeaderMap,
    length: Option<u64>,
    body: &Bytes,
    begun: Instant,
) -> (Answer, u32) {
    if body.len() > AGENT_LIMIT {
        kept.raw = Raw::TooLarge;
        let detail = format!("{} bytes, limit {AGENT_LIMIT}", body.len());
        let mut findings = Findings::default();
        findings.add(rejected(&rules::TOO_LARGE, detail.clone()));
        let answer = Answer::error(
            StatusCode::PAYLOAD_TOO_LARGE,
            &rules::TOO_LARGE,
            &detail,
            None,
        );
        return finish(shared, kept, answer, None, &findings, begun);
    }
    let mut payload = match decode(version, &kept.content_type, body) {
        Ok(payload) => payload,
        Err(error) => {
            kept.raw = raw(body.clone());
            return match error {
                Undecoded::Msgpack(error) => undecodable(shared, kept, &error, begun),
                Undecoded::Json(what) => {
                    let mut findings = Findings::default();
                    findings.add(rejected(&rules::UNDECODABLE, what.clone()));
                    let answer =
                        Answer::error(StatusCode::BAD_REQUEST, &rules::UNDECODABLE, &what, None);
                    finish(shared, kept, answer, None, &findings, begun)
                }
                Undecoded::ContentType => {
                    let mut findings = Findings::default();
                    let detail = format!("found {:?}", kept.content_type);
                    findings.add(rejected(&rules::CONTENT_TYPE, detail.clone()));
                    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                    let answer = Answer::error(status, &rules::CONTENT_TYPE, &detail, None);
                    finish(shared, kept, answer, None, &findings, begun)
                }
            };
        }
    };

    let mut findings = Findings::default();
    let secrets = secret::mask(&mut payload);
    let llm_spans = llm::carried(shared, &mut payload, &mut findings);
    let has_llm_secrets = findings
        .list
        .iter()
        .any(|found| found.rule.id == secret::SECRET.id);
    kept.raw = match body.is_empty() {
        true => Raw::Empty,
        false if secrets.is_empty() && !has_llm_secrets => Raw::Kept(body.clone()),
        false => Raw::Secret,
    };
    for finding in secrets {
        findings.add(finding);
    }
    let received = now();
    let optional = |name: &str| headers.contains_key(name).then(|| text(headers, name));
    let view_headers = Headers {
        content_length: length,
        body_length: kept.bytes,
        trace_count: optional("x-datadog-trace-count"),
        language: kept.language.clone(),
        language_version: text(headers, "datadog-meta-lang-version"),
        tracer_version: kept.tracer_version.clone(),
    };
    check(
        &RequestView {
            payload: &payload,
            headers: &view_headers,
            now: received,
        },
        &mut findings,
    );

    let client = Client {
        language: or(&view_headers.language, &payload.process.language),
        language_version: or(
            &view_headers.language_version,
            &payload.process.language_version,
        ),
        tracer_version: or(
            &view_headers.tracer_version,
            &payload.process.tracer_version,
        ),
        ..Client::default()
    };
    let count = |name: &str| text(headers, name).trim().parse::<u64>().unwrap_or(0);
    let (p0_traces, p0_spans) = (
        count("datadog-client-dropped-p0-traces"),
        count("datadog-client-dropped-p0-spans"),
    );
    let (rates_version, rates) = shared
        .rates()
        .answer(optional("datadog-rates-payload-version").as_deref());
    let strict = shared.is_strict();

    let (answer, number) = shared.store().change(|store| {
        store.counts.sampled_out_traces += p0_traces;
        store.counts.sampled_out_spans += p0_spans;
        let taken = store.take_payload(&payload, &findings, client, received);
        kept.chunks = payload.chunks.len();
        kept.spans = payload.spans.len();
        kept.traces = taken.traces;
        kept.runtime_id = payload.process.runtime_id.to_string();
        if kept.runtime_id.is_empty() {
            let id = payload
                .spans
                .iter()
                .find_map(|span| payload.tag(span, "runtime-id"));
            kept.runtime_id = id.unwrap_or_default().to_owned();
        }
        for finding in taken.findings.list {
            findings.add(finding);
        }
        let answer = match findings
            .list
            .iter()
            .min_by_key(|finding| finding.rule.level)
        {
            Some(finding) if strict && finding.rule.level <= Level::Violation => {
                let detail = format!("{} {}", finding.pointer(), finding.detail);
                Answer::error(StatusCode::BAD_REQUEST, finding.rule, detail.trim(), None)
            }
            _ if version == Version::V03 => Answer::ok("OK"),
            _ => Answer {
                status: StatusCode::OK,
                body: rates,
                rates_version: Some(rates_version),
            },
        };
        kept.status = answer.status.as_u16();
        kept.answer = answer.body.clone();
        kept.micros = begun.elapsed().as_micros() as u64;
        let number = store.keep_request(kept, Some(&payload), &findings);
        (answer, number)
    });
    llm::keep(shared, llm_spans, Vec::new(), number);
    (answer, number)
}

fn or(first: &str, second: &str) -> String {
    if first.is_empty() {
        second.to_owned()
    } else {
        first.to_owned()
    }
}
