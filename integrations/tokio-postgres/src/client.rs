//! The client.

use std::borrow::{Borrow, BorrowMut};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::Buf;
use ddtrace_core::sql::{Target, run_connect};
use tokio_postgres::config::Host;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{Config, Connection, Error, Row, SimpleQueryMessage, Socket};

use crate::copy::CopyInSink;
use crate::failure::failure;
use crate::queries::{SETTINGS, SYSTEM, begin, count_messages, count_optional, open, queries, run};
use crate::statement::{Statement, ToStatement};
use crate::streams::{CopyOutStream, RowStream, SimpleQueryStream};
use crate::transaction::{Transaction, TransactionBuilder};

/// A [`tokio_postgres::Client`] whose statements make spans.
///
/// `T` is the client itself, or whatever lends one: `&Client`, `Arc<Client>`.
pub struct Client<T = tokio_postgres::Client> {
    inner: T,
    target: Arc<Target>,
}

/// Connects as [`tokio_postgres::connect`] does, in a span `postgres.connect`, and wraps the client.
///
/// # Errors
///
/// Those of [`tokio_postgres::connect`].
pub async fn connect<T>(
    config: &str,
    tls: T,
) -> Result<(Client, Connection<Socket, T::Stream>), Error>
where
    T: MakeTlsConnect<Socket>,
{
    connect_with(&config.parse()?, tls).await
}

/// The same with a configuration that was read already; see [`Config::connect`].
///
/// # Errors
///
/// Those of [`Config::connect`].
pub async fn connect_with<T>(
    config: &Config,
    tls: T,
) -> Result<(Client, Connection<Socket, T::Stream>), Error>
where
    T: MakeTlsConnect<Socket>,
{
    let target = Arc::new(target(config));
    let connecting = config.connect(tls);
    let connected = run_connect(SETTINGS.get(), &SYSTEM, &target, connecting, failure).await;
    let (inner, connection) = connected?;
    Ok((Client { inner, target }, connection))
}

impl<T> Client<T> {
    /// Wraps a client, or what lends one. Server, database and user come from the configuration that it was connected with.
    pub fn new(inner: T, config: &Config) -> Self {
        Self {
            inner,
            target: Arc::new(target(config)),
        }
    }

    /// The wrapped value, whose statements make no spans.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    /// The wrapped value, whose statements make no spans.
    pub fn inner_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Takes the wrapped value out.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

impl<T: Borrow<tokio_postgres::Client>> Client<T> {
    fn raw(&self) -> &tokio_postgres::Client {
        self.inner.borrow()
    }

    queries!();
}

impl<T: BorrowMut<tokio_postgres::Client>> Client<T> {
    /// Begins a transaction; see [`tokio_postgres::Client::transaction`].
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let target = self.target.clone();
        let transaction = self.inner.borrow_mut().transaction().await?;
        Ok(Transaction::new(transaction, target))
    }

    /// Begins a transaction with settings of its own; see [`tokio_postgres::Client::build_transaction`].
    pub fn build_transaction(&mut self) -> TransactionBuilder<'_> {
        let target = self.target.clone();
        TransactionBuilder::new(self.inner.borrow_mut().build_transaction(), target)
    }
}

/// Where the client leads to. With several servers to choose from the configuration does not say which one it became.
fn target(config: &Config) -> Target {
    let user = config.get_user().unwrap_or_default();
    // PostgreSQL's own rule: the database of a user without one is called as the user.
    let database = config.get_dbname().unwrap_or(user);
    let port = match config.get_ports() {
        [] => 5432,
        [port, ..] => *port,
    };
    match (config.get_hosts(), config.get_hostaddrs()) {
        ([Host::Tcp(host)], _) => Target::server(host, port, database, user),
        #[cfg(unix)]
        ([Host::Unix(folder)], _) => Target::socket(folder, database, user),
        ([], [address]) => Target::server(&address.to_string(), port, database, user),
        _ => Target::somewhere(database, user),
    }
}

impl<T> Deref for Client<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Client<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: Clone> Clone for Client<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            target: self.target.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Client<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.inner).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn configurations_tell_where_the_client_leads_as_far_as_they_know() {
        let cases = [
            (
                "host=db1 port=5433 user=ada dbname=orders password=no-secret",
                Target::server("db1", 5433, "orders", "ada"),
            ),
            (
                "host=db1 user=ada",
                Target::server("db1", 5432, "ada", "ada"),
            ),
            (
                "hostaddr=127.0.0.1 user=ada",
                Target::server("127.0.0.1", 5432, "ada", "ada"),
            ),
            (
                "host=/run/postgresql user=ada dbname=orders",
                Target::socket(Path::new("/run/postgresql"), "orders", "ada"),
            ),
            (
                "host=db1,db2 user=ada dbname=orders",
                Target::somewhere("orders", "ada"),
            ),
        ];
        for (text, expected) in cases {
            let config: Config = text.parse().unwrap();
            let target = target(&config);
            assert_eq!(target, expected, "{text}");
            assert!(!format!("{target:?}").contains("no-secret"));
        }
    }
}
