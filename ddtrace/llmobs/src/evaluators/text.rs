//! Evaluators that look at the text of an answer.

use regex::Regex;
use serde_json::Value;

use super::{assessment, passed, ready};
use crate::experiments::{
    BoxError, BoxFuture, Evaluator, EvaluatorContext, EvaluatorResult, Outcome,
};
use crate::json_text::text_of;

fn shown(value: &Value) -> Option<String> {
    (!value.is_null()).then(|| text_of(value))
}

/// How two texts are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words are those of the reference")]
pub enum StringOperation {
    #[default]
    Equal,
    NotEqual,
    /// The answer contains what was expected.
    Contains,
    /// The same in any case of letters.
    ContainsInAnyCase,
}

/// Compares the answer with what was expected, as texts.
#[derive(Clone, Debug, Default)]
pub struct StringCheck {
    name: Option<String>,
    operation: StringOperation,
    ignores_case: bool,
    trims: bool,
}

impl StringCheck {
    /// A comparison.
    pub fn new(operation: StringOperation) -> Self {
        Self {
            operation,
            ..Self::default()
        }
    }

    /// Gives it a label.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Has upper and lower case count as equal.
    #[must_use]
    pub fn ignoring_case(mut self) -> Self {
        self.ignores_case = true;
        self
    }

    /// Has blanks at both ends not count.
    #[must_use]
    pub fn trimming(mut self) -> Self {
        self.trims = true;
        self
    }

    fn check(&self, context: &EvaluatorContext) -> bool {
        use StringOperation::{Contains, ContainsInAnyCase, Equal, NotEqual};
        let texts = (shown(&context.output), shown(&context.expected_output));
        let (mut output, mut expected) = match texts {
            (Some(output), Some(expected)) => (output, expected),
            (None, None) => return self.operation == Equal,
            _ => return self.operation == NotEqual,
        };
        if self.trims {
            output = output.trim().to_owned();
            expected = expected.trim().to_owned();
        }
        if self.ignores_case || self.operation == ContainsInAnyCase {
            output = output.to_lowercase();
            expected = expected.to_lowercase();
        }
        match self.operation {
            Equal => output == expected,
            NotEqual => output != expected,
            Contains | ContainsInAnyCase => output.contains(&expected),
        }
    }
}

impl Evaluator for StringCheck {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("string_check")
    }

    fn evaluate(&self, context: EvaluatorContext) -> BoxFuture<Result<Outcome, BoxError>> {
        ready(Ok(passed(self.check(&context))))
    }
}

/// Where a pattern has to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Matching {
    /// Anywhere.
    #[default]
    Search,
    /// At the start.
    Start,
    /// The whole text.
    Full,
}

/// Looks for a pattern in the answer.
#[derive(Clone, Debug)]
pub struct RegexMatch {
    name: Option<String>,
    pattern: Regex,
}

impl RegexMatch {
    /// A pattern in the syntax of the crate `regex`.
    pub fn new(pattern: &str, matching: Matching) -> Result<Self, BoxError> {
        let pattern = match matching {
            Matching::Search => pattern.to_owned(),
            Matching::Start => format!(r"\A(?:{pattern})"),
            Matching::Full => format!(r"\A(?:{pattern})\z"),
        };
        Ok(Self {
            name: None,
            pattern: Regex::new(&pattern)?,
        })
    }

    /// Gives it a label.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Evaluator for RegexMatch {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("regex_match")
    }

    fn evaluate(&self, context: EvaluatorContext) -> BoxFuture<Result<Outcome, BoxError>> {
        let output = shown(&context.output);
        ready(Ok(passed(
            output.is_some_and(|text| self.pattern.is_match(&text)),
        )))
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the words say it")]
pub enum Count {
    #[default]
    Characters,
    Words,
    Lines,
}

/// Measures the answer.
#[derive(Clone, Debug)]
pub struct Length {
    name: Option<String>,
    count: Count,
    min: Option<usize>,
    max: Option<usize>,
}

impl Length {
    /// Bounds, of which one at least has to be there.
    pub fn new(count: Count, min: Option<usize>, max: Option<usize>) -> Result<Self, BoxError> {
        match (min, max) {
            (None, None) => Err("expected a smallest or a largest length".into()),
            (Some(min), Some(max)) if min > max => {
                Err(format!("expected a smallest length of at most {max}, found {min}").into())
            }
            _ => Ok(Self {
                name: None,
                count,
                min,
                max,
            }),
        }
    }

    /// Gives it a label.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Evaluator for Length {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("length")
    }

    fn evaluate(&self, context: EvaluatorContext) -> BoxFuture<Result<Outcome, BoxError>> {
        let is_good = shown(&context.output).is_some_and(|text| {
            let length = match self.count {
                Count::Characters => text.chars().count(),
                Count::Words => text.split_whitespace().count(),
                Count::Lines => text.lines().count(),
            };
            self.min.is_none_or(|min| length >= min) && self.max.is_none_or(|max| length <= max)
        });
        ready(Ok(passed(is_good)))
    }
}

/// Looks whether the answer is JSON, and has the keys that it should have.
#[derive(Clone, Debug, Default)]
pub struct JsonCheck {
    name: Option<String>,
    required: Vec<String>,
}

impl JsonCheck {
    /// JSON, which has these keys if it is an object.
    pub fn new<K: Into<String>>(required: impl IntoIterator<Item = K>) -> Self {
        Self {
            name: None,
            required: required.into_iter().map(Into::into).collect(),
        }
    }

    /// Gives it a label.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl Evaluator for JsonCheck {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("json")
    }

    fn evaluate(&self, context: EvaluatorContext) -> BoxFuture<Result<Outcome, BoxError>> {
        let value = match context.output {
            Value::Null => None,
            Value::String(text) => serde_json::from_str(&text).ok(),
            other => Some(other),
        };
        let is_good = value.is_some_and(|value| match value {
            Value::Object(map) => self.required.iter().all(|key| map.contains_key(key)),
            _ => true,
        });
        ready(Ok(passed(is_good)))
    }
}

/// Compares the meaning of the answer with that of what was expected: the cosine of their vectors, from 0 to 1.
pub struct SemanticSimilarity<F> {
    name: Option<String>,
    embed: F,
    threshold: f64,
}

impl<F> std::fmt::Debug for SemanticSimilarity<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SemanticSimilarity")
            .field("threshold", &self.threshold)
            .finish_non_exhaustive()
    }
}

impl<F: Fn(&str) -> Result<Vec<f64>, BoxError> + Send + Sync> SemanticSimilarity<F> {
    /// A function that makes a vector of a text, and how similar is similar enough; 0.7 is usual.
    pub fn new(embed: F, threshold: f64) -> Result<Self, BoxError> {
        if !(0.0..=1.0).contains(&threshold) {
            return Err(format!("expected a threshold between 0 and 1, found {threshold}").into());
        }
        Ok(Self {
            name: None,
            embed,
            threshold,
        })
    }

    /// Gives it a label.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    fn similarity(&self, context: &EvaluatorContext) -> Result<f64, BoxError> {
        let texts = (shown(&context.output), shown(&context.expected_output));
        let (output, expected) = match texts {
            (Some(output), Some(expected)) => (output, expected),
            (None, None) => return Ok(1.0),
            _ => return Ok(0.0),
        };
        let cosine = cosine(&(self.embed)(&output)?, &(self.embed)(&expected)?)?;
        Ok((cosine + 1.0) / 2.0)
    }
}

fn cosine(one: &[f64], other: &[f64]) -> Result<f64, BoxError> {
    if one.len() != other.len() {
        return Err(format!(
            "expected vectors of one length, found {} and {}",
            one.len(),
            other.len()
        )
        .into());
    }
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let lengths = product(one, one).sqrt() * product(other, other).sqrt();
    Ok(if lengths == 0.0 {
        0.0
    } else {
        product(one, other) / lengths
    })
}

impl<F: Fn(&str) -> Result<Vec<f64>, BoxError> + Send + Sync> Evaluator for SemanticSimilarity<F> {
    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("semantic_similarity")
    }

    fn evaluate(&self, context: EvaluatorContext) -> BoxFuture<Result<Outcome, BoxError>> {
        let result = self.similarity(&context);
        ready(result.map(|value| {
            EvaluatorResult::new(value).assessment(assessment(value >= self.threshold))
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::experiments::wait;

    fn value(evaluator: &dyn Evaluator, output: Value, expected: Value) -> Value {
        let context = EvaluatorContext::new(Value::Null, output, expected);
        match wait(evaluator.evaluate(context)).unwrap() {
            Outcome::One(result) => result.value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn texts_are_compared_as_the_reference_compares_them() {
        use StringOperation::{Contains, ContainsInAnyCase, Equal, NotEqual};
        let check = StringCheck::new;
        let cases = [
            (check(Equal), json!("a"), json!("a"), true),
            (check(Equal), json!("A "), json!("a"), false),
            (
                check(Equal).ignoring_case().trimming(),
                json!("A "),
                json!("a"),
                true,
            ),
            (check(NotEqual), json!("a"), json!("b"), true),
            (check(Contains), json!("abc"), json!("b"), true),
            (check(Contains), json!("aBc"), json!("b"), false),
            (check(ContainsInAnyCase), json!("aBc"), json!("b"), true),
            (check(Equal), Value::Null, Value::Null, true),
            (check(Contains), Value::Null, Value::Null, false),
            (check(NotEqual), Value::Null, json!("a"), true),
            (check(Contains), json!("a"), Value::Null, false),
        ];
        for (check, output, expected, result) in cases {
            assert_eq!(value(&check, output, expected), json!(result), "{check:?}");
        }
    }

    #[test]
    fn patterns_lengths_and_json_are_checked() {
        let regex = |pattern, matching| RegexMatch::new(pattern, matching).unwrap();
        for (matching, expected) in [
            (Matching::Search, true),
            (Matching::Start, false),
            (Matching::Full, false),
        ] {
            assert_eq!(
                value(&regex(r"\d{3}", matching), json!("é 123!"), Value::Null),
                json!(expected)
            );
        }
        assert_eq!(
            value(&regex("a|ab", Matching::Full), json!("ab"), Value::Null),
            json!(true)
        );
        assert!(RegexMatch::new("(", Matching::Search).is_err());
        let length = |count, min, max| Length::new(count, min, max).unwrap();
        for (check, expected) in [
            (length(Count::Characters, Some(9), Some(9)), true),
            (length(Count::Words, Some(3), None), true),
            (length(Count::Lines, None, Some(1)), false),
        ] {
            assert_eq!(
                value(&check, json!("é two\nend"), Value::Null),
                json!(expected),
                "{check:?}"
            );
        }
        assert!(
            Length::new(Count::Words, None, None).is_err()
                && Length::new(Count::Words, Some(2), Some(1)).is_err()
        );
        let keys = JsonCheck::new(["a"]);
        for (output, expected) in [
            (json!({"a": 1}), true),
            (json!("{\"a\": 1}"), true),
            (json!("{}"), false),
            (json!("[1]"), true),
            (json!("nonsense"), false),
            (Value::Null, false),
        ] {
            assert_eq!(
                value(&keys, output.clone(), Value::Null),
                json!(expected),
                "{output}"
            );
        }
    }

    #[test]
    fn meanings_are_compared_by_their_vectors() {
        let embed = |text: &str| match text {
            "up" => Ok(vec![0.0, 1.0]),
            "right" => Ok(vec![1.0, 0.0]),
            "none" => Ok(vec![0.0, 0.0]),
            _ => Ok(vec![0.0]),
        };
        let check = SemanticSimilarity::new(embed, 0.7).unwrap();
        for (one, other, expected) in [("up", "up", 1.0), ("up", "right", 0.5), ("up", "none", 0.5)]
        {
            assert_eq!(value(&check, json!(one), json!(other)), json!(expected));
        }
        assert_eq!(value(&check, Value::Null, json!("up")), json!(0.0));
        let context = EvaluatorContext::new(Value::Null, "up", "other");
        assert!(wait(check.evaluate(context)).is_err());
        assert!(SemanticSimilarity::new(|_: &str| Ok(vec![]), 1.5).is_err());
    }
}
