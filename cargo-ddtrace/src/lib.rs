//! The command `cargo ddtrace`: a local agent with a viewer, and a runner that sends a program's traces there.
//!
//! The agent listens where the Datadog Agent would, takes what the library sends, says what is wrong with it, keeps the newest, and
//! shows it on a page. It is a development tool. As a library this crate is for its own binary and for tests,
//! which start an agent in their process:
//!
//! ```no_run
//! # async fn example() -> Result<(), cargo_ddtrace::agent::StartError> {
//! use cargo_ddtrace::agent::{Agent, Options};
//!
//! let agent = Agent::start(Options { port: Some(0), ..Options::default() }).await?;
//! println!("{}", agent.viewer());
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//! cli ─▶ run ─▶ agent ─▶ security ─▶ intake ─▶ validate
//!                  │          └────▶ api ─▶ search ─▶ store
//!                  ├▶ viewer                           ▲
//!                  └▶ forward            intake ───────┘
//!                                  intake, api ─▶ rc
//! ```

pub mod agent;
pub mod api;
pub mod cli;
pub mod forward;
pub mod history;
pub mod intake;
pub mod llm;
pub mod rc;
pub mod run;
pub mod search;
pub mod security;
pub mod store;
pub mod streams;
pub mod test;
pub mod validate;
pub mod viewer;
