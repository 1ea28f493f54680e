//! Puts together what git, the provider and the user say.

use super::{Tags, Variables, is_tag, normalized_ref, without_credentials};
use crate::model::tags::*;

/// What is known from where. Later fields win where they have a value.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Sources {
    /// What git says.
    pub git: Tags,
    /// What the provider says.
    pub provider: Tags,
    /// What `DD_GIT_*` says.
    pub user: Tags,
    /// What `DD_TAGS` says.
    pub custom: Tags,
}

impl Sources {
    /// All of it.
    pub fn merged(&self) -> Tags {
        let mut tags = Tags::new();
        for source in [&self.git, &self.provider, &self.user, &self.custom] {
            let with_value = source.iter().filter(|(_, value)| !value.is_empty());
            tags.extend(with_value.map(|(key, value)| (key.clone(), value.clone())));
        }
        tags
    }
}

/// Brings names into one form: a branch that is a tag becomes one, credentials go, `~` is expanded.
pub fn normalize(tags: &mut Tags, variables: &Variables) {
    if let Some(branch) = tags.get(GIT_BRANCH).filter(|branch| is_tag(branch)) {
        let branch = normalized_ref(branch).to_owned();
        tags.entry(GIT_TAG.to_owned()).or_insert(branch);
        tags.remove(GIT_BRANCH);
    }
    for tag in [GIT_BRANCH, GIT_TAG, GIT_PULL_REQUEST_BASE_BRANCH] {
        if let Some(name) = tags.get_mut(tag) {
            *name = normalized_ref(name).to_owned();
        }
    }
    if let Some(url) = tags.get_mut(GIT_REPOSITORY_URL) {
        *url = without_credentials(url).into_owned();
    }
    if let Some(path) = tags.get_mut(CI_WORKSPACE_PATH) {
        *path = expanded(path, variables.get("HOME"));
    }
    if let Some(id) = variables.get("JOB_ID") {
        tags.insert(CI_JOB_ID.to_owned(), id.to_owned());
    }
    tags.retain(|_, value| !value.is_empty());
}

/// A path whose first part may be `~`.
fn expanded(path: &str, home: Option<&str>) -> String {
    match (path.strip_prefix('~'), home) {
        (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
            format!("{}{rest}", home.trim_end_matches('/'))
        }
        _ => path.to_owned(),
    }
}
