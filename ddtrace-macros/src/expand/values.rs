//! Options whose values are known to the compiler (they go into the site) and those that are computed
//! from the arguments (they are set on the span).

use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote_spanned;

use super::Plan;
use crate::args::{Expr, Form, Tag, TraceArgs};
use crate::function::Params;
use crate::tokens::{located_at, ours, ours_at};

/// `.with_service("…")` and so on, for literals.
pub(crate) fn static_options(args: &TraceArgs, private: &TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    for (setter, expr) in [
        ("with_resource", &args.resource),
        ("with_service", &args.service),
        ("with_span_type", &args.span_type),
    ] {
        if let Some(text) = expr.as_ref().and_then(Expr::as_text) {
            let setter = Ident::new(setter, Span::mixed_site());
            out.extend(ours!(.#setter(#text)));
        }
    }
    if let Some(kind) = &args.kind {
        let variant = &kind.variant;
        out.extend(ours!(.with_kind(#private::SpanKind::#variant)));
    }
    out
}

/// What is set on `__dd_span` when it begins; empty if there is nothing.
pub(crate) fn at_start(plan: &Plan<'_>) -> TokenStream {
    let private = &plan.private;
    let args = plan.args;
    let mut out = TokenStream::new();
    for (setter, expr) in [
        ("set_name", &args.name),
        ("set_resource", &args.resource),
        ("set_service", &args.service),
        ("set_type", &args.span_type),
    ] {
        let Some(expr) = expr.as_ref().filter(|expr| expr.as_text().is_none()) else {
            continue;
        };
        let setter = Ident::new(setter, Span::mixed_site());
        out.extend(ours!(__dd_span.#setter(&#private::probe(&#expr).capture().text());));
    }
    if let Some(link) = &args.link {
        let span = ours_at(link.span());
        out.extend(quote_spanned!(span=> __dd_span.add_link(::core::convert::Into::into(#link));));
    }
    let tags: Vec<TokenStream> = captured_arguments(plan)
        .chain(args.tags.iter().map(|tag| tag_value(tag, private)))
        .collect();
    if !tags.is_empty() {
        out.extend(ours!(__dd_span.set_tags(&[#(#tags),*]);));
    }
    out
}

/// `set_tags` for a list of tags; empty if the list is.
pub(crate) fn set_tags(tags: &[Tag], private: &TokenStream) -> TokenStream {
    if tags.is_empty() {
        return TokenStream::new();
    }
    let tags = tags.iter().map(|tag| tag_value(tag, private));
    ours!(__dd_span.set_tags(&[#(#tags),*]);)
}

/// The value of a tag as a `&str`.
pub(crate) fn tag_text(tag: &Tag, private: &TokenStream) -> TokenStream {
    if let (Form::Best, Some(text)) = (tag.form, tag.value.as_text()) {
        return ours!(#text);
    }
    let captured = captured(tag, private);
    ours!(&#captured.text())
}

fn tag_value(tag: &Tag, private: &TokenStream) -> TokenStream {
    let key = &tag.key;
    let value = match (tag.form, tag.value.as_text()) {
        (Form::Best, Some(text)) => ours!(#private::Value::Static(#text)),
        _ => {
            let captured = captured(tag, private);
            ours!(#captured.value())
        }
    };
    ours!(#private::Tag { key: #key, value: #value })
}

/// The value of a tag, as core captures it.
fn captured(tag: &Tag, private: &TokenStream) -> TokenStream {
    let value = &tag.value;
    let function = match tag.form {
        Form::Best => return ours!(#private::probe(&#value).capture()),
        Form::Display => "display",
        Form::Debug => "debug",
    };
    let span = ours_at(value.span());
    let private = located_at(private, span);
    let function = Ident::new(function, span);
    quote_spanned!(span=> #private::#function(&#value))
}

/// `args(a, b)` and `args_all`: tags `args.<name>`, so that no parameter can pose as a tag that means
/// something (`env`, `version`, `error`).
fn captured_arguments(plan: &Plan<'_>) -> impl Iterator<Item = TokenStream> {
    let args = plan.args;
    let names: Vec<Ident> = if args.args_all.is_some() {
        let mut names = Params::new(&plan.function.inputs).names();
        names.retain(|name| !args.skip.iter().any(|skip| skip == name));
        names
    } else {
        args.args.clone()
    };
    let private = plan.private.clone();
    names.into_iter().map(move |name| {
        let text = name.to_string();
        let key = format!("args.{}", text.strip_prefix("r#").unwrap_or(&text));
        let mut key = Literal::string(&key);
        key.set_span(name.span());
        ours!(#private::Tag { key: #key, value: #private::probe(&#name).capture().value() })
    })
}
