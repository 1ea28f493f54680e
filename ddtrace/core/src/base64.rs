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

/// Writes the text for bytes into room that the caller has; nothing if it is too small. For a few dozen bytes, which take less than
/// the crate takes to begin.
pub fn encode_into<'a>(bytes: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let room = room.get_mut(..bytes.len().div_ceil(3) * 4)?;
    let groups = bytes.chunks_exact(3);
    let rest = groups.remainder();
    let mut places = room.chunks_exact_mut(4);
    for (group, place) in groups.zip(&mut places) {
        place.copy_from_slice(&characters(group[0], group[1], group[2]));
    }
    if let (Some(place), [first, more @ ..]) = (places.next(), rest) {
        let second = more.first().copied();
        place.copy_from_slice(&characters(*first, second.unwrap_or_default(), 0));
        place[3] = b'=';
        if second.is_none() {
            place[2] = b'=';
        }
    }
    Some(room)
}

/// Four characters for three bytes.
#[inline]
fn characters(a: u8, b: u8, c: u8) -> [u8; 4] {
    const CHARACTERS: &[u8; 64] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let word = u32::from_be_bytes([0, a, b, c]);
    [word >> 18, word >> 12, word >> 6, word].map(|six| CHARACTERS[(six & 63) as usize])
}

/// Writes the bytes of a text into room that the caller has; nothing if it is not Base64, or the room is too small: three bytes
/// for every four characters begun are always enough. For a few dozen characters, as [`encode_into`].
pub fn decode_into<'a>(text: &[u8], room: &'a mut [u8]) -> Option<&'a [u8]> {
    let padding = match text {
        [.., b'=', b'='] => 2,
        [.., b'='] => 1,
        _ => 0,
    };
    // The last group if it is padded or not whole, which the crate judges.
    let whole = (text.len() - padding) / 4 * 4;
    let (groups, end) = text.split_at(whole);
    let begin = whole / 4 * 3;
    if room.len() < begin {
        return None;
    }
    let mut marks = 0;
    for (place, group) in room.chunks_exact_mut(3).zip(groups.chunks_exact(4)) {
        let Some([_, bytes @ ..]) = bytes_of(group, &mut marks) else {
            continue;
        };
        place.copy_from_slice(&bytes);
    }
    let length = match (end, padding) {
        ([], _) => begin,
        ([first, second, third, _], 1) => {
            let [_, bytes @ .., _] = bytes_of(&[*first, *second, *third, b'A'], &mut marks)?;
            room.get_mut(begin..begin + 2)?.copy_from_slice(&bytes);
            begin + 2
        }
        (end, _) => begin + ENGINE.decode_slice(end, &mut room[begin..]).ok()?,
    };
    (marks & NO_CHARACTER == 0).then_some(&room[..length])
}

/// What four characters stand for, in the last three bytes. What they are is added to `marks`.
#[inline]
fn bytes_of(group: &[u8], marks: &mut u8) -> Option<[u8; 4]> {
    let group: [u8; 4] = group.try_into().ok()?;
    let [a, b, c, d] = group.map(|character| VALUES[usize::from(character)]);
    *marks |= a | b | c | d;
    let word = u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d);
    Some(word.to_be_bytes())
}

/// What is no character of Base64; those that are stand for less.
const NO_CHARACTER: u8 = 0x80;

/// What each character stands for.
static VALUES: [u8; 256] = {
    let (mut values, mut character) = ([NO_CHARACTER; 256], 0);
    while character < 256 {
        let byte = character as u8;
        values[character] = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => NO_CHARACTER,
        };
        character += 1;
    }
    values
};

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

    /// The crate's own answer to every text that differs from a right one in two places.
    #[test]
    fn texts_are_judged_as_by_the_crate() {
        let texts = [
            "Zm9vYmFy", "Zm9vYmE=", "Zm9vYg==", "Zm9vYmE", "Zm9vYg", "Zm9vY",
        ];
        for text in texts {
            for (one, other) in
                (0..text.len()).flat_map(|at| (0..text.len()).map(move |it| (at, it)))
            {
                for character in *b"A=/-\xff" {
                    let mut text = text.as_bytes().to_vec();
                    text[one] = character;
                    text[other] = b'=';
                    let expected = ENGINE.decode(&text).ok();
                    assert_eq!(
                        decode_into(&text, &mut [0; 9]),
                        expected.as_deref(),
                        "{text:?}"
                    );
                    text[other] = character;
                    let expected = ENGINE.decode(&text).ok();
                    assert_eq!(
                        decode_into(&text, &mut [0; 9]),
                        expected.as_deref(),
                        "{text:?}"
                    );
                }
            }
        }
    }
}
