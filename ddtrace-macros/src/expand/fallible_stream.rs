//! Functions of LLM Observability that return a stream in a `Result`: the span is the stream's, if there is one.
//!
//! It begins with the function (for an `async fn` with the first poll), is active while the body runs and whenever the stream is
//! polled, and ends with the stream, or with the error that came instead of it.

use proc_macro2::TokenStream;

use super::outcome::Outcome;
use super::signature::{desugar, with_body};
use super::{Plan, block, capture_all, checkpoint, future, llm};
use crate::function::output::inferable;
use crate::function::{Attr, Body, Params};
use crate::tokens::ours;

/// `is_opaque`: the stream's type is written `impl …`, else it is a box.
pub(crate) fn expand(plan: &Plan<'_>, body: &Body, is_opaque: bool) -> TokenStream {
    let statics = future::statics(plan);
    let on = future::enabled(plan);
    if plan.function.asyncness.is_none() {
        let ty = inferable(&plan.function.output.ty());
        let private = &plan.private;
        let captures = capture_all(&Params::new(&plan.function.inputs));
        let block = block(body);
        let value = ours! {
            {
                let __dd_entered = __dd_start.enter();
                #private::call_once(move || -> #ty { #captures #block })
            }
        };
        let statements = around(plan, &value, is_opaque);
        return with_body(plan.function, &ours!(#statics #on #statements));
    }
    let private = &plan.private;
    let expect = future::expected_type(plan);
    let block = block(body);
    let value = ours!(#private::poll_within(&mut __dd_start, async { #expect #block }).await);
    let statements = around(plan, &value, is_opaque);
    let inert = plan.function.attrs.iter().all(Attr::is_inert);
    if inert && !plan.scope.more_macros {
        let desugared = desugar(plan);
        let (head, bind) = (desugared.head, desugared.bind);
        return ours!(#head { #statics #on async move { #bind #expect #statements } });
    }
    with_body(plan.function, &ours!(#statics #on #statements))
}

/// The span, the value that the body gives within it, and what is done with that.
fn around(plan: &Plan<'_>, value: &TokenStream, is_opaque: bool) -> TokenStream {
    let private = &plan.private;
    let Some(args) = plan.kind else {
        return value.clone();
    };
    let (begin, _) = future::begun(plan);
    let pathway = plan.checkpoint.map(|args| {
        let scope = checkpoint::scope(private);
        let pass = checkpoint::at_start(args, private);
        ours!(#scope { let __dd_entered = __dd_start.enter(); #pass })
    });
    let transaction = plan
        .transaction()
        .map(|passes| ours!({ let __dd_entered = __dd_start.enter(); #passes }));
    let outcome = Outcome::new(plan, plan.function.output.ty(), false);
    let read = outcome.read(plan, &ours!(&__dd_ret));
    let failure = llm::of_failure(plan, &ours!(&__dd_ret));
    let items = llm::items(args, plan);
    let stream = ours! {
        #private::instrument_stream_in(
            __dd_start,
            #private::llm::stream(__dd_llm, __dd_stream, #items),
        )
    };
    let stream = match is_opaque {
        true => stream,
        false => ours!(::std::boxed::Box::pin(#stream)),
    };
    let ty = inferable(&plan.function.output.ty());
    ours! {
        #begin
        #pathway
        #transaction
        let __dd_ret: #ty = #value;
        {
            let __dd_span = &mut __dd_start;
            #read
        }
        if __dd_llm.is_recording() { #failure }
        match __dd_ret {
            ::core::result::Result::Ok(__dd_stream) => ::core::result::Result::Ok(#stream),
            ::core::result::Result::Err(__dd_error) => {
                {
                    let __dd_entered = __dd_start.enter();
                    ::core::mem::drop(__dd_llm);
                }
                ::core::result::Result::Err(__dd_error)
            }
        }
    }
}
