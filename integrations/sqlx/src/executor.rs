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
use sqlx_core::Error;
use sqlx_core::connection::Connection;
use sqlx_core::describe::Describe;
use sqlx_core::executor::{Execute, Executor};
use sqlx_core::pool::Pool;
use sqlx_core::sql_str::SqlStr;

use crate::driver::{Driver, Runner, SETTINGS, Step};
use crate::execute::Parts;
use crate::rows::{Rows, failure};
use crate::traced::{Session, Traced};

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

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        'p: 'e,
    {
        DB::prepare_with(Runner::Pool(self.inner().clone()), sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
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

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        's: 'e,
    {
        DB::prepare_with(Runner::Connection(&mut **self.inner_mut()), sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
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

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [DB::TypeInfo],
    ) -> BoxFuture<'e, Result<DB::Statement, Error>>
    where
        's: 'e,
    {
        (&mut **self).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<DB>, Error>>
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
    use sqlx_sqlite::Sqlite;

    use super::*;

    /// What goes to the database for `SELECT 1`, and whether it may stay prepared there.
    fn sent(mode: &str) -> (String, bool) {
        let environment = [
            ("DD_SERVICE", "shop"),
            ("DD_ENV", "prod"),
            ("DD_VERSION", "1.2"),
        ]
        .iter()
        .fold(MapEnvironment::new(), |environment, &(name, value)| {
            environment.variable(name, value)
        })
        .variable("DD_DBM_PROPAGATION_MODE", mode);
        // A configuration outlives whoever makes it.
        let environment = Box::leak(Box::new(environment));
        let _recorder = Recorder::with(|config| config.service("shop").environment(environment));
        let (_span, parts) = begin::<Sqlite>(&Target::file(Path::new("orders.db")), "SELECT 1");
        (parts.text().to_owned(), parts.persistent())
    }

    #[test]
    fn comments_name_the_service_and_in_full_mode_the_span() {
        // I11, I12
        let service =
            "/*dddb='orders.db',dddbs='sqlite',dde='prod',ddps='shop',ddpv='1.2'*/ SELECT 1";
        let cases = [
            ("disabled", "SELECT 1"),
            ("service", service),
            ("dynamic_service", service),
        ];
        for (mode, text) in cases {
            assert_eq!(sent(mode), (text.to_owned(), true), "{mode}");
        }
        let (full, persistent) = sent("full");
        let (before, after) = full.split_once(",traceparent='00-").unwrap();
        assert_eq!(format!("{before}*/ SELECT 1"), service);
        let traceparent = after.strip_suffix("-01'*/ SELECT 1").unwrap();
        assert_eq!(traceparent.len(), 32 + 1 + 16);
        assert!(
            !persistent,
            "a text that is new with every call would fill the cache of statements"
        );
    }
}
