//! What is captured of which type.

use super::*;
use serde::Serializer;

struct Displayed;
impl fmt::Display for Displayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shown")
    }
}

#[derive(Serialize)]
struct Serialized {
    a: u8,
    b: Option<u8>,
}

#[derive(Debug)]
#[allow(dead_code)] // Read by `Debug` only.
struct Debugged(u8);

struct Opaque;

struct Panics;
impl fmt::Display for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("by design")
    }
}
#[derive(Clone)]
struct PanicsInDebug;
impl fmt::Debug for PanicsInDebug {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("by design")
    }
}
struct PanicsInSerialize;
impl Serialize for PanicsInSerialize {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("by design")
    }
}
struct Refuses;
impl Serialize for Refuses {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}

const ABSENT: Captured<'_> = Captured::Value(Value::Absent);

fn shown(text: &str) -> Captured<'_> {
    Captured::Text(text.to_owned())
}

fn borrowed(text: &str) -> Captured<'_> {
    Captured::Value(Value::Text(text))
}

#[test]
fn the_best_that_a_type_has_is_captured() {
    let text = String::from("text");
    assert_eq!(probe(&7_u8).capture(), Captured::Integer(7));
    assert_eq!(probe(&&&-7_i64).capture(), Captured::Integer(-7));
    assert_eq!(
        probe(&1.5_f32).capture(),
        Captured::Value(Value::Number(1.5))
    );
    assert_eq!(
        probe(&true).capture(),
        Captured::Value(Value::Static("true"))
    );
    assert_eq!(probe("text").capture(), borrowed("text"));
    assert_eq!(probe(&text).capture(), borrowed("text"));
    assert_eq!(probe(&Some(&text)).capture(), borrowed("text"));
    assert_eq!(probe(&Cow::Borrowed("text")).capture(), borrowed("text"));
    assert_eq!(probe(&None::<u8>).capture(), ABSENT);
    assert_eq!(probe(&'c').capture(), shown("c"));
    assert_eq!(probe(&Displayed).capture(), shown("shown"));
    assert_eq!(probe(&Some(Displayed)).capture(), shown("shown"));
    assert_eq!(probe(&None::<Displayed>).capture(), ABSENT);
    let json = Serialized { a: 1, b: None };
    assert_eq!(probe(&json).capture(), shown(r#"{"a":1,"b":null}"#));
    assert_eq!(probe(&vec![1, 2]).capture(), shown("[1,2]"));
    assert_eq!(probe(&None::<Serialized>).capture(), ABSENT);
    assert_eq!(probe(&Debugged(1)).capture(), shown("Debugged(1)"));
    assert_eq!(probe(&Some(Debugged(1))).capture(), shown("Debugged(1)"));
    let Captured::Value(Value::Static(name)) = probe(&Opaque).capture() else {
        panic!("expected the name of the type");
    };
    assert!(name.ends_with("::Opaque"), "{name}");
}

#[test]
fn a_generic_function_knows_the_bounds_that_it_has() {
    fn bare<T>(value: T) -> Captured<'static> {
        probe(&value).capture()
    }
    fn debug<T: fmt::Debug>(value: T) -> Captured<'static> {
        probe(&value).capture()
    }
    assert_eq!(bare(1_u8), Captured::Value(Value::Static("u8")));
    assert_eq!(debug(1_u8), shown("1"));
}

#[test]
fn returned_values_are_shown_whole() {
    assert_eq!(returned(&7).capture(), Captured::Integer(7));
    assert_eq!(returned(&vec!["a"]).capture(), shown(r#"["a"]"#));
    assert_eq!(returned(&Debugged(1)).capture(), shown("Debugged(1)"));
    assert_eq!(returned(&Displayed).capture(), shown("shown"));
}

#[test]
fn a_panic_in_the_users_formatting_stays_here() {
    assert_eq!(probe(&Panics).capture(), shown("<panicked in Display>"));
    assert_eq!(
        probe(&PanicsInDebug).capture(),
        shown("<panicked in Debug>")
    );
    assert_eq!(
        probe(&PanicsInSerialize).capture(),
        shown("<panicked in Serialize>")
    );
    assert_eq!(probe(&Refuses).capture(), shown("<not serializable>"));
}

#[test]
fn long_values_are_cut() {
    let long = vec!["ü".repeat(1000); 1000];
    let Captured::Text(json) = probe(&long).capture() else {
        panic!("expected text");
    };
    assert!(json.len() <= text::LIMIT && json.len() > text::LIMIT - 1100);
}

#[test]
fn numbers_are_exact_as_text() {
    let id = u64::MAX;
    assert_eq!(probe(&id).capture().text(), "18446744073709551615");
    assert_eq!(probe(&1.5).capture().text(), "1.5");
    assert_eq!(probe(&u128::MAX).capture().text(), u128::MAX.to_string());
    assert_eq!(probe(&None::<u8>).capture().text(), "");
}

#[derive(Debug)]
struct Failed;
impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}
impl Error for Failed {}

#[test]
fn what_can_be_told_of_an_error_is_told() {
    let named = |failure: Failure<'_>| {
        let text = failure.text();
        (text.error_type, text.message)
    };
    let module = module_path!();
    let boxed: Box<dyn Error + Send + Sync> = Box::new(Failed);
    assert_eq!(
        named(error(&Failed).view()),
        (format!("{module}::Failed"), "failed".into())
    );
    assert_eq!(
        named(error(&boxed).view()),
        (
            "alloc::boxed::Box<dyn core::error::Error + core::marker::Send + core::marker::Sync>"
                .into(),
            "failed".into()
        )
    );
    assert_eq!(named(error(&"text").view()), ("&str".into(), "text".into()));
    assert_eq!(
        named(error(&Debugged(1)).view()),
        (format!("{module}::Debugged"), "Debugged(1)".into())
    );
    assert_eq!(
        named(error(&Opaque).view()),
        (format!("{module}::Opaque"), format!("{module}::Opaque"))
    );
    assert_eq!(
        named(error(&Panics).view()),
        (format!("{module}::Panics"), "<panicked in Display>".into())
    );
}

#[test]
fn results_are_told_from_other_types() {
    assert_eq!(outcome(&Err::<u8, u8>(1)).error(), Some(&1));
    assert_eq!(outcome(&Ok::<u8, u8>(1)).error(), None);
    assert_eq!(outcome(&Ok::<u8, u8>(1)).value(), Some(&1));
    assert!(outcome(&1).error().is_none());
    assert_eq!(outcome(&1).value(), Some(&1));
}
