//! The attributes of `ddtrace`.
//!
//! Use them through the `ddtrace` crate, which documents them with examples. What they expand to are
//! paths of that crate; this one depends on nothing of ours.
//!
//! A walk through the source, in the order in which an attribute is expanded:
//!
//! 1. `args`: what the user wrote in the attribute. One grammar, one file per attribute.
//! 2. `function`, `block`: the item below it, read from its tokens. No syntax tree is made: attributes run
//!    unoptimised, once per function, in every build of every user.
//! 3. `layer`: several of our attributes on one item become one expansion.
//! 4. `check`: what can be said without types, said at the token at fault.
//! 5. `expand`: the tokens that the compiler sees.

#![forbid(unsafe_code)]

mod args;
mod block;
mod check;
mod dependencies;
mod entry;
mod error;
mod expand;
mod function;
mod git;
mod layer;
mod llm_macro;
mod main_fn;
mod span_macro;
mod test_fn;
mod tokens;

use proc_macro::TokenStream;

use expand::Mode;

/// What the `enabled` feature of the facade says.
const MODE: Mode = if cfg!(feature = "enabled") {
    Mode::Full
} else {
    Mode::Plain
};

/// Used through the crate `ddtrace`.
#[proc_macro_attribute]
pub fn trace(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::attribute("trace", args.into(), item.into(), MODE).into()
}

/// `#[trace]` that checks its arguments and leaves the function as it is.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn plain_trace(args: TokenStream, item: TokenStream) -> TokenStream {
    entry::attribute("trace", args.into(), item.into(), Mode::Plain).into()
}

/// The attributes of products: the real one, one that leaves the function as it is, and one that stands for it while the
/// product's feature is off.
macro_rules! of_products {
    ($($feature:literal: $($name:ident $plain:ident $missing:ident)*;)*) => {$($(
        /// Used through the crate `ddtrace`.
        #[proc_macro_attribute]
        pub fn $name(args: TokenStream, item: TokenStream) -> TokenStream {
            entry::attribute(stringify!($name), args.into(), item.into(), MODE).into()
        }

        /// The attribute checks its arguments and leaves the function as it is.
        #[doc(hidden)]
        #[proc_macro_attribute]
        pub fn $plain(args: TokenStream, item: TokenStream) -> TokenStream {
            entry::attribute(stringify!($name), args.into(), item.into(), Mode::Plain).into()
        }

        /// The attribute says that the feature of its product is off.
        #[doc(hidden)]
        #[proc_macro_attribute]
        pub fn $missing(_args: TokenStream, item: TokenStream) -> TokenStream {
            entry::missing(stringify!($name), $feature, item.into()).into()
        }
    )*)*};
}

of_products! {
    "data-streams":
        dsm_checkpoint plain_dsm_checkpoint missing_dsm_checkpoint
        dsm_transaction plain_dsm_transaction missing_dsm_transaction;
    "llmobs":
        llm plain_llm missing_llm
        workflow plain_workflow missing_workflow
        agent plain_agent missing_agent
        tool plain_tool missing_tool
        task plain_task missing_task
        embedding plain_embedding missing_embedding
        retrieval plain_retrieval missing_retrieval;
}

/// Used through the crate `ddtrace`.
#[proc_macro_attribute]
pub fn main(args: TokenStream, item: TokenStream) -> TokenStream {
    main_fn::expand(args.into(), item.into(), MODE, dependencies::embedded).into()
}

/// `#[main]` that leaves the function as it is.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn plain_main(args: TokenStream, item: TokenStream) -> TokenStream {
    main_fn::expand(
        args.into(),
        item.into(),
        Mode::Plain,
        dependencies::embedded,
    )
    .into()
}

/// Used through the crate `ddtrace`.
#[proc_macro_attribute]
pub fn test(args: TokenStream, item: TokenStream) -> TokenStream {
    test_fn::expand(args.into(), item.into(), MODE).into()
}

/// `#[ddtrace::test]` that only makes the function a test.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn plain_test(args: TokenStream, item: TokenStream) -> TokenStream {
    test_fn::expand(args.into(), item.into(), Mode::Plain).into()
}

/// Used through the crate `ddtrace`.
#[proc_macro]
pub fn span(input: TokenStream) -> TokenStream {
    span_macro::span(input.into(), MODE).into()
}

/// `span!` that makes a guard of nothing.
#[doc(hidden)]
#[proc_macro]
pub fn plain_span(input: TokenStream) -> TokenStream {
    span_macro::span(input.into(), Mode::Plain).into()
}

/// Used through the crate `ddtrace`.
#[proc_macro]
pub fn trace_block(input: TokenStream) -> TokenStream {
    span_macro::trace_block(input.into(), MODE).into()
}

/// `trace_block!` that only runs the block.
#[doc(hidden)]
#[proc_macro]
pub fn plain_trace_block(input: TokenStream) -> TokenStream {
    span_macro::trace_block(input.into(), Mode::Plain).into()
}

/// Used through the crate `ddtrace`.
#[proc_macro]
pub fn llm_block(input: TokenStream) -> TokenStream {
    llm_macro::expand(input.into(), MODE).into()
}

/// `llm_block!` that only runs the block.
#[doc(hidden)]
#[proc_macro]
pub fn plain_llm_block(input: TokenStream) -> TokenStream {
    llm_macro::expand(input.into(), Mode::Plain).into()
}

/// `llm_block!` that says that the feature of its product is off.
#[doc(hidden)]
#[proc_macro]
pub fn missing_llm_block(_input: TokenStream) -> TokenStream {
    llm_macro::missing().into()
}

/// Used through the crate `ddtrace`.
#[proc_macro]
pub fn dependencies(_input: TokenStream) -> TokenStream {
    dependencies::expand(MODE).into()
}

/// Used through the crate `ddtrace`.
#[proc_macro]
pub fn git_metadata(_input: TokenStream) -> TokenStream {
    git::expand(MODE).into()
}

/// `git_metadata!` that embeds nothing.
#[doc(hidden)]
#[proc_macro]
pub fn plain_git_metadata(_input: TokenStream) -> TokenStream {
    git::expand(Mode::Plain).into()
}

/// `dependencies!` that embeds nothing.
#[doc(hidden)]
#[proc_macro]
pub fn plain_dependencies(_input: TokenStream) -> TokenStream {
    dependencies::expand(Mode::Plain).into()
}
