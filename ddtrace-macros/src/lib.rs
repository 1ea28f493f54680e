//! The attributes of `ddtrace`.
