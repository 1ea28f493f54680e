//! Sampling rules: what a user (or Datadog) wants kept, by service, name, resource and tags of the local root.
//!
//! They are written as JSON, a list of objects:
//!
//! ```json
//! [{"service": "web*", "name": "*", "resource": "GET /health", "tags": {"tier": "gold"}, "sample_rate": 0.1}]
//! ```
//!
//! Only `sample_rate` is required. What is absent or `*` matches anything, the empty text only itself. A bad rule is left
//! out with an error of its own and the others stay; only what is not a list at all, or a `discard` that is not a boolean,
//! loses everything.

use std::fmt;

use serde_json::{Map, Value};

use super::glob::Glob;
use super::hash::SampleRate;
use super::priority::SamplingMechanism;
use crate::stack_text::StackText;

/// Where a rule comes from; rules of an earlier kind go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Provenance {
    /// Remote configuration, set by the customer.
    Customer,
    /// Remote configuration, computed by Datadog.
    Dynamic,
    /// The settings of this process.
    #[default]
    Local,
}

impl Provenance {
    /// Who is said to have decided.
    pub const fn mechanism(self) -> SamplingMechanism {
        match self {
            Self::Customer => SamplingMechanism::RemoteRuleCustomer,
            Self::Dynamic => SamplingMechanism::RemoteRuleDynamic,
            Self::Local => SamplingMechanism::LocalRule,
        }
    }
}

/// What a sampler has to know about a trace: its local root, at the moment of the decision.
#[derive(Clone, Copy)]
pub struct SamplingSubject<'a> {
    /// The lower 64 bits of the trace id.
    pub trace_id_low: u64,
    /// The service of the local root.
    pub service: &'a str,
    /// The environment, empty if there is none.
    pub env: &'a str,
    /// The operation name of the local root.
    pub name: &'a str,
    /// The resource of the local root.
    pub resource: &'a str,
    /// The tags of the local root; only asked if [`RuleSet::needs_tags`].
    pub tags: &'a dyn TagLookup,
}

/// Finds the tags of a span.
pub trait TagLookup {
    /// The value of `key`, if the span has it.
    fn tag(&self, key: &str) -> Option<TagValue<'_>>;
}

/// No tags.
impl TagLookup for () {
    fn tag(&self, _: &str) -> Option<TagValue<'_>> {
        None
    }
}

/// The value of a tag: text or a number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TagValue<'a> {
    /// From `meta`.
    Text(&'a str),
    /// From `metrics`.
    Number(f64),
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Rule {
    /// Pattern for the service; `None` matches any.
    pub service: Option<Glob>,
    /// Pattern for the operation name; `None` matches any.
    pub name: Option<Glob>,
    /// Pattern for the resource; `None` matches any.
    pub resource: Option<Glob>,
    /// Patterns for tags, all of which must be there and match.
    pub tags: Vec<(Box<str>, Glob)>,
    /// The share that is kept.
    pub sample_rate: SampleRate,
    /// Where the rule comes from.
    pub provenance: Provenance,
    /// Whether what this rule does not keep is not even counted.
    pub discard: bool,
}

impl Rule {
    /// A rule that matches everything.
    pub fn match_all(sample_rate: SampleRate, provenance: Provenance) -> Self {
        Self {
            service: None,
            name: None,
            resource: None,
            tags: Vec::new(),
            sample_rate,
            provenance,
            discard: false,
        }
    }

    /// Whether the rule is about this trace.
    pub fn matches(&self, subject: &SamplingSubject<'_>) -> bool {
        let is_match = |pattern: &Option<Glob>, text| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        is_match(&self.service, subject.service)
            && is_match(&self.name, subject.name)
            && is_match(&self.resource, subject.resource)
            && self.tags.iter().all(|(key, pattern)| {
                let value = subject.tags.tag(key);
                value.is_some_and(|value| matches_value(pattern, value))
            })
    }

    fn needs_tags(&self) -> bool {
        let looks_at_resource = self.resource.as_ref();
        !self.tags.is_empty()
            || looks_at_resource.is_some_and(|pattern| !pattern.matches_everything())
    }
}

/// Whole numbers match as their digits; others only a pattern that asks for presence, for their text is arbitrary.
fn matches_value(pattern: &Glob, value: TagValue<'_>) -> bool {
    match value {
        TagValue::Text(text) => pattern.matches(text),
        TagValue::Number(number) if number.fract() == 0.0 => {
            use fmt::Write;
            // The largest number has 309 digits. Adding 0 makes one out of both zeros.
            let mut digits = StackText::<320>::new();
            write!(digits, "{}", number + 0.0).is_ok() && pattern.matches(digits.as_str())
        }
        TagValue::Number(_) => pattern.is_only_wildcards(),
    }
}

/// Rules in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleSet {
    rules: Vec<Rule>,
    needs_tags: bool,
}

impl RuleSet {
    /// Puts rules in order: by provenance, and as given within one.
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| rule.provenance);
        let needs_tags = rules.iter().any(Rule::needs_tags);
        Self { rules, needs_tags }
    }

    /// Reads rules from JSON. What was wrong comes back beside what could be used.
    ///
    /// ```
    /// use ddtrace_core::sampling::RuleSet;
    ///
    /// let (rules, errors) = RuleSet::parse(r#"[{"service": "x"}, {"sample_rate": 0.5}]"#);
    /// assert_eq!(rules.rules().len(), 1);
    /// assert_eq!(errors[0].to_string(), "rule 1: expected a number as `sample_rate`, found nothing");
    /// ```
    pub fn parse(json: &str) -> (Self, Vec<RuleError>) {
        let (rules, errors) = parse_list(json, parse_rule);
        (Self::new(rules), errors)
    }

    /// The rules in order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether any rule looks at the resource or at tags: what a span may still be given after its start.
    pub const fn needs_tags(&self) -> bool {
        self.needs_tags
    }

    /// The first rule that matches.
    pub fn find(&self, subject: &SamplingSubject<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(subject))
    }
}

/// Why a rule is not used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Its position in the list, beginning with 1; `None` if the whole list is meant.
    rule: Option<usize>,
    message: String,
}

impl RuleError {
    const fn of_all(message: String) -> Self {
        Self {
            rule: None,
            message,
        }
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = self.rule {
            write!(f, "rule {rule}: ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for RuleError {}

/// What is wrong with a rule, and whether the others can be used.
pub(super) enum Fault {
    InRule(String),
    InAll(String),
}

/// Reads a JSON list of rules one by one.
pub(super) fn parse_list<R>(
    json: &str,
    parse_rule: impl Fn(&Value) -> Result<R, Fault>,
) -> (Vec<R>, Vec<RuleError>) {
    let list = match serde_json::from_str(json) {
        Ok(Value::Array(list)) => list,
        Ok(other) => {
            let message = format!("expected a list of rules, found {}", kind(Some(&other)));
            return (Vec::new(), vec![RuleError::of_all(message)]);
        }
        Err(error) => {
            let message = format!("expected a JSON list of rules, found what is no JSON ({error})");
            return (Vec::new(), vec![RuleError::of_all(message)]);
        }
    };
    let mut rules = Vec::new();
    let mut errors = Vec::new();
    for (index, value) in list.iter().enumerate() {
        match parse_rule(value) {
            Ok(rule) => rules.push(rule),
            Err(Fault::InRule(message)) => errors.push(RuleError {
                rule: Some(index + 1),
                message,
            }),
            Err(Fault::InAll(message)) => {
                let error = RuleError {
                    rule: Some(index + 1),
                    message: format!("{message}; no rule is used"),
                };
                return (Vec::new(), vec![error]);
            }
        }
    }
    (rules, errors)
}

fn parse_rule(value: &Value) -> Result<Rule, Fault> {
    let Value::Object(fields) = value else {
        return Err(Fault::InRule(format!(
            "expected an object, found {}",
            kind(Some(value))
        )));
    };
    let discard = match fields.get("discard") {
        None => false,
        Some(Value::Bool(discard)) => *discard,
        other => return Err(Fault::InAll(expected("a boolean", "discard", other))),
    };
    let sample_rate = fields.get("sample_rate");
    let Some(rate) = sample_rate.and_then(Value::as_f64) else {
        return Err(Fault::InRule(expected(
            "a number",
            "sample_rate",
            sample_rate,
        )));
    };
    Ok(Rule {
        service: parse_pattern(fields, "service")?,
        name: parse_pattern(fields, "name")?,
        resource: parse_pattern(fields, "resource")?,
        tags: parse_tags(fields.get("tags"))?,
        sample_rate: SampleRate::new(rate),
        provenance: match fields.get("provenance").and_then(Value::as_str) {
            Some("customer") => Provenance::Customer,
            Some("dynamic") => Provenance::Dynamic,
            _ => Provenance::Local,
        },
        discard,
    })
}

pub(super) fn parse_pattern(
    fields: &Map<String, Value>,
    field: &str,
) -> Result<Option<Glob>, Fault> {
    match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(pattern)) => Ok(Some(Glob::new(pattern))),
        other => Err(Fault::InRule(expected("a text", field, other))),
    }
}

fn parse_tags(tags: Option<&Value>) -> Result<Vec<(Box<str>, Glob)>, Fault> {
    let tags = match tags {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(tags)) => tags,
        other => return Err(Fault::InRule(expected("an object", "tags", other))),
    };
    let parse_tag = |(key, value): (&String, &Value)| match value {
        Value::String(pattern) => Ok((key.as_str().into(), Glob::new(pattern))),
        other => Err(Fault::InRule(expected(
            "a text",
            &format!("tags.{key}"),
            Some(other),
        ))),
    };
    tags.iter().map(parse_tag).collect()
}

pub(super) fn expected(what: &str, field: &str, found: Option<&Value>) -> String {
    format!("expected {what} as `{field}`, found {}", kind(found))
}

/// Says what a value is without repeating it, for it may be long.
pub(super) const fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None => "nothing",
        Some(Value::Null) => "null",
        Some(Value::Bool(_)) => "a boolean",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(_)) => "a text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Tags(&'static [(&'static str, TagValue<'static>)]);

    impl TagLookup for Tags {
        fn tag(&self, key: &str) -> Option<TagValue<'_>> {
            let found = self.0.iter().find(|(candidate, _)| *candidate == key);
            found.map(|&(_, value)| value)
        }
    }

    fn matches(rule: &str, tags: &'static [(&'static str, TagValue<'static>)]) -> bool {
        let (rules, errors) = RuleSet::parse(rule);
        assert_eq!(errors, []);
        let subject = SamplingSubject {
            trace_id_low: 1,
            service: "web",
            env: "prod",
            name: "http.request",
            resource: "GET /ab",
            tags: &Tags(tags),
        };
        rules.find(&subject).is_some()
    }

    #[test]
    fn every_field_that_is_there_must_match() {
        for (rule, expected) in [
            (r#"{"sample_rate":1}"#, true),
            (r#"{"sample_rate":1,"service":null,"name":"*"}"#, true),
            (r#"{"sample_rate":1,"service":"WEB","name":"http.*"}"#, true),
            (r#"{"sample_rate":1,"service":"my-*"}"#, false),
            (r#"{"sample_rate":1,"service":""}"#, false),
            // C16.
            (r#"{"sample_rate":1,"resource":"GET /?"}"#, false),
            (r#"{"sample_rate":1,"tags":{}}"#, true),
            (r#"{"sample_rate":1,"tags":{"missing":"*"}}"#, false),
        ] {
            assert_eq!(matches(&format!("[{rule}]"), &[]), expected, "{rule}");
        }
    }

    /// Rows C28 to C32.
    #[test]
    fn tags_match_as_the_table_says() {
        use TagValue::{Number, Text};
        let both = r#"[{"sample_rate":1,"tags":{"a":"b*","c":"*"}}]"#;
        assert!(matches(both, &[("a", Text("bx")), ("c", Text("1"))]), "C28");
        assert!(matches(both, &[("a", Text("BX")), ("c", Text("z"))]), "C29");
        assert!(!matches(both, &[("a", Text("bx"))]));
        for (number, pattern, expected) in [
            ("C30", "**", [true, true, true]),
            ("C31", "5", [false, true, false]),
            ("C32", "2", [false, false, true]),
            ("wildcards", "?*", [true, true, true]),
            ("a fraction has no text", "1*", [false, false, false]),
            ("whole numbers have no dot", "5.0", [false, false, false]),
            ("whole numbers have no dot", "2.*", [false, false, false]),
        ] {
            let rule = format!(r#"[{{"sample_rate":1,"tags":{{"n":"{pattern}"}}}}]"#);
            let found = [
                matches(&rule, &[("n", Number(1.5))]),
                matches(&rule, &[("n", Number(5.0))]),
                matches(&rule, &[("n", Number(2.0))]),
            ];
            assert_eq!(found, expected, "{number} {pattern}");
        }
        let huge = r#"[{"sample_rate":1,"tags":{"n":"1797*"}}]"#;
        assert!(matches(huge, &[("n", Number(f64::MAX))]));
        assert!(matches(
            r#"[{"sample_rate":1,"tags":{"n":"0"}}]"#,
            &[("n", Number(-0.0))]
        ));
        assert!(matches(
            r#"[{"sample_rate":1,"tags":{"n":"-5"}}]"#,
            &[("n", Number(-5.0))]
        ));
    }

    /// Rows C17 and C18, and the other ways to be wrong.
    #[test]
    fn a_bad_rule_is_left_out_with_one_clear_line() {
        for (json, used, error) in [
            (
                r#"[{"service":"x"},{"sample_rate":1}]"#,
                1,
                "rule 1: expected a number as `sample_rate`, found nothing",
            ),
            (
                "nope",
                0,
                "expected a JSON list of rules, found what is no JSON (expected ident at line 1 column 2)",
            ),
            (
                r#"{"sample_rate":1}"#,
                0,
                "expected a list of rules, found an object",
            ),
            (
                r#"[1,{"sample_rate":1}]"#,
                1,
                "rule 1: expected an object, found a number",
            ),
            (
                r#"[{"sample_rate":"1"}]"#,
                0,
                "rule 1: expected a number as `sample_rate`, found a text",
            ),
            (
                r#"[{"sample_rate":1,"service":7}]"#,
                0,
                "rule 1: expected a text as `service`, found a number",
            ),
            (
                r#"[{"sample_rate":1,"tags":[]}]"#,
                0,
                "rule 1: expected an object as `tags`, found a list",
            ),
            (
                r#"[{"sample_rate":1,"tags":{"a":1}}]"#,
                0,
                "rule 1: expected a text as `tags.a`, found a number",
            ),
            (
                r#"[{"sample_rate":1},{"sample_rate":1,"discard":1}]"#,
                0,
                "rule 2: expected a boolean as `discard`, found a number; no rule is used",
            ),
        ] {
            let (rules, errors) = RuleSet::parse(json);
            let errors: Vec<_> = errors.iter().map(RuleError::to_string).collect();
            assert_eq!(
                (rules.rules().len(), errors),
                (used, vec![error.to_owned()]),
                "{json}"
            );
        }
    }

    #[test]
    fn rates_are_clamped_and_provenance_gives_the_order() {
        let (rules, errors) = RuleSet::parse(
            r#"[{"sample_rate":-1},{"sample_rate":7,"provenance":"dynamic"},{"sample_rate":0.5,"provenance":"customer"}]"#,
        );
        assert_eq!(errors, []);
        let order: Vec<_> = rules
            .rules()
            .iter()
            .map(|rule| (rule.provenance, rule.sample_rate.get()))
            .collect();
        assert_eq!(
            order,
            [
                (Provenance::Customer, 0.5),
                (Provenance::Dynamic, 1.0),
                (Provenance::Local, 0.0)
            ]
        );
    }

    #[test]
    fn only_resource_and_tags_may_change_after_the_start() {
        for (rule, expected) in [
            (r#"{"sample_rate":1,"service":"a","name":"b"}"#, false),
            (r#"{"sample_rate":1,"resource":"*"}"#, false),
            (r#"{"sample_rate":1,"resource":"GET *"}"#, true),
            (r#"{"sample_rate":1,"tags":{"a":"*"}}"#, true),
        ] {
            assert_eq!(
                RuleSet::parse(&format!("[{rule}]")).0.needs_tags(),
                expected,
                "{rule}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(
            json in "(\\[?(\\{?(\"(service|name|tags|sample_rate|discard|provenance)\":)?(\"[a-z*?]{0,3}\"|-?[0-9]{1,3}|true|null|\\{|\\[)[,\\]}]?){0,8})|\\PC{0,40}",
        ) {
            let (rules, _) = RuleSet::parse(&json);
            let subject =
                SamplingSubject { trace_id_low: 1, service: "a", env: "", name: "b", resource: "c", tags: &() };
            rules.find(&subject);
        }
    }
}
