//! Statements sent to SQL databases.

use super::{Event, Listeners};
use crate::trace::Span;

/// A statement is about to be sent.
///
/// Dispatched by the integrations of database libraries, on the thread that first polls the query, after its span was
/// opened and before anything is sent. Listeners may add to the span.
#[derive(Debug)]
#[non_exhaustive]
pub struct SqlQueryStarted<'a> {
    /// The query's span.
    pub span: &'a mut Span,
    /// The kind of database, as in the tag `db.system`.
    pub system: &'static str,
    /// The statement as the user wrote it, without a comment of ours.
    pub statement: &'a str,
}

/// The last row of a statement was read, or its caller gave up.
///
/// Dispatched on the thread that reads or drops the result, just before the span ends. Whether it failed is in the span
/// already. Listeners may add to the span.
#[derive(Debug)]
#[non_exhaustive]
pub struct SqlQueryFinished<'a> {
    /// The query's span.
    pub span: &'a mut Span,
    /// The kind of database, as in the tag `db.system`.
    pub system: &'static str,
    /// Rows that came back, or else rows that changed.
    pub rows: u64,
}

impl<'a> SqlQueryStarted<'a> {
    /// Puts the fact together.
    pub fn new(span: &'a mut Span, system: &'static str, statement: &'a str) -> Self {
        Self {
            span,
            system,
            statement,
        }
    }
}

impl<'a> SqlQueryFinished<'a> {
    /// Puts the fact together.
    pub fn new(span: &'a mut Span, system: &'static str, rows: u64) -> Self {
        Self { span, system, rows }
    }
}

impl Event for SqlQueryStarted<'static> {
    type Payload<'a> = SqlQueryStarted<'a>;
    const NAME: &'static str = "SqlQueryStarted";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<SqlQueryStarted<'static>> = Listeners::new();
        &LISTENERS
    }
}

impl Event for SqlQueryFinished<'static> {
    type Payload<'a> = SqlQueryFinished<'a>;
    const NAME: &'static str = "SqlQueryFinished";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<SqlQueryFinished<'static>> = Listeners::new();
        &LISTENERS
    }
}
