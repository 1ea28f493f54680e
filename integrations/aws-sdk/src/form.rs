//! Requests in the query protocol of SNS: a form of names with dots and numbers, `a.entry.1.b=c&…`.

use std::borrow::Cow;

/// Names and values, decoded.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let body = std::str::from_utf8(body).ok()?;
        let pairs = body.split('&').filter(|pair| !pair.is_empty());
        Some(Self(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(name), decoded(value))
                })
                .collect(),
        ))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(key, _)| key == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// The highest number of a list: `prefix` is followed by a number and a dot.
    pub(crate) fn highest(&self, prefix: &str) -> usize {
        let numbers = self.0.iter().filter_map(|(name, _)| {
            let (number, _) = name.strip_prefix(prefix)?.split_once('.')?;
            number.parse().ok()
        });
        numbers.max().unwrap_or(0)
    }

    /// The pairs whose names begin so, with the rest of the name.
    pub(crate) fn under<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

/// A value as it stands in a form, with everything escaped that is not unreserved (RFC 3986 §2.3).
pub(crate) fn encoded(value: &str) -> String {
    use std::fmt::Write as _;

    value.bytes().fold(String::new(), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            // Writing to a string does not fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
        encoded
    })
}

/// What was escaped. Broken escapes stay as they are.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| after.split_at_checked(2))
            .flatten()
            .and_then(|(digits, after)| Some((hex(digits)?, after)));
        let (byte, after) = match byte {
            b'+' => (b' ', after),
            _ => escaped.unwrap_or((byte, after)),
        };
        bytes.push(byte);
        rest = after;
    }
    let text: Cow<'_, str> = String::from_utf8_lossy(&bytes);
    text.into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let [high, low] = *digits else { return None };
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded_and_anything_is_read(text in ".*", bytes: Vec<u8>) {
            prop_assert_eq!(decoded(&encoded(&text)), text.clone());
            let _ = decoded(&text);
            if let Some(form) = Form::parse(&bytes) {
                let _ = form.highest("");
            }
        }
    }

    #[test]
    fn forms_are_read_and_written() {
        let body = b"Action=Publish&Message=a%20b%2Bc+d&A.entry.1.Name=x&A.entry.12.Name=y&A.entry.z.Name=w&Flag";
        let form = Form::parse(body).unwrap();
        assert_eq!(form.get("Message"), Some("a b+c d"));
        assert_eq!(form.get("Flag"), Some(""));
        assert_eq!(form.highest("A.entry."), 12);
        assert_eq!(form.highest("B.entry."), 0);
        assert_eq!(form.under("A.entry.").count(), 3);
        assert_eq!(encoded("a b+c/=é~"), "a%20b%2Bc%2F%3D%C3%A9~");
        for broken in ["%", "%4", "%zz", "100%"] {
            assert_eq!(decoded(broken), broken);
        }
        assert!(Form::parse(b"\xff").is_none());
    }
}
