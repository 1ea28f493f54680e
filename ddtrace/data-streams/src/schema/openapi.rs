//! Descriptions of schemas in the words of OpenAPI 3.0, as JSON in the reference's spelling: a blank after `:` and `,`, what is not
//! ASCII escaped, absent keys left out. The id of a schema is a hash of this text.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Properties of one description; beyond it the rest is left out.
const MAX_PROPERTIES: usize = 1000;
/// Objects within objects that are followed.
const MAX_DEPTH: usize = 10;

/// What one field holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Property {
    kind: Option<Cow<'static, str>>,
    description: Option<Box<str>>,
    reference: Option<Box<str>>,
    format: Option<Cow<'static, str>>,
    values: Vec<Box<str>>,
    items: Option<Box<Property>>,
}

impl Property {
    /// A value of a type: `string`, `integer`, `number`, `boolean`, `object`, …
    pub fn of(kind: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: Some(kind.into()),
            ..Self::default()
        }
    }

    /// Another object of the same schema.
    pub fn object(name: &str) -> Self {
        Self::default().reference_to(name)
    }

    /// Any number of values.
    pub fn list(items: Self) -> Self {
        Self {
            items: Some(Box::new(items)),
            ..Self::of("array")
        }
    }

    /// The type more closely: `int32`, `byte`, …
    #[must_use]
    pub fn format(mut self, format: impl Into<Cow<'static, str>>) -> Self {
        self.format = Some(format.into());
        self
    }

    /// All values that there are.
    #[must_use]
    pub fn values<V: AsRef<str>>(mut self, values: impl IntoIterator<Item = V>) -> Self {
        self.values = values
            .into_iter()
            .map(|value| value.as_ref().into())
            .collect();
        self
    }

    /// What it means.
    #[must_use]
    pub fn description(mut self, text: &str) -> Self {
        self.description = Some(text.into());
        self
    }

    pub(super) fn reference_to(mut self, name: &str) -> Self {
        self.reference = Some(format!("#/components/schemas/{name}").into());
        self
    }

    /// A value whose type is not said, as the reference describes items of Avro's arrays.
    pub(super) fn only_format(format: impl Into<Cow<'static, str>>) -> Self {
        Self::default().format(format)
    }

    fn write(&self, json: &mut String) {
        json.push('{');
        let mut pause = "";
        let texts = [
            ("type", self.kind.as_deref()),
            ("description", self.description.as_deref()),
            ("$ref", self.reference.as_deref()),
            ("format", self.format.as_deref()),
        ];
        for (key, text) in texts {
            let Some(text) = text else { continue };
            json.push_str(pause);
            pair(json, key);
            write_text(json, text);
            pause = ", ";
        }
        if !self.values.is_empty() {
            json.push_str(pause);
            pair(json, "enum");
            json.push('[');
            for (at, value) in self.values.iter().enumerate() {
                json.push_str(if at == 0 { "" } else { ", " });
                write_text(json, value);
            }
            json.push(']');
            pause = ", ";
        }
        if let Some(items) = &self.items {
            json.push_str(pause);
            pair(json, "items");
            items.write(json);
        }
        json.push('}');
    }
}

/// What became of an object that is to be described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Its properties are added next.
    New,
    /// It is described already.
    Known,
    /// The description ends here.
    TooDeep,
}

/// A description in the making.
#[derive(Debug, Default)]
pub(super) struct Definition {
    objects: Vec<Object>,
    properties: usize,
}

#[derive(Debug)]
struct Object {
    name: Box<str>,
    properties: Vec<(Box<str>, Property)>,
}

impl Definition {
    /// Begins an object, so deep within others.
    pub(super) fn begin(&mut self, name: &str, depth: usize) -> Begin {
        if depth > MAX_DEPTH {
            return Begin::TooDeep;
        }
        if self.objects.iter().any(|object| &*object.name == name) {
            return Begin::Known;
        }
        self.objects.push(Object {
            name: name.into(),
            properties: Vec::new(),
        });
        Begin::New
    }

    /// Adds a property to an object that has begun. False if there are enough.
    pub(super) fn add(&mut self, object: &str, field: &str, property: Property) -> bool {
        if self.properties >= MAX_PROPERTIES {
            return false;
        }
        self.properties += 1;
        // Objects are mostly added to while they are the newest.
        let mut newest_first = self.objects.iter_mut().rev();
        if let Some(object) = newest_first.find(|known| &*known.name == object) {
            object.properties.push((field.into(), property));
        }
        true
    }

    pub(super) fn to_json(&self) -> String {
        let mut json = String::from(r#"{"openapi": "3.0.0", "components": {"schemas": {"#);
        for (at, object) in self.objects.iter().enumerate() {
            json.push_str(if at == 0 { "" } else { ", " });
            pair(&mut json, &object.name);
            json.push_str(r#"{"type": "object", "properties": {"#);
            for (at, (field, property)) in object.properties.iter().enumerate() {
                json.push_str(if at == 0 { "" } else { ", " });
                pair(&mut json, field);
                property.write(&mut json);
            }
            json.push_str("}}");
        }
        json.push_str("}}}");
        json
    }
}

/// A key, up to its value.
fn pair(json: &mut String, key: &str) {
    write_text(json, key);
    json.push_str(": ");
}

/// Text in quotes, ASCII only.
fn write_text(json: &mut String, text: &str) {
    json.push('"');
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'"') => json.push_str("\\\""),
            Ok(b'\\') => json.push_str("\\\\"),
            Ok(b'\n') => json.push_str("\\n"),
            Ok(b'\r') => json.push_str("\\r"),
            Ok(b'\t') => json.push_str("\\t"),
            Ok(0x08) => json.push_str("\\b"),
            Ok(0x0c) => json.push_str("\\f"),
            Ok(byte @ 0x20..=0x7f) => json.push(char::from(byte)),
            _ => {
                // Writing to a string does not fail.
                let _ = write!(json, "\\u{unit:04x}");
            }
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `json.dumps` of Python writes it.
    #[test]
    fn texts_are_escaped_as_by_the_reference() {
        let mut json = String::new();
        write_text(&mut json, "a\"\\\n\t\u{8}\u{c}\r\u{1}\u{7f}é☃😀/");
        let expected =
            r#""a\"\\\n\t\b\f\r\u0001"#.to_owned() + "\u{7f}" + r#"\u00e9\u2603\ud83d\ude00/""#;
        assert_eq!(json, expected);
    }

    #[test]
    fn keys_of_a_property_come_in_their_order() {
        let property = Property::of("t")
            .description("d")
            .reference_to("R")
            .format("f")
            .values(["v"]);
        let mut json = String::new();
        property.write(&mut json);
        let expected = r##"{"type": "t", "description": "d", "$ref": "#/components/schemas/R", "format": "f", "enum": ["v"]}"##;
        assert_eq!(json, expected);
    }

    #[test]
    fn descriptions_are_bounded() {
        let mut definition = Definition::default();
        let begun = [("A", 0), ("A", 0), ("B", MAX_DEPTH), ("C", MAX_DEPTH + 1)]
            .map(|(name, depth)| definition.begin(name, depth));
        assert_eq!(
            begun,
            [Begin::New, Begin::Known, Begin::New, Begin::TooDeep]
        );
        let added = (0..MAX_PROPERTIES + 5)
            .filter(|number| definition.add("A", &number.to_string(), Property::of("string")))
            .count();
        assert_eq!(added, MAX_PROPERTIES);
    }
}
