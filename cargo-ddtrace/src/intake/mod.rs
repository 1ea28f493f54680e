//! What the Datadog Agent would take, taken here.
//!
//! ```text
//! connection ─▶ security ─▶ read (limits) ─▶ fault? ─▶ inflate ─▶ decode ─▶ check ─▶ store ─▶ answer ─▶ forward
//! ```
//!
//! One file per payload; [`handle`] is the way through them. Everything up to the answer happens on the task of the
//! connection, and the store is changed before the answer is written. Paths that nobody knows are answered with
//! 404 and kept, so that nothing vanishes in silence.

pub mod body;
pub mod faults;
pub mod info;
pub mod json;
pub mod model;
pub mod msgpack;
pub mod rates;
pub mod sha256;
pub mod stats;
pub mod telemetry;
pub mod v04;
pub mod v05;
pub mod v07;
pub mod v1;

use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api::Shared;
use crate::store::counts::Client;
use crate::store::requests::{Raw, Request as KeptRequest};
use crate::store::{Change, now};
use crate::validate::{
    Finding, Findings, Headers, Level, RequestView, Rule, check, request as rules, secret,
};
use body::BodyError;
use faults::Do;
use model::Payload;
use msgpack::{DecodeError, Fault};

/// The Agent's own limit of a traces payload.
const AGENT_LIMIT: usize = 26_214_400;

/// What an endpoint takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Traces(Version),
    Services,
    Stats,
    Telemetry,
    /// Taken and kept, not understood.
    Other,
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V03,
    V04,
    V05,
    V07,
    V1,
}

impl Endpoint {
    fn of(path: &str) -> Endpoint {
        match path {
            "/v0.3/traces" => Endpoint::Traces(Version::V03),
            "/v0.4/traces" => Endpoint::Traces(Version::V04),
            "/v0.5/traces" => Endpoint::Traces(Version::V05),
            "/v0.7/traces" => Endpoint::Traces(Version::V07),
            "/v1.0/traces" => Endpoint::Traces(Version::V1),
            "/v0.3/services" | "/v0.4/services" => Endpoint::Services,
            "/v0.6/stats" | "/api/v0.2/stats" => Endpoint::Stats,
            "/telemetry/proxy/api/v2/apmtelemetry" | "/api/v2/apmtelemetry" => Endpoint::Telemetry,
            "/v1/input" => Endpoint::Other,
            _ => Endpoint::Unknown,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Endpoint::Traces(_) => "traces",
            Endpoint::Services => "services",
            Endpoint::Stats => "stats",
            Endpoint::Telemetry => "telemetry",
            Endpoint::Other => "other",
            Endpoint::Unknown => "unknown",
        }
    }
}

/// Whether a path under `/api/` is one of the agentless intakes rather than our API.
pub fn is_intake_api(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("/api/") else {
        return false;
    };
    let is_version = rest
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    is_version || rest.starts_with("intake/") || rest.starts_with("unstable/")
}

/// An answer before it is written.
struct Answer {
    status: StatusCode,
    body: String,
    rates_version: Option<String>,
}

impl Answer {
    fn ok(body: &str) -> Answer {
        Answer {
            status: StatusCode::OK,
            body: body.to_owned(),
            rates_version: None,
        }
    }

    fn error(status: StatusCode, rule: &Rule, detail: &str, at: Option<usize>) -> Answer {
        let sentence = if detail.is_empty() {
            rule.sentence.to_owned()
        } else {
            format!("{}: {detail}", rule.sentence)
        };
        let body = serde_json::json!({"error": sentence, "rule": rule.id, "at": at}).to_string();
        Answer {
            status,
            body,
            rates_version: None,
        }
    }
}

/// `GET /info`.
pub async fn info(State(shared): State<Shared>) -> Response {
    shared
        .inner()
        .info_asked
        .fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    match shared.faults().next("/info") {
        None => {}
        Some(Do::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(fault) => return faulty(&fault, &shared).await,
    }
    let info = shared.info();
    (
        [
            (header::CONTENT_TYPE, "application/json"),
            (AGENT_STATE, info.state.as_str()),
        ],
        info.body.clone(),
    )
        .into_response()
}

const AGENT_STATE: header::HeaderName = header::HeaderName::from_static("datadog-agent-state");
const RATES_VERSION: header::HeaderName =
    header::HeaderName::from_static("datadog-rates-payload-version");

/// Everything that is not the page and not the API.
pub async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let begun = Instant::now();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let endpoint = if shared.hides(&path) {
        Endpoint::Unknown
    } else {
        Endpoint::of(&path)
    };
    let takes = matches!(parts.method, Method::POST | Method::PUT);
    let length = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let mut held = shared.in_hand().hold();
    let read = body::read(body, length, &mut held).await;
    let delay = match shared.faults().next(&path) {
        None => None,
        Some(Do::Delay(delay)) => Some(delay),
        Some(fault) => {
            let mut kept = kept(&parts.method, &path, endpoint, &parts.headers);
            kept.fault = Some(fault.name());
            kept.status = if let Do::Status(status, _) = fault {
                status
            } else {
                200
            };
            kept.bytes = read.as_ref().map_or(0, Bytes::len);
            kept.raw = read.map_or(Raw::Empty, raw);
            shared
                .store()
                .change(|store| store.keep_request(kept, None, &Findings::default()));
            return faulty(&fault, &shared).await;
        }
    };
    if let Some(delay) = delay {
        tokio::time::sleep(delay).await;
    }

    let mut kept = kept(&parts.method, &path, endpoint, &parts.headers);
    let answer = match read.and_then(|body| {
        kept.bytes = body.len();
        body::inflate(&body, &kept.encoding).map(|inflated| (body, inflated))
    }) {
        Err(error) => refuse(&shared, kept, &error, begun),
        Ok((body, inflated)) => {
            kept.inflated = inflated.len();
            let (answer, number) = if takes {
                take(
                    &shared,
                    endpoint,
                    kept,
                    &parts.headers,
                    length,
                    &inflated,
                    begun,
                )
            } else {
                let status = if endpoint == Endpoint::Unknown {
                    StatusCode::NOT_FOUND
                } else {
                    StatusCode::METHOD_NOT_ALLOWED
                };
                kept.raw = raw(inflated);
                finish(
                    &shared,
                    kept,
                    Answer {
                        status,
                        ..Answer::ok("{}")
                    },
                    None,
                    &Findings::default(),
                    begun,
                )
            };
            shared.forward(&parts, &body, number);
            answer
        }
    };
    drop(held);
    write(answer, &shared)
}

fn raw(body: Bytes) -> Raw {
    if body.is_empty() {
        Raw::Empty
    } else if secret::in_bytes(&body) {
        Raw::Secret
    } else {
        Raw::Kept(body)
    }
}

fn write(answer: Answer, shared: &Shared) -> Response {
    let mut response = (
        answer.status,
        [
            (header::CONTENT_TYPE, "application/json"),
            (AGENT_STATE, shared.info().state.as_str()),
        ],
        answer.body,
    )
        .into_response();
    if let Some(version) = answer
        .rates_version
        .and_then(|version| HeaderValue::from_str(&version).ok())
    {
        response.headers_mut().insert(RATES_VERSION, version);
    }
    response
}

fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map_or(String::new(), |value| {
        String::from_utf8_lossy(value.as_bytes()).into_owned()
    })
}

fn kept(method: &Method, path: &str, endpoint: Endpoint, headers: &HeaderMap) -> KeptRequest {
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
fn finish(
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

fn refuse(shared: &Shared, kept: KeptRequest, error: &BodyError, begun: Instant) -> Answer {
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

fn take(
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
        Endpoint::Telemetry => {
            kept.raw = raw(body.clone());
            let accepted = || Answer {
                status: StatusCode::ACCEPTED,
                ..Answer::ok("{}")
            };
            match telemetry::read(body) {
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
                    finish(shared, kept, accepted(), None, &none, begun)
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

fn rejected(rule: &'static Rule, detail: String) -> Finding {
    Finding {
        rule,
        chunk: None,
        span: None,
        field: String::new(),
        detail,
    }
}

fn undecodable(
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
    kept.raw = match body.is_empty() {
        true => Raw::Empty,
        false if secrets.is_empty() => Raw::Kept(body.clone()),
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

    shared.store().change(|store| {
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
    })
}

fn or(first: &str, second: &str) -> String {
    if first.is_empty() {
        second.to_owned()
    } else {
        first.to_owned()
    }
}

async fn faulty(fault: &Do, shared: &Shared) -> Response {
    let json = (header::CONTENT_TYPE, "application/json");
    let state = (AGENT_STATE, shared.info().state.as_str());
    match fault {
        Do::Status(status, body) => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, [json, state], body.clone()).into_response()
        }
        Do::Garbage => {
            ([json, state], Bytes::from_static(b"\xff\xfe{]garbage\0\0")).into_response()
        }
        // The server closes a connection whose body ends before its announced length; for a client both are a body that
        // breaks off, once at once and once after a part of it.
        Do::WrongLength => (
            [json, state, (header::CONTENT_LENGTH, "4096")],
            short_body(b"{}"),
        )
            .into_response(),
        Do::Close => ([json, state], short_body(b"{\"rate_by_ser")).into_response(),
        // Ends when the client leaves: the connection drops this future.
        Do::Hang | Do::Delay(_) => std::future::pending().await,
    }
}

/// A body that breaks off after these bytes.
fn short_body(bytes: &'static [u8]) -> Body {
    let (mut sender, body) = http_body_util::channel::Channel::<Bytes, std::io::Error>::new(1);
    tokio::spawn(async move {
        // What fails here fails because the client left, which is what the fault is about.
        let _ = sender.send_data(Bytes::from_static(bytes)).await;
        // What is not written yet would be lost with the connection.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        sender.abort(std::io::Error::other(
            "this answer breaks off, as was asked",
        ));
    });
    Body::new(body)
}
