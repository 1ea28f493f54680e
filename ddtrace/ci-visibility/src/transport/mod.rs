//! The way to the backend: through the agent's proxy, or straight to the intakes
//! (`spec/ci-visibility.md` §5).
//!
//! ```text
//!   Transport::post   tries, pauses, what an answer means, gzip both ways
//!       │
//!   Route             which address and headers a subdomain has
//!       │
//!   core's clients    AgentClient for http and Unix sockets, IntakeClient for TLS
//! ```
//!
//! Whatever happens, a request ends: each try has a time limit, tries have a number, and all of it
//! stops at the caller's deadline. After a failed try the connection is given up, since the next
//! one may reach a better peer.

mod client;
mod error;
mod retry;
mod route;

pub use client::{Answer, Call, Transport};
pub use error::{RequestError, Unavailable};
pub use route::{Proxy, Route, Subdomain};

pub(crate) use client::gzip;

#[cfg(test)]
mod transport_tests;
