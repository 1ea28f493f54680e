//! `#[ddtrace::test]`: what a test traces belongs to the test, and the test can have tags.
//!
//! It puts a guard before the body and leaves everything else as it is, so it goes above or below the attributes of other test
//! frameworks. `#[test]` is added if none of them makes the function a test.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

use crate::args::trace::path;
use crate::args::{Tag, Value, parse, tags};
use crate::error::{Error, Errors, Result};
use crate::expand::{Mode, facade, tag_text};
use crate::function::{self, Attr, Body, Function, Item};
use crate::tokens::{ours, regroup};

/// What `#[ddtrace::test(…)]` says.
#[derive(Default)]
struct TestArgs {
    tags: Vec<Tag>,
    unskippable: bool,
    path: Option<TokenStream>,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream, mode: Mode) -> TokenStream {
    match try_expand(args, item.clone(), mode) {
        Ok(tokens) => tokens,
        Err(error) => {
            let mut out = item;
            out.extend(error.into_compile_error());
            out
        }
    }
}

fn try_expand(args: TokenStream, item: TokenStream, mode: Mode) -> Result<TokenStream> {
    let args = TestArgs::parse(args)?;
    let mut function = match function::parse(item)? {
        Item::Function(function) => *function,
        Item::Block(block) => return Err(wrong_item(block.keyword.span())),
        Item::Other(_, span) => return Err(wrong_item(span)),
    };
    check(&function)?;
    let is_test = function.attrs.iter().any(makes_a_test);
    if mode == Mode::Full {
        begin(&mut function, &args);
    }
    if is_test {
        return Ok(function.into_token_stream());
    }
    Ok(ours!(#[::core::prelude::v1::test] #function))
}

impl TestArgs {
    fn parse(tokens: TokenStream) -> Result<TestArgs> {
        let mut args = TestArgs::default();
        let mut errors = Errors::default();
        for entry in parse(tokens, Span::call_site())? {
            let span = entry.span();
            match entry.key.to_string().as_str() {
                "tags" => match entry.value {
                    Value::List(list) => {
                        let tags = errors.note(tags::parse(list.stream(), list.span()));
                        args.tags = tags.unwrap_or_default();
                    }
                    _ => errors.push(Error::at(
                        span,
                        "`tags` needs a list: `tags(team = \"checkout\")`",
                    )),
                },
                "unskippable" => args.unskippable = errors.note(entry.flag()).is_some(),
                "crate" => {
                    let given = entry.expr("path::to::ddtrace").and_then(|it| path(&it));
                    args.path = errors.note(given);
                }
                unknown => errors.push(Error::at(
                    span,
                    format!("unknown option `{unknown}`; there are `tags`, `unskippable`, `crate`"),
                )),
            }
        }
        errors.finish()?;
        Ok(args)
    }
}

fn wrong_item(span: Span) -> Error {
    Error::at(span, "`#[ddtrace::test]` goes on functions")
}

fn check(function: &Function) -> Result<()> {
    if function.body.is_none() {
        return Err(Error::at(
            function.name.span(),
            "expected the body of a test",
        ));
    }
    let framework = function.attrs.iter().any(makes_a_test);
    if let (Some(asyncness), false) = (&function.asyncness, framework) {
        return Err(Error::at(
            asyncness.span(),
            "`#[ddtrace::test]` starts no runtime: put `#[tokio::test]`, or that of another one, below it",
        ));
    }
    Ok(())
}

/// Whether the attribute is that of a framework, which makes the function a test or calls it from one.
fn makes_a_test(attr: &Attr) -> bool {
    [
        "test",
        "rstest",
        "test_case",
        "case",
        "bench",
        "quickcheck",
        "proptest",
    ]
    .contains(&attr.name())
}

/// Puts the guard before the body.
fn begin(function: &mut Function, args: &TestArgs) {
    let Some(body) = function.body.take() else {
        return;
    };
    let facade = facade(args.path.as_ref());
    let private = ours!(#facade::__private);
    let (inner, rest) = function::attrs::hoist(body.tokens());
    function.attrs.extend(inner);
    let mut statements = ours!(let __dd_test = #facade::testing::begin(););
    for tag in &args.tags {
        let (key, value) = (&tag.key, tag_text(tag, &private));
        statements.extend(ours!(__dd_test.tag(#key, #value);));
    }
    if args.unskippable {
        statements.extend(ours!(__dd_test.tag("test.itr.unskippable", "true");));
    }
    statements.extend(rest);
    function.body = Some(Body::new(regroup(&body.braces, statements)));
}
