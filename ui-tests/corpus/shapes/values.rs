//! Options that put values on the span.

use std::fmt;

use super::harness::{Case, block_on, tick};
use super::trace;

#[derive(Clone, Debug)]
struct Order {
    id: u64,
    lines: Vec<&'static str>,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {}", self.id)
    }
}

struct Secret;

#[trace]
fn quiet(_password: &str) {}

#[trace(args(name, n))]
fn arguments(name: &str, _password: &str, n: Option<u8>) {
    let _ = (name, n);
}

#[trace(args_all, skip(password))]
fn all_arguments(&a: &u8, (b, c): (bool, char), password: &str, order: Order, secret: Secret) -> usize {
    let _ = (a, b, c, secret);
    password.len() + order.lines.len()
}

#[trace(tags(
    id = order.id,
    lines = order.lines.len(),
    "order.lines" = order.lines,
    shown = %order,
    raw = ?order.lines,
    kind = "big",
    first = order.lines.first().map(|line| line.len()),
    none = None::<u8>,
))]
fn tags(order: &Order) {
    let _ = order;
}

#[trace(args_all, tags(double = n * 2))]
async fn in_a_future(n: u8, order: Order) -> u64 {
    tick().await;
    order.id + u64::from(n)
}

#[trace(ret)]
fn returns(n: u8) -> Vec<u8> {
    vec![n; 2]
}

#[trace(ret)]
fn returns_result(n: u8) -> Result<u8, String> {
    if n == 0 {
        return Err("zero".to_owned());
    }
    Ok(n)
}

#[trace(ret = |list| list.len())]
fn returns_through(n: u8) -> Vec<u8> {
    if n == 0 {
        return Vec::new();
    }
    vec![n; 3]
}

#[trace(ret)]
async fn future_returns(n: u8) -> Result<Option<u8>, String> {
    tick().await;
    Ok(Some(n))
}

#[trace(name = format!("order.{kind}"))]
fn named(kind: &str) {
    let _ = kind;
}

struct Hostile;

impl fmt::Debug for Hostile {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("by design")
    }
}

#[trace(args_all)]
fn hostile(value: Hostile) {
    let _ = value;
}

fn order() -> Order {
    Order {
        id: 7,
        lines: vec!["bread", "milk"],
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "no argument unless asked for",
            run: || format!("{:?}", quiet("secret")),
            spans: &["quiet"],
        },
        Case {
            name: "some arguments",
            run: || format!("{:?}{:?}", arguments("a", "b", Some(1)), arguments("a", "b", None)),
            spans: &["arguments args.n=1 args.name=a", "arguments args.name=a"],
        },
        Case {
            name: "all arguments but one",
            run: || all_arguments(&1, (true, 'c'), "secret", order(), Secret).to_string(),
            spans: &["all_arguments args.a=1 args.b=true args.c=c args.order=order 7 args.secret=corpus::traced::values::Secret"],
        },
        Case {
            name: "tags",
            run: || format!("{:?}", tags(&order())),
            spans: &[
                "tags first=5 id=7 kind=big lines=2 order.lines=[\"bread\",\"milk\"] raw=[\"bread\", \"milk\"] shown=order 7",
            ],
        },
        Case {
            name: "values in a future",
            run: || block_on(in_a_future(2, order())).to_string(),
            spans: &["in_a_future args.n=2 args.order=order 7 double=4"],
        },
        Case {
            name: "returned values",
            run: || format!("{:?}{:?}{:?}", returns(1), returns_result(0), returns_result(1)),
            spans: &["returns return=[1, 1]", "returns_result!zero", "returns_result return=1"],
        },
        Case {
            name: "returned values through a function",
            run: || format!("{:?}{:?}", returns_through(0), returns_through(1)),
            spans: &["returns_through return=0", "returns_through return=3"],
        },
        Case {
            name: "value of a future",
            run: || format!("{:?}", block_on(future_returns(1))),
            spans: &["future_returns return=1"],
        },
        Case {
            name: "computed name",
            run: || format!("{:?}", named("new")),
            spans: &["order.new"],
        },
        Case {
            name: "a value that panics when it is shown",
            run: || format!("{:?}", hostile(Hostile)),
            spans: &["hostile args.value=<panicked in Debug>"],
        },
    ]
}
