//! The attributes that share the stages: the way through them.

use proc_macro2::{Span, TokenStream};

use crate::args::TraceArgs;
use crate::error::{Error, Result};
use crate::expand::{self, Mode, Scope};
use crate::function::{self, Item};
use crate::layer::{self, Known, Rank};
use crate::{block, check};

/// Expands the attribute of this name.
///
/// On a mistake the item comes back unchanged beside the message, so that everything that uses it
/// still compiles and the message stays alone.
pub(crate) fn attribute(
    name: &str,
    args: TokenStream,
    item: TokenStream,
    mode: Mode,
) -> TokenStream {
    match try_attribute(name, args, item.clone(), mode) {
        Ok(tokens) => tokens,
        Err(error) => {
            let mut out = block::without_own_attributes(item);
            out.extend(error.into_compile_error());
            out
        }
    }
}

/// What stands for an attribute while the feature that it needs is off: the item, and which feature that is.
pub(crate) fn missing(name: &str, feature: &str, item: TokenStream) -> TokenStream {
    let mut out = item;
    let error = Error::at(
        Span::call_site(),
        missing_feature(&format!("#[{name}]"), feature),
    );
    out.extend(error.into_compile_error());
    out
}

/// Says which feature is missing.
pub(crate) fn missing_feature(name: &str, feature: &str) -> String {
    format!(
        "`{name}` needs the feature `{feature}` of the crate `ddtrace`: add `features = [\"{feature}\"]` to it in Cargo.toml"
    )
}

fn try_attribute(
    name: &str,
    args: TokenStream,
    item: TokenStream,
    mode: Mode,
) -> Result<TokenStream> {
    let Some(known) = Known::named(name) else {
        return Ok(item);
    };
    match function::parse(item)? {
        Item::Function(mut function) => {
            if let Some(again) = layer::step_back(known, &args, &mut function) {
                return Ok(again);
            }
            let layer = known.parse(args, Span::call_site())?;
            let layers = layer::collect((known, layer), &mut function.attrs)?;
            expand::function(*function, layers, &Scope::default(), mode)
        }
        Item::Block(block) if known.rank == Rank::Span => {
            let args = TraceArgs::parse(args, Span::call_site())?;
            block::expand(&block, &args, mode)
        }
        Item::Block(block) => {
            known.parse(args, Span::call_site())?;
            Err(check::block_of_functions(name, &block))
        }
        Item::Other(keyword, span) => {
            known.parse(args, Span::call_site())?;
            Err(check::other(name, keyword.as_ref(), span))
        }
    }
}
