//! Every message that the attributes emit, and what rustc says about the user's mistakes through an expansion: the arrow
//! has to be at the user's token.
//!
//! `TRYBUILD=overwrite cargo test -p ddtrace-ui-tests --test ui` writes the messages anew. They are those of the stable
//! compiler of the day; another one may phrase its own part differently.

/// One test for all: they share a build.
#[test]
fn messages_are_as_they_were_reviewed() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    cases.compile_fail("ui/*.rs");
}
