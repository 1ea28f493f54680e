//! Several of our attributes on one item.
//!
//! The outermost of them is expanded first and takes over every other one of ours, so that the body
//! is copied once and there is one span. What each of them adds is a layer; whatever order they were
//! written in, the expansion puts them in the order of [`Layers`].
//!
//! An attribute of a product is exported by the facade in two forms: the real one if the product's
//! feature is on, else one that only says which feature is missing. An attribute that is taken over is
//! never resolved by the compiler, so it would never say so. The outermost one therefore steps back
//! first ([`step_back`]): it puts every attribute of a product on top in turn, with a word in its
//! arguments that says that it has been resolved, and is expanded when all have it.

use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::ToTokens;

use crate::args::llm::LlmKind;
use crate::args::{CheckpointArgs, LlmArgs, TraceArgs, TransactionArgs};
use crate::error::{Error, Errors, Result};
use crate::function::{Attr, Function};
use crate::tokens::ours;

/// Which of our attributes exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    Checkpoint,
    Transaction,
    Span,
    Kind,
}

/// What one attribute asks for.
pub(crate) enum Layer {
    Checkpoint(Box<CheckpointArgs>),
    Transaction(Box<TransactionArgs>),
    Span(Box<TraceArgs>),
    Kind(Box<LlmArgs>),
}

/// What all attributes on an item ask for, outermost first.
#[derive(Default)]
pub(crate) struct Layers {
    pub(crate) checkpoint: Option<CheckpointArgs>,
    pub(crate) transaction: Option<TransactionArgs>,
    pub(crate) span: Option<TraceArgs>,
    pub(crate) kind: Option<LlmArgs>,
}

impl Layers {
    /// An attribute that is there, for messages about all of them.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Layers {
                kind: Some(kind), ..
            } => kind.kind.name(),
            Layers {
                span: None,
                checkpoint: Some(_),
                ..
            } => "dsm_checkpoint",
            Layers {
                span: None,
                transaction: Some(_),
                ..
            } => "dsm_transaction",
            _ => "trace",
        }
    }

    fn add(&mut self, layer: Layer) {
        match layer {
            Layer::Checkpoint(args) => self.checkpoint = Some(*args),
            Layer::Transaction(args) => self.transaction = Some(*args),
            Layer::Span(args) => self.span = Some(*args),
            Layer::Kind(args) => self.kind = Some(*args),
        }
    }
}

/// An attribute of ours: its name, what it excludes, how its arguments are read.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) rank: Rank,
    parse: fn(TokenStream, Span) -> Result<Layer>,
}

macro_rules! kinds {
    ($($name:literal $kind:ident),*) => {
        [$(Known {
            name: $name,
            rank: Rank::Kind,
            parse: |tokens, span| {
                LlmArgs::parse(LlmKind::$kind, tokens, span).map(|args| Layer::Kind(Box::new(args)))
            },
        }),*]
    };
}

/// Every attribute that can share an item with others of ours.
const KNOWN: [&[Known]; 2] = [
    &[
        Known {
            name: "trace",
            rank: Rank::Span,
            parse: |tokens, span| {
                TraceArgs::parse(tokens, span).map(|args| Layer::Span(Box::new(args)))
            },
        },
        Known {
            name: "dsm_checkpoint",
            rank: Rank::Checkpoint,
            parse: |tokens, span| {
                CheckpointArgs::parse(tokens, span).map(|args| Layer::Checkpoint(Box::new(args)))
            },
        },
        Known {
            name: "dsm_transaction",
            rank: Rank::Transaction,
            parse: |tokens, span| {
                TransactionArgs::parse(tokens, span).map(|args| Layer::Transaction(Box::new(args)))
            },
        },
    ],
    &kinds!(
        "llm" Llm, "workflow" Workflow, "agent" Agent, "tool" Tool, "task" Task,
        "embedding" Embedding, "retrieval" Retrieval
    ),
];

impl Known {
    /// Finds the attribute by its name.
    pub(crate) fn named(name: &str) -> Option<&'static Known> {
        KNOWN
            .iter()
            .copied()
            .flatten()
            .find(|known| known.name == name)
    }

    /// Finds the attribute by the way it is written: `#[trace]` or `#[ddtrace::trace]`.
    pub(crate) fn of(attr: &Attr) -> Option<&'static Known> {
        match attr.path() {
            [name] => Known::named(name),
            [krate, name] if krate == "ddtrace" => Known::named(name),
            _ => None,
        }
    }

    /// Reads the arguments.
    pub(crate) fn parse(&self, arguments: TokenStream, span: Span) -> Result<Layer> {
        (self.parse)(without_mark(arguments), span)
    }

    /// Whether the facade has it only with a feature.
    fn is_of_product(&self) -> bool {
        self.rank != Rank::Span
    }

    /// Why it can't be added to what is on the item.
    fn exclusion(&self, earlier: &Known) -> String {
        match self.rank {
            Rank::Kind if earlier.name != self.name => format!(
                "this function is `#[{}]` already, and a span has one kind: remove `#[{}]`",
                earlier.name, self.name
            ),
            Rank::Checkpoint => {
                "`#[dsm_checkpoint]` is on this item already: one message passes one \
                                 checkpoint here; call `ddtrace::data_streams` for others"
                    .to_owned()
            }
            Rank::Transaction => {
                "`#[dsm_transaction]` is on this item already: one transaction passes one checkpoint here; call \
                 `ddtrace::data_streams::track_transaction` for others"
                    .to_owned()
            }
            _ => format!(
                "`#[{0}]` is on this item already; put all options into one `#[{0}(…)]`",
                self.name
            ),
        }
    }
}

/// Removes our attributes from the item and returns what they and the outermost one ask for.
pub(crate) fn collect(outermost: (&'static Known, Layer), attrs: &mut Vec<Attr>) -> Result<Layers> {
    let (first, layer) = outermost;
    let mut layers = Layers::default();
    layers.add(layer);
    let mut seen = vec![first];
    let mut errors = Errors::default();
    attrs.retain(|attr| {
        let Some(known) = Known::of(attr) else {
            return true;
        };
        if let Some(earlier) = seen.iter().find(|earlier| earlier.rank == known.rank) {
            errors.push(Error::at(attr.span(), known.exclusion(earlier)));
        } else if let Some(layer) = errors.note(known.parse(attr.arguments(), attr.span())) {
            layers.add(layer);
            seen.push(known);
        }
        false
    });
    errors.finish()?;
    Ok(layers)
}

/// The first argument of an attribute that the compiler has resolved.
const MARK: &str = "__ddtrace_resolved";

fn has_mark(arguments: &TokenStream) -> bool {
    let first = arguments.clone().into_iter().next();
    first.is_some_and(|first| crate::tokens::is_ident(&first, MARK))
}

/// The arguments that the user wrote.
fn without_mark(arguments: TokenStream) -> TokenStream {
    match has_mark(&arguments) {
        // The mark and its comma.
        true => arguments.into_iter().skip(2).collect(),
        false => arguments,
    }
}

/// The item with an attribute of a product on top that the compiler has not resolved yet, and the one that is being expanded
/// below it; nothing if there is none.
pub(crate) fn step_back(
    known: &'static Known,
    arguments: &TokenStream,
    function: &mut Function,
) -> Option<TokenStream> {
    // Those that exclude each other are an error, which is at the attribute as it was written.
    let mut ranks = vec![known.rank];
    for other in function.attrs.iter().filter_map(Known::of) {
        if ranks.contains(&other.rank) {
            return None;
        }
        ranks.push(other.rank);
    }
    let unresolved = function.attrs.iter().position(|attr| {
        Known::of(attr).is_some_and(Known::is_of_product) && !has_mark(&attr.arguments())
    })?;
    let next = function.attrs.remove(unresolved);
    let arguments = match known.is_of_product() && !has_mark(arguments) {
        true => {
            let mark = Ident::new(MARK, Span::mixed_site());
            ours!(#mark, #arguments)
        }
        false => arguments.clone(),
    };
    let own = attribute(known.name, arguments);
    let mut out = next.to_token_stream();
    out.extend(own);
    function.to_tokens(&mut out);
    Some(out)
}

/// `#[ddtrace::name(arguments)]`, at the attribute that is being expanded.
fn attribute(name: &str, arguments: TokenStream) -> TokenStream {
    let span = Span::call_site();
    let (krate, name) = (Ident::new("ddtrace", span), Ident::new(name, span));
    let mut parens = Group::new(Delimiter::Parenthesis, arguments);
    parens.set_span(span);
    let path = quote::quote_spanned!(span=> #krate::#name #parens);
    let mut brackets = Group::new(Delimiter::Bracket, path);
    brackets.set_span(span);
    [
        TokenTree::from(Punct::new('#', Spacing::Alone)),
        brackets.into(),
    ]
    .into_iter()
    .collect()
}
