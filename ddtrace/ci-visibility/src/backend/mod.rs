//! What the backend is asked, and how its answers are read.
//!
//! One file per endpoint. Answers are outside input: each file has a pure function from bytes to a
//! value or a [`BadAnswer`], and a bad answer switches off the feature it is for, nothing else
//! (`spec/ci-visibility.md` §13).

mod bad_answer;
mod client;
mod known_tests;
mod search_commits;
mod settings;
mod skippable;
mod test_management;

pub use bad_answer::BadAnswer;
pub use client::{Asker, Backend};
pub use known_tests::{KnownTests, MAX_TESTS, NextPage};
pub use settings::{EarlyFlakeDetection, Settings, SlowTestRetries, TestManagementSettings};
pub use skippable::{Skippable, SkippingLevel};
pub use test_management::{TestManagement, TestProperties};

#[cfg(test)]
mod client_tests;
