//! Waits for two things at once. `tokio::join!` would do, for the price of a procedural macro.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

/// Both results.
pub(crate) async fn both<A, B>(
    one: impl Future<Output = A>,
    other: impl Future<Output = B>,
) -> (A, B) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut first, mut second) = (None, None);
    poll_fn(|context| {
        if first.is_none() {
            if let Poll::Ready(result) = one.as_mut().poll(context) {
                first = Some(result);
            }
        }
        if second.is_none() {
            if let Poll::Ready(result) = other.as_mut().poll(context) {
                second = Some(result);
            }
        }
        match (first.take(), second.take()) {
            (Some(first), Some(second)) => Poll::Ready((first, second)),
            waiting => {
                (first, second) = waiting;
                Poll::Pending
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::run;
    use tokio::sync::oneshot;

    #[test]
    fn each_may_wait_for_the_other() {
        run(async {
            let (to_second, of_first) = oneshot::channel();
            let (to_first, of_second) = oneshot::channel();
            let first = async {
                let got = of_second.await;
                to_second.send(1).expect("it waits");
                got
            };
            let second = async {
                to_first.send(2).expect("it waits");
                of_first.await
            };
            assert_eq!(both(first, second).await, (Ok(2), Ok(1)));
        });
    }
}
