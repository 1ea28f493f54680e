//! Transactions: which of the user's own ids passed which of the user's own checkpoints, and when.
//!
//! Unlike pathways nothing is added up: every passage is a record of a few bytes. Source: dd-trace-go, PR 4468; dd-trace-java,
//! PR 9899.

use std::collections::HashMap;

use crate::time::Nanoseconds;

/// Bytes of records in one bucket from which on it is sent early.
const HEAVY: usize = 512 << 10;
/// Bytes of records for one stretch of time, those included that were sent early.
const MAX_BYTES: usize = 2_300_000;
/// An id or a name is cut here: its length takes one byte.
const MAX_TEXT: usize = 255;

/// One passage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    pub(crate) id: Box<str>,
    pub(crate) checkpoint: Box<str>,
    pub(crate) at: Nanoseconds,
}

/// Numbers of checkpoints: 1 to 254 in the order of their first use.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: HashMap<Box<str>, u8>,
    /// `[number u8][length u8][name]` for every name.
    blob: Vec<u8>,
    /// Whether there were more names than numbers.
    pub(crate) are_too_many: bool,
}

impl Names {
    fn number(&mut self, name: &str) -> Option<u8> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        let number = match u8::try_from(self.numbers.len() + 1) {
            Ok(number) if number < u8::MAX => number,
            _ => {
                self.are_too_many = true;
                return None;
            }
        };
        self.numbers.insert(name.into(), number);
        self.blob.push(number);
        put_text(&mut self.blob, name);
        Some(number)
    }

    /// All names with their numbers, for the payload.
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }
}

/// Passages one behind the other: `[number u8][nanoseconds i64, big endian][length u8][id]`.
#[derive(Debug, Default)]
pub(crate) struct Records {
    bytes: Vec<u8>,
    /// Bytes for the same stretch of time that were sent before.
    sent: usize,
}

impl Records {
    /// False if there is no room, or no number for the checkpoint.
    pub(crate) fn add(&mut self, transaction: &Transaction, names: &mut Names) -> bool {
        if self.total() + 10 + transaction.id.len().min(MAX_TEXT) > MAX_BYTES {
            return false;
        }
        let Some(number) = names.number(&transaction.checkpoint) else {
            return false;
        };
        self.bytes.push(number);
        self.bytes.extend(transaction.at.get().to_be_bytes());
        put_text(&mut self.bytes, &transaction.id);
        true
    }

    /// Goes on where others for the same stretch of time have ended.
    pub(crate) fn after(sent: usize) -> Self {
        Self {
            bytes: Vec::new(),
            sent,
        }
    }

    /// Bytes for this stretch of time, those included that were sent before.
    pub(crate) fn total(&self) -> usize {
        self.sent + self.bytes.len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn is_heavy(&self) -> bool {
        self.bytes.len() >= HEAVY
    }
}

/// A length in one byte and that many bytes.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let text = &text.as_bytes()[..text.len().min(MAX_TEXT)];
    bytes.push(text.len() as u8);
    bytes.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passage(id: &str, checkpoint: &str) -> Transaction {
        Transaction {
            id: id.into(),
            checkpoint: checkpoint.into(),
            at: Nanoseconds::new(1_700_000_000_000_000_000),
        }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Vectors of §15.7.
    #[test]
    fn records_and_names_are_those_of_the_other_tracers() {
        let (mut records, mut names) = (Records::default(), Names::default());
        assert!(records.add(&passage("tx-1", "a"), &mut names));
        assert_eq!(hex(records.as_slice()), "0117979cfe362a00000474782d31");
        assert!(records.add(&passage("tx-2", "bc"), &mut names));
        assert!(records.add(&passage("tx-3", "a"), &mut names));
        assert_eq!(hex(names.blob()), "01016102026263");
    }

    #[test]
    fn long_ids_are_cut_and_the_bucket_is_bounded() {
        let (mut records, mut names) = (Records::default(), Names::default());
        let long = "x".repeat(300);
        assert!(records.add(&passage(&long, "a"), &mut names));
        assert_eq!(records.as_slice().len(), 10 + 255);
        let mut taken = 1;
        while records.add(&passage(&long, "a"), &mut names) {
            taken += 1;
        }
        assert_eq!(taken, MAX_BYTES / 265);
        assert!(records.is_heavy());
    }

    #[test]
    fn there_are_254_names() {
        let (mut records, mut names) = (Records::default(), Names::default());
        for number in 0..254 {
            assert!(records.add(&passage("t", &number.to_string()), &mut names));
        }
        assert!(!names.are_too_many);
        assert!(!records.add(&passage("t", "one more"), &mut names));
        assert!(names.are_too_many && records.add(&passage("t", "0"), &mut names));
    }
}
