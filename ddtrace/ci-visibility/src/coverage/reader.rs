//! Reads numbers and blocks from bytes that may lie about their length.

use super::CoverageError;

/// A position in bytes.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

const SHORT: CoverageError = CoverageError::Expected("more bytes");

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], CoverageError> {
        let end = self.at.checked_add(length).ok_or(SHORT)?;
        let taken = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn skip(&mut self, length: u64) -> Result<(), CoverageError> {
        let length = usize::try_from(length).map_err(|_| SHORT)?;
        self.take(length).map(|_| ())
    }

    /// Goes on to a multiple of this, or to the end.
    pub(super) fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to).min(self.bytes.len());
    }

    pub(super) fn u16(&mut self) -> Result<u16, CoverageError> {
        let mut bytes = [0; 2];
        bytes.copy_from_slice(self.take(2)?);
        Ok(u16::from_le_bytes(bytes))
    }

    pub(super) fn u32(&mut self) -> Result<u32, CoverageError> {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(bytes))
    }

    pub(super) fn u64(&mut self) -> Result<u64, CoverageError> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// A number of seven bits a byte, the lowest first.
    pub(super) fn leb128(&mut self) -> Result<u64, CoverageError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(CoverageError::Expected("a number of at most 64 bits"))
    }

    /// A number that counts things of which each takes a byte at least, so that it bounds memory.
    pub(super) fn count(&mut self) -> Result<usize, CoverageError> {
        let count = self.leb128()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.left() => Ok(count),
            _ => Err(SHORT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_variable_length_are_read() {
        for (bytes, expected) in [
            (&[0x00][..], Some(0)),
            (&[0x7f], Some(127)),
            (&[0xe5, 0x8e, 0x26], Some(624_485)),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                Some(u64::MAX),
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                None,
            ),
            (&[0x80], None),
            (&[], None),
        ] {
            assert_eq!(Reader::new(bytes).leb128().ok(), expected, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_read_beyond_the_end(bytes: Vec<u8>, length: usize) {
            let mut reader = Reader::new(&bytes);
            let taken = reader.take(length);
            prop_assert_eq!(taken.is_ok(), length <= bytes.len());
            let _ = (reader.leb128(), reader.count(), reader.u64());
            prop_assert!(reader.left() <= bytes.len());
        }
    }
}
