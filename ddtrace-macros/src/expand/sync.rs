//! A function that returns when it is done: a guard on its stack.

use proc_macro2::TokenStream;

use super::outcome::Outcome;
use super::signature::with_body;
use super::{Plan, block, capture_all, site, values};
use crate::function::output::inferable;
use crate::function::{Body, Params};
use crate::tokens::{located_at, ours, ours_at};

pub(crate) fn expand(plan: &Plan<'_>, body: &Body) -> TokenStream {
    let site = site::site(plan);
    let start = start(plan);
    let prelude = values::at_start(plan);
    let prelude = if prelude.is_empty() {
        prelude
    } else {
        ours!(if __dd_span.is_recording() { #prelude })
    };
    let rest = observed(plan, body);
    let statements = ours! {
        #site
        let __dd_span = #start;
        #prelude
        #rest
    };
    with_body(plan.function, &statements)
}

/// The body as the last expression, its value looked at if need be.
fn observed(plan: &Plan<'_>, body: &Body) -> TokenStream {
    // `Location::caller()` inside a closure is the closure's, so there is none in such a function.
    let closure = plan.seen.leaves_early && !plan.function.has_attr("track_caller");
    let outcome = Outcome::new(plan, plan.function.output.ty(), closure);
    let block = block(body);
    if outcome.is_ignored(plan) {
        return ours!(#block);
    }
    let private = &plan.private;
    let ty = inferable(&plan.function.output.ty());
    let value = if closure {
        let captures = capture_all(&Params::new(&plan.function.inputs));
        let inner = if captures.is_empty() {
            ours!(#block)
        } else {
            ours!({ #captures #block })
        };
        ours!(#private::call_once(move || -> #ty #inner))
    } else {
        ours!(#block)
    };
    let read = outcome.read(plan, &ours!(&__dd_ret));
    ours! {
        let __dd_ret: #ty = #value;
        #read
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
