//! Errors that a program deals with itself.

use std::error::Error;
use std::panic::Location;

use super::{Event, Listeners};

/// The user's program handled an error: it caught it, and goes on.
///
/// Dispatched by `ddtrace::error::handled` (and later by what error tracking adds to annotated functions), on the thread
/// that handles the error, while the span in which it happened is active: a listener that adds to the span takes
/// [`current_span`](crate::trace::current_span). Nothing is marked as an error by the event itself.
#[non_exhaustive]
pub struct HandledError<'a> {
    /// The error; its chain is behind [`Error::source`].
    pub error: &'a (dyn Error + 'static),
    /// The type of the error as the program knows it, e.g. `shop::payments::Declined`.
    pub type_name: &'a str,
    /// Where it was handled.
    pub location: &'static Location<'static>,
}

impl<'a> HandledError<'a> {
    /// Puts the fact together.
    pub fn new(
        error: &'a (dyn Error + 'static),
        type_name: &'a str,
        location: &'static Location<'static>,
    ) -> Self {
        Self {
            error,
            type_name,
            location,
        }
    }
}

impl Event for HandledError<'static> {
    type Payload<'a> = HandledError<'a>;
    const NAME: &'static str = "HandledError";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<HandledError<'static>> = Listeners::new();
        &LISTENERS
    }
}
