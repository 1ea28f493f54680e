//! A query on its way through the wrapper.

use sqlx_core::database::Database;
use sqlx_core::error::BoxDynError;
use sqlx_core::executor::Execute;
use sqlx_core::sql_str::{AssertSqlSafe, SqlSafeStr, SqlStr};
use sqlx_core::statement::Statement;

/// The parts of a query, taken out of it in the only order that works: asking for the text consumes the query.
pub struct Parts<DB: Database> {
    text: SqlStr,
    statement: Option<DB::Statement>,
    arguments: Result<Option<DB::Arguments>, BoxDynError>,
    persistent: bool,
}

impl<DB: Database> Parts<DB> {
    pub(crate) fn of<'q>(mut query: impl Execute<'q, DB>) -> Self {
        let statement = query.statement().cloned();
        let arguments = query.take_arguments();
        let persistent = query.persistent();
        // A prepared statement brings its text; the query would only clone it.
        let text = match &statement {
            Some(statement) => statement.sql().clone(),
            None => query.sql(),
        };
        Self {
            text,
            statement,
            arguments,
            persistent,
        }
    }

    pub(crate) fn text(&self) -> &str {
        self.text.as_str()
    }

    /// Whether the text may be changed: one that the program prepared is the server's already.
    pub(crate) fn is_prepared(&self) -> bool {
        self.statement.is_some()
    }

    /// Sends another text instead, one that is the user's apart from a comment in front of it.
    pub(crate) fn replace_text(&mut self, text: String, same_for_every_call: bool) {
        self.text = AssertSqlSafe(text).into_sql_str();
        self.persistent &= same_for_every_call;
    }
}

impl<DB: Database> Execute<'_, DB> for Parts<DB> {
    fn sql(self) -> SqlStr {
        self.text
    }

    fn statement(&self) -> Option<&DB::Statement> {
        self.statement.as_ref()
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}
