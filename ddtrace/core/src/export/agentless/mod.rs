//! Straight to Datadog, without an agent: feature `agentless`.
//!
//! ```text
//!   agentless traces ─┐
//!   telemetry ────────┼─> IntakeClient   one intake: base URL, API key, time limit, bounded answer
//!   products ─────────┘        │
//!                          TlsDialer     TCP, through the proxy if there is one, then TLS
//!                              │
//!                          AgentClient   the same HTTP/1 client that speaks to agents
//! ```
//!
//! [`IntakeClient`] is the only way out of this crate that speaks TLS, and whoever sends without an agent uses it. TLS is
//! rustls with `ring` and Mozilla's roots compiled in: no OpenSSL, no look at the system's store. The crates come with
//! the feature and are in no default build.
//!
//! **Secrets.** The API key goes into one header that is marked sensitive; the proxy's password into one header of one
//! request to the proxy. Neither is in any error, log line or `Debug` output.
//!
//! **Proxies.** `DD_PROXY_HTTPS` names one, `http://[user:password@]host:port`. It is asked to `CONNECT`; what goes through is
//! TLS from end to end. The usual `HTTPS_PROXY` is not read: a tracer should not change its ways because a variable is meant for
//! other programs.

mod client;
mod proxy;
mod site;
mod tls;
mod traces;
mod transcode;

pub use client::{IntakeBuilder, IntakeClient};
pub use site::{stats_intake, trace_intake};
pub(in crate::export) use traces::ChunkHead;
pub(in crate::export) use traces::Encoder;

#[cfg(test)]
mod intake_tests;
