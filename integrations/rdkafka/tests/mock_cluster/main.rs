//! Producers and consumers against the brokers that librdkafka plays itself, on loopback.

mod broker;
mod consumers;
mod producers;
mod weather;
