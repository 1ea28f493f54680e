//! A query on its way through the wrapper.

use std::sync::Arc;

use ddtrace_core::sql::{LaterRows, Query, Target};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx_core::Error;
use sqlx_core::database::Database;
use sqlx_core::error::BoxDynError;
use sqlx_core::executor::Execute;
use sqlx_core::sql_str::{AssertSqlSafe, SqlSafeStr, SqlStr};
use sqlx_core::statement::Statement;

use crate::database::{Runner, SETTINGS, Step};
use crate::driver::Driver;
use crate::failure::{failure, observe};

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

/// Opens the query's span, and puts the comment in front of the statement.
fn begin<'q, DB: Driver>(target: &Target, query: impl Execute<'q, DB>) -> (Query, Parts<DB>) {
    let mut parts = Parts::of(query);
    let mut span = Query::start(SETTINGS.get(), DB::system(), target, parts.text());
    if !parts.is_prepared()
        && let Some(commented) = span.comment(target, parts.text())
    {
        parts.replace_text(commented.text, commented.is_same_for_every_call);
    }
    (span, parts)
}

pub(crate) fn fetch_many<'e, 'q: 'e, DB: Driver>(
    target: &Arc<Target>,
    runner: Runner<'e, DB>,
    query: impl Execute<'q, DB> + 'q,
) -> BoxStream<'e, Step<DB>> {
    let target = target.clone();
    let begin = move || {
        let (span, query) = begin(&target, query);
        (span, DB::fetch_many(runner, query))
    };
    Box::pin(LaterRows::new(begin, observe::<DB>))
}

pub(crate) fn fetch_optional<'e, 'q: 'e, DB: Driver>(
    target: &Arc<Target>,
    runner: Runner<'e, DB>,
    query: impl Execute<'q, DB> + 'q,
) -> BoxFuture<'e, Result<Option<DB::Row>, Error>> {
    let target = target.clone();
    Box::pin(async move {
        let (span, query) = begin(&target, query);
        span.run(
            DB::fetch_optional(runner, query),
            |row| u64::from(row.is_some()),
            failure,
        )
        .await
    })
}
