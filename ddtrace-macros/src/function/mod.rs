//! The item that an attribute stands on, read from its tokens.
//!
//! Of a function the attributes need its name, whether it is `async` or `const`, its parameters'
//! names, its return type, and its body as one group that nobody opens without need. The rest (its
//! visibility, generics, `where` clause) passes through token by token, so that whatever rustc
//! accepts there today or next year is fine with us.

pub(crate) mod attrs;
pub(crate) mod body;
pub(crate) mod output;
pub(crate) mod params;

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::ToTokens;

pub(crate) use attrs::Attr;
pub(crate) use body::Body;
pub(crate) use output::Output;
pub(crate) use params::Params;

use crate::error::{Error, Result};
use crate::tokens::{Cursor, flatten, is_group, is_ident, is_punct};

/// A function with or without a body.
pub(crate) struct Function {
    pub(crate) attrs: Vec<Attr>,
    /// From the visibility to `fn`, without `async`.
    pub(crate) qualifiers: Vec<TokenTree>,
    pub(crate) asyncness: Option<Ident>,
    pub(crate) constness: Option<Ident>,
    pub(crate) name: Ident,
    /// The generic parameters, `<…>` included.
    pub(crate) generics: Vec<TokenTree>,
    pub(crate) inputs: Group,
    pub(crate) output: Output,
    /// `where …`
    pub(crate) bounds: Vec<TokenTree>,
    /// `None` for a declaration that ends in `;`.
    pub(crate) body: Option<Body>,
    /// The last token, to point at when the body is missing.
    pub(crate) end: Span,
}

/// What an attribute can stand on.
pub(crate) enum Item {
    Function(Box<Function>),
    /// An `impl` block or an inline module: its attributes, its head, its contents.
    Block(Block),
    /// Anything else, with the token that says what it is.
    Other(Option<Ident>, Span),
}

pub(crate) struct Block {
    pub(crate) keyword: Ident,
    pub(crate) attrs: Vec<Attr>,
    pub(crate) head: Vec<TokenTree>,
    /// `None` for `mod name;`.
    pub(crate) contents: Option<Group>,
}

/// Reads an item.
pub(crate) fn parse(tokens: TokenStream) -> Result<Item> {
    let mut cursor = Cursor::new(flatten(tokens).into_iter().collect(), Span::call_site());
    let attrs = attrs::take_all(&mut cursor);
    let mut head = Vec::new();
    while let Some(token) = cursor.next() {
        if let TokenTree::Ident(keyword) = &token {
            if keyword == "fn" {
                head.push(token);
                return Function::parse(attrs, head, &mut cursor)
                    .map(|function| Item::Function(Box::new(function)));
            }
            if keyword == "impl" || keyword == "mod" {
                let keyword = keyword.clone();
                head.push(token);
                return Ok(Item::Block(Block::parse(keyword, attrs, head, &mut cursor)));
            }
            if !is_qualifier(keyword) {
                return Ok(Item::Other(Some(keyword.clone()), keyword.span()));
            }
        }
        head.push(token);
    }
    let span = head.first().map_or_else(Span::call_site, TokenTree::span);
    Ok(Item::Other(None, span))
}

/// What may stand between the attributes and the keyword of a function or a block.
fn is_qualifier(ident: &Ident) -> bool {
    [
        "pub", "crate", "default", "const", "async", "unsafe", "safe", "extern", "gen",
    ]
    .iter()
    .any(|qualifier| ident == qualifier)
}

impl Function {
    /// `head` ends with `fn`.
    pub(crate) fn parse(
        attrs: Vec<Attr>,
        head: Vec<TokenTree>,
        cursor: &mut Cursor,
    ) -> Result<Function> {
        let mut asyncness = None;
        let mut constness = None;
        let mut qualifiers = Vec::with_capacity(head.len());
        for token in head {
            match token {
                TokenTree::Ident(ident) if ident == "async" => asyncness = Some(ident),
                TokenTree::Ident(ident) => {
                    if ident == "const" {
                        constness = Some(ident.clone());
                    }
                    qualifiers.push(ident.into());
                }
                other => qualifiers.push(other),
            }
        }
        let Some(name) = cursor.take_ident() else {
            return Err(Error::at(cursor.span(), "expected the name of a function"));
        };
        let mut generics = Vec::new();
        while cursor
            .peek()
            .is_some_and(|token| !is_group(token, Delimiter::Parenthesis))
        {
            generics.extend(cursor.next());
        }
        let Some(inputs) = cursor.take_parens() else {
            return Err(Error::at(
                cursor.span(),
                "expected the parameters of a function",
            ));
        };
        let mut rest: Vec<TokenTree> = Vec::new();
        while let Some(token) = cursor.next() {
            rest.push(token);
        }
        let end = rest.last().map_or_else(|| inputs.span(), TokenTree::span);
        let body = match rest.pop() {
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                Some(Body::new(group))
            }
            Some(token) if is_punct(&token, ';') => None,
            other => {
                rest.extend(other);
                None
            }
        };
        let bounds = match rest.iter().position(|token| is_ident(token, "where")) {
            Some(start) => rest.split_off(start),
            None => Vec::new(),
        };
        Ok(Function {
            attrs,
            qualifiers,
            asyncness,
            constness,
            name,
            generics,
            inputs,
            output: Output::new(rest),
            bounds,
            body,
            end,
        })
    }

    /// Everything before the parameters, with or without `async`.
    pub(crate) fn head_to_tokens(&self, asyncness: Option<&Ident>, out: &mut TokenStream) {
        for attr in &self.attrs {
            attr.to_tokens(out);
        }
        let keyword = self.qualifiers.len().saturating_sub(1);
        // `async` stands before `unsafe` and `extern`, after the visibility and `const`.
        let place = self.qualifiers[..keyword]
            .iter()
            .position(|token| is_ident(token, "unsafe") || is_ident(token, "extern"))
            .unwrap_or(keyword);
        out.extend(self.qualifiers[..place].iter().cloned());
        asyncness.to_tokens(out);
        out.extend(self.qualifiers[place..].iter().cloned());
        self.name.to_tokens(out);
        out.extend(self.generics.iter().cloned());
    }

    /// Whether this attribute is on the function.
    pub(crate) fn has_attr(&self, name: &str) -> bool {
        self.attrs.iter().any(|attr| attr.name() == name)
    }
}

/// The function as it was written.
impl ToTokens for Function {
    fn to_tokens(&self, out: &mut TokenStream) {
        self.head_to_tokens(self.asyncness.as_ref(), out);
        self.inputs.to_tokens(out);
        self.output.to_tokens(out);
        out.extend(self.bounds.iter().cloned());
        match &self.body {
            Some(body) => body.to_tokens(out),
            None => {
                let mut semicolon = proc_macro2::Punct::new(';', proc_macro2::Spacing::Alone);
                semicolon.set_span(self.end);
                out.extend([TokenTree::from(semicolon)]);
            }
        }
    }
}

impl Block {
    fn parse(
        keyword: Ident,
        attrs: Vec<Attr>,
        mut head: Vec<TokenTree>,
        rest: &mut Cursor,
    ) -> Block {
        let mut contents = None;
        while let Some(token) = rest.next() {
            match token {
                // The last one; a const argument in braces may stand before it.
                TokenTree::Group(group)
                    if group.delimiter() == Delimiter::Brace && rest.is_empty() =>
                {
                    contents = Some(group);
                }
                other => head.push(other),
            }
        }
        Block {
            keyword,
            attrs,
            head,
            contents,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(source: &str) -> Function {
        match parse(source.parse().unwrap()).unwrap() {
            Item::Function(function) => *function,
            _ => panic!("not a function: {source}"),
        }
    }

    #[test]
    fn a_function_is_handed_back_as_it_was() {
        for source in [
            "fn f() {}",
            "pub(crate) async fn f<T: Fn() -> u8>(t: T) -> Vec<u8> where T: Send { a; b }",
            "#[inline] pub const unsafe extern \"C\" fn f(a: [u8; 3]) {}",
            "pub async unsafe fn f() -> Foo<{ 1 }> { x }",
            "fn f(&self);",
            "default fn f(self: Pin<&mut Self>) -> impl Fn(u8) -> u8 + '_ { x }",
        ] {
            let tokens: TokenStream = source.parse().unwrap();
            let again = function(source).into_token_stream();
            assert_eq!(again.to_string(), tokens.to_string());
        }
    }

    #[test]
    fn the_head_of_a_function_is_understood() {
        let f = function("pub async fn f<T>(a: u8) -> Foo<{ 1 }> where T: Into<Foo<{ 2 }>> { x }");
        assert!(f.asyncness.is_some());
        assert!(f.constness.is_none());
        assert_eq!(f.name, "f");
        assert!(f.body.is_some());
        assert_eq!(f.bounds.len(), 10);
        assert!(function("fn f();").body.is_none());
        assert!(function("const fn f() {}").constness.is_some());
    }

    #[test]
    fn what_is_no_function_is_told_apart() {
        for (source, keyword) in [
            ("struct A;", Some("struct")),
            ("pub enum A {}", Some("enum")),
            ("trait A {}", Some("trait")),
            ("static A: u8 = 1;", Some("static")),
            ("", None),
        ] {
            match parse(source.parse().unwrap()).unwrap() {
                Item::Other(found, _) => {
                    assert_eq!(found.map(|ident| ident.to_string()).as_deref(), keyword);
                }
                _ => panic!("{source}"),
            }
        }
        for source in ["mod m { fn f() {} }", "unsafe impl<T> Foo<{ 1 }> for T { }"] {
            match parse(source.parse().unwrap()).unwrap() {
                Item::Block(block) => assert!(block.contents.is_some()),
                _ => panic!("{source}"),
            }
        }
    }
}
