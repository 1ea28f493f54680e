//! The return type, as far as its looks tell what the function returns.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use crate::args::Shape;
use crate::tokens::{Angles, flatten, is_ident, is_punct};

/// `-> T`, or nothing.
pub(crate) struct Output {
    arrow: Vec<TokenTree>,
    ty: Vec<TokenTree>,
}

/// What the name of the type promises about errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fallible {
    /// Its name ends in `Result`.
    Yes,
    /// A type that certainly is no `Result`.
    No,
    /// Some name; it may be an alias.
    Perhaps,
}

impl Output {
    pub(crate) fn new(mut tokens: Vec<TokenTree>) -> Output {
        let arrow = tokens.len().min(2);
        let ty = tokens.split_off(arrow);
        Output { arrow: tokens, ty }
    }

    /// The type; `()` where none is written.
    pub(crate) fn ty(&self) -> TokenStream {
        if self.ty.is_empty() {
            return quote!(());
        }
        self.ty.iter().cloned().collect()
    }

    /// Where an error about the type points.
    pub(crate) fn span(&self) -> Option<Span> {
        self.ty.first().map(TokenTree::span)
    }

    pub(crate) fn tokens(&self) -> &[TokenTree] {
        &self.ty
    }

    /// `impl …` at the very beginning.
    pub(crate) fn is_opaque(&self) -> bool {
        self.flat()
            .first()
            .is_some_and(|token| is_ident(token, "impl"))
    }

    /// `!`
    pub(crate) fn is_never(&self) -> bool {
        matches!(self.flat().as_slice(), [token] if is_punct(token, '!'))
    }

    /// The future or stream that the type names, and what it yields.
    pub(crate) fn shape(&self) -> Option<(Shape, Option<TokenStream>)> {
        let ty = self.flat();
        let name = last_segment(&ty)?;
        let (shape, item) = match name.as_str() {
            "BoxFuture" | "LocalBoxFuture" => (Shape::Future, second_argument(&ty)),
            "BoxStream" | "LocalBoxStream" => (Shape::Stream, None),
            "Pin" | "impl" => future_or_stream(&ty)?,
            _ => return None,
        };
        Some((shape, item))
    }

    /// What the type says of `T` in `Result<T, E>`: the stream that it is, and whether its type is left open (`impl …`).
    pub(crate) fn stream_in_result(&self) -> Option<(Shape, bool)> {
        let ty = self.flat();
        if !last_segment(&ty)?.ends_with("Result") {
            return None;
        }
        let start = ty.iter().position(|token| is_punct(token, '<'))? + 1;
        let inner = until_end_of_argument(&ty[start..]);
        let inner = Output {
            arrow: Vec::new(),
            ty: inner.into_iter().collect(),
        };
        match inner.shape() {
            Some((shape @ Shape::Stream, _)) => Some((shape, inner.is_opaque())),
            _ => None,
        }
    }

    fn flat(&self) -> Vec<TokenTree> {
        flatten(self.ty.iter().cloned().collect())
    }
}

impl ToTokens for Output {
    fn to_tokens(&self, out: &mut TokenStream) {
        out.extend(self.arrow.iter().cloned());
        out.extend(self.ty.iter().cloned());
    }
}

/// What a type promises about errors, by its name.
pub(crate) fn fallible(ty: &TokenStream) -> Fallible {
    const NEVER: &[&str] = &[
        "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32",
        "i64", "i128", "isize", "f32", "f64", "String", "Vec", "Option", "Box", "Self", "impl",
        "dyn", "Arc", "Rc", "HashMap", "BTreeMap", "HashSet", "BTreeSet", "PathBuf", "Duration",
        "Cow", "Pin", "Uuid", "Instant",
    ];
    let ty = flatten(ty.clone());
    match ty.first() {
        None | Some(TokenTree::Group(_)) => return Fallible::No,
        Some(TokenTree::Punct(punct)) if punct.as_char() != ':' && punct.as_char() != '<' => {
            return Fallible::No;
        }
        Some(_) => {}
    }
    match last_segment(&ty) {
        Some(name) if name.ends_with("Result") => Fallible::Yes,
        Some(name) if NEVER.contains(&name.as_str()) => Fallible::No,
        _ => Fallible::Perhaps,
    }
}

/// The name before the generic arguments of a path; `impl` and `dyn` stand for themselves.
fn last_segment(ty: &[TokenTree]) -> Option<String> {
    let mut name = None;
    for token in ty {
        match token {
            TokenTree::Ident(ident) if ident == "impl" || ident == "dyn" => {
                return Some(ident.to_string());
            }
            TokenTree::Ident(ident) => name = Some(ident.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == ':' => {}
            _ => break,
        }
    }
    name
}

/// Looks for `Future<Output = T>` or `Stream<Item = T>` in `impl …` and `Pin<Box<dyn …>>`.
fn future_or_stream(ty: &[TokenTree]) -> Option<(Shape, Option<TokenStream>)> {
    for (at, token) in ty.iter().enumerate() {
        let TokenTree::Ident(ident) = token else {
            continue;
        };
        let generic = ty.get(at + 1).is_some_and(|next| is_punct(next, '<'));
        if ident == "Future" {
            let output = generic.then(|| binding(&ty[at + 2..], "Output")).flatten();
            return Some((Shape::Future, output));
        }
        if ident == "Stream" && generic {
            return Some((Shape::Stream, None));
        }
    }
    None
}

/// `T` of `Output = T` among the generic arguments that begin here.
fn binding(arguments: &[TokenTree], name: &str) -> Option<TokenStream> {
    let [first, equals, rest @ ..] = arguments else {
        return None;
    };
    if !is_ident(first, name) || !is_punct(equals, '=') {
        return None;
    }
    Some(until_end_of_argument(rest))
}

/// `T` of `BoxFuture<'a, T>` and `LocalBoxFuture<'a, T>`.
fn second_argument(ty: &[TokenTree]) -> Option<TokenStream> {
    let comma = ty.iter().position(|token| is_punct(token, ','))?;
    Some(until_end_of_argument(&ty[comma + 1..]))
}

/// Tokens up to the `,` or `>` that ends a generic argument.
fn until_end_of_argument(tokens: &[TokenTree]) -> TokenStream {
    let mut angles = Angles::default();
    let mut after_dash = false;
    let mut out = Vec::new();
    for token in tokens {
        let closes = is_punct(token, ',') || (is_punct(token, '>') && !after_dash);
        if angles.is_outside() && closes {
            break;
        }
        after_dash = is_punct(token, '-');
        angles.see(token);
        out.push(token.clone());
    }
    out.into_iter().collect()
}

/// The type with `_` for each `impl …` in it, fit for a closure or a generic argument.
pub(crate) fn inferable(ty: &TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = ty.clone().into_iter().collect();
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            TokenTree::Ident(ident) if ident == "impl" => {
                out.push(TokenTree::Ident(proc_macro2::Ident::new("_", ident.span())));
                at += until_end_of_argument(&tokens[at..]).into_iter().count();
            }
            TokenTree::Group(group)
                if matches!(group.delimiter(), Delimiter::Parenthesis | Delimiter::None) =>
            {
                let mut inner = Group::new(group.delimiter(), inferable(&group.stream()));
                inner.set_span(group.span());
                out.push(inner.into());
            }
            other => out.push(other.clone()),
        }
    }
    out.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(ty: &str) -> Output {
        let tokens: TokenStream = format!("-> {ty}").parse().unwrap();
        Output::new(tokens.into_iter().collect())
    }

    #[test]
    fn results_are_recognised_by_name() {
        for (ty, fallible) in [
            ("Result<u8, E>", Fallible::Yes),
            ("std::io::Result<()>", Fallible::Yes),
            ("IoResult", Fallible::Yes),
            ("u8", Fallible::No),
            ("&'a Result<u8, E>", Fallible::No),
            ("(Result<u8, E>,)", Fallible::No),
            ("Vec<Result<u8, E>>", Fallible::No),
            ("!", Fallible::No),
            ("impl Into<Result<u8, E>>", Fallible::No),
            ("Fallible<u8>", Fallible::Perhaps),
            ("<T as Trait>::Out", Fallible::Perhaps),
        ] {
            assert_eq!(super::fallible(&ty.parse().unwrap()), fallible, "{ty}");
        }
    }

    #[test]
    fn futures_and_streams_are_recognised_by_name() {
        let shape = |ty: &str| {
            let found = output(ty).shape()?;
            Some((found.0, found.1.map(|item| item.to_string())))
        };
        let future = |item: &str| Some((Shape::Future, Some(item.to_owned())));
        assert_eq!(shape("impl Future<Output = u8> + Send"), future("u8"));
        assert_eq!(
            shape("Pin<Box<dyn std::future::Future<Output = Result<A, B>> + Send + 'a>>"),
            future("Result < A , B >")
        );
        assert_eq!(
            shape("BoxFuture<'a, Result<A, B>>"),
            future("Result < A , B >")
        );
        assert_eq!(shape("impl Stream<Item = u8>"), Some((Shape::Stream, None)));
        assert_eq!(shape("BoxStream<'a, u8>"), Some((Shape::Stream, None)));
        assert_eq!(shape("impl Fn() -> u8"), None);
        assert_eq!(shape("Pin<&mut T>"), None);
        assert_eq!(shape("Future"), None);
    }

    #[test]
    fn streams_are_found_in_results() {
        for (ty, found) in [
            (
                "Result<impl Stream<Item = Result<A, B>> + use<>, E>",
                Some((Shape::Stream, true)),
            ),
            (
                "std::io::Result<BoxStream<'a, A>>",
                Some((Shape::Stream, false)),
            ),
            (
                "Result<Pin<Box<dyn Stream<Item = A> + Send>>, E>",
                Some((Shape::Stream, false)),
            ),
            ("Result<Vec<A>, E>", None),
            ("Result<impl Future<Output = A>, E>", None),
            ("Option<impl Stream<Item = A>>", None),
            ("impl Stream<Item = A>", None),
        ] {
            assert_eq!(output(ty).stream_in_result(), found, "{ty}");
        }
    }

    #[test]
    fn opaque_types_are_left_to_inference() {
        for (ty, expected) in [
            (
                "Result<impl Iterator<Item = u8> + 'a, E>",
                "Result < _ , E >",
            ),
            ("(impl A, Vec<impl Fn(u8) -> u8>)", "(_ , Vec < _ >)"),
            ("impl A", "_"),
            ("Result<A, B>", "Result < A , B >"),
        ] {
            let found = inferable(&ty.parse().unwrap());
            let expected: TokenStream = expected.parse().unwrap();
            assert_eq!(found.to_string(), expected.to_string(), "{ty}");
        }
    }
}
