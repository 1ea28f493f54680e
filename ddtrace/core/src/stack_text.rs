//! Text of bounded length on the stack, for headers and keys that are put together on the user's thread.

use std::fmt;

/// At most `N` bytes of text, without an allocation.
///
/// What does not fit is refused as a whole: a `push` that fails leaves the text as it was.
#[derive(Clone, Copy)]
pub(crate) struct StackText<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> StackText<N> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The text. Only whole strings are ever appended, and only whole appends taken back, so it is always UTF-8.
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes back what was appended after `len` was read.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    #[must_use]
    pub(crate) fn push(&mut self, text: &str) -> bool {
        let end = self.len + text.len();
        let Some(target) = self.bytes.get_mut(self.len..end) else {
            return false;
        };
        target.copy_from_slice(text.as_bytes());
        self.len = end;
        true
    }

    /// Appends one ASCII character.
    #[must_use]
    pub(crate) fn push_ascii(&mut self, character: u8) -> bool {
        debug_assert!(character.is_ascii());
        let Some(target) = self.bytes.get_mut(self.len) else {
            return false;
        };
        *target = character;
        self.len += 1;
        true
    }

    #[must_use]
    pub(crate) fn push_decimal(&mut self, number: u64) -> bool {
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.push_digits(&digits[at..])
    }

    /// Appends all 16 hexadecimal digits, lower case.
    #[must_use]
    pub(crate) fn push_hex(&mut self, number: u64) -> bool {
        self.push_hex_digits::<16>(number)
    }

    /// Appends so many of the last hexadecimal digits, at most 16.
    #[must_use]
    pub(crate) fn push_hex_digits<const DIGITS: usize>(&mut self, number: u64) -> bool {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut digits = [0_u8; DIGITS];
        let mut rest = number;
        for digit in digits.iter_mut().rev() {
            *digit = HEX[rest as usize & 0xf];
            rest >>= 4;
        }
        self.push_digits(&digits)
    }

    fn push_digits(&mut self, digits: &[u8]) -> bool {
        let end = self.len + digits.len();
        let Some(target) = self.bytes.get_mut(self.len..end) else {
            return false;
        };
        target.copy_from_slice(digits);
        self.len = end;
        true
    }
}

impl<const N: usize> fmt::Write for StackText<N> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.push(text) {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        for number in [0, 9, 10, 11, 999, u64::MAX] {
            let mut text = StackText::<20>::new();
            assert!(text.push_decimal(number));
            assert_eq!(text.as_str(), number.to_string());
            let mut text = StackText::<16>::new();
            assert!(text.push_hex(number));
            assert_eq!(text.as_str(), format!("{number:016x}"));
        }
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut text = StackText::<4>::new();
        assert!(text.push("abc"));
        assert!(!text.push("de"));
        assert!(!text.push_decimal(12));
        assert_eq!(text.as_str(), "abc");
        assert!(text.push_ascii(b'd') && !text.push_ascii(b'e'));
        text.truncate(1);
        assert_eq!(
            (text.as_str(), text.len(), text.is_empty()),
            ("a", 1, false)
        );
    }
}
