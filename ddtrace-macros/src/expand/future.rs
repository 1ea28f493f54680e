//! Functions whose work happens later: in a future, a stream or an iterator that they return.
//!
//! The span belongs to what is returned and is active while that is polled. It begins with the first
//! poll. Only if a function that is not `async` has options to be computed from its arguments does it
//! begin with the call, because the arguments may be gone afterwards.

use proc_macro2::{TokenStream, TokenTree};
use quote::quote_spanned;

use super::outcome::Outcome;
use super::signature::{desugar, with_body};
use super::{Plan, capture_all, checkpoint, llm, site, values};
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
            if tail.before.is_empty() || in_future(plan).is_empty() {
                return boxed(plan, &tail);
            }
        }
    }
    returned(plan, body, shape)
}

fn async_fn(plan: &Plan<'_>, body: &Body) -> TokenStream {
    let statics = statics(plan);
    let outcome = Outcome::new(plan, plan.function.output.ty(), false);
    let on = enabled(plan);
    let expect = expected_type(plan);
    let prelude = in_future(plan);
    let block = super::block(body);
    let at_end = plan.at_end();
    let rest = if at_end.is_empty() {
        ours!(#expect #prelude #block)
    } else {
        ours! {
            #prelude
            let __dd_ret = async { #expect #block }.await;
            #at_end
            __dd_ret
        }
    };
    let inert = plan.function.attrs.iter().all(Attr::is_inert);
    // `!` can be what a function returns, not yet what a future yields.
    if inert && !plan.scope.more_macros && !plan.function.output.is_never() {
        let desugared = desugar(plan);
        let (head, bind) = (desugared.head, desugared.bind);
        let future = ours!(async move { #bind #rest });
        let call = instrument(plan, &future, &outcome);
        return ours!(#head { #statics #on #call });
    }
    let captures = capture_all(&Params::new(&plan.function.inputs));
    let future = ours!(async move { #captures #rest });
    let call = instrument(plan, &future, &outcome);
    with_body(plan.function, &ours!(#statics #on #call.await))
}

/// `async { … }` by itself, as an expression.
pub(crate) fn block(plan: &Plan<'_>, asyncness: &[TokenTree], body: &Body) -> TokenStream {
    let statics = statics(plan);
    let outcome = Outcome::new(plan, plan.function.output.ty(), false);
    let on = enabled(plan);
    let prelude = in_future(plan);
    let block = super::block(body);
    let future = ours!(#(#asyncness)* { #prelude #block });
    let call = instrument(plan, &future, &outcome);
    ours!({ #statics #on #call })
}

/// `Box::pin(async move { … })` at the end of the body: the future is wrapped inside its box.
fn boxed(plan: &Plan<'_>, tail: &BoxedTail) -> TokenStream {
    let statics = statics(plan);
    let outcome = Outcome::new(plan, yielded(plan), false);
    let on = enabled(plan);
    let prelude = in_future(plan);
    let at_end = plan.at_end();
    let future = tail.parens.stream();
    let future = if prelude.is_empty() && at_end.is_empty() {
        future
    } else {
        let mut tokens: Vec<_> = future.into_iter().collect();
        let inner = tokens.pop();
        if at_end.is_empty() {
            ours!(#(#tokens)* { #prelude #inner })
        } else {
            ours! {
                #(#tokens)* {
                    #prelude
                    let __dd_ret = async #inner.await;
                    #at_end
                    __dd_ret
                }
            }
        }
    };
    let call = instrument(plan, &future, &outcome);
    let parens = regroup(&tail.parens, call);
    let (before, pin) = (&tail.before, &tail.call);
    with_body(
        plan.function,
        &ours!(#statics #(#before)* #on #(#pin)* #parens),
    )
}

/// Whatever the body makes is wrapped as it comes out.
fn returned(plan: &Plan<'_>, body: &Body, shape: Shape) -> TokenStream {
    let private = &plan.private;
    let statics = statics(plan);
    let value = value(plan, body);
    let (begin, started) = begun(plan);
    let pathway = plan.checkpoint.map(|args| {
        let scope = checkpoint::scope(private);
        let pass = checkpoint::at_start(args, private);
        if !started {
            return ours!(#scope #pass);
        }
        // The span of the function, which is not active yet, is the one to be told of the pathway.
        ours! {
            #scope
            let __dd_passed = {
                let __dd_entered = __dd_start.enter();
                #pass
                #private::dsm::in_force()
            };
            __dd_passed.put_in_force();
        }
    });
    let transaction = plan.transaction().map(|passes| match started {
        true => ours!({ let __dd_entered = __dd_start.enter(); #passes }),
        false => passes,
    });
    let carried = plan.checkpoint.map(|_| {
        let private = &plan.private;
        ours!(let __dd_value = #private::dsm::carried(__dd_value);)
    });
    let wrapped = plan
        .kind
        .map(|args| llm::around_returned(args, plan, shape, &yielded(plan)));
    let call = match (plan.has_span, shape) {
        (false, _) => ours!(__dd_value),
        (true, Shape::Future) if plan.args.enter_on_poll.is_some() => {
            ours!(#private::enter_on_poll(&__DD_SITE, __dd_value))
        }
        (true, Shape::Future) => {
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
        (true, Shape::Stream) => {
            let wrapper = hidden(if started {
                "instrument_stream_in"
            } else {
                "instrument_stream"
            });
            ours!(#private::#wrapper(__dd_start, __dd_value))
        }
        (true, Shape::Iterator) => {
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
    let on = enabled(plan);
    with_body(
        plan.function,
        &ours! {
            #statics
            #on
            #begin
            #pathway
            #transaction
            let __dd_value = #value;
            #carried
            #wrapped
            #call
        },
    )
}

/// What the body of such a function makes.
fn value(plan: &Plan<'_>, body: &Body) -> TokenStream {
    let private = &plan.private;
    let block = super::block(body);
    if plan.seen.leaves_early {
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
    }
}

/// `let __dd_start = …`: a span that has begun if something has to be known of the call, else how it will begin. Says
/// which.
pub(super) fn begun(plan: &Plan<'_>) -> (TokenStream, bool) {
    if !plan.has_span || plan.args.enter_on_poll.is_some() {
        return (TokenStream::new(), false);
    }
    let prelude = values::at_start(plan);
    let passes = plan.checkpoint.is_some() || plan.transaction.is_some();
    let started = !prelude.is_empty() || plan.kind.is_some() || passes;
    let begin = start(plan);
    if !started {
        return (ours!(let __dd_start = #begin;), false);
    }
    let entered = plan.kind.is_some() || passes;
    let mutable = entered.then(|| ours!(mut));
    let Some(args) = plan.kind else {
        let prelude =
            (!prelude.is_empty()).then(|| ours!(if __dd_span.is_recording() { #prelude }));
        let begin = ours! {
            let #mutable __dd_start = {
                let mut __dd_span = #begin.start();
                #prelude
                __dd_span
            };
        };
        return (begin, true);
    };
    // What the options of the span say goes over what the kind says.
    let prelude = (!prelude.is_empty()).then(|| {
        ours! {
            {
                let __dd_span = &mut __dd_start;
                if __dd_span.is_recording() { #prelude }
            }
        }
    });
    let begin_kind = llm::begin(plan, &ours!(__dd_on));
    let inputs = llm::at_start(args, plan);
    let begin = ours! {
        let mut __dd_start = #begin.start();
        let __dd_llm = {
            let __dd_entered = __dd_start.enter();
            let __dd_llm = #begin_kind;
            #inputs
            __dd_llm
        };
        #prelude
    };
    (begin, true)
}

/// The statics that stand before everything else.
pub(super) fn statics(plan: &Plan<'_>) -> TokenStream {
    let site = plan.has_span.then(|| site::site(plan));
    let call = plan.kind.map(|args| llm::call(args, plan));
    ours!(#site #call)
}

/// The future with what goes around it inside its span.
fn layered(plan: &Plan<'_>, future: &TokenStream, outcome: &Outcome) -> TokenStream {
    let private = &plan.private;
    let mut future = future.clone();
    if let Some(args) = plan.kind {
        future = llm::around(args, plan, &future, outcome);
    }
    if plan.checkpoint.is_some() {
        future = ours!(#private::dsm::within(#future));
    }
    future
}

/// The wrapper around a future.
fn instrument(plan: &Plan<'_>, future: &TokenStream, outcome: &Outcome) -> TokenStream {
    let private = &plan.private;
    let future = layered(plan, future, outcome);
    if !plan.has_span {
        return future;
    }
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
pub(super) fn enabled(plan: &Plan<'_>) -> TokenStream {
    match &plan.args.enabled {
        Some(enabled) => {
            let span = ours_at(enabled.span());
            quote_spanned!(span=> let __dd_on: bool = #enabled;)
        }
        None => TokenStream::new(),
    }
}

/// What is done at the first poll, when the function's span is the active one.
fn in_future(plan: &Plan<'_>) -> TokenStream {
    let private = &plan.private;
    let mut out = values::at_start(plan);
    if !out.is_empty() {
        let on = plan.args.enabled.as_ref().map(|_| ours!(__dd_on &&));
        out = ours! {
            {
                let __dd_span = #private::active_at(&__DD_SITE);
                if #on __dd_span.is_recording() { #out }
            }
        };
    }
    if let Some(args) = plan.kind {
        let inputs = llm::at_start(args, plan);
        if !inputs.is_empty() {
            out.extend(ours! {
                {
                    let __dd_llm = #private::llm::active(&__DD_LLM);
                    #inputs
                }
            });
        }
    }
    if let Some(args) = plan.checkpoint {
        out.extend(checkpoint::at_start(args, private));
    }
    out.extend(plan.transaction());
    out
}

/// Tells an `async` block what it returns, so that `?`, `Ok(…)` and coercions in it find the type that
/// the function declares, and a wrong type is an error at the value.
pub(super) fn expected_type(plan: &Plan<'_>) -> TokenStream {
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
