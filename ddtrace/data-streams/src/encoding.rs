//! The context of a pathway in a header: `dd-pathway-ctx-base64`.
//!
//! Eight bytes of hash, little endian, then the start of the pathway and that of the edge in milliseconds, each as a zig-zag
//! varint of at most nine bytes; all of it in base64. An older form carried the bytes themselves under `dd-pathway-ctx`.
//! Source: dd-trace-py, `ddtrace/internal/datastreams/encoding.py`.

use ddtrace_core::base64;
use ddtrace_core::propagation::{Carrier, CarrierMut};
use http::HeaderName;

use crate::time::Nanoseconds;

/// The header in use.
pub(crate) const HEADER: &str = "dd-pathway-ctx-base64";
static HEADER_NAME: HeaderName = HeaderName::from_static(HEADER);
/// The header of an older form.
const OLD_HEADER: &str = "dd-pathway-ctx";

/// Longer headers are not read: a context takes 28 characters.
const MAX_HEADER: usize = 1024;

/// What travels of a pathway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Travelling {
    /// Never 0: a pathway without a checkpoint does not travel.
    pub(crate) hash: u64,
    pub(crate) pathway_start: Nanoseconds,
    pub(crate) edge_start: Nanoseconds,
}

/// Room for a context: eight bytes of hash and twice nine of time, the last of which are written as if there were more.
const MAX_BYTES: usize = 26;
const ROOM: usize = MAX_BYTES + 6;
/// The same as text.
const MAX_TEXT: usize = MAX_BYTES.div_ceil(3) * 4;
/// Texts up to this length are read without an allocation: every context, and a few bytes after it.
const MAX_SHORT: usize = 48;

impl Travelling {
    /// The context as bytes.
    pub(crate) fn encode(&self) -> Encoded {
        let mut encoded = Encoded {
            bytes: [0; ROOM],
            length: 0,
        };
        encoded.put(self.hash.to_le_bytes());
        encoded.put_varint(zigzag(self.pathway_start.milliseconds()));
        encoded.put_varint(zigzag(self.edge_start.milliseconds()));
        encoded
    }

    /// How many bytes [`encode`](Self::encode) gives.
    pub(crate) fn length(&self) -> usize {
        let times = [self.pathway_start, self.edge_start];
        size_of::<u64>()
            + times
                .map(|time| varint_length(zigzag(time.milliseconds())))
                .iter()
                .sum::<usize>()
    }

    /// Reads bytes; whatever follows the context is ignored. Nothing if they are none, or if the hash is 0.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (hash, mut rest) = bytes.split_first_chunk::<8>()?;
        let hash = u64::from_le_bytes(*hash);
        let pathway_start = Nanoseconds::of_milliseconds(unzigzag(take_varint(&mut rest)?));
        let edge_start = Nanoseconds::of_milliseconds(unzigzag(take_varint(&mut rest)?));
        (hash != 0).then_some(Self {
            hash,
            pathway_start,
            edge_start,
        })
    }

    /// Reads the headers of a message. Nothing if there is no context in them, or none that makes sense.
    pub(crate) fn extract(carrier: &dyn Carrier) -> Option<Self> {
        if let Some(text) = value(carrier, HEADER) {
            let mut room = [0; MAX_SHORT / 4 * 3];
            return if text.len() <= MAX_SHORT {
                Self::decode(base64::decode_into(text, &mut room)?)
            } else {
                Self::decode(&base64::decode(text)?)
            };
        }
        // Today's times have bytes that no text has, so what reads as base64 is.
        let bytes = value(carrier, OLD_HEADER)?;
        match base64::decode(bytes) {
            Some(decoded) => Self::decode(&decoded),
            None => Self::decode(bytes),
        }
    }

    /// Writes it into the headers of a message.
    pub(crate) fn inject(&self, carrier: &mut dyn CarrierMut) {
        let mut room = [0; MAX_TEXT];
        if let Some(text) = base64::encode_into(self.encode().as_slice(), &mut room) {
            carrier.set_header(&HEADER_NAME, text);
        }
    }

    /// The text of the header.
    pub(crate) fn to_text(self) -> String {
        base64::encode(self.encode().as_slice())
    }
}

fn value<'a>(carrier: &'a dyn Carrier, name: &str) -> Option<&'a [u8]> {
    carrier
        .get(name)
        .filter(|value| !value.is_empty() && value.len() <= MAX_HEADER)
}

/// Bytes of a context.
pub(crate) struct Encoded {
    bytes: [u8; ROOM],
    length: usize,
}

impl Encoded {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(room) = self.bytes[self.length..].first_chunk_mut() {
            *room = bytes;
            self.length += N;
        }
    }

    /// Seven bits a byte, the lowest first; the ninth byte holds eight.
    #[inline]
    fn put_varint(&mut self, value: u64) {
        let length = varint_length(value);
        // The lowest eight bytes at once; what is written beyond the end is written over.
        let mut bytes = spread(value);
        bytes |= HIGH_BITS & ((1 << (8 * (length - 1).min(7))) - 1);
        if length == 9 {
            bytes |= HIGH_BITS;
        }
        self.put(bytes.to_le_bytes());
        match length {
            9 => self.put([(value >> 56) as u8]),
            shorter => self.length -= 8 - shorter,
        }
    }
}

/// The bit of each byte of a varint that says that there are more.
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// The lowest 56 bits, seven in each byte.
#[inline]
const fn spread(value: u64) -> u64 {
    let halves = value & 0x0fff_ffff | (value & 0x00ff_ffff_f000_0000) << 4;
    let quarters = halves & 0x0000_3fff_0000_3fff | (halves & 0x0fff_c000_0fff_c000) << 2;
    quarters & 0x007f_007f_007f_007f | (quarters & 0x3f80_3f80_3f80_3f80) << 1
}

/// What was [spread].
#[inline]
const fn gather(bytes: u64) -> u64 {
    let quarters = bytes & 0x007f_007f_007f_007f | (bytes & 0x7f00_7f00_7f00_7f00) >> 1;
    let halves = quarters & 0x0000_3fff_0000_3fff | (quarters & 0x3fff_0000_3fff_0000) >> 2;
    halves & 0x0fff_ffff | (halves & 0x0fff_ffff_0000_0000) >> 4
}

/// Bytes of a varint.
const fn varint_length(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    // A seventh, rounded up, without a division.
    let bytes = (((bits + 6) * 37) >> 8) as usize;
    if bytes > 9 { 9 } else { bytes }
}

const fn zigzag(value: i64) -> u64 {
    ((value >> 63) ^ (value << 1)) as u64
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[inline]
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let word = match bytes.first_chunk() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        // What is missing looks like a byte after which there are more.
        None => (bytes.iter().rev()).fold(u64::MAX, |word, byte| word << 8 | u64::from(*byte)),
    };
    let ends = !word & HIGH_BITS;
    if ends == 0 {
        let ninth = u64::from(*bytes.get(8)?);
        *bytes = &bytes[9..];
        return Some(gather(word & !HIGH_BITS) | ninth << 56);
    }
    let length = ends.trailing_zeros() / 8 + 1;
    *bytes = &bytes[length as usize..];
    Some(gather(word & !HIGH_BITS & u64::MAX >> (64 - 8 * length)))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Vectors of §15.2.
    #[test]
    fn numbers_are_written_as_by_the_reference() {
        for (value, expected) in [
            (0, "00"),
            (1, "02"),
            (-1, "01"),
            (63, "7e"),
            (64, "8001"),
            (8191, "fe7f"),
            (8192, "808001"),
            (1_679_672_748, "d896eec10c"),
            (1_700_000_000_000, "80a0abfef962"),
            (1_642_544_540_000, "c0a5c5f4cd5f"),
        ] {
            let mut encoded = Encoded {
                bytes: [0; ROOM],
                length: 0,
            };
            encoded.put_varint(zigzag(value));
            assert_eq!(hex(encoded.as_slice()), expected, "{value}");
            assert_eq!(varint_length(zigzag(value)), expected.len() / 2, "{value}");
            let mut bytes = encoded.as_slice();
            assert_eq!(take_varint(&mut bytes).map(unzigzag), Some(value));
            assert!(bytes.is_empty());
        }
    }

    /// The pair of §15.3.
    #[test]
    fn a_context_is_read_from_every_form_of_it() {
        const TEXT: &str = "10nVzXmeKoDApcX0zV/ApcX0zV8=";
        let time = Nanoseconds::of_milliseconds(1_642_544_540_000);
        let expected = Travelling {
            hash: 9_235_368_231_858_162_135,
            pathway_start: time,
            edge_start: time,
        };
        assert_eq!(expected.to_text(), TEXT);
        let raw = base64::decode(TEXT).unwrap();
        assert_eq!(hex(&raw), "d749d5cd799e2a80c0a5c5f4cd5fc0a5c5f4cd5f");
        for (header, value) in [
            (HEADER, TEXT.as_bytes()),
            (OLD_HEADER, TEXT.as_bytes()),
            (OLD_HEADER, &raw),
        ] {
            let carrier = Bytes(header, value);
            assert_eq!(Travelling::extract(&carrier), Some(expected), "{header}");
        }
        for more in [3, 16, 300] {
            let longer = [&*raw, &vec![1; more]].concat();
            assert_eq!(Travelling::decode(&longer), Some(expected));
            let text = base64::encode(&longer);
            let carrier = Bytes(HEADER, text.as_bytes());
            assert_eq!(Travelling::extract(&carrier), Some(expected), "{more}");
        }
    }

    struct Bytes<'a>(&'a str, &'a [u8]);

    impl Carrier for Bytes<'_> {
        fn get(&self, name: &str) -> Option<&[u8]> {
            (name == self.0).then_some(self.1)
        }

        fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
            visit(self.0);
        }
    }

    /// Bad input of §15.3 and §16.
    #[test]
    fn what_is_no_context_is_none() {
        let long = "A".repeat(1 << 20);
        let no_end = base64::encode(&[[1; 8].as_slice(), &[0xff; 8]].concat());
        for text in ["", "!!!", "aW52YWxpZA==", "AQIDBAUGBwg=", &long, &no_end] {
            let carrier = HashMap::from([(HEADER.to_owned(), text.to_owned())]);
            assert_eq!(Travelling::extract(&carrier), None, "{:.40}", text);
        }
        assert_eq!(Travelling::decode(&[0; 10]), None, "no hash");
        // Nine bytes of eight ones are a number that is no time of ours, but a number.
        assert!(Travelling::decode(&[[1; 8].as_slice(), &[0xff; 9]].concat()).is_none());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(hash in 1u64.., start in 0..1i64 << 42, edge in 0..1i64 << 42) {
            let context = Travelling {
                hash,
                pathway_start: Nanoseconds::of_milliseconds(start),
                edge_start: Nanoseconds::of_milliseconds(edge),
            };
            prop_assert_eq!(Travelling::decode(context.encode().as_slice()), Some(context));
            let text = context.to_text();
            prop_assert!(text.len() <= MAX_TEXT);
            prop_assert_eq!(context.length(), context.encode().as_slice().len());
            prop_assert_eq!(Travelling::decode(&base64::decode(&text).unwrap()), Some(context));
            let mut headers = HashMap::<String, String>::new();
            context.inject(&mut headers);
            prop_assert_eq!(headers.get(HEADER), Some(&text));
        }

        #[test]
        fn any_number_is_read_back(value: i64) {
            let mut encoded = Encoded { bytes: [0; ROOM], length: 0 };
            encoded.put_varint(zigzag(value));
            prop_assert!(encoded.length <= 9);
            prop_assert_eq!(encoded.length, varint_length(zigzag(value)));
            let mut bytes = encoded.as_slice();
            prop_assert_eq!(take_varint(&mut bytes).map(unzigzag), Some(value));
        }

        #[test]
        fn varints_are_those_of_the_loop(value: u64, shift in 0..64) {
            let value = value >> shift;
            let mut encoded = Encoded { bytes: [0xaa; ROOM], length: 3 };
            encoded.put_varint(value);
            let (mut rest, mut expected) = (value, vec![0xaa; 3]);
            for _ in 0..8 {
                if rest < 0x80 {
                    break;
                }
                expected.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            expected.push(rest as u8);
            prop_assert_eq!(encoded.as_slice(), &*expected);
            for more in 0..12 {
                let followed = [&expected[3..], &vec![0xff; more]].concat();
                let mut bytes = &*followed;
                prop_assert_eq!(take_varint(&mut bytes), Some(value));
                prop_assert_eq!(bytes.len(), more);
            }
            for cut in 3..expected.len() {
                prop_assert_eq!(take_varint(&mut &expected[3..cut]), None);
            }
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Travelling::decode(&bytes);
            let _ = Travelling::extract(&Bytes(HEADER, &bytes));
            let _ = Travelling::extract(&Bytes(OLD_HEADER, &bytes));
        }
    }
}
