//! A table of texts that are kept once.
//!
//! The bytes of all texts stand one after the other in one buffer, so a text costs its length and twelve bytes, and a search
//! over all of them walks memory in order. The hasher is the standard keyed one: texts come from outside, and one without
//! a key fell to a fifth of the speed on values that differ in their last digits.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

use hashbrown::HashTable;

/// The texts of one segment. Number 0 is the empty text.
#[derive(Debug)]
pub struct Strings {
    bytes: String,
    ends: Vec<u32>,
    table: HashTable<u32>,
    hasher: RandomState,
}

impl Default for Strings {
    fn default() -> Self {
        let mut strings = Strings {
            bytes: String::new(),
            ends: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::new(),
        };
        strings.intern("");
        strings
    }
}

impl Strings {
    /// The number of a text, which is kept if it is new.
    pub fn intern(&mut self, text: &str) -> u32 {
        let hash = self.hasher.hash_one(text);
        let (bytes, ends) = (&self.bytes, &self.ends);
        if let Some(found) = self
            .table
            .find(hash, |number| slice(bytes, ends, *number) == text)
        {
            return *found;
        }
        let number = self.ends.len() as u32;
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len() as u32);
        let (bytes, ends, hasher) = (&self.bytes, &self.ends, &self.hasher);
        self.table.insert_unique(hash, number, |number| {
            hasher.hash_one(slice(bytes, ends, *number))
        });
        number
    }

    /// The text of a number that this table gave.
    pub fn get(&self, number: u32) -> &str {
        slice(&self.bytes, &self.ends, number)
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never: number 0 is always there.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// All texts in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len() as u32).map(|number| self.get(number))
    }

    /// The bytes of all texts together.
    pub fn text_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * 4 + self.table.capacity() * 5
    }

    /// Gives back what only [`Strings::intern`] needs. Nothing may be added afterwards.
    pub fn seal(&mut self) {
        self.table = HashTable::new();
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

fn slice<'s>(bytes: &'s str, ends: &[u32], number: u32) -> &'s str {
    let number = number as usize;
    let begin = if number == 0 {
        0
    } else {
        ends[number - 1] as usize
    };
    &bytes[begin..ends[number] as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once() {
        let mut strings = Strings::default();
        let (a, b) = (strings.intern("a"), strings.intern("äb"));
        assert_eq!(
            (
                strings.intern("a"),
                strings.intern("äb"),
                strings.intern("")
            ),
            (a, b, 0)
        );
        assert_eq!(
            (strings.get(a), strings.get(b), strings.get(0)),
            ("a", "äb", "")
        );
        strings.seal();
        assert_eq!(strings.iter().collect::<Vec<_>>(), ["", "a", "äb"]);
    }
}
