//! Where a test begins and ends in its file.
//!
//! libtest's list names one position per test; for an ordinary test it is the function's name. The file is tokenised (not
//! parsed: code of any edition and with any macro does) and the token at that position is looked for:
//!
//! * it follows `fn`: from the attributes before it to the brace that closes its body;
//! * it is, or lies in, an attribute (`test_case`): the same for the next `fn`;
//! * anything else is an entry of a macro of the user's own: up to the next `,` or `;` at that level.

use proc_macro2::{Delimiter, LineColumn, Spacing, TokenStream, TokenTree};

/// Tokens of a file.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<TokenTree>);

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
        Some(Tokens(stream.into_iter().collect()))
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

fn search(tokens: &[TokenTree], at: LineColumn) -> Option<(usize, usize)> {
    let place = tokens.iter().position(|token| {
        let span = token.span();
        span.start() <= at && at < span.end()
    })?;
    if let TokenTree::Group(group) = &tokens[place]
        && group.span_open().start() != at
    {
        let is_attribute = group.delimiter() == Delimiter::Bracket
            && place > 0
            && is_punct(&tokens[place - 1], '#');
        if !is_attribute {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            return search(&inner, at);
        }
    }
    if place > 0 && is_word(&tokens[place - 1], "fn") {
        return function(tokens, place - 1);
    }
    let in_attribute = is_punct(&tokens[place], '#')
        || matches!(&tokens[place], TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket);
    if in_attribute
        && let Some(next) = tokens[place..]
            .iter()
            .position(|token| is_word(token, "fn"))
    {
        return function(tokens, place + next);
    }
    let end = tokens[place..]
        .iter()
        .take_while(|token| !is_punct(token, ',') && !is_punct(token, ';'))
        .last()
        .unwrap_or(&tokens[place]);
    Some((tokens[place].span().start().line, end.span().end().line))
}

/// The lines of the function whose `fn` stands at `place`.
fn function(tokens: &[TokenTree], place: usize) -> Option<(usize, usize)> {
    let body = tokens[place..].iter().find(
        |token| matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace),
    )?;
    let mut first = place;
    while first > 0 {
        let before = &tokens[first - 1];
        first = match before {
            TokenTree::Ident(word)
                if [
                    "async", "unsafe", "const", "extern", "pub", "default", "safe",
                ]
                .contains(&word.to_string().as_str()) =>
            {
                first - 1
            }
            // The name of a calling convention.
            TokenTree::Literal(_) if first > 1 && is_word(&tokens[first - 2], "extern") => {
                first - 1
            }
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Parenthesis
                    && first > 1
                    && is_word(&tokens[first - 2], "pub") =>
            {
                first - 1
            }
            TokenTree::Group(group)
                if group.delimiter() == Delimiter::Bracket
                    && first > 1
                    && is_punct(&tokens[first - 2], '#') =>
            {
                first - 2
            }
            _ => break,
        };
    }
    Some((tokens[first].span().start().line, body.span().end().line))
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == word)
}

fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character
        && (punct.spacing() == Spacing::Alone || character == '#'))
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
    fn what_is_no_rust_is_refused() {
        assert!(Tokens::of("fn (").is_none());
        let script = Tokens::of("#!/usr/bin/env run\nfn a() {\n}\n").unwrap();
        assert_eq!(script.extent(2, 4), Some((2, 3)));
    }
}
