//! Observability for Rust with one attribute.
