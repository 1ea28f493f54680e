//! What the agent says in `/info` that it throws away: `ignore_resources`, `filter_tags`, `filter_tags_regex`.
//!
//! Where statistics are made by the agent, it filters before it counts. Where they are made here, so do we, on the local root: a chunk that the
//! agent does not want is neither counted nor sent. The agent looks at tags after it has normalised `env` and left out what is no
//! HTTP status, so the same is done to what is compared here. Expressions that do not compile are left out with a line in the log. Source: datadog-agent,
//! `pkg/trace/agent`; libdatadog, `libdd-trace-utils/src/trace_filter.rs`.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use super::agent::{AgentInfo, TagFilter};
use super::finished::FinishedSpan;

/// The most memory that one compiled expression may take, in bytes.
const LARGEST: usize = 1 << 20;

/// How many characters of a value the agent looks at.
const LONGEST_TAG: usize = 200;

/// Decides which chunks go no further.
#[derive(Debug, Default)]
pub(crate) struct AgentFilters {
    ignored_resources: Vec<Regex>,
    reject: Vec<Tag>,
    require: Vec<Tag>,
}

#[derive(Debug)]
struct Tag {
    key: String,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Any,
    Exactly(String),
    Matching(Regex),
}

impl AgentFilters {
    /// The filters of an agent.
    pub(crate) fn of(info: &AgentInfo) -> Self {
        let exact = |texts: &[String]| tags(texts, |text| Some(Value::Exactly(text.to_owned())));
        let regex = |texts: &[String]| tags(texts, |text| compiled(text).map(Value::Matching));
        let all = |pick: fn(&TagFilter) -> &[String]| {
            let mut all = exact(pick(&info.filter_tags));
            all.extend(regex(pick(&info.filter_tags_regex)));
            all
        };
        Self {
            ignored_resources: info
                .ignore_resources
                .iter()
                .filter_map(|text| compiled(text))
                .collect(),
            reject: all(|filter| &filter.reject),
            require: all(|filter| &filter.require),
        }
    }

    /// Whether nothing is filtered.
    pub(crate) fn is_empty(&self) -> bool {
        self.ignored_resources.is_empty() && self.reject.is_empty() && self.require.is_empty()
    }

    /// Whether the chunk of this local root is thrown away.
    pub(crate) fn reject(&self, root: &FinishedSpan<'_>) -> bool {
        self.ignored_resources
            .iter()
            .any(|ignored| ignored.is_match(root.resource))
            || self.reject.iter().any(|tag| tag.is_on(root))
            || !self.require.iter().all(|tag| tag.is_on(root))
    }
}

impl Tag {
    fn is_on(&self, span: &FinishedSpan<'_>) -> bool {
        span.meta(&self.key)
            .and_then(|value| as_the_agent_sees(&self.key, value))
            .is_some_and(|value| match &self.value {
                Value::Any => true,
                Value::Exactly(expected) => value == expected.as_str(),
                Value::Matching(expression) => expression.is_match(&value),
            })
    }
}

/// The value of a tag as it is when the agent filters; nothing if it has taken the tag away by then.
fn as_the_agent_sees<'a>(key: &str, value: &'a str) -> Option<Cow<'a, str>> {
    match key {
        "env" => Some(normalized(value).into()),
        "http.status_code" => {
            let is_status = |status: u16| (100..600).contains(&status);
            let is_valid = value.parse().is_ok_and(is_status);
            is_valid.then_some(Cow::Borrowed(value))
        }
        _ => Some(Cow::Borrowed(value)),
    }
}

/// The agent's form of a value: lower case, one `_` for every run of what is not allowed, none at the ends.
fn normalized(value: &str) -> String {
    let mut normal = String::with_capacity(value.len());
    for c in value.chars().take(LONGEST_TAG) {
        if c.is_alphanumeric() {
            normal.extend(c.to_lowercase());
        } else if matches!(c, ':' | '.' | '/' | '-') {
            normal.push(c);
        } else if !normal.is_empty() && !normal.ends_with('_') {
            normal.push('_');
        }
    }
    normal.truncate(normal.trim_end_matches('_').len());
    normal
}

/// Reads `key` and `key:value`.
fn tags(texts: &[String], value: impl Fn(&str) -> Option<Value>) -> Vec<Tag> {
    let read = |text: &String| {
        let (key, wanted) = text.split_once(':').unwrap_or((text, ""));
        let (key, wanted) = (key.trim(), wanted.trim());
        let value = if wanted.is_empty() {
            Value::Any
        } else {
            value(wanted)?
        };
        (!key.is_empty()).then(|| Tag {
            key: key.to_owned(),
            value,
        })
    };
    texts.iter().filter_map(read).collect()
}

fn compiled(text: &str) -> Option<Regex> {
    let built = RegexBuilder::new(text).size_limit(LARGEST).build();
    if built.is_err() {
        crate::diagnostics::warn(format_args!(
            "the agent filters by an expression that cannot be used here and is left out: {text}"
        ));
    }
    built.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(body: &str) -> AgentFilters {
        AgentFilters::of(&AgentInfo::parse(body.as_bytes()).unwrap())
    }

    #[test]
    fn roots_are_rejected_as_the_agent_does() {
        let cases = [
            ("{}", false),
            (r#"{"ignore_resources": ["GET /health"]}"#, true),
            (r#"{"ignore_resources": ["^/health$"]}"#, false),
            (r#"{"ignore_resources": ["("]}"#, false),
            (r#"{"filter_tags": {"reject": ["env:prod"]}}"#, true),
            (r#"{"filter_tags": {"reject": ["env:pro"]}}"#, false),
            (r#"{"filter_tags": {"reject": [" env : prod "]}}"#, true),
            (r#"{"filter_tags": {"reject": ["env"]}}"#, true),
            (r#"{"filter_tags": {"reject": ["env:"]}}"#, true),
            (r#"{"filter_tags": {"reject": ["other", ":x", ""]}}"#, false),
            (r#"{"filter_tags": {"require": ["env:prod"]}}"#, false),
            (
                r#"{"filter_tags": {"require": ["env:prod", "other"]}}"#,
                true,
            ),
            (r#"{"filter_tags_regex": {"reject": ["env:p.*"]}}"#, true),
            (r#"{"filter_tags_regex": {"reject": ["env:^rod"]}}"#, false),
            (r#"{"filter_tags_regex": {"require": ["env:^p"]}}"#, false),
            (r#"{"filter_tags_regex": {"require": ["env:^x"]}}"#, true),
            (r#"{"filter_tags_regex": {"reject": ["env:("]}}"#, false),
        ];
        let mut root = FinishedSpan {
            resource: "GET /health",
            ..FinishedSpan::default()
        };
        root.set_meta("env", "prod");
        for (body, is_rejected) in cases {
            assert_eq!(filters(body).reject(&root), is_rejected, "{body}");
        }
        assert!(filters("{}").is_empty());
    }
    /// system-tests, `tests/parametric/test_trace_filters.py`, and the cases of the agent's own tests (`pkg/trace/traceutil`).
    #[test]
    fn tags_are_compared_as_the_agent_keeps_them() {
        let cases = [
            ("env", "Prod Env", "env:prod_env", true),
            ("env", "Prod Env", "env:Prod Env", false),
            ("env", "$#weird !@ Start_", "env:weird_start", true),
            (
                "env",
                "\u{dc}nic\u{f6}de:1.2/a-b",
                "env:\u{fc}nic\u{f6}de:1.2/a-b",
                true,
            ),
            ("http.status_code", "999", "http.status_code:999", false),
            ("http.status_code", "999", "http.status_code", false),
            ("http.status_code", "99", "http.status_code", false),
            ("http.status_code", "ok", "http.status_code", false),
            ("http.status_code", "503", "http.status_code:503", true),
            ("other", "Prod Env", "other:Prod Env", true),
        ];
        for (key, value, reject, is_rejected) in cases {
            let mut root = FinishedSpan::default();
            root.set_meta(key, value);
            let body = serde_json::json!({ "filter_tags": { "reject": [reject] } }).to_string();
            assert_eq!(
                filters(&body).reject(&root),
                is_rejected,
                "{key} {value} {reject}"
            );
        }
    }
}
