//! An error that somebody returned, of whatever type: what the attributes hand to a span.

use std::error::Error;
use std::fmt;

use super::write::ErrorText;

/// A borrowed error and the best that is known of it. Nothing is formatted until a span asks.
#[derive(Clone, Copy)]
pub struct Failure<'a> {
    type_name: &'static str,
    seen_as: SeenAs<'a>,
}

#[derive(Clone, Copy)]
enum SeenAs<'a> {
    Error(&'a dyn Error),
    /// Behind a smart pointer such as `Box<dyn Error>`, reached through a function.
    Behind(&'a dyn Reach),
    Display(&'a dyn fmt::Display),
    Debug(&'a dyn fmt::Debug),
    Nothing,
}

/// Gives access to an error that is not `Sized`, so that it can't be made a `&dyn Error`.
pub(crate) trait Reach {
    fn describe(&self, type_name: &str) -> ErrorText;
}

impl fmt::Debug for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("type_name", &self.type_name)
            .finish_non_exhaustive()
    }
}

impl<'a> Failure<'a> {
    pub(crate) fn error(type_name: &'static str, error: &'a dyn Error) -> Self {
        Self {
            type_name,
            seen_as: SeenAs::Error(error),
        }
    }

    pub(crate) fn behind(type_name: &'static str, error: &'a dyn Reach) -> Self {
        Self {
            type_name,
            seen_as: SeenAs::Behind(error),
        }
    }

    pub(crate) fn display(type_name: &'static str, error: &'a dyn fmt::Display) -> Self {
        Self {
            type_name,
            seen_as: SeenAs::Display(error),
        }
    }

    pub(crate) fn debug(type_name: &'static str, error: &'a dyn fmt::Debug) -> Self {
        Self {
            type_name,
            seen_as: SeenAs::Debug(error),
        }
    }

    pub(crate) fn nothing(type_name: &'static str) -> Self {
        Self {
            type_name,
            seen_as: SeenAs::Nothing,
        }
    }

    /// Type, message, and the chain of causes if it has any; for products that describe the error elsewhere, too.
    ///
    /// The user's code runs in here, what it panics with stays here.
    #[cold]
    pub fn describe(&self) -> (String, String, Option<String>) {
        let text = self.text();
        (text.error_type, text.message, text.stack)
    }

    /// Formats it. The user's code runs in here, so the thread's state must not be borrowed.
    #[cold]
    pub(crate) fn text(&self) -> ErrorText {
        let name = self.type_name;
        let plain = |message: String| ErrorText {
            error_type: name.to_owned(),
            message,
            stack: None,
        };
        match self.seen_as {
            SeenAs::Error(error) => ErrorText::named(name, error),
            SeenAs::Behind(error) => error.describe(name),
            SeenAs::Display(error) => plain(crate::text::display(error)),
            SeenAs::Debug(error) => plain(crate::text::debug(error)),
            SeenAs::Nothing => plain(name.to_owned()),
        }
    }
}
