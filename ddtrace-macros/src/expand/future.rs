//! Functions whose work happens later: in a future, a stream or an iterator that they return.
//!
//! The span belongs to what is returned and is active while that is polled. It begins with the first
//! poll. Only if a function that is not `async` has options to be computed from its arguments does it
//! begin with the call, because the arguments may be gone afterwards.

use proc_macro2::TokenStream;
use quote::quote_spanned;

use super::outcome::Outcome;
use super::signature::{desugar, with_body};
use super::{Plan, block, capture_all, site, values};
use crate::args::Shape;
use crate::function::attrs::hidden;
use crate::function::body::{BoxedTail, boxed_tail};
use crate::function::output::inferable;
use crate::function::{Attr, Body, Params};
use crate::tokens::{ours, ours_at, regroup};

pub(crate) fn expand(plan: &Plan<'_>, body: &Body, shape: Shape) -> TokenStream {
    if plan.function.asyncness.is_some() {
        return async_fn(plan, body);
    }
    if shape == Shape::Future {
        if let Some(tail) = boxed_tail(body) {
            if tail.before.is_empty() || values::at_start(plan).is_empty() {
                return boxed(plan, &tail);
            }
        }
    }
    returned(plan, body, shape)
}

fn async_fn(plan: &Plan<'_>, body: &Body) -> TokenStream {
    let site = site::site(plan);
    let outcome = Outcome::new(plan, plan.function.output.ty(), false);
    let on = enabled(plan);
    let expect = expected_type(plan);
    let prelude = in_future(plan);
    let block = block(body);
    let inert = plan.function.attrs.iter().all(Attr::is_inert);
    // `!` can be what a function returns, not yet what a future yields.
    if inert && !plan.scope.more_macros && !plan.function.output.is_never() {
        let desugared = desugar(plan);
        let (head, bind) = (desugared.head, desugared.bind);
        let future = ours!(async move { #bind #expect #prelude #block });
        let call = instrument(plan, &future, &outcome);
        return ours!(#head { #site #on #call });
    }
    let captures = capture_all(&Params::new(&plan.function.inputs));
    let future = ours!(async move { #captures #expect #prelude #block });
    let call = instrument(plan, &future, &outcome);
    with_body(plan.function, &ours!(#site #on #call.await))
}

/// `Box::pin(async move { … })` at the end of the body: the future is wrapped inside its box.
fn boxed(plan: &Plan<'_>, tail: &BoxedTail) -> TokenStream {
    let site = site::site(plan);
    let outcome = Outcome::new(plan, yielded(plan), false);
    let on = enabled(plan);
    let prelude = in_future(plan);
    let future = tail.parens.stream();
    let future = if prelude.is_empty() {
        future
    } else {
        let mut tokens: Vec<_> = future.into_iter().collect();
        let inner = tokens.pop();
        ours!(#(#tokens)* { #prelude #inner })
    };
    let call = instrument(plan, &future, &outcome);
    let parens = regroup(&tail.parens, call);
    let (before, pin) = (&tail.before, &tail.call);
    with_body(
        plan.function,
        &ours!(#site #(#before)* #on #(#pin)* #parens),
    )
}

/// Whatever the body makes is wrapped as it comes out.
fn returned(plan: &Plan<'_>, body: &Body, shape: Shape) -> TokenStream {
    let private = &plan.private;
    let site = site::site(plan);
    let block = block(body);
    let value = if plan.seen.leaves_early {
        let captures = capture_all(&Params::new(&plan.function.inputs));
        let ty = inferable(&plan.function.output.ty());
        let ty = (!plan.function.output.is_opaque()).then(|| ours!(-> #ty));
        match &ty {
            Some(ty) => ours!(#private::call_once(move || #ty { #captures #block })),
            None => ours!(#private::call_once(move || { #captures #block })),
        }
    } else if plan.function.output.is_opaque() {
        ours!(#block)
    } else {
        // The box that the body makes is of the type that the function declares.
        let ty = inferable(&plan.function.output.ty());
        ours!({ let __dd_value: #ty = #block; __dd_value })
    };
    let prelude = values::at_start(plan);
    let started = !prelude.is_empty();
    let mut begin = start(plan);
    if !prelude.is_empty() {
        begin = ours!({
            let mut __dd_span = #begin.start();
            if __dd_span.is_recording() { #prelude }
            __dd_span
        });
    }
    let call = match shape {
        Shape::Future if plan.args.enter_on_poll.is_some() => {
            ours!(#private::enter_on_poll(&__DD_SITE, __dd_value))
        }
        Shape::Future => {
            let observer = Outcome::new(plan, yielded(plan), false).observer(plan);
            let wrapper = match (started, observer.is_some()) {
                (false, false) => "instrument_start",
                (false, true) => "instrument_start_with",
                (true, false) => "instrument",
                (true, true) => "instrument_with",
            };
            let wrapper = hidden(wrapper);
            let observer = observer.into_iter();
            ours!(#private::#wrapper(__dd_start, __dd_value #(, #observer)*))
        }
        Shape::Stream => {
            let wrapper = hidden(if started {
                "instrument_stream_in"
            } else {
                "instrument_stream"
            });
            ours!(#private::#wrapper(__dd_start, __dd_value))
        }
        Shape::Iterator => {
            let wrapper = hidden(if started {
                "instrument_iter_in"
            } else {
                "instrument_iter"
            });
            ours!(#private::#wrapper(__dd_start, __dd_value))
        }
    };
    let call = match (plan.function.output.is_opaque(), shape) {
        (true, _) => call,
        (false, Shape::Iterator) => ours!(::std::boxed::Box::new(#call)),
        (false, _) => ours!(::std::boxed::Box::pin(#call)),
    };
    let begin = (plan.args.enter_on_poll.is_none()).then(|| ours!(let __dd_start = #begin;));
    let on = enabled(plan);
    with_body(
        plan.function,
        &ours! {
            #site
            #on
            #begin
            let __dd_value = #value;
            #call
        },
    )
}

/// The wrapper around a future.
fn instrument(plan: &Plan<'_>, future: &TokenStream, outcome: &Outcome) -> TokenStream {
    let private = &plan.private;
    if plan.args.enter_on_poll.is_some() {
        return ours!(#private::enter_on_poll(&__DD_SITE, #future));
    }
    let args = plan.args;
    let plain = args.parent.is_none() && args.root.is_none() && args.enabled.is_none();
    match (plain, outcome.observer(plan)) {
        (true, None) => ours!(#private::instrument_site(&__DD_SITE, #future)),
        (true, Some(observer)) => {
            ours!(#private::instrument_site_with(&__DD_SITE, #future, #observer))
        }
        (false, None) => {
            let start = start(plan);
            ours!(#private::instrument_start(#start, #future))
        }
        (false, Some(observer)) => {
            let start = start(plan);
            ours!(#private::instrument_start_with(#start, #future, #observer))
        }
    }
}

/// How the span will begin.
fn start(plan: &Plan<'_>) -> TokenStream {
    let private = &plan.private;
    let mut start = ours!(#private::Start::new(&__DD_SITE));
    if let Some(parent) = &plan.args.parent {
        let span = ours_at(parent.span());
        let parent = quote_spanned!(span=> &#parent);
        start.extend(ours!(.child_of(#parent)));
    } else if plan.args.root.is_some() {
        start.extend(ours!(.root()));
    }
    if plan.args.enabled.is_some() {
        start.extend(ours!(.enabled(__dd_on)));
    }
    start
}

/// `enabled = e` is decided once, at the call.
fn enabled(plan: &Plan<'_>) -> TokenStream {
    match &plan.args.enabled {
        Some(enabled) => {
            let span = ours_at(enabled.span());
            quote_spanned!(span=> let __dd_on: bool = #enabled;)
        }
        None => TokenStream::new(),
    }
}

/// What is set at the first poll, when the function's span is the active one.
fn in_future(plan: &Plan<'_>) -> TokenStream {
    let private = &plan.private;
    let prelude = values::at_start(plan);
    if prelude.is_empty() {
        return prelude;
    }
    let on = plan.args.enabled.as_ref().map(|_| ours!(__dd_on &&));
    ours! {
        {
            let __dd_span = #private::active_at(&__DD_SITE);
            if #on __dd_span.is_recording() { #prelude }
        }
    }
}

/// Tells an `async` block what it returns, so that `?`, `Ok(…)` and coercions in it find the type that
/// the function declares, and a wrong type is an error at the value.
fn expected_type(plan: &Plan<'_>) -> TokenStream {
    let output = &plan.function.output;
    let ty = inferable(&output.ty());
    match ty.to_string().as_str() {
        "!" | "_" => TokenStream::new(),
        "()" => ours!(if false {
            return;
        }),
        _ => ours! {
            if false {
                #[allow(unreachable_code)]
                {
                    let __dd_return: #ty = loop {};
                    return __dd_return;
                }
            }
        },
    }
}

/// What the future in the return type yields; `_` where its name does not say.
fn yielded(plan: &Plan<'_>) -> TokenStream {
    let shape = plan.function.output.shape();
    let item = shape.and_then(|(_, item)| item);
    item.unwrap_or_else(|| ours!(_))
}
