//! Errors that the program deals with itself.

use std::error::Error;
use std::panic::Location;

use ddtrace_core::events::{self, HandledError};

/// Reports an error that the program handled: it goes on, the span is not marked as failed.
///
/// The active span gets an `exception` event with the error's type, message and chain of sources; products that listen
/// ([`HandledError`]) hear of it. Without an active span nothing is recorded. Costs the formatting of the error.
///
/// ```
/// # fn cached() -> Result<u32, std::num::ParseIntError> { "7".parse() }
/// let price = cached().unwrap_or_else(|error| {
///     ddtrace::error::handled(&error);
///     0
/// });
/// # assert_eq!(price, 7);
/// ```
#[track_caller]
pub fn handled<E: Error + 'static>(error: &E) {
    let location = Location::caller();
    ddtrace_core::trace::current_span().record_exception(error);
    events::dispatch::<HandledError<'static>>(|| {
        HandledError::new(error, std::any::type_name::<E>(), location)
    });
}
