//! Arguments and results, captured without asking for bounds.
//!
//! As in `ddtrace_core::instrument::capture`, whose chains of wrappers these are: the compiler picks the first of `Serialize`,
//! `AsRef<str>`, `Display` and `Debug` that the type has, and falls back to the type's name. Nobody's value costs more than 256 KiB
//! of memory here, and a panic in its formatting ends here.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

/// The longest value, in bytes of its text.
const LIMIT: usize = 256 * 1024;

/// What stands at the end of a text that was cut.
const CUT: &str = "…[cut]";

/// A value of the program's, converted.
#[derive(Clone, Debug, PartialEq)]
pub enum Captured {
    /// `()`.
    Nothing,
    /// A text, or a value that can only be shown as one.
    Text(String),
    /// Anything else.
    Json(Value),
}

impl From<Captured> for Value {
    fn from(captured: Captured) -> Self {
        match captured {
            Captured::Nothing => Self::Null,
            Captured::Text(text) => Self::String(text),
            Captured::Json(value) => value,
        }
    }
}

/// All arguments of a function, by their names.
pub fn arguments<const N: usize>(arguments: [(&'static str, Captured); N]) -> Captured {
    let map: Map<String, Value> = arguments
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    Captured::Json(Value::Object(map))
}

/// Texts, which need no formatting.
pub trait Text {
    /// The text.
    fn plain_text(&self) -> &str;
}

macro_rules! texts {
    ($($text:ty)*) => {$(
        impl Text for $text {
            #[inline]
            fn plain_text(&self) -> &str {
                self
            }
        }
    )*};
}
texts!(str String Cow<'_, str> Box<str> Arc<str> Rc<str>);

impl<T: Text + ?Sized> Text for &T {
    #[inline]
    fn plain_text(&self) -> &str {
        (**self).plain_text()
    }
}

ddtrace_core::__ddtrace_chain! {
    /// Asks for the best that a value has to offer.
    capture: IsNothing IsText IsSerialize IsLikeText IsDisplay IsDebug IsAny
}

impl IsNothing<'_, ()> {
    /// Nothing.
    pub fn captured(&self) -> Captured {
        Captured::Nothing
    }
}

impl<T: Text + ?Sized> IsText<'_, T> {
    /// The text.
    pub fn captured(&self) -> Captured {
        Captured::Text(cut(self.get().plain_text()))
    }
}

impl<T: Serialize + ?Sized> IsSerialize<'_, T> {
    /// As JSON.
    pub fn captured(&self) -> Captured {
        json(self.get())
    }
}

impl<T: AsRef<str> + ?Sized> IsLikeText<'_, T> {
    /// The text.
    pub fn captured(&self) -> Captured {
        let text = catch_unwind(AssertUnwindSafe(|| cut(self.get().as_ref())));
        text.map_or_else(|_| unserializable(), Captured::Text)
    }
}

impl<T: fmt::Display + ?Sized> IsDisplay<'_, T> {
    /// What `Display` says.
    pub fn captured(&self) -> Captured {
        formatted(format_args!("{}", self.get()))
    }
}

impl<T: fmt::Debug + ?Sized> IsDebug<'_, T> {
    /// What `Debug` says.
    pub fn captured(&self) -> Captured {
        formatted(format_args!("{:?}", self.get()))
    }
}

impl<T: ?Sized> IsAny<'_, T> {
    /// The name of the type: all that is known.
    pub fn captured(&self) -> Captured {
        Captured::Text(format!("[{}]", std::any::type_name::<T>()))
    }
}

/// The text of an item of a stream, which has to be one.
#[inline]
pub fn as_text<T: AsRef<str> + ?Sized>(item: &T) -> &str {
    item.as_ref()
}

/// Numbers that can be metrics.
pub trait Number {
    /// The number, if there is one.
    fn number(&self) -> Option<f64>;
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl Number for $number {
            #[inline]
            fn number(&self) -> Option<f64> {
                Some(*self as f64)
            }
        }
    )*};
}
numbers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64);

impl<N: Number> Number for Option<N> {
    #[inline]
    fn number(&self) -> Option<f64> {
        self.as_ref()?.number()
    }
}

impl<N: Number + ?Sized> Number for &N {
    #[inline]
    fn number(&self) -> Option<f64> {
        (**self).number()
    }
}

fn unserializable() -> Captured {
    Captured::Text("[unserializable]".to_owned())
}

/// The text, or its beginning.
fn cut(text: &str) -> String {
    if text.len() <= LIMIT {
        return text.to_owned();
    }
    let end = (0..=LIMIT).rev().find(|&at| text.is_char_boundary(at));
    let mut start = text[..end.unwrap_or(0)].to_owned();
    start.push_str(CUT);
    start
}

fn json<T: Serialize + ?Sized>(value: &T) -> Captured {
    let mut bounded = Bounded::default();
    let written = catch_unwind(AssertUnwindSafe(|| {
        serde_json::to_writer(&mut bounded, value)
    }));
    match written {
        Ok(Ok(())) => match serde_json::from_str(&bounded.text) {
            Ok(Value::String(text)) => Captured::Text(text),
            Ok(value) => Captured::Json(value),
            // Deeper than the parser goes: the text is the value.
            Err(_) => Captured::Text(bounded.text),
        },
        // Only the bound makes the writer fail.
        Ok(Err(error)) if error.is_io() => bounded.into_captured(),
        _ => unserializable(),
    }
}

fn formatted(arguments: fmt::Arguments<'_>) -> Captured {
    let mut bounded = Bounded::default();
    let written = catch_unwind(AssertUnwindSafe(|| {
        // An error is the bound's, or the value's own that gave up: what is there is kept.
        let _ = bounded.write_fmt(arguments);
    }));
    match written {
        Ok(()) => bounded.into_captured(),
        Err(_) => unserializable(),
    }
}

/// A text that stops growing.
#[derive(Default)]
struct Bounded {
    text: String,
    is_cut: bool,
}

impl Bounded {
    fn into_captured(mut self) -> Captured {
        if self.is_cut {
            self.text.push_str(CUT);
        }
        Captured::Text(self.text)
    }
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = LIMIT.saturating_sub(self.text.len());
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        let end = (0..=room).rev().find(|&at| more.is_char_boundary(at));
        self.text.push_str(&more[..end.unwrap_or(0)]);
        self.is_cut = true;
        Err(fmt::Error)
    }
}

/// `serde_json` writes bytes, always whole characters of UTF-8.
impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        self.write_str(text).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Serializer;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Serialize)]
    struct Question {
        text: String,
        score: f64,
    }

    #[derive(Debug)]
    struct Shown;

    struct Displayed;

    impl fmt::Display for Displayed {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("displayed")
        }
    }

    struct LikeText;

    impl AsRef<str> for LikeText {
        fn as_ref(&self) -> &str {
            "like text"
        }
    }

    struct Unknown;

    struct Panics;

    impl fmt::Debug for Panics {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("by design")
        }
    }

    struct Refuses(bool);

    impl Serialize for Refuses {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            assert!(self.0, "by design");
            Err(serde::ser::Error::custom("by design"))
        }
    }

    fn text(text: &str) -> Captured {
        Captured::Text(text.to_owned())
    }

    /// §5 of the specification.
    #[test]
    fn a_value_gives_the_best_that_its_type_has() {
        let question = Question {
            text: "für".into(),
            score: f64::NAN,
        };
        for (found, expected) in [
            (capture(&()).captured(), Captured::Nothing),
            (capture("a").captured(), text("a")),
            (capture(&"a".to_owned()).captured(), text("a")),
            (capture(&&"a").captured(), text("a")),
            (capture(&Some("a")).captured(), text("a")),
            (capture(&7_u8).captured(), Captured::Json(json!(7))),
            (capture(&None::<u8>).captured(), Captured::Json(Value::Null)),
            (
                capture(&question).captured(),
                Captured::Json(json!({"text": "für", "score": null})),
            ),
            (capture(&vec!["a"]).captured(), Captured::Json(json!(["a"]))),
            (capture(&LikeText).captured(), text("like text")),
            (capture(&Displayed).captured(), text("displayed")),
            (capture(&Shown).captured(), text("Shown")),
            (
                capture(&Unknown).captured(),
                text(concat!("[", module_path!(), "::Unknown]")),
            ),
        ] {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn values_that_panic_or_refuse_are_said_to_be_so() {
        for found in [
            capture(&Panics).captured(),
            capture(&Refuses(true)).captured(),
            capture(&Refuses(false)).captured(),
        ] {
            assert_eq!(found, text("[unserializable]"));
        }
    }

    #[test]
    fn long_values_are_cut() {
        let long = "ü".repeat(LIMIT);
        for found in [
            capture(&long).captured(),
            capture(&vec![&long]).captured(),
            capture(&Some(Err::<(), _>(&long)).map(|it| format!("{it:?}"))).captured(),
        ] {
            let Captured::Text(text) = found else {
                panic!("{found:?}")
            };
            assert!(text.ends_with("…[cut]"));
            assert!(text.len() <= LIMIT + CUT.len() && text.len() > LIMIT - 4);
        }
    }

    #[test]
    fn arguments_go_by_their_names() {
        let found = arguments([
            ("b", capture("x").captured()),
            ("a", capture(&BTreeMap::from([("k", 1)])).captured()),
            ("n", capture(&()).captured()),
        ]);
        let expected = json!({"a": {"k": 1}, "b": "x", "n": null});
        assert_eq!(found, Captured::Json(expected));
    }

    #[test]
    fn everything_that_is_a_number_can_be_a_metric() {
        assert_eq!(3_u64.number(), Some(3.0));
        assert_eq!(Some(0.5_f32).number(), Some(0.5));
        assert_eq!(None::<u8>.number(), None);
        assert_eq!((&&7_usize).number(), Some(7.0));
    }
}
