//! Checkpoints of a test, kept in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bucket::{Observation, Rare};
use crate::hash::Node;
use crate::listen;
use crate::switch::{self, Waiting};

/// The product is one for the whole process, so tests take turns.
pub(crate) fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has left nothing that the next one would mind.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Switches the product on while it lives, and keeps the checkpoints that are passed, by hand and by integrations. One at a time: the next one waits for
/// this one to be dropped. Not for programs that call `init()`.
///
/// ```
/// use ddtrace_data_streams as dsm;
/// use ddtrace_data_streams::test_support::Checkpoints;
///
/// let checkpoints = Checkpoints::record("warehouse");
/// dsm::consume("kafka", "orders").without_headers();
/// let passed = checkpoints.take();
/// assert_eq!(passed[0].tags, ["direction:in", "manual_checkpoint:true", "topic:orders", "type:kafka"]);
/// assert_eq!(passed[0].parent, 0);
/// ```
#[derive(Debug)]
pub struct Checkpoints {
    passed: Mutex<Passed>,
    _turn: MutexGuard<'static, ()>,
}

/// What has come out of the queue and was not asked for yet.
#[derive(Debug)]
struct Passed {
    waiting: Option<Waiting>,
    checkpoints: Vec<Checkpoint>,
    /// Ids, and the checkpoints that they passed.
    transactions: Vec<(String, String)>,
}

impl Passed {
    fn collect(&mut self) {
        let waiting = || self.waiting.as_ref()?.next();
        for observation in std::iter::from_fn(waiting) {
            let rare = match observation {
                Observation::Point(point) => {
                    self.checkpoints.push(Checkpoint {
                        tags: point.tags.iter().map(str::to_owned).collect(),
                        hash: point.hash,
                        parent: point.parent,
                        payload_size: point.payload_size,
                    });
                    continue;
                }
                Observation::Rare(rare) => *rare,
            };
            if let Rare::Transaction(transaction) = rare {
                let passage = (transaction.id.into(), transaction.checkpoint.into());
                self.transactions.push(passage);
            }
        }
    }
}

/// One checkpoint that was passed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// Its tags, sorted.
    pub tags: Vec<String>,
    /// The hash of the pathway after it.
    pub hash: u64,
    /// The hash of the pathway before it; 0 if the pathway began with it.
    pub parent: u64,
    /// Bytes.
    pub payload_size: u64,
}

impl Checkpoints {
    /// Begins, for a service without an environment and without tags of the process.
    pub fn record(service: &str) -> Self {
        let turn = turn();
        listen::subscribe();
        switch::make_ready(Node::new(service, None, None, ""));
        switch::set_on(true);
        Self {
            passed: Mutex::new(Passed {
                waiting: switch::take_waiting(),
                checkpoints: Vec::new(),
                transactions: Vec::new(),
            }),
            _turn: turn,
        }
    }

    /// Switches the product on or off, as remote configuration may.
    pub fn switch(&self, on: bool) {
        switch::set_on(on);
    }

    /// Makes requests of HTTP and gRPC checkpoints, as `DD_DATA_STREAMS_HTTP_ENABLED` does, or not.
    pub fn count_requests(&self, on: bool) {
        switch::count_requests(on);
    }

    /// What was passed since the last call, in order.
    pub fn take(&self) -> Vec<Checkpoint> {
        std::mem::take(&mut self.passed().checkpoints)
    }

    /// The transactions that have passed checkpoints since the last call, in order: ids, and the checkpoints' names.
    pub fn take_transactions(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.passed().transactions)
    }

    fn passed(&self) -> MutexGuard<'_, Passed> {
        let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.collect();
        passed
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        switch::set_on(false);
        switch::count_requests(false);
    }
}
