//! What a client says that it can be told, as bits.

use serde::{Serialize, Serializer};

use crate::base64;

/// A set of capability bits. The backend offers a control only for what is declared, so declare only what works.
///
/// ```
/// use ddtrace_core::remote_config::Capabilities;
///
/// let both = Capabilities::of(&[12]).and(Capabilities::of(&[29]));
/// assert_eq!(both, Capabilities::of(&[12, 29]));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u128);

impl Capabilities {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// These bits. The protocol numbers them from 0; ones over 127 are unknown to it and left out.
    pub const fn of(bits: &[u8]) -> Self {
        let mut set = 0;
        let mut index = 0;
        while index < bits.len() {
            if bits[index] < 128 {
                set |= 1 << bits[index];
            }
            index += 1;
        }
        Self(set)
    }

    /// These and those.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Big-endian, without leading zeros, as Base64.
    fn to_text(self) -> String {
        let bytes = self.0.to_be_bytes();
        let zeros = (self.0.leading_zeros() / 8) as usize;
        base64::encode(&bytes[zeros..])
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_a_big_endian_number() {
        for (bits, bytes) in [
            (&[][..], &[][..]),
            (&[0], &[0b1]),
            (&[7], &[0b1000_0000]),
            (&[8], &[1, 0]),
            (
                &[12, 13, 14, 15, 19, 29, 45],
                &[0x20, 0, 0x20, 0x08, 0xf0, 0],
            ),
            (&[200], &[]),
        ] {
            let text = Capabilities::of(bits).to_text();
            assert_eq!(base64::decode(&text).as_deref(), Some(bytes), "{bits:?}");
        }
    }
}
