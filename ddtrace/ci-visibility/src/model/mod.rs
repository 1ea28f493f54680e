//! What is said about a test run: session → module → suite → test, each test with its attempts.
//!
//! These are values without behaviour: whoever runs tests makes them, [`crate::selection`] decides
//! over them, [`crate::payload`] writes them. All of them can be serialised, because the process
//! that runs a test is seldom the one that reports it.
//!
//! An *attempt* is one run of a test. A test that is retried has several, each an event of its own.
//!
//! Identity is (module, suite, name, parameters) within a service and repository. It must not
//! depend on the machine, the order, retries, or on how a test was run: otherwise every run would
//! make new tests (`spec/ci-visibility.md` §3).

mod attempt;
mod id;

pub use attempt::{
    Attempt, ExecutionMode, Failure, RetryReason, Source, Status, TestIdentity, TestKind,
};
pub use id::SessionId;

pub mod tags;
