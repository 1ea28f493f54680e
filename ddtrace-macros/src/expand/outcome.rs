//! What is read from the value that the function returns: its error, and the value itself (`ret`).

use proc_macro2::TokenStream;
use quote::quote_spanned;

use super::Plan;
use crate::args::RetCapture;
use crate::function::output::{Fallible, fallible, inferable};
use crate::tokens::{located_at, ours, ours_at};

/// How errors are found in a value of a certain type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errors {
    None,
    /// The type is a `Result`.
    Result,
    /// The type may be a `Result`: its name says so, or might hide it. The compiler finds out, since nobody
    /// asked for errors of a type that has none.
    Perhaps,
}

/// What has to be looked at when a value of type `ty` is returned.
pub(crate) struct Outcome {
    errors: Errors,
    ty: TokenStream,
}

impl Outcome {
    /// `early` says that the value can come from the middle of the body, where looking at it costs a
    /// closure.
    pub(crate) fn new(plan: &Plan<'_>, ty: TokenStream, early: bool) -> Outcome {
        let err = &plan.args.err;
        let errors = match fallible(&ty) {
            _ if err.off => Errors::None,
            _ if err.explicit.is_some() => Errors::Result,
            Fallible::Yes => Errors::Perhaps,
            Fallible::No => Errors::None,
            // Worth a closure only if the body looks like one that fails.
            Fallible::Perhaps if early && !plan.seen.fails => Errors::None,
            Fallible::Perhaps => Errors::Perhaps,
        };
        Outcome { errors, ty }
    }

    /// Whether nothing is read.
    pub(crate) fn is_ignored(&self, plan: &Plan<'_>) -> bool {
        !plan.has_span || (self.errors == Errors::None && plan.args.ret.is_none())
    }

    /// Whether errors are looked for.
    pub(crate) fn looks_for_errors(&self) -> bool {
        self.errors != Errors::None
    }

    /// Statements that read the value behind the reference `ret`, with `__dd_span` in scope.
    pub(crate) fn read(&self, plan: &Plan<'_>, ret: &TokenStream) -> TokenStream {
        let mut out = self.read_error(plan, ret);
        out.extend(self.read_value(plan, ret));
        out
    }

    fn read_error(&self, plan: &Plan<'_>, ret: &TokenStream) -> TokenStream {
        let private = &plan.private;
        let err = &plan.args.err;
        if self.errors == Errors::Perhaps && !err.handled && err.filter.is_none() {
            return ours!(__dd_span.fail_if(#private::failure(#ret).view()););
        }
        let record = if err.handled {
            ours!(fail_handled)
        } else {
            ours!(fail)
        };
        let mut record = ours!(__dd_span.#record(#private::error(__dd_error).view()););
        if let Some(filter) = &err.filter {
            let span = ours_at(filter.span());
            let private = located_at(private, span);
            let test = quote_spanned!(span=> #private::apply(__dd_error, #filter));
            record = ours!(if #test { #record });
        }
        match self.errors {
            Errors::None => TokenStream::new(),
            Errors::Result => {
                // If the type is none, the arrow is at the return type.
                let place = plan
                    .function
                    .output
                    .span()
                    .map_or_else(proc_macro2::Span::mixed_site, ours_at);
                let pattern = quote_spanned!(place=> ::core::result::Result::Err(__dd_error));
                ours!(if let #pattern = #ret { #record })
            }
            Errors::Perhaps => ours! {
                if let ::core::option::Option::Some(__dd_error) = #private::outcome(#ret).error() { #record }
            },
        }
    }

    fn read_value(&self, plan: &Plan<'_>, ret: &TokenStream) -> TokenStream {
        let private = &plan.private;
        let set = |value: TokenStream| ours!(__dd_span.set_tags(&[#private::Tag { key: "return", value: #value.value() }]););
        let read = match &plan.args.ret {
            None => return TokenStream::new(),
            Some(RetCapture::With(with)) => {
                let span = ours_at(with.span());
                let here = located_at(private, span);
                let value = quote_spanned!(span=> #here::apply(#ret, #with));
                set(ours!(#private::probe(&#value).capture()))
            }
            Some(RetCapture::Value(_)) => {
                let set = set(ours!(#private::returned(__dd_value).capture()));
                ours!(if let ::core::option::Option::Some(__dd_value) = #private::outcome(#ret).value() { #set })
            }
        };
        ours!(if __dd_span.is_recording() { #read })
    }

    /// The function pointer that a future calls with its output, if there is something to read.
    pub(crate) fn observer(&self, plan: &Plan<'_>) -> Option<TokenStream> {
        if self.is_ignored(plan) {
            return None;
        }
        let private = &plan.private;
        let err = &plan.args.err;
        let usual = !err.handled && err.filter.is_none() && err.explicit.is_none();
        let ty = inferable(&self.ty);
        let known = ty.to_string() != "_";
        if self.errors == Errors::Perhaps && known && usual && plan.args.ret.is_none() {
            return Some(ours!(#private::observer::<#ty>().errors()));
        }
        let read = self.read(plan, &ours!(__dd_ret));
        Some(ours!(|__dd_ret, __dd_span| { #read }))
    }
}
