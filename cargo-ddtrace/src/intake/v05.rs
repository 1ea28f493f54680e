//! `PUT /v0.5/traces`, `application/msgpack`: `[[texts…], [[span…]…]]`, a span being an array of 12 whose texts are indexes.

use super::model::{Chunk, Payload, Span, Text};
use super::msgpack::{DecodeError, Fault, Read, Reader};

const FIELDS: usize = 12;

/// Reads a payload of v0.5.
pub fn read(body: &[u8]) -> Read<Payload<'_>> {
    let mut reader = Reader::new(body);
    let mut payload = Payload::default();
    exactly(&mut reader, 2, "a payload of v0.5 is an array of 2")?;
    // A text that is not UTF-8 is remembered by its index, so that the spans that use it can be told.
    let mut texts: Vec<(Text<'_>, bool)> = Vec::new();
    for _ in 0..reader.array()? {
        let mut broken = false;
        let text = reader.text(&mut broken)?;
        texts.push((text, broken));
    }
    for _ in 0..reader.array()? {
        let begin = payload.spans.len();
        for _ in 0..reader.array()? {
            read_span(&mut reader, &texts, &mut payload)?;
        }
        payload.chunks.push(Chunk {
            spans: begin..payload.spans.len(),
            ..Chunk::default()
        });
    }
    reader.finish()?;
    Ok(payload)
}

fn exactly(reader: &mut Reader<'_>, n: usize, sentence: &str) -> Read<()> {
    let at = reader.at();
    match reader.array()? {
        found if found == n => Ok(()),
        found => Err(DecodeError {
            at,
            what: Fault::Impossible(format!("{sentence}, found one of {found},")),
        }),
    }
}

fn read_span<'a>(
    reader: &mut Reader<'a>,
    texts: &[(Text<'a>, bool)],
    payload: &mut Payload<'a>,
) -> Read<()> {
    exactly(reader, FIELDS, "a span of v0.5 is an array of 12")?;
    let mut broken = false;
    let mut text = |reader: &mut Reader<'a>| -> Read<Text<'a>> {
        let at = reader.at();
        let index = reader.index()?;
        let (text, is_broken) = texts.get(index as usize).ok_or_else(|| DecodeError {
            at,
            what: Fault::Impossible(format!("text {index} of a table of {}", texts.len())),
        })?;
        broken |= is_broken;
        Ok(text.clone())
    };
    let mut span = Span {
        service: text(reader)?,
        name: text(reader)?,
        resource: text(reader)?,
        trace_id: reader.id()?,
        span_id: reader.id()?,
        parent_id: reader.id()?,
        start: reader.int()?,
        duration: reader.int()?,
        error: reader.int()?.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
        ..Span::default()
    };
    let begin = payload.meta.len();
    if !reader.nil() {
        for _ in 0..reader.map()? {
            let key = text(reader)?;
            payload.meta.push((key, text(reader)?));
        }
    }
    span.meta = begin..payload.meta.len();
    let begin = payload.metrics.len();
    if !reader.nil() {
        for _ in 0..reader.map()? {
            let key = text(reader)?;
            payload.metrics.push((key, reader.number()?.as_f64()));
        }
    }
    span.metrics = begin..payload.metrics.len();
    span.span_type = text(reader)?;
    span.broken_text = broken;
    payload.spans.push(span);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(index: u64) -> Vec<u8> {
        let mut body = Vec::new();
        rmp::encode::write_array_len(&mut body, 2).unwrap();
        rmp::encode::write_array_len(&mut body, 2).unwrap();
        rmp::encode::write_str(&mut body, "").unwrap();
        rmp::encode::write_str(&mut body, "shop").unwrap();
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_array_len(&mut body, 12).unwrap();
        for n in [index, 1, 1, 10, 20, 0, 5, 6, 0] {
            rmp::encode::write_uint(&mut body, n).unwrap();
        }
        rmp::encode::write_map_len(&mut body, 1).unwrap();
        rmp::encode::write_uint(&mut body, 1).unwrap();
        rmp::encode::write_uint(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 0).unwrap();
        rmp::encode::write_uint(&mut body, 0).unwrap();
        body
    }

    #[test]
    fn texts_come_from_the_table() {
        let body = body(1);
        let payload = read(&body).unwrap();
        assert_eq!(payload.spans[0].service, "shop");
        assert_eq!(payload.spans[0].span_type, "");
        assert_eq!(payload.tag(&payload.spans[0], "shop"), Some("shop"));
    }

    #[test]
    fn an_index_outside_the_table_is_refused() {
        let error = read(&body(2)).unwrap_err().to_string();
        assert_eq!(error, "text 2 of a table of 2 at byte 11");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body);
        }
    }
}
