//! SQL databases: what their integrations have in common.
//!
//! An integration of a database library knows how that library runs statements. What the span of a statement says is
//! the same for all of them, and lives here:
//!
//! * [`System`] is a kind of database, [`Target`] a particular one; an integration has a static of the first per kind
//!   and makes one of the second per pool.
//! * [`Query`] is a statement that runs: [`start`](Query::start) it, [`enter`](Query::enter) it around each step of the
//!   library's, count what comes back, drop it. [`Query::run`] does that for a single future, [`Rows`] and [`LaterRows`] for a
//!   stream.
//!   [`TransactionEnd`] is the same for commits and rollbacks, [`run_connect`] for opening a connection and [`run_acquire`]
//!   for waiting for one.
//! * [`Query::comment`] makes the text that Database Monitoring wants in front of a statement.
//!
//! Values bound to a statement are never looked at. The text of the statement becomes the resource as it is; the agent
//! takes literals out of it.

mod comment;
mod query;
mod rows;
mod statement;
mod system;

pub use comment::Comment;
pub use query::{Commented, Failure, Query, TransactionEnd, run_acquire, run_connect};
pub use rows::{LaterRows, Rows};
pub use system::{Sites, System, Target};
