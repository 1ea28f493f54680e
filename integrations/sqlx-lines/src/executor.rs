//! `Executor` for everything that a [`Traced`](crate::traced) can wrap.

/// The module `executor` of a line: sqlx's trait by means of two functions of the line, `execute::fetch_many` and
/// `execute::fetch_optional`.
///
/// Only the required methods are written: sqlx's own definitions of the others (`execute`, `fetch_all`, …) go through
/// these, and neither its pool nor its drivers override them.
#[macro_export]
macro_rules! executors {
    (
        // What the line takes for the text of a statement,
        text: $text:ty,
        // a lifetime for that if it borrows it, and then also what is prepared from it,
        lifetime: [$($lifetime:tt)*],
        statement: [$($of:tt)*],
        // and what begins a transaction.
        beginning: $beginning:ty, $into:ident
    ) => {
        use std::fmt::Debug;
        use std::ops::DerefMut;

        use futures_core::future::BoxFuture;
        use futures_core::stream::BoxStream;
        use sqlx_core::Error;
        use sqlx_core::connection::Connection;
        use sqlx_core::describe::Describe;
        use sqlx_core::executor::{Execute, Executor};
        use sqlx_core::pool::Pool;
        use sqlx_core::transaction::Transaction;

        use crate::database::{Runner, Step, acquire};
        use crate::driver::Driver;
        use crate::execute::{fetch_many, fetch_optional};
        use crate::traced::{Session, Traced};

        /// As sqlx's own executor for a pool, it holds a clone of the pool, and so borrows nothing.
        impl<'p, DB: Driver> Executor<'p> for &'_ Traced<Pool<DB>> {
            type Database = DB;

            fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Step<DB>>
            where
                'p: 'e,
                E: 'q + Execute<'q, DB>,
            {
                fetch_many(self.target(), self.runner(), query)
            }

            fn fetch_optional<'e, 'q: 'e, E>(
                self,
                query: E,
            ) -> BoxFuture<'e, Result<Option<DB::Row>, Error>>
            where
                'p: 'e,
                E: 'q + Execute<'q, DB>,
            {
                fetch_optional(self.target(), self.runner(), query)
            }

            fn prepare_with<'e $($lifetime)*>(
                self,
                sql: $text,
                parameters: &'e [DB::TypeInfo],
            ) -> BoxFuture<'e, Result<DB::Statement $($of)*, Error>>
            where
                'p: 'e,
            {
                DB::prepare_with(self.runner(), sql, parameters)
            }

            fn describe<'e $($lifetime)*>(self, sql: $text) -> BoxFuture<'e, Result<Describe<DB>, Error>>
            where
                'p: 'e,
            {
                DB::describe(self.runner(), sql)
            }
        }

        impl<DB: Driver> Traced<Pool<DB>> {
            /// Begins a transaction with a statement of one's own; see [`Pool::begin_with`].
            ///
            /// # Errors
            ///
            /// Those of [`Pool::begin_with`].
            pub async fn begin_with(
                &self,
                statement: $beginning,
            ) -> Result<Traced<Transaction<'static, DB>>, Error> {
                let connection = acquire(self.inner().clone(), self.target().clone()).await?;
                let statement = Some(statement.$into());
                let transaction = Transaction::begin(connection, statement).await?;
                Ok(Traced::with_target(transaction, self.target().clone()))
            }

            /// Begins one if a connection is idle; see [`Pool::try_begin_with`].
            ///
            /// # Errors
            ///
            /// Those of [`Pool::try_begin_with`].
            pub async fn try_begin_with(
                &self,
                statement: $beginning,
            ) -> Result<Option<Traced<Transaction<'static, DB>>>, Error> {
                let transaction = self.inner().try_begin_with(statement).await?;
                Ok(transaction.map(|transaction| Traced::with_target(transaction, self.target().clone())))
            }

            fn runner<'e>(&self) -> Runner<'e, DB> {
                Runner::Pool(self.inner().clone(), self.target().clone())
            }
        }

        impl<C> Session<C>
        where
            C: DerefMut,
            C::Target: Connection + Sized,
        {
            /// Begins a transaction with a statement of one's own; see [`Connection::begin_with`].
            ///
            /// # Errors
            ///
            /// Those of [`Connection::begin_with`].
            pub async fn begin_with(
                &mut self,
                statement: $beginning,
            ) -> Result<Traced<Transaction<'_, <C::Target as Connection>::Database>>, Error> {
                let target = self.target().clone();
                let transaction = (**self.inner_mut()).begin_with(statement).await?;
                Ok(Traced::with_target(transaction, target))
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

            fn prepare_with<'e $($lifetime)*>(
                self,
                sql: $text,
                parameters: &'e [DB::TypeInfo],
            ) -> BoxFuture<'e, Result<DB::Statement $($of)*, Error>>
            where
                's: 'e,
            {
                DB::prepare_with(Runner::Connection(&mut **self.inner_mut()), sql, parameters)
            }

            fn describe<'e $($lifetime)*>(self, sql: $text) -> BoxFuture<'e, Result<Describe<DB>, Error>>
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

            fn prepare_with<'e $($lifetime)*>(
                self,
                sql: $text,
                parameters: &'e [DB::TypeInfo],
            ) -> BoxFuture<'e, Result<DB::Statement $($of)*, Error>>
            where
                's: 'e,
            {
                (&mut **self).prepare_with(sql, parameters)
            }

            fn describe<'e $($lifetime)*>(self, sql: $text) -> BoxFuture<'e, Result<Describe<DB>, Error>>
            where
                's: 'e,
            {
                (&mut **self).describe(sql)
            }
        }
    };
}
