//! The user's `Display` and `Debug`, called with care: what they panic with stays here, and what they write is bounded.

use std::fmt::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The longest text that formatting one value may give, in bytes; a tag's limit.
pub(crate) const LIMIT: usize = 25_000;

/// Formats a value. A panic in it gives `<panicked in Display>`; beyond [`LIMIT`] the rest is not even formatted.
pub(crate) fn display<T: fmt::Display + ?Sized>(value: &T) -> String {
    bounded(format_args!("{value}")).unwrap_or_else(|| "<panicked in Display>".to_owned())
}

/// The same with `Debug`.
pub(crate) fn debug<T: fmt::Debug + ?Sized>(value: &T) -> String {
    bounded(format_args!("{value:?}")).unwrap_or_else(|| "<panicked in Debug>".to_owned())
}

/// The value as compact JSON, cut at the limit; what can't be serialized says so.
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> String {
    let mut text = Bounded {
        text: String::new(),
    };
    let Some(written) = guarded(|| serde_json::to_writer(Utf8(&mut text), value)) else {
        return "<panicked in Serialize>".to_owned();
    };
    match written {
        // Only the bound makes the writer fail: what fits is kept.
        Err(error) if !error.is_io() => "<not serializable>".to_owned(),
        _ => text.text,
    }
}

/// Like [`str::split_once`] at an ASCII character. In the short texts of headers, a look at each byte costs a fraction of what
/// it takes to begin the search that the standard library makes.
pub(crate) fn split_once_ascii(text: &str, separator: u8) -> Option<(&str, &str)> {
    debug_assert!(separator.is_ascii());
    let at = text.bytes().position(|byte| byte == separator)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Like [`str::split`] at an ASCII character, see [`split_once_ascii`].
pub(crate) fn split_ascii(text: &str, separator: u8) -> impl Iterator<Item = &str> + Clone {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (first, others) = match split_once_ascii(text, separator) {
            Some((first, others)) => (first, Some(others)),
            None => (text, None),
        };
        rest = others;
        Some(first)
    })
}

/// `serde_json` writes bytes, always whole characters of UTF-8.
struct Utf8<'a>(&'a mut Bounded);

impl std::io::Write for Utf8<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(std::io::Error::other)?;
        self.0.write_str(text).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs the user's code; nothing if it panics.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Formats into a bounded text; nothing if the formatting panicked.
pub(crate) fn bounded(arguments: fmt::Arguments<'_>) -> Option<String> {
    let mut text = Bounded {
        text: String::new(),
    };
    // An error means that the bound was reached, or that the value's own formatting gave up: what is there is kept.
    guarded(|| {
        let _ = text.write_fmt(arguments);
    })?;
    Some(text.text)
}

struct Bounded {
    text: String,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = LIMIT - self.text.len();
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        self.text.push_str(&more[..floor_char_boundary(more, room)]);
        Err(fmt::Error)
    }
}

/// The last place at or before `at` where a character ends.
pub(crate) fn floor_char_boundary(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_split_as_the_standard_library_does() {
        for text in ["", ",", "a", "a,b", ",a,,b,", "é,ü,", "a;b"] {
            let ours: Vec<_> = split_ascii(text, b',').collect();
            assert_eq!(ours, text.split(',').collect::<Vec<_>>(), "{text}");
            assert_eq!(split_once_ascii(text, b','), text.split_once(','), "{text}");
        }
    }

    struct Panics;

    impl fmt::Display for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("by design")
        }
    }

    struct Endless;

    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            loop {
                f.write_str("für")?;
            }
        }
    }

    #[test]
    fn formatting_neither_panics_nor_runs_away() {
        assert_eq!(display(&Panics), "<panicked in Display>");
        let text = display(&Endless);
        assert!(text.len() <= LIMIT && text.len() > LIMIT - 4);
    }

    #[test]
    fn cuts_fall_between_characters() {
        assert_eq!(floor_char_boundary("für", 2), 1);
        assert_eq!(floor_char_boundary("für", 9), 4);
    }
}
