//! What `#[llm]` and its kin add: the function's span is one of LLM Observability, too, with its input and output.
//!
//! The span itself is core's. What is recorded for the product begins and ends within it: on the stack of a function that
//! returns when it is done, in a future, stream or iterator around what works later. Everything that the options ask for
//! stands behind `is_recording()`, which is one test of a word while the product is off.

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote_spanned;

use super::Plan;
use super::outcome::Outcome;
use super::values::tag_text;
use crate::args::llm::{Form, Items};
use crate::args::{Expr, LlmArgs, Shape, TraceArgs};
use crate::function::output::{Fallible, fallible};
use crate::function::{Function, Params};
use crate::tokens::{is_ident, located_at, ours, ours_at};

/// Completes the options of the span, or makes them if the function has no span of its own.
pub(crate) fn add_to_span(
    span: &mut TraceArgs,
    has_span: bool,
    args: &LlmArgs,
    function: &Function,
    private: &TokenStream,
) {
    if !has_span {
        span.name = Some(Expr::made(name(args, function)));
        let kind = Literal::string(args.kind.name());
        span.resource = Some(Expr::made(ours!(#kind)));
        span.span_type = Some(Expr::made(ours!("llm")));
        span.enabled = Some(Expr::made(ours!(#private::llm::is_on())));
    }
    if span.err.is_default() {
        span.err = args.err.clone();
    }
    span.propagate = span.propagate.or(args.propagate);
    if let (None, Some((_, place)), None) = (span.shape, args.stream, &function.asyncness) {
        if function.output.shape().is_none() && may_yield(function) {
            let iterator = function
                .output
                .tokens()
                .iter()
                .any(|token| is_ident(token, "Iterator"));
            let shape = if iterator {
                Shape::Iterator
            } else {
                Shape::Stream
            };
            span.shape = Some((shape, place));
        }
    }
}

/// Whether the return type may be a stream or an iterator: it is none of the usual others.
fn may_yield(function: &Function) -> bool {
    let ty = function.output.ty();
    let first = ty.clone().into_iter().next();
    fallible(&ty) != Fallible::No
        || first.is_some_and(|first| {
            ["impl", "Pin", "Box", "std", "core"]
                .iter()
                .any(|name| is_ident(&first, name))
        })
}

/// The name that is known to the compiler: the one that was given as text, else the function's.
fn name(args: &LlmArgs, function: &Function) -> TokenStream {
    match args.name.as_ref().and_then(Expr::as_text) {
        Some(text) => ours!(#text),
        None => {
            let name = function.name.to_string();
            let mut name = Literal::string(name.strip_prefix("r#").unwrap_or(&name));
            name.set_span(function.name.span());
            ours!(#name)
        }
    }
}

/// `static __DD_LLM`.
pub(crate) fn call(args: &LlmArgs, plan: &Plan<'_>) -> TokenStream {
    let private = &plan.private;
    let name = name(args, plan.function);
    let kind = Ident::new(args.kind.variant(), Span::mixed_site());
    ours! {
        static __DD_LLM: #private::llm::Call =
            #private::llm::Call::new(#private::llm::Kind::#kind, #name);
    }
}

/// What begins the recording, with the function's span being the active one. `on` tells of a span that exists only while
/// the product is on whether it is there: nothing is looked up a second time.
pub(crate) fn begin(plan: &Plan<'_>, on: &TokenStream) -> TokenStream {
    let private = &plan.private;
    let on = is_on(plan, on);
    ours!(#private::llm::begin(#on, &__DD_LLM, &__DD_SITE))
}

fn is_on(plan: &Plan<'_>, on: &TokenStream) -> TokenStream {
    let private = &plan.private;
    match plan.of_kind {
        true => on.clone(),
        false => ours!(#private::llm::is_on()),
    }
}

/// What is recorded before the body runs, on `__dd_llm`; empty if there is nothing.
pub(crate) fn at_start(args: &LlmArgs, plan: &Plan<'_>) -> TokenStream {
    let private = &plan.private;
    let mut out = TokenStream::new();
    for (setter, expr) in texts(args) {
        let dynamic_name = setter != "set_name" || expr.as_text().is_none();
        if !expr.is_closure() && dynamic_name {
            let text = text(expr, private);
            let setter = Ident::new(setter, Span::mixed_site());
            out.extend(ours!(__dd_llm.#setter(#text);));
        }
    }
    for tag in args.tags.iter().filter(|tag| !tag.value.is_closure()) {
        let (key, value) = (&tag.key, tag_text(tag, private));
        out.extend(ours!(__dd_llm.set_tag(#key, #value);));
    }
    for tag in args.metadata.iter().filter(|tag| !tag.value.is_closure()) {
        let (key, value) = (&tag.key, captured(&tag.value, private));
        out.extend(ours!(__dd_llm.set_metadata(#key, #value);));
    }
    match &args.input {
        Some((form, expr)) => {
            let value = captured(expr, private);
            out.extend(set("input", *form, &value, private));
        }
        None if args.io.input => out.extend(arguments(args, plan)),
        None => {}
    }
    match out.is_empty() {
        true => out,
        false => ours!(if __dd_llm.is_recording() { #out }),
    }
}

/// The options that are text, with the methods that set them.
fn texts(args: &LlmArgs) -> impl Iterator<Item = (&'static str, &Expr)> {
    [
        ("set_name", &args.name),
        ("set_session_id", &args.session_id),
        ("set_ml_app", &args.ml_app),
        ("set_model_name", &args.model_name),
        ("set_model_provider", &args.model_provider),
        ("set_version", &args.version),
    ]
    .into_iter()
    .filter_map(|(setter, expr)| Some((setter, expr.as_ref()?)))
}

/// All arguments that are not left out.
fn arguments(args: &LlmArgs, plan: &Plan<'_>) -> TokenStream {
    let private = &plan.private;
    let mut names = Params::new(&plan.function.inputs).names();
    names.retain(|name| !args.skip.iter().any(|skip| skip == name));
    if names.is_empty() {
        return TokenStream::new();
    }
    let pairs = names.iter().map(|name| {
        let text = name.to_string();
        let text = text.strip_prefix("r#").unwrap_or(&text);
        ours!((#text, #private::llm::capture(&#name).captured()))
    });
    ours! {
        __dd_llm.set_input(
            #private::llm::Form::Auto,
            #private::llm::arguments([#(#pairs),*]),
        );
    }
}

/// What is recorded of the value in `__dd_ret`, on `__dd_llm`.
pub(crate) fn at_return(args: &LlmArgs, plan: &Plan<'_>, outcome: &Outcome) -> TokenStream {
    read(args, plan, &ours!(&__dd_ret), outcome.looks_for_errors())
}

/// The same of the value behind the reference `ret`.
fn read(args: &LlmArgs, plan: &Plan<'_>, ret: &TokenStream, looks_for_errors: bool) -> TokenStream {
    let private = &plan.private;
    let failure = looks_for_errors.then(|| of_failure(plan, ret));
    let failure = failure.filter(|failure| !failure.is_empty());
    let success = of_value(args, plan, &ours!(__dd_value));
    let success = (!success.is_empty()).then(|| {
        ours! {
            if let ::core::option::Option::Some(__dd_value) = #private::outcome(#ret).value() { #success }
        }
    });
    if failure.is_none() && success.is_none() {
        return TokenStream::new();
    }
    ours!(if __dd_llm.is_recording() { #failure #success })
}

/// What is recorded of a value that is no error, behind the reference `value`.
fn of_value(args: &LlmArgs, plan: &Plan<'_>, value: &TokenStream) -> TokenStream {
    let private = &plan.private;
    let mut out = TokenStream::new();
    for (setter, expr) in texts(args).filter(|(_, expr)| expr.is_closure()) {
        let applied = applied(expr, value, private);
        let setter = Ident::new(setter, Span::mixed_site());
        out.extend(ours!(__dd_llm.#setter(&#private::probe(&#applied).capture().text());));
    }
    for tag in args.tags.iter().filter(|tag| tag.value.is_closure()) {
        let (key, applied) = (&tag.key, applied(&tag.value, value, private));
        out.extend(ours!(__dd_llm.set_tag(#key, &#private::probe(&#applied).capture().text());));
    }
    for tag in args.metadata.iter().filter(|tag| tag.value.is_closure()) {
        let (key, applied) = (&tag.key, applied(&tag.value, value, private));
        out.extend(
            ours!(__dd_llm.set_metadata(#key, #private::llm::capture(&#applied).captured());),
        );
    }
    if let Some(metrics) = &args.metrics {
        let applied = applied(metrics, value, private);
        let span = ours_at(metrics.span());
        out.extend(quote_spanned!(span=> __dd_llm.set_metrics(#applied);));
    }
    match &args.output {
        Some((form, function)) => {
            let applied = applied(function, value, private);
            let applied = ours!(#private::llm::capture(&#applied).captured());
            out.extend(set("output", *form, &applied, private));
        }
        None if args.io.output && !returns_nothing(plan) => {
            out.extend(ours! {
                __dd_llm.set_output(
                    #private::llm::Form::Auto,
                    #private::llm::capture(#value).captured(),
                );
            });
        }
        None => {}
    }
    out
}

/// Whether the return type is left out.
fn returns_nothing(plan: &Plan<'_>) -> bool {
    plan.function.output.tokens().is_empty()
}

/// The future, with the recording around it.
pub(crate) fn around(
    args: &LlmArgs,
    plan: &Plan<'_>,
    future: &TokenStream,
    outcome: &Outcome,
) -> TokenStream {
    let private = &plan.private;
    let read = read(args, plan, &ours!(__dd_ret), outcome.looks_for_errors());
    let on = is_on(plan, &ours!(__dd_on));
    ours! {
        #private::llm::within(
            #on,
            &__DD_LLM,
            &__DD_SITE,
            #future,
            |__dd_ret, __dd_llm: &#private::llm::Recording| { #read },
        )
    }
}

/// `let __dd_value = …`: the future, stream or iterator that the function returns, with the recording around it.
pub(crate) fn around_returned(
    args: &LlmArgs,
    plan: &Plan<'_>,
    shape: Shape,
    yielded: &TokenStream,
) -> TokenStream {
    let private = &plan.private;
    let wrapper = match shape {
        Shape::Future => {
            let looks_for_errors = !plan.args.err.off && fallible(yielded) != Fallible::No
                || plan.args.err.explicit.is_some();
            let read = read(args, plan, &ours!(__dd_ret), looks_for_errors);
            return ours! {
                let __dd_value = #private::llm::future(
                    __dd_llm,
                    __dd_value,
                    |__dd_ret, __dd_llm: &#private::llm::Recording| { #read },
                );
            };
        }
        Shape::Stream => ours!(stream),
        Shape::Iterator => ours!(iter),
    };
    let items = items(args, plan);
    ours! {
        let __dd_value = #private::llm::#wrapper(__dd_llm, __dd_value, #items);
    }
}

/// The closure that sees every item of a stream.
pub(crate) fn items(args: &LlmArgs, plan: &Plan<'_>) -> TokenStream {
    let private = &plan.private;
    let items = match args.stream {
        Some((Items::Off, _)) => None,
        None if !args.io.output => None,
        Some((Items::Text, place)) => {
            // An item that is no text is an error at the option.
            let place = ours_at(place);
            let private = located_at(private, place);
            Some(quote_spanned!(place=> __dd_items.text(#private::llm::as_text(__dd_value));))
        }
        Some((Items::Json, _)) => {
            Some(ours!(__dd_items.json(#private::llm::capture(__dd_value).captured());))
        }
        None => Some(ours!(__dd_items.any(#private::llm::capture(__dd_value).captured());)),
    };
    let items = items.map(|items| {
        ours! {
            if let ::core::option::Option::Some(__dd_value) = #private::outcome(__dd_item).value() { #items }
        }
    });
    let failure = (!plan.args.err.off).then(|| {
        ours! {
            if let ::core::option::Option::Some(__dd_error) = #private::outcome(__dd_item).error() {
                __dd_items.fail(#private::error(__dd_error).view());
            }
        }
    });
    ours!(|__dd_item, __dd_items: &mut #private::llm::Items| { #failure #items })
}

/// What is recorded of the error behind the reference `ret`, if it is one.
pub(crate) fn of_failure(plan: &Plan<'_>, ret: &TokenStream) -> TokenStream {
    let private = &plan.private;
    let err = &plan.args.err;
    if err.off || err.handled {
        return TokenStream::new();
    }
    let record = ours!(__dd_llm.fail(#private::error(__dd_error).view()););
    let record = match &err.filter {
        Some(filter) => {
            let span = ours_at(filter.span());
            let private = located_at(private, span);
            let test = quote_spanned!(span=> #private::apply(__dd_error, #filter));
            ours!(if #test { #record })
        }
        None => record,
    };
    ours! {
        if let ::core::option::Option::Some(__dd_error) = #private::outcome(#ret).error() { #record }
    }
}

/// `__dd_llm.set_input(form, value);` and its like.
fn set(what: &str, form: Form, value: &TokenStream, private: &TokenStream) -> TokenStream {
    let form = match form {
        Form::Prompt => return ours!(__dd_llm.set_prompt(#value);),
        Form::Given => "Given",
        Form::Messages => "Messages",
        Form::Documents => "Documents",
    };
    let setter = Ident::new(&format!("set_{what}"), Span::mixed_site());
    let form = Ident::new(form, Span::mixed_site());
    ours!(__dd_llm.#setter(#private::llm::Form::#form, #value);)
}

/// A function of the user's, called with a reference; it may be a closure without types.
fn applied(function: &Expr, value: &TokenStream, private: &TokenStream) -> TokenStream {
    let span = ours_at(function.span());
    let private = located_at(private, span);
    quote_spanned!(span=> #private::apply(#value, #function))
}

fn captured(expr: &Expr, private: &TokenStream) -> TokenStream {
    let span = ours_at(expr.span());
    let private = located_at(private, span);
    quote_spanned!(span=> #private::llm::capture(&#expr).captured())
}

fn text(expr: &Expr, private: &TokenStream) -> TokenStream {
    match expr.as_text() {
        Some(text) => ours!(#text),
        None => {
            let span = ours_at(expr.span());
            let private = located_at(private, span);
            quote_spanned!(span=> &#private::probe(&#expr).capture().text())
        }
    }
}
