//! From attributes to the words of the product. All but [`Kept::for_children`] runs on the worker.
//!
//! Texts are outside input: what is not what its key says it is, is left out.

use serde_json::Value as Json;

use super::attributes::Key;
use super::messages::{self, messages_of};
use super::{Kept, Value};
use crate::annotation::Annotation;
use crate::kind::Kind;
use crate::model::Content;

/// Numbers that go over as they are.
const METRICS: [(Key, &str); 6] = [
    (Key::InputTokens, "input_tokens"),
    (Key::OutputTokens, "output_tokens"),
    (Key::CacheReadTokens, "cache_read_input_tokens"),
    (Key::CacheWriteTokens, "cache_write_input_tokens"),
    (Key::ReasoningTokens, "reasoning_output_tokens"),
    (Key::TimeToFirstChunk, "time_to_first_token"),
];

impl Kept {
    /// A text, if there is one that says anything.
    pub(super) fn text(&self, key: Key) -> Option<&str> {
        match self.values.get(&key) {
            Some(Value::Text(text)) => Some(&**text).filter(|text| !text.is_empty()),
            _ => None,
        }
    }

    /// A number, which may have been written as a text.
    fn number(&self, key: Key) -> Option<f64> {
        let number = match self.values.get(&key)? {
            Value::Number(number) => *number,
            Value::Text(text) => text.trim().parse().ok()?,
            Value::List(_) => return None,
        };
        Some(number).filter(|number| number.is_finite())
    }

    fn json(&self, key: Key) -> Option<Json> {
        serde_json::from_str(self.text(key)?).ok()
    }

    /// What children have to know while the span is open.
    pub(super) fn for_children(&self) -> Annotation {
        let either = |first, second| self.text(first).or_else(|| self.text(second));
        let mut said = Annotation::new();
        if let Some(model) = either(Key::ResponseModel, Key::RequestModel) {
            said = said.model_name(model);
        }
        if let Some(provider) = either(Key::Provider, Key::System) {
            said = said.model_provider(provider);
        }
        if let Some(id) = self.text(Key::Conversation) {
            said = said.session_id(id);
        }
        if let Some(name) = self.text(Key::ToolName) {
            said = said.name(name);
        }
        said
    }

    /// What was said about a span of a kind.
    pub(super) fn read(&self, kind: Kind) -> Annotation {
        let mut said = Annotation {
            // What a request says comes before this: it may know which model answered, and guesses who runs it.
            model_name: self.text(Key::ResponseModel).map(str::to_owned),
            model_provider: self.for_children().model_provider,
            ..Annotation::new()
        };
        for (key, metric) in METRICS {
            if let Some(number) = self.number(key) {
                said = said.metric(metric, number);
            }
        }
        let tokens = [Key::InputTokens, Key::OutputTokens].map(|key| self.number(key));
        if let [Some(input), Some(output)] = tokens {
            said = said.metric("total_tokens", input + output);
        }
        if let Some(reasons) = self.finish_reasons() {
            said = said.metadata("finish_reason", reasons);
        }
        if let Some(tools) = self.json(Key::ToolDefinitions) {
            said = said.tool_definitions(messages::tools_of(&tools));
        }
        if let Some(id) = self.text(Key::ToolCallId) {
            said = said.answers_tool_call(id, self.text(Key::ToolName).unwrap_or_default());
        }
        let (input, output) = match kind {
            Kind::Tool => (
                self.content(Key::ToolCallArguments),
                self.content(Key::ToolCallResult),
            ),
            _ => (None, None),
        };
        said.input = input.or_else(|| self.conversation(true));
        said.output = output.or_else(|| self.conversation(false));
        said
    }

    fn finish_reasons(&self) -> Option<String> {
        let reasons = match self.values.get(&Key::FinishReasons)? {
            Value::List(reasons) => reasons.join(","),
            // Where there are no lists a list is written as one text.
            Value::Text(text) => match serde_json::from_str::<Vec<String>>(text) {
                Ok(reasons) => reasons.join(","),
                Err(_) => text.clone(),
            },
            Value::Number(_) => return None,
        };
        Some(reasons).filter(|reasons| !reasons.is_empty())
    }

    fn content(&self, key: Key) -> Option<Content> {
        match self.values.get(&key)? {
            Value::Text(text) => Some(Content::Text(text.clone())),
            Value::Number(number) => Some(Content::Text(number.to_string())),
            Value::List(items) => Some(Content::Json(items.clone().into())),
        }
    }

    fn conversation(&self, is_input: bool) -> Option<Content> {
        let keys: &[_] = if is_input {
            &[Key::SystemInstructions, Key::InputMessages]
        } else {
            &[Key::OutputMessages]
        };
        let mut all = Vec::new();
        for &key in keys {
            if let Some(json) = self.json(key) {
                if key == Key::SystemInstructions {
                    all.extend(messages::system_of(&json));
                } else {
                    all.extend(messages_of(&json));
                }
            }
        }
        (!all.is_empty()).then_some(Content::Messages(all))
    }
}
