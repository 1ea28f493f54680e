//! What runs statements, on a client as in a transaction.
//!
//! A transaction of the library is its client with a few methods more, so both wrappers have the same text of these methods,
//! from the macro [`queries`]. Each method of the library is called once, in one of two ways: with what the program gave, or
//! with the text that has a comment in front.

use std::sync::Arc;

use ddtrace_core::instrument::Settings;
use ddtrace_core::sql::{Query, Sites, System, Target};
use ddtrace_core::trace::{Site, SpanKind};
use tokio_postgres::SimpleQueryMessage;

use crate::statement::ToStatement;

/// What the user has set for this integration.
pub(crate) static SETTINGS: Settings = Settings::of("tokio_postgres");

pub(crate) static SYSTEM: System = System::postgres(Sites {
    query: &QUERY,
    commit: &COMMIT,
    rollback: &ROLLBACK,
    connect: &CONNECT,
});

/// What is no statement of its own has no type, as in the reference.
macro_rules! sites {
    ($($site:ident = $name:literal in $function:literal $(as $type:literal)?),+) => {$(
        ddtrace_core::site! {
            static $site: Site = Site::new($name, $function, module_path!(), file!(), line!())
                $(.with_span_type($type))?
                .with_kind(SpanKind::Client)
                .with_component("tokio_postgres");
        }
    )+};
}

sites! {
    QUERY = "postgres.query" in "query" as "sql",
    CONNECT = "postgres.connect" in "connect" as "sql",
    COMMIT = "postgres.connection.commit" in "commit",
    ROLLBACK = "postgres.connection.rollback" in "rollback"
}

/// Opens the span of a statement, and makes the text with the comment in front of it, if there is to be one.
pub(crate) fn begin<S: ?Sized + ToStatement>(
    target: &Arc<Target>,
    statement: &S,
) -> (Query, Option<String>) {
    let text = statement.statement_text().unwrap_or_default();
    let mut query = Query::start(SETTINGS.get(), &SYSTEM, target, text);
    let commented = if S::IS_PREPARED {
        None
    } else {
        query.comment(target, text)
    };
    (query, commented.map(|commented| commented.text))
}

pub(crate) fn count_optional<T>(row: &Option<T>) -> u64 {
    u64::from(row.is_some())
}

/// Rows that came back, or else rows that were changed, of all the statements in the text.
pub(crate) fn count_messages(messages: &[SimpleQueryMessage]) -> u64 {
    let (mut rows, mut affected) = (0, 0);
    for message in messages {
        match message {
            SimpleQueryMessage::Row(_) => rows += 1,
            SimpleQueryMessage::CommandComplete(changed) => affected += changed,
            _ => {}
        }
    }
    if rows > 0 { rows } else { affected }
}

/// Runs a call of the library in the span of its statement.
macro_rules! run {
    ($self:ident, $statement:ident, $rows:expr, |$client:ident, $text:ident| $call:expr) => {{
        let (query, commented) = $crate::queries::begin(&$self.target, $statement);
        let $client = $self.raw();
        match &commented {
            Some(text) => {
                let $text = text.as_str();
                query.run($call, $rows, $crate::failure::failure).await
            }
            None => {
                let $text = $crate::statement::ToStatement::inner($statement);
                query.run($call, $rows, $crate::failure::failure).await
            }
        }
    }};
}

/// The same for a call that begins a stream.
macro_rules! open {
    ($self:ident, $statement:ident, |$client:ident, $text:ident| $call:expr) => {{
        let (query, commented) = $crate::queries::begin(&$self.target, $statement);
        let $client = $self.raw();
        match &commented {
            Some(text) => {
                let $text = text.as_str();
                query.open($call, $crate::failure::failure).await
            }
            None => {
                let $text = $crate::statement::ToStatement::inner($statement);
                query.open($call, $crate::failure::failure).await
            }
        }
    }};
}

/// The methods that run statements, for a type with `raw(&self) -> &tokio_postgres::Client` and a `target`.
macro_rules! queries {
    () => {
        /// Prepares a statement, which makes no span. See [`tokio_postgres::Client::prepare`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn prepare(&self, query: &str) -> Result<Statement, Error> {
            Ok(Statement::new(self.raw().prepare(query).await?, query))
        }

        /// Prepares a statement with types for its parameters, which makes no span. See [`tokio_postgres::Client::prepare_typed`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn prepare_typed(
            &self,
            query: &str,
            parameter_types: &[Type],
        ) -> Result<Statement, Error> {
            let statement = self.raw().prepare_typed(query, parameter_types).await?;
            Ok(Statement::new(statement, query))
        }

        /// Runs a statement and collects its rows. See [`tokio_postgres::Client::query`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query<S>(
            &self,
            statement: &S,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Vec<Row>, Error>
        where
            S: ?Sized + ToStatement,
        {
            run!(
                self,
                statement,
                |rows| rows.len() as u64,
                |client, statement| client.query(statement, params)
            )
        }

        /// Runs a statement that has exactly one row. See [`tokio_postgres::Client::query_one`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_one<S>(
            &self,
            statement: &S,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Row, Error>
        where
            S: ?Sized + ToStatement,
        {
            run!(self, statement, |_| 1, |client, statement| client
                .query_one(statement, params))
        }

        /// Runs a statement that has one row at most. See [`tokio_postgres::Client::query_opt`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_opt<S>(
            &self,
            statement: &S,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Option<Row>, Error>
        where
            S: ?Sized + ToStatement,
        {
            run!(self, statement, count_optional, |client, statement| client
                .query_opt(statement, params))
        }

        /// Runs a statement whose rows have one column. See [`tokio_postgres::Client::query_scalar`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_scalar<R, S>(
            &self,
            statement: &S,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Vec<R>, Error>
        where
            R: FromSqlOwned,
            S: ?Sized + ToStatement,
            S::Inner: fmt::Debug,
        {
            run!(
                self,
                statement,
                |rows| rows.len() as u64,
                |client, statement| client.query_scalar(statement, params)
            )
        }

        /// Runs a statement whose rows have one column. See [`tokio_postgres::Client::query_one_scalar`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_one_scalar<R, S>(
            &self,
            statement: &S,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<R, Error>
        where
            R: FromSqlOwned,
            S: ?Sized + ToStatement,
            S::Inner: fmt::Debug,
        {
            run!(self, statement, |_| 1, |client, statement| client
                .query_one_scalar(statement, params))
        }

        /// Runs a statement whose rows have one column. See [`tokio_postgres::Client::query_opt_scalar`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_opt_scalar<R, S>(
            &self,
            statement: &S,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<Option<R>, Error>
        where
            R: FromSqlOwned,
            S: ?Sized + ToStatement,
            S::Inner: fmt::Debug,
        {
            run!(self, statement, count_optional, |client, statement| client
                .query_opt_scalar(statement, params))
        }

        /// Runs a statement and gives a stream of its rows. See [`tokio_postgres::Client::query_raw`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_raw<S, P, I>(&self, statement: &S, params: I) -> Result<RowStream, Error>
        where
            S: ?Sized + ToStatement,
            P: BorrowToSql,
            I: IntoIterator<Item = P>,
            I::IntoIter: ExactSizeIterator,
        {
            open!(self, statement, |client, statement| client
                .query_raw(statement, params))
            .map(RowStream::new)
        }

        /// Runs a text with typed parameters, without preparing it, and collects its rows. See [`tokio_postgres::Client::query_typed`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_typed(
            &self,
            statement: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Vec<Row>, Error> {
            run!(
                self,
                statement,
                |rows| rows.len() as u64,
                |client, statement| client.query_typed(statement, params)
            )
        }

        /// Runs a text with typed parameters that has exactly one row. See [`tokio_postgres::Client::query_typed_one`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_typed_one(
            &self,
            statement: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Row, Error> {
            run!(self, statement, |_| 1, |client, statement| client
                .query_typed_one(statement, params))
        }

        /// Runs a text with typed parameters that has one row at most. See [`tokio_postgres::Client::query_typed_opt`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_typed_opt(
            &self,
            statement: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<Option<Row>, Error> {
            run!(self, statement, count_optional, |client, statement| client
                .query_typed_opt(statement, params))
        }

        /// Runs a text with typed parameters and gives a stream of its rows. See [`tokio_postgres::Client::query_typed_raw`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn query_typed_raw<P, I>(
            &self,
            statement: &str,
            params: I,
        ) -> Result<RowStream, Error>
        where
            P: BorrowToSql,
            I: IntoIterator<Item = (P, Type)>,
        {
            open!(self, statement, |client, statement| client
                .query_typed_raw(statement, params))
            .map(RowStream::new)
        }

        /// Runs a statement and gives the number of rows that it changed. See [`tokio_postgres::Client::execute`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn execute<S>(
            &self,
            statement: &S,
            params: &[&(dyn ToSql + Sync)],
        ) -> Result<u64, Error>
        where
            S: ?Sized + ToStatement,
        {
            run!(self, statement, |rows| *rows, |client, statement| client
                .execute(statement, params))
        }

        /// Runs a text with typed parameters and gives the number of rows that it changed. See [`tokio_postgres::Client::execute_typed`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn execute_typed(
            &self,
            statement: &str,
            params: &[(&(dyn ToSql + Sync), Type)],
        ) -> Result<u64, Error> {
            run!(self, statement, |rows| *rows, |client, statement| client
                .execute_typed(statement, params))
        }

        /// Runs a statement with parameters from an iterator and gives the number of rows that it changed. See [`tokio_postgres::Client::execute_raw`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn execute_raw<S, P, I>(&self, statement: &S, params: I) -> Result<u64, Error>
        where
            S: ?Sized + ToStatement,
            P: BorrowToSql,
            I: IntoIterator<Item = P>,
            I::IntoIter: ExactSizeIterator,
        {
            run!(self, statement, |rows| *rows, |client, statement| client
                .execute_raw(statement, params))
        }

        /// Begins a copy into the database. See [`tokio_postgres::Client::copy_in`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn copy_in<S, U>(&self, statement: &S) -> Result<CopyInSink<U>, Error>
        where
            S: ?Sized + ToStatement,
            U: Buf + 'static + Send,
        {
            open!(self, statement, |client, statement| client
                .copy_in(statement))
            .map(CopyInSink::new)
        }

        /// Begins a copy out of the database, whose rows nobody counts. See [`tokio_postgres::Client::copy_out`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn copy_out<S>(&self, statement: &S) -> Result<CopyOutStream, Error>
        where
            S: ?Sized + ToStatement,
        {
            let opened = open!(self, statement, |client, statement| client
                .copy_out(statement));
            opened.map(|(query, stream)| CopyOutStream::new((query.uncounted(), stream)))
        }

        /// Runs texts without parameters, and collects what they answer. See [`tokio_postgres::Client::simple_query`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn simple_query(
            &self,
            statement: &str,
        ) -> Result<Vec<SimpleQueryMessage>, Error> {
            run!(
                self,
                statement,
                |messages| count_messages(messages),
                |client, statement| client.simple_query(statement)
            )
        }

        /// Runs texts without parameters, and gives a stream of what they answer. See [`tokio_postgres::Client::simple_query_raw`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn simple_query_raw(&self, statement: &str) -> Result<SimpleQueryStream, Error> {
            open!(self, statement, |client, statement| client
                .simple_query_raw(statement))
            .map(SimpleQueryStream::new)
        }

        /// Runs texts without parameters, and ignores what they answer. See [`tokio_postgres::Client::batch_execute`].
        ///
        /// # Errors
        ///
        /// Those of the library's method.
        pub async fn batch_execute(&self, statement: &str) -> Result<(), Error> {
            let (query, commented) = begin(&self.target, statement);
            let text = commented.as_deref().unwrap_or(statement);
            let batch = self.raw().batch_execute(text);
            query.uncounted().run(batch, |()| 0, failure).await
        }
    };
}

pub(crate) use {open, queries, run};
