//! `Executor` for everything that a [`Traced`] can wrap.
//!
//! Only the required methods are written: sqlx's own definitions of the others (`execute`, `fetch_all`, …) go through
//! these, and neither its pool nor its drivers override them.

use std::fmt::Debug;
use std::ops::DerefMut;
use std::sync::Arc;

use ddtrace_core::sql::{Query, Target};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx_core_0_8::Error;
use sqlx_core_0_8::connection::Connection;
use sqlx_core_0_8::describe::Describe;
use sqlx_core_0_8::executor::{Execute, Executor};
use sqlx_core_0_8::pool::Pool;

use crate::driver::{Driver, Runner, SETTINGS, Step};
use crate::execute::Statement;
use crate::rows::{Rows, failure};
use crate::traced::{Session, Traced};

/// Opens the query's span, and puts the comment in front of the statement.
fn begin<'q, DB: Driver, E: Execute<'q, DB>>(
    target: &Target,
    query: E,
) -> (Query, Statement<'q, DB, E>) {
    let span = Query::start(SETTINGS.get(), DB::system(), target, query.sql());
    let is_prepared = query.statement().is_some();
    let commented = if is_prepared {
        None
    } else {
        span.service_comment(target, query.sql())
    };
    match commented {
        Some(text) => (span, Statement::commented(query, &text)),
        None => (span, Statement::AsGiven(query)),
    }
}

fn fetch_many<'e, 'q: 'e, DB: Driver>(
    target: &Arc<Target>,
    runner: Runner<'e, DB>,
    query: impl Execute<'q, DB> + 'q,
) -> BoxStream<'e, Step<DB>> {
    let target = target.clone();
    Box::pin(Rows::<DB, _>::new(move || {
        let (span, query) = begin(&target, query);
        (span, DB::fetch_many(runner, query))
    }))
}

fn fetch_optional<'e, 'q: 'e, DB: Driver>(
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

/// As sqlx's own executor for a pool, it holds a clone of the pool, and so borrows nothing.
impl<'p, DB: Driver> Executor<'p> for &'_ Traced<Pool<DB>> {
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step<DB>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        fetch_many(self.target(), Runner::Pool(self.inner().clone()), query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, DB>,
    {
        fetch_optional(self.target(), Runner::Pool(self.inner().clone()), query)
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement<'q>, Error>>
    where
        'p: 'e,
    {
        DB::prepare_with(Runner::Pool(self.inner().clone()), sql, parameters)
    }

    fn describe<'e, 'q: 'e>(self, sql: &'q str) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        'p: 'e,
    {
        DB::describe(Runner::Pool(self.inner().clone()), sql)
    }
}

/// Every connection: from a pool, in a transaction, or one behind a reference.
impl<'s, C, DB> Executor<'s> for &'s mut Session<C>
where
    C: DerefMut + Send,
    C::Target: Connection<Database = DB>,
    DB: Driver<Connection = C::Target>,
{
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step<DB>>
    where
        's: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let target = self.target().clone();
        fetch_many(&target, Runner::Connection(&mut **self.inner_mut()), query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        's: 'e,
        E: 'q + Execute<'q, DB>,
    {
        let target = self.target().clone();
        fetch_optional(&target, Runner::Connection(&mut **self.inner_mut()), query)
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement<'q>, Error>>
    where
        's: 'e,
    {
        DB::prepare_with(Runner::Connection(&mut **self.inner_mut()), sql, parameters)
    }

    fn describe<'e, 'q: 'e>(self, sql: &'q str) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        's: 'e,
    {
        DB::describe(Runner::Connection(&mut **self.inner_mut()), sql)
    }
}

/// `&mut connection` instead of `&mut *connection`.
impl<'s, C, DB> Executor<'s> for &'s mut Traced<C>
where
    C: DerefMut + Send + Debug,
    C::Target: Connection<Database = DB>,
    DB: Driver<Connection = C::Target>,
{
    type Database = DB;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step<DB>>
    where
        's: 'e,
        E: 'q + Execute<'q, DB>,
    {
        (&mut **self).fetch_many(query)
    }

    fn fetch_optional<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
    where
        's: 'e,
        E: 'q + Execute<'q, DB>,
    {
        (&mut **self).fetch_optional(query)
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement<'q>, Error>>
    where
        's: 'e,
    {
        (&mut **self).prepare_with(sql, parameters)
    }

    fn describe<'e, 'q: 'e>(self, sql: &'q str) -> BoxFuture<'e, Result<Describe<DB>, Error>>
    where
        's: 'e,
    {
        (&mut **self).describe(sql)
    }
}

#[cfg(all(test, feature = "_sqlite"))]
mod tests {
    use std::path::Path;

    use ddtrace_core::config::MapEnvironment;
    use ddtrace_core::test_support::Recorder;
    use sqlx_sqlite_0_8::Sqlite;

    use super::*;

    /// What goes to the database for `SELECT 1`.
    fn sent(mode: &str) -> String {
        let environment = MapEnvironment::new().variable("DD_DBM_PROPAGATION_MODE", mode);
        // A configuration outlives whoever makes it.
        let environment = Box::leak(Box::new(environment));
        let _recorder = Recorder::with(|config| config.service("shop").environment(environment));
        let (_span, statement) =
            begin::<Sqlite, _>(&Target::file(Path::new("orders.db")), "SELECT 1");
        statement.sql().to_owned()
    }

    #[test]
    fn comments_name_the_service_in_every_mode_that_has_one() {
        let service = "/*dddb='orders.db',dddbs='sqlite',ddps='shop'*/ SELECT 1";
        let cases = [
            ("disabled", "SELECT 1"),
            ("service", service),
            ("full", service),
            ("dynamic_service", service),
        ];
        for (mode, text) in cases {
            assert_eq!(sent(mode), text, "{mode}");
        }
    }
}
