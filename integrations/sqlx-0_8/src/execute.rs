//! A query on its way through the wrapper.

use std::collections::HashMap;
use std::sync::{LazyLock, PoisonError, RwLock};

use sqlx_core_0_8::database::Database;
use sqlx_core_0_8::error::BoxDynError;
use sqlx_core_0_8::executor::Execute;

/// How many statements with comments are kept.
const MOST_TEXTS: usize = 512;

/// The longest statement that is kept, comment included, in bytes.
const LONGEST_TEXT: usize = 4096;

/// Statements with their comments, which live as long as the program.
static TEXTS: LazyLock<Texts> = LazyLock::new(Texts::default);

#[derive(Default)]
struct Texts {
    kept: RwLock<HashMap<String, &'static str>>,
}

/// What is sent to the database.
pub(crate) enum Statement<'q, DB: Database, E> {
    /// The user's own query.
    AsGiven(E),
    /// The user's query under another text.
    Commented {
        text: &'static str,
        arguments: Result<Option<DB::Arguments<'q>>, BoxDynError>,
        persistent: bool,
    },
}

impl<'q, DB: Database, E: Execute<'q, DB>> Statement<'q, DB, E> {
    /// The query with the commented text, or as it is if there is no room for another text.
    pub(crate) fn commented(mut query: E, commented: &str) -> Self {
        match TEXTS.keep(commented) {
            Some(text) => Self::Commented {
                text,
                arguments: query.take_arguments(),
                persistent: query.persistent(),
            },
            None => Self::AsGiven(query),
        }
    }
}

impl<'q, DB: Database, E: Execute<'q, DB>> Execute<'q, DB> for Statement<'q, DB, E> {
    fn sql(&self) -> &'q str {
        match self {
            Self::AsGiven(query) => query.sql(),
            Self::Commented { text, .. } => text,
        }
    }

    fn statement(&self) -> Option<&DB::Statement<'q>> {
        match self {
            Self::AsGiven(query) => query.statement(),
            Self::Commented { .. } => None,
        }
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments<'q>>, BoxDynError> {
        match self {
            Self::AsGiven(query) => query.take_arguments(),
            Self::Commented { arguments, .. } => std::mem::replace(arguments, Ok(None)),
        }
    }

    fn persistent(&self) -> bool {
        match self {
            Self::AsGiven(query) => query.persistent(),
            Self::Commented { persistent, .. } => *persistent,
        }
    }
}

impl Texts {
    /// The text as one that outlives every query, if it is known or there is room for it.
    fn keep(&self, text: &str) -> Option<&'static str> {
        if let Some(known) = self
            .kept
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(text)
        {
            return Some(known);
        }
        if text.len() > LONGEST_TEXT {
            return None;
        }
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MOST_TEXTS && !kept.contains_key(text) {
            return None;
        }
        Some(
            kept.entry(text.to_owned())
                .or_insert_with(|| String::leak(text.to_owned())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_kept_once_and_within_bounds() {
        let texts = Texts::default();
        let first = texts.keep("SELECT 1").unwrap();
        assert_eq!(first, "SELECT 1");
        assert!(std::ptr::eq(first, texts.keep("SELECT 1").unwrap()));
        assert_eq!(texts.keep(&"x".repeat(LONGEST_TEXT + 1)), None);
        let room = (0..2 * MOST_TEXTS)
            .filter(|n| texts.keep(&format!("UPDATE {n}")).is_some())
            .count();
        assert_eq!(room, MOST_TEXTS - 1);
        assert!(std::ptr::eq(first, texts.keep("SELECT 1").unwrap()));
    }
}
