//! How each database runs what it is asked to.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx_core::Error;
use sqlx_core::describe::Describe;
use sqlx_core::executor::Executor as _;
use sqlx_core::ext::async_stream::TryAsyncStream;
use sqlx_core::sql_str::SqlStr;

use crate::database::{Described, Runner, Step, acquire, acquires_are_traced, next};
use crate::execute::Parts;

/// A database whose queries can be watched.
///
/// Implemented under the feature of its driver. That connections run queries cannot be said of all databases at once: the
/// bound that says it, for every lifetime of a borrowed connection, has the compiler try our own executors without end.
pub trait Driver: Described {
    #[doc(hidden)]
    fn fetch_many<'e>(runner: Runner<'e, Self>, query: Parts<Self>) -> BoxStream<'e, Step<Self>>;

    #[doc(hidden)]
    fn fetch_optional<'e>(
        runner: Runner<'e, Self>,
        query: Parts<Self>,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>>;

    #[doc(hidden)]
    fn prepare_with<'e>(
        runner: Runner<'e, Self>,
        sql: SqlStr,
        parameters: &'e [Self::TypeInfo],
    ) -> BoxFuture<'e, Result<Self::Statement, Error>>;

    #[doc(hidden)]
    fn describe<'e>(
        runner: Runner<'e, Self>,
        sql: SqlStr,
    ) -> BoxFuture<'e, Result<Describe<Self>, Error>>;
}

/// The methods that run something, which read the same for every database.
macro_rules! run_by_sqlx {
    ($($feature:literal: $database:ty),+) => {$(
        #[cfg(feature = $feature)]
        impl Driver for $database {
            ddtrace_sqlx_lines::runs! {
                text: SqlStr,
                lifetime: [],
                statement: [],
                query: [Parts<Self>]
            }
        }
    )+};
}

run_by_sqlx! {
    "_sqlite": sqlx_sqlite::Sqlite,
    "mysql": sqlx_mysql::MySql,
    "postgres": sqlx_postgres::Postgres
}
