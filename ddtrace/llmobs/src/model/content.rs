//! What goes into a span and what comes out of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::message::Message;
use crate::json_text::text_of;

/// Input or output, in the form that the caller has it in. The kind of the span decides what becomes of it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// A text.
    Text(String),
    /// Anything that JSON can say. On spans of kind `llm` it has to be a message, or a list of messages.
    Json(Value),
    /// A value that was captured and not written for the purpose: messages or documents if it can be read as such where these are asked
    /// for, else a text.
    Captured(Value),
    /// Messages.
    Messages(Vec<Message>),
    /// Documents.
    Documents(Vec<Document>),
}

/// A document that was found, or is made into a vector.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Document {
    /// What stands in it.
    pub text: String,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// How well it fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

impl Content {
    /// Messages, written as JSON. What is none is refused when it is given to a span.
    pub fn messages(value: Value) -> Self {
        match messages_of(value.clone().into()) {
            Ok(messages) => Self::Messages(messages),
            Err(_) => Self::Json(value),
        }
    }

    /// Documents, written as JSON. What is none is refused when it is given to a span that has them.
    pub fn documents(value: Value) -> Self {
        match documents_of(value.clone().into()) {
            Ok(documents) => Self::Documents(documents),
            Err(_) => Self::Json(value),
        }
    }
}

impl Document {
    /// A document by its text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    fn of_value(value: Value) -> Result<Self, Malformed> {
        match value {
            Value::String(text) => Ok(Self::new(text)),
            Value::Object(mut map) => {
                map.retain(|_, value| !value.is_null());
                if !map.get("text").is_some_and(Value::is_string) {
                    return Err(Malformed("expected a text in a document".into()));
                }
                serde_json::from_value(Value::Object(map))
                    .map_err(|error| Malformed(error.to_string()))
            }
            _ => Err(Malformed("expected a text or an object as document".into())),
        }
    }
}

/// Why something is no message or document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

/// Reads content as messages.
pub(crate) fn messages_of(content: Content) -> Result<Vec<Message>, Malformed> {
    match content {
        Content::Text(text) => Ok(vec![Message::new("", text)]),
        Content::Messages(messages) => messages.into_iter().map(Message::checked).collect(),
        Content::Json(Value::Array(items)) => items.into_iter().map(Message::of_value).collect(),
        Content::Json(value) => Ok(vec![Message::of_value(value)?]),
        Content::Captured(value) => {
            let text = text_of(&value);
            let is_plain =
                |message: &Message| message.content.is_empty() && message.role.is_empty();
            match messages_of(value.into()) {
                // An object that only happens to be one has nothing that a message has.
                Ok(messages) if !messages.iter().any(is_plain) => Ok(messages),
                _ => Ok(vec![Message::new("", text)]),
            }
        }
        Content::Documents(documents) => {
            let messages = documents
                .into_iter()
                .map(|document| Message::new("", document.text));
            Ok(messages.collect())
        }
    }
}

/// Reads content as documents.
pub(crate) fn documents_of(content: Content) -> Result<Vec<Document>, Malformed> {
    match content {
        Content::Text(text) => Ok(vec![Document::new(text)]),
        Content::Documents(documents) => Ok(documents),
        Content::Json(Value::Array(items)) => items.into_iter().map(Document::of_value).collect(),
        Content::Json(value) => Ok(vec![Document::of_value(value)?]),
        Content::Captured(value) => {
            let text = text_of(&value);
            Ok(documents_of(value.into()).unwrap_or_else(|_| vec![Document::new(text)]))
        }
        Content::Messages(messages) => {
            let documents = messages
                .into_iter()
                .map(|message| Document::new(message.content));
            Ok(documents.collect())
        }
    }
}

/// What [`Content`] is when it is one value.
impl From<Content> for Value {
    fn from(content: Content) -> Self {
        // These types cannot fail to be JSON.
        match content {
            Content::Text(text) => Value::String(text),
            Content::Json(value) | Content::Captured(value) => value,
            Content::Messages(messages) => serde_json::to_value(messages).unwrap_or_default(),
            Content::Documents(documents) => serde_json::to_value(documents).unwrap_or_default(),
        }
    }
}

impl From<&str> for Content {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Value> for Content {
    fn from(value: Value) -> Self {
        match value {
            Value::String(text) => Self::Text(text),
            other => Self::Json(other),
        }
    }
}

impl From<Message> for Content {
    fn from(message: Message) -> Self {
        Self::Messages(vec![message])
    }
}

impl From<Vec<Message>> for Content {
    fn from(messages: Vec<Message>) -> Self {
        Self::Messages(messages)
    }
}

impl From<Document> for Content {
    fn from(document: Document) -> Self {
        Self::Documents(vec![document])
    }
}

impl From<Vec<Document>> for Content {
    fn from(documents: Vec<Document>) -> Self {
        Self::Documents(documents)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_read_as_the_reference_reads_them() {
        let read = |value: Value| messages_of(value.into());
        assert_eq!(read(json!("hi")), Ok(vec![Message::new("", "hi")]));
        assert_eq!(
            read(json!([{"content": "a", "role": "user", "other": 1}, "b", {"role": "x"}])),
            Ok(vec![
                Message::new("user", "a"),
                Message::new("", "b"),
                Message::new("x", "")
            ])
        );
        let call = read(
            json!({"content": null, "tool_calls": [{"name": "f", "type": "function", "tool_id": "1"}]}),
        );
        assert_eq!(call.unwrap()[0].tool_calls[0].arguments, json!({}));
        for bad in [
            json!({"content": 1}),
            json!([[]]),
            json!(3),
            json!({"content": "", "tool_calls": [{"arguments": "text"}]}),
            json!({"content": "", "tool_calls": {}}),
            json!({"content": "", "image_parts": [{"mime_type": "image/png"}]}),
            json!({"content": "", "audio_parts": [{"mime_type": "a", "content": "x", "attachment_key": "y"}]}),
            json!({"content": "", "audio_parts": [{"content": "x"}]}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_captured_is_read_as_far_as_it_can_be() {
        let messages = |value: Value| messages_of(Content::Captured(value)).unwrap();
        assert_eq!(messages(json!({"q": 1})), [Message::new("", r#"{"q": 1}"#)]);
        assert_eq!(
            messages(json!({"content": "a", "role": "user"})),
            [Message::new("user", "a")]
        );
        assert_eq!(messages(json!("text")), [Message::new("", "text")]);
        assert_eq!(messages(json!(7)), [Message::new("", "7")]);
        let documents = |value: Value| documents_of(Content::Captured(value)).unwrap();
        assert_eq!(documents(json!({"text": "t"})), [Document::new("t")]);
        assert_eq!(
            documents(json!({"q": "t"})),
            [Document::new(r#"{"q": "t"}"#)]
        );
    }

    #[test]
    fn documents_need_a_text_and_keep_a_score_of_nothing() {
        let read = |value: Value| documents_of(value.into());
        let document = Document {
            score: Some(0.0),
            ..Document::new("t")
        };
        assert_eq!(
            read(json!({"text": "t", "score": 0, "id": null})),
            Ok(vec![document])
        );
        for bad in [
            json!({"id": "x"}),
            json!({"text": 1}),
            json!([1]),
            json!({"text": "t", "score": "high"}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
