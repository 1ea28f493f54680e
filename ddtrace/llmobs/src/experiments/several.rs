//! Running the program's own code for an experiment: several pieces at a time, whatever it does.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use super::evaluator::{BoxError, BoxFuture};
use super::result::Failure;

/// Contains a panic of the program's own code.
pub(super) async fn guarded<T>(mut future: BoxFuture<Result<T, BoxError>>) -> Result<T, Failure> {
    poll_fn(
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(Ok(value))) => Poll::Ready(Ok(value)),
            Ok(Poll::Ready(Err(error))) => Poll::Ready(Err(Failure::of(&error))),
            Err(_) => Poll::Ready(Err(Failure::panicked())),
        },
    )
    .await
}

/// Runs futures, so many at a time, and gives what they give in their order.
pub(super) async fn several<F: Future>(
    futures: Vec<F>,
    at_a_time: usize,
    mut after_each: impl FnMut(),
) -> Vec<F::Output> {
    let mut waiting = futures.into_iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut done: Vec<(usize, F::Output)> = Vec::new();
    poll_fn(|context: &mut Context<'_>| {
        loop {
            while running.len() < at_a_time {
                match waiting.next() {
                    Some((index, future)) => running.push((index, Box::pin(future))),
                    None => break,
                }
            }
            let before = done.len();
            let mut at = 0;
            while at < running.len() {
                match running[at].1.as_mut().poll(context) {
                    Poll::Ready(output) => {
                        let (index, _) = running.swap_remove(at);
                        done.push((index, output));
                        after_each();
                    }
                    Poll::Pending => at += 1,
                }
            }
            if running.is_empty() && waiting.len() == 0 {
                return Poll::Ready(());
            }
            if done.len() == before {
                return Poll::Pending;
            }
        }
    })
    .await;
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, output)| output).collect()
}
