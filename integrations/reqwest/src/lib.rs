//! Spans for `reqwest`.
