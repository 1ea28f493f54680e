//! A msgpack reader over a slice: borrows what it can, never trusts a length.
//!
//! Collections announce their length before their content, so a hostile five-byte body may claim four thousand
//! million elements. Nothing here reserves by such a claim: a collection's length is first held against the bytes that are
//! left (each element takes at least one), texts are slices of the input, and nesting ends at [`MAX_DEPTH`].
//!
//! The reader is lenient about integer widths and about numbers of another type than the field has, because encoders of
//! other languages choose freely; it is strict about everything else. Every error carries the offset of the byte
//! at which the offending value begins.

use ddtrace_core::base64::encode as base64;
use std::borrow::Cow;
use std::fmt;

use rmp::Marker;
use serde_json::{Map, Number, Value};

/// How deep arrays and maps may be nested.
pub const MAX_DEPTH: usize = 64;

/// Why a body could not be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    /// Offset in the (inflated) body.
    pub at: usize,
    /// What went wrong.
    pub what: Fault,
}

/// What can be wrong with msgpack bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The body ends inside a value.
    Truncated,
    /// Bytes follow the value.
    Trailing(usize),
    /// A value of another kind stands where `expected` must.
    Expected {
        /// What the format has there.
        expected: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// The value is of the right kind, but says something impossible.
    Impossible(String),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Fault::Truncated => write!(
                f,
                "the body ends inside a value that begins at byte {}",
                self.at
            ),
            Fault::Trailing(n) => write!(
                f,
                "{n} bytes follow the payload, which ends at byte {}",
                self.at
            ),
            Fault::Expected { expected, found } => {
                write!(f, "expected {expected} at byte {}, found {found}", self.at)
            }
            Fault::TooDeep => write!(f, "nested deeper than {MAX_DEPTH} at byte {}", self.at),
            Fault::Impossible(what) => write!(f, "{what} at byte {}", self.at),
        }
    }
}

/// The result of one read.
pub type Read<T> = Result<T, DecodeError>;

/// A position in a msgpack body.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    body: &'a [u8],
    at: usize,
}

/// A number as it was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Num {
    /// A non-negative integer.
    Unsigned(u64),
    /// A negative integer.
    Signed(i64),
    /// A float.
    Float(f64),
}

impl Num {
    /// The nearest float.
    pub fn as_f64(self) -> f64 {
        match self {
            Num::Unsigned(n) => n as f64,
            Num::Signed(n) => n as f64,
            Num::Float(n) => n,
        }
    }
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of `body`.
    pub fn new(body: &'a [u8]) -> Self {
        Reader { body, at: 0 }
    }

    /// The offset of the next value.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The bytes that are left.
    pub fn left(&self) -> usize {
        self.body.len() - self.at
    }

    /// An error at the next value.
    pub fn error<T>(&self, what: Fault) -> Read<T> {
        Err(DecodeError { at: self.at, what })
    }

    /// Fails unless everything was read.
    pub fn finish(&self) -> Read<()> {
        match self.left() {
            0 => Ok(()),
            n => self.error(Fault::Trailing(n)),
        }
    }

    fn take(&mut self, n: usize, begin: usize) -> Read<&'a [u8]> {
        if self.left() < n {
            return Err(DecodeError {
                at: begin,
                what: Fault::Truncated,
            });
        }
        let bytes = &self.body[self.at..self.at + n];
        self.at += n;
        Ok(bytes)
    }

    fn be(&mut self, width: usize, begin: usize) -> Read<u64> {
        Ok(self
            .take(width, begin)?
            .iter()
            .fold(0, |n, b| n << 8 | u64::from(*b)))
    }

    fn marker(&mut self) -> Read<Marker> {
        let begin = self.at;
        Ok(Marker::from_u8(self.take(1, begin)?[0]))
    }

    fn peek(&self) -> Read<Marker> {
        match self.body.get(self.at) {
            Some(byte) => Ok(Marker::from_u8(*byte)),
            None => self.error(Fault::Truncated),
        }
    }

    fn expected<T>(&self, begin: usize, expected: &'static str, marker: Marker) -> Read<T> {
        Err(DecodeError {
            at: begin,
            what: Fault::Expected {
                expected,
                found: kind(marker),
            },
        })
    }

    /// Reads nil if it stands there.
    pub fn nil(&mut self) -> bool {
        let is_nil = self.body.get(self.at) == Some(&0xc0);
        self.at += usize::from(is_nil);
        is_nil
    }

    /// Whether the next value is a text.
    pub fn is_text(&self) -> bool {
        matches!(
            self.peek(),
            Ok(Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32)
        )
    }

    /// The length of an array, held against what is left.
    pub fn array(&mut self) -> Read<usize> {
        let begin = self.at;
        let n = match self.marker()? {
            Marker::FixArray(n) => usize::from(n),
            Marker::Array16 => self.be(2, begin)? as usize,
            Marker::Array32 => self.be(4, begin)? as usize,
            other => return self.expected(begin, "an array", other),
        };
        self.fits(n, begin)
    }

    /// The number of entries of a map, held against what is left.
    pub fn map(&mut self) -> Read<usize> {
        let begin = self.at;
        let n = match self.marker()? {
            Marker::FixMap(n) => usize::from(n),
            Marker::Map16 => self.be(2, begin)? as usize,
            Marker::Map32 => self.be(4, begin)? as usize,
            other => return self.expected(begin, "a map", other),
        };
        self.fits(n.saturating_mul(2), begin)?;
        Ok(n)
    }

    fn fits(&self, elements: usize, begin: usize) -> Read<usize> {
        if elements > self.left() {
            return Err(DecodeError {
                at: begin,
                what: Fault::Truncated,
            });
        }
        Ok(elements)
    }

    /// The bytes of a text or of a binary.
    pub fn bytes(&mut self) -> Read<&'a [u8]> {
        let begin = self.at;
        let n = match self.marker()? {
            Marker::FixStr(n) => usize::from(n),
            Marker::Str8 | Marker::Bin8 => self.be(1, begin)? as usize,
            Marker::Str16 | Marker::Bin16 => self.be(2, begin)? as usize,
            Marker::Str32 | Marker::Bin32 => self.be(4, begin)? as usize,
            other => return self.expected(begin, "a text", other),
        };
        self.take(n, begin)
    }

    /// A text; one that is not UTF-8 is repaired, and `broken` set.
    pub fn text(&mut self, broken: &mut bool) -> Read<Cow<'a, str>> {
        if self.nil() {
            return Ok(Cow::Borrowed(""));
        }
        let bytes = self.bytes()?;
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => {
                *broken = true;
                String::from_utf8_lossy(bytes)
            }
        })
    }

    /// A text used as a key of a map.
    pub fn key(&mut self) -> Read<&'a [u8]> {
        self.bytes()
    }

    /// Any number; nil is 0.
    pub fn number(&mut self) -> Read<Num> {
        let begin = self.at;
        Ok(match self.marker()? {
            Marker::Null => Num::Unsigned(0),
            Marker::FixPos(n) => Num::Unsigned(u64::from(n)),
            Marker::U8 => Num::Unsigned(self.be(1, begin)?),
            Marker::U16 => Num::Unsigned(self.be(2, begin)?),
            Marker::U32 => Num::Unsigned(self.be(4, begin)?),
            Marker::U64 => Num::Unsigned(self.be(8, begin)?),
            Marker::FixNeg(n) => signed(i64::from(n)),
            Marker::I8 => signed(i64::from(self.be(1, begin)? as i8)),
            Marker::I16 => signed(i64::from(self.be(2, begin)? as i16)),
            Marker::I32 => signed(i64::from(self.be(4, begin)? as i32)),
            Marker::I64 => signed(self.be(8, begin)? as i64),
            Marker::F32 => Num::Float(f64::from(f32::from_bits(self.be(4, begin)? as u32))),
            Marker::F64 => Num::Float(f64::from_bits(self.be(8, begin)?)),
            other => return self.expected(begin, "a number", other),
        })
    }

    /// An integer that fits 64 unsigned bits; signed ones keep their bits, because tracers of languages without unsigned
    /// integers send ids so.
    pub fn id(&mut self) -> Read<u64> {
        let begin = self.at;
        match self.number()? {
            Num::Unsigned(n) => Ok(n),
            Num::Signed(n) => Ok(n as u64),
            Num::Float(_) => self.expected(begin, "an integer", Marker::F64),
        }
    }

    /// An integer that fits 64 signed bits.
    pub fn int(&mut self) -> Read<i64> {
        let begin = self.at;
        match self.number()? {
            Num::Signed(n) => Ok(n),
            Num::Unsigned(n) => i64::try_from(n).map_err(|_| DecodeError {
                at: begin,
                what: Fault::Impossible(format!("{n} does not fit 64 signed bits")),
            }),
            Num::Float(_) => self.expected(begin, "an integer", Marker::F64),
        }
    }

    /// An integer of 32 unsigned bits (an index).
    pub fn index(&mut self) -> Read<u32> {
        let begin = self.at;
        let n = self.id()?;
        u32::try_from(n).map_err(|_| DecodeError {
            at: begin,
            what: Fault::Impossible(format!("{n} is no 32-bit integer")),
        })
    }

    /// A boolean.
    pub fn boolean(&mut self) -> Read<bool> {
        let begin = self.at;
        match self.marker()? {
            Marker::True => Ok(true),
            Marker::False | Marker::Null => Ok(false),
            other => self.expected(begin, "a boolean", other),
        }
    }

    /// Passes over one value of any kind.
    pub fn skip(&mut self) -> Read<()> {
        // Counts values still to be passed instead of recursing; depth does not matter when nothing is kept.
        let mut pending = 1usize;
        while pending > 0 {
            pending -= 1;
            let begin = self.at;
            let (fixed, elements) = match self.marker()? {
                Marker::FixPos(_)
                | Marker::FixNeg(_)
                | Marker::Null
                | Marker::True
                | Marker::False => (0, 0),
                Marker::U8 | Marker::I8 => (1, 0),
                Marker::U16 | Marker::I16 => (2, 0),
                Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
                Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
                Marker::FixStr(n) => (usize::from(n), 0),
                Marker::Str8 | Marker::Bin8 => (self.be(1, begin)? as usize, 0),
                Marker::Str16 | Marker::Bin16 => (self.be(2, begin)? as usize, 0),
                Marker::Str32 | Marker::Bin32 => (self.be(4, begin)? as usize, 0),
                Marker::FixArray(n) => (0, usize::from(n)),
                Marker::Array16 => (0, self.be(2, begin)? as usize),
                Marker::Array32 => (0, self.be(4, begin)? as usize),
                Marker::FixMap(n) => (0, usize::from(n) * 2),
                Marker::Map16 => (0, self.be(2, begin)? as usize * 2),
                Marker::Map32 => (0, (self.be(4, begin)? as usize).saturating_mul(2)),
                Marker::FixExt1 => (2, 0),
                Marker::FixExt2 => (3, 0),
                Marker::FixExt4 => (5, 0),
                Marker::FixExt8 => (9, 0),
                Marker::FixExt16 => (17, 0),
                Marker::Ext8 => (self.be(1, begin)? as usize + 1, 0),
                Marker::Ext16 => (self.be(2, begin)? as usize + 1, 0),
                Marker::Ext32 => ((self.be(4, begin)? as usize).saturating_add(1), 0),
                other @ Marker::Reserved => return self.expected(begin, "a value", other),
            };
            self.take(fixed, begin)?;
            pending += self.fits(elements, begin)?;
        }
        Ok(())
    }

    /// The bytes of one value of any kind.
    pub fn raw(&mut self) -> Read<&'a [u8]> {
        let begin = self.at;
        self.skip()?;
        Ok(&self.body[begin..self.at])
    }

    /// One value as JSON, for people: binaries as `{"bin": base64}`, integers over 2^53 as text.
    pub fn json(&mut self) -> Read<Value> {
        self.json_within(MAX_DEPTH)
    }

    fn json_within(&mut self, depth: usize) -> Read<Value> {
        let begin = self.at;
        if depth == 0 {
            return self.error(Fault::TooDeep);
        }
        Ok(match self.peek()? {
            Marker::Null => {
                self.nil();
                Value::Null
            }
            Marker::True | Marker::False => Value::Bool(self.boolean()?),
            Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
                Value::String(String::from_utf8_lossy(self.bytes()?).into_owned())
            }
            Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => {
                let mut map = Map::new();
                map.insert("bin".into(), Value::String(base64(self.bytes()?)));
                Value::Object(map)
            }
            Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => {
                let n = self.array()?;
                let mut list = Vec::new();
                for _ in 0..n {
                    list.push(self.json_within(depth - 1)?);
                }
                Value::Array(list)
            }
            Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => {
                let n = self.map()?;
                let mut map = Map::new();
                for _ in 0..n {
                    let key = match self.json_within(depth - 1)? {
                        Value::String(text) => text,
                        other => other.to_string(),
                    };
                    map.insert(key, self.json_within(depth - 1)?);
                }
                Value::Object(map)
            }
            Marker::Ext8
            | Marker::Ext16
            | Marker::Ext32
            | Marker::FixExt1
            | Marker::FixExt2
            | Marker::FixExt4
            | Marker::FixExt8
            | Marker::FixExt16 => {
                let raw = self.raw()?;
                let mut map = Map::new();
                map.insert("ext".into(), Value::String(base64(raw)));
                Value::Object(map)
            }
            other @ Marker::Reserved => return self.expected(begin, "a value", other),
            _ => number_as_json(self.number()?),
        })
    }
}

fn signed(n: i64) -> Num {
    if n < 0 {
        Num::Signed(n)
    } else {
        Num::Unsigned(n as u64)
    }
}

/// A number as JSON: floats that JSON lacks, and integers that JavaScript would round, as text.
pub fn number_as_json(n: Num) -> Value {
    const SAFE: u64 = 1 << 53;
    match n {
        Num::Unsigned(n) if n <= SAFE => Value::from(n),
        Num::Unsigned(n) => Value::String(n.to_string()),
        Num::Signed(n) if n.unsigned_abs() <= SAFE => Value::from(n),
        Num::Signed(n) => Value::String(n.to_string()),
        Num::Float(n) => float_as_json(n),
    }
}

/// A float as JSON; whole numbers without a fraction, and what JSON lacks as text.
pub fn float_as_json(n: f64) -> Value {
    if n.is_nan() {
        Value::from("NaN")
    } else if n.is_infinite() {
        Value::from(if n > 0.0 { "Infinity" } else { "-Infinity" })
    } else if n.fract() == 0.0 && n.abs() < 9e15 {
        Value::from(n as i64)
    } else {
        Number::from_f64(n).map_or(Value::Null, Value::Number)
    }
}

fn kind(marker: Marker) -> &'static str {
    match marker {
        Marker::Null => "nil",
        Marker::True | Marker::False => "a boolean",
        Marker::F32 | Marker::F64 => "a float",
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => "a text",
        Marker::Bin8 | Marker::Bin16 | Marker::Bin32 => "a binary",
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => "an array",
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => "a map",
        Marker::Reserved => "a reserved byte",
        Marker::FixPos(_)
        | Marker::FixNeg(_)
        | Marker::U8
        | Marker::U16
        | Marker::U32
        | Marker::U64
        | Marker::I8
        | Marker::I16
        | Marker::I32
        | Marker::I64 => "an integer",
        _ => "an extension",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_are_held_against_the_body() {
        for body in [
            &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
            &[0xdf, 0xff, 0xff, 0xff, 0xff],
            &[0xdb, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(Reader::new(body).skip().unwrap_err().what, Fault::Truncated);
            assert_eq!(Reader::new(body).json().unwrap_err().what, Fault::Truncated);
        }
    }

    #[test]
    fn nesting_ends() {
        let mut body = vec![0x91; 1000];
        body.push(0xc0);
        assert_eq!(Reader::new(&body).json().unwrap_err().what, Fault::TooDeep);
        assert_eq!(Reader::new(&body).skip(), Ok(()));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let skipped = Reader::new(&body).skip();
            let shown = Reader::new(&body).json();
            prop_assert!(shown.is_err() || skipped.is_ok());
        }

        #[test]
        fn numbers_survive(n in any::<i64>(), u in any::<u64>(), f in any::<f64>()) {
            let mut body = Vec::new();
            rmp::encode::write_sint(&mut body, n).unwrap();
            rmp::encode::write_uint(&mut body, u).unwrap();
            rmp::encode::write_f64(&mut body, f).unwrap();
            let mut reader = Reader::new(&body);
            prop_assert_eq!(reader.int().unwrap(), n);
            prop_assert_eq!(reader.id().unwrap(), u);
            prop_assert_eq!(reader.number().unwrap().as_f64().to_bits(), f.to_bits());
            prop_assert!(reader.finish().is_ok());
        }
    }
}
