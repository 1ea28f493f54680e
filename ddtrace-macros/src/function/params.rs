//! The parameters of a function: their names, and whether dropping them can be seen.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};

use super::Attr;
use super::attrs::take_all;
use crate::tokens::{Cursor, is_ident, is_punct, split_at_commas};

pub(crate) struct Params {
    pub(crate) list: Vec<Param>,
}

/// One parameter.
pub(crate) struct Param {
    pub(crate) attrs: Vec<Attr>,
    pub(crate) pattern: Pattern,
    pub(crate) ty: Vec<TokenTree>,
    tokens: Vec<TokenTree>,
}

pub(crate) enum Pattern {
    /// `self` in any form; its whole declaration is in `ty`.
    Receiver(Ident),
    /// `name` or `mut name`.
    Name {
        mutable: Option<TokenTree>,
        name: Ident,
    },
    /// `_`
    Wildcard,
    /// Anything that takes the argument apart.
    Parts(Vec<TokenTree>),
}

impl Params {
    pub(crate) fn new(inputs: &Group) -> Params {
        let list = split_at_commas(inputs.stream());
        Params {
            list: list.into_iter().map(Param::new).collect(),
        }
    }

    /// Every name that the function's body can use, `self` left out.
    pub(crate) fn names(&self) -> Vec<Ident> {
        self.list.iter().flat_map(Param::names).collect()
    }

    /// Names of arguments that are owned and may have a destructor, in their order, `self` included.
    pub(crate) fn droppable(&self) -> Vec<Ident> {
        let owned = self.list.iter().filter(|param| param.may_drop());
        owned
            .flat_map(|param| match &param.pattern {
                Pattern::Receiver(ident) => vec![ident.clone()],
                _ => param.names(),
            })
            .collect()
    }
}

impl Param {
    fn new(tokens: Vec<TokenTree>) -> Param {
        let mut cursor = Cursor::new(tokens.iter().cloned().collect(), Span::call_site());
        let attrs = take_all(&mut cursor);
        let mut left = Vec::new();
        let mut ty = Vec::new();
        let mut colon = false;
        while let Some(token) = cursor.next() {
            if colon {
                ty.push(token);
            } else if is_single_colon(&token, &mut cursor, left.last()) {
                colon = true;
            } else {
                left.push(token);
            }
        }
        if !colon {
            ty = left.clone();
        }
        let receiver = left.iter().find(|token| is_ident(token, "self")).cloned();
        let pattern = match (receiver, left.as_slice()) {
            (Some(TokenTree::Ident(ident)), _) => {
                if colon {
                    // `self: T`, `mut self: T`: the type says whether it is owned.
                } else {
                    ty = left;
                }
                Pattern::Receiver(ident)
            }
            (_, [TokenTree::Ident(name)]) if name == "_" => Pattern::Wildcard,
            (_, [TokenTree::Ident(name)]) => Pattern::Name {
                mutable: None,
                name: name.clone(),
            },
            (_, [mutable, TokenTree::Ident(name)]) if is_ident(mutable, "mut") => Pattern::Name {
                mutable: Some(mutable.clone()),
                name: name.clone(),
            },
            _ => Pattern::Parts(left),
        };
        Param {
            attrs,
            pattern,
            ty,
            tokens,
        }
    }

    pub(crate) fn names(&self) -> Vec<Ident> {
        match &self.pattern {
            Pattern::Receiver(_) | Pattern::Wildcard => Vec::new(),
            Pattern::Name { name, .. } => vec![name.clone()],
            Pattern::Parts(tokens) => {
                let mut names = Vec::new();
                bindings(tokens.iter().cloned().collect(), &mut names);
                names
            }
        }
    }

    /// Whether the argument is owned and may do something when it is dropped.
    ///
    /// Types are not known here: references, slices of text and numbers are recognised by their
    /// looks, everything else is taken to have a destructor.
    pub(crate) fn may_drop(&self) -> bool {
        const PLAIN: &[&str] = &[
            "bool", "char", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64",
            "i128", "isize", "f32", "f64",
        ];
        match self.ty.as_slice() {
            [first, ..] if is_punct(first, '&') => false,
            [TokenTree::Ident(name)] => !PLAIN.iter().any(|plain| name == plain),
            [TokenTree::Group(unit)] => !unit.stream().is_empty(),
            [] => false,
            _ => true,
        }
    }

    /// `#[cfg(…)]` of the parameter: a statement that names it needs it, too.
    pub(crate) fn conditions(&self) -> TokenStream {
        let attrs = self.attrs.iter().filter(|attr| attr.name() == "cfg");
        attrs.map(ToTokens::to_token_stream).collect()
    }

    /// The parameter as `pattern: type`, with another pattern.
    pub(crate) fn with_pattern(&self, pattern: TokenStream) -> TokenStream {
        let attrs = &self.attrs;
        let ty = &self.ty;
        quote!(#(#attrs)* #pattern: #(#ty)*)
    }
}

/// The parameter as it was written.
impl ToTokens for Param {
    fn to_tokens(&self, out: &mut TokenStream) {
        out.extend(self.tokens.iter().cloned());
    }
}

/// Whether this colon ends the pattern: it is not part of a `::`.
fn is_single_colon(token: &TokenTree, rest: &mut Cursor, before: Option<&TokenTree>) -> bool {
    let is_colon = |token: &TokenTree| is_punct(token, ':');
    is_colon(token) && !rest.peek().is_some_and(is_colon) && !before.is_some_and(is_colon)
}

/// The names that a pattern binds, read from its looks: they begin in lower case and are neither a
/// path, nor a call, nor the name of a field that is matched by another pattern.
fn bindings(tokens: TokenStream, names: &mut Vec<Ident>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => bindings(group.stream(), names),
            TokenTree::Ident(ident) => {
                let text = ident.to_string();
                let keyword = [
                    "mut", "ref", "box", "_", "true", "false", "self", "crate", "super",
                ]
                .contains(&text.as_str());
                let upper = text.starts_with(|first: char| first.is_uppercase());
                let followed = tokens.get(at + 1).is_some_and(|next| {
                    matches!(next, TokenTree::Group(_))
                        || is_punct(next, ':')
                        || is_punct(next, '!')
                });
                let in_path = at > 0
                    && is_punct(&tokens[at - 1], ':')
                    && at > 1
                    && is_punct(&tokens[at - 2], ':');
                if !keyword && !upper && !followed && !in_path {
                    names.push(ident.clone());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(source: &str) -> Params {
        let mut tokens = source.parse::<TokenStream>().unwrap().into_iter();
        match tokens.next() {
            Some(TokenTree::Group(group)) => Params::new(&group),
            _ => panic!("{source}"),
        }
    }

    #[test]
    fn the_names_of_parameters_are_found() {
        for (source, names, droppable) in [
            ("()", "", ""),
            ("(a: u8, mut b: String)", "a b", "b"),
            ("(&self, a: &str)", "a", ""),
            ("(&'a mut self)", "", ""),
            ("(self, a: Vec<(u8, u8)>)", "a", "self a"),
            ("(mut self: Box<Self>)", "", "self"),
            ("(self: &Self)", "", ""),
            ("((a, b): (A, B), _: (), _: C)", "a b", "a b"),
            ("(Point { x, y: z, .. }: Point)", "x z", "x z"),
            (
                "(crate::m::Wrapper(inner): Wrapper<HashMap<A, B>>, c: C,)",
                "inner c",
                "inner c",
            ),
            ("(#[cfg(unix)] a: A)", "a", "a"),
            ("([first, rest @ ..]: [A; 3])", "first rest", "first rest"),
            ("(f: impl Fn(u8, u8) -> u8, g: G)", "f g", "f g"),
            ("(Some(ref x) | Other(ref x): O)", "x x", "x x"),
        ] {
            let params = params(source);
            let join = |idents: Vec<Ident>| {
                let texts: Vec<String> = idents.iter().map(ToString::to_string).collect();
                texts.join(" ")
            };
            assert_eq!(join(params.names()), names, "{source}");
            assert_eq!(join(params.droppable()), droppable, "{source}");
        }
    }
}
