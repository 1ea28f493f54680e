//! Checkpoints of a test, kept in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::bucket::Observation;
use crate::hash::Node;
use crate::listen;
use crate::switch::{self, Waiting};

/// The product is one for the whole process, so tests take turns.
pub(crate) static TURN: Mutex<()> = Mutex::new(());

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
    waiting: Mutex<Option<Waiting>>,
    _turn: MutexGuard<'static, ()>,
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
        // A test that failed has left nothing that the next one would mind.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        listen::subscribe();
        switch::make_ready(Node::new(service, None, None, ""));
        switch::set_on(true);
        Self {
            waiting: Mutex::new(switch::take_waiting()),
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
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut passed = Vec::new();
        let queue = waiting.as_mut().map(|waiting| &mut waiting.queue);
        let Some(queue) = queue else {
            return passed;
        };
        while let Ok(observation) = queue.try_recv() {
            if let Observation::Point(point) = observation {
                passed.push(Checkpoint {
                    tags: point.tags.iter().map(str::to_owned).collect(),
                    hash: point.hash,
                    parent: point.parent,
                    payload_size: point.payload_size,
                });
            }
        }
        passed
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        switch::set_on(false);
        switch::count_requests(false);
    }
}
