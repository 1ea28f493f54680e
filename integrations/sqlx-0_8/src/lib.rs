//! Spans for `sqlx-0_8`.
