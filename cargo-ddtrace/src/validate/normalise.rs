//! What the Agent would store instead of what was sent.
//!
//! Users otherwise meet these changes only in production. The rules are those of the Agent's normaliser; obfuscation of
//! statements, which comes after it there, is not shown.

use super::time::YEAR_2000;
use super::values::{RESOURCE_LIMIT, SHORT, is_status};

/// One difference between what was sent and what would be stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, or `meta["k"]`.
    pub field: &'static str,
    /// As it was sent.
    pub sent: String,
    /// As it would be stored.
    pub stored: String,
    /// Which rule changes it.
    pub why: &'static str,
}

/// The fields that are looked at.
#[derive(Debug, Default)]
#[allow(missing_docs)] // the fields of a span
pub struct Fields<'a> {
    pub service: &'a str,
    pub name: &'a str,
    pub resource: &'a str,
    pub span_type: &'a str,
    pub trace_id: u64,
    pub span_id: u64,
    pub parent_id: u64,
    pub start: i64,
    pub duration: i64,
    pub env: Option<&'a str>,
    pub status_code: Option<&'a str>,
    pub received: i64,
}

/// The differences for one span.
pub fn differences(span: &Fields<'_>) -> Vec<Difference> {
    let mut list = Vec::new();
    let mut differ = |field, sent: String, stored: String, why| {
        if sent != stored {
            list.push(Difference {
                field,
                sent,
                stored,
                why,
            });
        }
    };
    let (service, why) = match tag_value(span.service, SHORT) {
        service if !service.is_empty() => (
            service,
            "a service is a tag value: lower case, at most 100 bytes",
        ),
        _ => (
            "unnamed-service".to_owned(),
            "a span without a service gets this one",
        ),
    };
    differ("service", span.service.to_owned(), service, why);
    let (name, why) = match operation_name(span.name) {
        name if !name.is_empty() => (
            name,
            "a name is letters, digits, '_' and '.', at most 100 bytes",
        ),
        _ => (
            "unnamed_operation".to_owned(),
            "a span without a name gets this one",
        ),
    };
    let stored_name = name.clone();
    differ("name", span.name.to_owned(), name, why);
    if span.resource.is_empty() {
        differ(
            "resource",
            String::new(),
            stored_name,
            "a span without a resource gets its name",
        );
    } else {
        let cut = cut(span.resource, RESOURCE_LIMIT).to_owned();
        differ(
            "resource",
            span.resource.to_owned(),
            cut,
            "a resource is cut at 5,000 bytes",
        );
    }
    differ(
        "type",
        span.span_type.to_owned(),
        cut(span.span_type, SHORT).to_owned(),
        "a type is cut at 100 bytes",
    );
    let duration = match span.duration {
        d if d < 0 || span.start.checked_add(d).is_none() => 0,
        d => d,
    };
    differ(
        "duration",
        span.duration.to_string(),
        duration.to_string(),
        "a negative or overflowing duration is 0",
    );
    if span.start < YEAR_2000 {
        let start = span.received.saturating_sub(duration).max(0);
        differ(
            "start",
            span.start.to_string(),
            start.to_string(),
            "a start before 2000 is the time of receipt less the duration",
        );
    }
    if span.parent_id == span.trace_id && span.parent_id == span.span_id {
        differ(
            "parent_id",
            span.parent_id.to_string(),
            "0".into(),
            "a parent that is the trace and the span is none",
        );
    }
    if let Some(env) = span.env {
        differ(
            "meta[\"env\"]",
            env.to_owned(),
            tag_value(env, 200),
            "an environment is a tag value: lower case",
        );
    }
    if let Some(status) = span.status_code.filter(|status| !is_status(status)) {
        differ(
            "meta[\"http.status_code\"]",
            status.to_owned(),
            String::new(),
            "a status outside of 100 to 599 is removed",
        );
    }
    list
}

/// The longest beginning of at most `limit` bytes that ends between characters.
fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        return text;
    }
    let end = (0..=limit)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    &text[..end]
}

/// A tag value: lower case; letters, digits, `:./-` stay, other characters are `_`, once; begins with a letter or `:`.
pub fn tag_value(text: &str, limit: usize) -> String {
    let mut value = String::new();
    let mut count = 0;
    for c in text.chars() {
        if count >= limit {
            break;
        }
        if c.is_alphabetic() || c == ':' {
            value.extend(c.to_lowercase());
            count += 1;
        } else if value.is_empty() {
            // Nothing may stand before the first letter.
        } else if c.is_numeric() || matches!(c, '.' | '/' | '-') {
            value.push(c);
            count += 1;
        } else if !value.ends_with('_') {
            value.push('_');
            count += 1;
        }
    }
    let end = value.trim_end_matches('_').len();
    value.truncate(end);
    value
}

/// An operation name: ASCII letters and digits, `_` and `.`; begins with a letter.
pub fn operation_name(text: &str) -> String {
    let mut name = String::new();
    for c in cut(text, SHORT).chars() {
        if c.is_ascii_alphabetic() {
            name.push(c);
        } else if name.is_empty() {
            // Nothing may stand before the first letter.
        } else if c.is_ascii_digit() {
            name.push(c);
        } else if c == '.' {
            if name.ends_with('_') {
                name.pop();
            }
            name.push('.');
        } else if !name.ends_with(['_', '.']) {
            name.push('_');
        }
    }
    let end = name.trim_end_matches('_').len();
    name.truncate(end);
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_values_and_names_follow_the_agent() {
        // Cases of the Agent's own tests for NormalizeTag and NormalizeName.
        for (sent, stored) in [
            ("#test_starting_hash", "test_starting_hash"),
            ("TestCAPSandSuch", "testcapsandsuch"),
            (
                "Test Conversion Of Weird !@#$%^&**() Characters",
                "test_conversion_of_weird_characters",
            ),
            ("$#weird_starting", "weird_starting"),
            ("allowed:c0l0ns", "allowed:c0l0ns"),
            ("1love", "love"),
            ("123456", ""),
            ("disable_underscore__", "disable_underscore"),
        ] {
            assert_eq!(tag_value(sent, 200), stored, "{sent}");
        }
        for (sent, stored) in [
            ("good", "good"),
            ("bad-name", "bad_name"),
            ("Too.Many__Under", "Too.Many_Under"),
            ("_lead", "lead"),
            ("///", ""),
        ] {
            assert_eq!(operation_name(sent), stored, "{sent}");
        }
    }

    #[test]
    fn a_good_span_stays_as_it_is() {
        let span = Fields {
            service: "shop",
            name: "web.request",
            resource: "GET /",
            span_type: "web",
            trace_id: 1,
            span_id: 2,
            start: 1_790_000_000_000_000_000,
            duration: 5,
            status_code: Some("200"),
            ..Fields::default()
        };
        assert_eq!(differences(&span), []);
    }
}
