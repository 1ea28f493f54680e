//! Names of branches and tags, and addresses of repositories, in one form.

use std::borrow::Cow;

/// A name without `refs/`, `heads/`, `origin/` and `tags/` in front.
pub fn normalized_ref(name: &str) -> &str {
    let name = name
        .strip_prefix("refs/")
        .map_or(name, |rest| rest.strip_prefix("heads/").unwrap_or(rest));
    let name = name.strip_prefix("origin/").unwrap_or(name);
    name.strip_prefix("tags/").unwrap_or(name)
}

/// Whether a name is that of a tag.
pub fn is_tag(name: &str) -> bool {
    name.contains("tags/")
}

/// An address without user name and password. What has no scheme, as `git@host:path`, stays.
pub fn without_credentials(url: &str) -> Cow<'_, str> {
    let mut result = String::new();
    let mut rest = url;
    loop {
        let schemes = ["https://", "http://", "ssh://"];
        let found = schemes
            .iter()
            .filter_map(|scheme| Some((rest.find(scheme)?, scheme.len())));
        let Some((at, length)) = found.min() else {
            break;
        };
        let (scheme, after) = rest.split_at(at + length);
        let authority = &after[..after.find('/').unwrap_or(after.len())];
        let skipped = authority.rfind('@').map_or(0, |at| at + 1);
        result.push_str(scheme);
        rest = &after[skipped..];
    }
    if result.is_empty() {
        return Cow::Borrowed(url);
    }
    result.push_str(rest);
    Cow::Owned(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `spec/ci-visibility.md` §15 B.
    #[test]
    fn names_lose_what_stands_in_front() {
        for (name, expected) in [
            ("refs/heads/main", "main"),
            ("refs/heads/tags/0.1", "0.1"),
            ("origin/tags/v2", "v2"),
            ("refs/pull/3/merge", "pull/3/merge"),
            ("refs/tags/v1", "v1"),
            ("heads/x", "heads/x"),
            ("origin/origin/x", "origin/x"),
            ("", ""),
        ] {
            assert_eq!(normalized_ref(name), expected, "{name}");
        }
        assert!(is_tag("refs/heads/tags/0.1") && !is_tag("refs/heads/tag"));
    }

    #[test]
    fn addresses_lose_credentials() {
        for (url, expected) in [
            ("ssh://git@h:22/x", "ssh://h:22/x"),
            ("https://user:pass@h:1/o/x.git", "https://h:1/o/x.git"),
            ("http://a@b@h/x", "http://h/x"),
            ("git@h:o/x.git", "git@h:o/x.git"),
            ("https://h/a@b", "https://h/a@b"),
            ("https://token@h", "https://h"),
            ("x https://u:p@h y", "x https://h y"),
        ] {
            assert_eq!(without_credentials(url), expected, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_authority_keeps_an_at(url in "(https?|ssh)://[a-z@:/]{0,20}") {
            let clean = without_credentials(&url).into_owned();
            if let Some((_, rest)) = clean.split_once("://") {
                let authority = rest.split('/').next().unwrap_or_default();
                prop_assert!(!authority.contains('@'), "{clean}");
            }
        }
    }
}
