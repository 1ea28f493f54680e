//! Taking the contents of an `impl` block or a module apart into items.
//!
//! Nothing is understood of an item but where it ends.

use proc_macro2::{Delimiter, Span, TokenStream, TokenTree};

use crate::function::Attr;
use crate::function::attrs::take_all;
use crate::tokens::{Angles, Cursor, flatten, is_group, is_punct};

/// One item with its attributes taken off.
pub(crate) struct Piece {
    pub(crate) attrs: Vec<Attr>,
    /// The keyword that says what it is: `fn`, `impl`, `mod`, `struct`, …; empty for a macro call.
    pub(crate) kind: String,
    pub(crate) tokens: Vec<TokenTree>,
}

/// Splits the contents of a block.
pub(crate) fn split(contents: TokenStream) -> Vec<Piece> {
    let tokens = flatten(contents).into_iter().collect();
    let mut cursor = Cursor::new(tokens, Span::call_site());
    let mut pieces = Vec::new();
    while !cursor.is_empty() {
        let attrs = take_all(&mut cursor);
        let (kind, tokens) = take_item(&mut cursor);
        pieces.push(Piece {
            attrs,
            kind,
            tokens,
        });
    }
    pieces
}

fn take_item(cursor: &mut Cursor) -> (String, Vec<TokenTree>) {
    const KINDS: &[&str] = &[
        "fn",
        "impl",
        "mod",
        "struct",
        "enum",
        "union",
        "trait",
        "static",
        "type",
        "use",
        "macro_rules",
    ];
    let mut kind = String::new();
    let mut tokens: Vec<TokenTree> = Vec::new();
    let mut angles = Angles::default();
    while let Some(token) = cursor.next() {
        if let (TokenTree::Ident(ident), true) = (&token, kind.is_empty() || kind == "const") {
            let text = ident.to_string();
            if KINDS.contains(&text.as_str()) || (text == "const" && kind.is_empty()) {
                kind = text;
            }
        }
        // A group in braces ends an item, unless the item is a value, which ends with a semicolon,
        // or the group is a const argument in the type of one.
        let value = matches!(kind.as_str(), "const" | "static" | "type" | "use");
        let end = is_punct(&token, ';')
            || (is_group(&token, Delimiter::Brace) && angles.is_outside() && !value);
        if !value {
            angles.see(&token);
        }
        tokens.push(token);
        if end {
            break;
        }
    }
    (kind, tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_end_where_they_end() {
        let contents = "
            const A: Foo = Foo { a: 1 };
            pub const fn b() -> u8 { 1 }
            #[x] #[y(z)] pub(crate) async unsafe fn c<F: Fn(u8) -> Foo<{ N }>>() -> Foo<{ 1 }> where F: B { d }
            struct E;
            struct F { a: u8 }
            struct G(u8);
            impl<T> H for Foo<T> { fn a() {} }
            mod i { fn a() {} }
            mod j;
            use k::{l, m};
            static N: [u8; { 1 }] = { [1] };
            macro_rules! o { () => {} }
            p! { q }
            r!(s);
            type T = Foo<{ 1 }>;
            extern \"C\" { fn u(); }
            fn v();
        ";
        let kinds: Vec<String> = split(contents.parse().unwrap())
            .iter()
            .map(|piece| piece.kind.clone())
            .collect();
        assert_eq!(
            kinds,
            [
                "const",
                "fn",
                "fn",
                "struct",
                "struct",
                "struct",
                "impl",
                "mod",
                "mod",
                "use",
                "static",
                "macro_rules",
                "",
                "",
                "type",
                "",
                "fn"
            ]
        );
    }
}
