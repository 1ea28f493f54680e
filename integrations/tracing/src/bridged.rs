//! A span of tracing that is one of ours.

use std::sync::atomic::{AtomicU8, Ordering};

use ddtrace_core::events::Followers;
use ddtrace_core::trace::SharedSpan;

use crate::fields::{Failure, SpanFields, Status};

/// What the registry keeps for a span.
#[derive(Debug)]
pub(crate) struct Bridged {
    /// Before the span, so that they are told first of the end.
    followers: Followers,
    pub(crate) span: SharedSpan,
    /// See [`Status`].
    status: AtomicU8,
}

impl Bridged {
    pub(crate) fn new(span: SharedSpan, followers: Followers) -> Self {
        Self {
            followers,
            span,
            status: AtomicU8::new(0),
        }
    }

    /// Writes fields on it.
    pub(crate) fn record(&self, record: impl FnOnce(&mut SpanFields<'_>)) {
        let mut fields = SpanFields {
            span: &self.span,
            followers: &self.followers,
            status: self.status(),
        };
        record(&mut fields);
        if fields.status == Status::Ok {
            self.status.store(1, Ordering::Relaxed);
        }
    }

    /// Ends the span at the moment at which it was left the last time.
    pub(crate) fn finish(self) {
        drop(self.followers);
        self.span.finish_when_left();
    }

    fn status(&self) -> Status {
        match self.status.load(Ordering::Relaxed) {
            0 => Status::Unset,
            _ => Status::Ok,
        }
    }

    /// Marks it as failed, unless somebody said that it is well.
    pub(crate) fn fail(&self, failure: &Failure) {
        if self.status() != Status::Ok {
            fail(failure, |kind, message, stack| {
                self.span.set_error_message(kind, message, stack);
            });
        }
    }
}

/// Hands the parts of a failure on; a message without a type is that of an `Error`, as for errors whose type is not known.
pub(crate) fn fail(failure: &Failure, set: impl FnOnce(&str, &str, Option<&str>)) {
    let error_type = failure.error_type.as_deref().unwrap_or("Error");
    let message = failure.message.as_deref().unwrap_or_default();
    set(error_type, message, failure.stack.as_deref());
}
