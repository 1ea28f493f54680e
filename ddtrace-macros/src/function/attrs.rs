//! The attributes of an item.

use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::ToTokens;

use crate::tokens::{Cursor, flatten, is_group, is_punct};

/// `#[path …]`
#[derive(Clone)]
pub(crate) struct Attr {
    hash: Punct,
    brackets: Group,
    path: Vec<String>,
}

impl Attr {
    fn new(hash: Punct, brackets: Group) -> Attr {
        let mut tokens = flatten(brackets.stream());
        // `#[unsafe(no_mangle)]` is `no_mangle`.
        if let [TokenTree::Ident(first), TokenTree::Group(inner)] = tokens.as_slice() {
            if first == "unsafe" {
                tokens = flatten(inner.stream());
            }
        }
        let path = tokens
            .into_iter()
            .map_while(|token| match token {
                TokenTree::Ident(ident) => Some(ident.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == ':' => Some(String::new()),
                _ => None,
            })
            .filter(|part| !part.is_empty())
            .collect();
        Attr {
            hash,
            brackets,
            path,
        }
    }

    /// The last segment of its path.
    pub(crate) fn name(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// The segments of its path.
    pub(crate) fn path(&self) -> &[String] {
        &self.path
    }

    /// What stands between its parentheses.
    pub(crate) fn arguments(&self) -> TokenStream {
        match flatten(self.brackets.stream()).pop() {
            Some(TokenTree::Group(group)) => group.stream(),
            _ => TokenStream::new(),
        }
    }

    /// Where its path begins.
    pub(crate) fn span(&self) -> Span {
        let first = flatten(self.brackets.stream()).into_iter().next();
        first.map_or_else(|| self.brackets.span(), |token| token.span())
    }

    /// Whether it only informs the compiler, so that the item below it is what the user wrote.
    ///
    /// Anything else may be another macro, which has expectations of its own about the item.
    pub(crate) fn is_inert(&self) -> bool {
        const INERT: &[&str] = &[
            "allow",
            "automatically_derived",
            "cfg",
            "cold",
            "deny",
            "deprecated",
            "doc",
            "expect",
            "export_name",
            "forbid",
            "inline",
            "link_section",
            "no_mangle",
            "target_feature",
            "warn",
        ];
        match self.path() {
            [one] => INERT.contains(&one.as_str()),
            [first, ..] => {
                ["clippy", "rustfmt", "diagnostic", "rust_analyzer"].contains(&first.as_str())
            }
            [] => true,
        }
    }

    /// `#[cfg(test)]`
    pub(crate) fn is_cfg_test(&self) -> bool {
        self.name() == "cfg" && self.arguments().to_string().trim() == "test"
    }
}

impl ToTokens for Attr {
    fn to_tokens(&self, out: &mut TokenStream) {
        out.extend([
            self.hash.clone().into(),
            TokenTree::from(self.brackets.clone()),
        ]);
    }
}

/// Takes the outer attributes that stand here.
pub(crate) fn take_all(cursor: &mut Cursor) -> Vec<Attr> {
    let mut attrs = Vec::new();
    while let Some(hash) = cursor.take_punct('#') {
        match cursor.next() {
            Some(TokenTree::Group(brackets)) => attrs.push(Attr::new(hash, brackets)),
            // Not an attribute, so not Rust; rustc has complained already.
            _ => break,
        }
    }
    attrs
}

/// Moves `#![…]` at the beginning of a body out to the item.
///
/// There it means the same, and the body can be put into a block, where it may not stand.
pub(crate) fn hoist(body: TokenStream) -> (Vec<Attr>, TokenStream) {
    let mut tokens = body.into_iter().peekable();
    let mut attrs = Vec::new();
    let mut rest = Vec::new();
    while tokens.peek().is_some_and(|token| is_punct(token, '#')) {
        let hash = tokens.next();
        let bang = tokens.peek().is_some_and(|token| is_punct(token, '!'));
        if !bang {
            rest.extend(hash);
            break;
        }
        let bang = tokens.next();
        match (hash, tokens.next()) {
            (Some(TokenTree::Punct(hash)), Some(TokenTree::Group(brackets)))
                if is_group(&brackets.clone().into(), Delimiter::Bracket) =>
            {
                let mut alone = Punct::new('#', Spacing::Alone);
                alone.set_span(hash.span());
                attrs.push(Attr::new(alone, brackets));
            }
            (hash, other) => {
                rest.extend(hash.into_iter().chain(bang).chain(other));
                break;
            }
        }
    }
    (attrs, rest.into_iter().chain(tokens).collect())
}

/// An identifier with the macro's hygiene.
pub(crate) fn hidden(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_attributes_move_to_the_item() {
        for (body, count, rest) in [
            (
                "#![allow(a)] #![doc = \"x\"] #[b] let c;",
                2,
                "# [b] let c ;",
            ),
            ("#[b] let c;", 0, "# [b] let c ;"),
            ("a", 0, "a"),
            ("", 0, ""),
        ] {
            let (attrs, tokens) = hoist(body.parse().unwrap());
            assert_eq!(attrs.len(), count, "{body}");
            let rest: TokenStream = rest.parse().unwrap();
            assert_eq!(tokens.to_string(), rest.to_string());
        }
    }

    #[test]
    fn macros_are_told_from_attributes_that_only_inform() {
        for (source, inert) in [
            ("#[doc = \"x\"]", true),
            ("#[allow(a)]", true),
            ("#[clippy::cognitive_complexity = \"1\"]", true),
            ("#[tokio::main]", false),
            ("#[test]", false),
            ("#[cfg_attr(a, b)]", false),
            ("#[must_use]", false),
            ("#[unsafe(no_mangle)]", true),
        ] {
            let mut cursor = Cursor::new(source.parse().unwrap(), Span::call_site());
            let attrs = take_all(&mut cursor);
            assert_eq!(attrs[0].is_inert(), inert, "{source}");
        }
    }
}
