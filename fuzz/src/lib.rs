//! What each fuzz target does with its input, and what must hold whatever the input is.
//!
//! A target in `fuzz_targets/` only hands its bytes to the function of its name. There is one file for each crate whose
//! parsers are tried, and it needs nothing but that crate, so that a test over there includes the file and replays the
//! corpus in every run of the tests. Inputs are text where a person may want to write one.

pub mod aws_sdk;
pub mod ci_visibility;
pub mod core;
pub mod corpus;
pub mod data_streams;
pub mod exchange_text;
pub mod llmobs;
pub mod redis;
pub mod tonic;
pub mod tower;
