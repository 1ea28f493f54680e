//! Several of our attributes on one item.
//!
//! The outermost of them is expanded first and takes over every other one of ours, so that the body
//! is copied once and there is one span. What each of them adds is a layer; whatever order they were
//! written in, layers are applied in the order of [`Rank`].

use proc_macro2::{Span, TokenStream};

use crate::args::TraceArgs;
use crate::error::{Error, Errors, Result};
use crate::function::Attr;

/// Where in the order a layer stands, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Rank {
    /// The span of `#[trace]`. A checkpoint goes before it; kinds, probes and errors go after it.
    Span,
}

/// What one attribute asks for.
pub(crate) enum Layer {
    Span(TraceArgs),
}

/// An attribute of ours: its name, its place in the order, how its arguments are read.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) rank: Rank,
    pub(crate) parse: fn(TokenStream, Span) -> Result<Layer>,
}

/// Every attribute that can share an item with others of ours.
const KNOWN: &[Known] = &[Known {
    name: "trace",
    rank: Rank::Span,
    parse: |tokens, span| TraceArgs::parse(tokens, span).map(Layer::Span),
}];

impl Known {
    /// Finds the attribute by the way it is written: `#[trace]` or `#[ddtrace::trace]`.
    pub(crate) fn of(attr: &Attr) -> Option<&'static Known> {
        let name = match attr.path() {
            [name] => name,
            [krate, name] if krate == "ddtrace" => name,
            _ => return None,
        };
        KNOWN.iter().find(|known| known.name == name)
    }
}

/// Removes our attributes from the item and returns them with the outermost one, in order.
pub(crate) fn collect(outermost: (Rank, Layer), attrs: &mut Vec<Attr>) -> Result<Vec<Layer>> {
    let mut layers = vec![outermost];
    let mut errors = Errors::default();
    attrs.retain(|attr| {
        let Some(known) = Known::of(attr) else {
            return true;
        };
        if layers.iter().any(|(rank, _)| *rank == known.rank) {
            errors.push(Error::at(
                attr.span(),
                format!(
                    "`#[{0}]` is on this item already; put all options into one `#[{0}(…)]`",
                    known.name
                ),
            ));
        } else if let Some(layer) = errors.note((known.parse)(attr.arguments(), attr.span())) {
            layers.push((known.rank, layer));
        }
        false
    });
    errors.finish()?;
    layers.sort_by_key(|(rank, _)| *rank);
    Ok(layers.into_iter().map(|(_, layer)| layer).collect())
}
