//! CI Visibility and Test Optimization: what test runs tell Datadog, and what it knows about them.
//!
//! ```text
//!   config ─┐
//!   ci, git ┼─> session ──┬─> backend    settings, known tests, skippable tests, test management
//!           │             ├─> selection  what to run, skip and repeat: pure functions
//!           │             └─> writer ──> payload ──> transport ──> agent's proxy, intake or files
//!   coverage, codeowners ─┘
//! ```
//!
//! This crate runs no tests and knows no harness: it is told what ran, and says what to do. The
//! command `cargo ddtrace test` is one user of it, code in a test binary may be another.
//!
//! Two rules hold everywhere. What the backend did not answer is off: the set of tests that run and
//! the exit status are those of a plain run unless a feature was answered for. And nothing waits
//! beyond its budget: a backend that is down, slow or lying costs a bounded time, and never a test.

pub mod backend;
pub mod ci;
mod codeowners;
mod concurrent;
pub mod coverage;
pub mod git;
pub mod junit;
mod manifest;
#[cfg(test)]
mod mock;
pub mod model;
mod options;
pub mod payload;
mod payload_files;
mod random;
pub mod selection;
pub mod session;
pub mod telemetry;
pub mod transport;
mod writer;

pub use codeowners::CodeOwners;
pub use options::Options;
pub use session::Session;
