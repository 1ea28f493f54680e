//! Whether what was asked for fits what it was asked of.
//!
//! Everything that can be known from the tokens is said here, at the token at fault; what needs types
//! is left to rustc, and the expansion sees to it that the arrow is at the user's code.

use proc_macro2::{Span, TokenTree};

use crate::args::{CheckpointArgs, Direction, Expr, LlmArgs, RetCapture, Shape, TraceArgs};
use crate::error::{Error, Errors, Result};
use crate::function::body::boxed_tail;
use crate::function::params::Pattern;
use crate::function::{Block, Function, Params};
use crate::layer::Layers;
use crate::tokens::{is_ident, is_punct};

/// Our attributes on a function. Inherited options come from the block around it and may name
/// parameters that this function does not have.
pub(crate) fn function(
    function: &Function,
    attribute: &str,
    of_span: Option<&TraceArgs>,
    layers: &Layers,
    shape: Option<Shape>,
) -> Result<()> {
    let mut errors = Errors::default();
    let mut refuse = |span: Span, text: String| errors.push(Error::at(span, text));
    item(function, attribute, &mut refuse);
    if let Some(args) = of_span {
        span(function, args, shape, &mut refuse);
    }
    if let Some(args) = &layers.checkpoint {
        checkpoint(function, args, shape, &mut refuse);
    }
    if let Some(args) = &layers.kind {
        llm(function, args, shape, &mut refuse);
    }
    errors.finish()
}

/// Whether the function can be annotated at all.
fn item(function: &Function, attribute: &str, refuse: &mut impl FnMut(Span, String)) {
    if function.body.is_none() {
        refuse(
            function.name.span(),
            format!(
                "`{0}` has no body to trace: give it a default body, or put `#[{attribute}]` on `{0}` in the `impl`",
                function.name
            ),
        );
    }
    if let Some(constness) = &function.constness {
        refuse(
            constness.span(),
            format!(
                "a `const fn` can run in the compiler, where there is nothing to trace: remove `const` or `#[{attribute}]`"
            ),
        );
    }
    if let Some((span, abi)) = interrupt_abi(function) {
        refuse(
            span,
            format!(
                "a function with the ABI {abi} must not call a tracer: remove `#[{attribute}]`"
            ),
        );
    }
    if function.has_attr("naked") {
        refuse(
            function.name.span(),
            format!("a naked function has no room for a span: remove `#[{attribute}]`"),
        );
    }
}

/// `#[trace]`, or the span that another attribute makes.
fn span(
    function: &Function,
    args: &TraceArgs,
    shape: Option<Shape>,
    refuse: &mut impl FnMut(Span, String),
) {
    if let (Some(_), Some(span)) = (&args.name, args.short_name) {
        refuse(
            span,
            "`name` and `short_name` exclude each other, keep one of them".to_owned(),
        );
    }
    if let (Some(_), Some(span)) = (&args.parent, args.root) {
        refuse(
            span,
            "a span with a `parent` is no `root`, keep one of them".to_owned(),
        );
    }
    if let Some(span) = args.skip_item {
        refuse(
            span,
            "a bare `skip` leaves out an item of an annotated `impl` or `mod`; to leave out parameters write `skip(a, b)`"
                .to_owned(),
        );
    }
    for (name, span) in [
        ("recursive", args.recursive),
        ("include", first(&args.include)),
    ] {
        if let Some(span) = span {
            refuse(
                span,
                format!("`{name}` is for `#[trace]` on an `impl` block or a module"),
            );
        }
    }
    parameters(function, args, refuse);
    returned(function, args, shape, refuse);
}

/// `#[dsm_checkpoint]`.
fn checkpoint(
    function: &Function,
    args: &CheckpointArgs,
    shape: Option<Shape>,
    refuse: &mut impl FnMut(Span, String),
) {
    if let (Direction::Produce, Some(carrier)) = (
        args.direction,
        args.carrier.as_ref().and_then(Expr::as_ident),
    ) {
        let params = Params::new(&function.inputs);
        let owned = params.list.iter().find(|param| {
            matches!(&param.pattern, Pattern::Name { name, .. } if *name == carrier)
                && !param.ty.first().is_some_and(|first| is_punct(first, '&'))
        });
        if owned.is_some() {
            refuse(
                carrier.span(),
                format!(
                    "`{carrier}` belongs to `{0}`, and what is written into it may be lost with it: take it as `&mut`, or, if \
                     `{0}` sends it on, write `carrier = &mut {carrier}`",
                    function.name
                ),
            );
        }
    }
    if let (Some(span), Some(_), None) = (args.at_end, shape, &function.asyncness) {
        let is_boxed = function.body.as_ref().and_then(boxed_tail).is_some();
        if !is_boxed {
            refuse(
                span,
                "what this function returns works after its end: `at = end` needs an `async fn` or a function that returns a value"
                    .to_owned(),
            );
        }
    }
}

/// `#[llm]` and its kin.
fn llm(
    function: &Function,
    args: &LlmArgs,
    shape: Option<Shape>,
    refuse: &mut impl FnMut(Span, String),
) {
    let names = Params::new(&function.inputs).names();
    for skip in &args.skip {
        if !names.iter().any(|name| name == skip) {
            refuse(
                skip.span(),
                format!("`{}` has no parameter `{skip}`", function.name),
            );
        }
    }
    if let (Some(span), true) = (first(&args.skip), args.input.is_some() || !args.io.input) {
        refuse(
            span,
            format!(
                "no argument of `{}` is captured, so there is none to skip: `io = \"both\"` captures them",
                function.name
            ),
        );
    }
    let items = matches!(shape, Some(Shape::Stream | Shape::Iterator))
        || function.output.stream_in_result().is_some();
    if let (Some((_, span)), false) = (args.stream, items) {
        refuse(
            span,
            format!("`{}` returns no stream and no iterator", function.name),
        );
    }
    if items {
        for (name, span) in args.asks_result() {
            refuse(
                span,
                format!(
                    "a stream has no single result for `{name}` to look at: call `ddtrace::llmobs::annotate` where the stream ends"
                ),
            );
        }
    }
    let traits = args.metadata.iter().chain(&args.tags);
    for tag in traits.filter(|tag| tag.form != crate::args::Form::Best) {
        if tag.value.is_closure() {
            refuse(
                tag.value.span(),
                "`%` and `?` are for values; let the closure return text".to_owned(),
            );
        }
    }
    if let (Some((_, function_of)), None, None) = (
        &args.output,
        function.output.span(),
        shape.filter(|_| function.asyncness.is_none()),
    ) {
        refuse(
            function_of.span(),
            format!("`{}` returns nothing, so there is no output", function.name),
        );
    }
}

/// `args`, `args_all` and `skip`.
fn parameters(function: &Function, args: &TraceArgs, refuse: &mut impl FnMut(Span, String)) {
    if let (Some(span), false) = (args.args_all, args.args.is_empty()) {
        refuse(
            span,
            "`args_all` already holds what `args(…)` lists, keep one of them".to_owned(),
        );
    }
    if args.args_all.is_none() {
        if let Some(span) = first(&args.skip) {
            refuse(
                span,
                "`skip(…)` takes parameters out of `args_all`; without it no argument is captured"
                    .to_owned(),
            );
        }
    }
    if args.args.is_empty() && args.skip.is_empty() {
        return;
    }
    let names = Params::new(&function.inputs).names();
    for asked in args.args.iter().chain(&args.skip) {
        if !names.iter().any(|name| name == asked) {
            refuse(
                asked.span(),
                format!("`{}` has no parameter `{asked}`", function.name),
            );
        }
    }
}

/// What is said about the value that comes back.
fn returned(
    function: &Function,
    args: &TraceArgs,
    shape: Option<Shape>,
    refuse: &mut impl FnMut(Span, String),
) {
    let ret = args.ret.as_ref().map(|ret| match ret {
        RetCapture::Value(span) => *span,
        RetCapture::With(expr) => expr.span(),
    });
    if let (Some((_, span)), Some(_)) = (args.shape, &function.asyncness) {
        refuse(
            span,
            "an `async fn` is a future already: remove this option".to_owned(),
        );
    }
    if let Some(span) = args.enter_on_poll {
        if shape != Some(Shape::Future) {
            refuse(
                span,
                "`enter_on_poll` needs an `async fn` or a function that returns a future"
                    .to_owned(),
            );
        }
    }
    if let Some(shape @ (Shape::Stream | Shape::Iterator)) = shape {
        let what = if shape == Shape::Stream {
            "a stream"
        } else {
            "an iterator"
        };
        for (name, span) in [("ret", ret), ("err", args.err.explicit)] {
            if let Some(span) = span {
                refuse(
                    span,
                    format!("{what} has no single result for `{name}` to look at"),
                );
            }
        }
    } else if shape != Some(Shape::Future) || function.asyncness.is_some() {
        if let (Some(span), None) = (args.err.explicit, function.output.span()) {
            refuse(
                span,
                format!(
                    "`{}` returns nothing, so there is no error to record",
                    function.name
                ),
            );
        }
    }
    if args.enter_on_poll.is_some() {
        for (name, span) in [("ret", ret), ("err", args.err.explicit)] {
            if let Some(span) = span {
                refuse(
                    span,
                    format!(
                        "with `enter_on_poll` there is a span for each poll and none for the result: remove `{name}`"
                    ),
                );
            }
        }
    }
}

/// `#[trace]` on an `impl` block or a module.
pub(crate) fn block(block: &Block, args: &TraceArgs) -> Result<()> {
    let mut errors = Errors::default();
    let module = block.keyword == "mod";
    if module && block.contents.is_none() {
        errors.push(Error::at(
            block.keyword.span(),
            "the functions of this module are in another file, where `#[trace]` does not see them: annotate them there",
        ));
    }
    let one = |expr: &Option<Expr>| expr.as_ref().map(Expr::span);
    for (name, span) in [
        ("name", one(&args.name)),
        ("resource", one(&args.resource)),
        ("parent", one(&args.parent)),
        ("link", one(&args.link)),
        ("args", first(&args.args)),
        (
            "future",
            args.shape
                .filter(|(shape, _)| *shape == Shape::Future)
                .map(|(_, span)| span),
        ),
        (
            "stream",
            args.shape
                .filter(|(shape, _)| *shape == Shape::Stream)
                .map(|(_, span)| span),
        ),
        (
            "iter",
            args.shape
                .filter(|(shape, _)| *shape == Shape::Iterator)
                .map(|(_, span)| span),
        ),
        ("enter_on_poll", args.enter_on_poll),
        ("err", args.err.explicit),
        (
            "ret",
            match &args.ret {
                Some(RetCapture::With(expr)) => Some(expr.span()),
                _ => None,
            },
        ),
    ] {
        if let Some(span) = span {
            errors.push(Error::at(
                span,
                format!(
                    "`{name}` is about one function: write `#[trace({name} …)]` on that function"
                ),
            ));
        }
    }
    if let (Some(span), false) = (args.recursive, module) {
        errors.push(Error::at(
            span,
            "`recursive` is for modules: an `impl` block has no modules in it",
        ));
    }
    if let Some(span) = args.skip_item {
        errors.push(Error::at(
            span,
            "without `#[trace]` nothing here is traced: remove the attribute",
        ));
    }
    errors.finish()
}

/// An attribute that is about one function, on a block of them.
pub(crate) fn block_of_functions(attribute: &str, block: &Block) -> Error {
    Error::at(
        block.keyword.span(),
        format!("`#[{attribute}]` is about one function: put it on the functions in here"),
    )
}

/// An item that is neither.
pub(crate) fn other(attribute: &str, keyword: Option<&proc_macro2::Ident>, span: Span) -> Error {
    let what = match keyword {
        Some(keyword) => format!("; found `{keyword}`"),
        None => String::new(),
    };
    let places = match attribute {
        "trace" => "functions, methods, `impl` blocks and inline modules",
        _ => "functions and methods",
    };
    Error::at(span, format!("`#[{attribute}]` goes on {places}{what}"))
}

/// Handlers that the processor calls, whose frame the compiler lays out.
fn interrupt_abi(function: &Function) -> Option<(Span, String)> {
    let at = function
        .qualifiers
        .iter()
        .position(|token| is_ident(token, "extern"))?;
    match function.qualifiers.get(at + 1) {
        Some(TokenTree::Literal(abi)) => {
            let text = abi.to_string();
            let interrupt =
                text.contains("interrupt") || text.contains("kernel") || text.contains("custom");
            interrupt.then(|| (abi.span(), text))
        }
        _ => None,
    }
}

fn first(idents: &[proc_macro2::Ident]) -> Option<Span> {
    idents.first().map(proc_macro2::Ident::span)
}
