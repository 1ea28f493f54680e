//! The way to the agent.
//!
//! ```text
//!   TraceSender     headers of a payload, tries, what an answer means
//!       │                                 AgentInfo    what the agent can do
//!   AgentClient ───────────────────────────────┘
//!       │           one request: kept connection or a new one, total time-out, bounded answer
//!   Connection      TCP or Unix socket under hyper's HTTP/1 client
//! ```
//!
//! An agent is a neighbour that restarts, hangs, lies and goes away. So: every request has a time
//! limit over all of it, every answer a size limit, every retry a count, and all of it ends when a
//! [`Deadline`] comes. What cannot be delivered is dropped and said once; nothing here panics or
//! grows. `client_tests.rs` and `sender_tests.rs` have one test per sort of bad weather.
//!
//! Everything runs on the caller's tokio runtime (the worker's, which is current-thread). Nothing
//! here uses a proxy, and nothing speaks TLS: agents don't. Intakes do, and bring a dialler of their own.

mod client;
mod connection;
mod container;
mod deadline;
mod error;
mod headers;
mod info;
mod rates;
mod retry;
mod sender;

pub use client::{AgentClient, MAX_BODY, Response};
#[cfg_attr(
    not(feature = "agentless"),
    allow(unused_imports, reason = "agents are dialled without them")
)]
pub(in crate::export) use connection::{Connection, Dial, Dialing};
pub use container::ContainerIdentity;
pub use deadline::{Deadline, DeadlineSetter, deadline};
pub use error::SendError;
pub use headers::{RUSTC_VERSION, TRACER_VERSION, meta_headers};
pub use info::{AgentInfo, REFRESH_INTERVAL, TagFilter};
pub use retry::RetryPolicy;
pub use sender::{Accepted, DroppedUnsampled, Outcome, SendFailure, TracePayload, TraceSender};

#[cfg(test)]
mod client_tests;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod sender_tests;
