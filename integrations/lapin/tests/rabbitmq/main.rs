//! Publishers and consumers against a real RabbitMQ.

mod broker;
mod consume;
mod publish;
mod weather;
mod wire;

#[allow(dead_code, unreachable_pub, reason = "written for a crate of its own")]
#[path = "../../../../tests/src/service.rs"]
mod service;
