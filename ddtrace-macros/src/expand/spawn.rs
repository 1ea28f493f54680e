//! Calls that start a task or a thread take the active span along.
//!
//! Only calls written by path are seen, and only of functions whose argument is known: what they get is
//! wrapped, everything around stays as it is. Calls inside the arguments of other macros are not seen.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::quote_spanned;

use crate::tokens::{is_punct, ours_at, regroup, split_at_commas};

/// What a function that starts something is given.
enum Starts {
    /// A future.
    Task,
    /// A closure.
    Closure,
}

/// The functions, by the last two segments of their path.
const SPAWN: &[(&str, &str, Starts)] = &[
    ("tokio", "spawn", Starts::Task),
    ("task", "spawn", Starts::Task),
    ("task", "spawn_local", Starts::Task),
    ("task", "spawn_blocking", Starts::Closure),
    ("thread", "spawn", Starts::Closure),
    ("rayon", "spawn", Starts::Closure),
];

/// The first segments under which they are found; a path of two segments may begin with the module.
const ROOTS: &[&str] = &["tokio", "std", "rayon"];

/// The body with the argument of each such call wrapped.
pub(crate) fn carry(body: TokenStream, private: &TokenStream) -> TokenStream {
    let mut out: Vec<TokenTree> = Vec::new();
    // The segments of the path that was read last.
    let mut path: Vec<String> = Vec::new();
    let mut colons = 0;
    let mut in_macro = false;
    let mut after_dot = false;
    for token in body {
        match &token {
            TokenTree::Ident(ident) => {
                if colons < 2 {
                    path.clear();
                }
                if after_dot {
                    path.clear();
                    // A method: no path begins here.
                    path.push(String::new());
                }
                path.push(ident.to_string());
                colons = 0;
                in_macro = false;
                after_dot = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                if path.is_empty() && colons == 0 {
                    // `::tokio::spawn`
                }
                colons += 1;
            }
            TokenTree::Group(group) => {
                let call = group.delimiter() == Delimiter::Parenthesis && colons == 0;
                let starts = call.then(|| find(&path)).flatten();
                path.clear();
                colons = 0;
                if in_macro {
                    in_macro = false;
                    out.push(token);
                    continue;
                }
                let inner = carry(group.stream(), private);
                let inner = match starts {
                    Some(starts) if split_at_commas(inner.clone()).len() == 1 => {
                        let span = ours_at(group.span());
                        match starts {
                            Starts::Task => quote_spanned!(span=> #private::carry(#inner)),
                            Starts::Closure => quote_spanned!(span=> #private::carry_fn(#inner)),
                        }
                    }
                    _ => inner,
                };
                out.push(regroup(group, inner).into());
                after_dot = false;
                continue;
            }
            other => {
                in_macro = is_punct(other, '!') && !path.is_empty();
                after_dot = is_punct(other, '.');
                path.clear();
                colons = 0;
            }
        }
        out.push(token);
    }
    out.into_iter().collect()
}

fn find(path: &[String]) -> Option<&'static Starts> {
    let [.., module, name] = path else {
        return None;
    };
    let known = SPAWN
        .iter()
        .find(|(known_module, known_name, _)| module == known_module && name == known_name);
    let (_, _, starts) = known?;
    let rooted = path.len() == 2 || ROOTS.iter().any(|root| path[0] == *root);
    rooted.then_some(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_by_path_are_wrapped() {
        for (body, expected) in [
            ("tokio::spawn(f(a, b));", "tokio::spawn(p::carry(f(a, b)));"),
            (
                "::tokio::spawn(async move { x })",
                "::tokio::spawn(p::carry(async move { x }))",
            ),
            (
                "let h = tokio::task::spawn_blocking(move || { std::thread::spawn(g) });",
                "let h = tokio::task::spawn_blocking(p::carry_fn(move || { std::thread::spawn(p::carry_fn(g)) }));",
            ),
            ("thread::spawn(f)", "thread::spawn(p::carry_fn(f))"),
            (
                "tokio::task::spawn_local(f)",
                "tokio::task::spawn_local(p::carry(f))",
            ),
            ("rayon::spawn(f)", "rayon::spawn(p::carry_fn(f))"),
            (
                "if a { tokio::spawn(f) }",
                "if a { tokio::spawn(p::carry(f)) }",
            ),
        ] {
            check(body, expected);
        }
    }

    #[test]
    fn everything_else_is_left_alone() {
        for body in [
            "spawn(f)",
            "set.spawn(f)",
            "self.tokio.spawn(f)",
            "tokio::spawn",
            "mine::thread::spawn(f)",
            "thread::spawn(f, g)",
            "select!(tokio::spawn(f))",
            "tokio::spawn_named(f)",
            "x ? tokio : spawn (f)",
            "std::thread::Builder::new().spawn(f)",
        ] {
            check(body, body);
        }
    }

    fn check(body: &str, expected: &str) {
        let private: TokenStream = "p".parse().unwrap();
        let expected: TokenStream = expected.parse().unwrap();
        assert_eq!(
            carry(body.parse().unwrap(), &private).to_string(),
            expected.to_string()
        );
    }
}
