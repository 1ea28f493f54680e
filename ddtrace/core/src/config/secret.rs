//! A text that is never shown whole.

use std::fmt;

/// A secret such as an API key. `Debug` and `Display` show its last four characters at most.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The whole text, for the one place that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.0.chars().count();
        // The tail of a short text would be most of it.
        let shown = if length >= 16 { 4 } else { 0 };
        let tail: String = self.0.chars().skip(length - shown).collect();
        write!(out, "****{tail}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tail_of_a_long_secret_is_shown() {
        for (secret, shown) in [
            ("", "****"),
            ("abcd", "****"),
            ("0123456789abcdef", "****cdef"),
            ("ключключключключ", "****ключ"),
        ] {
            assert_eq!(
                format!("{} {:?}", Secret::new(secret), Secret::new(secret)),
                format!("{shown} {shown}")
            );
        }
    }
}
