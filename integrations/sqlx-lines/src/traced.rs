//! The wrapper that users hold, and what it derefs to.

/// The module `traced` of a line.
#[macro_export]
macro_rules! traced {
    () => {
        use std::fmt;
        use std::ops::{Deref, DerefMut};
        use std::sync::Arc;

        use ddtrace_core::sql::{Target, TransactionEnd, run_connect};
        use sqlx_core::Error;
        use sqlx_core::connection::Connection;
        use sqlx_core::database::Database;
        use sqlx_core::pool::{Pool, PoolConnection, PoolOptions};
        use sqlx_core::transaction::Transaction;

        use crate::database::{Described, SETTINGS, acquire};
        use crate::driver::Driver;
        use crate::failure::failure;

        /// A pool, connection or transaction whose queries make spans.
        ///
        /// Use it where sqlx wants an executor: `&pool`, `&mut connection` or `&mut *connection`, `&mut transaction` or
        /// `&mut *transaction`. Whatever else the wrapped value can do is reached through it as well (`pool.close()`).
        pub struct Traced<T> {
            session: Session<T>,
        }

        /// What a [`Traced`] derefs to: an executor as well, so that `&mut *transaction` is watched too.
        pub struct Session<T> {
            inner: T,
            target: Arc<Target>,
        }

        /// What can be wrapped: a pool, or a `&mut` connection.
        pub trait Traceable: Sized {
            /// Where its queries go, as far as it knows.
            #[doc(hidden)]
            fn target(&self) -> Target;
        }

        impl<DB: Driver> Traceable for Pool<DB> {
            fn target(&self) -> Target {
                DB::target(&self.connect_options())
            }
        }

        impl<C> Traceable for &mut C
        where
            C: Connection,
            C::Database: Driver,
        {
            /// A connection does not know its options.
            fn target(&self) -> Target {
                Target::default()
            }
        }

        impl<T: Traceable> Traced<T> {
            /// Wraps a pool, or a `&mut` connection.
            ///
            /// Server, database and user come from the options of the pool; the spans of a borrowed connection do not have them.
            pub fn new(inner: T) -> Self {
                let target = Arc::new(inner.target());
                Self::with_target(inner, target)
            }
        }

        /// `Traced::<PgPool>::connect(url)`: the first connection of the pool is opened in a span, `postgres.connect`.
        ///
        /// Those that the pool opens later are part of what [`acquire`](Self::acquire) waits for.
        impl<DB: Driver> Traced<Pool<DB>> {
            /// Opens a pool and wraps it; see [`Pool::connect`].
            ///
            /// # Errors
            ///
            /// Those of [`Pool::connect`].
            pub async fn connect(url: &str) -> Result<Self, Error> {
                Self::connect_with(PoolOptions::new(), url.parse()?).await
            }

            /// The same with options of one's own; see [`PoolOptions::connect_with`].
            ///
            /// # Errors
            ///
            /// Those of [`PoolOptions::connect_with`].
            pub async fn connect_with(
                pool: PoolOptions<DB>,
                options: <DB::Connection as Connection>::Options,
            ) -> Result<Self, Error> {
                let target = Arc::new(DB::target(&options));
                let connecting = pool.connect_with(options);
                let pool =
                    run_connect(SETTINGS.get(), DB::system(), &target, connecting, failure).await?;
                Ok(Self::with_target(pool, target))
            }
        }

        /// `Traced::<Box<PgConnection>>::connect(url)`: a connection that belongs to no pool, opened in a span, `postgres.connect`.
        impl<C> Traced<Box<C>>
        where
            C: Connection,
            C::Database: Driver<Connection = C>,
        {
            /// Opens a connection and wraps it; see [`Connection::connect`].
            ///
            /// # Errors
            ///
            /// Those of [`Connection::connect`].
            pub async fn connect(url: &str) -> Result<Self, Error> {
                Self::connect_with(&url.parse()?).await
            }

            /// The same with options of one's own; see [`Connection::connect_with`].
            ///
            /// # Errors
            ///
            /// Those of [`Connection::connect_with`].
            pub async fn connect_with(options: &C::Options) -> Result<Self, Error> {
                let target = Arc::new(C::Database::target(options));
                let (system, connecting) = (C::Database::system(), C::connect_with(options));
                let connection =
                    run_connect(SETTINGS.get(), system, &target, connecting, failure).await?;
                Ok(Self::with_target(Box::new(connection), target))
            }
        }

        impl<DB: Driver> Traced<Pool<DB>> {
            /// Takes a connection from the pool; see [`Pool::acquire`].
            ///
            /// # Errors
            ///
            /// Those of [`Pool::acquire`].
            pub fn acquire(
                &self,
            ) -> impl Future<Output = Result<Traced<PoolConnection<DB>>, Error>> + 'static {
                let (pool, target) = (self.inner.clone(), self.target.clone());
                async move {
                    let connection = acquire(pool, target.clone()).await?;
                    Ok(Traced::with_target(connection, target))
                }
            }

            /// Takes a connection if one is idle; see [`Pool::try_acquire`].
            pub fn try_acquire(&self) -> Option<Traced<PoolConnection<DB>>> {
                let connection = self.inner.try_acquire()?;
                Some(Traced::with_target(connection, self.target.clone()))
            }

            /// Takes a connection and begins a transaction on it; see [`Pool::begin`].
            ///
            /// # Errors
            ///
            /// Those of [`Pool::begin`].
            pub async fn begin(&self) -> Result<Traced<Transaction<'static, DB>>, Error> {
                let connection = acquire(self.inner.clone(), self.target.clone()).await?;
                let transaction = Transaction::begin(connection, None).await?;
                Ok(Traced::with_target(transaction, self.target.clone()))
            }

            /// Begins a transaction if a connection is idle; see [`Pool::try_begin`].
            ///
            /// # Errors
            ///
            /// Those of [`Pool::try_begin`].
            pub async fn try_begin(
                &self,
            ) -> Result<Option<Traced<Transaction<'static, DB>>>, Error> {
                let transaction = self.inner.try_begin().await?;
                Ok(transaction
                    .map(|transaction| Traced::with_target(transaction, self.target.clone())))
            }
        }

        impl<C> Session<C>
        where
            C: DerefMut,
            C::Target: Connection + Sized,
        {
            /// Begins a transaction, or one inside the transaction that this is; see [`Connection::begin`].
            ///
            /// # Errors
            ///
            /// Those of [`Connection::begin`].
            pub async fn begin(
                &mut self,
            ) -> Result<Traced<Transaction<'_, <C::Target as Connection>::Database>>, Error> {
                let target = self.target.clone();
                let transaction = (*self.inner).begin().await?;
                Ok(Traced::with_target(transaction, target))
            }
        }

        impl<DB: Driver> Traced<Transaction<'_, DB>> {
            /// Commits the transaction; see [`Transaction::commit`].
            ///
            /// # Errors
            ///
            /// Those of [`Transaction::commit`].
            pub async fn commit(self) -> Result<(), Error> {
                let Session { inner, target } = self.session;
                TransactionEnd::Commit
                    .run(
                        SETTINGS.get(),
                        DB::system(),
                        &target,
                        inner.commit(),
                        failure,
                    )
                    .await
            }

            /// Rolls the transaction back; see [`Transaction::rollback`].
            ///
            /// A transaction that is dropped without either is rolled back by sqlx at some later moment, which makes no span.
            ///
            /// # Errors
            ///
            /// Those of [`Transaction::rollback`].
            pub async fn rollback(self) -> Result<(), Error> {
                let Session { inner, target } = self.session;
                TransactionEnd::Rollback
                    .run(
                        SETTINGS.get(),
                        DB::system(),
                        &target,
                        inner.rollback(),
                        failure,
                    )
                    .await
            }
        }

        impl<T> Traced<T> {
            pub(crate) fn with_target(inner: T, target: Arc<Target>) -> Self {
                Self {
                    session: Session { inner, target },
                }
            }

            /// Takes the wrapped value out.
            pub fn into_inner(self) -> T {
                self.session.inner
            }
        }

        impl<T> Session<T> {
            /// The wrapped value, whose queries make no spans.
            pub fn inner(&self) -> &T {
                &self.inner
            }

            /// The wrapped value, whose queries make no spans.
            pub fn inner_mut(&mut self) -> &mut T {
                &mut self.inner
            }

            pub(crate) fn target(&self) -> &Arc<Target> {
                &self.target
            }
        }

        /// A pool is a handle: its clones share the connections.
        impl<DB: Database> Clone for Traced<Pool<DB>> {
            fn clone(&self) -> Self {
                Self::with_target(self.inner.clone(), self.target.clone())
            }
        }

        impl<T> Deref for Traced<T> {
            type Target = Session<T>;

            fn deref(&self) -> &Session<T> {
                &self.session
            }
        }

        impl<T> DerefMut for Traced<T> {
            fn deref_mut(&mut self) -> &mut Session<T> {
                &mut self.session
            }
        }

        impl<T> Deref for Session<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.inner
            }
        }

        impl<T> DerefMut for Session<T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.inner
            }
        }

        impl<T: fmt::Debug> fmt::Debug for Traced<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple("Traced").field(&self.inner).finish()
            }
        }

        /// Stands in for what cannot be printed in full: the trait `Executor` asks for `Debug`, a connection need not have it.
        impl<T> fmt::Debug for Session<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct("Session").finish_non_exhaustive()
            }
        }
    };
}
