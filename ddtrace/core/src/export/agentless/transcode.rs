//! Msgpack read as the JSON that it means, for payloads that are JSON.
//!
//! What products hand in is msgpack of their own making, but nothing here relies on that: lengths are believed only as far as
//! bytes follow, depth is bounded, and what cannot be JSON (a number that is none, an extension) becomes `null`.

use rmp::Marker;
use rmp::decode;
use serde_json::{Map, Number, Value};

/// Levels of lists and maps at most.
const DEPTH: usize = 64;

/// The value, if these bytes are one whole value.
pub(super) fn msgpack_as_json(mut bytes: &[u8]) -> Option<Value> {
    let value = read(&mut bytes, DEPTH)?;
    bytes.is_empty().then_some(value)
}

fn read(bytes: &mut &[u8], depth: usize) -> Option<Value> {
    let mut ahead = *bytes;
    Some(match decode::read_marker(&mut ahead).ok()? {
        Marker::Null => {
            *bytes = ahead;
            Value::Null
        }
        Marker::True | Marker::False => Value::Bool(decode::read_bool(bytes).ok()?),
        Marker::F32 => number(f64::from(decode::read_f32(bytes).ok()?)),
        Marker::F64 => number(decode::read_f64(bytes).ok()?),
        Marker::U64 => Value::from(decode::read_u64(bytes).ok()?),
        Marker::FixPos(_)
        | Marker::FixNeg(_)
        | Marker::U8
        | Marker::U16
        | Marker::U32
        | Marker::I8
        | Marker::I16
        | Marker::I32
        | Marker::I64 => Value::from(decode::read_int::<i64, _>(bytes).ok()?),
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let length = decode::read_str_len(bytes).ok()?;
            Value::String(String::from_utf8_lossy(take(bytes, length)?).into_owned())
        }
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
            let length = decode::read_bin_len(bytes).ok()?;
            let list = take(bytes, length)?.iter();
            Value::Array(list.map(|byte| Value::from(*byte)).collect())
        }
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
            let length = decode::read_array_len(bytes).ok()?;
            let depth = depth.checked_sub(1)?;
            let list: Option<Vec<_>> = (0..length).map(|_| read(bytes, depth)).collect();
            Value::Array(list?)
        }
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
            let length = decode::read_map_len(bytes).ok()?;
            let depth = depth.checked_sub(1)?;
            let mut map = Map::new();
            for _ in 0..length {
                let key = match read(bytes, depth)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                map.insert(key, read(bytes, depth)?);
            }
            Value::Object(map)
        }
        _ => {
            let meta = decode::read_ext_meta(bytes).ok()?;
            take(bytes, meta.size)?;
            Value::Null
        }
    })
}

fn take<'a>(bytes: &mut &'a [u8], length: u32) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length as usize)?;
    *bytes = rest;
    Some(taken)
}

fn number(value: f64) -> Value {
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_json_can_say_is_kept() {
        let value = json!({
            "null": null, "flag": true, "text": "é", "list": [1, -5, 70_000, u64::MAX, i64::MIN, 1.5], "map": {"a": {}},
        });
        let bytes = rmp_serde::to_vec_named(&value).unwrap();
        assert_eq!(msgpack_as_json(&bytes), Some(value));
    }

    #[test]
    fn what_it_cannot_say_is_null_and_what_is_broken_is_nothing() {
        let nan = rmp_serde::to_vec(&f64::NAN).unwrap();
        assert_eq!(msgpack_as_json(&nan), Some(Value::Null));
        assert_eq!(msgpack_as_json(&[0xd4, 1, 2]), Some(Value::Null));
        assert_eq!(
            msgpack_as_json(&[0x81, 0x05, 0xc4, 1, 7]),
            Some(json!({"5": [7]}))
        );
        let deep = [vec![0x91; 100], vec![0x01]].concat();
        for broken in [
            &[][..],
            &[0x92, 1],
            &[0xa5, b'a'],
            &[1, 1],
            &[0xdd, 255, 255, 255, 255],
            &deep,
        ] {
            assert_eq!(msgpack_as_json(broken), None, "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = msgpack_as_json(&bytes);
        }
    }
}
