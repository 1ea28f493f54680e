//! What annotated functions do, compared with what the same functions do without the attribute.
//!
//! Every file in `shapes` is compiled twice from one source: below [`plain`], where `trace` is an attribute that hands the
//! item back as it is, and below [`traced`], where it is ours. A [`Case`] runs a function and returns what it saw; results
//! and the order in which values were dropped must be the same in both. The spans that the traced one made are then
//! compared with what the case says.

#![deny(warnings, clippy::all, missing_docs, unsafe_code)]
#![allow(
    clippy::duplicate_mod,
    reason = "each shape is compiled with and without spans"
)]

mod harness;
mod vectors;

/// All files of shapes, so that both modules have the same.
macro_rules! shapes {
    () => {
        pub(crate) use crate::harness;

        pub(crate) mod asynchronous;
        pub(crate) mod blocks;
        pub(crate) mod boxed;
        pub(crate) mod drops;
        pub(crate) mod errors;
        pub(crate) mod generated;
        pub(crate) mod generics;
        pub(crate) mod methods;
        pub(crate) mod streams;
        pub(crate) mod synchronous;
        pub(crate) mod values;
    };
}

/// The shapes without spans.
#[path = "shapes"]
mod plain {
    pub(crate) use ddtrace_macros::plain_trace as trace;

    shapes!();
}

/// The shapes with spans.
#[path = "shapes"]
mod traced {
    pub(crate) use ddtrace::trace;

    shapes!();
}

/// One test per file of shapes.
macro_rules! compare {
    ($($file:ident: $test:ident,)*) => {
        $(
            #[test]
            fn $test() {
                harness::compare(plain::$file::cases(), traced::$file::cases());
            }
        )*

        #[test]
        fn the_corpus_has_sixty_shapes() {
            let count: usize = [$(traced::$file::cases().len()),*].iter().sum();
            assert!(count >= 60, "{count} shapes");
        }
    };
}

compare! {
    asynchronous: async_functions_do_the_same,
    blocks: blocks_and_modules_do_the_same,
    boxed: boxed_and_opaque_futures_do_the_same,
    drops: values_are_dropped_in_the_same_order,
    errors: errors_come_back_the_same,
    generated: functions_from_macros_do_the_same,
    generics: generic_functions_do_the_same,
    methods: methods_do_the_same,
    streams: streams_and_iterators_do_the_same,
    synchronous: functions_do_the_same,
    values: captured_values_are_on_the_span,
}
