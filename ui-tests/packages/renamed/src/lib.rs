//! The dependency has another name; one line in the crate root gives it back the one that the attributes use.

#![deny(warnings)]

extern crate dd as ddtrace;

/// A span.
#[dd::trace]
pub fn f(n: u8) -> Result<u8, String> {
    if n == 0 {
        return Err("zero".to_owned());
    }
    Ok(n)
}

#[test]
fn a_renamed_dependency_works() {
    let recorder = dd::test_support::Recorder::new();
    let _ = f(0);
    let spans = recorder.take();
    assert_eq!(spans[0].name, "renamed::f");
    assert!(spans[0].error);
}
