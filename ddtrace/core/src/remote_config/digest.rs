//! Hashes of remote files.
//!
//! The agent has checked the signatures; the hash says that a file is the one that the signed list names.

use sha2::{Digest as _, Sha256, Sha512};

/// The hash that a file must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileHash {
    algorithm: Algorithm,
    /// In lower-case hexadecimal.
    hex: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha512,
}

impl FileHash {
    /// The hash to check of those that a target lists: SHA-256, or SHA-512 where that is all there is.
    pub(super) fn choose<'a>(
        hashes: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Option<Self> {
        let find = |name: &str, algorithm: Algorithm| {
            let mut named = hashes.clone();
            let (_, hex) = named.find(|(found, _)| *found == name)?;
            Some(Self {
                algorithm,
                hex: hex.to_ascii_lowercase(),
            })
        };
        find("sha256", Algorithm::Sha256).or_else(|| find("sha512", Algorithm::Sha512))
    }

    /// The name of the algorithm in the protocol.
    pub(super) const fn algorithm(&self) -> &'static str {
        match self.algorithm {
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// The hash in lower-case hexadecimal.
    pub(super) fn hex(&self) -> &str {
        &self.hex
    }

    /// The SHA-256 of bytes.
    pub(super) fn sha256(bytes: &[u8]) -> Self {
        Self {
            algorithm: Algorithm::Sha256,
            hex: hex(&Sha256::digest(bytes)),
        }
    }

    /// Whether the bytes have this hash.
    pub(super) fn fits(&self, bytes: &[u8]) -> bool {
        let hex = match self.algorithm {
            Algorithm::Sha256 => hex(&Sha256::digest(bytes)),
            Algorithm::Sha512 => hex(&Sha512::digest(bytes)),
        };
        hex == self.hex
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes of `abc` in FIPS 180-4's examples.
    const SHA256: &str = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD";
    const SHA512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                          2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

    #[test]
    fn the_stronger_hash_counts_only_without_the_usual_one() {
        for (hashes, algorithm) in [
            (&[("sha512", "00"), ("sha256", SHA256)][..], "sha256"),
            (&[("sha512", SHA512), ("md5", "00")], "sha512"),
        ] {
            let hash = FileHash::choose(hashes.iter().copied()).unwrap();
            assert_eq!(hash.algorithm(), algorithm);
            assert!(hash.fits(b"abc"));
            assert!(!hash.fits(b"abd"));
        }
        assert_eq!(FileHash::choose([("md5", "00")].into_iter()), None);
    }
}
