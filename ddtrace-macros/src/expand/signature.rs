//! The function's head, as it was written or with an `async fn` made into what rustc makes of it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote};

use super::Plan;
use crate::function::attrs::hidden;
use crate::function::params::Pattern;
use crate::function::{Function, Params};
use crate::tokens::{is_ident, regroup};

/// The function with other contents: everything before the braces stays as it was.
pub(crate) fn with_body(function: &Function, statements: &TokenStream) -> TokenStream {
    // The head of a function without a body is everything but its semicolon.
    let mut out = TokenStream::new();
    head(function, function.asyncness.as_ref(), &mut out);
    function.inputs.to_tokens(&mut out);
    function.output.to_tokens(&mut out);
    out.extend(function.bounds.iter().cloned());
    out.extend(quote!({ #statements }));
    out
}

fn head(function: &Function, asyncness: Option<&Ident>, out: &mut TokenStream) {
    for attr in &function.attrs {
        attr.to_tokens(out);
    }
    let keyword = function.qualifiers.len().saturating_sub(1);
    let place = function.qualifiers[..keyword]
        .iter()
        .position(|token| is_ident(token, "unsafe") || is_ident(token, "extern"))
        .unwrap_or(keyword);
    out.extend(function.qualifiers[..place].iter().cloned());
    asyncness.to_tokens(out);
    out.extend(function.qualifiers[place..].iter().cloned());
    function.name.to_tokens(out);
    out.extend(function.generics.iter().cloned());
}

/// An `async fn` as a function that returns a future.
///
/// It is what the compiler does with it in any case; done here, it saves the second state machine that
/// a wrapper inside an `async fn` would be, three quarters of the cost of checking it. As there, each
/// argument becomes a variable of the future in the order of the parameters, so that all are dropped
/// when they would be, used or not. `impl Future` captures every generic parameter in scope, because
/// its tokens are of the edition of this crate (2024).
pub(crate) struct Desugared {
    pub(crate) head: TokenStream,
    /// Statements at the beginning of the future.
    pub(crate) bind: TokenStream,
}

pub(crate) fn desugar(plan: &Plan<'_>) -> Desugared {
    let function = plan.function;
    let mut inputs = TokenStream::new();
    let mut bind = TokenStream::new();
    for (at, param) in Params::new(&function.inputs).list.iter().enumerate() {
        let conditions = param.conditions();
        let hidden_name = || hidden(&format!("__dd_arg{at}"));
        let declared = match &param.pattern {
            Pattern::Receiver(receiver) => {
                if param.may_drop() {
                    bind.extend(quote!(let _ = &#receiver;));
                }
                None
            }
            Pattern::Name {
                mutable: None,
                name,
            } => {
                if param.may_drop() {
                    bind.extend(quote!(#conditions let #name = #name;));
                }
                None
            }
            Pattern::Name { mutable, name } => {
                bind.extend(quote!(#conditions let #mutable #name = #name;));
                Some(param.with_pattern(quote!(#name)))
            }
            Pattern::Wildcard(_) => {
                let hidden = hidden_name();
                bind.extend(quote!(#conditions let #hidden = #hidden;));
                Some(param.with_pattern(quote!(#hidden)))
            }
            Pattern::Parts(pattern) => {
                let hidden = hidden_name();
                bind.extend(quote! {
                    #conditions let #hidden = #hidden;
                    #conditions let #(#pattern)* = #hidden;
                });
                Some(param.with_pattern(quote!(#hidden)))
            }
        };
        inputs.extend(declared.unwrap_or_else(|| param.to_token_stream()));
        inputs.extend(quote!(,));
    }
    let mut out = TokenStream::new();
    head(function, None, &mut out);
    regroup(&function.inputs, inputs).to_tokens(&mut out);
    let output = function.output.ty();
    let future = Ident::new("impl", Span::mixed_site());
    out.extend(quote!(-> #future ::core::future::Future<Output = #output>));
    out.extend(function.bounds.iter().cloned());
    Desugared { head: out, bind }
}
