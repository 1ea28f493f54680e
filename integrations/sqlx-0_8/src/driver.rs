//! How each database runs what it is asked to.

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx_core::Error;
use sqlx_core::describe::Describe;
use sqlx_core::error::BoxDynError;
use sqlx_core::executor::{Execute, Executor as _};
use sqlx_core::ext::async_stream::TryAsyncStream;

use crate::database::{Described, Runner, Step, acquire, acquires_are_traced, next};
use crate::execute::Commented;

/// A database whose queries can be watched.
///
/// Implemented under the feature of its driver. That connections run queries cannot be said of all databases at once: the
/// bound that says it, for every lifetime of a borrowed connection, has the compiler try our own executors without end.
pub trait Driver: Described {
    #[doc(hidden)]
    fn fetch_many<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        query: impl Execute<'q, Self> + 'q,
    ) -> BoxStream<'e, Step<Self>>;

    /// The same under a text that lives no longer than the call.
    #[doc(hidden)]
    fn fetch_many_commented<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        text: String,
        arguments: Result<Option<Self::Arguments<'q>>, BoxDynError>,
        persistent: bool,
    ) -> BoxStream<'e, Step<Self>>;

    #[doc(hidden)]
    fn fetch_optional_commented<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        text: String,
        arguments: Result<Option<Self::Arguments<'q>>, BoxDynError>,
        persistent: bool,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>>;

    #[doc(hidden)]
    fn fetch_optional<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        query: impl Execute<'q, Self> + 'q,
    ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>>;

    #[doc(hidden)]
    fn prepare_with<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        sql: &'q str,
        parameters: &'e [Self::TypeInfo],
    ) -> BoxFuture<'e, Result<Self::Statement<'q>, Error>>;

    #[doc(hidden)]
    fn describe<'e, 'q: 'e>(
        runner: Runner<'e, Self>,
        sql: &'q str,
    ) -> BoxFuture<'e, Result<Describe<Self>, Error>>;
}

/// The methods that run something, which read the same for every database.
macro_rules! run_by_sqlx {
    ($($feature:literal: $database:ty),+) => {$(
        #[cfg(feature = $feature)]
        impl Driver for $database {
            ddtrace_sqlx_lines::runs! {
                text: &'q str,
                lifetime: [, 'q: 'e],
                statement: [<'q>],
                query: [impl Execute<'q, Self> + 'q]
            }

            fn fetch_many_commented<'e, 'q: 'e>(
                runner: Runner<'e, Self>,
                text: String,
                arguments: Result<Option<Self::Arguments<'q>>, BoxDynError>,
                persistent: bool,
            ) -> BoxStream<'e, Step<Self>> {
                // The text belongs to the future that borrows it. Arguments that were good for longer are good for that too,
                // which can be said of each driver, and not of all at once.
                Box::pin(TryAsyncStream::new(move |yielder| async move {
                    let query = Commented::<Self> {
                        text: &text,
                        arguments,
                        persistent,
                    };
                    let mut steps = Self::fetch_many(runner, query);
                    while let Some(step) = next::<Self>(&mut steps).await? {
                        yielder.r#yield(step).await;
                    }
                    Ok(())
                }))
            }

            fn fetch_optional_commented<'e, 'q: 'e>(
                runner: Runner<'e, Self>,
                text: String,
                arguments: Result<Option<Self::Arguments<'q>>, BoxDynError>,
                persistent: bool,
            ) -> BoxFuture<'e, Result<Option<Self::Row>, Error>> {
                Box::pin(async move {
                    let query = Commented::<Self> {
                        text: &text,
                        arguments,
                        persistent,
                    };
                    Self::fetch_optional(runner, query).await
                })
            }
        }
    )+};
}

run_by_sqlx! {
    "_sqlite": sqlx_sqlite::Sqlite,
    "mysql": sqlx_mysql::MySql,
    "postgres": sqlx_postgres::Postgres
}
