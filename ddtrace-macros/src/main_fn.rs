//! `#[ddtrace::main]`: the tracer runs while `main` does.
//!
//! What stands below it, another runtime's `main` included, moves into a function of the same name
//! inside: the tracer is there before the runtime and still there when the runtime has shut down, so
//! that the spans of its last tasks are sent, too. It opens no span. Beside it goes the list of the crates that the program
//! is built from.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

use crate::args::trace::find_path;
use crate::error::{Error, Result};
use crate::expand::{Mode, facade};
use crate::function::{self, Item};
use crate::tokens::{Cursor, ours, ours_at};

/// `embedded` gives the item that goes beside `main`, for a path of the facade.
pub(crate) fn expand(
    args: TokenStream,
    item: TokenStream,
    mode: Mode,
    embedded: fn(&TokenStream) -> TokenStream,
) -> TokenStream {
    match try_expand(args, item.clone(), mode, embedded) {
        Ok(tokens) => tokens,
        Err(error) => {
            let mut out = item;
            out.extend(error.into_compile_error());
            out
        }
    }
}

fn try_expand(
    args: TokenStream,
    item: TokenStream,
    mode: Mode,
    embedded: fn(&TokenStream) -> TokenStream,
) -> Result<TokenStream> {
    let path = find_path(&mut Cursor::new(args, Span::call_site()))?;
    let Item::Function(function) = function::parse(item)? else {
        return Err(Error::at(
            Span::call_site(),
            "`#[ddtrace::main]` goes on `fn main`",
        ));
    };
    let runtime = function.attrs.iter().any(|attr| !attr.is_inert());
    if let (Some(asyncness), false) = (&function.asyncness, runtime) {
        return Err(Error::at(
            asyncness.span(),
            "`#[ddtrace::main]` starts no runtime: put `#[tokio::main]`, or that of another one, below it",
        ));
    }
    if let Some(parameter) = function.inputs.stream().into_iter().next() {
        return Err(Error::at(parameter.span(), "`main` takes no arguments"));
    }
    if function.body.is_none() {
        return Err(Error::at(
            function.name.span(),
            "expected the body of `main`",
        ));
    }
    if mode == Mode::Plain {
        return Ok(function.into_token_stream());
    }
    let facade = facade(path.as_ref());
    let vis: Vec<_> = function.qualifiers.clone();
    let (name, generics, inputs) = (&function.name, &function.generics, &function.inputs);
    let (output, bounds) = (&function.output, &function.bounds);
    let call = proc_macro2::Ident::new(&name.to_string(), name.span());
    let semicolon = output.tokens().is_empty().then(|| ours!(;));
    let span = ours_at(name.span());
    let guard = quote::quote_spanned!(span=> let __dd_guard = #facade::init(););
    let embedded = embedded(&facade);
    Ok(ours! {
        #embedded
        #(#vis)* #name #(#generics)* #inputs #output #(#bounds)* {
            #guard
            #function
            #call() #semicolon
        }
    })
}
