//! Sending payloads of traces: headers, tries, and what the answer means.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::client::{AgentClient, Response};
use super::deadline::Deadline;
use super::error::SendError;
use super::rates;
use super::retry::RetryPolicy;
use crate::config::ApiVersion;
use crate::diagnostics;
use crate::health_metrics::counters::{self, Counter};
use crate::telemetry::{self, Namespace::Tracers};

const TRACE_COUNT: HeaderName = HeaderName::from_static("x-datadog-trace-count");
const COMPUTED_TOP_LEVEL: HeaderName = HeaderName::from_static("datadog-client-computed-top-level");
const COMPUTED_STATS: HeaderName = HeaderName::from_static("datadog-client-computed-stats");
const DROPPED_TRACES: HeaderName = HeaderName::from_static("datadog-client-dropped-p0-traces");
const DROPPED_SPANS: HeaderName = HeaderName::from_static("datadog-client-dropped-p0-spans");
const REAL_STATUS: HeaderName = HeaderName::from_static("datadog-send-real-http-status");
const RATES_VERSION: HeaderName = HeaderName::from_static("datadog-rates-payload-version");
const AGENT_STATE: HeaderName = HeaderName::from_static("datadog-agent-state");

/// An encoded payload of traces.
#[derive(Clone, Debug)]
pub struct TracePayload {
    /// The format of the body, which decides the path.
    pub version: ApiVersion,
    /// Chunks in the body.
    pub chunks: usize,
    /// The msgpack text.
    pub body: Bytes,
    /// Set if statistics are computed here.
    pub stats: Option<DroppedUnsampled>,
}

/// What was dropped here since the last payload, once it had been counted in statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DroppedUnsampled {
    /// Chunks.
    pub traces: u64,
    /// Spans.
    pub spans: u64,
}

/// What became of a payload.
#[derive(Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The agent has it.
    Accepted(Accepted),
    /// The agent does not know the format: encode as v0.4 from here on, this payload again included.
    UnsupportedVersion,
    /// The agent does not want it, and would not the next time either: drop and count.
    Rejected {
        /// What it answered.
        status: StatusCode,
    },
    /// No try got through: drop and count.
    Failed {
        /// Why the last one did not.
        error: SendFailure,
        /// How many there were.
        tries: u32,
    },
}

/// What an accepting answer says besides.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Accepted {
    /// New sampling rates, as pairs of `service:<service>,env:<env>` and rate.
    pub rates: Option<Vec<(String, f64)>>,
    /// Whether the agent is not as it was when it was asked for `/info`.
    pub info_changed: bool,
}

/// Why a try did not get through.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendFailure {
    /// There was no answer.
    NoAnswer(SendError),
    /// The answer asks to come back later.
    Status(StatusCode),
}

impl std::fmt::Display for SendFailure {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SendFailure::NoAnswer(error) => write!(out, "{error}"),
            SendFailure::Status(status) => write!(out, "the answer was {status}"),
        }
    }
}

/// Sends payloads of traces to an agent and remembers what its answers said.
#[derive(Debug)]
pub struct TraceSender {
    client: Arc<AgentClient>,
    retry: RetryPolicy,
    deadline: Deadline,
    /// The version of the rates in force; the agent leaves out rates that are known.
    rates_version: Option<HeaderValue>,
    agent_state: Option<HeaderValue>,
}

impl TraceSender {
    /// A sender that gives up when the deadline comes.
    pub fn new(client: Arc<AgentClient>, retry: RetryPolicy, deadline: Deadline) -> TraceSender {
        TraceSender {
            client,
            retry,
            deadline,
            rates_version: None,
            agent_state: None,
        }
    }

    /// Sends a payload, trying again where that can help, and logs what does not get through.
    pub async fn send(&mut self, payload: &TracePayload) -> Outcome {
        let mut deadline = self.deadline.clone();
        let tries = AtomicU32::new(0);
        let outcome = match deadline.limit(self.try_repeatedly(payload, &tries)).await {
            Some(outcome) => outcome,
            None => {
                let error = SendFailure::NoAnswer(SendError::Interrupted);
                Outcome::Failed {
                    error,
                    tries: tries.into_inner(),
                }
            }
        };
        let (traces, bytes) = match &outcome {
            Outcome::Accepted(_) => (Counter::HttpSentTraces, Counter::HttpSentBytes),
            _ => (Counter::HttpDroppedTraces, Counter::HttpDroppedBytes),
        };
        report(&outcome, payload);
        counters::add(traces, payload.chunks as u64);
        counters::add(bytes, payload.body.len() as u64);
        let (chunks, url) = (payload.chunks, self.client.url());
        match &outcome {
            Outcome::Accepted(_) => {}
            Outcome::UnsupportedVersion => diagnostics::info(format_args!(
                "the agent at {url} does not take traces of this format, using v0.4 from here on"
            )),
            Outcome::Rejected { status } => diagnostics::error(format_args!(
                "{chunks} traces were dropped: the agent at {url} answered {status}"
            )),
            Outcome::Failed { error, tries } => diagnostics::error(format_args!(
                "{chunks} traces were dropped: sending to {url} failed ({tries} tries): {error}"
            )),
        }
        outcome
    }

    async fn try_repeatedly(&mut self, payload: &TracePayload, tries: &AtomicU32) -> Outcome {
        loop {
            let tries = tries.fetch_add(1, Ordering::Relaxed) + 1;
            let error = match self.try_once(payload).await {
                Ok(outcome) => return outcome,
                Err(error) => error,
            };
            let hopeless = matches!(&error, SendFailure::NoAnswer(error) if !error.is_retryable());
            if hopeless || tries >= self.retry.tries {
                return Outcome::Failed { error, tries };
            }
            tokio::time::sleep(self.retry.pause_after(tries)).await;
        }
    }

    /// `Err` for what may be different the next time.
    async fn try_once(&mut self, payload: &TracePayload) -> Result<Outcome, SendFailure> {
        let path = match payload.version {
            ApiVersion::V05 => "/v0.5/traces",
            ApiVersion::V04 => "/v0.4/traces",
            ApiVersion::V1 => "/v1.0/traces",
            ApiVersion::Intake => "/v1/input",
        };
        let headers = self.headers(payload);
        let sent = self.client.post(path, headers, payload.body.clone()).await;
        counters::add(Counter::HttpRequests, 1);
        if sent.is_err() {
            counters::add(Counter::HttpErrors, 1);
        }
        report_try(&sent);
        let response = sent.map_err(SendFailure::NoAnswer)?;
        counters::answered(response.status.as_u16());
        match response.status {
            status if status.is_success() => Ok(Outcome::Accepted(self.learn(&response))),
            StatusCode::NOT_FOUND | StatusCode::UNSUPPORTED_MEDIA_TYPE
                if !matches!(payload.version, ApiVersion::V04 | ApiVersion::Intake) =>
            {
                Ok(Outcome::UnsupportedVersion)
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(SendFailure::Status(response.status))
            }
            status if status.is_server_error() => Err(SendFailure::Status(status)),
            status => Ok(Outcome::Rejected { status }),
        }
    }

    fn headers(&self, payload: &TracePayload) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TRACE_COUNT, HeaderValue::from(payload.chunks));
        if payload.version == ApiVersion::Intake {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            return headers;
        }
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/msgpack"),
        );
        headers.insert(COMPUTED_TOP_LEVEL, HeaderValue::from_static("yes"));
        // Without it an agent that is too busy says 200 and drops.
        headers.insert(REAL_STATUS, HeaderValue::from_static("1"));
        if let Some(dropped) = payload.stats {
            headers.insert(COMPUTED_STATS, HeaderValue::from_static("yes"));
            headers.insert(DROPPED_TRACES, HeaderValue::from(dropped.traces));
            headers.insert(DROPPED_SPANS, HeaderValue::from(dropped.spans));
        }
        if let Some(version) = &self.rates_version {
            headers.insert(RATES_VERSION, version.clone());
        }
        headers
    }

    fn learn(&mut self, response: &Response) -> Accepted {
        let state = response.headers.get(AGENT_STATE);
        let info_changed = state.is_some() && state != self.agent_state.as_ref();
        if info_changed {
            self.agent_state = state.cloned();
        }
        let version = response.headers.get(RATES_VERSION);
        let is_known = version.is_some() && version == self.rates_version.as_ref();
        let usable = response.is_complete && !is_known;
        let rates = if usable {
            rates::parse(&response.body)
        } else {
            None
        };
        if rates.is_some() {
            self.rates_version = version.cloned();
        }
        Accepted {
            rates,
            info_changed,
        }
    }
}

/// Counts what became of a payload, for telemetry.
fn report(outcome: &Outcome, payload: &TracePayload) {
    let chunks = payload.chunks as u64;
    match outcome {
        Outcome::Accepted(_) => telemetry::count(Tracers, "trace_chunks_sent", &[], chunks),
        _ => {
            let reason = [("reason", "send_failure")];
            telemetry::count(Tracers, "trace_chunks_dropped", &reason, chunks);
        }
    }
    let bytes = payload.body.len() as f64;
    telemetry::distribution(Tracers, "trace_api.bytes", &[], bytes);
}

/// Counts a request and its answer, for telemetry.
fn report_try(sent: &Result<Response, SendError>) {
    let count = |name, tag: &[(&'static str, &str)]| telemetry::count(Tracers, name, tag, 1);
    count("trace_api.requests", &[]);
    match sent {
        Ok(response) => {
            count(
                "trace_api.responses",
                &[("status_code", response.status.as_str())],
            );
            if !response.status.is_success() {
                count("trace_api.errors", &[("type", "status_code")]);
            }
        }
        Err(SendError::Timeout { .. }) => count("trace_api.errors", &[("type", "timeout")]),
        Err(_) => count("trace_api.errors", &[("type", "network")]),
    }
}
