//! `POST /v0.5/traces`: `[table of texts, chunks]`, spans as arrays of twelve. Content type `application/msgpack`.
//!
//! Source: the agent's `pkg/trace/api/version.go` and `pkg/proto/pbgo/trace/decoder_v05.go`. A span is service, name, resource
//! (numbers of texts), trace id, span id, parent id, start, duration, error, meta (number → number), metrics (number →
//! float), type. Text 0 is the empty one. There are no structures for links and events, which become JSON in `meta`,
//! and none for `meta_struct`, which is left out.
//!
//! The table is per payload. Most texts are literals and come again from the same address, so a small cache by address goes in
//! front of the look-up by content; it compares the bytes, since an address may hold another text by then.

use std::hash::{BuildHasher, RandomState};

use super::finished::FinishedSpan;
use super::json;
use super::msgpack::Write;

const FIELDS: usize = 12;

/// Entries of the cache by address; a power of two.
const CACHE: usize = 1024;

/// Encodes one payload after the other.
#[derive(Debug)]
pub(super) struct Encoder {
    body: Vec<u8>,
    texts: Texts,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            body: Vec::new(),
            texts: Texts::new(),
        }
    }
}

impl Encoder {
    pub(super) fn encode_span(&mut self, span: &FinishedSpan<'_>) {
        let Self { body, texts } = self;
        let events = (!span.events.is_empty()).then(|| json::events(&span.events));
        let links = (!span.links.is_empty()).then(|| json::links(&span.links));
        body.reserve(128 + 10 * span.meta.len() + 14 * span.metrics.len());
        body.put_array(FIELDS);
        body.put_uint(texts.number(span.service));
        body.put_uint(texts.number(span.name));
        body.put_uint(texts.number(span.resource));
        body.put_u64(span.trace_id.low());
        body.put_u64(span.span_id);
        body.put_u64(span.parent_id);
        body.put_i64(span.start);
        body.put_i64(span.duration);
        body.put_uint(u64::from(span.error));
        body.put_map(
            span.meta.len() + usize::from(events.is_some()) + usize::from(links.is_some()),
        );
        for (key, value) in &span.meta {
            body.put_uint(texts.number(key));
            body.put_uint(texts.number(value));
        }
        for (key, value) in [("events", &events), ("_dd.span_links", &links)] {
            if let Some(value) = value {
                body.put_uint(texts.number(key));
                body.put_uint(texts.number(value));
            }
        }
        body.put_map(span.metrics.len());
        for (key, value) in &span.metrics {
            body.put_uint(texts.number(key));
            body.put_f64(*value);
        }
        body.put_uint(texts.number(span.span_type));
    }

    pub(super) fn body_mut(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    pub(super) fn len(&self) -> usize {
        self.body.len() + self.texts.encoded.len() + 11
    }

    pub(super) fn finish(&mut self, chunks: usize) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.len());
        payload.put_array(2);
        payload.put_array(self.texts.ends.len());
        payload.extend_from_slice(&self.texts.encoded);
        payload.put_array(chunks);
        payload.extend_from_slice(&self.body);
        self.body.clear();
        self.texts.clear();
        payload
    }
}

/// The table of texts: each once, in the order of first use.
#[derive(Debug)]
struct Texts {
    /// The texts as they will be sent.
    encoded: Vec<u8>,
    /// Where each ends in `encoded`, and how long it is without its head.
    ends: Vec<(u32, u32)>,
    /// Open addressing over numbers; 0 is free, because text 0 is never looked up.
    slots: Vec<u32>,
    cache: Vec<Cached>,
    state: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cached {
    address: usize,
    number: u32,
}

impl Texts {
    fn new() -> Self {
        let mut texts = Self {
            encoded: Vec::new(),
            ends: Vec::new(),
            slots: vec![0; 1024],
            cache: vec![Cached::default(); CACHE],
            state: RandomState::new(),
        };
        texts.clear();
        texts
    }

    fn clear(&mut self) {
        self.encoded.clear();
        self.ends.clear();
        self.slots.fill(0);
        self.cache.fill(Cached::default());
        self.encoded.put_str("");
        self.ends.push((1, 0));
    }

    #[inline]
    fn number(&mut self, text: &str) -> u64 {
        if text.is_empty() {
            return 0;
        }
        let address = text.as_ptr().addr();
        let at = (address ^ (address >> 10) ^ text.len()) % CACHE;
        let cached = self.cache[at];
        if cached.address == address && self.text(cached.number) == text.as_bytes() {
            return u64::from(cached.number);
        }
        let number = self.look_up(text);
        self.cache[at] = Cached { address, number };
        u64::from(number)
    }

    #[inline]
    fn text(&self, number: u32) -> &[u8] {
        let (end, len) = self.ends[number as usize];
        &self.encoded[(end - len) as usize..end as usize]
    }

    #[inline(never)]
    fn look_up(&mut self, text: &str) -> u32 {
        let mask = self.slots.len() - 1;
        let mut slot = self.state.hash_one(text) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => break,
                number if self.text(number) == text.as_bytes() => return number,
                _ => slot = (slot + 1) & mask,
            }
        }
        let number = self.ends.len() as u32;
        self.encoded.put_str(text);
        self.ends
            .push((self.encoded.len() as u32, text.len() as u32));
        self.slots[slot] = number;
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        number
    }

    #[cold]
    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        self.slots = vec![0; mask + 1];
        for number in 1..self.ends.len() as u32 {
            let mut slot = {
                let text = std::str::from_utf8(self.text(number)).unwrap_or_default();
                self.state.hash_one(text) as usize & mask
            };
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::payload::{Format, PayloadBuilder};
    use super::*;
    use crate::trace::{SpanEvent, TraceId};

    fn payload(spans: &[FinishedSpan<'_>]) -> (Vec<String>, Vec<Vec<Value>>) {
        let mut builder = PayloadBuilder::new(Format::V05);
        builder.begin_chunk();
        for span in spans {
            builder.push(span);
        }
        builder.end_chunk();
        // Maps with numbers as keys have no JSON value: read them as pairs.
        let body = builder.take().body;
        let (texts, chunks): (Vec<String>, Vec<Vec<Span>>) = rmp_serde::from_slice(&body).unwrap();
        let spans = chunks
            .into_iter()
            .map(|chunk| chunk.into_iter().map(|span| json!(span)).collect())
            .collect();
        (texts, spans)
    }

    type Number = u32;
    type Meta = std::collections::BTreeMap<Number, Number>;
    type Metrics = std::collections::BTreeMap<Number, f64>;
    type Span = (
        Number,
        Number,
        Number,
        u64,
        u64,
        u64,
        i64,
        i64,
        i32,
        Meta,
        Metrics,
        Number,
    );

    #[test]
    fn a_span_is_an_array_of_twelve_with_numbers_for_texts() {
        let mut span = FinishedSpan {
            service: "s",
            name: "n",
            resource: "n",
            span_id: 2,
            ..FinishedSpan::default()
        };
        span.trace_id = TraceId::new(3, 4);
        span.set_meta("k", "s");
        span.set_metric("m", 1.5);
        let (texts, chunks) = payload(&[span]);
        assert_eq!(texts, ["", "s", "n", "k", "m"]);
        assert_eq!(
            chunks[0],
            [json!([1, 2, 2, 4, 2, 0, 0, 0, 0, { "3": 1 }, { "4": 1.5 }, 0])]
        );
    }

    #[test]
    fn events_become_meta() {
        let event = SpanEvent {
            name: "e".into(),
            time_unix_nano: 3,
            attributes: Vec::new(),
        };
        let span = FinishedSpan {
            service: "s",
            name: "n",
            resource: "n",
            events: vec![&event],
            ..FinishedSpan::default()
        };
        let (texts, _) = payload(&[span]);
        assert_eq!(
            texts[3..],
            ["events", r#"[{"name":"e","time_unix_nano":3}]"#]
        );
    }

    #[test]
    fn every_text_stands_once_however_many_there_are() {
        let names: Vec<String> = (0..5000)
            .map(|number| format!("name-{}", number % 2500))
            .collect();
        let spans: Vec<_> = names
            .iter()
            .map(|name| FinishedSpan {
                name,
                ..FinishedSpan::default()
            })
            .collect();
        let (texts, chunks) = payload(&spans);
        assert_eq!(texts.len(), 2501);
        for (span, name) in chunks[0].iter().zip(&names) {
            assert_eq!(&texts[span[1].as_u64().unwrap() as usize], name);
        }
    }

    #[test]
    fn an_address_that_holds_another_text_is_noticed() {
        let mut texts = Texts::new();
        let mut text = String::from("one");
        let first = texts.number(&text);
        text.replace_range(.., "two");
        assert_ne!(texts.number(&text), first);
        assert_eq!(texts.number("one"), first);
    }
}
