//! What the environment says about pipeline, job and commit (`spec/ci-visibility.md` §10).
//!
//! One file per provider in `provider`, in the order in which they are tried: the first whose
//! trigger variable *exists* wins. Above the provider stand the variables that users set
//! (`user`), below it what git itself says (`crate::git`); `merge` puts them together and `refs`
//! brings names of branches, tags and repositories into one form.
//!
//! Nothing here runs a program. [`tags`] is a function of the environment alone (and of the one
//! file that GitHub names in it), so tables of other implementations can be run against it.

mod diagnostics;
mod merge;
pub mod provider;
mod refs;
mod user;
mod variables;

use std::collections::BTreeMap;

use ddtrace_core::config::Environment;

pub use diagnostics::{diagnostic_folders, job_id_in};
pub use merge::{Sources, normalize};
pub use refs::{is_tag, normalized_ref, without_credentials};
pub use user::{custom_tags, user_tags};
pub use variables::Variables;

/// Tags by name. Values are never empty.
pub type Tags = BTreeMap<String, String>;

/// The tags of an environment, without asking git.
///
/// ```
/// use ddtrace_ci_visibility::ci;
/// use ddtrace_core::config::MapEnvironment;
///
/// let environment = MapEnvironment::new()
///     .variable("DRONE", "true")
///     .variable("DRONE_BRANCH", "refs/heads/main");
/// assert_eq!(ci::tags(&environment)["git.branch"], "main");
/// ```
pub fn tags(environment: &dyn Environment) -> Tags {
    let variables = Variables::of(environment);
    let sources = Sources {
        git: Tags::new(),
        provider: provider::tags(&variables, environment),
        user: user_tags(&variables),
        custom: custom_tags(&variables),
    };
    let mut tags = sources.merged();
    normalize(&mut tags, &variables);
    tags
}

#[cfg(test)]
mod vector_tests;
