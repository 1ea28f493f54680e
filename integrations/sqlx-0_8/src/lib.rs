//! Spans for every query of sqlx 0.8, on PostgreSQL, MySQL, MariaDB and SQLite.
//!
//! Wrap the pool once; everything that comes out of it is watched: queries on the pool, on a connection taken from it, in
//! a transaction, streamed or collected, through functions or through the `query!` macros.
//!
//! ```
//! # async fn example() -> Result<(), sqlx::Error> {
//! use ddtrace_sqlx_0_8::Traced;
//!
//! let pool = sqlx::SqlitePool::connect("sqlite::memory:").await?;
//! let pool = Traced::new(pool);
//!
//! sqlx::query("CREATE TABLE cups (owner TEXT)").execute(&pool).await?;
//!
//! let mut transaction = pool.begin().await?;
//! sqlx::query("INSERT INTO cups VALUES (?)").bind("ada").execute(&mut *transaction).await?;
//! transaction.commit().await?;
//! # Ok(())
//! # }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
//! ```
//!
//! # What a span says
//!
//! Name `postgres.query`, `mysql.query` or `sqlite.query`, type `sql`, kind `client`, the statement as the resource; `db.system`,
//! `db.name`, `db.user`, `out.host`, `server.address`, `network.destination.port` as far as the pool's options know them;
//! `db.row_count`, the rows returned, or else affected. A failed query is an error with the database's own code in
//! `db.response.status_code`. Commits and rollbacks have spans of their own, and so has a connection that is opened by
//! `Traced::<PgPool>::connect` or `Traced::<Box<PgConnection>>::connect` (`postgres.connect`). Bound values are never recorded.
//!
//! The span of a query begins when the query is first polled, and ends when its stream ends or is dropped.
//!
//! # How it works
//!
//! sqlx's only complete border is its [`Executor`](sqlx_core::executor::Executor) trait: its log target knows neither
//! errors nor beginnings, its pool hooks see no statements. So [`Traced`] implements `Executor` wherever what it wraps can
//! run queries. `&mut *transaction`, which sqlx's documentation teaches, means the same here: a `Traced` derefs to a
//! [`Session`], which is an executor as well. What this wrapper shares with that of the other line is in `integrations/sqlx-lines`.
//!
//! What gets around it: the wrapped value itself, by [`Session::inner_mut`] or by coercion to `&mut SqliteConnection` where
//! a function asks for that, and what sqlx hands to the closure of `connection.transaction(…)`. Such a function can wrap what it got with `Traced::new(connection)`, or take
//! `impl Executor` instead. sqlx's migrator wants the pool itself: `migrator.run(pool.inner())`.
//!
//! # Features
//!
//! `postgres`, `mysql` (MariaDB too) and `sqlite`, one for each driver that the program uses. sqlx compiles only if the
//! feature `offline` is on in all of its parts or in none; this crate needs it on, so a driver of another maker needs it
//! too.
//!
//! # Database Monitoring
//!
//! `DD_DBM_PROPAGATION_MODE` puts a comment in front of each statement: `service` names the service and its database,
//! `dynamic_service` the process as well (`ddsh`, which `service` has with `DD_DBM_INJECT_SQL_BASEHASH=true`), `full` the
//! span. In `full` mode every call has a text of its own, so such queries are sent as not persistent: otherwise each call
//! would leave a prepared statement behind. Statements that the program prepared itself are never changed.
//!
//! # Waiting for connections
//!
//! With `DD_SQLX_TRACE_POOL_ACQUIRE=true` taking a connection from the pool is a span of its own, `sqlx.pool.acquire`: inside
//! the query's span where the query runs on the pool, beside it where the program takes the connection.

// Without a driver there is nothing to run.
#![cfg_attr(
    not(any(feature = "_sqlite", feature = "mysql", feature = "postgres")),
    allow(dead_code, unused_imports, unused_macros)
)]

mod database {
    //! What is known about each database.
    ddtrace_sqlx_lines::database!();
}
mod driver;
mod execute;
mod executor {
    //! `Executor` for everything that a `Traced` can wrap.
    use std::borrow::Cow;

    ddtrace_sqlx_lines::executors! {
        text: &'q str,
        lifetime: [, 'q: 'e],
        statement: [<'q>],
        beginning: impl Into<Cow<'static, str>>, into
    }
}
mod failure {
    //! What the span of a query learns from its results and errors.
    ddtrace_sqlx_lines::failure!();
}
mod traced {
    //! The wrapper that users hold, and what it derefs to.
    ddtrace_sqlx_lines::traced!();
}

pub use database::Described;
pub use driver::Driver;
pub use traced::{Session, Traceable, Traced};

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("sqlx", "sqlx", "0.8")
}
