//! A server that answers as providers of language models do, without a model.
//!
//! No model can be reached from a test, and none should be needed to try the library out. This server has the paths of OpenAI
//! (which most others have as well), Anthropic, Gemini and Ollama, and answers what a [`Script`] says, in one piece or as a
//! stream, as the request asks. It can also do what providers do on bad days.
//!
//! ```
//! use ddtrace_models::{Models, Reply};
//!
//! # async fn example() -> std::io::Result<()> {
//! let models = Models::start(|ask| match ask.last_text() {
//!     "Where is my order?" if ask.tool_result().is_none() => Reply::call("order_status", r#"{"order":17}"#),
//!     "Where is my order?" => Reply::text("It leaves today."),
//!     other => Reply::text(&format!("You said: {other}")),
//! })
//! .await?;
//! let base_url = models.url("openai/v1"); // http://127.0.0.1:…/openai/v1
//! # Ok(())
//! # }
//! ```
//!
//! ```text
//!   request ──> provider's shape ──> Ask ──> Script ──> Reply ──> provider's shape ──> response
//! ```
//!
//! What a request asks and what is answered is the same for all providers ([`Ask`], [`Reply`]); a file for each knows its
//! shape. Every request is [kept](Models::received) as it came, so that a test can see that nothing was added to it.

mod anthropic;
mod ask;
mod gemini;
mod ollama;
mod openai;
mod reply;
mod server;

pub use ask::{Ask, Said};
pub use reply::{Fault, Reply};
pub use server::{Models, Received};

/// Says what to answer.
pub trait Script: Fn(&Ask) -> Reply + Send + Sync + 'static {}

impl<T: Fn(&Ask) -> Reply + Send + Sync + 'static> Script for T {}
