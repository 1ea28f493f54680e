//! Which traces the backend keeps.
//!
//! The decision belongs to a trace of this product, not to one of tracing, and is made by rate alone or by the first rule that
//! matches the tags of the trace's root. Nothing is dropped here: spans that are not kept are sent and say so, because the
//! backend needs them for what it counts. The hash is that of trace sampling, so programs in all languages agree.
//!
//! When a trace begins its root has no tags yet; what the global rate says stands in. As soon as anybody else has to know, at an
//! injection, a hand-over, or when the first of its spans is sent, the rules are asked, and their answer stays.

use ddtrace_core::diagnostics;
use serde_json::Value;

const FACTOR: u64 = 1_111_111_111_111_111_111;

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    /// The rate as text.
    pub(crate) rate: String,
    pub(crate) is_kept: bool,
}

impl Decision {
    /// The word on the wire.
    pub(crate) fn word(&self) -> &'static str {
        if self.is_kept { "1" } else { "0" }
    }
}

/// The global rate and the rules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sampler {
    rate: f64,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    tags: Vec<(String, String)>,
    rate: f64,
}

impl Sampler {
    /// `rules` is a JSON list of `{"tags": {name: glob}, "sample_rate": rate}`.
    pub(crate) fn new(rate: f64, rules: Option<&str>) -> Self {
        let rate = if (0.0..=1.0).contains(&rate) {
            rate
        } else {
            diagnostics::warn(format_args!(
                "expected a sample rate between 0 and 1 for LLM Observability, found {rate}: 1 is used"
            ));
            1.0
        };
        Self {
            rate,
            rules: rules.map(parse).unwrap_or_default(),
        }
    }

    /// Whether tags have a say.
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// What the global rate says, by the lower half of the trace's id.
    pub(crate) fn decide_by_rate(&self, id: u64) -> Decision {
        decide(self.rate, id)
    }

    /// What the rules say.
    pub(crate) fn decide<'a>(&self, id: u64, tag: impl Fn(&str) -> Option<&'a str>) -> Decision {
        let matches = |rule: &&Rule| {
            let fits =
                |(key, glob): &(String, String)| tag(key).is_some_and(|it| is_match(glob, it));
            rule.tags.iter().all(fits)
        };
        let rule = self.rules.iter().find(matches);
        decide(rule.map_or(self.rate, |rule| rule.rate), id)
    }
}

fn decide(rate: f64, id: u64) -> Decision {
    Decision {
        rate: rate_text(rate),
        is_kept: keeps(rate, id),
    }
}

/// Whether a rate keeps this id.
pub(crate) fn keeps(rate: f64, id: u64) -> bool {
    if rate >= 1.0 {
        return true;
    }
    if rate <= 0.0 {
        return false;
    }
    // In floating point on purpose: the reference compares an integer with a float.
    id.wrapping_mul(FACTOR) as f64 <= rate * u64::MAX as f64
}

/// Up to six decimals, without zeros at the end.
pub(crate) fn rate_text(rate: f64) -> String {
    let text = format!("{rate:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn parse(text: &str) -> Vec<Rule> {
    let list = match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list,
        _ => {
            diagnostics::warn(format_args!(
                "expected a JSON list in DD_LLMOBS_SAMPLING_RULES: no rule is used"
            ));
            return Vec::new();
        }
    };
    let rules = list.into_iter().enumerate().filter_map(|(index, entry)| {
        let rule = rule(&entry);
        if rule.is_none() {
            diagnostics::warn(format_args!(
                "rule {index} of DD_LLMOBS_SAMPLING_RULES is skipped: expected an object with a number as `sample_rate` and an object as `tags`"
            ));
        }
        rule
    });
    rules.collect()
}

fn rule(entry: &Value) -> Option<Rule> {
    let map = entry.as_object()?;
    if map.keys().any(|key| key != "tags" && key != "sample_rate") {
        return None;
    }
    let rate = match map.get("sample_rate")? {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Bool(flag) => f64::from(u8::from(*flag)),
        _ => return None,
    };
    let tags = match map.get("tags") {
        None => Vec::new(),
        Some(Value::Object(tags)) => tags
            .iter()
            .map(|(key, glob)| (key.clone(), crate::json_text::text_of(glob)))
            .collect(),
        Some(_) => return None,
    };
    Some(Rule {
        tags,
        rate: if rate.is_nan() {
            0.0
        } else {
            rate.clamp(0.0, 1.0)
        },
    })
}

/// Whether the whole text fits: `*` is any text, `?` any character, letters in either case.
fn is_match(glob: &str, text: &str) -> bool {
    let lower = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    let (glob, text) = (lower(glob), lower(text));
    let (mut g, mut t) = (0, 0);
    // Where the last `*` stood, and how far the text was then: the only place to go back to.
    let mut back = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                back = Some((g, t));
                g += 1;
            }
            Some(&char) if char == '?' || char == text[t] => {
                g += 1;
                t += 1;
            }
            _ => match back {
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    g = star + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    glob[g..].iter().all(|&char| char == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/llmobs.md` §22.3.
    #[test]
    fn rates_keep_the_ids_that_the_reference_keeps() {
        let ids = [
            1,
            2,
            3,
            10,
            12345,
            1 << 63,
            u64::MAX,
            8_016_228_069_786_122_685,
        ];
        let cases = [
            (0.1, "TFFFFFFT"),
            (0.25, "TTTFFFFT"),
            (0.5, "TTTFFTFT"),
            (0.75, "TTTTTTFT"),
            (1.0, "TTTTTTTT"),
            (0.0, "FFFFFFFF"),
        ];
        for (rate, expected) in cases {
            let kept: String = ids
                .iter()
                .map(|id| if keeps(rate, *id) { 'T' } else { 'F' })
                .collect();
            assert_eq!(kept, expected, "{rate}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rules = r#"[{"tags":{"env":"prod","customer.tier":"gold*"},"sample_rate":1},{"tags":{"env":"st?ging"},"sample_rate":0},{"sample_rate":0.25}]"#;
        let sampler = Sampler::new(0.5, Some(rules));
        let decide = |tags: &[(&'static str, &'static str)], id| {
            let find = |key: &str| tags.iter().find(|(name, _)| *name == key);
            let decision = sampler.decide(id, |key| find(key).map(|(_, value)| *value));
            (decision.is_kept, decision.rate)
        };
        assert_eq!(
            decide(&[("env", "PROD"), ("customer.tier", "Gold-1")], 12345),
            (true, "1".to_owned())
        );
        assert_eq!(decide(&[("env", "prod")], 1), (true, "0.25".to_owned()));
        assert_eq!(decide(&[("env", "prod")], 10), (false, "0.25".to_owned()));
        assert_eq!(decide(&[("env", "staging")], 1), (false, "0".to_owned()));
        assert_eq!(decide(&[("env", "sting")], 1), (true, "0.25".to_owned()));
    }

    #[test]
    fn bad_rules_are_left_out_and_rates_clamped() {
        let count = |text| Sampler::new(1.0, Some(text)).rules.len();
        assert_eq!(count("nonsense"), 0);
        assert_eq!(count("{}"), 0);
        assert_eq!(
            count(
                r#"[1, {}, {"sample_rate": []}, {"sample_rate": 1, "tags": []}, {"sample_rate": 1, "x": 1}, {"sample_rate": 7}]"#
            ),
            1
        );
        let high = Sampler::new(0.0, Some(r#"[{"sample_rate": 7}]"#));
        assert_eq!(high.decide(10, |_| None).rate, "1");
        assert_eq!(Sampler::new(7.0, None).decide_by_rate(10).rate, "1");
    }

    #[test]
    fn rates_are_written_without_zeros_at_the_end() {
        for (rate, text) in [
            (1.0, "1"),
            (0.5, "0.5"),
            (1.0 / 3.0, "0.333333"),
            (0.000_001, "0.000001"),
            (0.0, "0"),
        ] {
            assert_eq!(rate_text(rate), text);
        }
    }
}
