//! Payloads as our library sends them, to be broken by tests.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::{Answer, TestAgent};

pub(crate) const HEADERS: [(&str, &str); 4] = [
    ("content-type", "application/msgpack"),
    ("datadog-meta-lang", "rust"),
    ("datadog-meta-lang-version", "1.95.0"),
    ("datadog-meta-tracer-version", "0.1.0"),
];

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) resource: String,
    pub(crate) span_type: String,
    pub(crate) trace_id: u64,
    pub(crate) span_id: u64,
    pub(crate) parent_id: u64,
    pub(crate) start: i64,
    pub(crate) duration: i64,
    pub(crate) error: i32,
    pub(crate) meta: Vec<(String, Vec<u8>)>,
    pub(crate) metrics: Vec<(String, f64)>,
}

pub(crate) fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as i64
}

impl Span {
    pub(crate) fn meta(mut self, key: &str, value: &str) -> Span {
        self.set_meta(key, value.as_bytes());
        self
    }

    pub(crate) fn metric(mut self, key: &str, value: f64) -> Span {
        self.metrics.retain(|(k, _)| k != key);
        self.metrics.push((key.into(), value));
        self
    }

    pub(crate) fn set_meta(&mut self, key: &str, value: &[u8]) {
        self.unset(key);
        self.meta.push((key.into(), value.to_vec()));
    }

    pub(crate) fn unset(&mut self, key: &str) {
        self.meta.retain(|(k, _)| k != key);
        self.metrics.retain(|(k, _)| k != key);
    }
}

/// A root that breaks no rule, 10 ms long, ended a second ago.
pub(crate) fn root(trace_id: u64, span_id: u64) -> Span {
    let start = now() - 1_000_000_000;
    let high = format!("{:08x}00000000", start / 1_000_000_000);
    Span {
        service: "shop".into(),
        name: "web.request".into(),
        resource: "GET /cart/{id}".into(),
        span_type: "web".into(),
        trace_id,
        span_id,
        parent_id: 0,
        start,
        duration: 10_000_000,
        error: 0,
        meta: Vec::new(),
        metrics: Vec::new(),
    }
    .meta("_dd.p.tid", &high)
    .meta("_dd.p.dm", "-1")
    .meta("language", "rust")
    .meta("runtime-id", "6f0c9bd3-0000-4000-8000-0123456789ab")
    .meta("span.kind", "server")
    .meta("http.method", "GET")
    .meta("http.status_code", "200")
    .metric("_sampling_priority_v1", 1.0)
    .metric("_dd.agent_psr", 1.0)
    .metric("_dd.top_level", 1.0)
    .metric("process_id", 42.0)
}

/// A child of `parent` that breaks no rule.
pub(crate) fn child(parent: &Span, span_id: u64) -> Span {
    Span {
        name: "cart.price".into(),
        resource: "price".into(),
        span_type: String::new(),
        span_id,
        parent_id: parent.span_id,
        start: parent.start + 1_000_000,
        duration: 5_000_000,
        error: 0,
        meta: Vec::new(),
        metrics: Vec::new(),
        ..parent.clone()
    }
}

/// A root with one child.
pub(crate) fn trace(trace_id: u64) -> Vec<Span> {
    let root = root(trace_id, trace_id * 100 + 1);
    let child = child(&root, trace_id * 100 + 2);
    vec![root, child]
}

fn text(body: &mut Vec<u8>, text: &[u8]) {
    rmp::encode::write_str_len(body, text.len() as u32).unwrap();
    body.extend_from_slice(text);
}

/// As `/v0.4/traces` takes it.
pub(crate) fn v04(chunks: &[Vec<Span>]) -> Vec<u8> {
    let mut body = Vec::new();
    rmp::encode::write_array_len(&mut body, chunks.len() as u32).unwrap();
    for chunk in chunks {
        rmp::encode::write_array_len(&mut body, chunk.len() as u32).unwrap();
        for span in chunk {
            rmp::encode::write_map_len(&mut body, 12).unwrap();
            for (key, value) in [
                ("service", &span.service),
                ("name", &span.name),
                ("resource", &span.resource),
                ("type", &span.span_type),
            ] {
                text(&mut body, key.as_bytes());
                text(&mut body, value.as_bytes());
            }
            for (key, value) in [
                ("trace_id", span.trace_id),
                ("span_id", span.span_id),
                ("parent_id", span.parent_id),
            ] {
                text(&mut body, key.as_bytes());
                rmp::encode::write_u64(&mut body, value).unwrap();
            }
            for (key, value) in [
                ("start", span.start),
                ("duration", span.duration),
                ("error", span.error.into()),
            ] {
                text(&mut body, key.as_bytes());
                rmp::encode::write_i64(&mut body, value).unwrap();
            }
            text(&mut body, b"meta");
            rmp::encode::write_map_len(&mut body, span.meta.len() as u32).unwrap();
            for (key, value) in &span.meta {
                text(&mut body, key.as_bytes());
                text(&mut body, value);
            }
            text(&mut body, b"metrics");
            rmp::encode::write_map_len(&mut body, span.metrics.len() as u32).unwrap();
            for (key, value) in &span.metrics {
                text(&mut body, key.as_bytes());
                rmp::encode::write_f64(&mut body, *value).unwrap();
            }
        }
    }
    body
}

/// As `/v0.5/traces` takes it.
pub(crate) fn v05(chunks: &[Vec<Span>]) -> Vec<u8> {
    let mut texts: Vec<Vec<u8>> = vec![Vec::new()];
    let mut number = |text: &[u8]| {
        let at = texts
            .iter()
            .position(|known| known == text)
            .unwrap_or_else(|| {
                texts.push(text.to_vec());
                texts.len() - 1
            });
        at as u64
    };
    let mut spans = Vec::new();
    rmp::encode::write_array_len(&mut spans, chunks.len() as u32).unwrap();
    for chunk in chunks {
        rmp::encode::write_array_len(&mut spans, chunk.len() as u32).unwrap();
        for span in chunk {
            rmp::encode::write_array_len(&mut spans, 12).unwrap();
            for value in [&span.service, &span.name, &span.resource] {
                rmp::encode::write_uint(&mut spans, number(value.as_bytes())).unwrap();
            }
            for value in [span.trace_id, span.span_id, span.parent_id] {
                rmp::encode::write_uint(&mut spans, value).unwrap();
            }
            for value in [span.start, span.duration, span.error.into()] {
                rmp::encode::write_sint(&mut spans, value).unwrap();
            }
            rmp::encode::write_map_len(&mut spans, span.meta.len() as u32).unwrap();
            for (key, value) in &span.meta {
                rmp::encode::write_uint(&mut spans, number(key.as_bytes())).unwrap();
                rmp::encode::write_uint(&mut spans, number(value)).unwrap();
            }
            rmp::encode::write_map_len(&mut spans, span.metrics.len() as u32).unwrap();
            for (key, value) in &span.metrics {
                rmp::encode::write_uint(&mut spans, number(key.as_bytes())).unwrap();
                rmp::encode::write_f64(&mut spans, *value).unwrap();
            }
            rmp::encode::write_uint(&mut spans, number(span.span_type.as_bytes())).unwrap();
        }
    }
    let mut body = Vec::new();
    rmp::encode::write_array_len(&mut body, 2).unwrap();
    rmp::encode::write_array_len(&mut body, texts.len() as u32).unwrap();
    for value in &texts {
        text(&mut body, value);
    }
    body.extend(spans);
    body
}

impl TestAgent {
    /// Sends chunks as our library does.
    pub(crate) fn put_traces(&self, chunks: &[Vec<Span>]) -> Answer {
        self.put_body("/v0.4/traces", &v04(chunks), chunks.len())
    }

    pub(crate) fn put_body(&self, path: &str, body: &[u8], chunks: usize) -> Answer {
        let count = chunks.to_string();
        let mut headers = HEADERS.to_vec();
        headers.push(("x-datadog-trace-count", &count));
        self.send("PUT", path, &headers, body)
    }
}
