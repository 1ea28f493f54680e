//! Functions that macros write.

use super::harness::{Case, block_on};
use super::trace;

macro_rules! getter {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident -> $ty:ty = $value:expr) => {
        $(#[$attribute])*
        #[trace]
        $visibility fn $name() -> $ty {
            $value
        }
    };
}

getter! {
    /// A number.
    #[inline]
    pub(crate) fn number -> u8 = 1 + 1
}
getter!(fn text -> Result<&'static str, String> = Ok("text"));

macro_rules! with_body {
    ($name:ident($($argument:ident: $ty:ty),*) -> $output:ty $body:block) => {
        #[trace]
        fn $name($($argument: $ty),*) -> $output $body
    };
}

with_body!(body(a: u8, b: Option<u8>) -> Option<u8> {
    let a = a + b?;
    Some(a)
});

macro_rules! annotate {
    ($item:item) => {
        #[trace]
        $item
    };
}

annotate! {
    async fn item(n: u8) -> Result<u8, String> {
        if n == 0 {
            return Err("zero".to_owned());
        }
        Ok(n)
    }
}

macro_rules! hygiene {
    ($name:ident, $value:ident) => {
        #[trace]
        fn $name($value: u8) -> Result<u8, String> {
            let result = $value + 1;
            let doubled: u8 = result.checked_mul(2).ok_or("overflow")?;
            Ok(doubled)
        }
    };
}

hygiene!(hygienic, result);

macro_rules! leave {
    ($value:expr) => {
        return Err($value.to_owned())
    };
}

#[trace]
fn leaves_through_a_macro(n: u8) -> Result<u8, String> {
    if n == 0 {
        leave!("macro");
    }
    Ok(n)
}

#[trace]
fn names_like_ours(__dd_span: u8, __dd_ret: &str) -> Result<String, String> {
    let __dd_error = __dd_ret.parse::<u8>().map_err(|error| error.to_string())?;
    Ok(format!("{__dd_span}{__dd_error}"))
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "attributes and visibility from a macro",
            run: || format!("{}{:?}", number(), text()),
            spans: &["number", "text"],
        },
        Case {
            name: "body from a macro",
            run: || format!("{:?}{:?}", body(1, Some(2)), body(1, None)),
            spans: &["body", "body"],
        },
        Case {
            name: "whole item from a macro",
            run: || format!("{:?}{:?}", block_on(item(0)), block_on(item(1))),
            spans: &["item!zero", "item"],
        },
        Case {
            name: "hygiene",
            run: || format!("{:?}{:?}", hygienic(1), hygienic(200)),
            spans: &["hygienic", "hygienic!overflow"],
        },
        Case {
            name: "return in a macro",
            run: || format!("{:?}{:?}", leaves_through_a_macro(0), leaves_through_a_macro(1)),
            spans: &["leaves_through_a_macro!macro", "leaves_through_a_macro"],
        },
        Case {
            name: "names that look like generated ones",
            run: || format!("{:?}{:?}", names_like_ours(1, "2"), names_like_ours(1, "x")),
            spans: &["names_like_ours", "names_like_ours!invalid digit found in string"],
        },
    ]
}
