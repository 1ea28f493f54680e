//! What kind of test binary this is.
//!
//! A program that is no libtest binary may do anything when it is started, so nothing is ever asked of it; its manifest and
//! its bytes decide. The name of the variable that libtest reads stands in every libtest binary; a
//! program may of course mention it, too, so the manifest has the first word.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How a test binary is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Harness {
    /// The standard library's.
    Libtest,
    /// One that understands the same arguments.
    LibtestLike,
    /// Anything else: run once, as it is.
    Foreign,
}

/// What the manifest says of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Declared {
    /// `harness = false`
    pub no_harness: bool,
    /// `[package.metadata.ddtrace.test.<target>] harness = "libtest-like"`
    pub libtest_like: bool,
}

impl Harness {
    /// Decides by the manifest and by the bytes of the binary.
    pub(crate) fn of(binary: &Path, declared: Declared) -> Harness {
        if declared.libtest_like {
            return Harness::LibtestLike;
        }
        let [libtest, mimic] = contains(binary, [b"RUST_TEST_THREADS", b"libtest_mimic"]);
        match (declared.no_harness, libtest, mimic) {
            (false, true, _) => Harness::Libtest,
            (_, _, true) => Harness::LibtestLike,
            _ => Harness::Foreign,
        }
    }
}

/// Which of the words stand in a file.
fn contains<const N: usize>(path: &Path, words: [&[u8]; N]) -> [bool; N] {
    let mut found = [false; N];
    let Ok(mut file) = File::open(path) else {
        return found;
    };
    let overlap = words.iter().map(|word| word.len()).max().unwrap_or(0);
    let mut buffer = vec![0; 1 << 20];
    let mut kept = 0;
    loop {
        let read = match file.read(&mut buffer[kept..]) {
            Ok(0) | Err(_) => return found,
            Ok(read) => read,
        };
        let filled = kept + read;
        for (word, found) in words.iter().zip(&mut found) {
            *found = *found || has(&buffer[..filled], word);
        }
        if found.iter().all(|found| *found) {
            return found;
        }
        kept = overlap.min(filled);
        buffer.copy_within(filled - kept..filled, 0);
    }
}

fn has(bytes: &[u8], word: &[u8]) -> bool {
    let mut rest = bytes;
    // The first byte is looked for by itself, which the compiler turns into wide comparisons.
    while let Some(at) = rest.iter().position(|byte| *byte == word[0]) {
        rest = &rest[at..];
        if rest.starts_with(word) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_binary_is_libtests_unless_its_manifest_says_no() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(Harness::of(&own, Declared::default()), Harness::Libtest);
        let shell = Path::new("/bin/sh");
        assert_eq!(Harness::of(shell, Declared::default()), Harness::Foreign);
        let like = Declared {
            libtest_like: true,
            ..Declared::default()
        };
        assert_eq!(Harness::of(shell, like), Harness::LibtestLike);
    }

    #[test]
    fn words_are_found_over_the_borders_of_reads() {
        let folder = tempfile::tempdir().unwrap();
        for before in [0, (1 << 20) - 3, (1 << 20) - 17, 1 << 20, (2 << 20) - 24] {
            let path = folder.path().join("binary");
            let mut bytes = vec![b'R'; before];
            bytes.extend_from_slice(b"RUST_TEST_THREADS");
            bytes.extend_from_slice(&[0; 100]);
            std::fs::write(&path, &bytes).unwrap();
            assert_eq!(
                contains(&path, [b"RUST_TEST_THREADS", b"absent"]),
                [true, false],
                "{before}"
            );
        }
    }
}
