//! MessagePack, as much of it as payloads need, written straight into a buffer.
//!
//! Source: the MessagePack specification, "Formats". Own code because this is the worker's inner loop: the writer cannot fail,
//! and numbers whose width may as well be fixed are written with one store.

const FIX_MAP: u8 = 0x80;
const FIX_ARRAY: u8 = 0x90;
const FIX_STR: u8 = 0xa0;
const BIN_8: u8 = 0xc4;
const BIN_16: u8 = 0xc5;
const BIN_32: u8 = 0xc6;
const FALSE: u8 = 0xc2;
const TRUE: u8 = 0xc3;
const FLOAT_64: u8 = 0xcb;
const UINT_8: u8 = 0xcc;
const UINT_16: u8 = 0xcd;
const UINT_32: u8 = 0xce;
const UINT_64: u8 = 0xcf;
const INT_64: u8 = 0xd3;
const STR_8: u8 = 0xd9;
const STR_16: u8 = 0xda;
const STR_32: u8 = 0xdb;
const ARRAY_16: u8 = 0xdc;
const ARRAY_32: u8 = 0xdd;
const MAP_16: u8 = 0xde;
const MAP_32: u8 = 0xdf;

/// Appends values to a byte vector.
pub(crate) trait Write {
    fn put_u64(&mut self, value: u64);
    fn put_i64(&mut self, value: i64);
    fn put_uint(&mut self, value: u64);
    fn put_f64(&mut self, value: f64);
    fn put_bool(&mut self, value: bool);
    fn put_str(&mut self, value: &str);
    fn put_bin(&mut self, value: &[u8]);
    fn put_map(&mut self, len: usize);
    fn put_array(&mut self, len: usize);
    fn put_array_32(&mut self, len: u32);
}

impl Write for Vec<u8> {
    /// Nine bytes, whatever the value: ids and times are large.
    #[inline]
    fn put_u64(&mut self, value: u64) {
        let mut bytes = [UINT_64; 9];
        bytes[1..].copy_from_slice(&value.to_be_bytes());
        self.extend_from_slice(&bytes);
    }

    /// Nine bytes, whatever the value.
    #[inline]
    fn put_i64(&mut self, value: i64) {
        let mut bytes = [INT_64; 9];
        bytes[1..].copy_from_slice(&value.to_be_bytes());
        self.extend_from_slice(&bytes);
    }

    /// As short as the value allows.
    #[inline]
    fn put_uint(&mut self, value: u64) {
        match value {
            0..=0x7f => self.push(value as u8),
            0x80..=0xff => self.extend_from_slice(&[UINT_8, value as u8]),
            0x100..=0xffff => {
                let [a, b] = (value as u16).to_be_bytes();
                self.extend_from_slice(&[UINT_16, a, b]);
            }
            0x1_0000..=0xffff_ffff => {
                let [a, b, c, d] = (value as u32).to_be_bytes();
                self.extend_from_slice(&[UINT_32, a, b, c, d]);
            }
            _ => self.put_u64(value),
        }
    }

    #[inline]
    fn put_f64(&mut self, value: f64) {
        let mut bytes = [FLOAT_64; 9];
        bytes[1..].copy_from_slice(&value.to_be_bytes());
        self.extend_from_slice(&bytes);
    }

    fn put_bool(&mut self, value: bool) {
        self.push(if value { TRUE } else { FALSE });
    }

    #[inline]
    fn put_str(&mut self, value: &str) {
        let len = value.len();
        if len < 32 {
            self.push(FIX_STR | len as u8);
        } else if len <= 0xff {
            self.extend_from_slice(&[STR_8, len as u8]);
        } else {
            put_long(self, len, STR_16, STR_32);
        }
        self.extend_from_slice(value.as_bytes());
    }

    fn put_bin(&mut self, value: &[u8]) {
        let len = value.len();
        if len <= 0xff {
            self.extend_from_slice(&[BIN_8, len as u8]);
        } else {
            put_long(self, len, BIN_16, BIN_32);
        }
        self.extend_from_slice(value);
    }

    #[inline]
    fn put_map(&mut self, len: usize) {
        if len < 16 {
            self.push(FIX_MAP | len as u8);
        } else {
            put_long(self, len, MAP_16, MAP_32);
        }
    }

    #[inline]
    fn put_array(&mut self, len: usize) {
        if len < 16 {
            self.push(FIX_ARRAY | len as u8);
        } else {
            put_long(self, len, ARRAY_16, ARRAY_32);
        }
    }

    /// Five bytes, whatever the length: for a head that is filled in when the length is known.
    fn put_array_32(&mut self, len: u32) {
        let [a, b, c, d] = len.to_be_bytes();
        self.extend_from_slice(&[ARRAY_32, a, b, c, d]);
    }
}

/// The bytes of a head that [`Write::put_array_32`] writes.
pub(crate) const ARRAY_32_HEAD: usize = 5;

#[inline(never)]
fn put_long(bytes: &mut Vec<u8>, len: usize, of_16: u8, of_32: u8) {
    if let Ok(len) = u16::try_from(len) {
        let [a, b] = len.to_be_bytes();
        bytes.extend_from_slice(&[of_16, a, b]);
    } else {
        // Tags are cut long before this many bytes; a length beyond 32 bits cannot come up.
        let [a, b, c, d] = u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        bytes.extend_from_slice(&[of_32, a, b, c, d]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> T {
        rmp_serde::from_slice(bytes).unwrap()
    }

    proptest! {
        #[test]
        fn an_independent_decoder_reads_what_was_written(
            unsigned: u64, signed: i64, float: f64, flag: bool, text in ".{0,300}", blob in proptest::collection::vec(any::<u8>(), 0..300)
        ) {
            let mut bytes = Vec::new();
            bytes.put_array(7);
            bytes.put_u64(unsigned);
            bytes.put_uint(unsigned);
            bytes.put_i64(signed);
            bytes.put_f64(float);
            bytes.put_bool(flag);
            bytes.put_str(&text);
            bytes.put_bin(&blob);
            let (a, b, c, d, e, f, g): (u64, u64, i64, f64, bool, String, serde_bytes_like::Bytes) = decode(&bytes);
            prop_assert_eq!((a, b, c, e, f, g.0), (unsigned, unsigned, signed, flag, text, blob));
            prop_assert_eq!(d.to_bits(), float.to_bits());
        }

        #[test]
        fn lengths_choose_their_head(len in 0usize..70_000) {
            let mut bytes = Vec::new();
            bytes.put_array(len);
            bytes.extend(std::iter::repeat_n(0u8, len));
            prop_assert_eq!(decode::<Vec<u8>>(&bytes).len(), len);
            let text = "x".repeat(len);
            let mut bytes = Vec::new();
            bytes.put_str(&text);
            prop_assert_eq!(decode::<String>(&bytes), text);
        }

        #[test]
        fn short_integers_are_short(value in 0u64..0x2_0000_0000) {
            let mut bytes = Vec::new();
            bytes.put_uint(value);
            prop_assert_eq!(decode::<u64>(&bytes), value);
            let most = if value < 0x80 { 1 } else if value < 0x1_0000 { 3 } else { 9 };
            prop_assert!(bytes.len() <= most);
        }
    }

    /// A byte string as the decoder's data model has it.
    mod serde_bytes_like {
        use serde::de::{Deserialize, Deserializer, Visitor};

        pub(super) struct Bytes(pub(super) Vec<u8>);

        impl<'de> Deserialize<'de> for Bytes {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct AsBytes;
                impl Visitor<'_> for AsBytes {
                    type Value = Bytes;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("bytes")
                    }
                    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                        Ok(Bytes(bytes.to_vec()))
                    }
                }
                deserializer.deserialize_bytes(AsBytes)
            }
        }
    }
}
