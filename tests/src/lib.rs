//! Behaviour across crates, against real peers.
