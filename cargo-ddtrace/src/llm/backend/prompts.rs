//! Prompts that are managed: each with versions, which labels name.

use serde_json::{Value, json};

use super::{Ask, Backend, MOST, Reply, missing, name, new_id, now_ms, refuse, rfc3339, wrong};

/// A prompt.
#[derive(Debug)]
#[allow(missing_docs)] // named as in API.md
pub struct Prompt {
    pub id: String,
    pub uuid: String,
    pub title: String,
    pub description: String,
    pub created_ms: i64,
    /// The first is number 1.
    pub versions: Vec<Version>,
}

/// A version of a prompt.
#[derive(Debug)]
#[allow(missing_docs)] // named as in API.md
pub struct Version {
    pub uuid: String,
    pub number: u64,
    pub user_version: String,
    pub template: Value,
    pub description: String,
    pub labels: Vec<String>,
    pub environments: Vec<String>,
    pub config: Value,
    pub created_ms: i64,
}

impl Prompt {
    fn show(&self) -> Value {
        let newest = self.versions.last();
        json!({"id": self.uuid, "prompt_id": self.id, "title": self.title, "description": self.description,
            "version": newest.map(|version| version.number), "num_versions": self.versions.len(),
            "created_at": rfc3339(self.created_ms)})
    }

    fn show_version(&self, version: &Version) -> Value {
        json!({"id": version.uuid, "prompt_id": self.id, "prompt_uuid": self.uuid, "prompt_version_uuid": version.uuid,
            "version": version.number,
            "user_version": if version.user_version.is_empty() { version.number.to_string() } else { version.user_version.clone() },
            "label": version.labels.first(), "labels": version.labels, "env_ids": version.environments, "template": version.template,
            "description": version.description, "config": version.config, "created_at": rfc3339(version.created_ms)})
    }

    /// The version that is meant: that of a label, else the newest.
    fn labelled(&self, label: Option<&str>) -> Option<&Version> {
        let Some(label) = label else {
            return self.versions.last();
        };
        let has = |version: &&Version| version.labels.iter().any(|own| own == label);
        self.versions.iter().rev().find(has)
    }
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().map_or(&[][..], Vec::as_slice);
    list.iter()
        .filter_map(Value::as_str)
        .take(100)
        .map(str::to_owned)
        .collect()
}

impl Backend {
    fn prompt(&self, id: &str) -> Option<&Prompt> {
        self.prompts.iter().find(|prompt| prompt.id == id)
    }

    pub(super) fn list_prompts(&self) -> Reply {
        (200, self.prompts.iter().map(Prompt::show).collect())
    }

    pub(super) fn create_prompt(&mut self, ask: &Ask<'_>) -> Reply {
        let Some(id) = name(&ask.body["prompt_id"]) else {
            return wrong("prompt_id is missing");
        };
        if self.prompt(&id).is_some() {
            return refuse(409, "there is a prompt of this id");
        }
        if self.prompts.len() >= MOST {
            return refuse(413, "too many prompts");
        }
        let text = |key: &str| {
            ask.body[key]
                .as_str()
                .unwrap_or_default()
                .chars()
                .take(8000)
                .collect::<String>()
        };
        self.prompts.push(Prompt {
            id: id.clone(),
            uuid: new_id(),
            title: text("title"),
            description: text("description"),
            created_ms: now_ms(),
            versions: Vec::new(),
        });
        let (status, answer) = self.create_version(&id, ask);
        if status != 200 {
            self.prompts.pop();
            return (status, answer);
        }
        let made = self.prompts.last().map(Prompt::show);
        (200, made.unwrap_or_default())
    }

    pub(super) fn create_version(&mut self, id: &str, ask: &Ask<'_>) -> Reply {
        let template = &ask.body["template"];
        if !template.is_array() && !template.is_string() {
            return wrong("template is missing");
        }
        if self.prompt(id).is_none() {
            return missing("this prompt");
        }
        if !self.hold(500 + ask.body.to_string().len() * 3) {
            return refuse(
                413,
                "the prompt does not fit into the memory of the local agent (--memory)",
            );
        }
        let Some(prompt) = self.prompts.iter_mut().find(|prompt| prompt.id == id) else {
            return missing("this prompt");
        };
        let labels = texts(&ask.body["labels"]);
        // A label names one version.
        for version in &mut prompt.versions {
            version.labels.retain(|own| !labels.contains(own));
        }
        let text = |key: &str| {
            ask.body[key]
                .as_str()
                .unwrap_or_default()
                .chars()
                .take(8000)
                .collect::<String>()
        };
        prompt.versions.push(Version {
            uuid: new_id(),
            number: prompt.versions.len() as u64 + 1,
            user_version: text("user_version"),
            template: template.clone(),
            description: text("description"),
            labels,
            environments: texts(&ask.body["env_ids"]),
            config: match &ask.body["config"] {
                Value::Null => json!({}),
                config => config.clone(),
            },
            created_ms: now_ms(),
        });
        let made = prompt
            .versions
            .last()
            .map(|version| prompt.show_version(version));
        (200, made.unwrap_or_default())
    }

    pub(super) fn get_prompt(&self, id: &str, label: Option<&str>) -> Reply {
        let Some(prompt) = self.prompt(id) else {
            return missing("this prompt");
        };
        match prompt.labelled(label) {
            Some(version) => (200, prompt.show_version(version)),
            None => missing("this label"),
        }
    }

    /// For an environment: the newest version that names it, else one that names none.
    pub(super) fn resolve_prompt(&self, id: &str, ask: &Ask<'_>) -> Reply {
        let Some(prompt) = self.prompt(id) else {
            return missing("this prompt");
        };
        let env = ask.attributes()["env"].as_str().unwrap_or_default();
        let mut newest = prompt.versions.iter().rev();
        let named = newest
            .clone()
            .find(|version| version.environments.iter().any(|own| own == env));
        match named.or_else(|| newest.find(|version| version.environments.is_empty())) {
            Some(version) => (200, prompt.show_version(version)),
            None => missing("a version for this environment"),
        }
    }

    pub(super) fn list_versions(&self, id: &str) -> Reply {
        match self.prompt(id) {
            Some(prompt) => (
                200,
                prompt
                    .versions
                    .iter()
                    .map(|version| prompt.show_version(version))
                    .collect(),
            ),
            None => missing("this prompt"),
        }
    }

    pub(super) fn get_version(&self, id: &str, number: &str) -> Reply {
        let found = self.prompt(id).and_then(|prompt| {
            let is_it = |version: &&Version| {
                version.number.to_string() == number || version.user_version == number
            };
            Some((prompt, prompt.versions.iter().find(is_it)?))
        });
        match found {
            Some((prompt, version)) => (200, prompt.show_version(version)),
            None => missing("this version"),
        }
    }

    pub(super) fn update_prompt(&mut self, id: &str, ask: &Ask<'_>) -> Reply {
        let Some(prompt) = self.prompts.iter_mut().find(|prompt| prompt.id == id) else {
            return missing("this prompt");
        };
        for (field, key) in [
            (&mut prompt.title, "title"),
            (&mut prompt.description, "description"),
        ] {
            if let Some(text) = ask.body[key].as_str() {
                *field = text.chars().take(8000).collect();
            }
        }
        (200, prompt.show())
    }

    pub(super) fn update_version(&mut self, id: &str, number: &str, ask: &Ask<'_>) -> Reply {
        let Some(prompt) = self.prompts.iter_mut().find(|prompt| prompt.id == id) else {
            return missing("this prompt");
        };
        let Some(at) = prompt
            .versions
            .iter()
            .position(|version| version.number.to_string() == number)
        else {
            return missing("this version");
        };
        if ask.body["labels"].is_array() {
            let labels = texts(&ask.body["labels"]);
            for version in &mut prompt.versions {
                version.labels.retain(|own| !labels.contains(own));
            }
            prompt.versions[at].labels = labels;
        }
        if ask.body["env_ids"].is_array() {
            prompt.versions[at].environments = texts(&ask.body["env_ids"]);
        }
        if let Some(text) = ask.body["description"].as_str() {
            prompt.versions[at].description = text.chars().take(8000).collect();
        }
        (200, prompt.show_version(&prompt.versions[at]))
    }

    pub(super) fn delete_prompt(&mut self, id: &str) -> Reply {
        let Some(at) = self.prompts.iter().position(|prompt| prompt.id == id) else {
            return missing("this prompt");
        };
        let gone = self.prompts.remove(at);
        let bytes = gone
            .versions
            .iter()
            .map(|version| 500 + version.template.to_string().len() * 3)
            .sum();
        self.free(bytes);
        (
            200,
            json!({"id": gone.uuid, "prompt_id": gone.id, "deleted_at": rfc3339(now_ms())}),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ask;
    use super::*;

    #[test]
    fn versions_are_found_by_number_label_and_environment() {
        let mut backend = Backend::new(1 << 20);
        let one = json!({"prompt_id": "greet", "template": [{"role": "user", "content": "one"}], "labels": ["prod"]});
        assert_eq!(ask(&mut backend, "POST", "prompts", one.clone()).0, 200);
        assert_eq!(ask(&mut backend, "POST", "prompts", one).0, 409);
        let two = json!({"template": [{"role": "user", "content": "two"}], "labels": ["dev"], "env_ids": ["staging"], "user_version": "2b"});
        assert_eq!(
            ask(&mut backend, "POST", "prompts/greet/versions", two).0,
            200
        );
        let mut said = |method: &str, path: &str, body: Value| {
            let (status, answer) = ask(&mut backend, method, path, body);
            (
                status,
                answer["template"][0]["content"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
            )
        };
        let get = Value::Null;
        assert_eq!(
            said("GET", "prompts/greet", get.clone()),
            (200, "two".into())
        );
        assert_eq!(
            said("GET", "prompts/greet?label=prod", get.clone()),
            (200, "one".into())
        );
        assert_eq!(said("GET", "prompts/greet?label=none", get.clone()).0, 404);
        assert_eq!(
            said("GET", "prompts/greet/versions/1", get.clone()),
            (200, "one".into())
        );
        let resolve = |env: &str| json!({"data": {"attributes": {"env": env}}});
        assert_eq!(
            said("POST", "prompts/greet/resolve", resolve("staging")),
            (200, "two".into())
        );
        assert_eq!(
            said("POST", "prompts/greet/resolve", resolve("prod")),
            (200, "one".into())
        );
        // A label moves from version to version.
        assert_eq!(
            said(
                "PATCH",
                "prompts/greet/versions/2",
                json!({"labels": ["prod"]})
            )
            .0,
            200
        );
        assert_eq!(
            said("GET", "prompts/greet?label=prod", get.clone()),
            (200, "two".into())
        );
        assert_eq!(said("DELETE", "prompts/greet", get.clone()).0, 200);
        assert_eq!(said("GET", "prompts/greet", get).0, 404);
    }
}
