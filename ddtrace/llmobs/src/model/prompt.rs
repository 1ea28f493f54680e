//! Which template a prompt was made from, and with what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::annotation::AnnotateError;

/// The prompt of a call: a template, its variables, and which version of which prompt it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Prompt {
    /// Its id; made of the application's name when missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The label that it was chosen by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// A template that is one text. Not together with `chat_template`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A template that is a list of messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chat_template: Vec<ChatItem>,
    /// What was put in.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub variables: Map<String, Value>,
    /// Tags of the prompt.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Variables that hold what was looked up; `context` when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rag_context_variables: Vec<String>,
    /// Variables that hold what was asked; `question` when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rag_query_variables: Vec<String>,
    /// Datadog's id of a managed prompt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_uuid: Option<String>,
    /// Datadog's id of its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_version_uuid: Option<String>,
    /// Whether an integration has found it, rather than the program said it.
    #[serde(skip)]
    pub(crate) is_automatic: bool,
}

/// A part of a template that is a list of messages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum ChatItem {
    /// A message.
    Message {
        /// Who says it.
        role: String,
        /// What is said, with places for variables.
        content: String,
    },
    /// A place for messages.
    Placeholder {
        /// What says that it is one.
        #[serde(rename = "type", default)]
        kind: PlaceholderType,
        /// Its name.
        name: String,
    },
}

/// The type of an item that is no message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PlaceholderType {
    /// A place for messages.
    #[default]
    Placeholder,
}

impl ChatItem {
    /// A message.
    pub fn message(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self::Message {
            role: role.into(),
            content: content.into(),
        }
    }

    /// A place for messages.
    pub fn placeholder(name: impl Into<String>) -> Self {
        Self::Placeholder {
            kind: PlaceholderType::Placeholder,
            name: name.into(),
        }
    }
}

/// A prompt as it stands on the wire.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Checked(pub(crate) Map<String, Value>);

/// A prompt as it is written in JSON: the fields of [`Prompt`].
impl TryFrom<Value> for Prompt {
    type Error = AnnotateError;

    fn try_from(value: Value) -> Result<Self, AnnotateError> {
        let value = match value {
            Value::Object(mut map) => {
                map.retain(|_, value| !value.is_null());
                Value::Object(map)
            }
            other => other,
        };
        serde_json::from_value(value)
            .map_err(|error| AnnotateError::InvalidPrompt(error.to_string()))
    }
}

impl Prompt {
    /// A prompt that is made from a text.
    pub fn of_template(template: impl Into<String>) -> Self {
        Self {
            template: Some(template.into()),
            ..Self::default()
        }
    }

    /// A prompt that is made from messages.
    pub fn of_chat(items: Vec<ChatItem>) -> Self {
        Self {
            chat_template: items,
            ..Self::default()
        }
    }

    /// Says its id.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Says its version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Says what one variable was.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// What of it differs from nothing, as it stands on the wire. `ml_app` is part of it, and of the default id.
    pub(crate) fn checked(&self, ml_app: &str) -> Result<Checked, AnnotateError> {
        let wrong = |what: &str| Err(AnnotateError::InvalidPrompt(what.to_owned()));
        if self.template.is_some() && !self.chat_template.is_empty() {
            return wrong("expected one of `template` and `chat_template`, found both");
        }
        let is_nameless =
            |item: &ChatItem| matches!(item, ChatItem::Placeholder { name, .. } if name.is_empty());
        if self.chat_template.iter().any(is_nameless) {
            return wrong("expected a name in a placeholder, found none");
        }
        let mut map = Map::new();
        let id = filled(self.id.as_deref()).map(str::to_owned);
        let id = id.unwrap_or_else(|| format!("{ml_app}_unnamed-prompt"));
        map.insert("id".into(), id.into());
        map.insert("ml_app".into(), ml_app.into());
        for (key, text) in [
            ("version", &self.version),
            ("label", &self.label),
            ("template", &self.template),
            ("prompt_uuid", &self.prompt_uuid),
            ("prompt_version_uuid", &self.prompt_version_uuid),
        ] {
            if let Some(text) = filled(text.as_deref()) {
                map.insert(key.into(), text.into());
            }
        }
        if !self.chat_template.is_empty() {
            map.insert("chat_template".into(), json!(self.chat_template));
        }
        if !self.variables.is_empty() {
            map.insert("variables".into(), self.variables.clone().into());
        }
        if !self.tags.is_empty() {
            map.insert("tags".into(), json!(self.tags));
        }
        for (key, names, usual) in [
            (
                "_dd_context_variable_keys",
                &self.rag_context_variables,
                "context",
            ),
            (
                "_dd_query_variable_keys",
                &self.rag_query_variables,
                "question",
            ),
        ] {
            let names = if names.is_empty() {
                json!([usual])
            } else {
                json!(names)
            };
            map.insert(key.into(), names);
        }
        Ok(Checked(map))
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

impl Checked {
    /// Puts a later annotation over an earlier one, key by key.
    pub(crate) fn merge(&mut self, later: Checked) {
        self.0.extend(later.0);
    }

    /// The prompt without what anybody has said in it.
    pub(crate) fn emptied(mut self) -> Self {
        self.0.remove("variables");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_reference() {
        let Checked(map) = Prompt::of_template("t").checked("test-app").unwrap();
        assert_eq!(
            Value::Object(map),
            json!({
                "id": "test-app_unnamed-prompt", "ml_app": "test-app", "template": "t",
                "_dd_context_variable_keys": ["context"], "_dd_query_variable_keys": ["question"],
            })
        );
    }

    #[test]
    fn a_prompt_is_read_from_json() {
        let value = json!({
            "chat_template": [{"role": "user", "content": "{{q}}"}, {"type": "placeholder", "name": "history"}],
            "version": "1", "variables": {"q": "x"}, "id": null,
        });
        let prompt = Prompt::try_from(value).unwrap();
        assert_eq!(
            prompt.chat_template,
            [
                ChatItem::message("user", "{{q}}"),
                ChatItem::placeholder("history")
            ]
        );
        for bad in [
            json!(1),
            json!({"version": 1}),
            json!({"chat_template": [1]}),
            json!({"tags": {"a": 1}}),
        ] {
            assert!(Prompt::try_from(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_templates_and_nameless_places_are_refused() {
        let mut both = Prompt::of_template("t");
        both.chat_template = vec![ChatItem::message("user", "x")];
        assert!(both.checked("a").is_err());
        assert!(
            Prompt::of_chat(vec![ChatItem::placeholder("")])
                .checked("a")
                .is_err()
        );
        let fine = Prompt::of_chat(vec![ChatItem::placeholder("history")])
            .checked("a")
            .unwrap();
        assert_eq!(
            fine.0["chat_template"],
            json!([{"type": "placeholder", "name": "history"}])
        );
    }
}
