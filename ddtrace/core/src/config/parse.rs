//! From the text of a setting to its value, by the rules of `spec/core.md` §1.2.
//!
//! Parsing never fails a program. What is wrong becomes a [`Note`]: either the whole text is
//! unusable (no value: the next lower source counts) or a part of it was dropped or adjusted.

use serde::de::IgnoredAny;

use super::agent_url::{AgentUrl, DogstatsdAddress, is_host, without_brackets, without_userinfo};
use super::secret::Secret;
use super::setting::{Beyond, Kind};
use super::table::STYLES;
use super::value::Value;
use crate::diagnostics::Level;

/// What came of a text.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    pub(super) value: Option<Value>,
    pub(super) notes: Vec<Note>,
}

/// Something to tell about a text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Note {
    pub(super) level: Level,
    /// What would have been right.
    pub(super) expected: String,
    /// What is used instead; `None` if the whole text is unusable, so that it depends on other sources.
    pub(super) used: Option<String>,
}

impl Outcome {
    pub(super) fn value(value: Value) -> Outcome {
        Outcome {
            value: Some(value),
            notes: Vec::new(),
        }
    }

    pub(super) fn unusable(expected: impl Into<String>) -> Outcome {
        let note = Note {
            level: Level::Warn,
            expected: expected.into(),
            used: None,
        };
        Outcome {
            value: None,
            notes: vec![note],
        }
    }

    fn noting(mut self, level: Level, expected: impl Into<String>) -> Outcome {
        let used = self.value.as_ref().map(Value::to_string);
        self.notes.push(Note {
            level,
            expected: expected.into(),
            used,
        });
        self
    }
}

/// The text as it may be shown and reported: without secrets.
pub(super) fn shown(kind: &Kind, text: &str) -> String {
    match kind {
        Kind::Secret => Secret::new(text).to_string(),
        Kind::Url | Kind::AgentUrl | Kind::DogstatsdUrl => without_userinfo(text),
        _ => text.to_owned(),
    }
}

/// Reads a text as the kind says.
pub(super) fn parse(kind: &Kind, text: &str) -> Outcome {
    match *kind {
        Kind::Flag => {
            let text = text.trim();
            Outcome::value(Value::Flag(
                text == "1" || text.eq_ignore_ascii_case("true"),
            ))
        }
        Kind::Integer { min, max, beyond } => integer(text, min, max, beyond),
        Kind::Number { min, max } => number(text, min, max),
        Kind::Text => Outcome::value(Value::Text(text.trim().to_owned())),
        Kind::Choice(words) => choice(text, words),
        Kind::List => Outcome::value(Value::List(items(text).map(str::to_owned).collect())),
        Kind::Tags => tags(text),
        Kind::Mapping => mapping(text),
        Kind::HeaderTags => header_tags(text),
        Kind::Secret => Outcome::value(Value::Secret(Secret::new(text.trim()))),
        Kind::Url => Outcome::value(Value::Text(without_userinfo(text.trim()))),
        Kind::StatusRanges => status_ranges(text),
        Kind::JsonArray => json_array(text),
        Kind::Styles => styles(text),
        Kind::Regexp => regexp(text),
        Kind::AgentUrl => match AgentUrl::parse(text) {
            Some(url) => Outcome::value(Value::Agent(url)),
            None => Outcome::unusable("http://host:port, https://host:port or unix:///path"),
        },
        Kind::DogstatsdUrl => match DogstatsdAddress::parse(text) {
            Some(address) => Outcome::value(Value::Dogstatsd(address)),
            None => Outcome::unusable("udp://host:port or unix:///path"),
        },
        Kind::Host => {
            let host = without_brackets(text.trim().to_owned());
            if is_host(&host) {
                Outcome::value(Value::Text(host))
            } else {
                Outcome::unusable("the name or the address of a host")
            }
        }
    }
}

fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn integer(text: &str, min: i64, max: i64, beyond: Beyond) -> Outcome {
    let bounds = match (min, max) {
        (i64::MIN, i64::MAX) => "a whole number".to_owned(),
        (_, i64::MAX) => format!("a whole number from {min}"),
        _ => format!("a whole number from {min} to {max}"),
    };
    match text.trim().parse::<i64>() {
        Ok(value) if (min..=max).contains(&value) => Outcome::value(Value::Integer(value)),
        Ok(value) if beyond == Beyond::Nearest => {
            Outcome::value(Value::Integer(value.clamp(min, max))).noting(Level::Warn, bounds)
        }
        _ => Outcome::unusable(bounds),
    }
}

fn number(text: &str, min: f64, max: f64) -> Outcome {
    match text.trim().parse::<f64>() {
        Ok(value) if (min..=max).contains(&value) => Outcome::value(Value::Number(value)),
        _ => Outcome::unusable(format!("a number from {min} to {max}")),
    }
}

fn choice(text: &str, words: &[&str]) -> Outcome {
    let word = words
        .iter()
        .find(|word| word.eq_ignore_ascii_case(text.trim()));
    match word {
        Some(word) => Outcome::value(Value::Text((*word).to_owned())),
        None => Outcome::unusable(format!("one of {}", words.join(", "))),
    }
}

/// Adds a pair; a later one takes the place of an earlier one with the same key.
fn put(pairs: &mut Vec<(String, String)>, key: &str, value: &str) {
    match pairs.iter_mut().find(|(known, _)| known == key) {
        Some(pair) => pair.1 = value.to_owned(),
        None => pairs.push((key.to_owned(), value.to_owned())),
    }
}

fn tags(text: &str) -> Outcome {
    let mut pairs = Vec::new();
    let mut dropped = false;
    let mut take = |item: &str| {
        let (key, value) = item.split_once(':').unwrap_or((item, ""));
        match key.trim() {
            "" => dropped |= !item.trim().is_empty(),
            key => put(&mut pairs, key, value.trim()),
        }
    };
    if text.contains(',') {
        text.split(',').for_each(&mut take);
    } else {
        text.split_whitespace().for_each(&mut take);
    }
    let outcome = Outcome::value(Value::Pairs(pairs));
    if dropped {
        outcome.noting(Level::Debug, "a key in every key:value item")
    } else {
        outcome
    }
}

fn mapping(text: &str) -> Outcome {
    let mut pairs = Vec::new();
    let mut dropped = false;
    for item in items(text) {
        match item
            .split_once(':')
            .map(|(from, to)| (from.trim(), to.trim()))
        {
            Some((from, to)) if !from.is_empty() && !to.is_empty() => put(&mut pairs, from, to),
            _ => dropped = true,
        }
    }
    let outcome = Outcome::value(Value::Pairs(pairs));
    if dropped {
        outcome.noting(Level::Warn, "from:to items separated by commas")
    } else {
        outcome
    }
}

/// Header names in lower case, each with its tag; an empty tag means the usual name.
fn header_tags(text: &str) -> Outcome {
    let mut pairs = Vec::new();
    let mut dropped = false;
    for item in items(text) {
        let (header, tag) = item.split_once(':').unwrap_or((item, ""));
        match header.trim() {
            "" => dropped = true,
            header => put(&mut pairs, &header.to_lowercase(), tag.trim()),
        }
    }
    let outcome = Outcome::value(Value::Pairs(pairs));
    if dropped {
        outcome.noting(
            Level::Warn,
            "Header or Header:tag items separated by commas",
        )
    } else {
        outcome
    }
}

fn status_ranges(text: &str) -> Outcome {
    let mut ranges = Vec::new();
    let mut dropped = false;
    for item in items(text) {
        let (low, high) = item.split_once('-').unwrap_or((item, item));
        match (low.trim().parse::<u16>(), high.trim().parse::<u16>()) {
            (Ok(low), Ok(high)) => ranges.push((low.min(high), low.max(high))),
            _ => dropped = true,
        }
    }
    let outcome = Outcome::value(Value::Ranges(ranges));
    if dropped {
        outcome.noting(Level::Warn, "status codes and ranges such as 500-599,404")
    } else {
        outcome
    }
}

fn json_array(text: &str) -> Outcome {
    match serde_json::from_str::<Vec<IgnoredAny>>(text) {
        Ok(_) => Outcome::value(Value::Text(text.trim().to_owned())),
        Err(_) => Outcome::unusable("a JSON array"),
    }
}

/// Style names in lower case, each once. `none` alone means no style, and nothing among others.
pub(super) fn styles(text: &str) -> Outcome {
    let mut styles: Vec<String> = Vec::new();
    let (mut unknown, mut none) = (false, false);
    for item in items(text) {
        let name = match item.to_ascii_lowercase() {
            name if name == "b3 single header" => "b3".to_owned(),
            name => name,
        };
        match STYLES.contains(&name.as_str()) {
            true if name == "none" => none = true,
            true if !styles.contains(&name) => styles.push(name),
            true => {}
            false => unknown = true,
        }
    }
    let expected = || format!("styles among {}", STYLES.join(", "));
    if styles.is_empty() && !none {
        return Outcome::unusable(expected());
    }
    let outcome = Outcome::value(Value::List(styles));
    if unknown {
        outcome.noting(Level::Warn, expected())
    } else {
        outcome
    }
}

/// An invalid expression stays a value: whoever reads it must redact everything rather than nothing.
fn regexp(text: &str) -> Outcome {
    let valid = text.is_empty() || is_regexp(text);
    let mut outcome = Outcome::value(Value::Text(text.to_owned()));
    if !valid {
        outcome.notes.push(Note {
            level: Level::Warn,
            expected: "a regular expression without look-around or back-references".to_owned(),
            used: Some("nothing, query strings are not tagged".to_owned()),
        });
    }
    outcome
}

/// Whether the text compiles in the way in which expressions from settings are used.
pub(super) fn is_regexp(text: &str) -> bool {
    let mut builder = regex::bytes::RegexBuilder::new(text);
    builder.unicode(false).size_limit(1 << 20).build().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(kind: Kind, text: &str) -> String {
        let outcome = parse(&kind, text);
        let value = outcome
            .value
            .map_or("-".to_owned(), |value| value.to_string());
        let marks: String = outcome
            .notes
            .iter()
            .map(|note| {
                if note.level == Level::Warn {
                    " !"
                } else {
                    " ."
                }
            })
            .collect();
        value + &marks
    }

    #[test]
    fn every_kind_reads_good_text_and_marks_bad_text() {
        let port = Kind::Integer {
            min: 1,
            max: 65_535,
            beyond: Beyond::Default,
        };
        let length = Kind::Integer {
            min: 0,
            max: i64::MAX,
            beyond: Beyond::Nearest,
        };
        let seconds = Kind::Number {
            min: 0.001,
            max: 60.0,
        };
        let cases = [
            (Kind::Flag, "TRUE", "true"),
            (Kind::Flag, "1", "true"),
            (Kind::Flag, "yes", "false"),
            (Kind::Flag, "on", "false"),
            (Kind::Flag, "", "false"),
            (port, " 80 ", "80"),
            (port, "0", "- !"),
            (port, "x", "- !"),
            (length, "-1", "0 !"),
            (length, "1e3", "- !"),
            (length, "99999999999999999999", "- !"),
            (seconds, "2", "2"),
            (seconds, "0.5", "0.5"),
            (seconds, "NaN", "- !"),
            (seconds, "inf", "- !"),
            (seconds, "0", "- !"),
            (Kind::Choice(&["v0", "v1"]), " V1", "v1"),
            (Kind::Choice(&["v0", "v1"]), "v2", "- !"),
            (Kind::List, " a ,,b, ", "a,b"),
            (Kind::Tags, "a:1 b:2", "a:1,b:2"),
            (Kind::Tags, "a:1,a:2", "a:2"),
            (Kind::Tags, "a:b:c", "a:b:c"),
            (Kind::Tags, ":x,a:1", "a:1 ."),
            (Kind::Tags, "a:1,,", "a:1"),
            (Kind::Mapping, "a:b, c : d", "a:b,c:d"),
            (Kind::Mapping, "a:b,c,:d,e:", "a:b !"),
            (
                Kind::HeaderTags,
                "X-B3.Z:,User-Agent : ua",
                "x-b3.z:,user-agent:ua",
            ),
            (Kind::HeaderTags, ":t,A", "a: !"),
            (Kind::Secret, "0123456789abcdef", "****cdef"),
            (Kind::Url, "https://user:secret@h/r.git", "https://h/r.git"),
            (
                Kind::StatusRanges,
                "400-403,500-501,501",
                "400-403,500-501,501",
            ),
            (Kind::StatusRanges, "250-200", "200-250"),
            (Kind::StatusRanges, "x,404,5-y", "404 !"),
            (Kind::StatusRanges, "", ""),
            (
                Kind::JsonArray,
                r#"[{"sample_rate":0.1}]"#,
                r#"[{"sample_rate":0.1}]"#,
            ),
            (Kind::JsonArray, "{}", "- !"),
            (Kind::JsonArray, "[", "- !"),
            (
                Kind::Styles,
                "Datadog,datadog, B3 single header",
                "datadog,b3",
            ),
            (Kind::Styles, "none", ""),
            (Kind::Styles, "none,datadog", "datadog"),
            (Kind::Styles, "datadog,xray", "datadog !"),
            (Kind::Styles, "xray", "- !"),
            (Kind::Regexp, "a.*b", "a.*b"),
            (Kind::Regexp, "(", "( !"),
            (Kind::Regexp, "(?=x)", "(?=x) !"),
            (Kind::Host, "[::1]", "::1"),
            (Kind::Host, "agent.svc", "agent.svc"),
            (Kind::Host, "http://h", "- !"),
            (Kind::AgentUrl, "h:8126", "- !"),
            (Kind::DogstatsdUrl, "udp://h", "udp://h:8125"),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(read(kind, text), expected, "{kind:?} of {text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,60}") {
            for row in super::super::table::SETTINGS {
                let _ = parse(&row.kind, &text);
            }
        }
    }
}
