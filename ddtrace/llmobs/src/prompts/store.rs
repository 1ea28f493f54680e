//! Writing prompts: for tools and pipelines, rather than for programs that answer requests. All of it needs `DD_APP_KEY`.

use http::Method;
use serde_json::{Map, Value, json};

use super::render::Template;
use super::{ENDPOINT, PromptError, cache, running, send};
use crate::experiments::quoted;
use crate::telemetry;

/// A prompt, or a version of one, that is to be made.
#[derive(Clone, Debug)]
#[must_use = "a draft is made by `create` or `create_version`"]
pub struct PromptDraft {
    template: Template,
    fields: Map<String, Value>,
}

impl PromptDraft {
    /// A draft by its template.
    pub fn new(template: impl Into<Template>) -> Self {
        Self {
            template: template.into(),
            fields: Map::new(),
        }
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }

    /// Gives the prompt a title.
    pub fn title(self, title: impl Into<String>) -> Self {
        self.with("title", title.into())
    }

    /// Says what it is for.
    pub fn description(self, text: impl Into<String>) -> Self {
        self.with("description", text.into())
    }

    /// Says what people call the version.
    pub fn user_version(self, version: impl Into<String>) -> Self {
        self.with("user_version", version.into())
    }

    /// Says by which labels the version is found.
    pub fn labels(self, labels: Vec<String>) -> Self {
        self.with("labels", labels)
    }

    /// Says in which environments the version is used.
    pub fn env_ids(self, ids: Vec<String>) -> Self {
        self.with("env_ids", ids)
    }

    /// Writes something down beside it: the model, its settings, …
    pub fn config(self, config: Map<String, Value>) -> Self {
        self.with("config", config)
    }

    fn body(self) -> Map<String, Value> {
        let mut body = self.fields;
        let template = match self.template {
            // The interface knows lists of messages only.
            Template::Text(text) => json!([{ "role": "user", "content": text }]),
            Template::Chat(items) => json!(items),
        };
        body.insert("template".into(), template);
        body
    }
}

/// Makes a prompt. What the backend has made of it is the result.
pub async fn create(id: &str, draft: PromptDraft) -> Result<Value, PromptError> {
    let mut body = draft.body();
    body.insert("prompt_id".into(), id.into());
    request(id, Method::POST, ENDPOINT.into(), Some(body.into())).await
}

/// Makes a version of a prompt.
pub async fn create_version(id: &str, draft: PromptDraft) -> Result<Value, PromptError> {
    let mut body = draft.body();
    body.remove("title");
    let path = format!("{ENDPOINT}/{}/versions", quoted(id));
    request(id, Method::POST, path, Some(body.into())).await
}

/// Changes the title or the description of a prompt.
pub async fn update(
    id: &str,
    title: Option<&str>,
    description: Option<&str>,
) -> Result<Value, PromptError> {
    let fields = [("title", title), ("description", description)];
    let fields = fields
        .into_iter()
        .filter_map(|(key, text)| Some((key.to_owned(), json!(text?))));
    let body: Map<_, _> = fields.collect();
    if body.is_empty() {
        return Err(PromptError::Invalid(
            "expected a title or a description".into(),
        ));
    }
    request(
        id,
        Method::PATCH,
        format!("{ENDPOINT}/{}", quoted(id)),
        Some(body.into()),
    )
    .await
}

/// What is to be changed of a version.
#[derive(Clone, Debug, Default)]
pub struct VersionChange {
    /// The labels that it is found by.
    pub labels: Option<Vec<String>>,
    /// What it is for.
    pub description: Option<String>,
    /// The environments in which it is used.
    pub env_ids: Option<Vec<String>>,
}

/// Changes a version of a prompt.
pub async fn update_version(
    id: &str,
    version: u64,
    change: VersionChange,
) -> Result<Value, PromptError> {
    let mut body = Map::new();
    if let Some(labels) = change.labels {
        body.insert("labels".into(), labels.into());
    }
    if let Some(description) = change.description {
        body.insert("description".into(), description.into());
    }
    if let Some(ids) = change.env_ids {
        body.insert("env_ids".into(), ids.into());
    }
    if body.is_empty() {
        return Err(PromptError::Invalid(
            "expected labels, a description or environments".into(),
        ));
    }
    let path = format!("{ENDPOINT}/{}/versions/{version}", quoted(id));
    request(id, Method::PATCH, path, Some(body.into())).await
}

/// Deletes a prompt.
pub async fn delete(id: &str) -> Result<Value, PromptError> {
    request(
        id,
        Method::DELETE,
        format!("{ENDPOINT}/{}", quoted(id)),
        None,
    )
    .await
}

/// Lists prompts.
pub async fn list() -> Result<Value, PromptError> {
    read(Method::GET, ENDPOINT.into(), None).await
}

/// Lists the versions of a prompt.
pub async fn list_versions(id: &str) -> Result<Value, PromptError> {
    read(
        Method::GET,
        format!("{ENDPOINT}/{}/versions", quoted(id)),
        None,
    )
    .await
}

async fn request(
    id: &str,
    method: Method,
    path: String,
    body: Option<Value>,
) -> Result<Value, PromptError> {
    let result = read(method, path, body).await?;
    cache::forget_all_of(&running()?.settings, id);
    Ok(result)
}

async fn read(method: Method, path: String, body: Option<Value>) -> Result<Value, PromptError> {
    let running = running()?;
    let result = match send(&running, method, path, body, true).await {
        Ok(answer) if answer.status.is_success() => {
            let value = serde_json::from_slice(&answer.body);
            if answer.body.is_empty() {
                Ok(json!({}))
            } else {
                value.map_err(|_| PromptError::Server {
                    status: answer.status.as_u16(),
                    detail: "expected JSON".into(),
                })
            }
        }
        Ok(answer) => Err(PromptError::of(&answer)),
        Err(error) => Err(error),
    };
    if let Err(error) = &result {
        telemetry::prompt_error("prompt.crud.error", error.label());
    }
    result
}
