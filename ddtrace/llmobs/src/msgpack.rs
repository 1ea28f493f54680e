//! JSON values as msgpack, for structured data of spans.

use rmp::encode;
use serde_json::{Map, Value};

/// A map as msgpack.
pub(crate) fn encode(map: &Map<String, Value>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(1024);
    write_map(&mut bytes, map);
    bytes
}

fn write(bytes: &mut Vec<u8>, value: &Value) {
    // Writing to a vector cannot fail.
    let _ = match value {
        Value::Null => encode::write_nil(bytes).is_ok(),
        Value::Bool(flag) => encode::write_bool(bytes, *flag).is_ok(),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => encode::write_uint(bytes, number).is_ok(),
            (_, Some(number), _) => encode::write_sint(bytes, number).is_ok(),
            (_, _, number) => encode::write_f64(bytes, number.unwrap_or_default()).is_ok(),
        },
        Value::String(text) => encode::write_str(bytes, text).is_ok(),
        Value::Array(items) => {
            let length = u32::try_from(items.len()).unwrap_or(u32::MAX);
            let _ = encode::write_array_len(bytes, length);
            items.iter().for_each(|item| write(bytes, item));
            true
        }
        Value::Object(map) => {
            write_map(bytes, map);
            true
        }
    };
}

fn write_map(bytes: &mut Vec<u8>, map: &Map<String, Value>) {
    let _ = encode::write_map_len(bytes, u32::try_from(map.len()).unwrap_or(u32::MAX));
    for (key, value) in map {
        let _ = encode::write_str(bytes, key);
        write(bytes, value);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_back_as_it_was() {
        let value = json!({
            "null": null, "flag": false, "numbers": [0, -1, 300, u64::MAX, i64::MIN, 0.25], "text": "é".repeat(40), "map": {},
        });
        let bytes = encode(value.as_object().unwrap());
        assert_eq!(rmp_serde::from_slice::<Value>(&bytes).unwrap(), value);
    }
}
