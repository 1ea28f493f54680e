//! `span!("name", key = value, …)`: a guard whose span ends where it is dropped.
//! `trace_block!("name", key = value, …, { … })`: the same around a block.

use proc_macro2::{Delimiter, Group, Literal, Span, TokenStream, TokenTree};

use crate::args::{Tag, tags};
use crate::error::{Error, Result};
use crate::expand::{Mode, facade, set_tags, site_static};
use crate::tokens::{Cursor, ours, ours_at};

struct Input {
    name: Literal,
    tags: Vec<Tag>,
    /// Of `trace_block!`.
    block: Option<Group>,
}

pub(crate) fn span(input: TokenStream, mode: Mode) -> TokenStream {
    match parse(input, false) {
        Ok(input) => guard(&input, mode),
        Err(error) => error.into_compile_error(),
    }
}

pub(crate) fn trace_block(input: TokenStream, mode: Mode) -> TokenStream {
    match parse(input, true) {
        Ok(input) => {
            let guard = guard(&input, mode);
            let block = &input.block;
            ours!({
                let __dd_guard = #guard;
                #block
            })
        }
        Err(error) => error.into_compile_error(),
    }
}

fn guard(input: &Input, mode: Mode) -> TokenStream {
    let facade = facade(None);
    let private = ours!(#facade::__private);
    if mode == Mode::Plain {
        // The values are still checked, and what is used in them does not count as unused.
        let values = input.tags.iter().map(|tag| &tag.value);
        return ours!({
            if false { #(let _ = &#values;)* }
            #private::enter_off()
        });
    }
    let name = &input.name;
    let text = name.to_string();
    let function = text.trim_matches('"');
    let site = site_static(
        &private,
        &ours!(#name),
        function,
        &TokenStream::new(),
        name.span(),
    );
    let tags = set_tags(&input.tags, &private);
    let tags = (!tags.is_empty()).then(|| ours!(if __dd_span.is_recording() { #tags }));
    ours!({
        #site
        let __dd_span = #private::enter(&__DD_SITE);
        #tags
        __dd_span
    })
}

fn parse(input: TokenStream, with_block: bool) -> Result<Input> {
    let mut tokens: Vec<TokenTree> = input.into_iter().collect();
    let mut block = None;
    if with_block {
        match tokens.pop() {
            Some(TokenTree::Group(mut group)) if group.delimiter() == Delimiter::Brace => {
                group.set_span(ours_at(group.span()));
                block = Some(group);
            }
            other => {
                let span = other.map_or_else(Span::call_site, |token| token.span());
                return Err(Error::at(
                    span,
                    "expected a block: `trace_block!(\"name\", { … })`",
                ));
            }
        }
    }
    let mut cursor = Cursor::new(tokens.into_iter().collect(), Span::call_site());
    let name = match cursor.next() {
        Some(TokenTree::Literal(literal)) if literal.to_string().starts_with('"') => literal,
        other => {
            let span = other.map_or_else(Span::call_site, |token| token.span());
            return Err(Error::at(
                span,
                "expected the name of the span as a string: `span!(\"cart.price\", items = 3)`",
            ));
        }
    };
    if !cursor.is_empty() && cursor.take_punct(',').is_none() {
        return Err(Error::at(
            cursor.span(),
            "expected `,` after the name of the span",
        ));
    }
    let tags = tags::take_all(&mut cursor)?;
    Ok(Input { name, tags, block })
}
