//! Behaviour across crates, against real peers.
//!
//! The tests are in `behaviour/`, one module per subject; what has to be a process of its own is a subcommand of
//! `programs/`. This library is what they stand on:
//!
//! * [`wait`]: polling with a deadline, in place of sleeping;
//! * [`process`]: children that end with the test, whatever happens;
//! * [`proxy`]: connections that are cut or refused;
//! * [`http`]: requests to the peers' control interfaces;
//! * [`kafka`]: brokers, real or played;
//! * [`service`]: which peers are there, and what to do when one is not;
//! * [`test_agent`]: the agent that all Datadog tracers are tested with;
//! * [`weather`]: an agent that misbehaves in a given way;
//! * [`payload`]: what was sent, decoded without our encoder.

pub mod http;
pub mod kafka;
pub mod payload;
pub mod process;
pub mod proxy;
pub mod service;
pub mod test_agent;
pub mod wait;
pub mod weather;
