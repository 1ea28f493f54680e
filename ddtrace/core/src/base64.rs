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

/// Writes the text for bytes into room that the caller has; nothing if it is too small.
pub fn encode_into<'a>(bytes: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = ENGINE.encode_slice(bytes, room).ok()?;
    room.get(..length)
}

/// Writes the bytes of a text into room that the caller has; nothing if it is not Base64, or the room is too small: three bytes
/// for every four characters begun are always enough.
pub fn decode_into<'a>(text: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let length = ENGINE.decode_slice(text, room).ok()?;
    room.get(..length)
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
            assert_eq!(decode_into(text.as_bytes(), &mut [0; 16]), None, "{text}");
        }
    }

    #[test]
    fn room_of_the_caller_is_used_as_far_as_it_goes() {
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        for length in 0..bytes.len() {
            let bytes = &bytes[..length];
            let text = encode(bytes);
            let mut room = [0; 344];
            assert_eq!(encode_into(bytes, &mut room), Some(text.as_bytes()));
            for text in [&*text, text.trim_end_matches('=')] {
                let mut room = [0; 258];
                let enough = &mut room[..text.len().div_ceil(4) * 3];
                assert_eq!(decode_into(text.as_bytes(), enough), Some(bytes));
            }
        }
        assert_eq!(encode_into(b"foo", &mut [0; 3]), None);
        assert_eq!(decode_into(b"Zm9v", &mut [0; 2]), None);
    }
}
