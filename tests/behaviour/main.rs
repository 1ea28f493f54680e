//! Behaviour across crates, against real peers: one module per subject.

mod dependencies;
mod python;
