//! Who owns a file: `CODEOWNERS`, as GitHub and GitLab write it (`spec/ci-visibility.md` §7.10).
//!
//! The last line that matches wins. A pattern with a `/` that is not only at its end begins at the
//! root of the repository; others match at any depth. What matches a folder matches all that lies
//! below. `*` and `?` stay within a part of the path; `**` as a whole part does not.

use std::path::Path;

/// The places where the file may be, in the order in which they are tried.
const PLACES: [&str; 4] = [
    "CODEOWNERS",
    ".github/CODEOWNERS",
    "docs/CODEOWNERS",
    ".gitlab/CODEOWNERS",
];

/// The largest file that is read.
const MAX_FILE: u64 = 3 * 1024 * 1024;

/// The owners of the files of a repository.
///
/// ```
/// use ddtrace_ci_visibility::CodeOwners;
///
/// let owners = CodeOwners::parse("* @all\n/src/ @core # the inner part");
/// assert_eq!(owners.of("src/lib.rs"), ["@core"]);
/// assert_eq!(owners.of("README.md"), ["@all"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CodeOwners {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    /// Parts of the pattern between its slashes.
    parts: Vec<String>,
    is_anchored: bool,
    /// It matches only what lies below.
    is_folder: bool,
    owners: Vec<String>,
}

impl CodeOwners {
    /// Reads the file of a repository; `None` if it has none.
    pub fn of_repository(root: &Path) -> Option<CodeOwners> {
        let path = PLACES
            .iter()
            .map(|place| root.join(place))
            .find(|path| std::fs::metadata(path).is_ok_and(|data| data.is_file()))?;
        let size = std::fs::metadata(&path).ok()?.len();
        let bytes = (size <= MAX_FILE).then(|| std::fs::read(&path))?.ok()?;
        Some(CodeOwners::parse(&String::from_utf8_lossy(&bytes)))
    }

    /// Reads the contents of the file. Sections, and lines without an owner, are skipped.
    pub fn parse(text: &str) -> CodeOwners {
        CodeOwners {
            rules: text.lines().filter_map(Rule::parse).collect(),
        }
    }

    /// The owners of a file, whose path is relative to the root; none if nobody owns it.
    pub fn of(&self, path: &str) -> &[String] {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let rule = self.rules.iter().rev().find(|rule| rule.matches(&parts));
        rule.map_or(&[], |rule| rule.owners.as_slice())
    }

    /// The value of `test.codeowners`: a JSON array; `None` if nobody owns the file.
    pub fn tag(&self, path: &str) -> Option<String> {
        let owners = self.of(path);
        (!owners.is_empty()).then(|| serde_json::Value::from(owners).to_string())
    }
}

impl Rule {
    fn parse(line: &str) -> Option<Rule> {
        let line = before_comment(line).trim();
        // `[Section]` and the optional `^[Section]`.
        if line.starts_with('[') || line.starts_with("^[") {
            return None;
        }
        let mut words = words(line).into_iter();
        let pattern = words.next()?;
        let owners: Vec<String> = words.collect();
        let inner = pattern.trim_end_matches('/');
        if owners.is_empty() || inner.trim_matches('/').is_empty() {
            return None;
        }
        let parts = inner.split('/').filter(|part| !part.is_empty());
        Some(Rule {
            parts: parts.map(str::to_owned).collect(),
            is_anchored: inner.contains('/'),
            is_folder: pattern.ends_with('/'),
            owners,
        })
    }

    fn matches(&self, path: &[&str]) -> bool {
        let starts = if self.is_anchored {
            0..=0
        } else {
            0..=path.len()
        };
        starts.into_iter().any(|start| {
            // The pattern has to take a prefix of the path, all of it or a folder in it.
            let rest = &path[start..];
            let longest = rest.len() - usize::from(self.is_folder).min(rest.len());
            (1..=longest).any(|end| takes(&self.parts, &rest[..end]))
        })
    }
}

/// Whether a pattern takes a path, part by part.
fn takes(pattern: &[String], path: &[&str]) -> bool {
    // The places in the pattern that can be reached with what was read of the path.
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    skip_stars(pattern, &mut reached);
    for part in path {
        let mut next = vec![false; pattern.len() + 1];
        for (at, one) in pattern.iter().enumerate() {
            if reached[at] {
                if one == "**" {
                    next[at] = true;
                } else if takes_part(one, part) {
                    next[at + 1] = true;
                }
            }
        }
        skip_stars(pattern, &mut next);
        reached = next;
    }
    reached[pattern.len()]
}

/// `**` stands for no part, too; at the end of a pattern it stands for at least one.
fn skip_stars(pattern: &[String], reached: &mut [bool]) {
    for at in 0..pattern.len() {
        if reached[at] && pattern[at] == "**" {
            reached[at + 1] = true;
        }
    }
}

/// Whether a pattern without slashes takes a name.
fn takes_part(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where to go on after the last star if what follows does not fit.
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at + 1, read));
                at += 1;
            }
            Some('\\') if pattern.get(at + 1) == Some(&name[read]) => {
                at += 2;
                read += 1;
            }
            Some(one) if *one == '?' || *one == name[read] => {
                at += 1;
                read += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (at, read) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

/// A line up to its `#`, unless that is escaped.
fn before_comment(line: &str) -> &str {
    let mut is_escaped = false;
    for (at, char) in line.char_indices() {
        match char {
            '#' if !is_escaped => return &line[..at],
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    line
}

/// Words between blanks; a blank after a backslash belongs to its word, and so does a `#`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' if matches!(chars.peek(), Some(' ' | '#')) => word.extend(chars.next()),
            ' ' | '\t' => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            char => word.push(char),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `spec/ci-visibility.md` §15 B.
    #[test]
    fn the_vectors_of_the_dossier_hold() {
        let owners = CodeOwners::parse(
            "* @all\n/src/ @core\n*.md @docs # comment\ncrates/*/tests/ @qa @qa2\n[Section]\n\
             **/proto/** @wire\n/src/lib.rs @lead\nnoowner\n",
        );
        for (path, expected) in [
            ("README.md", &["@docs"][..]),
            ("src/a.rs", &["@core"]),
            ("src/lib.rs", &["@lead"]),
            ("x/src/a.rs", &["@all"]),
            ("crates/a/tests/t.rs", &["@qa", "@qa2"]),
            ("crates/a/b/tests/t.rs", &["@all"]),
            ("crates/a/src/proto/x.rs", &["@wire"]),
        ] {
            assert_eq!(owners.of(path), expected, "{path}");
        }
        assert_eq!(
            owners.tag("crates/a/tests/t.rs").as_deref(),
            Some(r#"["@qa","@qa2"]"#)
        );
    }

    #[test]
    fn patterns_match_as_the_two_dialects_say() {
        for (pattern, path, expected) in [
            ("apps/", "apps/a", true),
            ("apps/", "x/apps/a", true),
            ("apps/", "apps", false),
            ("/apps", "apps/a/b", true),
            ("/apps", "x/apps", false),
            ("docs/*", "docs/a.md", true),
            ("docs/*", "docs/b/c.md", true),
            ("/docs/**/x", "docs/x", true),
            ("/docs/**/x", "docs/a/b/x", true),
            ("/a/**", "a/b", true),
            ("?.rs", "a.rs", true),
            ("?.rs", "ab.rs", false),
            ("a*c*e", "abcde", true),
            ("a*c*e", "abcd", false),
            (r"with\ blank", "with blank", true),
            (r"\#file", "#file", true),
            ("**", "any/thing", true),
        ] {
            let owners = CodeOwners::parse(&format!("{pattern} @x"));
            assert_eq!(!owners.of(path).is_empty(), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn lines_that_say_nothing_are_skipped() {
        let owners = CodeOwners::parse("# x\n\n^[Optional]\n[Docs][2] @a\n/ @b\n*.x\n\u{feff}");
        assert_eq!(owners, CodeOwners::default());
        assert_eq!(owners.tag("a"), None);
    }

    #[test]
    fn the_first_place_counts() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(CodeOwners::of_repository(root.path()), None);
        for (place, owner) in [(".gitlab", "@lab"), ("docs", "@docs"), (".github", "@hub")] {
            std::fs::create_dir(root.path().join(place)).expect("created");
            let path = root.path().join(place).join("CODEOWNERS");
            std::fs::write(path, format!("* {owner}")).expect("written");
            let owners = CodeOwners::of_repository(root.path()).expect("found");
            assert_eq!(owners.of("a"), [owner]);
        }
    }

    proptest! {
        #[test]
        fn any_pattern_and_path_are_taken(text in "([a*?/\\\\# \\[]{0,8}\n){0,4}", path in "[a/]{0,8}") {
            let _ = CodeOwners::parse(&text).of(&path);
        }

        #[test]
        fn a_name_matches_itself_and_what_is_below(name in "[a-z]{1,8}", below in "[a-z]{1,4}") {
            let owners = CodeOwners::parse(&format!("{name} @x"));
            let path = format!("{name}/{below}");
            let deep = format!("q/{name}");
            for path in [name.as_str(), &path, &deep] {
                prop_assert_eq!(owners.of(path), ["@x"]);
            }
        }
    }
}
