//! Lists and objects of bounded length.
//!
//! An entry can be a few bytes in JSON and a hundred times that in memory, so what is read is counted while it is read.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// A list of at most `N` entries; a longer one is an error.
#[derive(Debug)]
pub(super) struct Capped<T, const N: usize>(pub(super) Vec<T>);

/// An object of at most `N` entries; a larger one is an error.
#[derive(Debug)]
pub(super) struct CappedMap<T, const N: usize>(pub(super) BTreeMap<String, T>);

impl<T, const N: usize> Default for Capped<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const N: usize> Default for CappedMap<T, N> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for Capped<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T, const N: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Entries<T, N> {
            type Value = Capped<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of at most {N} entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = entries.next_element()? {
                    if all.len() == N {
                        return Err(A::Error::invalid_length(N + 1, &self));
                    }
                    all.push(entry);
                }
                Ok(Capped(all))
            }
        }

        deserializer.deserialize_seq(Entries(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for CappedMap<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T, const N: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Entries<T, N> {
            type Value = CappedMap<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "an object of at most {N} entries")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut all = BTreeMap::new();
                let mut count = 0;
                while let Some((key, value)) = entries.next_entry()? {
                    if count == N {
                        return Err(A::Error::invalid_length(N + 1, &self));
                    }
                    count += 1;
                    all.insert(key, value);
                }
                Ok(CappedMap(all))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_too_many_is_an_error() {
        let list = serde_json::from_str::<Capped<u8, 2>>("[1, 2]");
        assert_eq!(list.unwrap().0, [1, 2]);
        let list = serde_json::from_str::<Capped<u8, 2>>("[1, 2, 3]");
        let message = list.unwrap_err().to_string();
        assert!(message.contains("a list of at most 2 entries"), "{message}");

        let object = serde_json::from_str::<CappedMap<u8, 2>>(r#"{"a": 1, "b": 2}"#);
        assert_eq!(object.unwrap().0.len(), 2);
        // Also if it says the same thing again and again.
        let object = serde_json::from_str::<CappedMap<u8, 2>>(r#"{"a": 1, "a": 2, "a": 3}"#);
        let message = object.unwrap_err().to_string();
        assert!(
            message.contains("an object of at most 2 entries"),
            "{message}"
        );
    }
}
