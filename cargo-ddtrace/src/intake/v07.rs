//! `PUT /v0.7/traces`, `application/msgpack`: a map that says once what all chunks share, `{language_name, …, chunks}`.

use super::model::{Chunk, Payload};
use super::msgpack::{Read, Reader};
use super::v04::read_spans;

/// Reads a payload of v0.7.
pub fn read(body: &[u8]) -> Read<Payload<'_>> {
    let mut reader = Reader::new(body);
    let mut payload = Payload::default();
    let mut broken = false;
    for _ in 0..reader.map()? {
        match reader.key()? {
            b"language_name" => payload.process.language = reader.text(&mut broken)?,
            b"language_version" => payload.process.language_version = reader.text(&mut broken)?,
            b"tracer_version" => payload.process.tracer_version = reader.text(&mut broken)?,
            b"runtime_id" => payload.process.runtime_id = reader.text(&mut broken)?,
            b"env" => payload.process.env = reader.text(&mut broken)?,
            b"hostname" => payload.process.hostname = reader.text(&mut broken)?,
            b"app_version" => payload.process.app_version = reader.text(&mut broken)?,
            b"chunks" if reader.nil() => {}
            b"chunks" => {
                for _ in 0..reader.array()? {
                    read_chunk(&mut reader, &mut payload)?;
                }
            }
            _ => reader.skip()?,
        }
    }
    reader.finish()?;
    Ok(payload)
}

fn read_chunk<'a>(reader: &mut Reader<'a>, payload: &mut Payload<'a>) -> Read<()> {
    let mut chunk = Chunk::default();
    let mut broken = false;
    let begin = payload.spans.len();
    for _ in 0..reader.map()? {
        match reader.key()? {
            b"priority" => {
                chunk.priority = Some(reader.int()?.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
            }
            b"origin" => chunk.origin = reader.text(&mut broken)?,
            b"spans" => read_spans(reader, payload)?,
            _ => reader.skip()?,
        }
    }
    chunk.spans = begin..payload.spans.len();
    payload.chunks.push(chunk);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_chunk_carries_its_priority() {
        let mut body = Vec::new();
        rmp::encode::write_map_len(&mut body, 1).unwrap();
        rmp::encode::write_str(&mut body, "chunks").unwrap();
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 2).unwrap();
        rmp::encode::write_str(&mut body, "spans").unwrap();
        rmp::encode::write_array_len(&mut body, 1).unwrap();
        rmp::encode::write_map_len(&mut body, 1).unwrap();
        rmp::encode::write_str(&mut body, "name").unwrap();
        rmp::encode::write_str(&mut body, "a").unwrap();
        rmp::encode::write_str(&mut body, "priority").unwrap();
        rmp::encode::write_sint(&mut body, -1).unwrap();
        let payload = read(&body).unwrap();
        assert_eq!(payload.priority(&payload.chunks[0]), Some(-1));
        assert_eq!(payload.spans[0].name, "a");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body);
        }
    }
}
