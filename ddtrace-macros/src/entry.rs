//! `#[trace]`: the way through the stages.

use proc_macro2::{Span, TokenStream};

use crate::args::TraceArgs;
use crate::error::Result;
use crate::expand::{self, Mode, Scope};
use crate::function::{self, Item};
use crate::layer::{self, Layer, Rank};
use crate::{block, check};

/// On a mistake the item comes back unchanged beside the message, so that everything that uses it
/// still compiles and the message stays alone.
pub(crate) fn trace(args: TokenStream, item: TokenStream, mode: Mode) -> TokenStream {
    match try_trace(args, item.clone(), mode) {
        Ok(tokens) => tokens,
        Err(error) => {
            let mut out = block::without_own_attributes(item);
            out.extend(error.into_compile_error());
            out
        }
    }
}

fn try_trace(args: TokenStream, item: TokenStream, mode: Mode) -> Result<TokenStream> {
    let args = TraceArgs::parse(args, Span::call_site())?;
    match function::parse(item)? {
        Item::Function(mut function) => {
            let layers = layer::collect((Rank::Span, Layer::Span(args)), &mut function.attrs)?;
            expand::function(*function, &layers, &Scope::default(), mode)
        }
        Item::Block(block) => block::expand(&block, &args, mode),
        Item::Other(keyword, span) => Err(check::other(keyword.as_ref(), span)),
    }
}
