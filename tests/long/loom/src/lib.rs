//! The core's own source, compiled against loom's atomics and locks. Its tests stand in that file.

#[cfg(loom)]
#[allow(dead_code)]
#[path = "../../../../ddtrace/core/src/trace/visits.rs"]
mod visits;
