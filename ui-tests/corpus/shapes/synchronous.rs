//! Free functions and the ways in which their bodies end.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::Mutex;

use super::harness::Case;
use super::trace;

#[trace]
fn nothing() {}

#[trace]
fn sum(a: u64, b: u64) -> u64 {
    a + b
}

#[trace]
fn early(n: u32) -> &'static str {
    if n == 0 {
        return "none";
    }
    for i in 0..n {
        if i == 3 {
            return "many";
        }
    }
    "some"
}

#[trace]
fn option(list: &[u32]) -> Option<u32> {
    let first = list.first()?;
    let last = list.last()?;
    Some(first + last)
}

#[trace]
fn labels(n: u32) -> u32 {
    let found = 'search: {
        for i in 0..n {
            for j in 0..n {
                if i * j == 6 {
                    break 'search i;
                }
            }
        }
        0
    };
    'outer: for i in 0.. {
        for j in 0.. {
            if i + j > n {
                break 'outer;
            }
        }
    }
    found
}

#[trace]
fn closures_return_for_themselves(list: &[i32]) -> Vec<i32> {
    let half = |n: &i32| -> Option<i32> {
        if n % 2 != 0 {
            return None;
        }
        Some(n / 2)
    };
    list.iter().filter_map(half).collect()
}

#[trace]
fn diverges() -> ! {
    panic!("by design")
}

#[trace]
fn panics_below(n: u32) -> u32 {
    sum(1, 2);
    if n > 1 {
        diverges();
    }
    n
}

#[trace]
fn items_inside() -> usize {
    use std::mem::size_of as size;
    const FACTOR: usize = 2;
    struct Pair(u8, u8);
    impl Pair {
        fn sum(&self) -> usize {
            usize::from(self.0 + self.1)
        }
    }
    fn double(n: usize) -> usize {
        n * FACTOR
    }
    double(Pair(1, 2).sum()) + size::<u8>()
}

#[trace]
fn inner_attributes() -> u8 {
    #![allow(unused_variables)]
    let unused = 1;
    7
}

#[trace]
fn annotated_inside(n: u64) -> u64 {
    #[super::trace]
    fn inner(n: u64) -> u64 {
        n + 1
    }
    inner(n) + inner(n)
}

#[trace]
fn temporaries_in_the_tail(shared: &Mutex<Vec<u8>>) -> usize {
    shared.lock().unwrap().len()
}

#[trace]
fn recursive(n: u64) -> u64 {
    if n == 0 { 0 } else { n + recursive(n - 1) }
}

#[trace]
fn patterns((a, b): (i32, i32), mut c: u8, _: (), [first, .., last]: [i32; 4]) -> i32 {
    c += 1;
    a + b + i32::from(c) + first + last
}

struct Point {
    x: i32,
    y: i32,
}

#[trace]
fn struct_pattern(Point { x, y: height }: Point, &n: &i32) -> i32 {
    x * height + n
}

#[trace]
fn raw_identifiers(r#type: &str, r#match: u8) -> String {
    format!("{}{}", r#type, r#match)
}

#[trace]
fn r#async() -> u8 {
    1
}

#[trace]
fn shadows(n: i32) -> i32 {
    let n = n + 1;
    let n = n * 2;
    n - 1
}

#[trace]
#[allow(unused_variables)]
fn unused(a: String, b: Vec<u8>) -> u8 {
    3
}

#[trace]
fn conditional_arguments(#[cfg(test)] a: u8, #[cfg(not(test))] b: u8) -> u8 {
    a
}

#[trace]
#[inline]
#[must_use]
fn with_attributes() -> u8 {
    4
}

#[trace]
#[track_caller]
fn caller() -> u32 {
    Location::caller().line()
}

#[trace]
#[track_caller]
fn fallible_caller(n: Option<u8>) -> Result<u32, String> {
    n.ok_or("none")?;
    Ok(Location::caller().line())
}

#[trace]
extern "C" fn foreign(a: i32) -> i32 {
    -a
}

#[trace]
fn uninitialised(n: bool) -> u8 {
    let value;
    let other;
    match n {
        true => {
            value = 1;
            other = 2;
        }
        false => return 0,
    }
    value + other
}

#[trace]
fn match_with_guards(n: Option<i32>) -> &'static str {
    match n {
        Some(n) if n < 0 => return "negative",
        Some(0) => {}
        Some(_) => return "positive",
        None => return "nothing",
    }
    "zero"
}

#[trace]
fn mutates(list: &mut Vec<u8>, counts: &mut HashMap<u8, usize>) {
    for item in list.drain(..) {
        *counts.entry(item).or_default() += 1;
    }
}

#[trace]
fn function_pointer(f: fn(u8) -> u8, n: u8) -> u8 {
    f(n)
}

#[trace]
fn let_else(text: &str) -> usize {
    let Some((_, rest)) = text.split_once(':') else {
        return 0;
    };
    rest.len()
}

/// A struct that is no `Result` in spite of its name.
pub(crate) struct SearchResult {
    pub(crate) hits: usize,
}

#[trace]
fn not_a_result(n: usize) -> SearchResult {
    if n == 0 {
        return SearchResult { hits: 0 };
    }
    SearchResult { hits: n }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "nothing",
            run: || format!("{:?}", nothing()),
            spans: &["nothing"],
        },
        Case {
            name: "a value",
            run: || sum(1, 2).to_string(),
            spans: &["sum"],
        },
        Case {
            name: "early return",
            run: || format!("{} {} {}", early(0), early(2), early(9)),
            spans: &["early", "early", "early"],
        },
        Case {
            name: "question mark on an option",
            run: || format!("{:?} {:?}", option(&[1, 2]), option(&[])),
            spans: &["option", "option"],
        },
        Case {
            name: "labelled blocks",
            run: || labels(5).to_string(),
            spans: &["labels"],
        },
        Case {
            name: "closures that return",
            run: || format!("{:?}", closures_return_for_themselves(&[1, 2, 4])),
            spans: &["closures_return_for_themselves"],
        },
        Case {
            name: "never returns",
            run: || diverges(),
            spans: &["diverges!by design"],
        },
        Case {
            name: "panic through several",
            run: || panics_below(2).to_string(),
            spans: &[
                "panics_below!by design",
                "panics_below/sum",
                "panics_below/diverges!by design",
            ],
        },
        Case {
            name: "items in the body",
            run: || items_inside().to_string(),
            spans: &["items_inside"],
        },
        Case {
            name: "inner attributes",
            run: || inner_attributes().to_string(),
            spans: &["inner_attributes"],
        },
        Case {
            name: "annotated function inside",
            run: || annotated_inside(1).to_string(),
            spans: &[
                "annotated_inside",
                "annotated_inside/inner",
                "annotated_inside/inner",
            ],
        },
        Case {
            name: "temporaries in the tail",
            run: || temporaries_in_the_tail(&Mutex::new(vec![1, 2])).to_string(),
            spans: &["temporaries_in_the_tail"],
        },
        Case {
            name: "recursion",
            run: || recursive(2).to_string(),
            spans: &["recursive", "recursive/recursive", "recursive/recursive"],
        },
        Case {
            name: "patterns",
            run: || patterns((1, 2), 3, (), [4, 5, 6, 7]).to_string(),
            spans: &["patterns"],
        },
        Case {
            name: "struct pattern",
            run: || struct_pattern(Point { x: 2, y: 3 }, &4).to_string(),
            spans: &["struct_pattern"],
        },
        Case {
            name: "raw identifiers",
            run: || format!("{}{}", raw_identifiers("a", 1), r#async()),
            spans: &["raw_identifiers", "async"],
        },
        Case {
            name: "shadowing",
            run: || shadows(1).to_string(),
            spans: &["shadows"],
        },
        Case {
            name: "unused arguments",
            run: || unused(String::new(), Vec::new()).to_string(),
            spans: &["unused"],
        },
        Case {
            name: "conditional arguments",
            run: || conditional_arguments(1).to_string(),
            spans: &["conditional_arguments"],
        },
        Case {
            name: "attributes",
            run: || with_attributes().to_string(),
            spans: &["with_attributes"],
        },
        Case {
            name: "track_caller",
            run: || {
                let same = [caller(), line!()];
                let also = [fallible_caller(Some(1)).unwrap(), line!()];
                format!("{} {}", same[0] == same[1], also[0] == also[1])
            },
            spans: &["caller", "fallible_caller"],
        },
        Case {
            name: "extern C",
            run: || foreign(3).to_string(),
            spans: &["foreign"],
        },
        Case {
            name: "assigned later",
            run: || format!("{}{}", uninitialised(true), uninitialised(false)),
            spans: &["uninitialised", "uninitialised"],
        },
        Case {
            name: "match with guards",
            run: || [Some(-1), Some(0), None].map(match_with_guards).join(" "),
            spans: &["match_with_guards", "match_with_guards", "match_with_guards"],
        },
        Case {
            name: "mutable references",
            run: || {
                let mut counts = HashMap::new();
                mutates(&mut vec![1, 1], &mut counts);
                format!("{counts:?}")
            },
            spans: &["mutates"],
        },
        Case {
            name: "function pointers",
            run: || {
                let pointer: fn(fn(u8) -> u8, u8) -> u8 = function_pointer;
                pointer(|n| n + 1, 1).to_string()
            },
            spans: &["function_pointer"],
        },
        Case {
            name: "let else",
            run: || format!("{}{}", let_else("a:bc"), let_else("a")),
            spans: &["let_else", "let_else"],
        },
        Case {
            name: "a type that only sounds like a result",
            run: || format!("{}{}", not_a_result(0).hits, not_a_result(1).hits),
            spans: &["not_a_result", "not_a_result"],
        },
    ]
}
