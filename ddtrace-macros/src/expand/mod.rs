//! From a checked function to the tokens that the compiler sees.
//!
//! ```text
//! fn price(cart: &Cart) -> Money {                    async fn pay(order: Order) -> Result<(), E> {
//!     static __DD_SITE: Site = …;                         static __DD_SITE: Site = …;
//!     let __dd_span = enter(&__DD_SITE);                  instrument_site_with(&__DD_SITE,
//!     { body }                                                async move { let order = order; body },
//! }                                                           observer::<Result<(), E>>().pick())
//!                                                     }   // declared as `fn … -> impl Future<Output = R>`
//! ```
//!
//! Rules that every file here keeps:
//!
//! * The user's body is emitted once, with its own spans, in a block of its own.
//! * Whatever is generated has the hygiene of the macro (`Span::mixed_site`): locals are invisible to the
//!   body, and rustc and clippy know that nobody wrote it, so lints about it are silent while those
//!   about the body speak.
//! * No closure is put around a body unless an `Err` can leave it before its end: it is the largest
//!   part of what an annotation costs the compiler (`tests/compile-cost`).
//! * What the options ask for at run time stands behind `is_recording()`.

mod checkpoint;
mod fallible_stream;
mod future;
mod llm;
mod outcome;
mod signature;
mod site;
mod spawn;
mod sync;
mod transaction;
mod values;

use proc_macro2::{Group, TokenStream};
use quote::ToTokens;

use crate::args::{CheckpointArgs, LlmArgs, Shape, TraceArgs, TransactionArgs};
use crate::error::Result;
use crate::function::attrs::hoist;
use crate::function::body::Seen;
use crate::function::{Body, Function, Params};
use crate::layer::Layers;
use crate::llm_macro::Block;
use crate::tokens::{ours, ours_at, regroup};

pub(crate) use site::site_static;
pub(crate) use values::{set_tags, tag_text};

/// Whether attributes do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Full,
    /// Arguments are checked, the item comes back as it was: the facade's `enabled` feature is off,
    /// or the program is built for wasm32.
    Plain,
}

/// Where the function stands.
#[derive(Clone, Default)]
pub(crate) struct Scope {
    /// The type whose `impl` block was annotated.
    pub(crate) type_name: Option<String>,
    /// Another macro will see the function after us and expects what the user wrote.
    pub(crate) more_macros: bool,
}

/// Everything that the parts of an expansion need to know.
pub(crate) struct Plan<'a> {
    pub(crate) function: &'a Function,
    /// The span's options; without a span ([`Plan::has_span`]) those that nobody gave.
    pub(crate) args: &'a TraceArgs,
    pub(crate) has_span: bool,
    /// It is a block in a function, not one.
    pub(crate) is_block: bool,
    pub(crate) kind: Option<&'a LlmArgs>,
    /// The span exists because of the kind, and only while its product is on.
    pub(crate) of_kind: bool,
    pub(crate) checkpoint: Option<&'a CheckpointArgs>,
    pub(crate) transaction: Option<&'a TransactionArgs>,
    pub(crate) scope: &'a Scope,
    pub(crate) seen: Seen,
    /// `::ddtrace::__private`
    pub(crate) private: TokenStream,
}

impl Plan<'_> {
    /// A transaction that passes, when the function begins.
    fn transaction(&self) -> Option<TokenStream> {
        (self.transaction).map(|args| transaction::at_start(args, &self.private))
    }

    /// What runs after the body, with its result as `__dd_ret`.
    fn at_end(&self) -> TokenStream {
        self.checkpoint
            .map(|args| checkpoint::at_end(args, &self.private))
            .unwrap_or_default()
    }
}

/// `::ddtrace`, or what `crate = …` says.
pub(crate) fn facade(path: Option<&TokenStream>) -> TokenStream {
    path.cloned().unwrap_or_else(|| ours!(::ddtrace))
}

/// What the function returns: what the options say, else what its type looks like.
pub(crate) fn shape_of(function: &Function, args: &TraceArgs) -> Option<Shape> {
    if function.asyncness.is_some() {
        return Some(Shape::Future);
    }
    let shape = args.shape.map(|(shape, _)| shape);
    shape.or_else(|| function.output.shape().map(|(shape, _)| shape))
}

/// Expands a function with the layers that its attributes ask for.
pub(crate) fn function(
    mut function: Function,
    mut layers: Layers,
    scope: &Scope,
    mode: Mode,
) -> Result<TokenStream> {
    let path = [
        layers.span.as_ref().and_then(|args| args.path.as_ref()),
        layers.kind.as_ref().and_then(|args| args.path.as_ref()),
        layers
            .checkpoint
            .as_ref()
            .and_then(|args| args.path.as_ref()),
        layers
            .transaction
            .as_ref()
            .and_then(|args| args.path.as_ref()),
    ];
    let private = facade(path.into_iter().flatten().next());
    let private = ours!(#private::__private);
    let name = layers.name();
    let (mut span, has_span) = match layers.span.take() {
        Some(args) => (args, true),
        None => (TraceArgs::default(), false),
    };
    let of_kind = layers.kind.is_some() && !has_span;
    let has_span = match &layers.kind {
        Some(kind) => {
            llm::add_to_span(&mut span, has_span, kind, &function, &private);
            true
        }
        None => has_span,
    };
    let has_span = match &layers.checkpoint {
        Some(checkpoint) if checkpoint.span && !has_span => {
            checkpoint::make_span(&mut span, checkpoint);
            true
        }
        _ => has_span,
    };
    let shape = shape_of(&function, &span);
    crate::check::function(&function, name, has_span.then_some(&span), &layers, shape)?;
    if mode == Mode::Plain {
        return Ok(function.into_token_stream());
    }
    let Some(body) = function.body.take() else {
        return Ok(function.to_token_stream());
    };
    let (inner, tokens) = hoist(body.tokens());
    function.attrs.extend(inner);
    let mut body = Body::new(regroup(&body.braces, tokens));
    let seen = body.scan();
    // A pathway goes along with the context, span or not.
    if seen.spawn && span.propagate != Some(false) {
        body = Body::new(regroup(&body.braces, spawn::carry(body.tokens(), &private)));
    }
    let plan = Plan {
        function: &function,
        args: &span,
        has_span,
        is_block: false,
        kind: layers.kind.as_ref(),
        of_kind,
        checkpoint: layers.checkpoint.as_ref(),
        transaction: layers.transaction.as_ref(),
        scope,
        seen,
        private,
    };
    let in_result = plan.kind.and_then(|_| function.output.stream_in_result());
    Ok(match (shape, in_result) {
        (_, Some((_, is_opaque))) => fallible_stream::expand(&plan, &body, is_opaque),
        (Some(shape), _) => future::expand(&plan, &body, shape),
        (None, _) => sync::expand(&plan, &body),
    })
}

/// `llm_block!`: the block, as the body of a function without parameters.
pub(crate) fn llm_block(
    function: &Function,
    kind: LlmArgs,
    block: Block,
    mode: Mode,
) -> TokenStream {
    let private = facade(kind.path.as_ref());
    let private = ours!(#private::__private);
    let mut body = block.body;
    let seen = body.scan();
    if mode == Mode::Plain {
        return match (block.asyncness.is_empty(), seen.leaves_early) {
            (true, true) => ours!(#private::call_once(|| #body)),
            _ => {
                let asyncness = &block.asyncness;
                ours!(#(#asyncness)* #body)
            }
        };
    }
    if seen.spawn && kind.propagate != Some(false) {
        body = Body::new(regroup(&body.braces, spawn::carry(body.tokens(), &private)));
    }
    let mut span = TraceArgs::default();
    llm::add_to_span(&mut span, false, &kind, function, &private);
    let plan = Plan {
        function,
        args: &span,
        has_span: true,
        is_block: true,
        kind: Some(&kind),
        of_kind: true,
        checkpoint: None,
        transaction: None,
        scope: &Scope::default(),
        seen,
        private,
    };
    match block.asyncness.as_slice() {
        [] => sync::block(&plan, &body),
        asyncness => future::block(&plan, asyncness, &body),
    }
}

/// The body as a block of its own, which lints take for generated while errors point into it.
fn block(body: &Body) -> Group {
    let mut block = body.braces.clone();
    block.set_span(ours_at(body.braces.span()));
    block
}

/// Statements that make a closure or future own its arguments, all of them and in the order in which
/// they are dropped without us; empty if nobody could tell.
fn capture_all(params: &Params) -> TokenStream {
    let mut owned = params.droppable();
    if owned.len() < 2 {
        return TokenStream::new();
    }
    owned.reverse();
    ours!(let _ = (#(&#owned,)*);)
}

#[cfg(test)]
mod tests;
