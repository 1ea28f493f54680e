//! Expressions inside an attribute: taken as they stand, up to the comma that ends them.

use proc_macro2::{Delimiter, Group, Literal, Spacing, Span, TokenStream, TokenTree};
use quote::ToTokens;

use crate::error::{Error, Result};
use crate::tokens::{Cursor, is_punct};

/// An expression of the user; never looked into, except to see whether it is a literal.
#[derive(Clone, Debug)]
pub(crate) struct Expr {
    tokens: TokenStream,
    span: Span,
    text: Option<Literal>,
}

impl Expr {
    /// Reads up to the next comma that belongs to the list around it.
    ///
    /// Commas in groups are out of sight anyway; those between the bars of a closure and in
    /// `::<A, B>`, `<A as B<C, D>>` and `as T<A, B>` are recognised by what stands before them.
    pub(crate) fn take(cursor: &mut Cursor, what: &str) -> Result<Expr> {
        let span = cursor.span();
        let mut tokens: Vec<TokenTree> = Vec::new();
        let mut angles = 0_usize;
        let mut after_as = false;
        while let Some(token) = cursor.peek() {
            if angles == 0 && is_punct(token, ',') {
                break;
            }
            let operand = wants_operand(tokens.last());
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '<' => {
                    if angles > 0 || operand || after_as || after_path_separator(&tokens) {
                        angles += 1;
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == '>' => {
                    if !tokens.last().is_some_and(|last| is_punct(last, '-')) {
                        angles = angles.saturating_sub(1);
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == '|' && operand && angles == 0 => {
                    take_closure_parameters(cursor, &mut tokens);
                    continue;
                }
                // `a || b`: the second bar begins nothing.
                TokenTree::Punct(punct) if punct.as_char() == '|' => {
                    let joint = punct.spacing() == Spacing::Joint;
                    tokens.extend(cursor.next());
                    if joint && cursor.peek().is_some_and(|token| is_punct(token, '|')) {
                        tokens.extend(cursor.next());
                    }
                    continue;
                }
                TokenTree::Ident(ident) => {
                    if ident == "as" {
                        after_as = true;
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {}
                _ => after_as = false,
            }
            tokens.extend(cursor.next());
        }
        if tokens.is_empty() {
            return Err(Error::at(span, format!("expected {what}")));
        }
        Ok(Expr::new(tokens))
    }

    pub(crate) fn new(tokens: Vec<TokenTree>) -> Expr {
        let span = tokens.first().map_or_else(Span::call_site, TokenTree::span);
        let text = match tokens.as_slice() {
            [TokenTree::Literal(literal)] if is_text(literal) => Some(literal.clone()),
            _ => None,
        };
        Expr {
            tokens: tokens.into_iter().collect(),
            span,
            text,
        }
    }

    /// The literal, if the expression is a plain string: it can live in a static.
    pub(crate) fn as_text(&self) -> Option<&Literal> {
        self.text.as_ref()
    }

    pub(crate) fn span(&self) -> Span {
        self.span
    }

    pub(crate) fn tokens(&self) -> &TokenStream {
        &self.tokens
    }

    /// A value that the expansion makes up.
    pub(crate) fn made(tokens: TokenStream) -> Expr {
        Expr::new(tokens.into_iter().collect())
    }

    /// Whether a closure was written, which is then asked about the result.
    pub(crate) fn is_closure(&self) -> bool {
        let first = self.tokens.clone().into_iter().next();
        first.is_some_and(|first| is_punct(&first, '|') || crate::tokens::is_ident(&first, "move"))
    }

    /// `e` of `name(e)`, if that is all there is.
    pub(crate) fn wrapped_in(&self, name: &str) -> Option<Expr> {
        let tokens: Vec<TokenTree> = self.tokens.clone().into_iter().collect();
        match tokens.as_slice() {
            [TokenTree::Ident(ident), TokenTree::Group(group)]
                if ident == name && group.delimiter() == Delimiter::Parenthesis =>
            {
                Some(Expr::new(group.stream().into_iter().collect()))
            }
            _ => None,
        }
    }

    /// `name` for `arg(name)`: another way to write that a value is a parameter.
    pub(crate) fn or_argument(self) -> Expr {
        let argument = self.wrapped_in("arg");
        match argument.filter(|argument| argument.as_ident().is_some()) {
            Some(argument) => argument,
            None => self,
        }
    }

    /// The name, if the expression is nothing else.
    pub(crate) fn as_ident(&self) -> Option<proc_macro2::Ident> {
        let mut tokens = self.tokens.clone().into_iter();
        match (tokens.next(), tokens.next()) {
            (Some(TokenTree::Ident(ident)), None) => Some(ident),
            _ => None,
        }
    }

    /// `true` or `false`, if that is what was written.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self.tokens.to_string().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }
}

/// In parentheses, so that it stays one operand wherever it is put.
impl ToTokens for Expr {
    fn to_tokens(&self, out: &mut TokenStream) {
        let mut group = Group::new(Delimiter::Parenthesis, self.tokens.clone());
        group.set_span(crate::tokens::ours_at(self.span));
        out.extend([TokenTree::from(group)]);
    }
}

fn is_text(literal: &Literal) -> bool {
    let text = literal.to_string();
    text.starts_with('"') || text.starts_with("r\"") || text.starts_with("r#")
}

/// Whether an operand is expected after this token, so that `<` and `|` begin something.
fn wants_operand(last: Option<&TokenTree>) -> bool {
    match last {
        None => true,
        Some(TokenTree::Punct(punct)) => !matches!(punct.as_char(), '?' | '>' | ':'),
        Some(TokenTree::Ident(ident)) => ["move", "async", "return", "in", "static"]
            .iter()
            .any(|keyword| ident == keyword),
        Some(_) => false,
    }
}

fn after_path_separator(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [.., a, b] if is_punct(a, ':') && is_punct(b, ':'))
}

/// `|a, b|` or `||`, the cursor standing at the first bar.
fn take_closure_parameters(cursor: &mut Cursor, tokens: &mut Vec<TokenTree>) {
    let Some(first) = cursor.next() else { return };
    let empty = matches!(&first, TokenTree::Punct(punct) if punct.spacing() == Spacing::Joint)
        && cursor.peek().is_some_and(|token| is_punct(token, '|'));
    tokens.push(first);
    if empty {
        tokens.extend(cursor.next());
        return;
    }
    while let Some(token) = cursor.next() {
        let end = is_punct(&token, '|');
        tokens.push(token);
        if end {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_ends_at_the_comma_of_the_list_around_it() {
        for (list, first) in [
            ("a, b", "a"),
            ("f(a, b), c", "f (a , b)"),
            (
                "x.collect::<HashMap<A, B>>(), c",
                "x . collect :: < HashMap < A , B > > ()",
            ),
            ("|a, b| a + b, c", "| a , b | a + b"),
            ("move || 1, c", "move | | 1"),
            ("a | b, c", "a | b"),
            ("a || b, c", "a | | b"),
            ("a || f(|b| b, c), d", "a | | f(| b | b , c)"),
            ("a < b, c > d", "a < b"),
            ("<A as B<C, D>>::f(), c", "< A as B < C , D >> :: f ()"),
            ("x as M<A, B>, c", "x as M < A , B >"),
            ("[1, 2].len(), c", "[1 , 2] . len ()"),
            ("|r: Vec<A>| -> B { r }, c", "| r : Vec < A > | -> B { r }"),
        ] {
            let mut cursor = Cursor::new(list.parse().unwrap(), Span::call_site());
            let expr = Expr::take(&mut cursor, "an expression").unwrap();
            let spaced = |text: &str| text.replace(' ', "");
            assert_eq!(spaced(&expr.tokens.to_string()), spaced(first), "{list}");
        }
    }

    #[test]
    fn only_plain_strings_are_text() {
        for (source, text) in [
            ("\"a\"", true),
            ("r\"a\"", true),
            ("r#\"a\"#", true),
            ("b\"a\"", false),
            ("1", false),
            ("'a'", false),
            ("\"a\".len()", false),
        ] {
            let tokens: TokenStream = source.parse().unwrap();
            let expr = Expr::new(tokens.into_iter().collect());
            assert_eq!(expr.as_text().is_some(), text, "{source}");
        }
    }
}
