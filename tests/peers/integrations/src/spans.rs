//! How many spans a payload holds: msgpack as the Datadog Agent takes it, protobuf as OTLP has it.
//!
//! Nothing is decoded, values are only skipped. `None` stands for a payload that is cut short or is something else.

/// Spans of a payload of `/v0.4/traces`: an array of chunks, each an array of spans.
pub fn in_v04(mut payload: &[u8]) -> Option<u64> {
    in_chunks(&mut payload)
}

/// Spans of a payload of `/v0.5/traces`: a table of strings, then chunks as in v0.4.
pub fn in_v05(mut payload: &[u8]) -> Option<u64> {
    let of_both = array(&mut payload)?;
    (of_both == 2).then_some(())?;
    skip(&mut payload)?;
    in_chunks(&mut payload)
}

fn in_chunks(payload: &mut &[u8]) -> Option<u64> {
    let mut spans = 0;
    for _ in 0..array(payload)? {
        let of_chunk = array(payload)?;
        spans += of_chunk;
        for _ in 0..of_chunk {
            skip(payload)?;
        }
    }
    Some(spans)
}

/// Takes so many bytes away, as a big-endian number.
fn number(payload: &mut &[u8], bytes: usize) -> Option<u64> {
    let (head, rest) = payload.split_at_checked(bytes)?;
    *payload = rest;
    Some(head.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn array(payload: &mut &[u8]) -> Option<u64> {
    match number(payload, 1)? as u8 {
        short @ 0x90..=0x9f => Some(u64::from(short & 0x0f)),
        0xdc => number(payload, 2),
        0xdd => number(payload, 4),
        _ => None,
    }
}

/// Takes one value away, with everything inside of it.
fn skip(payload: &mut &[u8]) -> Option<()> {
    let mut values = 1_u64;
    while values > 0 {
        values -= 1;
        // Bytes that follow, and values inside.
        let (bytes, inside) = match number(payload, 1)? as u8 {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0),
            map @ 0x80..=0x8f => (0, 2 * u64::from(map & 0x0f)),
            array @ 0x90..=0x9f => (0, u64::from(array & 0x0f)),
            text @ 0xa0..=0xbf => (u64::from(text & 0x1f), 0),
            0xc4 | 0xd9 => (number(payload, 1)?, 0),
            0xc5 | 0xda => (number(payload, 2)?, 0),
            0xc6 | 0xdb => (number(payload, 4)?, 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            0xdc => (0, number(payload, 2)?),
            0xdd => (0, number(payload, 4)?),
            0xde => (0, 2 * number(payload, 2)?),
            0xdf => (0, 2 * number(payload, 4)?),
            // Extensions occur in no payload of an agent.
            _ => return None,
        };
        *payload = payload.get(usize::try_from(bytes).ok()?..)?;
        values = values.checked_add(inside)?;
    }
    Some(())
}

/// Spans of an `ExportTraceServiceRequest`: field 1 has the resources, field 2 of those the scopes, field 2 of those the spans
/// (`opentelemetry/proto/collector/trace/v1/trace_service.proto`, `opentelemetry/proto/trace/v1/trace.proto`).
pub fn in_otlp(payload: &[u8]) -> Option<u64> {
    messages(payload, &[1, 2, 2])
}

/// How many messages there are at the end of a path of field numbers.
fn messages(mut payload: &[u8], path: &[u64]) -> Option<u64> {
    let (wanted, below) = path.split_first()?;
    let mut found = 0;
    while !payload.is_empty() {
        let key = varint(&mut payload)?;
        let length = match key & 7 {
            0 => {
                varint(&mut payload)?;
                0
            }
            1 => 8,
            2 => usize::try_from(varint(&mut payload)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let (value, rest) = payload.split_at_checked(length)?;
        payload = rest;
        if key == wanted << 3 | 2 {
            found += if below.is_empty() {
                1
            } else {
                messages(value, below)?
            };
        }
    }
    Some(found)
}

fn varint(payload: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = number(payload, 1)?;
        value |= (byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_msgpack_are_counted_whatever_is_in_them() {
        // Two chunks: {"a": [1, "xy", nil]} and {}; then one of {"k": 2.5}, {300: -5}.
        let chunks = b"\x92\x92\x81\xa1a\x93\x01\xd9\x02xy\xc0\x80\
            \x92\x81\xa1k\xcb\x40\x04\0\0\0\0\0\0\x81\xcd\x01\x2c\xd0\xfb";
        assert_eq!(in_v04(chunks), Some(4));
        let with_strings = [b"\x92\x92\xa0\xa2ab".as_slice(), chunks].concat();
        assert_eq!(in_v05(&with_strings), Some(4));
        assert_eq!(in_v04(b"\x90"), Some(0));
        assert_eq!(in_v04(b"\xdc\0\x01\xdd\0\0\0\x01\x80"), Some(1));
    }

    #[test]
    fn spans_of_protobuf_are_counted_in_all_resources_and_scopes() {
        // A scope of two spans (one empty, one with a number in it) and a name in another field.
        let scope = b"\x0a\x01x\x12\0\x12\x02\x08\x07";
        let with_two = [&[0x12, scope.len() as u8], scope.as_slice()].concat();
        let resource = [with_two.as_slice(), with_two.as_slice()].concat();
        let request = [&[0x0a, resource.len() as u8], resource.as_slice()].concat();
        assert_eq!(in_otlp(&request), Some(4));
        assert_eq!(in_otlp(&[request.clone(), request].concat()), Some(8));
        assert_eq!(in_otlp(b""), Some(0));
    }

    #[test]
    fn what_is_cut_short_is_not_counted() {
        for cut in [b"\x92\x91".as_slice(), b"\x91\x91\xa5ab", b"\xdc", b"{}"] {
            assert_eq!(in_v04(cut), None, "{cut:?}");
        }
        for cut in [b"\x0a\x05\x12".as_slice(), b"\x0a", b"\xff\xff", b"\x0b"] {
            assert_eq!(in_otlp(cut), None, "{cut:?}");
        }
    }
}
