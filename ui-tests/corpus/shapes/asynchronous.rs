//! `async fn` in all its forms.

use std::error::Error;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use super::harness::{Case, block_on, give_up, tick};
use super::trace;
use crate::is_send;

#[trace]
async fn nothing() {}

#[trace]
async fn value(n: u8) -> u8 {
    tick().await;
    n + 1
}

#[trace]
async fn calls(n: u8) -> u8 {
    let a = value(n).await;
    tick().await;
    a + sync(n)
}

#[trace]
fn sync(n: u8) -> u8 {
    n
}

#[trace]
async fn fails(text: &str) -> Result<u8, std::num::ParseIntError> {
    tick().await;
    let n = text.parse::<u8>()?;
    Ok(n)
}

#[trace]
async fn inferred() -> Result<(), Box<dyn Error + Send + Sync>> {
    fails("1").await?;
    if fails("x").await.is_err() {
        return Err("x is no number".into());
    }
    Ok(())
}

#[trace]
async fn early(n: u8) {
    if n == 0 {
        return;
    }
    tick().await;
}

#[trace]
async fn borrows<'a>(list: &'a mut Vec<u8>, text: &str) -> &'a mut u8 {
    tick().await;
    list.push(text.len() as u8);
    list.last_mut().unwrap()
}

#[trace]
async fn elided(text: &str) -> &str {
    tick().await;
    text.trim()
}

#[trace]
async fn patterns((a, mut b): (u8, u8), [c, ..]: [u8; 2], _: u8) -> u8 {
    tick().await;
    b += 1;
    a + b + c
}

#[trace]
async fn mutable(mut list: Vec<u8>, mut n: u8) -> Vec<u8> {
    n += 1;
    tick().await;
    list.push(n);
    list
}

#[trace]
async fn generic<T, F>(value: T, f: F) -> T
where
    T: Clone + Send,
    F: AsyncFn(T) -> T,
{
    f(value.clone()).await
}

#[trace]
async fn opaque_argument(shown: impl std::fmt::Display + Send) -> String {
    tick().await;
    shown.to_string()
}

#[trace]
async fn opaque_return(n: u8) -> impl Iterator<Item = u8> {
    tick().await;
    0..n
}

#[trace]
async fn opaque_ok(n: u8) -> Result<impl Iterator<Item = u8>, String> {
    if n == 0 {
        return Err("none".to_owned());
    }
    Ok(0..n)
}

#[trace]
async fn coerces(n: u8) -> Box<dyn std::fmt::Debug> {
    if n == 0 {
        return Box::new("none");
    }
    Box::new(n)
}

#[trace]
async fn recursive(n: u8) -> u8 {
    if n == 0 {
        return 0;
    }
    Box::pin(recursive(n - 1)).await + 1
}

#[trace]
async fn keeps_rc(n: Rc<u8>) -> u8 {
    tick().await;
    *n
}

#[trace]
async fn panics() {
    tick().await;
    panic!("by design");
}

#[trace]
async fn never() -> ! {
    loop {
        tick().await;
    }
}

#[trace]
async fn blocks_inside() -> Result<u8, String> {
    let inner = async {
        if true {
            return Err::<u8, String>("inner".to_owned());
        }
        Ok(1)
    };
    let outcome = inner.await;
    let closure = async |n: u8| n + 1;
    Ok(closure(outcome.unwrap_or(4)).await)
}

#[trace]
async fn joins() -> (u8, u8) {
    futures::join!(value(1), value(2))
}

#[trace]
#[must_use]
async fn must_use() -> u8 {
    1
}

#[trace]
#[allow(unused_variables)]
async fn unused(a: String, b: &str) -> u8 {
    2
}

struct Client {
    base: String,
}

impl Client {
    #[trace]
    async fn get(&self, path: &str) -> String {
        tick().await;
        format!("{}{path}", self.base)
    }

    #[trace]
    async fn set(&mut self, base: &str) -> Result<&mut Self, String> {
        tick().await;
        if base.is_empty() {
            return Err("empty".to_owned());
        }
        self.base = base.to_owned();
        Ok(self)
    }

    #[trace]
    async fn shared(self: Arc<Self>) -> usize {
        tick().await;
        self.base.len()
    }

    #[trace]
    async fn pinned(self: Pin<&mut Self>) -> usize {
        tick().await;
        self.base.len()
    }

    #[trace]
    async fn close(mut self) -> String {
        tick().await;
        self.base.push('.');
        self.base
    }
}

/// A trait whose methods are `async fn`s.
trait Store {
    async fn load(&self, key: &str) -> Result<u8, String>;

    #[trace]
    async fn load_twice(&self, key: &str) -> Result<u8, String> {
        Ok(self.load(key).await? + self.load(key).await?)
    }
}

impl Store for Client {
    #[trace]
    async fn load(&self, key: &str) -> Result<u8, String> {
        tick().await;
        if key.is_empty() {
            return Err("no key".to_owned());
        }
        Ok(1)
    }
}

fn client() -> Client {
    Client {
        base: "base".to_owned(),
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "nothing",
            run: || format!("{:?}", block_on(nothing())),
            spans: &["nothing"],
        },
        Case {
            name: "awaits others",
            run: || block_on(calls(1)).to_string(),
            spans: &["calls", "calls/value", "calls/sync"],
        },
        Case {
            name: "question mark",
            run: || format!("{:?} {:?}", block_on(fails("1")), block_on(fails("x"))),
            spans: &["fails", "fails!invalid digit found in string"],
        },
        Case {
            name: "inferred error",
            run: || format!("{:?}", block_on(inferred())),
            spans: &["inferred!x is no number", "inferred/fails", "inferred/fails!invalid digit found in string"],
        },
        Case {
            name: "early return of nothing",
            run: || format!("{:?}{:?}", block_on(early(0)), block_on(early(1))),
            spans: &["early", "early"],
        },
        Case {
            name: "lifetimes",
            run: || {
                let mut list = vec![];
                *block_on(borrows(&mut list, "abc")) += 1;
                format!("{list:?}{}", block_on(elided(" a ")))
            },
            spans: &["borrows", "elided"],
        },
        Case {
            name: "patterns",
            run: || format!("{}{:?}", block_on(patterns((1, 2), [3, 4], 5)), block_on(mutable(vec![1], 2))),
            spans: &["patterns", "mutable"],
        },
        Case {
            name: "generics",
            run: || block_on(generic(1, async |n| n + 1)).to_string() + &block_on(opaque_argument("a")),
            spans: &["generic", "opaque_argument"],
        },
        Case {
            name: "opaque return types",
            run: || {
                let ok = block_on(opaque_ok(2)).map(Iterator::count);
                let none = block_on(opaque_ok(0)).map(Iterator::count);
                format!("{} {ok:?} {none:?} {:?}", block_on(opaque_return(3)).count(), block_on(coerces(1)))
            },
            spans: &["opaque_ok", "opaque_ok!none", "opaque_return", "coerces"],
        },
        Case {
            name: "recursion",
            run: || block_on(recursive(2)).to_string(),
            spans: &["recursive", "recursive/recursive", "recursive/recursive"],
        },
        Case {
            name: "send where it was send",
            run: || {
                let n = Rc::new(1);
                let sent = [
                    is_send!(value(1)),
                    is_send!(fails("1")),
                    is_send!(inferred()),
                    is_send!(opaque_argument("a")),
                    is_send!(client().get("a")),
                    is_send!(never()),
                    is_send!(keeps_rc(Rc::clone(&n))),
                ];
                format!("{sent:?}{}", block_on(keeps_rc(n)))
            },
            spans: &["keeps_rc"],
        },
        Case {
            name: "panic",
            run: || format!("{:?}", block_on(panics())),
            spans: &["panics!by design"],
        },
        Case {
            name: "given up",
            run: || {
                give_up(never(), 2);
                String::new()
            },
            spans: &["never ddtrace.cancelled=true"],
        },
        Case {
            name: "async blocks and closures inside",
            run: || format!("{:?}", block_on(blocks_inside())),
            spans: &["blocks_inside"],
        },
        Case {
            name: "join",
            run: || format!("{:?}", block_on(joins())),
            spans: &["joins", "joins/value", "joins/value"],
        },
        Case {
            name: "attributes",
            run: || format!("{}{}", block_on(must_use()), block_on(unused(String::new(), ""))),
            spans: &["must_use", "unused"],
        },
        Case {
            name: "receivers",
            run: || {
                let mut one = client();
                let set = block_on(one.set("ab")).map(|client| client.base.len());
                let got = block_on(one.get("/c"));
                let pinned = block_on(Pin::new(&mut one).pinned());
                let refused = block_on(one.set("")).map(|client| client.base.len());
                let shared = block_on(Arc::new(client()).shared());
                format!("{set:?}{got}{pinned}{refused:?}{shared}{}", block_on(one.close()))
            },
            spans: &["set", "get", "pinned", "set!empty", "shared", "close"],
        },
        Case {
            name: "async fn in traits",
            run: || format!("{:?} {:?}", block_on(client().load_twice("a")), block_on(client().load(""))),
            spans: &["load_twice", "load_twice/load", "load_twice/load", "load!no key"],
        },
    ]
}
