//! A point in time at which work must stop, which may be set while the work runs.
//!
//! A worker that is told to shut down has a few seconds left; a request that waits for a silent
//! agent, or a pause between two tries, must not outlast them.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Sets the time for its [`Deadline`]s.
#[derive(Debug)]
pub struct DeadlineSetter(watch::Sender<Option<Instant>>);

/// When work must stop; at first, never.
#[derive(Clone, Debug)]
pub struct Deadline(watch::Receiver<Option<Instant>>);

/// A deadline and what sets it.
pub fn deadline() -> (DeadlineSetter, Deadline) {
    let (sender, receiver) = watch::channel(None);
    (DeadlineSetter(sender), Deadline(receiver))
}

impl DeadlineSetter {
    /// Work must stop at this time.
    pub fn set(&self, at: Instant) {
        self.0.send_replace(Some(at));
    }
}

impl Deadline {
    /// A deadline that never comes.
    pub fn never() -> Deadline {
        deadline().1
    }

    /// How long it is until then; a very long time if none is set.
    pub fn remaining(&self) -> Duration {
        self.0.borrow().map_or(Duration::MAX, |at| {
            at.saturating_duration_since(Instant::now())
        })
    }

    /// Waits until it comes.
    pub async fn reached(&mut self) {
        loop {
            let at = *self.0.borrow_and_update();
            let changed = self.0.changed();
            let gone = match at {
                Some(at) => match timeout_at(at, changed).await {
                    Ok(changed) => changed.is_err(),
                    Err(_) => return,
                },
                None => changed.await.is_err(),
            };
            if gone {
                // Nobody can set it any more: what is set stays.
                return match at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                };
            }
        }
    }

    /// The work's result, or `None` if the deadline comes first. The work is then dropped.
    pub async fn limit<F: Future>(&mut self, work: F) -> Option<F::Output> {
        let mut work = pin!(work);
        let mut reached = pin!(self.reached());
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => reached.as_mut().poll(context).map(|()| None),
        })
        .await
    }
}
