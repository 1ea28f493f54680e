//! The worker.
pub(crate) fn revive() {}
