//! The repository and the commit that the program was built from, if `ddtrace::git_metadata!()` stands in it.

/// What the macro found when the program was built; it submits it to [`inventory`]. Empty texts mean that nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmbeddedGit {
    repository_url: &'static str,
    commit_sha: &'static str,
}

inventory::collect!(EmbeddedGit);

impl EmbeddedGit {
    /// The URL of the repository, without credentials, and the commit.
    pub const fn new(repository_url: &'static str, commit_sha: &'static str) -> Self {
        Self {
            repository_url,
            commit_sha,
        }
    }
}

/// The URL of the repository, as it was when the program was built.
pub(crate) fn repository_url() -> Option<String> {
    find(|git| git.repository_url)
}

/// The commit that the program was built from.
pub(crate) fn commit_sha() -> Option<String> {
    find(|git| git.commit_sha)
}

fn find(field: fn(&EmbeddedGit) -> &'static str) -> Option<String> {
    let all = inventory::iter::<EmbeddedGit>.into_iter();
    all.map(field)
        .find(|text| !text.is_empty())
        .map(str::to_owned)
}
