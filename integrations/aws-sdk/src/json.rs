//! Objects of JSON whose members stay as they were written, unless they are replaced.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// The members of an object, in order.
#[derive(Default)]
pub(crate) struct Members<'a>(Vec<(String, Cow<'a, RawValue>)>);

impl<'a> Members<'a> {
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let member = self.0.iter().find(|(key, _)| key == name);
        member.map(|(_, value)| value.get())
    }

    /// A member that is a string.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// A member that is an object.
    pub(crate) fn members(&self, name: &str) -> Option<Members<'_>> {
        Members::parse(self.get(name)?.as_bytes())
    }

    /// A member that is a list, of objects or of anything else.
    pub(crate) fn list<'b, T: Deserialize<'b>>(&'b self, name: &str) -> Option<Vec<T>> {
        serde_json::from_str(self.get(name)?).ok()
    }

    /// Sets a member, where it is or at the end.
    pub(crate) fn set(&mut self, name: &str, value: &impl Serialize) -> Option<()> {
        let value = Cow::Owned(to_raw_value(value).ok()?);
        match self.0.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
        Some(())
    }

    pub(crate) fn to_text(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;

        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    members.push((name, Cow::Borrowed(value)));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Read)
    }
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Bytes of a value as Data Streams counts them: of texts, and of keys and values of objects.
pub(crate) fn size(value: &serde_json::Value) -> u64 {
    match value {
        serde_json::Value::String(text) => text.len() as u64,
        serde_json::Value::Object(members) => members
            .iter()
            .map(|(key, value)| key.len() as u64 + size(value))
            .sum(),
        _ => 0,
    }
}

/// The same of a member, by its name.
pub(crate) fn size_of(members: &Members<'_>, name: &str) -> u64 {
    let value = members
        .get(name)
        .and_then(|value| serde_json::from_str(value).ok());
    value.as_ref().map_or(0, size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn objects_come_out_as_they_went_in(members in proptest::collection::btree_map(".*", ".*", 0..5), bytes: Vec<u8>) {
            let text = serde_json::to_string(&members).unwrap();
            let read = Members::parse(text.as_bytes()).unwrap();
            prop_assert_eq!(read.to_text().unwrap(), text);
            let _ = Members::parse(&bytes);
        }
    }

    #[test]
    fn what_is_not_replaced_stays_as_it_was_written() {
        let text = r#"{"b" : 1.50e3,"a":{"x":[1, 2,null]},"c\u00e9":"\u0041"}"#;
        let mut members = Members::parse(text.as_bytes()).unwrap();
        members.set("_datadog", &"x").unwrap();
        let expected = r#"{"b":1.50e3,"a":{"x":[1, 2,null]},"cé":"\u0041","_datadog":"x"}"#;
        assert_eq!(members.to_text().unwrap(), expected);
        members.set("a", &7).unwrap();
        assert_eq!(members.get("a"), Some("7"));
        assert_eq!(members.text("cé").as_deref(), Some("A"));
        for broken in ["", "[]", "{", "7", "{\"a\":}"] {
            assert!(Members::parse(broken.as_bytes()).is_none(), "{broken}");
        }
    }

    #[test]
    fn sizes_are_those_of_texts_and_keys() {
        let value = serde_json::json!({"a": "bcd", "e": {"f": "gé"}, "h": 12345, "i": ["x"]});
        assert_eq!(size(&value), 1 + 3 + 1 + 1 + 3 + 1 + 1);
    }
}
