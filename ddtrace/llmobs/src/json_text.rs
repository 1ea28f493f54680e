//! JSON as text inside of JSON, and values made safe for it.
//!
//! Where a value has to be a text, the reference writes its JSON with sorted keys, `", "` and `": "`, and everything beyond ASCII
//! escaped. The same is written here, so that equal values give equal texts whichever language they come from, and whether or not
//! somebody in the program has switched on `serde_json`'s feature that keeps maps in the order of their insertion.

use std::io;

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// Containers nested as deep as this are replaced by their text.
const DEPTH: usize = 12;

/// A value as text: a text as it is, everything else as JSON.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => json_text(other),
    }
}

/// [`text_of`] for an owned value, which need not be copied if it is a text.
pub(crate) fn into_text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => json_text(&other),
    }
}

/// The JSON of a value.
pub(crate) fn json_text(value: &Value) -> String {
    let mut bytes = Vec::with_capacity(128);
    let mut serializer = Serializer::with_formatter(&mut bytes, Spaced);
    // Writing to a vector cannot fail, and keys are texts.
    let _ = Sorted(value).serialize(&mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

/// A value whose maps are written in the order of their keys.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            Value::Object(map) if map.keys().is_sorted() => {
                serializer.collect_map(map.iter().map(|(key, item)| (key, Sorted(item))))
            }
            Value::Object(map) => {
                let mut pairs: Vec<_> = map.iter().collect();
                pairs.sort_unstable_by_key(|(key, _)| *key);
                serializer.collect_map(pairs.into_iter().map(|(key, item)| (key, Sorted(item))))
            }
            leaf => leaf.serialize(serializer),
        }
    }
}

/// The value with every container that is nested too deep replaced by its text.
pub(crate) fn flattened(value: Value) -> Value {
    walk(value, 0)
}

fn walk(value: Value, depth: usize) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) if depth >= DEPTH => Value::String(json_text(&value)),
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| walk(item, depth + 1))
                .collect(),
        ),
        Value::Object(map) => {
            let walked = map
                .into_iter()
                .map(|(key, item)| (key, walk(item, depth + 1)));
            Value::Object(walked.collect())
        }
        leaf => leaf,
    }
}

struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        out.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        let mut plain = 0;
        for (at, char) in text.char_indices().filter(|(_, char)| !char.is_ascii()) {
            out.write_all(&text.as_bytes()[plain..at])?;
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            plain = at + char.len_utf8();
        }
        out.write_all(&text.as_bytes()[plain..])
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        match escape {
            CharEscape::Solidus => out.write_all(b"/"),
            other => serde_json::ser::CompactFormatter.write_char_escape(out, other),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_is_that_of_the_reference() {
        let cases = [
            (json!("é \"q\""), "é \"q\""),
            (
                json!({"b": 1, "a": [true, null, 1.5]}),
                r#"{"a": [true, null, 1.5], "b": 1}"#,
            ),
            (json!({"é": "😀\n"}), r#"{"\u00e9": "\ud83d\ude00\n"}"#),
            (json!({}), "{}"),
            (json!(0.2), "0.2"),
        ];
        for (value, text) in cases {
            assert_eq!(text_of(&value), text);
            assert_eq!(into_text(value), text);
        }
    }

    #[test]
    fn what_is_nested_twelve_deep_becomes_text() {
        let mut deep = json!({});
        for _ in 0..20 {
            deep = json!({ "k": deep });
        }
        let mut flat = &flattened(deep);
        let mut depth = 0;
        while let Some(inner) = flat.get("k") {
            flat = inner;
            depth += 1;
        }
        assert_eq!(depth, 12);
        assert_eq!(
            flat,
            &json!(format!("{}{{}}{}", r#"{"k": "#.repeat(8), "}".repeat(8)))
        );
    }
}
