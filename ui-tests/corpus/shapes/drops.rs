//! The order in which arguments, locals and temporaries are dropped.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::harness::{Case, Loud, block_on, give_up, log, tick};
use super::trace;

#[trace]
fn arguments(_first: Loud, _second: Loud, n: u8) -> u8 {
    let _local = Loud("local");
    n
}

#[trace]
fn unused_with_an_early_exit(_first: Loud, second: Loud, _third: Loud, n: u8) -> Result<u8, String> {
    let _local = Loud("local");
    log(second.0);
    if n == 0 {
        return Err("zero".to_owned());
    }
    Ok(n)
}

#[trace]
fn moved(first: Loud, second: Loud) -> Result<u8, String> {
    let _kept = second;
    drop(first);
    log("end");
    Err("moved")?;
    Ok(1)
}

#[trace]
fn sometimes_moved(first: Loud, second: Loud, n: bool) -> Result<(), String> {
    if n {
        drop(second);
    }
    log(first.0);
    Err("no")?;
    Ok(())
}

#[trace]
fn wildcards(_: Loud, (_a, _): (Loud, Loud), _: Loud) {
    log("body");
}

#[trace]
fn returned(first: Loud, _second: Loud) -> Result<Loud, String> {
    let _local = Loud("local");
    if first.0.is_empty() {
        Err("empty")?;
    }
    Ok(first)
}

fn temporary(name: &'static str) -> Loud {
    Loud(name)
}

#[trace]
fn temporaries_in_the_tail(_argument: Loud) -> usize {
    let _local = Loud("local");
    temporary("temporary").0.len()
}

#[trace]
fn panicking(_first: Loud, _second: Loud) {
    let _local = Loud("local");
    panic!("by design");
}

#[trace]
async fn future(_first: Loud, second: Loud, _: Loud, (_a, _): (Loud, Loud)) -> u8 {
    let _local = Loud("local");
    tick().await;
    log(second.0);
    1
}

#[trace]
async fn failing_future(_first: Loud, mut second: Loud) -> Result<(), String> {
    let _local = Loud("local");
    tick().await;
    second.0 = "changed";
    Err("no")?;
    Ok(())
}

struct Owner(Loud);

impl Owner {
    #[trace]
    async fn consumed(self, _argument: Loud) {
        let _local = Loud("local");
        tick().await;
        log("end");
    }

    #[trace]
    fn taken(mut self, argument: Loud) -> Result<(), String> {
        self.0 = Loud("replaced");
        log(self.0.0);
        Err(argument.0)?;
        Ok(())
    }
}

pub(crate) fn cases() -> Vec<Case> {
    vec![
        Case {
            name: "arguments after locals",
            run: || arguments(Loud("1"), Loud("2"), 3).to_string(),
            spans: &["arguments"],
        },
        Case {
            name: "arguments and an early exit",
            run: || {
                let run = |n| unused_with_an_early_exit(Loud("1"), Loud("2"), Loud("3"), n);
                format!("{:?} {:?}", run(0), run(1))
            },
            spans: &["unused_with_an_early_exit!zero", "unused_with_an_early_exit"],
        },
        Case {
            name: "moved arguments",
            run: || format!("{:?}", moved(Loud("1"), Loud("2"))),
            spans: &["moved!moved"],
        },
        Case {
            name: "arguments that are moved in one branch",
            run: || {
                let run = |n| sometimes_moved(Loud("1"), Loud("2"), n);
                format!("{:?} {:?}", run(false), run(true))
            },
            spans: &["sometimes_moved!no", "sometimes_moved!no"],
        },
        Case {
            name: "arguments without a name",
            run: || format!("{:?}", wildcards(Loud("1"), (Loud("2"), Loud("3")), Loud("4"))),
            spans: &["wildcards"],
        },
        Case {
            name: "an argument that is returned",
            run: || format!("{:?}", returned(Loud("1"), Loud("2"))),
            spans: &["returned"],
        },
        Case {
            name: "temporaries",
            run: || temporaries_in_the_tail(Loud("argument")).to_string(),
            spans: &["temporaries_in_the_tail"],
        },
        Case {
            name: "unwinding",
            run: || format!("{:?}", panicking(Loud("1"), Loud("2"))),
            spans: &["panicking!by design"],
        },
        Case {
            name: "a future that completes",
            run: || block_on(future(Loud("1"), Loud("2"), Loud("3"), (Loud("4"), Loud("5")))).to_string(),
            spans: &["future"],
        },
        Case {
            name: "a future that fails",
            run: || format!("{:?}", block_on(failing_future(Loud("1"), Loud("2")))),
            spans: &["failing_future!no"],
        },
        Case {
            name: "a future that is given up",
            run: || {
                give_up(future(Loud("1"), Loud("2"), Loud("3"), (Loud("4"), Loud("5"))), 1);
                String::new()
            },
            spans: &["future ddtrace.cancelled=true"],
        },
        Case {
            name: "a future that is never polled",
            run: || {
                drop(failing_future(Loud("1"), Loud("2")));
                String::new()
            },
            spans: &[],
        },
        Case {
            name: "a receiver that is consumed",
            run: || {
                block_on(Owner(Loud("self")).consumed(Loud("argument")));
                format!("{:?}", Owner(Loud("self")).taken(Loud("argument")))
            },
            spans: &["consumed", "taken!argument"],
        },
        Case {
            name: "a finished future that is kept",
            run: || {
                let mut kept = pin!(future(Loud("1"), Loud("2"), Loud("3"), (Loud("4"), Loud("5"))));
                let mut task = Context::from_waker(Waker::noop());
                assert!(kept.as_mut().poll(&mut task).is_pending());
                assert_eq!(kept.as_mut().poll(&mut task), Poll::Ready(1));
                log("finished");
                String::new()
            },
            spans: &["future"],
        },
    ]
}

use std::future::Future;
