//! JSON values one after the other: a line each (Ollama), or as elements of one array that grows (Gemini without `alt=sse`).

use serde_json::Value;

/// The values of a body with the places where they ended, up to the first that is broken or not whole.
pub(crate) fn json_values(body: &[u8]) -> impl Iterator<Item = (Value, usize)> + '_ {
    let mut at = 0;
    let start = skip(body, 0, b"\xef\xbb\xbf \t\r\n");
    if body.get(start) == Some(&b'[') {
        at = start + 1;
    }
    std::iter::from_fn(move || {
        at = skip(body, at, b", \t\r\n");
        let mut values = serde_json::Deserializer::from_slice(&body[at..]).into_iter::<Value>();
        let value = values.next()?.ok()?;
        at += values.byte_offset();
        Some((value, at))
    })
}

fn skip(body: &[u8], from: usize, what: &[u8]) -> usize {
    let rest = &body[from..];
    from + rest
        .iter()
        .position(|byte| !what.contains(byte))
        .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_and_growing_arrays_read_the_same() {
        let cases: [(&str, Vec<Value>); 7] = [
            (
                "{\"a\":1}\n{\"a\":2}\n",
                vec![json!({"a": 1}), json!({"a": 2})],
            ),
            (
                "[{\"a\":1}\n,\r\n{\"a\":2}]",
                vec![json!({"a": 1}), json!({"a": 2})],
            ),
            ("[{\"a\":1}\n,{\"a\":", vec![json!({"a": 1})]),
            ("{\"a\":1}\nnonsense\n{\"a\":2}", vec![json!({"a": 1})]),
            ("", vec![]),
            ("[", vec![]),
            ("<html>", vec![]),
        ];
        for (body, expected) in cases {
            let read: Vec<Value> = json_values(body.as_bytes())
                .map(|(value, _)| value)
                .collect();
            assert_eq!(read, expected, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_to_its_end(body in proptest::collection::vec(any::<u8>(), 0..256)) {
            let mut last = 0;
            for (_, end) in json_values(&body) {
                prop_assert!(end > last && end <= body.len());
                last = end;
            }
        }
    }
}
