//! The body: one group of tokens, opened only for the few questions below.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::ToTokens;

use crate::tokens::{is_group, is_ident, is_punct};

/// `{ … }`
pub(crate) struct Body {
    pub(crate) braces: Group,
}

/// What was seen in a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// `return`, `?`, or a macro that may contain one: the end of the body is not the only way out.
    pub(crate) leaves_early: bool,
    /// `?`, `Err`, `bail!` or `ensure!`: the function probably returns a `Result`.
    pub(crate) fails: bool,
    /// A name that begins with `spawn`.
    pub(crate) spawn: bool,
}

impl Body {
    pub(crate) fn new(braces: Group) -> Body {
        Body { braces }
    }

    pub(crate) fn tokens(&self) -> TokenStream {
        self.braces.stream()
    }

    /// `panic!(…)` or the like as the last expression, after which nothing is reached.
    pub(crate) fn ends_in_panic(&self) -> bool {
        let mut tokens: Vec<TokenTree> = self.tokens().into_iter().collect();
        if tokens.last().is_some_and(|last| is_punct(last, ';')) {
            tokens.pop();
        }
        let [.., name, bang, TokenTree::Group(_)] = tokens.as_slice() else {
            return false;
        };
        is_punct(bang, '!')
            && ["panic", "todo", "unimplemented", "unreachable"]
                .iter()
                .any(|panic| is_ident(name, panic))
    }

    pub(crate) fn scan(&self) -> Seen {
        scan(self.braces.stream())
    }
}

impl ToTokens for Body {
    fn to_tokens(&self, out: &mut TokenStream) {
        self.braces.to_tokens(out);
    }
}

/// One pass over all tokens.
///
/// Closures and nested functions are not told apart: a `return` in one of them costs compile time,
/// never correctness.
pub(crate) fn scan(tokens: TokenStream) -> Seen {
    let mut seen = Seen::default();
    look(tokens, &mut seen);
    seen
}

fn look(tokens: TokenStream, seen: &mut Seen) {
    let mut name: Option<proc_macro2::Ident> = None;
    let mut bang = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                if bang
                    && name
                        .take()
                        .is_some_and(|name| may_return(&name.to_string()))
                {
                    seen.leaves_early = true;
                }
                look(group.stream(), seen);
                bang = false;
            }
            TokenTree::Ident(ident) => {
                let text = ident.to_string();
                if text == "return" {
                    seen.leaves_early = true;
                } else if text.starts_with("spawn") {
                    seen.spawn = true;
                } else if text == "Err" || text == "bail" || text == "ensure" {
                    seen.fails = true;
                }
                name = Some(ident);
                bang = false;
            }
            TokenTree::Punct(punct) => match punct.as_char() {
                '?' => {
                    seen.leaves_early = true;
                    seen.fails = true;
                }
                '!' => bang = true,
                _ => {
                    bang = false;
                    name = None;
                }
            },
            TokenTree::Literal(_) => bang = false,
        }
    }
}

/// Whether a macro of this name may hide a `return`. Those of the standard library and of the usual
/// logging crates do not.
fn may_return(name: &str) -> bool {
    const HARMLESS: &[&str] = &[
        "assert",
        "assert_eq",
        "assert_matches",
        "assert_ne",
        "cfg",
        "column",
        "concat",
        "dbg",
        "debug",
        "debug_assert",
        "debug_assert_eq",
        "debug_assert_ne",
        "env",
        "eprint",
        "eprintln",
        "error",
        "file",
        "format",
        "format_args",
        "include_bytes",
        "include_str",
        "info",
        "json",
        "line",
        "matches",
        "module_path",
        "option_env",
        "panic",
        "pin",
        "print",
        "println",
        "stringify",
        "todo",
        "trace",
        "unimplemented",
        "unreachable",
        "vec",
        "warn",
        "write",
        "writeln",
    ];
    !HARMLESS.contains(&name)
}

/// `Box::pin(async move { … })` as the last expression of a body.
pub(crate) struct BoxedTail {
    /// The statements before it.
    pub(crate) before: Vec<TokenTree>,
    /// `Box::pin`
    pub(crate) call: Vec<TokenTree>,
    /// What stands between its parentheses.
    pub(crate) parens: Group,
}

/// Finds it, if the statements before it can't leave the function.
pub(crate) fn boxed_tail(body: &Body) -> Option<BoxedTail> {
    let mut tokens: Vec<TokenTree> = body.tokens().into_iter().collect();
    let Some(TokenTree::Group(parens)) = tokens.pop() else {
        return None;
    };
    let mut inner = parens.stream().into_iter();
    let is_async = inner.next().is_some_and(|token| is_ident(&token, "async"));
    if parens.delimiter() != Delimiter::Parenthesis || !is_async {
        return None;
    }
    let start = tokens
        .iter()
        .rposition(|token| is_punct(token, ';') || is_group(token, Delimiter::Brace))
        .map_or(0, |end| end + 1);
    let call = tokens.split_off(start);
    let path: String = call.iter().map(ToString::to_string).collect();
    if !path.ends_with("Box::pin") {
        return None;
    }
    let early = scan(tokens.iter().cloned().collect()).leaves_early;
    (!early).then_some(BoxedTail {
        before: tokens,
        call,
        parens,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_out_of_a_body_are_seen() {
        let none = Seen::default();
        let early = Seen {
            leaves_early: true,
            ..none
        };
        let fails = Seen {
            fails: true,
            ..early
        };
        for (body, seen) in [
            ("a + b", none),
            ("return a", early),
            ("f(|| { g()? })", fails),
            ("format!(\"{}\", a?)", fails),
            ("println!(\"{a}\"); a != b", none),
            ("bail!(\"no\")", fails),
            ("anyhow::bail!(\"no\")", fails),
            ("quick!(no)", early),
            (
                "Err(a)",
                Seen {
                    fails: true,
                    ..none
                },
            ),
            ("!(a)", none),
            ("x.a != (b)", none),
            (
                "tokio::spawn(a)",
                Seen {
                    spawn: true,
                    ..none
                },
            ),
        ] {
            assert_eq!(scan(body.parse().unwrap()), seen, "{body}");
        }
    }

    #[test]
    fn a_boxed_future_at_the_end_is_found() {
        for (body, found) in [
            ("{ Box::pin(async move { return 1; }) }", true),
            ("{ let a = 1; ::std::boxed::Box::pin(async {}) }", true),
            ("{ if a { b } Box::pin(async move {}) }", true),
            (
                "{ if a { return Box::pin(b) } Box::pin(async move {}) }",
                false,
            ),
            ("{ Box::pin(f()) }", false),
            ("{ let a = Box::pin(async {}); a }", false),
            ("{ Pin::new(async {}) }", false),
        ] {
            let Some(TokenTree::Group(braces)) =
                body.parse::<TokenStream>().unwrap().into_iter().next()
            else {
                panic!()
            };
            assert_eq!(boxed_tail(&Body::new(braces)).is_some(), found, "{body}");
        }
    }
}
