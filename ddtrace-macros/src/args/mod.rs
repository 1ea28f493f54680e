//! What the user wrote between the parentheses of an attribute.
//!
//! One grammar for all of ours: a list of `key`, `key = expression` and `key(…)`, in any order, each
//! key once. This file knows the grammar; which keys an attribute has, and what they mean, is in the
//! file of that attribute (`trace.rs`, `checkpoint.rs`, `llm.rs`). Tags have a grammar of their own (`tags.rs`) that
//! `#[trace(tags(…))]` shares with `span!`.

pub(crate) mod checkpoint;
pub(crate) mod expr;
pub(crate) mod llm;
pub(crate) mod tags;
pub(crate) mod trace;
pub(crate) mod transaction;

use proc_macro2::{Group, Ident, Span, TokenStream};

pub(crate) use checkpoint::{CheckpointArgs, Direction};
pub(crate) use expr::Expr;
pub(crate) use llm::LlmArgs;
pub(crate) use tags::{Form, Tag};
pub(crate) use trace::{RetCapture, Shape, TraceArgs};
pub(crate) use transaction::TransactionArgs;

use crate::error::{Error, Errors, Result};
use crate::tokens::Cursor;

/// One entry of the list.
pub(crate) struct Entry {
    pub(crate) key: Ident,
    pub(crate) value: Value,
}

/// What follows the key.
pub(crate) enum Value {
    /// Nothing: `root`.
    None,
    /// `= expression`.
    Expr(Expr),
    /// `(…)`.
    List(Group),
}

impl Entry {
    pub(crate) fn span(&self) -> Span {
        self.key.span()
    }

    /// The entry as a switch that takes no value.
    pub(crate) fn flag(&self) -> Result<Span> {
        match &self.value {
            Value::None => Ok(self.span()),
            Value::Expr(expr) => Err(Error::at(
                expr.span(),
                format!("`{}` takes no value", self.key),
            )),
            Value::List(list) => Err(Error::at(
                list.span(),
                format!("`{}` takes no list", self.key),
            )),
        }
    }

    /// The entry as `key = expression`.
    pub(crate) fn expr(self, example: &str) -> Result<Expr> {
        match self.value {
            Value::Expr(expr) => Ok(expr),
            Value::None => Err(Error::at(
                self.key.span(),
                format!("`{0}` needs a value: `{0} = {example}`", self.key),
            )),
            Value::List(list) => Err(Error::at(
                list.span(),
                format!("`{0}` takes one value: `{0} = {example}`", self.key),
            )),
        }
    }

    /// The entry as `key = true` or `key = false`.
    pub(crate) fn boolean(self) -> Result<bool> {
        let key = self.key.clone();
        let expr = self.expr("false")?;
        expr.as_bool().ok_or_else(|| {
            Error::over(
                expr.tokens(),
                format!("`{key}` is decided when the program is built: write `true` or `false`"),
            )
        })
    }

    /// The entry as `key(a, b)`.
    pub(crate) fn idents(self, what: &str) -> Result<Vec<Ident>> {
        let Value::List(list) = self.value else {
            return Err(Error::at(
                self.key.span(),
                format!("`{0}` needs a list, `{0}(a, b)`, of {what}", self.key),
            ));
        };
        let mut cursor = Cursor::new(list.stream(), list.span());
        let mut idents = Vec::new();
        while !cursor.is_empty() {
            let Some(ident) = cursor.take_ident() else {
                return Err(Error::at(cursor.span(), format!("expected {what}")));
            };
            idents.push(ident);
            end_of_entry(&mut cursor)?;
        }
        Ok(idents)
    }
}

/// Reads the whole list. A key that occurs twice is an error at the second; other mistakes are
/// gathered, so that all of them are shown at once.
pub(crate) fn parse(tokens: TokenStream, parent: Span) -> Result<Vec<Entry>> {
    let mut cursor = Cursor::new(tokens, parent);
    let mut entries: Vec<Entry> = Vec::new();
    let mut errors = Errors::default();
    while !cursor.is_empty() {
        let Some(key) = cursor.take_ident() else {
            return Err(Error::at(
                cursor.span(),
                "expected an option such as `name = \"…\"`",
            ));
        };
        let value = if cursor.take_punct('=').is_some() {
            Value::Expr(Expr::take(
                &mut cursor,
                &format!("a value after `{key} =`"),
            )?)
        } else if let Some(list) = cursor.take_parens() {
            Value::List(list)
        } else {
            Value::None
        };
        end_of_entry(&mut cursor)?;
        if entries.iter().any(|entry| entry.key == key) {
            errors.push(Error::at(
                key.span(),
                format!("`{key}` is given twice, keep one of them"),
            ));
        } else {
            entries.push(Entry { key, value });
        }
    }
    errors.finish()?;
    Ok(entries)
}

/// A comma or the end.
fn end_of_entry(cursor: &mut Cursor) -> Result<()> {
    if cursor.take_punct(',').is_some() || cursor.is_empty() {
        return Ok(());
    }
    Err(Error::at(cursor.span(), "expected `,` between options"))
}

/// Says which options an attribute has, and which of them was probably meant.
fn unknown_option(unknown: &str, hint: Option<&str>, options: &[&str]) -> String {
    let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    let options: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
    format!(
        "unknown option `{unknown}`{hint}; there are {}",
        options.join(", ")
    )
}
