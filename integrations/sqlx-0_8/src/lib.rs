//! Spans for every query of sqlx 0.8, on SQLite and PostgreSQL.
//!
//! Wrap the pool once; everything that comes out of it is watched: queries on the pool, on a connection taken from it, in
//! a transaction, streamed or collected, through functions or through the `query!` macros.
//!
//! ```
//! # use sqlx_0_8 as sqlx;
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
//! Name `sqlite.query` or `postgres.query`, type `sql`, kind `client`, the statement as the resource; `db.system`,
//! `db.name`, `db.user`, `out.host`, `server.address`, `network.destination.port` as far as the pool's options know them;
//! `db.row_count`, the rows returned, or else affected. A failed query is an error with the database's own code in
//! `db.response.status_code`. Commits and rollbacks have spans of their own. Bound values are never recorded.
//!
//! The span of a query begins when the query is first polled, and ends when its stream ends or is dropped.
//!
//! # How it works
//!
//! sqlx's only complete border is its [`Executor`](sqlx_core_0_8::executor::Executor) trait: its log target knows neither
//! errors nor beginnings, its pool hooks see no statements. So [`Traced`] implements `Executor` wherever what it wraps can
//! run queries. `&mut *transaction`, which sqlx's documentation teaches, means the same here: a `Traced` derefs to a
//! [`Session`], which is an executor as well.
//!
//! What gets around it: the wrapped value itself, by [`Session::inner_mut`] or by coercion to `&mut SqliteConnection` where
//! a function asks for that. Such a function can wrap what it got with `Traced::new(connection)`, or take
//! `impl Executor` instead. sqlx's migrator wants the pool itself: `migrator.run(pool.inner())`.
//!
//! # Features
//!
//! `sqlite` and `postgres`, one for each driver that the program uses. sqlx compiles only if the feature `offline` is on in all of
//! its parts or in none; this crate switches it on, so a driver that it does not know (MySQL) needs sqlx's feature
//! `macros`, which is on by default.
//!
//! # Database Monitoring
//!
//! With `DD_DBM_PROPAGATION_MODE=service` a comment in front of the statement names the service. Statements that the
//! program prepared itself are never changed. sqlx 0.8 wants texts that outlive the query, so texts with comments are kept
//! for good, in a bounded table: the first 512 statements of up to 4 kB have comments, any more go out as they are. For the same reason
//! `full`, where every call has a text of its own, means the same as `service` here; sqlx 0.9 has it.

mod driver;
mod execute;
mod executor;
mod rows;
mod traced;

pub use driver::Driver;
pub use traced::{Session, Traceable, Traced};

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("sqlx", "sqlx", "0.8")
}
