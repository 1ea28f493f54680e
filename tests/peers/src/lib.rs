//! `ddtrace` side by side with other tracers.
//!
//! Every peer does the same work and is written as its own documentation would have it: attributes where it has them,
//! its own way of carrying a span across an `await`, its own batch exporter. A peer is a row of [`PEERS`]; what it can be
//! asked for is a field of [`Peer`]; `benches/spans.rs` starts one process per peer and question (a tracer is global to
//! its process), this crate's [`sink`] answers as the agent, and the figures are printed beside each other.
//!
//! What the peers do differs, and the table can't show it: fastrace's own reporter here throws spans away, its Datadog
//! reporter has no sampling, resource or error; OpenTelemetry's exporter throws away too; only `datadog-opentelemetry`
//! and ours have the whole of what the Datadog Agent is sent.

#![deny(unsafe_op_in_unsafe_fn)]

use axum::Router;

pub mod callgrind;
pub mod encode;
mod fastrace_spans;
pub mod load;
pub mod meter;
mod opentelemetry_api;
mod ours;
pub mod sink;
pub mod table;
mod tracing_spans;
mod untraced;
pub mod work;

/// Waits until everything finished so far has been exported or thrown away.
pub type Flush = Box<dyn Fn() + Send + Sync>;

/// A tracer, and the same work done with it.
pub struct Peer {
    /// How it is called on the command line and in the tables.
    pub name: &'static str,
    /// Installs the tracer in this process, exporting to `DD_TRACE_AGENT_URL` if it exports.
    pub start: fn() -> Flush,
    /// Installs what a program has when this tracer is switched off at run time.
    pub start_off: fn() -> Flush,
    /// One trace: a root with so many children, one after the other.
    pub flat: fn(u64),
    /// The same as `flat` on a thread that only has the root's context, if there is a way to say that.
    pub shared: Option<fn(u64)>,
    /// The same, each child with five texts and a number.
    pub tagged: fn(u64),
    /// The same as `flat`, every function being asynchronous and yielding once.
    pub asynchronous: fn(u64),
    /// Puts the tracer's server layer around a router.
    pub layer: fn(Router) -> Router,
    /// Spans that the peer's exporter took inside this process; `None` if they go to the agent.
    pub taken: fn() -> Option<u64>,
}

/// All peers, the baseline first.
pub static PEERS: &[Peer] = &[
    untraced::UNTRACED,
    fastrace_spans::FASTRACE,
    fastrace_spans::FASTRACE_DATADOG,
    tracing_spans::REGISTRY,
    tracing_spans::OPENTELEMETRY,
    tracing_spans::DATADOG,
    opentelemetry_api::DATADOG_API,
    ours::DDTRACE,
];

/// The peer of that name.
pub fn peer(name: &str) -> Option<&'static Peer> {
    PEERS.iter().find(|peer| peer.name == name)
}
