//! Spans for `sqlx`.
