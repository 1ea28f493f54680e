//! Prompts as values, and what becomes of them when variables are put in.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::ops::Deref;

use ddtrace_core::trace::InContext;
use serde_json::{Map, Value, json};

use crate::annotation::Annotation;
use crate::current::annotation_context;
use crate::model::{ChatItem, Content, Message, Prompt};

/// A template: a text, or a list of messages. `{{name}}` and `{name}` are places for variables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Template {
    /// A text.
    Text(String),
    /// Messages.
    Chat(Vec<ChatItem>),
}

impl From<&str> for Template {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Template {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<ChatItem>> for Template {
    fn from(items: Vec<ChatItem>) -> Self {
        Self::Chat(items)
    }
}

/// Where a prompt comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// From the backend.
    Registry,
    /// From the backend, chosen for the environment.
    Resolve,
    /// Kept here.
    Cache,
    /// From the program.
    Fallback,
}

impl Source {
    fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Resolve => "resolve",
            Self::Cache => "cache",
            Self::Fallback => "fallback",
        }
    }
}

/// A prompt that people keep in Datadog.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ManagedPrompt {
    /// Its name.
    pub id: String,
    /// Its version.
    pub version: String,
    /// The label that it was chosen by.
    pub label: Option<String>,
    /// Where it comes from.
    pub source: Source,
    /// Its template.
    pub template: Template,
    /// What people have written down beside it: the model, its settings, …
    pub config: Map<String, Value>,
    uuid: Option<String>,
    version_uuid: Option<String>,
}

impl ManagedPrompt {
    /// What an answer of the backend says.
    pub(super) fn of_answer(
        map: &Map<String, Value>,
        source: Source,
        label: Option<&str>,
    ) -> Option<Self> {
        let text = |key: &str| match map.get(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        Some(Self {
            id: text("prompt_id")?,
            version: text("user_version").or_else(|| text("version"))?,
            label: text("label").or_else(|| label.map(str::to_owned)),
            source,
            template: template(map),
            config: map
                .get("config")
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default(),
            uuid: text("prompt_uuid"),
            version_uuid: text("prompt_version_uuid")
                .or_else(|| text("id"))
                .or_else(|| text("ID")),
        })
    }

    pub(super) fn fallback(id: String, template: Template) -> Self {
        Self {
            id,
            version: "fallback".into(),
            label: None,
            source: Source::Fallback,
            template,
            config: Map::new(),
            uuid: None,
            version_uuid: None,
        }
    }

    pub(super) fn with_source(&self, source: Source) -> Self {
        Self {
            source,
            ..self.clone()
        }
    }

    /// As it is kept in a file.
    pub(super) fn to_value(&self) -> Value {
        let (text, chat) = match &self.template {
            Template::Text(text) => (Some(text), None),
            Template::Chat(items) => (None, Some(items)),
        };
        json!({
            "prompt_id": self.id, "version": self.version, "label": self.label, "source": self.source.as_str(),
            "template": text, "chat_template": chat, "config": self.config, "prompt_uuid": self.uuid,
            "prompt_version_uuid": self.version_uuid,
        })
    }

    /// Puts variables into the text. A template of messages becomes their texts, one a line.
    pub fn render<K, V>(&self, variables: impl IntoIterator<Item = (K, V)>) -> Rendered
    where
        K: Into<String>,
        V: fmt::Display,
    {
        let variables = owned(variables);
        let text = match &self.template {
            Template::Text(text) => substituted(text, &variables),
            Template::Chat(_) => {
                let messages = self.messages(&variables);
                let lines: Vec<_> = messages
                    .into_iter()
                    .map(|message| message.content)
                    .collect();
                lines.join("\n")
            }
        };
        Rendered {
            text,
            prompt: self.annotation(&variables),
        }
    }

    /// Puts variables into the messages. A text is one message of the user. Places for messages stay empty.
    pub fn render_chat<K, V>(&self, variables: impl IntoIterator<Item = (K, V)>) -> RenderedChat
    where
        K: Into<String>,
        V: fmt::Display,
    {
        let variables = owned(variables);
        RenderedChat {
            messages: self.messages(&variables),
            prompt: self.annotation(&variables),
        }
    }

    fn messages(&self, variables: &BTreeMap<String, String>) -> Vec<Message> {
        let items = match &self.template {
            Template::Text(text) => {
                return vec![Message::new("user", substituted(text, variables))];
            }
            Template::Chat(items) => items,
        };
        let messages = items.iter().filter_map(|item| match item {
            ChatItem::Message { role, content } => {
                Some(Message::new(role, substituted(content, variables)))
            }
            ChatItem::Placeholder { .. } => None,
        });
        messages.collect()
    }

    /// What is said about the span of a call that was made with it.
    pub fn annotation(&self, variables: &BTreeMap<String, String>) -> Prompt {
        let mut prompt = match &self.template {
            Template::Text(text) => Prompt::of_template(text),
            Template::Chat(items) => Prompt::of_chat(items.clone()),
        };
        prompt.id = Some(self.id.clone());
        prompt.version = Some(self.version.clone());
        prompt.label.clone_from(&self.label);
        prompt.prompt_uuid.clone_from(&self.uuid);
        prompt.prompt_version_uuid.clone_from(&self.version_uuid);
        let variables = variables.iter();
        prompt.variables = variables
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        prompt
    }
}

fn template(map: &Map<String, Value>) -> Template {
    let found = ["template", "chat_template"]
        .into_iter()
        .find_map(|key| map.get(key).filter(|it| !it.is_null()));
    match found {
        Some(Value::String(text)) => Template::Text(text.clone()),
        Some(Value::Array(items)) => {
            let items = items
                .iter()
                .filter_map(|item| serde_json::from_value(item.clone()).ok());
            Template::Chat(items.collect())
        }
        _ => Template::Chat(Vec::new()),
    }
}

fn owned<K: Into<String>, V: fmt::Display>(
    variables: impl IntoIterator<Item = (K, V)>,
) -> BTreeMap<String, String> {
    let variables = variables.into_iter();
    variables
        .map(|(name, value)| (name.into(), value.to_string()))
        .collect()
}

/// The template with variables in their places; names that are unknown stay.
pub(super) fn substituted(template: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let found = place(rest, "{{", "}}").or_else(|| place(rest, "{", "}"));
        match found {
            Some((name, length)) => {
                match variables.get(name) {
                    Some(value) => out.push_str(value),
                    None => out.push_str(&rest[..length]),
                }
                rest = &rest[length..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out + rest
}

/// The name of the place that a text begins with, and the length of that place.
fn place<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, usize)> {
    let inside = text.strip_prefix(open)?;
    let name = inside.trim_start();
    let end = name
        .find(|char: char| !(char.is_alphanumeric() || char == '_'))
        .unwrap_or(name.len());
    let (name, rest) = name.split_at(end);
    let rest = rest.trim_start().strip_prefix(close)?;
    (!name.is_empty()).then_some((name, text.len() - rest.len()))
}

macro_rules! carries_its_prompt {
    ($type:ty) => {
        impl $type {
            /// What is said about the span of a call that is made with it.
            pub fn prompt(&self) -> &Prompt {
                &self.prompt
            }

            /// Runs something in which calls of models are tagged with the prompt.
            pub fn scope<T>(&self, work: impl FnOnce() -> T) -> T {
                annotation_context(self.said()).scope(work)
            }

            /// Makes a future's polls the scope in which calls of models are tagged with the prompt.
            pub fn wrap<F: Future>(&self, future: F) -> InContext<F> {
                annotation_context(self.said()).wrap(future)
            }

            fn said(&self) -> Annotation {
                let prompt = Prompt {
                    is_automatic: true,
                    ..self.prompt.clone()
                };
                Annotation::new().prompt(prompt)
            }
        }
    };
}

/// A text that knows which prompt it was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    text: String,
    prompt: Prompt,
}

carries_its_prompt!(Rendered);

impl Deref for Rendered {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl AsRef<str> for Rendered {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Rendered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<&Rendered> for Content {
    fn from(rendered: &Rendered) -> Self {
        Self::Text(rendered.text.clone())
    }
}

/// Messages that know which prompt they were made from.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedChat {
    messages: Vec<Message>,
    prompt: Prompt,
}

carries_its_prompt!(RenderedChat);

impl Deref for RenderedChat {
    type Target = [Message];

    fn deref(&self) -> &[Message] {
        &self.messages
    }
}

impl From<&RenderedChat> for Content {
    fn from(rendered: &RenderedChat) -> Self {
        Self::Messages(rendered.messages.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str, variables: &[(&str, &str)]) -> String {
        substituted(template, &owned(variables.iter().copied()))
    }

    /// `spec/llmobs.md` §22.4.
    #[test]
    fn variables_are_put_in_and_unknown_names_stay() {
        assert_eq!(
            filled(
                "Hi {{ name }} {age} {{missing}}",
                &[("name", "A"), ("age", "3")]
            ),
            "Hi A 3 {{missing}}"
        );
        assert_eq!(
            filled(r#"{"age": {age}}"#, &[("age", "5")]),
            r#"{"age": 5}"#
        );
        assert_eq!(filled("{{{name}}}", &[("name", "x")]), "{x}");
        assert_eq!(
            filled("{ {{ }} {é} {a b} {", &[("é", "!")]),
            "{ {{ }} ! {a b} {"
        );
        assert_eq!(
            filled("{a}", &[("a", "{b}"), ("b", "no")]),
            "{b}",
            "what was put in is not looked at"
        );
    }

    #[test]
    fn what_is_rendered_carries_its_prompt() {
        let fixture = crate::testing::Fixture::new();
        let answer = json!({"prompt_id": "greet", "version": 3, "template": "Hi {{name}}", "prompt_uuid": "u", "ID": "v"});
        let prompt =
            ManagedPrompt::of_answer(answer.as_object().unwrap(), Source::Registry, None).unwrap();
        let rendered = prompt.render([("name", "Ada")]);
        assert_eq!(&*rendered, "Hi Ada");
        rendered.scope(|| crate::span(crate::Kind::Llm).start().finish());
        let data = &fixture.structs()[0];
        let found = &data["meta"]["input"]["prompt"];
        assert_eq!(
            (&found["id"], &found["version"], &found["variables"]),
            (&json!("greet"), &json!("3"), &json!({"name": "Ada"}))
        );
        assert_eq!(
            (&found["prompt_uuid"], &found["prompt_version_uuid"]),
            (&json!("u"), &json!("v"))
        );
        assert_eq!(
            data["tags"]["prompt_tracking_instrumentation_method"],
            "auto"
        );
        let kept = prompt.to_value();
        assert_eq!(
            ManagedPrompt::of_answer(kept.as_object().unwrap(), Source::Registry, None),
            Some(prompt)
        );
    }

    #[test]
    fn messages_are_rendered_one_by_one() {
        let items = vec![
            ChatItem::message("system", "Be {{how}}"),
            ChatItem::placeholder("history"),
        ];
        let prompt = ManagedPrompt::fallback("p".into(), items.into());
        let rendered = prompt.render_chat([("how", "brief")]);
        assert_eq!(&*rendered, [Message::new("system", "Be brief")]);
        assert_eq!(&*prompt.render([("how", "brief")]), "Be brief");
        assert_eq!(rendered.prompt().version.as_deref(), Some("fallback"));
    }
}
