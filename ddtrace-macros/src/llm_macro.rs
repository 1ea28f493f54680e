//! `llm_block!(kind("name"), options, { … })`: `#[llm]` and its kin for a part of a function.
//!
//! The block becomes the body of a closure if it may be left early, so that what leaves it is seen; `async { … }` becomes the
//! future that an annotated `async fn` would be. Everything else is what the attributes expand to, for a function that has no
//! parameters and whose return type nobody knows.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::args::llm::LlmKind;
use crate::args::{Expr, LlmArgs};
use crate::error::{Error, Result};
use crate::expand::{self, Mode};
use crate::function::{self, Body, Function, Item};
use crate::tokens::{Cursor, is_ident, ours, ours_at};

const WANTED: &str = "expected a kind and a block: `llm_block!(tool(\"weather\"), { … })`";

/// What stands at the end.
pub(crate) struct Block {
    /// `async`, perhaps with `move`.
    pub(crate) asyncness: Vec<TokenTree>,
    pub(crate) body: Body,
}

pub(crate) fn expand(input: TokenStream, mode: Mode) -> TokenStream {
    try_expand(input, mode).unwrap_or_else(Error::into_compile_error)
}

/// What stands for it while the feature that it needs is off.
pub(crate) fn missing() -> TokenStream {
    Error::at(
        Span::call_site(),
        crate::entry::missing_feature("llm_block!", "llmobs"),
    )
    .into_compile_error()
}

fn try_expand(input: TokenStream, mode: Mode) -> Result<TokenStream> {
    let mut tokens: Vec<TokenTree> = input.into_iter().collect();
    let block = take_block(&mut tokens)?;
    let mut cursor = Cursor::new(tokens.into_iter().collect(), Span::call_site());
    let (kind, word, name) = take_kind(&mut cursor)?;
    let mut rest = Vec::new();
    while let Some(token) = cursor.next() {
        rest.push(token);
    }
    let mut args = LlmArgs::parse(kind, rest.into_iter().collect(), word.span())?;
    for (option, span) in [
        ("skip", args.skip.first().map(Ident::span)),
        ("stream", args.stream.map(|(_, span)| span)),
    ] {
        if let Some(span) = span {
            return Err(Error::at(
                span,
                format!(
                    "`{option}` is for functions: a block has no parameters and returns no stream"
                ),
            ));
        }
    }
    if let (Some(_), Some(name)) = (&args.name, &name) {
        return Err(Error::at(
            name.span(),
            "the name is given twice, keep one of them",
        ));
    }
    args.name = args.name.or(name);
    let function = function_of(&word)?;
    Ok(expand::llm_block(&function, args, block, mode))
}

/// A function as it would have to be for the attribute.
fn function_of(word: &Ident) -> Result<Function> {
    match function::parse(ours!(fn #word() -> _ {}))? {
        Item::Function(function) => Ok(*function),
        _ => Err(Error::at(word.span(), WANTED)),
    }
}

fn take_block(tokens: &mut Vec<TokenTree>) -> Result<Block> {
    match tokens.pop() {
        Some(TokenTree::Group(mut group)) if group.delimiter() == Delimiter::Brace => {
            let mut at = tokens.len();
            if at > 0 && is_ident(&tokens[at - 1], "move") {
                at -= 1;
            }
            let asyncness = match at > 0 && is_ident(&tokens[at - 1], "async") {
                true => tokens.split_off(at - 1),
                false => Vec::new(),
            };
            let contents = group.stream();
            let span = group.span();
            group = Group::new(Delimiter::Brace, contents);
            group.set_span(ours_at(span));
            Ok(Block {
                asyncness,
                body: Body::new(group),
            })
        }
        other => {
            let span = other.map_or_else(Span::call_site, |token| token.span());
            Err(Error::at(span, WANTED))
        }
    }
}

/// `kind` or `kind("name")`, and the comma after it.
fn take_kind(cursor: &mut Cursor) -> Result<(LlmKind, Ident, Option<Expr>)> {
    let span = cursor.span();
    let Some(word) = cursor.take_ident() else {
        return Err(Error::at(span, WANTED));
    };
    let Some(kind) = LlmKind::named(&word.to_string()) else {
        return Err(Error::at(
            word.span(),
            "expected one of `llm`, `workflow`, `agent`, `tool`, `task`, `embedding`, `retrieval`",
        ));
    };
    let mut name = None;
    if let Some(parens) = cursor.take_parens() {
        let mut inner = Cursor::new(parens.stream(), parens.span());
        name = Some(Expr::take(&mut inner, "the name of the span")?);
    }
    if cursor.take_punct(',').is_none() {
        return Err(Error::at(cursor.span(), "expected `,` after the kind"));
    }
    Ok((kind, word, name))
}
