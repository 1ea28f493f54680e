//! Statements that know their text.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// A prepared statement: a [`tokio_postgres::Statement`] and the text that it was prepared from.
#[derive(Clone)]
pub struct Statement {
    inner: tokio_postgres::Statement,
    text: Arc<str>,
}

/// A portal: a [`tokio_postgres::Portal`] and the text of the statement that is bound to it.
#[derive(Clone)]
pub struct Portal {
    inner: tokio_postgres::Portal,
    text: Option<Arc<str>>,
}

impl Statement {
    pub(crate) fn new(inner: tokio_postgres::Statement, text: &str) -> Self {
        Self {
            inner,
            text: text.into(),
        }
    }

    /// The text that it was prepared from.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Portal {
    pub(crate) fn new(inner: tokio_postgres::Portal, text: Option<&str>) -> Self {
        Self {
            inner,
            text: text.map(Arc::from),
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

impl Deref for Statement {
    type Target = tokio_postgres::Statement;

    fn deref(&self) -> &tokio_postgres::Statement {
        &self.inner
    }
}

impl Deref for Portal {
    type Target = tokio_postgres::Portal;

    fn deref(&self) -> &tokio_postgres::Portal {
        &self.inner
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Statement").field(&self.text).finish()
    }
}

impl fmt::Debug for Portal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Portal").field(&self.text).finish()
    }
}

mod private {
    pub trait Sealed {}
}

/// What can be run: a text, a [`Statement`], or the library's own statement, whose text nobody knows.
pub trait ToStatement: private::Sealed {
    /// What the library gets.
    #[doc(hidden)]
    type Inner: ?Sized + tokio_postgres::ToStatement;

    #[doc(hidden)]
    fn inner(&self) -> &Self::Inner;

    #[doc(hidden)]
    fn statement_text(&self) -> Option<&str>;

    /// Whether the text may be changed: one that the program prepared is the server's already.
    #[doc(hidden)]
    const IS_PREPARED: bool;
}

impl private::Sealed for str {}
impl ToStatement for str {
    type Inner = str;
    const IS_PREPARED: bool = false;

    fn inner(&self) -> &str {
        self
    }

    fn statement_text(&self) -> Option<&str> {
        Some(self)
    }
}

impl private::Sealed for String {}
impl ToStatement for String {
    type Inner = str;
    const IS_PREPARED: bool = false;

    fn inner(&self) -> &str {
        self
    }

    fn statement_text(&self) -> Option<&str> {
        Some(self)
    }
}

impl private::Sealed for Statement {}
impl ToStatement for Statement {
    type Inner = tokio_postgres::Statement;
    const IS_PREPARED: bool = true;

    fn inner(&self) -> &tokio_postgres::Statement {
        &self.inner
    }

    fn statement_text(&self) -> Option<&str> {
        Some(&self.text)
    }
}

impl private::Sealed for tokio_postgres::Statement {}
impl ToStatement for tokio_postgres::Statement {
    type Inner = tokio_postgres::Statement;
    const IS_PREPARED: bool = true;

    fn inner(&self) -> &tokio_postgres::Statement {
        self
    }

    fn statement_text(&self) -> Option<&str> {
        None
    }
}
