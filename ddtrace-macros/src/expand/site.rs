//! The static that stands for the place in the program.
//!
//! Every site is an element of the slice `DDTRACE_SITES` of the core, which the linker gathers. On Linux
//! the section attribute is written out: the attribute macro of `linkme` would cost the compiler more at
//! each function than all the rest of the expansion. Elsewhere the macro is used. Nothing is recorded at a
//! site that does not arrive in the slice, so every test of an attribute tests this, too.

use proc_macro2::{Literal, Span, TokenStream};

use super::Plan;
use super::values::static_options;
use crate::tokens::ours;

/// The site of a function.
pub(crate) fn site(plan: &Plan<'_>) -> TokenStream {
    let function = &plan.function.name;
    let text = function.to_string();
    let text = text.strip_prefix("r#").unwrap_or(&text);
    let path = match &plan.scope.type_name {
        Some(ty) => format!("{ty}::{text}"),
        None => text.to_owned(),
    };
    let literal = plan.args.name.as_ref().and_then(|name| name.as_text());
    let name = match (literal, plan.args.short_name) {
        (Some(literal), _) => ours!(#literal),
        (None, Some(_)) => ours!(#path),
        (None, None) => {
            let suffix = format!("::{path}");
            ours!(::core::concat!(::core::module_path!(), #suffix))
        }
    };
    let options = static_options(plan.args, &plan.private);
    site_static(&plan.private, &name, &path, &options, function.span())
}

/// `static __DD_SITE`, an element of the slice of all sites.
pub(crate) fn site_static(
    private: &TokenStream,
    name: &TokenStream,
    function: &str,
    options: &TokenStream,
    place: Span,
) -> TokenStream {
    // The compiler tells a macro where a token is since Rust 1.88; `line!()` is the attribute's line.
    let line = match place.start().line {
        0 => ours!(::core::line!()),
        line => {
            let line = Literal::usize_unsuffixed(line);
            ours!(#line)
        }
    };
    ours! {
        #[cfg_attr(target_os = "linux", used, unsafe(link_section = "linkme_DDTRACE_SITES"))]
        #[cfg_attr(
            not(target_os = "linux"),
            #private::linkme::distributed_slice(#private::DDTRACE_SITES),
            linkme(crate = #private::linkme)
        )]
        static __DD_SITE: #private::Site = #private::Site::new(
            #name, #function, ::core::module_path!(), ::core::file!(), #line
        )#options;
    }
}
