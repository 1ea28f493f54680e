//! Messages between a program and a language model.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::content::Malformed;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Message {
    /// What it says.
    pub content: String,
    /// Who says it: `user`, `assistant`, `system`, `tool`, `reasoning`, … May be empty.
    pub role: String,
    /// Calls of tools that a model asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// What such calls have given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_results: Vec<ToolResult>,
    /// Sound.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audio_parts: Vec<Media>,
    /// Pictures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_parts: Vec<Media>,
    /// The message's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The id of the tool that it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<String>,
    /// The id of the call that it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Whether it was given without a content, which is then not sent: some APIs have messages that are nothing but calls of tools.
    #[doc(hidden)]
    #[serde(skip)]
    pub has_no_content: bool,
}

/// A call of a tool that a model asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// An object with its arguments.
    pub arguments: Value,
    /// The call's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<String>,
    /// The type of tool: `function`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// What a call of a tool has given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolResult {
    /// The tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The result, as text.
    pub result: String,
    /// The call's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_id: Option<String>,
    /// The type of result.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Sound or a picture: either what it is, or where it was put.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Media {
    /// Its type: `image/png`, …
    pub mime_type: String,
    /// Its bytes in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// The key of an attachment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachment_key: Option<String>,
}

impl Message {
    /// A message that says something.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
            ..Self::default()
        }
    }

    /// The message that a value says on the wire: a text, or an object whose `content` is a text.
    pub(crate) fn of_value(value: Value) -> Result<Self, Malformed> {
        match value {
            Value::String(content) => Ok(Self::new("", content)),
            Value::Object(mut map) => {
                map.retain(|_, value| !value.is_null());
                let has_no_content = !map.contains_key("content");
                let message = serde_json::from_value::<Self>(Value::Object(map));
                let message = message.map_err(|error| Malformed(error.to_string()))?;
                let is_about_tools =
                    !(message.tool_calls.is_empty() && message.tool_results.is_empty());
                Self {
                    has_no_content: has_no_content && is_about_tools,
                    ..message
                }
                .checked()
            }
            _ => Err(Malformed("expected a text or an object as message".into())),
        }
    }

    /// The message, if what types cannot say holds.
    pub(crate) fn checked(mut self) -> Result<Self, Malformed> {
        for call in &mut self.tool_calls {
            if call.arguments.is_null() {
                call.arguments = Value::Object(Map::new());
            }
            if !call.arguments.is_object() {
                return Err(Malformed(
                    "expected an object as arguments of a tool call".into(),
                ));
            }
        }
        for media in self.audio_parts.iter().chain(&self.image_parts) {
            if media.mime_type.is_empty() {
                return Err(Malformed("expected a type of media, found none".into()));
            }
            if media.content.is_some() == media.attachment_key.is_some() {
                return Err(Malformed(
                    "expected either the content of media or the key of an attachment".into(),
                ));
            }
        }
        Ok(self)
    }

    /// The message as it stands on the wire.
    pub(crate) fn to_wire(&self) -> Value {
        // These types cannot fail to be JSON.
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(map) = &mut value {
            if self.has_no_content && self.content.is_empty() {
                map.remove("content");
            }
        }
        value
    }

    /// The message without what anybody has said in it.
    pub(crate) fn emptied(mut self) -> Self {
        self.content.clear();
        for call in &mut self.tool_calls {
            call.arguments = Value::Object(Map::new());
        }
        self.tool_results
            .iter_mut()
            .for_each(|result| result.result.clear());
        self.audio_parts.clear();
        self.image_parts.clear();
        self
    }
}
