//! Random numbers for ids, names of files and pauses.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// A number of 64 bits.
pub(crate) fn number() -> u64 {
    let mut bytes = [0; 8];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        // A system without randomness still gets numbers that differ: each hasher has its own keys.
        Err(_) => RandomState::new().build_hasher().finish(),
    }
}

/// A time between zero and this.
pub(crate) fn up_to(limit: Duration) -> Duration {
    limit.mul_f64(number() as f64 / u64::MAX as f64)
}

/// A random UUID (version 4) as text.
pub(crate) fn uuid() -> String {
    let (high, low) = (number(), number());
    let high = (high & !0xf000) | 0x4000;
    let low = (low & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_have_version_and_variant() {
        for _ in 0..32 {
            let uuid = uuid();
            let parts: Vec<&str> = uuid.split('-').collect();
            let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12]);
            assert!(
                parts[2].starts_with('4') && "89ab".contains(&parts[3][..1]),
                "{uuid}"
            );
        }
        assert_ne!(uuid(), uuid());
    }

    #[test]
    fn pauses_stay_below_their_limit() {
        for _ in 0..64 {
            assert!(up_to(Duration::from_millis(3)) <= Duration::from_millis(3));
        }
    }
}
