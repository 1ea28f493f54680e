//! What a request asks, whichever provider it is meant for.

use serde_json::Value;

/// One thing that somebody said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Who: `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// What.
    pub text: String,
}

/// A request for an answer.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The model that is asked.
    pub model: String,
    /// What was said so far.
    pub said: Vec<Said>,
    /// Names of the tools that may be called.
    pub tools: Vec<String>,
    /// Whether the answer is to come in pieces.
    pub stream: bool,
    /// Whether a stream is to end with the tokens that it took, where that has to be asked for.
    pub stream_usage: bool,
}

impl Ask {
    /// What the user said last.
    pub fn last_text(&self) -> &str {
        let last = self.said.iter().rev().find(|said| said.role == "user");
        last.map(|said| said.text.as_str()).unwrap_or_default()
    }

    /// The result of a tool, if that is the last thing that was said.
    pub fn tool_result(&self) -> Option<&str> {
        let last = self.said.last().filter(|said| said.role == "tool");
        last.map(|said| said.text.as_str())
    }

    pub(crate) fn say(&mut self, role: &str, text: String) {
        let role = if role == "model" { "assistant" } else { role };
        self.said.push(Said {
            role: role.to_owned(),
            text,
        });
    }

    /// A number for the tokens of everything that was said: words.
    pub(crate) fn tokens(&self) -> u64 {
        self.said.iter().map(|said| words(&said.text)).sum()
    }
}

/// How many words a text has.
pub(crate) fn words(text: &str) -> u64 {
    text.split_whitespace().count() as u64
}

/// The text under a key, or nothing.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The elements of the list under a key, or none.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// A text, or the texts of a list of parts.
pub(crate) fn content(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().map(|part| text(part, "text")).collect(),
        _ => String::new(),
    }
}
