//! Single spans that are kept although their trace is not.
//!
//! Rules are written as JSON in `DD_SPAN_SAMPLING_RULES`, or in the file that `DD_SPAN_SAMPLING_RULES_FILE` names:
//!
//! ```json
//! [{"service": "payment*", "name": "charge", "sample_rate": 0.5, "max_per_second": 50}]
//! ```
//!
//! At least one of `service` and `name` is required. The first rule that matches decides, and nothing else is asked if it
//! says no. Only the worker asks, and only about spans of traces that are dropped.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::glob::Glob;
use super::hash::SampleRate;
use super::limiter::RateLimiter;
use super::rules::{Fault, RuleError, expected, kind, parse_list, parse_pattern};

/// Rules for single spans in the order in which they are tried.
///
/// ```
/// use ddtrace_core::sampling::SpanRules;
///
/// let (rules, errors) = SpanRules::parse(r#"[{"service": "pay*"}, {"sample_rate": 1}]"#);
/// let kept = rules.sample(7, "payment", "charge").expect("the first rule keeps everything of it");
/// assert_eq!((kept.rule_rate, kept.max_per_second), (1.0, None));
/// assert_eq!(errors[0].to_string(), "rule 2: expected `service` or `name`, found neither");
/// ```
#[derive(Debug)]
pub struct SpanRules {
    rules: Vec<SpanRule>,
    /// The beginning of the limiters' time.
    started: Instant,
}

#[derive(Debug)]
struct SpanRule {
    service: Option<Glob>,
    name: Option<Glob>,
    sample_rate: SampleRate,
    max_per_second: Option<f64>,
    limiter: RateLimiter,
}

/// Why a span is kept, as its metrics say it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpanDecision {
    /// `_dd.span_sampling.rule_rate`.
    pub rule_rate: f64,
    /// `_dd.span_sampling.max_per_second`, if the rule has one.
    pub max_per_second: Option<f64>,
}

impl SpanDecision {
    /// The key of the metric that says that the span was kept on its own.
    pub const MECHANISM_TAG: &'static str = "_dd.span_sampling.mechanism";
    /// Its value.
    pub const MECHANISM: f64 = 8.0;
    /// The key of the rate.
    pub const RATE_TAG: &'static str = "_dd.span_sampling.rule_rate";
    /// The key of the limit.
    pub const LIMIT_TAG: &'static str = "_dd.span_sampling.max_per_second";
}

impl Default for SpanRules {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            started: Instant::now(),
        }
    }
}

impl SpanRules {
    /// Reads rules from JSON. What was wrong comes back beside what could be used.
    pub fn parse(json: &str) -> (Self, Vec<RuleError>) {
        let (rules, errors) = parse_list(json, parse_rule);
        let rules = Self {
            rules,
            ..Self::default()
        };
        (rules, errors)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Decides about a span of a trace that is dropped.
    pub fn sample(&self, span_id: u64, service: &str, name: &str) -> Option<SpanDecision> {
        self.sample_at(span_id, service, name, self.started.elapsed())
    }

    fn sample_at(
        &self,
        span_id: u64,
        service: &str,
        name: &str,
        now: Duration,
    ) -> Option<SpanDecision> {
        let matches = |pattern: &Option<Glob>, text| {
            pattern.as_ref().is_none_or(|pattern| pattern.matches(text))
        };
        let rule = self
            .rules
            .iter()
            .find(|rule| matches(&rule.service, service) && matches(&rule.name, name))?;
        let is_kept = rule.sample_rate.keeps(span_id) && rule.limiter.admit(now).is_allowed;
        is_kept.then_some(SpanDecision {
            rule_rate: rule.sample_rate.get(),
            max_per_second: rule.max_per_second,
        })
    }
}

fn parse_rule(value: &Value) -> Result<SpanRule, Fault> {
    let Value::Object(fields) = value else {
        let found = kind(Some(value));
        return Err(Fault::InRule(format!("expected an object, found {found}")));
    };
    let number = |field: &str| match fields.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(number) => Ok(Some(number)),
            None => Err(Fault::InRule(expected("a number", field, Some(value)))),
        },
    };
    let service = parse_pattern(fields, "service")?;
    let name = parse_pattern(fields, "name")?;
    if service.is_none() && name.is_none() {
        let message = "expected `service` or `name`, found neither";
        return Err(Fault::InRule(message.to_owned()));
    }
    let max_per_second = number("max_per_second")?;
    Ok(SpanRule {
        service,
        name,
        sample_rate: SampleRate::new(number("sample_rate")?.unwrap_or(1.0)),
        max_per_second,
        limiter: RateLimiter::per(max_per_second.unwrap_or(-1.0), Duration::from_secs(1)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(json: &str, service: &str, name: &str) -> Option<SpanDecision> {
        let (rules, errors) = SpanRules::parse(json);
        assert!(errors.is_empty(), "{errors:?}");
        rules.sample(1, service, name)
    }

    fn decision(rule_rate: f64, max_per_second: Option<f64>) -> SpanDecision {
        SpanDecision {
            rule_rate,
            max_per_second,
        }
    }

    /// Row C25 and its neighbours.
    #[test]
    fn the_first_rule_that_matches_decides() {
        let all = Some(decision(1.0, None));
        for (json, expected) in [
            (r#"[{"service":"web"}]"#, all),
            (r#"[{"name":"http.*"}]"#, all),
            (r#"[{"service":"WEB","name":"http.request"}]"#, all),
            (r#"[{"service":"web","name":"other"}]"#, None),
            (r#"[{"service":"","name":"http.request"}]"#, None),
            (
                r#"[{"service":"web","sample_rate":0},{"service":"*"}]"#,
                None,
            ),
            (r#"[{"service":"x","sample_rate":0},{"service":"*"}]"#, all),
            (
                r#"[{"service":"web","sample_rate":0.5,"max_per_second":50}]"#,
                Some(decision(0.5, Some(50.0))),
            ),
            (r#"[{"service":"web","max_per_second":0}]"#, None),
            (r#"[{"service":"web","sample_rate":7}]"#, all),
            ("[]", None),
        ] {
            assert_eq!(sampled(json, "web", "http.request"), expected, "{json}");
        }
    }

    #[test]
    fn a_rule_keeps_so_many_a_second() {
        let (rules, _) =
            SpanRules::parse(r#"[{"service":"a","max_per_second":2},{"service":"b"}]"#);
        let kept = |service, millis| {
            let now = Duration::from_millis(millis);
            rules.sample_at(1, service, "n", now).is_some()
        };
        let times = [0, 0, 0, 500, 501];
        assert_eq!(
            times.map(|time| kept("a", time)),
            [true, true, false, true, false]
        );
        assert_eq!(times.map(|time| kept("b", time)), [true; 5]);
    }

    /// Row C26, and the other ways to be wrong.
    #[test]
    fn a_bad_rule_is_left_out_with_one_clear_line() {
        for (json, used, error) in [
            (
                r#"[{"sample_rate":1},{"name":"x"}]"#,
                1,
                "rule 1: expected `service` or `name`, found neither",
            ),
            (
                r#"[{"name":"x","sample_rate":"1"}]"#,
                0,
                "rule 1: expected a number as `sample_rate`, found a text",
            ),
            (
                r#"[{"name":"x","max_per_second":true}]"#,
                0,
                "rule 1: expected a number as `max_per_second`, found a boolean",
            ),
            (r#"["x"]"#, 0, "rule 1: expected an object, found a text"),
            ("{}", 0, "expected a list of rules, found an object"),
        ] {
            let (rules, errors) = SpanRules::parse(json);
            let errors: Vec<_> = errors.iter().map(RuleError::to_string).collect();
            assert_eq!(
                (rules.rules.len(), errors),
                (used, vec![error.to_owned()]),
                "{json}"
            );
        }
    }
}
