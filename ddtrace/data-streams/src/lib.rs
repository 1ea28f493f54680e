//! Data Streams Monitoring.
#![allow(dead_code)]
mod encoding;
mod hash;
mod pathway;
mod tags;
mod time;
pub use pathway::Pathway;
