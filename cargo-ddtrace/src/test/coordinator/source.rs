//! Where a test begins and ends in its file.
//!
//! libtest's list names one position per test; for an ordinary test it is the function's name. The file is tokenised (not
//! parsed: code of any edition and with any macro does) and the token at that position is looked for:
//!
//! * it follows `fn`: from the attributes before it to the brace that closes its body;
//! * it is, or lies in, an attribute (`test_case`): the same for the next `fn`;
//! * anything else is an entry of a macro of the user's own: up to the next `,` or `;` at that level.
//!
//! A file is taken apart once and then searched by halves: there may be tens of thousands of tests in it.

use proc_macro2::{Delimiter, LineColumn, Spacing, TokenStream, TokenTree};

/// Groups within groups that are looked into; code that people write has some twenty.
const DEPTH: usize = 256;

/// Tokens of a file, in their order.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<Token>);

/// A token: what of it matters here.
#[derive(Debug)]
struct Token {
    start: LineColumn,
    end: LineColumn,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// `fn`.
    Function,
    /// A word that may stand between a function's attributes and its `fn`.
    Modifier {
        is_pub: bool,
        is_extern: bool,
    },
    Hash,
    /// `,` or `;`.
    Separator,
    Literal,
    Group(Delimiter, Vec<Token>),
    Other,
}

impl Token {
    fn all(stream: TokenStream, depth: usize) -> Vec<Token> {
        let trees = stream.into_iter();
        trees.map(|tree| Token::of(tree, depth)).collect()
    }

    fn of(tree: TokenTree, depth: usize) -> Token {
        let span = tree.span();
        let kind = match tree {
            TokenTree::Ident(word) => match word.to_string().as_str() {
                "fn" => Kind::Function,
                word @ ("async" | "unsafe" | "const" | "extern" | "pub" | "default" | "safe") => {
                    Kind::Modifier {
                        is_pub: word == "pub",
                        is_extern: word == "extern",
                    }
                }
                _ => Kind::Other,
            },
            TokenTree::Punct(punct) => match punct.as_char() {
                '#' => Kind::Hash,
                ',' | ';' if punct.spacing() == Spacing::Alone => Kind::Separator,
                _ => Kind::Other,
            },
            TokenTree::Literal(_) => Kind::Literal,
            TokenTree::Group(group) => {
                let inner = (depth < DEPTH).then(|| Token::all(group.stream(), depth + 1));
                let inner = inner.unwrap_or_default();
                Kind::Group(group.delimiter(), inner)
            }
        };
        Token {
            start: span.start(),
            end: span.end(),
            kind,
        }
    }

    fn is_group(&self, delimiter: Delimiter) -> bool {
        matches!(&self.kind, Kind::Group(found, _) if *found == delimiter)
    }

    fn is_extern(&self) -> bool {
        matches!(
            self.kind,
            Kind::Modifier {
                is_extern: true,
                ..
            }
        )
    }

    fn is_pub(&self) -> bool {
        matches!(self.kind, Kind::Modifier { is_pub: true, .. })
    }
}

impl Tokens {
    /// Tokenises a text; `None` if it is no Rust.
    pub(crate) fn of(text: &str) -> Option<Tokens> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let stream: TokenStream = if text.starts_with("#!") && !text.starts_with("#![") {
            // The line stays, so that those behind it keep their numbers.
            format!("// {}", &text[2..]).parse().ok()?
        } else {
            text.parse().ok()?
        };
        Some(Tokens(Token::all(stream, 0)))
    }

    /// First and last line of the test at a position (both counted from 1).
    pub(crate) fn extent(&self, line: u32, column: u32) -> Option<(u32, u32)> {
        let at = LineColumn {
            line: line as usize,
            column: (column as usize).checked_sub(1)?,
        };
        let (start, end) = search(&self.0, at)?;
        Some((u32::try_from(start).ok()?, u32::try_from(end).ok()?))
    }
}

/// Forgets what was tokenised on this thread.
pub(crate) fn forget() {
    proc_macro2::extra::invalidate_current_thread_spans();
}

fn search(tokens: &[Token], at: LineColumn) -> Option<(usize, usize)> {
    let place = tokens.partition_point(|token| token.end <= at);
    let token = tokens.get(place).filter(|token| token.start <= at)?;
    if let Kind::Group(delimiter, inner) = &token.kind
        && token.start != at
    {
        let is_attribute = *delimiter == Delimiter::Bracket
            && place > 0
            && matches!(tokens[place - 1].kind, Kind::Hash);
        if !is_attribute {
            return search(inner, at);
        }
    }
    if place > 0 && matches!(tokens[place - 1].kind, Kind::Function) {
        return function(tokens, place - 1);
    }
    let in_attribute = matches!(token.kind, Kind::Hash) || token.is_group(Delimiter::Bracket);
    if in_attribute
        && let Some(next) = tokens[place..]
            .iter()
            .position(|token| matches!(token.kind, Kind::Function))
    {
        return function(tokens, place + next);
    }
    let end = tokens[place..]
        .iter()
        .take_while(|token| !matches!(token.kind, Kind::Separator))
        .last()
        .unwrap_or(token);
    Some((token.start.line, end.end.line))
}

/// The lines of the function whose `fn` stands at `place`.
fn function(tokens: &[Token], place: usize) -> Option<(usize, usize)> {
    let body = tokens[place..]
        .iter()
        .find(|token| token.is_group(Delimiter::Brace))?;
    let mut first = place;
    while first > 0 {
        let before = &tokens[first - 1];
        let two_before = first.checked_sub(2).map(|at| &tokens[at]);
        first = match &before.kind {
            Kind::Modifier { .. } => first - 1,
            // The name of a calling convention.
            Kind::Literal if two_before.is_some_and(Token::is_extern) => first - 1,
            Kind::Group(Delimiter::Parenthesis, _) if two_before.is_some_and(Token::is_pub) => {
                first - 1
            }
            Kind::Group(Delimiter::Bracket, _)
                if two_before.is_some_and(|token| matches!(token.kind, Kind::Hash)) =>
            {
                first - 2
            }
            _ => break,
        };
    }
    Some((tokens[first].start.line, body.end.line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"//! A file.
mod tests {
    #[test]
    fn plain() {
        let x = [1, 2];
    }

    #[tokio::test(flavor = "multi_thread")]
    #[should_panic(
        expected = "x"
    )]
    pub(crate) async unsafe fn long() -> Result<(), ()> {
    }

    #[test_case(1)]
    #[test_case(2; "named")]
    fn cases(x: u8) {
    }

    proptest! {
        #[test]
        fn inside(x in 0..1) {
            let y = x;
        }
    }

    checks! {
        one => 1 + 1,
        two => {
            3
        };
        three,
    }
}
"#;

    fn at(needle: &str, offset: usize) -> (u32, u32) {
        let line = TEXT.lines().position(|line| line.contains(needle)).unwrap();
        let column = TEXT.lines().nth(line).unwrap().find(needle).unwrap() + offset;
        (line as u32 + 1, column as u32 + 1)
    }

    #[test]
    fn tests_end_where_their_bodies_end() {
        let tokens = Tokens::of(TEXT).unwrap();
        for (needle, offset, expected) in [
            ("plain()", 0, (3, 6)),
            ("long()", 0, (8, 13)),
            ("#[test_case(1)", 0, (15, 18)),
            ("#[test_case(2", 2, (15, 18)),
            ("inside(", 0, (21, 24)),
            ("one =>", 0, (28, 28)),
            ("two =>", 0, (29, 31)),
            ("three,", 0, (32, 32)),
        ] {
            let (line, column) = at(needle, offset);
            assert_eq!(tokens.extent(line, column), Some(expected), "{needle}");
        }
        assert_eq!(tokens.extent(1000, 1), None);
        assert_eq!(tokens.extent(3, 0), None);
    }

    #[test]
    fn what_is_nested_too_deep_is_not_looked_into() {
        let deep = format!(
            "{}\nfn a() {{}}\n{}",
            "(".repeat(20_000),
            ")".repeat(20_000)
        );
        assert_eq!(Tokens::of(&deep).unwrap().extent(2, 4), None);
    }

    #[test]
    fn what_is_no_rust_is_refused() {
        assert!(Tokens::of("fn (").is_none());
        let script = Tokens::of("#!/usr/bin/env run\nfn a() {\n}\n").unwrap();
        assert_eq!(script.extent(2, 4), Some((2, 3)));
    }
}
