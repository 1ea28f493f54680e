//! Output that passes through, and what is kept of it.
//!
//! libtest's standard output is passed on byte for byte as it comes. Two things are taken out of the stream on the way:
//! the last line (`test result: …`), which is held back until it is certain that it is the last, because it may have to be
//! replaced; and the blocks `---- NAME stdout ----`, of which a bounded part is remembered to say why a test failed.

use std::collections::{HashMap, HashSet};

/// Bytes with a beginning and an end; what lies between is dropped and counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bounded {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    dropped: u64,
}

impl Bounded {
    /// Bytes of the beginning.
    const HEAD: usize = 64 << 10;
    /// Bytes of the end.
    const TAIL: usize = 192 << 10;

    /// Appends.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = Self::HEAD - self.head.len();
        let (head, rest) = bytes.split_at(room.min(bytes.len()));
        self.head.extend_from_slice(head);
        let skipped = rest.len().saturating_sub(Self::TAIL);
        self.tail.extend(&rest[skipped..]);
        let over = self.tail.len().saturating_sub(Self::TAIL);
        self.tail.drain(..over);
        self.dropped += (skipped + over) as u64;
    }

    /// What is kept, with a line in the place of what is not.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut all = self.head.clone();
        if self.dropped > 0 {
            all.extend_from_slice(format!("\n[{} bytes left out]\n", self.dropped).as_bytes());
        }
        let (front, back) = self.tail.as_slices();
        all.extend_from_slice(front);
        all.extend_from_slice(back);
        all
    }
}

/// How the last line begins.
const RESULT: &[u8] = b"test result: ";
/// The longest line that can be a header or a result.
const LINE: usize = 16 << 10;
/// Blocks that are remembered.
const BLOCKS: usize = 1000;

/// Passes standard output on and remembers the blocks of failed tests.
#[derive(Debug, Default)]
pub(crate) struct Forwarder {
    names: HashSet<String>,
    /// What may be the last line, and the empty lines behind it.
    held: Vec<u8>,
    /// The line that has begun, as far as it is needed to recognise it.
    line: Vec<u8>,
    is_line_start: bool,
    blocks: HashMap<String, Bounded>,
    open: Option<String>,
}

impl Forwarder {
    /// For the output of these tests.
    pub(crate) fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Forwarder {
        Forwarder {
            names: names.into_iter().map(str::to_owned).collect(),
            is_line_start: true,
            ..Forwarder::default()
        }
    }

    /// Makes another test known.
    pub(crate) fn know(&mut self, name: &str) {
        self.names.insert(name.to_owned());
    }

    /// Takes bytes in and appends what may be passed on to `out`.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            let end = bytes
                .iter()
                .position(|byte| *byte == b'\n')
                .map_or(bytes.len(), |at| at + 1);
            let (piece, rest) = bytes.split_at(end);
            self.pass(piece, out);
            self.read(piece);
            self.is_line_start = piece.ends_with(b"\n");
            bytes = rest;
        }
    }

    fn pass(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let is_whole = self.held.ends_with(b"\n");
        if is_whole {
            if piece == b"\n" && self.held.len() < LINE {
                self.held.push(b'\n');
                return;
            }
            // Something follows: it was not the last line.
            out.append(&mut self.held);
        }
        if self.held.is_empty() && !self.is_line_start {
            out.extend_from_slice(piece);
            return;
        }
        self.held.extend_from_slice(piece);
        let known = self.held.len().min(RESULT.len());
        if self.held[..known] != RESULT[..known]
            || self.held.len() > LINE
            || (known < RESULT.len() && self.held.ends_with(b"\n"))
        {
            out.append(&mut self.held);
        }
    }

    fn read(&mut self, piece: &[u8]) {
        if let Some(open) = &self.open
            && let Some(block) = self.blocks.get_mut(open)
        {
            block.push(piece);
        }
        let room = LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&piece[..room.min(piece.len())]);
        if !piece.ends_with(b"\n") {
            return;
        }
        let line = std::mem::take(&mut self.line);
        let name = line
            .strip_prefix(b"---- ")
            .and_then(|rest| {
                rest.strip_suffix(b" stdout ----\n")
                    .or_else(|| rest.strip_suffix(b" ----\n"))
            })
            .and_then(|name| std::str::from_utf8(name).ok());
        if let Some(name) = name
            && self.names.contains(name)
        {
            // The header was taken for a line of the block before.
            if let Some(open) = self.open.take()
                && let Some(block) = self.blocks.get_mut(&open)
            {
                block.forget_last(line.len());
            }
            if self.blocks.len() < BLOCKS || self.blocks.contains_key(name) {
                self.blocks.insert(name.to_owned(), Bounded::default());
                self.open = Some(name.to_owned());
            }
        }
    }

    /// Ends the stream: what was held back.
    pub(crate) fn last_line(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// What libtest printed of a test.
    pub(crate) fn block(&self, name: &str) -> Vec<u8> {
        let Some(block) = self.blocks.get(name) else {
            return Vec::new();
        };
        let bytes = block.bytes();
        // The list of failures follows the last block.
        let end = b"\n\nfailures:\n    ";
        let is_last = self.open.as_deref() == Some(name);
        let at = is_last
            .then(|| bytes.windows(end.len()).rposition(|window| window == end))
            .flatten();
        bytes[..at.unwrap_or(bytes.len())].to_vec()
    }
}

impl Bounded {
    fn forget_last(&mut self, bytes: usize) {
        let from_tail = bytes.min(self.tail.len());
        self.tail.truncate(self.tail.len() - from_tail);
        let from_head = (bytes - from_tail).min(self.head.len());
        self.head.truncate(self.head.len() - from_head);
    }
}

/// The number of tests that libtest's last line says were filtered out.
pub(crate) fn filtered_out(line: &[u8]) -> Option<usize> {
    let line = String::from_utf8_lossy(line);
    let (before, _) = line.split_once(" filtered out")?;
    before.rsplit([' ', ';']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn through(chunks: &[&[u8]]) -> (String, String) {
        let mut forwarder = Forwarder::new(["a"]);
        let mut out = Vec::new();
        for chunk in chunks {
            forwarder.feed(chunk, &mut out);
        }
        (
            String::from_utf8(out).unwrap(),
            String::from_utf8(forwarder.last_line()).unwrap(),
        )
    }

    #[test]
    fn only_the_last_line_is_held_back() {
        let all = b"\nrunning 1 test\ntest result: fake\nmore\ntest a ... ok\n\ntest result: ok. 1 passed\n\n";
        let (passed, held) = through(&[all]);
        assert_eq!(held, "test result: ok. 1 passed\n\n");
        assert!(
            passed.ends_with("test a ... ok\n\n") && passed.contains("test result: fake\nmore")
        );
        assert_eq!(through(&[b"test a ... test result: x\n"]).1, "");
        assert_eq!(
            through(&[b"test re", b"cord\n"]),
            ("test record\n".to_owned(), String::new())
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_however_the_bytes_are_cut(
            lines in prop::collection::vec(prop::sample::select(vec!["test result: ok\n", "\n", "test res\n", "x", "---- a stdout ----\n"]), 0..12),
            cut in 1_usize..7,
        ) {
            let all = lines.concat();
            let mut forwarder = Forwarder::new(["a"]);
            let mut out = Vec::new();
            for chunk in all.as_bytes().chunks(cut) {
                forwarder.feed(chunk, &mut out);
            }
            out.extend(forwarder.last_line());
            prop_assert_eq!(String::from_utf8(out).unwrap(), all);
        }

        #[test]
        fn a_beginning_and_an_end_are_kept(chunks in prop::collection::vec((any::<u8>(), 1_usize..200_000), 0..6)) {
            let mut bounded = Bounded::default();
            let mut all = Vec::new();
            for (byte, length) in chunks {
                let chunk = vec![byte; length];
                bounded.push(&chunk);
                all.extend(chunk);
            }
            let kept = bounded.bytes();
            prop_assert!(kept.len() <= Bounded::HEAD + Bounded::TAIL + 64);
            prop_assert!(kept.starts_with(&all[..all.len().min(Bounded::HEAD)]));
            prop_assert!(kept.ends_with(&all[all.len().saturating_sub(Bounded::TAIL)..]) || all.len() <= kept.len());
        }
    }

    #[test]
    fn blocks_of_failed_tests_are_remembered() {
        let mut forwarder = Forwarder::new(["a", "m::b"]);
        let mut out = Vec::new();
        forwarder.feed(
            b"\nfailures:\n\n---- a stdout ----\none\n---- x stdout ----\ntwo\n---- m::b stdout ----\nthree\n\n\nfailures:\n    a\n    m::b\n\ntest result: FAILED.\n\n",
            &mut out,
        );
        assert_eq!(forwarder.block("a"), b"one\n---- x stdout ----\ntwo\n");
        assert_eq!(forwarder.block("m::b"), b"three\n");
        assert_eq!(forwarder.block("none"), b"");
    }

    #[test]
    fn the_number_of_filtered_tests_is_read_from_the_last_line() {
        let line = b"test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 17 filtered out; finished in 0.00s\n";
        assert_eq!(filtered_out(line), Some(17));
        assert_eq!(filtered_out(b"test result: ok"), None);
    }
}
