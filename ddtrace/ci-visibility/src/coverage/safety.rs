//! What may change the outcome of a test without touching a line that it ran (`spec/ci-visibility.md` §7.4).
//!
//! Lines of coverage see functions only. A constant, a type, a derive, a macro, a `#[cfg]`, an
//! included file, the build script: none of them has a counter, and a test that depends on them
//! must not be skipped when they change. So each test's files also hold
//!
//! * every file that its binary was built from and that has no function with a counter, whole;
//! * every such file with something that is compiled elsewhere (generic functions, `const fn`,
//!   macros), whole;
//! * the files that say how to build, whole;
//! * of all others, where lines are told apart, the lines outside of functions.
//!
//! The last one makes every file a file of every test, which is right where changes are compared by
//! line and useless where they are compared by file: the caller says which.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Bitmap;
use crate::payload::FileCoverage;

/// Files that say how to build.
const BUILD_FILES: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "build.rs",
    "rust-toolchain",
    "rust-toolchain.toml",
    ".cargo/config.toml",
];

/// The largest source that is looked at; a larger one counts whole.
const MAX_SOURCE: u64 = 16 * 1024 * 1024;

/// How changes are compared with coverage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// A change to a file concerns every test that has the file.
    Files,
    /// A change to a line concerns every test that has the line.
    Lines,
}

/// What every test of a binary has, besides what it ran. `sources` are the files that the binary and
/// the members of its workspace were built from, `packages` the folders of these; `executable` says
/// which lines have counters. Files outside of `root` are left out.
pub fn of_every_test(
    root: &Path,
    sources: &[PathBuf],
    packages: &[PathBuf],
    executable: &BTreeMap<&str, Bitmap>,
    comparison: Comparison,
) -> Vec<FileCoverage> {
    let mut found: BTreeMap<String, Bitmap> = BTreeMap::new();
    let sources: BTreeSet<&PathBuf> = sources.iter().collect();
    for path in sources {
        let Some(name) = relative(root, path) else {
            continue;
        };
        let size = std::fs::metadata(path).map_or(0, |data| data.len());
        let bytes = std::fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let last = u32::try_from(text.lines().count()).unwrap_or(u32::MAX);
        let whole = Bitmap::whole(last.max(1));
        let lines = match executable.get(name.as_str()) {
            None => whole,
            Some(_) if size > MAX_SOURCE || is_compiled_elsewhere(&text) => whole,
            Some(lines) if comparison == Comparison::Lines => {
                (1..=last).filter(|line| !lines.contains(*line)).collect()
            }
            Some(_) => continue,
        };
        found.insert(name, lines);
    }
    let folders = packages.iter().map(PathBuf::as_path).chain([root]);
    for folder in folders {
        for name in BUILD_FILES {
            let path = folder.join(name);
            if let (true, Some(name)) = (path.is_file(), relative(root, &path)) {
                let text = std::fs::read(&path).unwrap_or_default();
                let lines = text.iter().filter(|byte| **byte == b'\n').count() + 1;
                let lines = u32::try_from(lines).unwrap_or(u32::MAX);
                found.insert(name, Bitmap::whole(lines));
            }
        }
    }
    found
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(file, lines)| FileCoverage { file, lines })
        .collect()
}

/// Adds files to files.
pub fn add(files: &mut Vec<FileCoverage>, more: &[FileCoverage]) {
    let mut all: BTreeMap<String, Bitmap> = files
        .drain(..)
        .map(|file| (file.file, file.lines))
        .collect();
    for file in more {
        all.entry(file.file.clone()).or_default().merge(&file.lines);
    }
    files.extend(
        all.into_iter()
            .map(|(file, lines)| FileCoverage { file, lines }),
    );
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    let relative = path.strip_prefix(root).ok()?;
    let parts = relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy());
    Some(parts.collect::<Vec<_>>().join("/")).filter(|name| !name.is_empty())
}

/// The files that a dep-info file names: what its first rule depends on. Paths are as rustc wrote
/// them, relative to the folder that it ran in.
pub fn dependencies(dep_info: &str) -> Vec<PathBuf> {
    let rule = dep_info.lines().find(|line| line.contains(": "));
    let Some((_, files)) = rule.and_then(|rule| rule.split_once(": ")) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut name = String::new();
    let mut chars = files.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            // A blank in a name, as make wants it.
            '\\' if chars.peek() == Some(&' ') => name.extend(chars.next()),
            ' ' => {
                if !name.is_empty() {
                    found.push(PathBuf::from(std::mem::take(&mut name)));
                }
            }
            char => name.push(char),
        }
    }
    if !name.is_empty() {
        found.push(PathBuf::from(name));
    }
    found
}

/// Whether a source has something that is compiled where it is used, so that its own lines say
/// nothing: a generic function or `impl`, a `const fn`, a macro. Errs on the side of yes.
fn is_compiled_elsewhere(source: &str) -> bool {
    let code = without_comments_and_texts(source);
    let mut words = code
        .split(|char: char| !(char.is_alphanumeric() || matches!(char, '_' | '!' | '<' | '\'')))
        .filter(|word| !word.is_empty());
    let mut before = "";
    let mut is_constant = false;
    words.any(|word| {
        let follows_fn = before == "fn";
        let found = word.starts_with("macro_rules!")
            || word == "macro"
            // `const fn`, `const unsafe fn`.
            || (word == "fn" && is_constant)
            // `fn name<T>`, and `impl<T>`; lifetimes alone make nothing generic.
            || (follows_fn && has_parameters(word))
            || (word.starts_with("impl<") && has_parameters(word))
            // `fn f(x: impl Trait)` is generic, too, and cannot be told from a return type here.
            || (word == "impl" && before == ":");
        is_constant =
            word == "const" || (is_constant && matches!(word, "unsafe" | "async" | "extern"));
        before = word;
        found
    }) || code.contains(": impl ")
        || code.contains("&impl ")
        || code.contains("&mut impl ")
}

/// Whether `name<…` begins parameters other than lifetimes.
fn has_parameters(word: &str) -> bool {
    word.split_once('<')
        .is_some_and(|(_, first)| !first.starts_with('\''))
}

/// The source with comments, texts and characters replaced by blanks.
fn without_comments_and_texts(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(char) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            end_of_comment(rest)
        } else if char == '"' {
            end_of_text(rest)
        } else if let Some(hashes) = raw_text(rest) {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = hashes + 2;
            let after = rest.get(from..).and_then(|rest| rest.find(&end));
            after.map_or(rest.len(), |at| from + at + end.len())
        } else {
            out.push(char);
            rest = &rest[char.len_utf8()..];
            continue;
        };
        out.push(' ');
        rest = &rest[skipped..];
    }
    out
}

fn end_of_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn end_of_text(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, char) in text.char_indices().skip(1) {
        match char {
            '"' if !is_escaped => return at + 1,
            '\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

/// How many `#` a raw text has that begins here: `r#"`.
fn raw_text(text: &str) -> Option<usize> {
    let hashes = text.strip_prefix('r')?;
    let count = hashes.bytes().take_while(|byte| *byte == b'#').count();
    hashes[count..].starts_with('"').then_some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_compiled_elsewhere_is_seen() {
        for (source, expected) in [
            ("pub fn plain(x: u8) -> u8 { x }", false),
            ("fn life<'a>(x: &'a str) -> &'a str { x }", false),
            ("impl<'a> X<'a> { fn f(&self) {} }", false),
            ("fn generic<T>(x: T) {}", true),
            ("fn generic <T>(x: T) {}", false),
            ("impl<T> X<T> { fn f(&self) {} }", true),
            ("fn f(x: impl Into<String>) {}", true),
            ("fn f(x: &impl ToString) {}", true),
            (
                "fn f() -> impl Iterator<Item = u8> { [].into_iter() }",
                false,
            ),
            ("const fn f() -> u8 { 1 }", true),
            ("pub const unsafe fn f() {}", true),
            ("const X: fn() = f;", false),
            ("macro_rules! m { () => {} }", true),
            ("// fn generic<T>() const fn macro_rules!", false),
            ("/* /* const fn f */ fn g<T> */ fn f() {}", false),
            (r#"const X: &str = "const fn \" macro_rules! m";"#, false),
            ("let x = r#\"fn a<T>() \" const fn\"#;", false),
        ] {
            assert_eq!(is_compiled_elsewhere(source), expected, "{source}");
        }
    }

    #[test]
    fn dep_info_names_files() {
        let text = "/t/deps/a-1: src/lib.rs src/with\\ blank.rs ../x/data.txt\n\nsrc/lib.rs:\n";
        let expected = ["src/lib.rs", "src/with blank.rs", "../x/data.txt"].map(PathBuf::from);
        assert_eq!(dependencies(text), expected);
        for text in ["", "a:", "# env-dep:X=1", ":"] {
            assert_eq!(dependencies(text), Vec::<PathBuf>::new(), "{text}");
        }
    }

    #[test]
    fn every_test_has_what_no_line_sees() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("created");
            std::fs::write(&path, text).expect("written");
            path
        };
        let sources = [
            write("src/lib.rs", "const X: u8 = 1;\nfn f() {\n}\n"),
            write("src/types.rs", "struct A;\nstruct B;\n"),
            write("src/generic.rs", "fn f<T>() {\n}\n"),
            write("data/x.txt", "one\n"),
            PathBuf::from("/elsewhere/y.rs"),
        ];
        write("Cargo.toml", "[package]\n");
        write("pkg/build.rs", "fn main() {}\n");
        let executable = BTreeMap::from([
            ("src/lib.rs", [2, 3].into_iter().collect::<Bitmap>()),
            ("src/generic.rs", [1, 2].into_iter().collect()),
        ]);
        let of = |comparison| {
            let packages = [root.join("pkg")];
            let files = of_every_test(root, &sources, &packages, &executable, comparison);
            let lines = |file: FileCoverage| (file.file, file.lines.lines().collect::<Vec<_>>());
            files.into_iter().map(lines).collect::<BTreeMap<_, _>>()
        };
        let by_file = of(Comparison::Files);
        let names: Vec<&str> = by_file.keys().map(String::as_str).collect();
        let expected = [
            "Cargo.toml",
            "data/x.txt",
            "pkg/build.rs",
            "src/generic.rs",
            "src/types.rs",
        ];
        assert_eq!(names, expected);
        assert_eq!(by_file["src/types.rs"], [1, 2]);
        let by_line = of(Comparison::Lines);
        assert_eq!(by_line["src/lib.rs"], [1]);
        assert_eq!(by_line["src/generic.rs"], [1, 2]);
    }

    #[test]
    fn files_are_added_up() {
        let file = |file: &str, line| FileCoverage {
            file: file.into(),
            lines: [line].into_iter().collect(),
        };
        let mut files = vec![file("b", 1)];
        add(&mut files, &[file("a", 2), file("b", 3)]);
        let lines = |file: &FileCoverage| file.lines.lines().collect::<Vec<_>>();
        assert_eq!(
            files.iter().map(lines).collect::<Vec<_>>(),
            [vec![2], vec![1, 3]]
        );
    }

    proptest! {
        #[test]
        fn any_source_is_taken(source in "([a-z<>'\" (){}\n#]|/\\*|\\*/|//|r#\"|\\\\|fn |const |ü){0,40}") {
            let _ = is_compiled_elsewhere(&source);
            let _ = dependencies(&source);
        }
    }
}
