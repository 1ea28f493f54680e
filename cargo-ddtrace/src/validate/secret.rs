//! Values that look like secrets: found, masked before anything is kept, and reported.
//!
//! This runs before all other rules and changes the payload, so that neither the store nor the pointer of a finding ever
//! holds the value; the raw bytes of such a request are not kept. It looks at the beginnings of words only, and so costs about a
//! nanosecond per byte. A wrong guess costs a masked value on the page of a development tool; what it
//! protects is a screenshot or an export that leaves the machine.

use super::{Check, Finding, Level, Rule};
use crate::intake::model::Payload;

/// The rules of this file.
pub static RULES: &[&Rule] = &[&SECRET];

/// A value that looks like a secret.
pub static SECRET: Rule = Rule {
    id: "values.secret",
    level: Level::Violation,
    sentence: "a value looks like a secret",
    advice: "do not tag it, or obfuscate it before sending; it is shown masked here, and its bytes were not kept",
    check: Check::Elsewhere,
};

/// Masks every secret-like value of a payload and says where they were.
pub fn mask(payload: &mut Payload<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (c, chunk) in payload.chunks.iter().enumerate() {
        for (s, at) in chunk.spans.clone().enumerate() {
            let span = &mut payload.spans[at];
            let mut found = |field: String, kind: &str| {
                findings.push(Finding {
                    rule: &SECRET,
                    chunk: Some(c),
                    span: Some(s),
                    field,
                    detail: format!("looks like {kind}"),
                });
            };
            if let Some((masked, kind)) = masked(&span.resource) {
                span.resource = masked.into();
                found("resource".into(), kind);
            }
            for (key, value) in &mut payload.meta[span.meta.clone()] {
                if let Some((masked, kind)) = masked_tag(key, value) {
                    *value = masked.into();
                    found(format!("meta[{key:?}]"), kind);
                }
            }
            for event in span.extra.iter_mut().flat_map(|extra| &mut extra.events) {
                for (key, value) in &mut event.attributes {
                    if let Some((masked, kind)) =
                        value.as_str().and_then(|text| masked_tag(key, text))
                    {
                        *value = masked.into();
                        found(format!("span_events attribute {key:?}"), kind);
                    }
                }
            }
        }
    }
    findings
}

/// The value of a tag without its secret, and what it looked like; `None` if it holds none.
pub fn masked_tag(key: &str, value: &str) -> Option<(String, &'static str)> {
    if names_secret(key) && is_unmasked(value) {
        return Some((MASK.to_owned(), "a secret by its name"));
    }
    masked(value)
}

/// What stands in a secret's place.
pub const MASK: &str = "<masked>";

/// A text without its secrets.
pub fn masked(text: &str) -> Option<(String, &'static str)> {
    let (mut begin, end, kind) = find(text.as_bytes())?;
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    let mut next = Some((end, kind));
    while let Some((end, _)) = next {
        clean.push_str(&rest[..begin]);
        clean.push_str(MASK);
        rest = &rest[end..];
        next = find(rest.as_bytes()).map(|(b, e, kind)| {
            begin = b;
            (e, kind)
        });
    }
    clean.push_str(rest);
    Some((clean, kind))
}

/// Whether bytes of any kind hold something that looks like a secret.
pub fn in_bytes(bytes: &[u8]) -> bool {
    find(bytes).is_some()
}

fn is_unmasked(value: &str) -> bool {
    value.len() >= 6
        && !value
            .bytes()
            .all(|b| matches!(b, b'*' | b'x' | b'X' | b'?'))
        && !value.starts_with('<')
        && !value.eq_ignore_ascii_case("redacted")
        && !matches!(value, "false" | "[REDACTED]")
}

fn names_secret(key: &str) -> bool {
    const NAMES: [&str; 11] = [
        "password",
        "passwd",
        "secret",
        "api_key",
        "api-key",
        "apikey",
        "access_token",
        "auth_token",
        "refresh_token",
        "authorization",
        "private_key",
    ];
    // Only a name that ends so: `password.length` and `secret_count` tell nothing.
    key.len() >= 6
        && NAMES.iter().any(|name| {
            key.len() >= name.len()
                && key.as_bytes()[key.len() - name.len()..].eq_ignore_ascii_case(name.as_bytes())
        })
}

/// The first secret: its range (on character borders, since all its bytes are ASCII) and its kind.
fn find(bytes: &[u8]) -> Option<(usize, usize, &'static str)> {
    let mut in_word = false;
    for at in 0..bytes.len() {
        let byte = bytes[at];
        let starts = !in_word;
        in_word = byte.is_ascii_alphanumeric();
        let found = match byte {
            b':' => password_in_url(bytes, at),
            b'-' if starts && bytes[at..].starts_with(b"-----BEGIN ") => private_key(bytes, at),
            b'B' | b'b' if starts => bearer(bytes, at),
            b'A' if starts => token(
                bytes,
                at,
                &[b"AKIA", b"ASIA"],
                16,
                upper_or_digit,
                "an AWS access key",
            ),
            b'g' if starts => token(
                bytes,
                at,
                &[b"ghp_", b"gho_", b"ghs_", b"ghu_", b"ghr_"],
                30,
                alphanumeric,
                "a GitHub token",
            )
            .or_else(|| token(bytes, at, &[b"github_pat_"], 30, wordy, "a GitHub token")),
            b'x' if starts => token(
                bytes,
                at,
                &[b"xoxb-", b"xoxp-", b"xoxa-", b"xoxs-", b"xoxr-"],
                16,
                base64url,
                "a Slack token",
            ),
            b's' if starts => token(
                bytes,
                at,
                &[b"sk-proj-", b"sk-ant-", b"sk-"],
                20,
                base64url,
                "an API key",
            )
            .or_else(|| {
                token(
                    bytes,
                    at,
                    &[b"sk_live_", b"sk_test_"],
                    16,
                    alphanumeric,
                    "an API key",
                )
            }),
            b'e' if starts => json_web_token(bytes, at),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

type Found = Option<(usize, usize, &'static str)>;

fn upper_or_digit(b: u8) -> bool {
    b.is_ascii_uppercase() || b.is_ascii_digit()
}

fn alphanumeric(b: u8) -> bool {
    b.is_ascii_alphanumeric()
}

fn wordy(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_'
}

fn base64url(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
}

fn run(bytes: &[u8], from: usize, of: fn(u8) -> bool) -> usize {
    bytes[from..].iter().take_while(|b| of(**b)).count()
}

fn token(
    bytes: &[u8],
    at: usize,
    prefixes: &[&[u8]],
    least: usize,
    of: fn(u8) -> bool,
    kind: &'static str,
) -> Found {
    let prefix = prefixes
        .iter()
        .find(|prefix| bytes[at..].starts_with(prefix))?;
    let begin = at + prefix.len();
    let length = run(bytes, begin, of);
    // Keys of machines have digits; what has none is a slug such as `sk-learn-and-other-words`.
    let has_digit = bytes[begin..begin + length].iter().any(u8::is_ascii_digit);
    (length >= least && has_digit).then_some((at, begin + length, kind))
}

fn bearer(bytes: &[u8], at: usize) -> Found {
    let word = bytes.get(at..at + 7)?;
    if !word.eq_ignore_ascii_case(b"bearer ") {
        return None;
    }
    let of = |b: u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~' | b'+' | b'/' | b'=')
    };
    let length = run(bytes, at + 7, of);
    (length >= 16).then_some((at + 7, at + 7 + length, "a bearer token"))
}

fn json_web_token(bytes: &[u8], at: usize) -> Found {
    if !bytes[at..].starts_with(b"eyJ") {
        return None;
    }
    let of = |b: u8| base64url(b) || b == b'.';
    let length = run(bytes, at, of);
    let dots = bytes[at..at + length]
        .iter()
        .filter(|b| **b == b'.')
        .count();
    (length >= 40 && dots == 2).then_some((at, at + length, "a JSON web token"))
}

fn private_key(bytes: &[u8], at: usize) -> Found {
    let line = &bytes[at..bytes.len().min(at + 64)];
    if !line.windows(11).any(|window| window == b"PRIVATE KEY") {
        return None;
    }
    // To the end: where the closing line is missing, the key was cut and all of the rest is key. The end is moved on to
    // a character border.
    let end = bytes[at + 11..]
        .windows(9)
        .position(|window| window == b"-----END ")
        .map_or(bytes.len(), |n| at + 11 + n);
    Some((at, end, "a private key"))
}

fn password_in_url(bytes: &[u8], at: usize) -> Found {
    if !bytes[at..].starts_with(b"://") {
        return None;
    }
    let begin = at + 3;
    let of = |b: u8| {
        b.is_ascii_graphic() && !matches!(b, b'/' | b'?' | b'#' | b'"' | b'\'' | b'<' | b'>' | b',')
    };
    let authority = &bytes[begin..begin + run(bytes, begin, of)];
    let user_info = &authority[..authority.iter().rposition(|b| *b == b'@')?];
    let colon = user_info.iter().position(|b| *b == b':')?;
    let password = &user_info[colon + 1..];
    if password.is_empty()
        || password.iter().all(|b| matches!(b, b'*' | b'x' | b'?'))
        || password == b"redacted"
    {
        return None;
    }
    Some((
        begin + colon + 1,
        begin + user_info.len(),
        "a password in a URL",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn secrets_are_masked_and_the_rest_stays() {
        let cases = [
            (
                "postgres://shop:hunter2@db:5432/x",
                "postgres://shop:<masked>@db:5432/x",
            ),
            (
                "Authorization: Bearer abcdef0123456789abcdef",
                "Authorization: Bearer <masked>",
            ),
            ("key AKIAIOSFODNN7EXAMPLE end", "key <masked> end"),
            ("ghp_0123456789abcdefghijklmnopqrstuvwxyz", "<masked>"),
            (
                "a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-_def b",
                "a <masked> b",
            ),
            (
                "x -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA",
                "x <masked>-----END RSA",
            ),
            (
                "http://a:b@c http://d:e@f",
                "http://a:<masked>@c http://d:<masked>@f",
            ),
        ];
        for (text, clean) in cases {
            assert_eq!(
                masked(text).map(|(clean, _)| clean).as_deref(),
                Some(clean),
                "{text}"
            );
        }
    }

    #[test]
    fn ordinary_values_stay_as_they_are() {
        for text in [
            "http://localhost:8126/v0.4/traces?a=b@c",
            "postgres://shop:***@db/x",
            "redis://cache:6379",
            "SELECT * FROM users WHERE id = ?",
            "bearer of bad news",
            "sk-learn-and-some-more-words-here",
            "task-sk-1",
            "Grüße :// @",
        ] {
            assert_eq!(masked(text), None, "{text}");
        }
        assert_eq!(
            masked_tag("user.password", "hunter2"),
            Some((MASK.into(), "a secret by its name"))
        );
        assert_eq!(masked_tag("password_length", "1234567"), None);
        assert_eq!(masked_tag("db.password", "********"), None);
    }

    proptest! {
        #[test]
        fn any_text_can_be_masked(text in "\\PC{0,80}", secret in "(http://a:b@c|-----BEGIN PRIVATE KEY-----|Bearer abcdefghijklmnopq)?") {
            let text = format!("{text} {secret}{text}");
            if let Some((clean, _)) = masked(&text) {
                prop_assert!(clean.contains(MASK));
            }
        }
    }
}
