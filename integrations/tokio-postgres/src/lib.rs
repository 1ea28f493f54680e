//! Spans for every statement of tokio-postgres 0.7.
//!
//! ```no_run
//! # async fn example() -> Result<(), tokio_postgres::Error> {
//! use tokio_postgres::NoTls;
//!
//! let (client, connection) = ddtrace_tokio_postgres::connect("host=localhost user=postgres", NoTls).await?;
//! // The connection is tokio-postgres's own, and driven as usual.
//! let _driver = connection;
//! let rows = client.query("SELECT owner FROM cups WHERE size > $1", &[&3_i32]).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`connect`] takes the place of the library's. A client that was connected otherwise is wrapped,
//! `Client::new(client, &config)`, and so is one that somebody else owns: `Client::new(&client, …)`,
//! `Client::new(Arc::clone(&client), …)`, `Client::new(&**pooled, …)`.
//!
//! # What a span says
//!
//! Name `postgres.query`, type `sql`, kind `client`, service `postgres`, the statement as the resource; `db.system`, `db.name`,
//! `db.user`, `out.host`, `server.address`, `network.destination.port` as the configuration has them; `db.row_count`, the
//! rows returned, or else affected. A failed statement is an error with the database's code in `db.response.status_code`;
//! its message is the server's without the details, which hold values. Commits and rollbacks have spans of their own, and so
//! has connecting (`postgres.connect`) by the functions of this crate. Parameters are never recorded.
//!
//! Preparing and binding make no spans; what was prepared or bound makes one each time that it runs. The span of a stream
//! ends when the stream ends or is dropped, that of a copy into the database when the copy is finished or given up.
//!
//! # How it works
//!
//! tokio-postgres has no hook, and its `GenericClient` and `ToStatement` are closed to others. So the types here have the
//! methods of the library's types of the same name, with the same arguments, and hand on what they get. Everything else is
//! reached through them: a [`Client`] derefs to the library's (`client.cancel_token()`), a [`Statement`] and a [`Portal`]
//! to theirs. A [`Statement`] is there because the library's does not know its text.
//!
//! What gets around it: `client.inner()`, and functions that ask for the library's own types, such as those that are generic
//! over its `GenericClient`.
//!
//! # Database Monitoring
//!
//! `DD_DBM_PROPAGATION_MODE` puts a comment in front of statements that are given as texts, in every mode; see
//! [`ddtrace_core::sql::Comment`]. The library keeps no such statement prepared, so there is nothing that a changing text
//! could fill. Statements that the program prepared or bound itself are never changed.

mod client;
mod copy;
mod failure;
mod queries;
mod statement;
mod streams;
mod transaction;

pub use client::{Client, connect, connect_with};
pub use copy::CopyInSink;
pub use statement::{Portal, Statement, ToStatement};
pub use streams::{CopyOutStream, RowStream, SimpleQueryStream};
pub use transaction::{Transaction, TransactionBuilder};

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("tokio_postgres", "tokio-postgres", "0.7")
}
