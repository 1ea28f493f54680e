//! What `#[dsm_checkpoint]` adds: a checkpoint is passed, and the pathway of before is in force again afterwards.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;

use super::values::tag_text;
use crate::args::{CheckpointArgs, Direction, Expr, TraceArgs};
use crate::tokens::{located_at, ours, ours_at};

/// `span = true`: a span of the messaging kind that the direction says.
pub(crate) fn make_span(args: &mut TraceArgs, checkpoint: &CheckpointArgs) {
    let variant = match checkpoint.direction {
        Direction::Consume => "Consumer",
        Direction::Produce => "Producer",
    };
    args.kind = Some(crate::args::trace::Kind {
        variant: Ident::new(variant, Span::mixed_site()),
    });
}

/// What puts the pathway of before in force again when it is dropped.
pub(crate) fn scope(private: &TokenStream) -> TokenStream {
    ours!(let __dd_pathway = #private::dsm::scope();)
}

/// The checkpoint, unless it is passed at the end.
pub(crate) fn at_start(args: &CheckpointArgs, private: &TokenStream) -> TokenStream {
    match args.at_end {
        Some(_) => TokenStream::new(),
        None => pass(args, private, &ours!(#private::dsm::is_on())),
    }
}

/// The checkpoint, if it is passed at the end and the result in `__dd_ret` is no error.
pub(crate) fn at_end(args: &CheckpointArgs, private: &TokenStream) -> TokenStream {
    match args.at_end {
        Some(_) => pass(
            args,
            private,
            &ours!(#private::dsm::is_on() && #private::outcome(&__dd_ret).error().is_none()),
        ),
        None => TokenStream::new(),
    }
}

fn pass(args: &CheckpointArgs, private: &TokenStream, condition: &TokenStream) -> TokenStream {
    let system = text(&args.system, private);
    let topic = text(&args.topic, private);
    let mut details = TokenStream::new();
    if let Some(group) = &args.group {
        let group = text(group, private);
        details.extend(ours!(.in_group(#group)));
    }
    for tag in &args.tags {
        let (key, value) = (&tag.key, tag_text(tag, private));
        details.extend(ours!(.pair(#key, #value)));
    }
    if let Some(payload) = &args.payload {
        let span = ours_at(payload.span());
        let private = located_at(private, span);
        let size = quote_spanned!(span=> #private::dsm::payload(&#payload).size());
        details.extend(ours!(.payload_size(#size)));
    }
    if !args.manual {
        details.extend(ours!(.manual(false)));
    }
    let passed = match (args.direction, &args.carrier) {
        (Direction::Consume, Some(carrier)) => {
            let carrier = method_of(carrier, "as_carrier");
            ours!(#private::dsm::consume(#system, #topic) #details .from(#carrier);)
        }
        (Direction::Consume, None) => {
            ours!(#private::dsm::consume(#system, #topic) #details .without_headers();)
        }
        (Direction::Produce, Some(carrier)) => {
            // Two statements: the topic may be borrowed from what the carrier is a part of.
            let carrier = method_of(carrier, "as_carrier_mut");
            ours! {
                let __dd_passed = #private::dsm::produce(#system, #topic) #details .pass();
                if let ::core::option::Option::Some(__dd_passed) = __dd_passed {
                    __dd_passed.inject(#carrier);
                }
            }
        }
        (Direction::Produce, None) => {
            // A deprecated item at the user's word is the only warning that an attribute can raise.
            let place = args.word.span();
            let here = private.clone().into_iter().map(|mut token| {
                token.set_span(place);
                token
            });
            let warning = quote_spanned!(place=> let _ = #(#here)*::dsm::NOTHING_IS_INJECTED_WITHOUT_A_CARRIER;);
            ours! {
                #warning
                #private::dsm::produce(#system, #topic) #details .pass();
            }
        }
    };
    ours! {
        if #condition {
            #[allow(unused_imports)]
            use #private::dsm::{AsCarrier as _, AsCarrierMut as _};
            #passed
        }
    }
}

/// `(expression).method()`, which borrows a place and goes through references; an error is at the expression.
fn method_of(expr: &Expr, method: &str) -> TokenStream {
    let span = ours_at(expr.span());
    let method = Ident::new(method, span);
    quote_spanned!(span=> #expr.#method())
}

/// An expression as a `&str`.
pub(super) fn text(expr: &Expr, private: &TokenStream) -> TokenStream {
    match expr.as_text() {
        Some(text) => ours!(#text),
        None => {
            let span = ours_at(expr.span());
            let private = located_at(private, span);
            quote_spanned!(span=> &#private::probe(&#expr).capture().text())
        }
    }
}
