//! A payload that grows chunk by chunk.

use std::sync::Arc;

use super::agent::ContainerIdentity;
#[cfg(feature = "agentless")]
use super::agentless;
use super::finished::FinishedSpan;
use super::msgpack::ARRAY_32_HEAD;
use super::v1::{self, ProcessHead};
use super::{v04, v05};
use crate::config::Config;

/// Which of the agent's trace endpoints a payload is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `POST /v0.4/traces`.
    V04 {
        /// Span events as structures of their own, for agents whose `/info` says `span_events`; as JSON text otherwise.
        native_events: bool,
    },
    /// `POST /v0.5/traces`.
    V05,
    /// `POST /v1.0/traces`.
    V1,
    /// `POST /v1/input` of an intake, without an agent.
    #[cfg(feature = "agentless")]
    Intake,
}

/// A finished payload.
#[derive(Debug)]
pub struct Payload {
    /// The request's body.
    pub body: Vec<u8>,
    /// Chunks in it, for `X-Datadog-Trace-Count`.
    pub chunks: usize,
    /// Spans in it.
    pub spans: usize,
    /// What it is encoded as.
    pub format: Format,
}

/// Collects chunks until the payload is sent.
///
/// A chunk is written in place and taken back if it turns out to be larger than a payload may be.
#[derive(Debug)]
pub struct PayloadBuilder {
    encoder: Encoder,
    chunks: usize,
    spans: usize,
    /// Spans of the chunk in hand, and where its head stands.
    in_chunk: u32,
    head: usize,
    /// Whether the last chunk was ended.
    is_ended: bool,
}

#[derive(Debug)]
enum Encoder {
    V04(Box<v04::Encoder>),
    V05(Box<v05::Encoder>),
    V1(Box<v1::Encoder>),
    #[cfg(feature = "agentless")]
    Intake(Box<agentless::Encoder>),
}

/// What a payload says once about the process, as each format wants it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessHeads {
    v1: Arc<ProcessHead>,
    #[cfg(feature = "agentless")]
    intake: Arc<agentless::ChunkHead>,
}

impl ProcessHeads {
    pub(crate) fn of(config: &Config, runtime_id: &str) -> Self {
        let container = ContainerIdentity::detect().container_id;
        let container = container.as_deref();
        Self {
            v1: Arc::new(ProcessHead::of(config, runtime_id, container)),
            #[cfg(feature = "agentless")]
            intake: Arc::new(agentless::ChunkHead::of(config, runtime_id, container)),
        }
    }
}

impl PayloadBuilder {
    /// An empty payload, which says nothing about the process.
    pub fn new(format: Format) -> Self {
        Self::of_process(format, &ProcessHeads::default())
    }

    /// An empty payload, which says whose spans these are if its format has a place for it.
    pub(crate) fn of_process(format: Format, heads: &ProcessHeads) -> Self {
        let encoder = match format {
            Format::V04 { native_events } => {
                Encoder::V04(Box::new(v04::Encoder::new(native_events)))
            }
            Format::V05 => Encoder::V05(Box::default()),
            Format::V1 => Encoder::V1(Box::new(v1::Encoder::new(Arc::clone(&heads.v1)))),
            #[cfg(feature = "agentless")]
            Format::Intake => {
                Encoder::Intake(Box::new(agentless::Encoder::new(Arc::clone(&heads.intake))))
            }
        };
        Self {
            encoder,
            chunks: 0,
            spans: 0,
            in_chunk: 0,
            head: 0,
            is_ended: false,
        }
    }

    /// What it encodes.
    pub fn format(&self) -> Format {
        match &self.encoder {
            Encoder::V04(encoder) => Format::V04 {
                native_events: encoder.native_events,
            },
            Encoder::V05(_) => Format::V05,
            Encoder::V1(_) => Format::V1,
            #[cfg(feature = "agentless")]
            Encoder::Intake(_) => Format::Intake,
        }
    }

    /// Begins a chunk: the spans of one trace that are sent together.
    pub fn begin_chunk(&mut self) {
        self.in_chunk = 0;
        self.is_ended = false;
        self.head = self.body_mut().len();
        match &mut self.encoder {
            // Its chunks begin with what only their first span says.
            Encoder::V1(encoder) => encoder.begin_chunk(),
            #[cfg(feature = "agentless")]
            Encoder::Intake(encoder) => encoder.begin_chunk(),
            _ => self.body_mut().extend_from_slice(&[0; ARRAY_32_HEAD]),
        }
    }

    /// Adds a span to the chunk.
    #[inline]
    pub fn push(&mut self, span: &FinishedSpan<'_>) {
        self.in_chunk += 1;
        match &mut self.encoder {
            Encoder::V04(encoder) => encoder.encode_span(span),
            Encoder::V05(encoder) => encoder.encode_span(span),
            Encoder::V1(encoder) => encoder.encode_span(span),
            #[cfg(feature = "agentless")]
            Encoder::Intake(encoder) => encoder.encode_span(span),
        }
    }

    /// Ends the chunk. Gives its size in bytes; a chunk without spans is taken back.
    pub fn end_chunk(&mut self) -> usize {
        let (head, count) = (self.head, self.in_chunk);
        if count == 0 {
            self.undo_chunk();
            return 0;
        }
        self.chunks += 1;
        self.spans += count as usize;
        self.is_ended = true;
        match &mut self.encoder {
            Encoder::V1(encoder) => {
                encoder.end_chunk(count);
                return encoder.body.len() - head;
            }
            #[cfg(feature = "agentless")]
            Encoder::Intake(encoder) => {
                encoder.end_chunk();
                return encoder.body.len() - head;
            }
            _ => {}
        }
        let body = self.body_mut();
        body[head] = 0xdd;
        body[head + 1..head + ARRAY_32_HEAD].copy_from_slice(&count.to_be_bytes());
        body.len() - head
    }

    /// Takes the chunk in hand, or the last one that was ended, back.
    pub fn undo_chunk(&mut self) {
        let head = self.head;
        if std::mem::take(&mut self.is_ended) {
            self.chunks -= 1;
            self.spans -= self.in_chunk as usize;
        }
        match &mut self.encoder {
            Encoder::V1(encoder) => encoder.undo_chunk(head),
            _ => self.body_mut().truncate(head),
        }
        self.in_chunk = 0;
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.chunks == 0
    }

    /// The size that the payload would have, in bytes.
    pub fn len(&self) -> usize {
        match &self.encoder {
            Encoder::V04(encoder) => encoder.body.len(),
            Encoder::V05(encoder) => encoder.len(),
            Encoder::V1(encoder) => encoder.body.len(),
            #[cfg(feature = "agentless")]
            Encoder::Intake(encoder) => encoder.body.len(),
        }
    }

    /// The payload as it is; the builder begins the next one.
    pub fn take(&mut self) -> Payload {
        let format = self.format();
        let (chunks, spans) = (self.chunks, self.spans);
        let body = match &mut self.encoder {
            Encoder::V04(encoder) => encoder.finish(chunks),
            Encoder::V05(encoder) => encoder.finish(chunks),
            Encoder::V1(encoder) => encoder.finish(chunks),
            #[cfg(feature = "agentless")]
            Encoder::Intake(encoder) => encoder.finish(),
        };
        self.is_ended = false;
        self.chunks = 0;
        self.spans = 0;
        Payload {
            body,
            chunks,
            spans,
            format,
        }
    }

    fn body_mut(&mut self) -> &mut Vec<u8> {
        match &mut self.encoder {
            Encoder::V04(encoder) => &mut encoder.body,
            Encoder::V05(encoder) => encoder.body_mut(),
            Encoder::V1(encoder) => &mut encoder.body,
            #[cfg(feature = "agentless")]
            Encoder::Intake(encoder) => &mut encoder.body,
        }
    }
}
