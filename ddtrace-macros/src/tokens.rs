//! Reading token trees without a grammar.
//!
//! Procedural macros run unoptimised, once per annotated function, in every build of the user; a
//! syntax tree of the whole function would cost more than all the rest. What the attributes need to
//! know of a function is in a few tokens of its head, so they are read from the token trees as they
//! are, and whatever is not understood is handed on untouched.

/// `quote!` with the hygiene of the macro: what it declares is invisible to the user's code.
macro_rules! ours {
    ($($tokens:tt)*) => {
        ::quote::quote_spanned!(::proc_macro2::Span::mixed_site()=> $($tokens)*)
    };
}
pub(crate) use ours;

use proc_macro2::{Delimiter, Group, Ident, Punct, Span, TokenStream, TokenTree};

/// A position in a list of token trees.
pub(crate) struct Cursor {
    tokens: std::iter::Peekable<proc_macro2::token_stream::IntoIter>,
    /// What was read last; says where something is missing at the end.
    last: Span,
}

impl Cursor {
    /// `parent` is where an error points if there is nothing to read at all.
    pub(crate) fn new(tokens: TokenStream, parent: Span) -> Cursor {
        Cursor {
            tokens: tokens.into_iter().peekable(),
            last: parent,
        }
    }

    pub(crate) fn peek(&mut self) -> Option<&TokenTree> {
        self.tokens.peek()
    }

    pub(crate) fn next(&mut self) -> Option<TokenTree> {
        let token = self.tokens.next();
        if let Some(token) = &token {
            self.last = token.span();
        }
        token
    }

    /// Takes the next token if it is this punctuation character.
    pub(crate) fn take_punct(&mut self, character: char) -> Option<Punct> {
        match self.peek() {
            Some(TokenTree::Punct(punct)) if punct.as_char() == character => {
                let punct = punct.clone();
                self.next();
                Some(punct)
            }
            _ => None,
        }
    }

    pub(crate) fn take_ident(&mut self) -> Option<Ident> {
        match self.peek() {
            Some(TokenTree::Ident(ident)) => {
                let ident = ident.clone();
                self.next();
                Some(ident)
            }
            _ => None,
        }
    }

    pub(crate) fn take_parens(&mut self) -> Option<Group> {
        match self.peek() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
                let group = group.clone();
                self.next();
                Some(group)
            }
            _ => None,
        }
    }

    /// Where to point: the next token, or the last one if there is none.
    pub(crate) fn span(&mut self) -> Span {
        match self.tokens.peek() {
            Some(token) => token.span(),
            None => self.last,
        }
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        self.tokens.peek().is_none()
    }
}

pub(crate) fn is_punct(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

pub(crate) fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

pub(crate) fn is_group(token: &TokenTree, delimiter: Delimiter) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == delimiter)
}

/// Opens the invisible groups that `macro_rules!` puts around what it matched.
///
/// Only for places where the contents mean the same without the group: whole items, visibilities,
/// attributes, bodies. In a type or an expression the group keeps precedence and stays.
pub(crate) fn flatten(tokens: TokenStream) -> Vec<TokenTree> {
    let mut out = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                out.extend(flatten(group.stream()));
            }
            other => out.push(other),
        }
    }
    out
}

/// How deep in `<…>` a reader of types is.
///
/// `->` and `=>` do not close anything.
#[derive(Default)]
pub(crate) struct Angles {
    depth: usize,
    after_dash: bool,
}

impl Angles {
    /// Takes note of a token; call it for each one in order.
    pub(crate) fn see(&mut self, token: &TokenTree) {
        let mut dash = false;
        if let TokenTree::Punct(punct) = token {
            match punct.as_char() {
                '<' => self.depth += 1,
                '>' if !self.after_dash => self.depth = self.depth.saturating_sub(1),
                '-' | '=' => dash = punct.spacing() == proc_macro2::Spacing::Joint,
                _ => {}
            }
        }
        self.after_dash = dash;
    }

    pub(crate) fn is_outside(&self) -> bool {
        self.depth == 0
    }
}

/// Splits the tokens of parameters or types at their commas.
pub(crate) fn split_at_commas(tokens: TokenStream) -> Vec<Vec<TokenTree>> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut angles = Angles::default();
    for token in tokens {
        if angles.is_outside() && is_punct(&token, ',') {
            parts.push(std::mem::take(&mut part));
            continue;
        }
        angles.see(&token);
        part.push(token);
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// The same group with other contents and the same spans.
pub(crate) fn regroup(group: &Group, tokens: TokenStream) -> Group {
    let mut new = Group::new(group.delimiter(), tokens);
    new.set_span(group.span());
    new
}

/// The same tokens, shown at another place.
pub(crate) fn located_at(tokens: &TokenStream, place: Span) -> TokenStream {
    let tokens = tokens.clone().into_iter();
    tokens
        .map(|mut token| {
            token.set_span(token.span().located_at(place));
            token
        })
        .collect()
}

/// Where the user's token is, with the macro's own hygiene: lints see generated code, people see
/// their line.
pub(crate) fn ours_at(span: Span) -> Span {
    span.resolved_at(Span::mixed_site())
}
