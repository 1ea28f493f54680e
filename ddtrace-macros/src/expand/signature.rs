//! The function's head, as it was written or with an `async fn` made into what rustc makes of it.

use proc_macro2::{Ident, Span, TokenStream};
use quote::ToTokens;

use super::Plan;
use crate::function::attrs::hidden;
use crate::function::params::Pattern;
use crate::function::{Function, Params};
use crate::tokens::{ours, regroup};

/// The function with other contents: everything before the braces stays as it was.
pub(crate) fn with_body(function: &Function, statements: &TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    function.head_to_tokens(function.asyncness.as_ref(), &mut out);
    function.inputs.to_tokens(&mut out);
    function.output.to_tokens(&mut out);
    out.extend(function.bounds.iter().cloned());
    out.extend(ours!({ #statements }));
    out
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
                    bind.extend(ours!(let _ = &#receiver;));
                }
                None
            }
            Pattern::Name {
                mutable: None,
                name,
            } => {
                if param.may_drop() {
                    bind.extend(ours!(#conditions let #name = #name;));
                }
                None
            }
            Pattern::Name { mutable, name } => {
                bind.extend(ours!(#conditions let #mutable #name = #name;));
                Some(param.with_pattern(ours!(#name)))
            }
            Pattern::Wildcard => {
                let hidden = hidden_name();
                bind.extend(ours!(#conditions let #hidden = #hidden;));
                Some(param.with_pattern(ours!(#hidden)))
            }
            Pattern::Parts(pattern) => {
                let hidden = hidden_name();
                bind.extend(ours! {
                    #conditions let #hidden = #hidden;
                    #conditions let #(#pattern)* = #hidden;
                });
                Some(param.with_pattern(ours!(#hidden)))
            }
        };
        inputs.extend(declared.unwrap_or_else(|| param.to_token_stream()));
        inputs.extend(ours!(,));
    }
    let mut out = TokenStream::new();
    function.head_to_tokens(None, &mut out);
    regroup(&function.inputs, inputs).to_tokens(&mut out);
    let output = function.output.ty();
    let future = Ident::new("impl", Span::mixed_site());
    out.extend(ours!(-> #future ::core::future::Future<Output = #output>));
    out.extend(function.bounds.iter().cloned());
    Desugared { head: out, bind }
}
