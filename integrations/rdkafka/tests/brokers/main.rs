//! Producers and consumers against brokers: those that librdkafka plays itself on loopback, or those that `KAFKA_BROKERS`
//! names (`bash tests/long/kafka` starts one).

mod broker;
mod consumers;
#[allow(unreachable_pub, reason = "elsewhere it is part of a library")]
#[path = "../../../../tests/src/kafka.rs"]
mod kafka;
mod producers;
mod proxy;
mod real;
mod requests;
mod weather;
