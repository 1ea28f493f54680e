//! A function that returns when it is done: a guard on its stack.

use proc_macro2::TokenStream;

use super::outcome::Outcome;
use super::signature::with_body;
use super::{Plan, capture_all, checkpoint, llm, site, values};
use crate::function::output::inferable;
use crate::function::{Body, Params};
use crate::tokens::{located_at, ours, ours_at};

pub(crate) fn expand(plan: &Plan<'_>, body: &Body) -> TokenStream {
    let begin = begin(plan);
    let rest = observed(plan, body);
    with_body(plan.function, &ours!(#begin #rest))
}

/// The same as an expression. What leaves the block early is its value.
pub(crate) fn block(plan: &Plan<'_>, body: &Body) -> TokenStream {
    let begin = begin(plan);
    let rest = observed(plan, body);
    ours!({ #begin #rest })
}

/// Everything that comes before the body.
fn begin(plan: &Plan<'_>) -> TokenStream {
    let span = plan.has_span.then(|| {
        let site = site::site(plan);
        let start = start(plan);
        ours! {
            #site
            let __dd_span = #start;
        }
    });
    // Dropped before the span, and so ended within it.
    let kind = plan.kind.map(|args| {
        let call = llm::call(args, plan);
        let begin = llm::begin(plan, &ours!(__dd_span.is_recording()));
        ours! {
            #call
            let __dd_llm = #begin;
        }
    });
    let pathway = plan.checkpoint.map(|_| checkpoint::scope(&plan.private));
    let prelude = values::at_start(plan);
    let prelude = if prelude.is_empty() {
        prelude
    } else {
        ours!(if __dd_span.is_recording() { #prelude })
    };
    let inputs = plan.kind.map(|args| llm::at_start(args, plan));
    let passed = plan
        .checkpoint
        .map(|args| checkpoint::at_start(args, &plan.private));
    let transaction = plan.transaction();
    ours! {
        #span
        #kind
        #pathway
        #prelude
        #inputs
        #passed
        #transaction
    }
}

/// The body as the last expression, its value looked at if need be.
fn observed(plan: &Plan<'_>, body: &Body) -> TokenStream {
    // `Location::caller()` inside a closure is the closure's, so there is none in such a function.
    let closure = plan.seen.leaves_early && !plan.function.has_attr("track_caller");
    let outcome = Outcome::new(plan, plan.function.output.ty(), closure);
    let block = super::block(body);
    let outputs = plan.kind.map(|args| llm::at_return(args, plan, &outcome));
    let at_end = plan.at_end();
    let outputs = outputs.unwrap_or_default();
    if outcome.is_ignored(plan) && outputs.is_empty() && at_end.is_empty() {
        return ours!(#block);
    }
    let private = &plan.private;
    let ty = inferable(&plan.function.output.ty());
    let value = if closure {
        // What is looked at after the body must not have moved into it, nor what is around a block that is no function.
        let owns = at_end.is_empty() && !plan.is_block;
        let captures = match owns {
            true => capture_all(&Params::new(&plan.function.inputs)),
            false => TokenStream::new(),
        };
        let inner = if captures.is_empty() {
            ours!(#block)
        } else {
            ours!({ #captures #block })
        };
        let keyword = owns.then(|| ours!(move));
        ours!(#private::call_once(#keyword || -> #ty #inner))
    } else {
        ours!(#block)
    };
    let read = match plan.has_span {
        true => outcome.read(plan, &ours!(&__dd_ret)),
        false => TokenStream::new(),
    };
    // A body that never ends makes what follows unreachable, which is nobody's mistake.
    let diverges = (!closure && body.ends_in_panic())
        .then(|| ours!(#[allow(clippy::diverging_sub_expression)]));
    ours! {
        #diverges
        let __dd_ret: #ty = #value;
        #[allow(unreachable_code)]
        #read
        #outputs
        #at_end
        __dd_ret
    }
}

/// The expression that begins the span.
fn start(plan: &Plan<'_>) -> TokenStream {
    let private = &plan.private;
    let args = plan.args;
    let start = match (&args.parent, args.root) {
        (Some(parent), _) => {
            let span = ours_at(parent.span());
            let private = located_at(private, span);
            quote::quote_spanned!(span=> #private::enter_child_of(&__DD_SITE, &#parent))
        }
        (None, Some(_)) => ours!(#private::enter_root(&__DD_SITE)),
        (None, None) => ours!(#private::enter(&__DD_SITE)),
    };
    match &args.enabled {
        Some(enabled) => ours!(if #enabled { #start } else { #private::enter_off() }),
        None => start,
    }
}
