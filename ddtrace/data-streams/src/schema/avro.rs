//! Records of Avro, by the JSON of their schemas (Avro 1.12, "Schema Declaration").
//!
//! The words are the reference's, also where others would do: numbers have no format, items of arrays have nothing else, and a
//! reference to a record drops its namespace. Anything else would give the same schema another id in another language.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value as Json;

use super::openapi::{Begin, Definition, Property};

/// The full name of a record, and its description.
pub(super) fn define(json: &str) -> Option<(String, Definition)> {
    let schema: Json = serde_json::from_str(json).ok()?;
    let mut reading = Reading::default();
    let name = reading.full_name(&schema, "");
    if schema["type"] != "record" || name.is_empty() {
        return None;
    }
    reading.record(&schema, "", 0);
    Some((name, reading.definition))
}

#[derive(Default)]
struct Reading {
    definition: Definition,
    /// What a type that was named before is: `record`, `enum` or `fixed`.
    named: HashMap<String, &'static str>,
}

impl Reading {
    /// False if the description is full.
    fn record(&mut self, schema: &Json, namespace: &str, depth: usize) -> bool {
        let name = self.full_name(schema, namespace);
        self.named.insert(name.clone(), "record");
        match self.definition.begin(&name, depth + 1) {
            Begin::New => {}
            Begin::Known => return true,
            Begin::TooDeep => return false,
        }
        let inner = name.rsplit_once('.').map_or("", |(namespace, _)| namespace);
        let fields = schema["fields"].as_array();
        fields.into_iter().flatten().all(|field| {
            let Some(field_name) = field["name"].as_str() else {
                return true;
            };
            let Some(property) = self.property(&field["type"], inner, depth) else {
                return false;
            };
            self.definition.add(&name, field_name, property)
        })
    }

    fn property(&mut self, schema: &Json, namespace: &str, depth: usize) -> Option<Property> {
        if let Json::Array(branches) = schema {
            let mut words = Vec::new();
            for branch in branches {
                let kind = self.kind(branch, namespace);
                if kind == "record" && branch.is_object() {
                    // Its description is not the reference's, but later fields may name it.
                    self.named
                        .insert(self.full_name(branch, namespace), "record");
                }
                words.push(word(&kind));
            }
            let union = format!("union[{}]", words.join(","));
            return Some(Property::of(union));
        }
        let kind = self.kind(schema, namespace);
        Some(match &*kind {
            "array" => {
                let items = self.kind(&schema["items"], namespace);
                Property::list(Property::only_format(items.into_owned()))
            }
            "record" => {
                if schema.is_object() && !self.record(schema, namespace, depth + 2) {
                    return None;
                }
                let name = match schema {
                    Json::String(name) => name.as_str(),
                    schema => schema["name"].as_str().unwrap_or_default(),
                };
                let short = name.rsplit('.').next().unwrap_or_default();
                Property::of("object").reference_to(short)
            }
            "enum" | "fixed" => {
                if schema.is_object() {
                    let kind = if kind == "enum" { "enum" } else { "fixed" };
                    self.named.insert(self.full_name(schema, namespace), kind);
                }
                Property::of("string")
            }
            kind => Property::of(word(kind)),
        })
    }

    /// What a schema is called that is no union: a primitive type, or one that it names.
    fn kind<'a>(&self, schema: &'a Json, namespace: &str) -> Cow<'a, str> {
        match schema {
            Json::String(name) => {
                let full = qualified(name, namespace);
                match self.named.get(&full).or_else(|| self.named.get(name)) {
                    Some(kind) => Cow::Borrowed(*kind),
                    None => Cow::Borrowed(name),
                }
            }
            Json::Array(_) => Cow::Borrowed("union"),
            schema => match &schema["type"] {
                Json::String(kind) => Cow::Borrowed(kind),
                // `{"type": {"type": …}}` is allowed.
                inner if inner.is_object() => Cow::Owned(self.kind(inner, namespace).into_owned()),
                _ => Cow::Borrowed(""),
            },
        }
    }

    fn full_name(&self, schema: &Json, namespace: &str) -> String {
        let name = schema["name"].as_str().unwrap_or_default();
        qualified(name, schema["namespace"].as_str().unwrap_or(namespace))
    }
}

fn qualified(name: &str, namespace: &str) -> String {
    if namespace.is_empty() || name.contains('.') || name.is_empty() {
        return name.to_owned();
    }
    format!("{namespace}.{name}")
}

/// A type of Avro in the words of OpenAPI.
fn word(kind: &str) -> &'static str {
    match kind {
        "int" | "long" => "integer",
        "float" | "double" => "number",
        "boolean" => "boolean",
        "null" => "null",
        "array" => "array",
        "record" | "map" => "object",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schema::Schema;

    /// What dd-trace-py 4.16.0 says of a record with every type, read by avro 1.12.
    #[test]
    fn a_record_is_described_as_by_the_reference() {
        const SCHEMA: &str = r#"{"type": "record", "name": "User", "namespace": "shop", "fields": [{"name": "name", "type": "string"}, {"name": "age", "type": "int"}, {"name": "id", "type": "long"}, {"name": "score", "type": "float"}, {"name": "ratio", "type": "double"}, {"name": "raw", "type": "bytes"}, {"name": "ok", "type": "boolean"}, {"name": "nothing", "type": "null"}, {"name": "nick", "type": ["null", "string"]}, {"name": "suit", "type": {"type": "enum", "name": "Suit", "symbols": ["A", "B"]}}, {"name": "hash", "type": {"type": "fixed", "name": "H", "size": 4}}, {"name": "tags", "type": {"type": "map", "values": "string"}}, {"name": "address", "type": {"type": "record", "name": "Address", "fields": [{"name": "street", "type": "string"}, {"name": "n", "type": "int"}]}}]}"#;
        const DEFINITION: &str = r##"{"openapi": "3.0.0", "components": {"schemas": {"shop.User": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "id": {"type": "integer"}, "score": {"type": "number"}, "ratio": {"type": "number"}, "raw": {"type": "string"}, "ok": {"type": "boolean"}, "nothing": {"type": "null"}, "nick": {"type": "union[null,string]"}, "suit": {"type": "string"}, "hash": {"type": "string"}, "tags": {"type": "object"}, "address": {"type": "object", "$ref": "#/components/schemas/Address"}}}, "shop.Address": {"type": "object", "properties": {"street": {"type": "string"}, "n": {"type": "integer"}}}}}}"##;
        let schema = Schema::avro(SCHEMA).unwrap();
        assert_eq!(schema.definition(), DEFINITION);
        assert_eq!(schema.id(), "17584941405193417452");

        let list = r#"{"type": "record", "name": "L", "fields": [{"name": "xs", "type": {"type": "array", "items": "string"}}]}"#;
        let expected = r#"{"openapi": "3.0.0", "components": {"schemas": {"L": {"type": "object", "properties": {"xs": {"type": "array", "items": {"format": "string"}}}}}}}"#;
        assert_eq!(Schema::avro(list).unwrap().definition(), expected);
    }

    #[test]
    fn types_that_were_named_before_are_known_and_records_that_hold_themselves_end() {
        let schema = r#"{"type": "record", "name": "a.Node", "fields": [
            {"name": "suit", "type": {"type": "enum", "name": "Suit", "symbols": []}},
            {"name": "again", "type": "Suit"},
            {"name": "next", "type": "Node"},
            {"name": "maybe", "type": ["null", "Node"]}]}"#;
        let expected = r##"{"openapi": "3.0.0", "components": {"schemas": {"a.Node": {"type": "object", "properties": {"suit": {"type": "string"}, "again": {"type": "string"}, "next": {"type": "object", "$ref": "#/components/schemas/Node"}, "maybe": {"type": "union[null,object]"}}}}}}"##;
        assert_eq!(Schema::avro(schema).unwrap().definition(), expected);
    }

    #[test]
    fn what_is_no_record_has_no_description() {
        for schema in [
            "",
            "[]",
            r#""string""#,
            r#"{"type": "record"}"#,
            r#"{"type": "enum", "name": "E"}"#,
        ] {
            assert!(Schema::avro(schema).is_none(), "{schema}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in r#"[\{\}\[\]":,a-z]{0,64}"#) {
            let _ = define(&text);
        }
    }
}
