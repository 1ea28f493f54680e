//! `PUT /v0.4/traces` and `/v0.3/traces`, `application/msgpack`: an array of chunks, each an array of span maps.
//!
//! The field names are those of the Agent's span message. Unknown keys are passed over: newer libraries
//! may send more than this reader knows.

use super::model::{Chunk, Event, Extra, Link, Payload, Span, Text};
use super::msgpack::{Fault, Num, Read, Reader, number_as_json};
use ddtrace_core::base64::encode as base64;
use serde_json::{Map, Value};

/// Reads a payload of v0.3 or v0.4.
pub fn read(body: &[u8]) -> Read<Payload<'_>> {
    let mut reader = Reader::new(body);
    let mut payload = Payload::default();
    let chunks = if reader.nil() { 0 } else { reader.array()? };
    for _ in 0..chunks {
        let begin = payload.spans.len();
        read_spans(&mut reader, &mut payload)?;
        payload.chunks.push(Chunk {
            spans: begin..payload.spans.len(),
            ..Chunk::default()
        });
    }
    reader.finish()?;
    Ok(payload)
}

/// Reads an array of span maps into `payload` (v0.7 has them, too).
pub(super) fn read_spans<'a>(reader: &mut Reader<'a>, payload: &mut Payload<'a>) -> Read<()> {
    if reader.nil() {
        return Ok(());
    }
    for _ in 0..reader.array()? {
        read_span(reader, payload)?;
    }
    Ok(())
}

fn read_span<'a>(reader: &mut Reader<'a>, payload: &mut Payload<'a>) -> Read<()> {
    let mut span = Span::default();
    let mut broken = false;
    for _ in 0..reader.map()? {
        match reader.key()? {
            b"service" => span.service = reader.text(&mut broken)?,
            b"name" => span.name = reader.text(&mut broken)?,
            b"resource" => span.resource = reader.text(&mut broken)?,
            b"type" => span.span_type = reader.text(&mut broken)?,
            b"trace_id" => span.trace_id = reader.id()?,
            b"span_id" => span.span_id = reader.id()?,
            b"parent_id" => span.parent_id = reader.id()?,
            b"start" => span.start = reader.int()?,
            b"duration" => span.duration = reader.int()?,
            b"error" => span.error = reader.int()?.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            b"meta" => {
                let begin = payload.meta.len();
                read_meta(reader, &mut payload.meta, &mut broken)?;
                span.meta = begin..payload.meta.len();
            }
            b"metrics" => {
                let begin = payload.metrics.len();
                if !reader.nil() {
                    for _ in 0..reader.map()? {
                        let key = reader.text(&mut broken)?;
                        payload.metrics.push((key, reader.number()?.as_f64()));
                    }
                }
                span.metrics = begin..payload.metrics.len();
            }
            b"meta_struct" => read_meta_struct(reader, extra(&mut span), &mut broken)?,
            b"span_links" => read_links(reader, extra(&mut span), &mut broken)?,
            b"span_events" => read_events(reader, extra(&mut span), &mut broken)?,
            _ => reader.skip()?,
        }
    }
    span.broken_text = broken;
    payload.spans.push(span);
    Ok(())
}

pub(super) fn extra<'s, 'a>(span: &'s mut Span<'a>) -> &'s mut Extra<'a> {
    span.extra.get_or_insert_default()
}

fn read_meta<'a>(
    reader: &mut Reader<'a>,
    into: &mut Vec<(Text<'a>, Text<'a>)>,
    broken: &mut bool,
) -> Read<()> {
    if reader.nil() {
        return Ok(());
    }
    for _ in 0..reader.map()? {
        let key = reader.text(broken)?;
        into.push((key, reader.text(broken)?));
    }
    Ok(())
}

fn read_meta_struct<'a>(
    reader: &mut Reader<'a>,
    extra: &mut Extra<'a>,
    broken: &mut bool,
) -> Read<()> {
    if reader.nil() {
        return Ok(());
    }
    for _ in 0..reader.map()? {
        let key = reader.text(broken)?;
        extra.meta_struct.push((key, reader.bytes()?.into()));
    }
    Ok(())
}

fn read_links<'a>(reader: &mut Reader<'a>, extra: &mut Extra<'a>, broken: &mut bool) -> Read<()> {
    if reader.nil() {
        return Ok(());
    }
    for _ in 0..reader.array()? {
        let mut link = Link::default();
        for _ in 0..reader.map()? {
            match reader.key()? {
                b"trace_id" => link.trace_id = reader.id()?,
                b"trace_id_high" => link.trace_id_high = reader.id()?,
                b"span_id" => link.span_id = reader.id()?,
                b"attributes" => read_meta(reader, &mut link.attributes, broken)?,
                b"tracestate" => link.tracestate = reader.text(broken)?,
                b"flags" => link.flags = reader.index()?,
                _ => reader.skip()?,
            }
        }
        extra.links.push(link);
    }
    Ok(())
}

fn read_events<'a>(reader: &mut Reader<'a>, extra: &mut Extra<'a>, broken: &mut bool) -> Read<()> {
    if reader.nil() {
        return Ok(());
    }
    for _ in 0..reader.array()? {
        let mut event = Event::default();
        for _ in 0..reader.map()? {
            match reader.key()? {
                b"time_unix_nano" => event.time = reader.id()?,
                b"name" => event.name = reader.text(broken)?,
                b"attributes" if reader.nil() => {}
                b"attributes" => {
                    for _ in 0..reader.map()? {
                        let key = reader.text(broken)?.into_owned();
                        event.attributes.insert(key, read_typed(reader, true)?);
                    }
                }
                _ => reader.skip()?,
            }
        }
        extra.events.push(event);
    }
    Ok(())
}

/// A typed attribute value: `{type: 0, string_value}`, `{1, bool_value}`, `{2, int_value}`, `{3, double_value}`,
/// `{4, array_value: {values: […]}}`. Arrays are not nested.
fn read_typed(reader: &mut Reader<'_>, arrays: bool) -> Read<Value> {
    let mut value = Value::Null;
    for _ in 0..reader.map()? {
        match reader.key()? {
            b"string_value" => {
                value = Value::String(String::from_utf8_lossy(reader.bytes()?).into_owned())
            }
            b"bool_value" => value = Value::Bool(reader.boolean()?),
            b"int_value" => value = Value::from(reader.int()?),
            b"double_value" => value = number_as_json(Num::Float(reader.number()?.as_f64())),
            b"array_value" if arrays => {
                let mut list = Vec::new();
                for _ in 0..reader.map()? {
                    match reader.key()? {
                        b"values" => {
                            for _ in 0..reader.array()? {
                                list.push(read_typed(reader, false)?);
                            }
                        }
                        _ => reader.skip()?,
                    }
                }
                value = Value::Array(list);
            }
            b"array_value" => {
                return reader.error(Fault::Impossible("an array within an array".into()));
            }
            _ => reader.skip()?,
        }
    }
    Ok(value)
}

/// Structured metadata for people: msgpack as JSON, other bytes as base64.
pub fn show_struct(bytes: &[u8]) -> Value {
    let mut reader = Reader::new(bytes);
    match reader.json() {
        Ok(value) if reader.left() == 0 => value,
        _ => {
            let mut map = Map::new();
            map.insert("bin".into(), Value::String(base64(bytes)));
            Value::Object(map)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_span_of_every_field() {
        // Bytes as the Agent's msgpack schema names them, written with rmp only to keep the test readable.
        let mut body = Vec::new();
        let text = |body: &mut Vec<u8>, s: &str| rmp::encode::write_str(body, s).unwrap();
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 8).unwrap();
        text(&mut body, "service");
        text(&mut body, "shop");
        text(&mut body, "trace_id");
        rmp::encode::write_u64(&mut body, u64::MAX).unwrap();
        text(&mut body, "span_id");
        rmp::encode::write_sint(&mut body, -1).unwrap();
        text(&mut body, "meta");
        rmp::encode::write_map_len(&mut body, 1).unwrap();
        text(&mut body, "k");
        text(&mut body, "v");
        text(&mut body, "metrics");
        rmp::encode::write_map_len(&mut body, 1).unwrap();
        text(&mut body, "n");
        rmp::encode::write_f64(&mut body, 2.5).unwrap();
        text(&mut body, "unknown");
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_nil(&mut body).unwrap();
        text(&mut body, "span_links");
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 1).unwrap();
        text(&mut body, "span_id");
        rmp::encode::write_uint(&mut body, 7).unwrap();
        text(&mut body, "span_events");
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 2).unwrap();
        text(&mut body, "name");
        text(&mut body, "exception");
        text(&mut body, "attributes");
        rmp::encode::write_map_len(&mut body, 1).unwrap();
        text(&mut body, "a");
        rmp::encode::write_map_len(&mut body, 2).unwrap();
        text(&mut body, "type");
        rmp::encode::write_uint(&mut body, 1).unwrap();
        text(&mut body, "bool_value");
        rmp::encode::write_bool(&mut body, true).unwrap();

        let payload = read(&body).unwrap();
        let span = &payload.spans[0];
        assert_eq!(
            (span.service.as_ref(), span.trace_id, span.span_id),
            ("shop", u64::MAX, u64::MAX)
        );
        assert_eq!(payload.tag(span, "k"), Some("v"));
        assert_eq!(payload.metric(span, "n"), Some(2.5));
        let extra = span.extra.as_ref().unwrap();
        assert_eq!(extra.links[0].span_id, 7);
        assert_eq!(extra.events[0].name, "exception");
        assert_eq!(extra.events[0].attributes["a"], Value::Bool(true));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body);
        }
    }
}
