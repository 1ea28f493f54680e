//! A source file, taken apart into bodies of functions and everything else.
//!
//! Coverage sees functions only. Whether a test entered a function is known, so a change to its body touches the tests that did;
//! whatever else stands in a file (types, constants, signatures, attributes, macros and their uses between items) may change what
//! any code does that can see it. The skeleton is everything else, with a mark in place of each body.
//!
//! The file is tokenised, not parsed: comments and layout change nothing. What is not certain to be a plain body stays in the
//! skeleton: `const fn` (it may run while compiling), bodies with an `impl`, a `mod` or an `extern` block of their own, and all of
//! what stands in a macro. Tests are a body as a whole, attributes and signature included, and leave no mark: nobody
//! calls them, so one more or less touches no other. What stands in a `#[cfg(test)] mod` is kept apart: it is there in
//! the crate's own test binary only.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

use crate::intake::sha256;

/// A hash of tokens or of a file.
pub(crate) type Hash = String;

/// The hash of a text.
pub(crate) fn hash(text: &[u8]) -> Hash {
    let mut hex = sha256::hex(text);
    hex.truncate(32);
    hex
}

/// A file's parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Everything but bodies.
    pub(crate) skeleton: Hash,
    /// The same of `#[cfg(test)]` modules.
    pub(crate) tests: Hash,
    /// Bodies, in the order of their lines.
    pub(crate) bodies: Vec<Body>,
    /// What the words of the skeleton, imports aside, say.
    pub(crate) hints: Hints,
    /// Whether something in the file asks where code stands, so that lines that move are a change.
    pub(crate) asks_for_lines: bool,
}

/// The body of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    /// Its path in the file; the second of one name ends with `#2`.
    pub(crate) key: String,
    /// Whether it stands in a `#[cfg(test)]` module.
    pub(crate) in_tests: bool,
    /// Its first line.
    pub(crate) first: u32,
    /// Its last line.
    pub(crate) last: u32,
    /// Its tokens.
    pub(crate) hash: Hash,
    /// What its words say.
    pub(crate) hints: Hints,
}

/// What words say about code that does more than coverage shows. Errs on the side of yes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Hints {
    /// It may start programs.
    pub(crate) starts_programs: bool,
    /// It may compile something, or read sources: what that depends on is not known.
    pub(crate) reads_sources: bool,
}

impl Hints {
    pub(crate) fn add(&mut self, other: Hints) {
        self.starts_programs |= other.starts_programs;
        self.reads_sources |= other.reads_sources;
    }
}

const STARTING: [&str; 5] = ["Command", "cmd", "duct", "xshell", "assert_cmd"];
const COMPILING: [&str; 8] = [
    "trybuild",
    "TestCases",
    "ui_test",
    "compiletest",
    "compiletest_rs",
    "escargot",
    "macrotest",
    "CargoBuild",
];
const READING: [&str; 9] = [
    "read_dir",
    "read_to_string",
    "read",
    "open",
    "File",
    "OpenOptions",
    "WalkDir",
    "glob",
    "walkdir",
];

/// Words are gathered first, since one alone often says nothing.
#[derive(Debug, Default)]
struct Words {
    starts: bool,
    compiles: bool,
    names_compiler: bool,
    reads: bool,
    names_sources: bool,
}

impl Words {
    fn hints(&self) -> Hints {
        Hints {
            starts_programs: self.starts,
            reads_sources: self.compiles
                || (self.starts && self.names_compiler)
                || (self.reads && self.names_sources),
        }
    }

    fn add(&mut self, token: &TokenTree) {
        match token {
            TokenTree::Ident(word) => {
                let word = word.to_string();
                let word = word.as_str();
                self.starts |= STARTING.contains(&word);
                self.compiles |= COMPILING.contains(&word);
                self.reads |= READING.contains(&word);
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let name = text.trim_matches(['"', 'b', 'r', '#']);
                self.names_compiler |=
                    ["cargo", "rustc", "CARGO", "RUSTC", "rustdoc"].contains(&name);
                self.names_sources |= name.contains(".rs")
                    || name.contains("src")
                    || name.contains("CARGO_MANIFEST_DIR");
            }
            TokenTree::Group(group) => group.stream().into_iter().for_each(|one| self.add(&one)),
            TokenTree::Punct(_) => {}
        }
    }
}

impl Outline {
    /// Takes a source apart; `None` if it is no Rust.
    pub(crate) fn of(text: &str) -> Option<Outline> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        // Tokens of a script's first line are none.
        let text = match text.strip_prefix("#!") {
            Some(rest) if !rest.trim_start().starts_with('[') => format!("//{rest}"),
            _ => text.to_owned(),
        };
        let stream: TokenStream = text.parse().ok()?;
        let mut taken = Taken::default();
        let mut path = Vec::new();
        let asks_for_lines = asks_for_lines(&stream);
        taken.items(stream, &mut path, false);
        taken.number();
        Some(Outline {
            skeleton: hash(taken.skeleton.as_bytes()),
            tests: hash(taken.tests.as_bytes()),
            bodies: taken.bodies,
            hints: taken.words.hints(),
            asks_for_lines,
        })
    }
}

/// Whether lines are asked for anywhere.
fn asks_for_lines(stream: &TokenStream) -> bool {
    let mut before = String::new();
    stream.clone().into_iter().any(|token| match &token {
        TokenTree::Ident(word) => {
            before = word.to_string();
            [
                "Location",
                "Backtrace",
                "track_caller",
                "PanicHookInfo",
                "PanicInfo",
            ]
            .contains(&before.as_str())
        }
        TokenTree::Punct(mark) => {
            mark.as_char() == '!' && ["line", "column"].contains(&before.as_str())
        }
        TokenTree::Group(group) => asks_for_lines(&group.stream()),
        TokenTree::Literal(_) => false,
    })
}

#[derive(Debug, Default)]
struct Taken {
    skeleton: String,
    tests: String,
    bodies: Vec<Body>,
    words: Words,
}

/// Where an item's tokens go.
fn push(to: &mut String, tokens: &[TokenTree]) {
    for token in tokens {
        to.push_str(&token.to_string());
        to.push(' ');
    }
}

/// Documentation means something to attributes and derives of the same item; that of a module, and of a function with ordinary
/// attributes only, means nothing.
fn push_attributes(to: &mut String, tokens: &[TokenTree], is_function: bool) {
    const ORDINARY: [&str; 8] = [
        "doc",
        "inline",
        "must_use",
        "allow",
        "expect",
        "cold",
        "deprecated",
        "test",
    ];
    let name = |group: &Group| {
        group
            .stream()
            .into_iter()
            .next()
            .map(|word| word.to_string())
    };
    let is_ordinary = attributes(tokens)
        .all(|group| name(group).is_some_and(|name| ORDINARY.contains(&name.as_str())));
    let mut at = 0;
    while at < tokens.len() {
        let is_inner = tokens.get(at + 1).is_some_and(|token| is_punct(token, '!'));
        let end = (at + 2 + usize::from(is_inner)).min(tokens.len());
        let is_doc =
            attributes(&tokens[at..end]).any(|group| name(group).as_deref() == Some("doc"));
        if !(is_doc && (is_inner || (is_function && is_ordinary))) {
            push(to, &tokens[at..end]);
        }
        at = end;
    }
}

impl Taken {
    /// Takes the items of a file, a module, an implementation or a trait.
    fn items(&mut self, stream: TokenStream, path: &mut Vec<String>, in_tests: bool) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut start = 0;
        while start < tokens.len() {
            let end = end_of_item(&tokens, start);
            self.item(&tokens[start..end], path, in_tests);
            start = end;
        }
    }

    fn keep(&mut self, tokens: &[TokenTree], in_tests: bool) {
        let to = if in_tests {
            &mut self.tests
        } else {
            &mut self.skeleton
        };
        let begin = after_attributes(tokens);
        push_attributes(to, &tokens[..begin], function(&tokens[begin..]).is_some());
        push(to, &tokens[begin..]);
        let is_import = tokens[begin..]
            .iter()
            .take(3)
            .any(|token| is_word(token, "use"));
        if !is_import {
            tokens.iter().for_each(|token| self.words.add(token));
        }
    }

    fn item(&mut self, tokens: &[TokenTree], path: &mut Vec<String>, in_tests: bool) {
        let begin = after_attributes(tokens);
        let attributes = &tokens[..begin];
        let body = tokens.last().and_then(|last| match last {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Some(group),
            _ => None,
        });
        let Some(body) = body else {
            return self.keep(tokens, in_tests);
        };
        let head = &tokens[begin..tokens.len() - 1];
        if let Some(name) = function(head) {
            let is_test = is_test(attributes);
            let is_plain = !head.iter().any(|token| is_word(token, "const"))
                && !attributes_forbid(attributes)
                && !holds_items(&body.stream(), is_test);
            if !is_plain {
                return self.keep(tokens, in_tests);
            }
            path.push(name);
            let whole = if is_test {
                tokens.to_vec()
            } else {
                vec![TokenTree::Group(body.clone())]
            };
            let mut text = String::new();
            push(&mut text, &whole);
            let mut words = Words::default();
            whole.iter().for_each(|token| words.add(token));
            let span = whole.first().map_or(body.span_open(), TokenTree::span);
            self.bodies.push(Body {
                key: path.join("::"),
                in_tests,
                first: line(span.start().line),
                last: line(body.span_close().end().line),
                hash: hash(text.as_bytes()),
                hints: words.hints(),
            });
            path.pop();
            if !is_test {
                self.keep(&tokens[..tokens.len() - 1], in_tests);
                self.mark(in_tests);
            }
            return;
        }
        let kind = head.iter().find_map(|token| match token {
            TokenTree::Ident(word) => {
                let word = word.to_string();
                ["mod", "impl", "trait"]
                    .contains(&word.as_str())
                    .then_some(word)
            }
            _ => None,
        });
        let is_macro = head
            .iter()
            .any(|token| is_punct(token, '!') || is_word(token, "macro"));
        let is_type = head.iter().any(|token| {
            ["struct", "enum", "union", "use", "static", "fn"]
                .iter()
                .any(|word| is_word(token, word))
        });
        // `impl !Send for X {}` looks like a macro, and is kept whole as well.
        let Some(_) = kind.filter(|_| !is_macro && !is_type) else {
            return self.keep(tokens, in_tests);
        };
        let is_tests = in_tests || is_for_tests(attributes);
        self.keep(&tokens[..tokens.len() - 1], is_tests);
        path.push(
            head.iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" "),
        );
        self.items(body.stream(), path, is_tests);
        path.pop();
        self.mark(is_tests);
    }

    /// Stands for a body, or ends a block.
    fn mark(&mut self, in_tests: bool) {
        let to = if in_tests {
            &mut self.tests
        } else {
            &mut self.skeleton
        };
        to.push_str("{} ");
    }

    /// Tells bodies of one name apart.
    fn number(&mut self) {
        let mut seen = std::collections::HashMap::new();
        for body in &mut self.bodies {
            let count = seen.entry(body.key.clone()).or_insert(0_u32);
            *count += 1;
            if *count > 1 {
                body.key.push_str(&format!("#{count}"));
            }
        }
    }
}

fn line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// An item ends with a semicolon or with a block in braces, whichever comes first.
fn end_of_item(tokens: &[TokenTree], start: usize) -> usize {
    let ends = |token: &TokenTree| {
        is_punct(token, ';')
            || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
    };
    tokens[start..]
        .iter()
        .position(ends)
        .map_or(tokens.len(), |at| start + at + 1)
}

/// Where the attributes of an item end.
fn after_attributes(tokens: &[TokenTree]) -> usize {
    let mut at = 0;
    loop {
        let mark = tokens.get(at).is_some_and(|token| is_punct(token, '#'));
        let inner = usize::from(tokens.get(at + 1).is_some_and(|token| is_punct(token, '!')));
        match tokens.get(at + 1 + inner) {
            Some(TokenTree::Group(group)) if mark && group.delimiter() == Delimiter::Bracket => {
                at += 2 + inner;
            }
            _ => return at,
        }
    }
}

/// The name, if these tokens are, or begin with, the head of a function.
fn function(head: &[TokenTree]) -> Option<String> {
    let at = head.iter().position(|token| is_word(token, "fn"))?;
    // Before it stand only qualifiers.
    let qualifies = |token: &TokenTree| match token {
        TokenTree::Ident(word) => [
            "pub", "async", "unsafe", "extern", "default", "safe", "const",
        ]
        .contains(&word.to_string().as_str()),
        TokenTree::Group(group) => group.delimiter() == Delimiter::Parenthesis,
        TokenTree::Literal(_) => true,
        TokenTree::Punct(_) => false,
    };
    match (head[..at].iter().all(qualifies), head.get(at + 1)) {
        (true, Some(TokenTree::Ident(name))) => Some(name.to_string()),
        _ => None,
    }
}

fn attributes(tokens: &[TokenTree]) -> impl Iterator<Item = &Group> {
    tokens.iter().filter_map(|token| match token {
        TokenTree::Group(group) => Some(group),
        _ => None,
    })
}

/// Whether a harness calls this function, and nobody else does.
fn is_test(tokens: &[TokenTree]) -> bool {
    attributes(tokens).any(|group| {
        let path = group
            .stream()
            .into_iter()
            .take_while(|token| matches!(token, TokenTree::Ident(_)) || is_punct(token, ':'));
        let last = path
            .filter(|token| matches!(token, TokenTree::Ident(_)))
            .last();
        last.is_some_and(|word| {
            ["test", "rstest", "test_case"]
                .iter()
                .any(|name| is_word(&word, name))
        })
    })
}

/// `#[cfg(test)]`
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    attributes(tokens).any(|group| {
        let text: String = group.stream().to_string();
        let text: String = text.chars().filter(|char| !char.is_whitespace()).collect();
        text == "cfg(test)"
    })
}

/// Whether attributes make something of a function that runs unseen.
fn attributes_forbid(tokens: &[TokenTree]) -> bool {
    attributes(tokens).any(|group| {
        let text = group.stream().to_string();
        [
            "no_mangle",
            "export_name",
            "link_section",
            "proc_macro",
            "ctor",
            "dtor",
            "global_allocator",
            "naked",
            "coverage",
        ]
        .iter()
        .any(|word| text.contains(word))
    })
}

/// Whether a body has items that reach beyond it. Those of a test can be reached from the test only.
fn holds_items(stream: &TokenStream, is_test: bool) -> bool {
    let words: &[&str] = if is_test {
        &["extern", "mod"]
    } else {
        &["extern", "mod", "impl", "macro_rules"]
    };
    stream.clone().into_iter().any(|token| match &token {
        TokenTree::Ident(word) => words.contains(&word.to_string().as_str()),
        TokenTree::Group(group) => holds_items(&group.stream(), is_test),
        _ => false,
    })
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

#[cfg(test)]
#[path = "outline_tests.rs"]
mod tests;
