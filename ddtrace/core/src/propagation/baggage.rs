//! `baggage`: what the program sends along, as the W3C recommendation writes it.
//!
//! Source: <https://www.w3.org/TR/baggage/>. Items `key=value` joined by commas, percent-encoded where a header could not
//! hold a character. Other than the trace's headers it is written without a trace as well.
//!
//! * **Limits**, both ways: 64 items and 8192 bytes. What comes first stays, what exceeds them is left out and counted.
//! * **One bad item loses all**: an item without `=`, without key or without value says that the header is not what it
//!   claims to be. This is counted, too.
//! * Properties (`;…`) are part of the value, as in the reference tracer, so that they travel on.
//!
//! The older `ot-baggage-<key>: <value>` headers are here as well. They are read and written only beside a trace, without
//! encoding, and within the same limits.

use std::borrow::Cow;

use super::baggage_items::Baggage;
use super::carrier::{Carrier, CarrierMut, joined};
use super::counts;
use super::style::Style;

const BAGGAGE: &str = "baggage";
const OLD_PREFIX: &str = "ot-baggage-";

/// Items of one header.
const MAX_ITEMS: usize = 64;
/// Bytes of one header.
const MAX_BYTES: usize = 8192;

/// Reads the header. Costs an allocation per key, per value, and two for the list; nothing if there is no header.
pub(super) fn extract(carrier: &dyn Carrier) -> Baggage {
    // More than is read, so that what is left out is noticed.
    let Some(header) = joined(carrier, BAGGAGE, 2 * MAX_BYTES) else {
        return Baggage::new();
    };
    if header.is_empty() {
        return Baggage::new();
    }
    let baggage = parse(&header).unwrap_or_else(|| {
        counts::malformed(Style::Baggage);
        Baggage::new()
    });
    if !baggage.is_empty() {
        counts::extracted(Style::Baggage);
    }
    baggage
}

/// The items within the limits; nothing if one of them is none.
fn parse(header: &[u8]) -> Option<Baggage> {
    let mut baggage = Baggage::new();
    let mut bytes = 0;
    for (index, item) in header.split(|&byte| byte == b',').enumerate() {
        if index == MAX_ITEMS {
            counts::too_many_items();
            break;
        }
        let equals = item.iter().position(|&byte| byte == b'=')?;
        let more = item.len() + usize::from(!baggage.is_empty());
        if bytes + more > MAX_BYTES {
            counts::too_many_bytes();
            break;
        }
        bytes += more;
        let key = decode(item[..equals].trim_ascii());
        let value = decode(item[equals + 1..].trim_ascii());
        if key.is_empty() || value.is_empty() {
            return None;
        }
        baggage.set(&key, &value);
    }
    Some(baggage)
}

/// Writes the header; one allocation. False if there is nothing to write.
///
/// An item without key or value is left out: it would lose all others on the other side.
pub(super) fn inject(baggage: &Baggage, carrier: &mut dyn CarrierMut) -> bool {
    if baggage.is_empty() {
        return false;
    }
    let mut header = String::new();
    let items = baggage
        .iter()
        .map(|(key, value)| (key.trim(), value.trim()))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty());
    for (index, (key, value)) in items.enumerate() {
        if index == MAX_ITEMS {
            counts::too_many_items();
            break;
        }
        let before = header.len();
        if before > 0 {
            header.push(',');
        }
        encode(key, is_key_byte, &mut header);
        header.push('=');
        encode(value, is_value_byte, &mut header);
        if header.len() > MAX_BYTES {
            counts::too_many_bytes();
            header.truncate(before);
            break;
        }
    }
    if header.is_empty() {
        return false;
    }
    carrier.set(BAGGAGE, header.as_bytes());
    true
}

/// Reads the older headers: one per item, by the beginning of their names.
pub(super) fn extract_old(carrier: &dyn Carrier) -> Baggage {
    let mut baggage = Baggage::new();
    let mut bytes = 0;
    carrier.keys(&mut |name| {
        let Some((prefix, key)) = name.split_at_checked(OLD_PREFIX.len()) else {
            return;
        };
        if !prefix.eq_ignore_ascii_case(OLD_PREFIX) || key.is_empty() {
            return;
        }
        let lower = name.to_ascii_lowercase();
        let Some(value) = carrier.get(&lower) else {
            return;
        };
        let more = key.len() + value.len();
        if baggage.len() < MAX_ITEMS && bytes + more <= MAX_BYTES {
            bytes += more;
            let value = String::from_utf8_lossy(value);
            baggage.set(&lower[OLD_PREFIX.len()..], value.trim());
        }
    });
    baggage
}

/// Writes the older headers. What a header cannot hold is left out by the carrier, and other than printable ASCII here.
pub(super) fn inject_old(baggage: &Baggage, carrier: &mut dyn CarrierMut) {
    let mut bytes = 0;
    for (key, value) in baggage.iter().take(MAX_ITEMS) {
        bytes += key.len() + value.len();
        if bytes > MAX_BYTES {
            return;
        }
        let is_name = key.bytes().all(is_key_byte) && !key.is_empty();
        if is_name && value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            let name = format!("{OLD_PREFIX}{}", key.to_ascii_lowercase());
            carrier.set(&name, value.as_bytes());
        }
    }
}

/// What a token may hold (RFC 9110 §5.6.2), apart from `%`, which begins an encoded byte.
const fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// Printable ASCII without space, `"`, `,`, `;` and `\`, which the recommendation rules out, and without `%`; the reference
/// tracer encodes `=` as well.
const fn is_value_byte(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b'%' | b',' | b';' | b'=' | b'\\')
}

fn encode(text: &str, is_plain: impl Fn(u8) -> bool, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.reserve(text.len());
    for byte in text.bytes() {
        if is_plain(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// Percent-decoded; a `%` that begins no byte stands for itself, and what is no UTF-8 is replaced.
fn decode(text: &[u8]) -> Cow<'_, str> {
    if !text.contains(&b'%') {
        return String::from_utf8_lossy(text);
    }
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn read(header: &str) -> Option<Vec<(String, String)>> {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        parse(header.as_bytes()).map(|baggage| baggage.iter().map(owned).collect())
    }

    #[test]
    fn one_bad_item_loses_all() {
        for header in [
            "a=1,b",
            "a=1,",
            "a=1,=2",
            "a=1,b=",
            "a=1, = ",
            "a=1,%20=%20,=",
            "x",
        ] {
            assert_eq!(read(header), None, "{header:?}");
        }
        let one = |key: &str, value: &str| Some(vec![(key.to_owned(), value.to_owned())]);
        assert_eq!(read("a=1,a=2"), one("a", "2"));
        assert_eq!(read("a=b=c"), one("a", "b=c"));
        assert_eq!(read("a=1;p=2"), one("a", "1;p=2"));
        assert_eq!(read("a=%zz%4"), one("a", "%zz%4"));
        assert_eq!(read("%61=%C3%A9+%ff"), one("a", "\u{e9}+\u{fffd}"));
    }

    #[test]
    fn what_exceeds_the_limits_is_left_out_and_counted() {
        let before = counts::truncation_counts();
        let many: Vec<String> = (0..65).map(|number| format!("k{number}=v")).collect();
        let read = parse(many.join(",").as_bytes()).unwrap();
        assert_eq!((read.len(), read.get("k64")), (64, None));
        let long = format!("a=1,b={},c=2", "x".repeat(MAX_BYTES));
        let read = parse(long.as_bytes()).unwrap();
        assert_eq!((read.len(), read.get("a")), (1, Some("1")));

        let baggage: Baggage = (0..65).map(|number| (format!("k{number}"), "v")).collect();
        let mut headers = BTreeMap::new();
        assert!(inject(&baggage, &mut headers));
        assert_eq!(headers["baggage"].split(',').count(), 64);
        let baggage: Baggage = [("a", "1"), ("b", &*"\u{e9}".repeat(MAX_BYTES / 3))]
            .into_iter()
            .collect();
        assert!(inject(&baggage, &mut headers));
        assert_eq!(headers["baggage"], "a=1");
        let after = counts::truncation_counts();
        assert!(after.too_many_items >= before.too_many_items + 2);
        assert!(after.too_many_bytes >= before.too_many_bytes + 2);
    }

    #[test]
    fn items_that_would_lose_the_others_are_not_written() {
        let mut headers = BTreeMap::new();
        let baggage: Baggage = [("", "1"), (" ", "1"), ("a", ""), (" b ", " 2 ")]
            .into_iter()
            .collect();
        assert!(inject(&baggage, &mut headers));
        assert_eq!(headers["baggage"], "b=2");
        let empty: Baggage = [("a", "")].into_iter().collect();
        headers.clear();
        assert!(!inject(&empty, &mut headers) && headers.is_empty());
    }

    #[test]
    fn older_headers_are_found_by_their_beginning() {
        let headers = BTreeMap::from([
            ("OT-Baggage-Key".to_owned(), " v ".to_owned()),
            ("ot-baggage-".to_owned(), "no key".to_owned()),
            ("ot-baggage".to_owned(), "no key".to_owned()),
            ("x".to_owned(), "y".to_owned()),
        ]);
        let baggage = extract_old(&headers);
        assert_eq!(baggage.iter().collect::<Vec<_>>(), [("key", "v")]);
        let mut written = BTreeMap::new();
        let items = [("Key", "v"), ("bad key", "v"), ("bad", "\u{e9}")];
        inject_old(&items.into_iter().collect(), &mut written);
        let expected = BTreeMap::from([("ot-baggage-key".to_owned(), "v".to_owned())]);
        assert_eq!(written, expected);
    }
}
