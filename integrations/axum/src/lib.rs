//! Spans for `axum`.
