//! A language model as judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::assessment;
use crate::experiments::{
    BoxError, BoxFuture, Evaluator, EvaluatorContext, EvaluatorResult, Outcome,
};
use crate::model::Message;

/// Asks a model: the program's own client, of whatever provider.
pub trait JudgeClient: Send + Sync {
    /// Gives these messages to a model and returns its text, which has to be JSON of this schema if there is one.
    fn ask(
        &self,
        model: &str,
        messages: Vec<Message>,
        schema: Option<Value>,
    ) -> BoxFuture<Result<String, BoxError>>;
}

/// What a judge has to say, and when that is good enough.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum StructuredOutput {
    /// Yes or no.
    Boolean {
        /// What is asked.
        description: String,
        /// Which of both is good.
        pass_when: Option<bool>,
    },
    /// A number.
    Score {
        /// What is asked.
        description: String,
        /// The smallest number.
        min: f64,
        /// The largest number.
        max: f64,
        /// From which on it is good. If it is larger than the other one, what lies between is bad.
        min_threshold: Option<f64>,
        /// Until which it is good.
        max_threshold: Option<f64>,
    },
    /// One of some words.
    Categorical {
        /// The words, and what they mean.
        categories: BTreeMap<String, String>,
        /// Those that are good.
        pass_values: Option<Vec<String>>,
    },
    /// JSON of a schema of the program's own.
    Schema(Value),
}

impl StructuredOutput {
    fn label(&self) -> Option<&'static str> {
        match self {
            Self::Boolean { .. } => Some("boolean_eval"),
            Self::Score { .. } => Some("score_eval"),
            Self::Categorical { .. } => Some("categorical_eval"),
            Self::Schema(_) => None,
        }
    }

    fn schema(&self, with_reasoning: bool) -> Value {
        let own = match self {
            Self::Boolean { description, .. } => {
                json!({ "type": "boolean", "description": description })
            }
            Self::Score {
                description,
                min,
                max,
                ..
            } => {
                json!({ "type": "number", "description": description, "minimum": min, "maximum": max })
            }
            Self::Categorical { categories, .. } => {
                let all = categories.iter();
                let all: Vec<_> = all
                    .map(|(word, text)| json!({ "const": word, "description": text }))
                    .collect();
                json!({ "type": "string", "anyOf": all })
            }
            Self::Schema(schema) => return schema.clone(),
        };
        let label = self.label().unwrap_or_default();
        let mut properties = Map::from_iter([(label.to_owned(), own)]);
        let mut required = vec![label];
        if with_reasoning {
            let reasoning =
                json!({ "type": "string", "description": "Explanation for the evaluation result" });
            properties.insert("reasoning".into(), reasoning);
            required.push("reasoning");
        }
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }

    /// The value, if it is one, and whether it is good enough.
    fn read(&self, data: &Map<String, Value>) -> Result<(Value, Option<bool>), BoxError> {
        let value = self
            .label()
            .and_then(|label| data.get(label))
            .unwrap_or(&Value::Null);
        let wrong = |expected: &str| {
            Err(format!("expected {expected} in the judge's answer, found {value}").into())
        };
        match self {
            Self::Boolean { pass_when, .. } => match value.as_bool() {
                Some(flag) => Ok((value.clone(), pass_when.map(|good| good == flag))),
                None => wrong("yes or no"),
            },
            Self::Score {
                min_threshold,
                max_threshold,
                ..
            } => match value.as_f64() {
                Some(score) => Ok((
                    value.clone(),
                    is_between(score, *min_threshold, *max_threshold),
                )),
                None => wrong("a number"),
            },
            Self::Categorical { pass_values, .. } => match value.as_str() {
                Some(word) => {
                    let good = pass_values
                        .as_ref()
                        .map(|good| good.iter().any(|it| it == word));
                    Ok((value.clone(), good))
                }
                None => wrong("a word"),
            },
            Self::Schema(_) => Ok((data.clone().into(), None)),
        }
    }
}

fn is_between(score: f64, min: Option<f64>, max: Option<f64>) -> Option<bool> {
    match (min, max) {
        (Some(min), Some(max)) if max >= min => Some((min..=max).contains(&score)),
        (Some(min), Some(max)) => Some(score < max || score > min),
        (Some(min), None) => Some(score >= min),
        (None, Some(max)) => Some(score <= max),
        (None, None) => None,
    }
}

/// Has a language model judge answers.
#[derive(Clone)]
pub struct LlmJudge {
    name: String,
    client: Arc<dyn JudgeClient>,
    model: String,
    system: Option<String>,
    user: String,
    output: StructuredOutput,
    wants_reasoning: bool,
}

impl std::fmt::Debug for LlmJudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LlmJudge")
            .field("name", &self.name)
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

impl LlmJudge {
    /// A judge: who asks which model what, and what may be said. In the prompt `{{output}}`, `{{input.question}}` and their like are places for what the
    /// judge looks at: `input`, `output`, `expected_output` and `metadata` (`input_data` and `output_data` mean the same), with dots for what is inside.
    pub fn new(
        name: impl Into<String>,
        client: Arc<dyn JudgeClient>,
        model: impl Into<String>,
        user_prompt: impl Into<String>,
        output: StructuredOutput,
    ) -> Self {
        Self {
            name: name.into(),
            client,
            model: model.into(),
            system: None,
            user: user_prompt.into(),
            output,
            wants_reasoning: false,
        }
    }

    /// Gives it a system prompt.
    #[must_use]
    pub fn system_prompt(mut self, text: impl Into<String>) -> Self {
        self.system = Some(text.into());
        self
    }

    /// Has it say why.
    #[must_use]
    pub fn with_reasoning(mut self) -> Self {
        self.wants_reasoning = true;
        self
    }
}

fn filled(template: &str, context: &EvaluatorContext) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((path, after)) = after.split_once("}}") else {
            break;
        };
        out.push_str(before);
        let mut parts = path.trim().split('.');
        let metadata = Value::Object(context.metadata.clone());
        let root = match parts.next().unwrap_or_default() {
            "input" | "input_data" | "span_input" => Some(&context.input),
            "output" | "output_data" | "span_output" => Some(&context.output),
            "expected_output" => Some(&context.expected_output),
            "metadata" => Some(&metadata),
            _ => None,
        };
        let value = parts.fold(root, |value, part| value?.get(part));
        match value {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => out.push_str(text),
            Some(Value::Bool(flag)) => out.push_str(&flag.to_string()),
            // As pretty as a model may like it.
            Some(value) => out.push_str(&serde_json::to_string_pretty(value).unwrap_or_default()),
        }
        rest = after;
    }
    out + rest
}

impl Evaluator for LlmJudge {
    fn name(&self) -> &str {
        &self.name
    }

    fn evaluate(&self, context: EvaluatorContext) -> BoxFuture<Result<Outcome, BoxError>> {
        let system = self
            .system
            .as_deref()
            .map(|text| Message::new("system", filled(text, &context)));
        let user = Message::new("user", filled(&self.user, &context));
        let messages = system.into_iter().chain([user]).collect();
        let schema = self.output.schema(self.wants_reasoning);
        let asked = self.client.ask(&self.model, messages, Some(schema));
        let judge = self.clone();
        Box::pin(async move { judge.read(&asked.await?).map(Outcome::from) })
    }
}

impl LlmJudge {
    fn read(&self, answer: &str) -> Result<EvaluatorResult, BoxError> {
        let Ok(Value::Object(data)) = serde_json::from_str(answer) else {
            return Err("expected a JSON object as the judge's answer".into());
        };
        let (value, is_good) = self.output.read(&data)?;
        let reasoning = data.get("reasoning").and_then(Value::as_str);
        let wants = self.wants_reasoning || matches!(self.output, StructuredOutput::Schema(_));
        let mut result = EvaluatorResult::new(value);
        result.reasoning = reasoning.filter(|_| wants).map(str::to_owned);
        result.assessment = is_good.map(assessment);
        if self.output.label().is_some() {
            result.metadata = Map::from_iter([("raw_response".to_owned(), data.into())]);
        }
        Ok(result)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::Assessment;
    use crate::experiments::wait;

    #[derive(Default)]
    struct Client {
        answer: String,
        asked: Mutex<Vec<(Vec<Message>, Value)>>,
    }

    impl JudgeClient for Client {
        fn ask(
            &self,
            _: &str,
            messages: Vec<Message>,
            schema: Option<Value>,
        ) -> BoxFuture<Result<String, BoxError>> {
            self.asked.lock().unwrap().push((messages, schema.unwrap()));
            let answer = self.answer.clone();
            Box::pin(async move { Ok(answer) })
        }
    }

    fn judged(output: StructuredOutput, answer: Value) -> Result<EvaluatorResult, BoxError> {
        let client = Arc::new(Client {
            answer: answer.to_string(),
            ..Client::default()
        });
        let judge = LlmJudge::new("j", client, "m", "{{output}}", output).with_reasoning();
        match wait(judge.evaluate(EvaluatorContext::new("q", "a", Value::Null)))? {
            Outcome::One(result) => Ok(result),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_judge_says_is_read_and_assessed() {
        let boolean = StructuredOutput::Boolean {
            description: "d".into(),
            pass_when: Some(true),
        };
        let result = judged(
            boolean.clone(),
            json!({"boolean_eval": false, "reasoning": "r"}),
        )
        .unwrap();
        assert_eq!(
            (result.value, result.assessment, result.reasoning.as_deref()),
            (json!(false), Some(Assessment::Fail), Some("r"))
        );
        let score = |min_threshold, max_threshold| StructuredOutput::Score {
            description: "d".into(),
            min: 0.0,
            max: 10.0,
            min_threshold,
            max_threshold,
        };
        for (min, max, expected) in [
            (Some(3.0), Some(7.0), Some(Assessment::Pass)),
            (Some(7.0), Some(3.0), Some(Assessment::Fail)),
            (Some(6.0), None, Some(Assessment::Fail)),
            (None, Some(6.0), Some(Assessment::Pass)),
            (None, None, None),
        ] {
            assert_eq!(
                judged(score(min, max), json!({"score_eval": 5}))
                    .unwrap()
                    .assessment,
                expected,
                "{min:?} {max:?}"
            );
        }
        let words = StructuredOutput::Categorical {
            categories: BTreeMap::from([("good".to_owned(), "d".to_owned())]),
            pass_values: Some(vec!["good".into()]),
        };
        assert_eq!(
            judged(words, json!({"categorical_eval": "good"}))
                .unwrap()
                .assessment,
            Some(Assessment::Pass)
        );
        assert_eq!(
            judged(StructuredOutput::Schema(json!({})), json!({"a": 1}))
                .unwrap()
                .value,
            json!({"a": 1})
        );
        for bad in [json!({}), json!({"boolean_eval": "yes"}), json!([1])] {
            assert!(judged(boolean.clone(), bad).is_err());
        }
    }

    #[test]
    fn a_judge_is_asked_with_what_it_looks_at() {
        let client = Arc::new(Client {
            answer: r#"{"boolean_eval": true}"#.into(),
            ..Client::default()
        });
        let output = StructuredOutput::Boolean {
            description: "Is it right?".into(),
            pass_when: None,
        };
        let judge = LlmJudge::new(
            "j",
            Arc::clone(&client) as Arc<dyn JudgeClient>,
            "m",
            "{{ input.q }} -> {{output_data}}{{nothing.x}} {{open",
            output,
        )
        .system_prompt("be fair");
        wait(judge.evaluate(EvaluatorContext::new(json!({"q": "1+1"}), 2, Value::Null))).unwrap();
        let asked = client.asked.lock().unwrap();
        assert_eq!(
            asked[0].0,
            [
                Message::new("system", "be fair"),
                Message::new("user", "1+1 -> 2 {{open")
            ]
        );
        assert_eq!(
            asked[0].1,
            json!({
                "type": "object", "properties": {"boolean_eval": {"type": "boolean", "description": "Is it right?"}},
                "required": ["boolean_eval"], "additionalProperties": false,
            })
        );
    }
}
