//! An operation that is under way.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_smithy_types::config_bag::{Storable, StoreReplace};
use ddtrace_core::events::Taps;
use ddtrace_core::instrument::Enabled;
use ddtrace_core::trace::Span;

use crate::pointers::Written;

/// The span of an operation, with what has to be remembered until its end.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) span: Span,
    pub(crate) settings: Arc<Enabled>,
    pub(crate) service: String,
    pub(crate) operation: String,
    /// The queue or the stream that is read from.
    pub(crate) source: Option<String>,
    pub(crate) written: Option<Written>,
    pub(crate) bucket: Option<String>,
    /// Who follows the operation, until its answer is there.
    pub(crate) taps: Taps,
    pub(crate) is_offered: bool,
    /// When the time is over that the operation may take.
    pub(crate) deadline: Option<Instant>,
}

/// The call among what the SDK keeps for the operation.
///
/// If that goes before the operation has ended, nobody waits any more: because the future was dropped, or because the operation's time is
/// over, of which older versions of the SDK's runtime tell no interceptor.
#[derive(Debug)]
pub(crate) struct InCall(Mutex<Option<Call>>);

impl Storable for InCall {
    type Storer = StoreReplace<Self>;
}

impl InCall {
    pub(crate) fn new(call: Call) -> Self {
        Self(Mutex::new(Some(call)))
    }

    /// Works on the call, if it has not ended.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut Call) -> R) -> Option<R> {
        let mut call = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        call.as_mut().map(work)
    }

    /// Takes the call out: it has ended.
    pub(crate) fn end(&self) -> Option<Call> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Drop for InCall {
    fn drop(&mut self) {
        if let Some(mut call) = self.end() {
            if call.deadline.is_some_and(|at| at <= Instant::now()) {
                call.span
                    .set_error_message("timeout", "the operation failed", None);
            } else {
                call.span.set_tag("ddtrace.cancelled", true);
            }
        }
    }
}
