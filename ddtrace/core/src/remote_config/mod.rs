//! Remote configuration: settings and files that Datadog sends to a running program, through the agent.
//!
//! ```text
//!   poll            asks the agent every few seconds, on the worker
//!     │
//!   client          what is in force; the request; what an answer changes
//!     │  ├─ request, response   the two bodies
//!     │  └─ files               plans an update: all of it, or nothing
//!     │
//!   subscription    one handler per product, told once per poll of everything that changed for it
//!   apm_tracing     the tracer's own product: settings that replace the configuration in force
//! ```
//!
//! The protocol is `POST /v0.7/config` (`spec/telemetry-and-remote-config.md` §3): the request says who asks and what it has,
//! the answer brings a list of all files that exist, signed for the agent, and the files that are new to us.
//!
//! A product [subscribes](subscribe) to its name in the start function by which it is
//! [registered](crate::instrument::Product). What only switches it on and off is a [switch](on_switch).
//!
//! Invariants:
//!
//! * **All or nothing.** Every file of an answer is found and checked before anybody is told of one. What is wrong with an
//!   answer goes back to the agent with the next request, and what was in force stays.
//! * **No moment in between.** Whatever an answer changes for a product arrives in one [`Batch`]; the configuration is
//!   replaced as a whole, and so are the sampling rules.
//! * **Nothing stays behind.** When a file is gone, when the agent offers no remote configuration any more, and in the child
//!   of a fork, settings are what they were without it. The one exception is tracing that was switched off.
//! * **Bounded.** An answer has at most 16 MiB; lists are counted while they are read; nothing recurses over what it is sent.
//! * Off the user's threads: all of it runs on the worker.

mod apm_tracing;
mod capabilities;
mod capped;
mod client;
mod digest;
mod files;
mod offline;
mod path;
mod poll;
mod request;
mod response;
mod subscription;
#[cfg(test)]
mod test_answer;

pub use apm_tracing::{on_list, on_switch, text};
pub use capabilities::Capabilities;
pub use offline::OfflineClient;
pub use path::ConfigPath;
pub(crate) use poll::TASK;
pub use poll::poll_now;
pub use subscription::{Batch, ConfigFile, Outcomes, Subscription, subscribe};
