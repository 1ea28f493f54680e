//! Base64 as RFC 4648 §4 has it, by the crate `base64`: what remote configuration, headers of messages and payloads carry.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Writes padding; reads texts with and without it, and whatever stands in bits that mean nothing: encoders differ there.
const ENGINE: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Text for bytes, padded.
pub fn encode(bytes: &[u8]) -> String {
    ENGINE.encode(bytes)
}

/// Bytes of a text; nothing if it is not Base64. Padding may be left out.
pub fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    ENGINE.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648 §10, with and without padding.
    #[test]
    fn padding_is_written_and_may_be_missing() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
            let unpadded = text.trim_end_matches('=');
            assert_eq!(decode(unpadded).as_deref(), Some(bytes.as_bytes()));
        }
        // Bits that stand for nothing.
        assert_eq!(decode("Zh").as_deref(), Some(&b"f"[..]));
    }

    #[test]
    fn what_is_not_base64_is_refused() {
        for text in ["Z", "Z===", "Zm9v\n", "Zm 9v", "Zm-_", "=", "Zg==Zg==", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
