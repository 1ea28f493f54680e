//! What stands between an exchange and its span.
//!
//! On the user's thread: one look at the address, opening a span, copying bodies up to a bound with the moment at which each chunk
//! arrived, ending the span. Everything that costs more waits in the closure that the span takes along to the worker.
//!
//! # Bounds
//!
//! [`MAX_BODY`] of a request and of a response, [`MAX_ALL`] over all exchanges of the process that are under way or wait for the worker,
//! [`MAX_ARRIVALS`] moments. A request that does not fit is not kept; a response is kept up to there. The user's
//! bytes go on in either case.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use ddtrace_core::diagnostics;
use ddtrace_core::events::{self, End, HttpClientExchange, Phase, Tap};
use ddtrace_core::instrument::Settings;
use ddtrace_core::trace::{Context, Span};
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::Value;

use super::Decoder;
use super::call::{Call, recognise};
use super::exchange::{Exchange, Failure, Io, Recorded, Response};
use crate::annotation::Annotation;
use crate::bridged;
use crate::kind::Kind;
use crate::model::{Content, Prompt, ToolDefinition};
use crate::record::Record;
use crate::span::LlmSpan;
use crate::switch;

/// What is kept of one body.
const MAX_BODY: usize = 4 << 20;
/// What is kept in all.
const MAX_ALL: usize = 64 << 20;
/// Of how many chunks the arrival is kept. The first content of a stream is not behind so many.
const MAX_ARRIVALS: usize = 4096;

/// What is kept at this moment.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Whether the user wants the calls of a provider to be spans: `DD_TRACE_OPENAI_ENABLED` and so on.
static PROVIDERS: [(&str, Settings); 5] = [
    ("openai", Settings::of("openai")),
    ("anthropic", Settings::of("anthropic")),
    ("google_genai", Settings::of("google_genai")),
    ("ollama", Settings::of("ollama")),
    ("bedrock", Settings::of("bedrock")),
];

/// Follows calls of models from here on.
pub(crate) fn listen() {
    events::on::<HttpClientExchange<'_>>(Phase::Product, "llm observability", |exchange| {
        if let Some(tap) = ModelTap::begin(exchange) {
            exchange.tap(tap);
        }
    });
}

/// Follows one call of a model.
struct ModelTap {
    span: LlmSpan,
    kept: Kept,
}

/// Covers a call of a model that a library tells of by itself.
struct PlainTap {
    span: Span,
    told_by: Arc<Record>,
    kept: Kept,
}

impl ModelTap {
    /// Nothing, if it is no call of a model or nobody would hear of it.
    fn begin(exchange: &HttpClientExchange<'_>) -> Option<Box<dyn Tap>> {
        if exchange.method != Method::POST {
            return None;
        }
        let body = exchange.body.unwrap_or_default();
        let call = recognise(exchange.url, || has_field_model(body))?;
        let settings = PROVIDERS.iter().find(|(name, _)| *name == call.integration);
        settings?.1.get()?;
        let running = switch::peek();
        let settings = &running.as_ref()?.settings;
        let kind = if is_proxy(&settings.instrumented_proxy_urls, call.base) {
            Kind::Workflow
        } else {
            call.kind
        };
        let told_by = bridged::tells_of(kind, |model| {
            call.path_model.as_deref() == Some(model) || names_model(body, model)
        });
        let span = crate::span(kind)
            .name(call.name)
            .integration(call.integration, call.apm_name)
            .start();
        if !span.is_recording() {
            return None;
        }
        let inline_limit = settings.event_limit / 5 * 4;
        let kept = Kept::new(&call, kind, body, inline_limit);
        let Some(told_by) = told_by else {
            return Some(Box::new(Self { span, kept }));
        };
        let mut span = span.into_plain();
        span.set_type("http");
        Some(Box::new(PlainTap {
            span,
            told_by,
            kept,
        }))
    }
}

/// Whether there is a field `model` in a body, as far as can be told without reading it.
fn has_field_model(body: &[u8]) -> bool {
    const FIELD: &[u8] = b"\"model\"";
    body.windows(FIELD.len()).any(|found| found == FIELD)
}

/// Whether a field `model` in a body has this value, as far as can be told without reading it all.
fn names_model(body: &[u8], model: &str) -> bool {
    const FIELD: &[u8] = b"\"model\"";
    let Ok(model) = serde_json::to_vec(model) else {
        return false;
    };
    let fields = body.windows(FIELD.len()).enumerate();
    let mut fields = fields.filter(|(_, found)| *found == FIELD);
    fields.any(|(at, _)| {
        let value = body[at + FIELD.len()..].trim_ascii_start();
        let value = value.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| value.starts_with(&model))
    })
}

/// Whether the calls that go to this base belong to a proxy that makes spans of its own.
fn is_proxy(proxies: &[String], base: &str) -> bool {
    proxies.iter().any(|proxy| {
        let proxy = proxy.trim_end_matches('/');
        let rest = base.strip_prefix(proxy).filter(|_| !proxy.is_empty());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

impl Tap for ModelTap {
    fn context(&self) -> Option<Context> {
        Some(self.span.context())
    }

    fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.kept.head(status, headers);
    }

    fn chunk(&mut self, bytes: &[u8]) {
        self.kept.chunk(bytes);
    }

    fn end(self: Box<Self>, end: End<'_>) {
        let Self { span, mut kept } = *self;
        kept.ended = Ended::of(end);
        span.finish_with(move || kept.annotation());
    }
}

impl Tap for PlainTap {
    fn context(&self) -> Option<Context> {
        Some(self.span.context())
    }

    fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        self.span.set_tag("http.status_code", status.as_str());
        if status.is_client_error() || status.is_server_error() {
            self.span.set_error_flag(true);
        }
        self.kept.head(status, headers);
    }

    fn chunk(&mut self, bytes: &[u8]) {
        self.kept.chunk(bytes);
    }

    fn end(self: Box<Self>, end: End<'_>) {
        let Self {
            mut span,
            told_by,
            mut kept,
        } = *self;
        if let End::Failed { kind, message } = end {
            span.set_error_message(kind, message, None);
        }
        span.finish();
        kept.ended = Ended::of(end);
        let is_answer = kept.head.as_ref().is_some_and(|head| head.status < 400);
        if is_answer {
            bridged::add_exchange(&told_by, move || kept.annotation());
        }
    }
}

enum Ended {
    Complete,
    Failed(Failure),
    Abandoned,
}

impl Ended {
    fn of(end: End<'_>) -> Self {
        match end {
            End::Complete => Self::Complete,
            End::Failed { kind, message } => Self::Failed(Failure {
                kind: kind.to_owned(),
                message: message.to_owned(),
            }),
            _ => Self::Abandoned,
        }
    }
}

/// What is kept of an exchange until the worker reads it.
struct Kept {
    decode: Decoder,
    is_workflow: bool,
    provider: &'static str,
    path_model: Option<String>,
    inline_limit: usize,
    began: Instant,
    request: Vec<u8>,
    head: Option<Head>,
    body: Vec<u8>,
    /// Bodies that are compressed cannot be read.
    is_readable: bool,
    /// How much of the body there was, and after how many microseconds.
    arrivals: Vec<(u32, u32)>,
    ended: Ended,
    /// What it counts for in [`KEPT`].
    counted: usize,
}

struct Head {
    status: u16,
    media_type: String,
    tokens: (Option<f64>, Option<f64>),
}

impl Kept {
    fn new(call: &Call<'_>, kind: Kind, request: &[u8], inline_limit: usize) -> Self {
        let mut kept = Self {
            decode: call.decode,
            is_workflow: kind == Kind::Workflow,
            provider: call.provider,
            path_model: call.path_model.as_deref().map(str::to_owned),
            inline_limit,
            began: Instant::now(),
            request: Vec::new(),
            head: None,
            body: Vec::new(),
            is_readable: true,
            arrivals: Vec::new(),
            ended: Ended::Abandoned,
            counted: 0,
        };
        if request.len() <= MAX_BODY && kept.has_room(request.len()) {
            kept.request = request.to_vec();
        }
        kept
    }

    /// Whether so much more may be kept; then it is counted.
    fn has_room(&mut self, size: usize) -> bool {
        let before = KEPT.fetch_add(size, Ordering::Relaxed);
        let has_room = before + size <= MAX_ALL;
        if has_room {
            self.counted += size;
        } else {
            KEPT.fetch_sub(size, Ordering::Relaxed);
        }
        has_room
    }

    fn head(&mut self, status: StatusCode, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let number = |name: &str| text(name).and_then(|value| value.trim().parse::<f64>().ok());
        let media_type = text(header::CONTENT_TYPE.as_str()).unwrap_or_default();
        let media_type = media_type.split(';').next().unwrap_or_default();
        let encoding = text(header::CONTENT_ENCODING.as_str()).unwrap_or("identity");
        self.is_readable = encoding.eq_ignore_ascii_case("identity");
        self.head = Some(Head {
            status: status.as_u16(),
            media_type: media_type.trim().to_ascii_lowercase(),
            tokens: (
                number("x-amzn-bedrock-input-token-count"),
                number("x-amzn-bedrock-output-token-count"),
            ),
        });
    }

    fn chunk(&mut self, bytes: &[u8]) {
        let left = MAX_BODY - self.body.len();
        let bytes = &bytes[..bytes.len().min(left)];
        if !self.is_readable || bytes.is_empty() {
            return;
        }
        if !self.has_room(bytes.len()) {
            // Nothing after a gap makes sense.
            self.is_readable = false;
            return;
        }
        self.body.extend_from_slice(bytes);
        if self.arrivals.len() < MAX_ARRIVALS {
            // Neither is ever so large: a body is bounded, and so is patience.
            let end = u32::try_from(self.body.len()).unwrap_or(u32::MAX);
            let after = u32::try_from(self.began.elapsed().as_micros()).unwrap_or(u32::MAX);
            self.arrivals.push((end, after));
        }
    }

    /// What there is to say, on the worker.
    fn annotation(self) -> Annotation {
        let response = self.head.as_ref().map(|head| Response {
            status: head.status,
            body: &self.body,
            media_type: &head.media_type,
            header_tokens: head.tokens,
        });
        let mut exchange = (self.decode)(&Recorded {
            request: serde_json::from_slice(&self.request).unwrap_or_default(),
            response,
            path_model: self.path_model.as_deref(),
            inline_limit: self.inline_limit,
        });
        self.note_the_end(&mut exchange);
        self.note_times(&mut exchange);
        if self.is_workflow {
            // The proxy tells them.
            exchange.metrics.clear();
        }
        said(exchange, self.provider)
    }

    fn note_the_end(&self, exchange: &mut Exchange) {
        match &self.ended {
            // A stream that was read up to its last word was read.
            Ended::Failed(_) if exchange.is_complete => {}
            Ended::Failed(failure) => {
                exchange.failure.get_or_insert_with(|| failure.clone());
            }
            Ended::Abandoned if !exchange.is_complete && exchange.failure.is_none() => {
                let reason = exchange.metadata.entry("finish_reason");
                reason.or_insert_with(|| Value::from("cancelled"));
            }
            Ended::Abandoned => {}
            Ended::Complete => {
                if !exchange.is_complete && exchange.failure.is_none() {
                    diagnostics::debug(format_args!(
                        "an answer of a model ({}) was not understood to its end; its span goes without the rest",
                        self.provider
                    ));
                }
            }
        }
    }

    /// Seconds to the first content of a stream, and between the tokens after it.
    fn note_times(&self, exchange: &mut Exchange) {
        let seconds = |micros: u32| f64::from(micros) / 1e6;
        let arrival_of = |end: usize| {
            let mut arrivals = self.arrivals.iter();
            let found = arrivals.find(|(so_far, _)| *so_far as usize >= end);
            found.map(|&(_, after)| seconds(after))
        };
        let Some(first) = exchange.first_content.and_then(arrival_of) else {
            return;
        };
        exchange.metric("time_to_first_token", Some(first));
        let tokens = exchange.metrics.get("output_tokens").copied();
        let last = self.arrivals.last().map(|&(_, after)| seconds(after));
        if let (Some(tokens), Some(last)) = (tokens.filter(|tokens| *tokens > 1.0), last) {
            let between = (last - first).max(0.0) / (tokens - 1.0);
            exchange.metric("time_per_output_token", Some(between));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.counted, Ordering::Relaxed);
    }
}

/// An exchange in the words of the product.
fn said(exchange: Exchange, provider: &str) -> Annotation {
    let mut annotation = Annotation::new().model_provider(provider);
    if !exchange.model_name.is_empty() {
        annotation = annotation.model_name(exchange.model_name);
    }
    if let Some(input) = exchange.input {
        annotation = annotation.input(content(input));
    }
    if let Some(output) = exchange.output {
        annotation = annotation.output(content(output));
    }
    for (key, value) in exchange.metadata {
        annotation = annotation.metadata(key, value);
    }
    for (key, value) in exchange.metrics {
        annotation = annotation.metric(key, value);
    }
    let tools = exchange.tool_definitions.into_iter();
    let tools: Vec<ToolDefinition> = tools
        .filter_map(|tool| serde_json::from_value(tool).ok())
        .filter(|tool: &ToolDefinition| !tool.name.is_empty())
        .collect();
    if !tools.is_empty() {
        annotation = annotation.tool_definitions(tools);
    }
    if let Some(mut prompt) = exchange.prompt.and_then(|kept| Prompt::try_from(kept).ok()) {
        prompt.is_automatic = true;
        annotation = annotation.prompt(prompt);
        if exchange.prompt_is_multimodal {
            annotation = annotation.tag("prompt_multimodal", true);
        }
    }
    if let Some(failure) = exchange.failure {
        annotation = annotation.error(failure.kind, failure.message, "");
    }
    annotation
}

fn content(io: Io) -> Content {
    match io {
        Io::Messages(messages) => Content::Json(Value::from(messages)),
        Io::Documents(documents) => Content::Json(Value::from(documents)),
        Io::Value(text) => Content::Text(text),
    }
}
