//! Transactions.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use bytes::Buf;
use ddtrace_core::sql::{Query, Target, TransactionEnd};
use tokio_postgres::types::{BorrowToSql, FromSqlOwned, ToSql, Type};
use tokio_postgres::{Error, IsolationLevel, Row, SimpleQueryMessage};

use crate::copy::CopyInSink;
use crate::failure::failure;
use crate::queries::{SETTINGS, SYSTEM, begin, count_messages, count_optional, open, queries, run};
use crate::statement::{Portal, Statement, ToStatement};
use crate::streams::{CopyOutStream, RowStream, SimpleQueryStream};

/// A [`tokio_postgres::Transaction`] whose statements make spans.
pub struct Transaction<'a> {
    inner: tokio_postgres::Transaction<'a>,
    target: Arc<Target>,
}

/// A [`tokio_postgres::TransactionBuilder`] of a [`Transaction`].
pub struct TransactionBuilder<'a> {
    inner: tokio_postgres::TransactionBuilder<'a>,
    target: Arc<Target>,
}

impl<'a> Transaction<'a> {
    pub(crate) fn new(inner: tokio_postgres::Transaction<'a>, target: Arc<Target>) -> Self {
        Self { inner, target }
    }

    fn raw(&self) -> &tokio_postgres::Client {
        self.inner.client()
    }

    queries!();

    /// Commits the transaction; see [`tokio_postgres::Transaction::commit`].
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn commit(self) -> Result<(), Error> {
        let Self { inner, target } = self;
        let (commit, settings) = (inner.commit(), SETTINGS.get());
        let end = TransactionEnd::Commit;
        end.run(settings, &SYSTEM, &target, commit, failure).await
    }

    /// Rolls the transaction back; see [`tokio_postgres::Transaction::rollback`].
    ///
    /// A transaction that is dropped without either is rolled back by the library, which makes no span.
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn rollback(self) -> Result<(), Error> {
        let Self { inner, target } = self;
        let (rollback, settings) = (inner.rollback(), SETTINGS.get());
        let end = TransactionEnd::Rollback;
        end.run(settings, &SYSTEM, &target, rollback, failure).await
    }

    /// Binds a statement to a portal, which makes no span; see [`tokio_postgres::Transaction::bind`].
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn bind<S>(
        &self,
        statement: &S,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Portal, Error>
    where
        S: ?Sized + ToStatement,
    {
        let portal = self.inner.bind(statement.inner(), params).await?;
        Ok(Portal::new(portal, statement.statement_text()))
    }

    /// The same with parameters from an iterator; see [`tokio_postgres::Transaction::bind_raw`].
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn bind_raw<P, S, I>(&self, statement: &S, params: I) -> Result<Portal, Error>
    where
        S: ?Sized + ToStatement,
        P: BorrowToSql,
        I: IntoIterator<Item = P>,
        I::IntoIter: ExactSizeIterator,
    {
        let portal = self.inner.bind_raw(statement.inner(), params).await?;
        Ok(Portal::new(portal, statement.statement_text()))
    }

    /// Runs a portal on; see [`tokio_postgres::Transaction::query_portal`].
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn query_portal(&self, portal: &Portal, max_rows: i32) -> Result<Vec<Row>, Error> {
        let query = Query::start(SETTINGS.get(), &SYSTEM, &self.target, portal.text());
        let rows = self.inner.query_portal(portal, max_rows);
        query.run(rows, |rows| rows.len() as u64, failure).await
    }

    /// Runs a portal on and gives a stream of its rows; see [`tokio_postgres::Transaction::query_portal_raw`].
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn query_portal_raw(
        &self,
        portal: &Portal,
        max_rows: i32,
    ) -> Result<RowStream, Error> {
        let query = Query::start(SETTINGS.get(), &SYSTEM, &self.target, portal.text());
        let rows = self.inner.query_portal_raw(portal, max_rows);
        query.open(rows, failure).await.map(RowStream::new)
    }

    /// Begins a transaction inside this one; see [`tokio_postgres::Transaction::transaction`].
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn transaction(&mut self) -> Result<Transaction<'_>, Error> {
        let target = self.target.clone();
        Ok(Transaction::new(self.inner.transaction().await?, target))
    }

    /// The same under a name; see [`tokio_postgres::Transaction::savepoint`].
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn savepoint<I: Into<String>>(&mut self, name: I) -> Result<Transaction<'_>, Error> {
        let target = self.target.clone();
        Ok(Transaction::new(self.inner.savepoint(name).await?, target))
    }

    /// The wrapped transaction, whose statements make no spans.
    pub fn inner(&self) -> &tokio_postgres::Transaction<'a> {
        &self.inner
    }

    /// Takes the wrapped transaction out.
    pub fn into_inner(self) -> tokio_postgres::Transaction<'a> {
        self.inner
    }
}

impl<'a> TransactionBuilder<'a> {
    pub(crate) fn new(inner: tokio_postgres::TransactionBuilder<'a>, target: Arc<Target>) -> Self {
        Self { inner, target }
    }

    /// Sets the isolation level.
    #[must_use]
    pub fn isolation_level(mut self, level: IsolationLevel) -> Self {
        self.inner = self.inner.isolation_level(level);
        self
    }

    /// Sets whether the transaction may only read.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.inner = self.inner.read_only(read_only);
        self
    }

    /// Sets whether the transaction may wait for a moment when it cannot fail.
    #[must_use]
    pub fn deferrable(mut self, deferrable: bool) -> Self {
        self.inner = self.inner.deferrable(deferrable);
        self
    }

    /// Begins the transaction.
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn start(self) -> Result<Transaction<'a>, Error> {
        let Self { inner, target } = self;
        Ok(Transaction::new(inner.start().await?, target))
    }
}

impl<'a> Deref for Transaction<'a> {
    type Target = tokio_postgres::Transaction<'a>;

    fn deref(&self) -> &tokio_postgres::Transaction<'a> {
        &self.inner
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.inner
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction").finish_non_exhaustive()
    }
}
