//! Generic functions, lifetimes, and types that have no name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;

use super::harness::Case;
use super::trace;

#[trace]
fn largest<T: PartialOrd + Copy>(list: &[T]) -> T {
    let mut largest = list[0];
    for &item in list {
        if item > largest {
            largest = item;
        }
    }
    largest
}

#[trace]
fn bounded<K, V, I>(pairs: I) -> BTreeMap<K, Vec<V>>
where
    K: Ord + Hash + Clone,
    I: IntoIterator<Item = (K, V)>,
{
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        map.entry(key).or_insert_with(Vec::new).push(value);
    }
    map
}

#[trace]
fn sized<const N: usize, T: Default + Copy>(value: T) -> [T; N] {
    let mut list = [T::default(); N];
    list[0] = value;
    list
}

struct Matrix<const N: usize>([[u8; N]; N]);

#[trace]
fn const_argument(matrix: Matrix<{ 1 + 1 }>) -> Matrix<{ 4 / 2 }> {
    Matrix([matrix.0[1], matrix.0[0]])
}

#[trace]
fn opaque_argument(shown: impl Display, list: impl IntoIterator<Item = impl Debug>) -> String {
    format!("{shown} {:?}", list.into_iter().collect::<Vec<_>>())
}

#[trace]
fn opaque_return<'a>(list: &'a [u8], n: u8) -> impl Iterator<Item = u8> + 'a {
    list.iter().map(move |item| item + n)
}

#[trace]
fn returns_closure(n: u8) -> impl Fn(u8) -> u8 {
    move |m| n + m
}

#[trace]
fn boxed_closure<'a>(text: &'a str) -> Box<dyn Fn(&str) -> String + 'a> {
    Box::new(move |other| format!("{text}{other}"))
}

#[trace]
fn higher_ranked<F>(f: F) -> usize
where
    F: for<'a> Fn(&'a str, &'a str) -> &'a str,
{
    f("a", "bc").len()
}

#[trace]
fn elided(text: &str) -> &str {
    text.trim()
}

#[trace]
fn borrowed_or_owned(text: &str) -> Cow<'_, str> {
    if text.contains(' ') {
        return text.replace(' ', "_").into();
    }
    text.into()
}

#[trace]
fn static_text<T: 'static>(_: T) -> &'static str {
    std::any::type_name::<T>()
}

#[trace]
fn trait_object(shown: &dyn Display, list: &mut dyn Iterator<Item = u8>) -> String {
    format!("{shown}{}", list.count())
}

#[trace]
fn unsized_argument<T: ?Sized + AsRef<str>>(text: &T) -> usize {
    text.as_ref().len()
}

#[trace]
fn tuple_of_results(n: u8) -> (Result<u8, String>, Option<u8>) {
    if n == 0 {
        return (Err("zero".to_owned()), None);
    }
    (Ok(n), Some(n))
}

mod outer {
    pub(super) mod inner {
        use super::super::trace;

        #[trace]
        pub(in super::super) fn restricted() -> u8 {
            5
        }
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "type parameter",
            run: || format!("{}{}", largest(&[1, 3, 2]), largest(&['a', 'c'])),
            spans: &["largest", "largest"],
        },
        Case {
            name: "where clause",
            run: || format!("{:?}", bounded([("a", 1), ("a", 2)])),
            spans: &["bounded"],
        },
        Case {
            name: "const parameter",
            run: || format!("{:?}", sized::<3, u8>(4)),
            spans: &["sized"],
        },
        Case {
            name: "const argument in braces",
            run: || format!("{:?}", const_argument(Matrix([[1, 2], [3, 4]])).0),
            spans: &["const_argument"],
        },
        Case {
            name: "impl Trait as argument",
            run: || opaque_argument(1, ["a"]),
            spans: &["opaque_argument"],
        },
        Case {
            name: "impl Trait as return type",
            run: || format!("{:?} {}", opaque_return(&[1, 2], 3).collect::<Vec<_>>(), returns_closure(1)(2)),
            spans: &["opaque_return", "returns_closure"],
        },
        Case {
            name: "boxed closure",
            run: || boxed_closure("a")("b"),
            spans: &["boxed_closure"],
        },
        Case {
            name: "higher-ranked bound",
            run: || higher_ranked(|a, b| if a.len() > b.len() { a } else { b }).to_string(),
            spans: &["higher_ranked"],
        },
        Case {
            name: "elided lifetime",
            run: || format!("{}{}{}", elided(" a "), borrowed_or_owned("a b"), borrowed_or_owned("c")),
            spans: &["elided", "borrowed_or_owned", "borrowed_or_owned"],
        },
        Case {
            name: "trait objects",
            run: || trait_object(&1, &mut (0..3)) + static_text(1_u8),
            spans: &["trait_object", "static_text"],
        },
        Case {
            name: "unsized argument",
            run: || unsized_argument("abc").to_string(),
            spans: &["unsized_argument"],
        },
        Case {
            name: "results in a tuple",
            run: || format!("{:?}{:?}", tuple_of_results(0), tuple_of_results(1)),
            spans: &["tuple_of_results", "tuple_of_results"],
        },
        Case {
            name: "restricted visibility",
            run: || outer::inner::restricted().to_string(),
            spans: &["outer::inner::restricted"],
        },
    ]
}
