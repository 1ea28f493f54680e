//! `key = value` pairs: `ident = e`, `"dotted.key" = e`, `k = %e` (Display), `k = ?e` (Debug).

use proc_macro2::{Literal, Span, TokenStream, TokenTree};

use super::{Expr, end_of_entry};
use crate::error::{Error, Errors, Result};
use crate::tokens::Cursor;

/// One tag as it was written.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    /// Always a string literal, with the span of what the user wrote.
    pub(crate) key: Literal,
    pub(crate) form: Form,
    pub(crate) value: Expr,
}

/// Which trait turns the value into text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The best that the type has.
    Best,
    /// `%e`.
    Display,
    /// `?e`.
    Debug,
}

/// Reads a list of tags up to the end.
pub(crate) fn parse(tokens: TokenStream, parent: Span) -> Result<Vec<Tag>> {
    let mut cursor = Cursor::new(tokens, parent);
    take_all(&mut cursor)
}

/// Reads tags from here to the end.
pub(crate) fn take_all(cursor: &mut Cursor) -> Result<Vec<Tag>> {
    let mut tags: Vec<Tag> = Vec::new();
    let mut errors = Errors::default();
    while !cursor.is_empty() {
        let tag = take(cursor)?;
        end_of_entry(cursor)?;
        if tags
            .iter()
            .any(|earlier| earlier.key.to_string() == tag.key.to_string())
        {
            errors.push(Error::at(
                tag.key.span(),
                format!("the tag {} is given twice, keep one of them", tag.key),
            ));
        }
        tags.push(tag);
    }
    errors.finish()?;
    Ok(tags)
}

fn take(cursor: &mut Cursor) -> Result<Tag> {
    let key = take_key(cursor)?;
    if cursor.take_punct('=').is_none() {
        return Err(Error::at(
            cursor.span(),
            format!("expected `=` and a value for the tag {key}"),
        ));
    }
    let form = if cursor.take_punct('%').is_some() {
        Form::Display
    } else if cursor.take_punct('?').is_some() {
        Form::Debug
    } else {
        Form::Best
    };
    let value = Expr::take(cursor, &format!("a value for the tag {key}"))?;
    Ok(Tag { key, form, value })
}

fn take_key(cursor: &mut Cursor) -> Result<Literal> {
    let span = cursor.span();
    if let Some(ident) = cursor.take_ident() {
        let text = ident.to_string();
        let text = text.strip_prefix("r#").unwrap_or(&text);
        if cursor.take_punct('.').is_some() {
            return Err(Error::at(
                span,
                format!("a key with dots is written in quotes: `\"{text}.…\" = value`"),
            ));
        }
        let mut key = Literal::string(text);
        key.set_span(span);
        return Ok(key);
    }
    match cursor.next() {
        Some(TokenTree::Literal(literal)) if literal.to_string().starts_with('"') => Ok(literal),
        _ => Err(Error::at(
            span,
            "expected a tag such as `items = cart.len()` or `\"cart.items\" = cart.len()`",
        )),
    }
}
