//! `PUT /v1.0/traces`, `application/msgpack`: maps with integer keys; a text is sent once and then named by its number.
//!
//! Attributes are a flat array of triples `[key, type, value]`. Text number 0 is `""`; every text that is sent as such
//! gets the next number, whether it stands as a key, a value or a field (`core.md` §6.3).

use super::model::{Chunk, Event, Link, Payload, Span, Text};
use super::msgpack::{DecodeError, Fault, Num, Read, Reader, number_as_json};
use super::v04::extra;
use ddtrace_core::base64::encode as base64;
use serde_json::{Map, Value};

/// How deep attribute arrays and key-value lists may be nested.
const MAX_NESTING: usize = 16;

struct Texts<'a>(Vec<Text<'a>>);

impl<'a> Texts<'a> {
    fn read(&mut self, reader: &mut Reader<'a>, broken: &mut bool) -> Read<Text<'a>> {
        if reader.is_text() {
            let text = reader.text(broken)?;
            self.0.push(text.clone());
            return Ok(text);
        }
        let at = reader.at();
        let index = reader.index()?;
        self.0
            .get(index as usize)
            .cloned()
            .ok_or_else(|| DecodeError {
                at,
                what: Fault::Impossible(format!("text {index} of {} texts so far", self.0.len())),
            })
    }
}

/// One attribute value.
enum Attribute<'a> {
    Text(Text<'a>),
    Number(f64),
    Bytes(&'a [u8]),
    Other(Value),
}

/// Reads a payload of v1.0.
pub fn read(body: &[u8]) -> Read<Payload<'_>> {
    let mut reader = Reader::new(body);
    let mut payload = Payload::default();
    let mut texts = Texts(vec![Text::Borrowed("")]);
    let mut broken = false;
    for _ in 0..reader.map()? {
        match reader.index()? {
            3 => payload.process.language = texts.read(&mut reader, &mut broken)?,
            4 => payload.process.language_version = texts.read(&mut reader, &mut broken)?,
            5 => payload.process.tracer_version = texts.read(&mut reader, &mut broken)?,
            6 => payload.process.runtime_id = texts.read(&mut reader, &mut broken)?,
            7 => payload.process.env = texts.read(&mut reader, &mut broken)?,
            8 => payload.process.hostname = texts.read(&mut reader, &mut broken)?,
            9 => payload.process.app_version = texts.read(&mut reader, &mut broken)?,
            2 => drop(texts.read(&mut reader, &mut broken)?),
            10 => drop(read_attributes(
                &mut reader,
                &mut texts,
                &mut broken,
                MAX_NESTING,
            )?),
            11 => {
                for _ in 0..reader.array()? {
                    read_chunk(&mut reader, &mut texts, &mut payload)?;
                }
            }
            _ => reader.skip()?,
        }
    }
    reader.finish()?;
    Ok(payload)
}

fn read_chunk<'a>(
    reader: &mut Reader<'a>,
    texts: &mut Texts<'a>,
    payload: &mut Payload<'a>,
) -> Read<()> {
    let mut chunk = Chunk::default();
    let mut broken = false;
    let begin = payload.spans.len();
    let mut attributes = Vec::new();
    let (mut high, mut low, mut mechanism) = (0, 0, None);
    for _ in 0..reader.map()? {
        match reader.index()? {
            1 => {
                chunk.priority = Some(reader.int()?.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
            }
            2 => chunk.origin = texts.read(reader, &mut broken)?,
            3 => attributes = read_attributes(reader, texts, &mut broken, MAX_NESTING)?,
            4 => {
                for _ in 0..reader.array()? {
                    read_span(reader, texts, payload)?;
                }
            }
            6 => {
                let at = reader.at();
                let id: [u8; 16] = reader.bytes()?.try_into().map_err(|_| DecodeError {
                    at,
                    what: Fault::Impossible("a trace id has 16 bytes, this one has not,".into()),
                })?;
                let id = u128::from_be_bytes(id);
                (high, low) = ((id >> 64) as u64, id as u64);
            }
            7 => mechanism = Some(reader.index()?),
            _ => reader.skip()?,
        }
    }
    for span in &mut payload.spans[begin..] {
        (span.trace_id, span.trace_id_high) = (low, high);
    }
    chunk.spans = begin..payload.spans.len();
    // What other formats write on the first span stands on the chunk here; it is put where they have it, so that one
    // store serves all.
    if let Some(first) = payload
        .spans
        .get(begin)
        .map(|span| (span.meta.clone(), span.metrics.clone()))
    {
        let meta_begin = payload.meta.len();
        payload.meta.extend_from_within(first.0);
        let metrics_begin = payload.metrics.len();
        payload.metrics.extend_from_within(first.1);
        if let Some(mechanism) = mechanism {
            payload
                .meta
                .push(("_dd.p.dm".into(), format!("-{mechanism}").into()));
        }
        for (key, value) in attributes {
            keep(key, value, &mut payload.meta, &mut payload.metrics, None);
        }
        payload.spans[begin].meta = meta_begin..payload.meta.len();
        payload.spans[begin].metrics = metrics_begin..payload.metrics.len();
    }
    payload.chunks.push(chunk);
    Ok(())
}

fn keep<'a>(
    key: Text<'a>,
    value: Attribute<'a>,
    meta: &mut Vec<(Text<'a>, Text<'a>)>,
    metrics: &mut Vec<(Text<'a>, f64)>,
    span: Option<&mut Span<'a>>,
) {
    match value {
        Attribute::Text(text) => meta.push((key, text)),
        Attribute::Number(number) => metrics.push((key, number)),
        Attribute::Bytes(bytes) => match span {
            Some(span) => extra(span).meta_struct.push((key, bytes.into())),
            None => meta.push((key, base64(bytes).into())),
        },
        Attribute::Other(Value::String(text)) => meta.push((key, text.into())),
        Attribute::Other(value) => meta.push((key, value.to_string().into())),
    }
}

fn read_span<'a>(
    reader: &mut Reader<'a>,
    texts: &mut Texts<'a>,
    payload: &mut Payload<'a>,
) -> Read<()> {
    let mut span = Span::default();
    let mut broken = false;
    let mut fields: Vec<(&'static str, Text<'a>)> = Vec::new();
    let mut attributes = Vec::new();
    for _ in 0..reader.map()? {
        match reader.index()? {
            1 => span.service = texts.read(reader, &mut broken)?,
            2 => span.name = texts.read(reader, &mut broken)?,
            3 => span.resource = texts.read(reader, &mut broken)?,
            4 => span.span_id = reader.id()?,
            5 => span.parent_id = reader.id()?,
            6 => span.start = reader.int()?,
            7 => span.duration = reader.int()?,
            8 => span.error = i32::from(reader.boolean()?),
            9 => attributes = read_attributes(reader, texts, &mut broken, MAX_NESTING)?,
            10 => span.span_type = texts.read(reader, &mut broken)?,
            11 => {
                for _ in 0..reader.array()? {
                    let link = read_link(reader, texts, &mut broken)?;
                    extra(&mut span).links.push(link);
                }
            }
            12 => {
                for _ in 0..reader.array()? {
                    let event = read_event(reader, texts, &mut broken)?;
                    extra(&mut span).events.push(event);
                }
            }
            13 => fields.push(("env", texts.read(reader, &mut broken)?)),
            14 => fields.push(("version", texts.read(reader, &mut broken)?)),
            15 => fields.push(("component", texts.read(reader, &mut broken)?)),
            16 => {
                // OpenTelemetry's numbering of kinds.
                let kind = match reader.index()? {
                    2 => "server",
                    3 => "client",
                    4 => "producer",
                    5 => "consumer",
                    1 => "internal",
                    _ => "",
                };
                fields.push(("span.kind", kind.into()));
            }
            _ => reader.skip()?,
        }
    }
    let (meta, metrics) = (payload.meta.len(), payload.metrics.len());
    for (key, value) in attributes {
        keep(
            key,
            value,
            &mut payload.meta,
            &mut payload.metrics,
            Some(&mut span),
        );
    }
    for (key, value) in fields {
        if !value.is_empty() {
            payload.meta.push((key.into(), value));
        }
    }
    span.meta = meta..payload.meta.len();
    span.metrics = metrics..payload.metrics.len();
    span.broken_text = broken;
    payload.spans.push(span);
    Ok(())
}

fn read_link<'a>(
    reader: &mut Reader<'a>,
    texts: &mut Texts<'a>,
    broken: &mut bool,
) -> Read<Link<'a>> {
    let mut link = Link::default();
    for _ in 0..reader.map()? {
        match reader.index()? {
            1 => {
                let id = reader
                    .bytes()?
                    .iter()
                    .fold(0u128, |id, b| id << 8 | u128::from(*b));
                (link.trace_id_high, link.trace_id) = ((id >> 64) as u64, id as u64);
            }
            2 => link.span_id = reader.id()?,
            3 => {
                for (key, value) in read_attributes(reader, texts, broken, MAX_NESTING)? {
                    link.attributes.push((key, shown(value)));
                }
            }
            4 => link.tracestate = texts.read(reader, broken)?,
            5 => link.flags = reader.index()?,
            _ => reader.skip()?,
        }
    }
    Ok(link)
}

fn read_event<'a>(
    reader: &mut Reader<'a>,
    texts: &mut Texts<'a>,
    broken: &mut bool,
) -> Read<Event<'a>> {
    let mut event = Event::default();
    for _ in 0..reader.map()? {
        match reader.index()? {
            1 => event.time = reader.id()?,
            2 => event.name = texts.read(reader, broken)?,
            3 => {
                for (key, value) in read_attributes(reader, texts, broken, MAX_NESTING)? {
                    event.attributes.insert(key.into_owned(), as_json(value));
                }
            }
            _ => reader.skip()?,
        }
    }
    Ok(event)
}

fn read_attributes<'a>(
    reader: &mut Reader<'a>,
    texts: &mut Texts<'a>,
    broken: &mut bool,
    depth: usize,
) -> Read<Vec<(Text<'a>, Attribute<'a>)>> {
    let at = reader.at();
    let n = reader.array()?;
    if n % 3 != 0 {
        return Err(DecodeError {
            at,
            what: Fault::Impossible(format!("{n} is no multiple of 3, as attributes must be,")),
        });
    }
    let mut list = Vec::new();
    for _ in 0..n / 3 {
        let key = texts.read(reader, broken)?;
        list.push((key, read_value(reader, texts, broken, depth)?));
    }
    Ok(list)
}

/// Reads `type, value`.
fn read_value<'a>(
    reader: &mut Reader<'a>,
    texts: &mut Texts<'a>,
    broken: &mut bool,
    depth: usize,
) -> Read<Attribute<'a>> {
    if depth == 0 {
        return reader.error(Fault::TooDeep);
    }
    let at = reader.at();
    Ok(match reader.index()? {
        1 => Attribute::Text(texts.read(reader, broken)?),
        2 => Attribute::Other(Value::String(reader.boolean()?.to_string())),
        3 | 4 => Attribute::Number(reader.number()?.as_f64()),
        5 => Attribute::Bytes(reader.bytes()?),
        6 => {
            let n = reader.array()?;
            let mut list = Vec::new();
            for _ in 0..n / 2 {
                list.push(as_json(read_value(reader, texts, broken, depth - 1)?));
            }
            Attribute::Other(Value::Array(list))
        }
        7 => {
            let mut map = Map::new();
            for (key, value) in read_attributes(reader, texts, broken, depth - 1)? {
                map.insert(key.into_owned(), as_json(value));
            }
            Attribute::Other(Value::Object(map))
        }
        other => {
            return Err(DecodeError {
                at,
                what: Fault::Impossible(format!("attribute type {other}")),
            });
        }
    })
}

fn as_json(value: Attribute<'_>) -> Value {
    match value {
        Attribute::Text(text) => Value::String(text.into_owned()),
        Attribute::Number(number) => number_as_json(Num::Float(number)),
        Attribute::Bytes(bytes) => Value::String(base64(bytes)),
        Attribute::Other(value) => value,
    }
}

fn shown(value: Attribute<'_>) -> Text<'_> {
    match value {
        Attribute::Text(text) => text,
        other => match as_json(other) {
            Value::String(text) => text.into(),
            value => value.to_string().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_named_by_number_after_their_first_time() {
        let mut body = Vec::new();
        let uint = |body: &mut Vec<u8>, n: u64| {
            rmp::encode::write_uint(body, n).unwrap();
        };
        let text = |body: &mut Vec<u8>, s: &str| rmp::encode::write_str(body, s).unwrap();
        rmp::encode::write_map_len(&mut body, 2).unwrap();
        uint(&mut body, 3);
        text(&mut body, "rust"); // text 1
        uint(&mut body, 11);
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 3).unwrap();
        uint(&mut body, 6);
        rmp::encode::write_bin(&mut body, &0x1_0000_0000_0000_0002u128.to_be_bytes()).unwrap();
        uint(&mut body, 7);
        uint(&mut body, 3);
        uint(&mut body, 4);
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 3).unwrap();
        uint(&mut body, 1);
        uint(&mut body, 1); // service = text 1
        uint(&mut body, 2);
        text(&mut body, "work"); // text 2
        uint(&mut body, 9);
        rmp::encode::write_array_len(&mut body, 6).unwrap();
        uint(&mut body, 2);
        uint(&mut body, 1);
        text(&mut body, "v"); // text 3
        uint(&mut body, 3);
        uint(&mut body, 4);
        uint(&mut body, 9);
        let payload = read(&body).unwrap();
        let span = &payload.spans[0];
        assert_eq!(
            (span.service.as_ref(), span.name.as_ref()),
            ("rust", "work")
        );
        assert_eq!((span.trace_id_high, span.trace_id), (1, 2));
        assert_eq!(payload.tag(span, "work"), Some("v"));
        assert_eq!(payload.tag(span, "_dd.p.dm"), Some("-3"));
        assert_eq!(payload.metric(span, "v"), Some(9.0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body);
        }
    }
}
