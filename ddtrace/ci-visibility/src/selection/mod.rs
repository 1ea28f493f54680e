//! What to do with each test: pure functions over the model and the backend's answers.
//!
//! ```text
//!   Candidate ──> Policy::decide ──> Decision ──┬─> skip: an event with a reason
//!                                               └─> run ──> Retries::after(status, time) ─┬─> Next::Again
//!                                                                                         └─> Next::Done(Verdict)
//! ```
//!
//! Whoever runs tests executes these decisions and makes none. The first policy that applies to a
//! test decides about its repetitions: attempt to fix, Early Flake Detection, Auto Test Retries
//! (`spec/ci-visibility.md` §7.8).
//!
//! A verdict says what counts in the end: the final status, whether it fails the build, and
//! whether a failure is masked because the test is quarantined.

mod changes;
mod decision;
mod faulty;
mod policy;
mod retries;

pub use changes::ChangedLines;
pub use decision::{Action, Decision, RetryPlan, SkipCause};
pub use faulty::FaultySession;
pub use policy::{Answers, Candidate, Policy};
pub use retries::{Next, Retries, RetryBudget, Verdict};

#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod retries_tests;
