//! The stream of a query, and what an error says.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ddtrace_core::sql::{Failure, Query};
use futures_core::Stream;
use futures_core::stream::BoxStream;
use sqlx_core::error::ErrorKind;
use sqlx_core::{Either, Error};

use crate::driver::{Driver, Step};

/// The library's stream with the span of its query, which ends when the stream ends or is dropped.
pub(crate) enum Rows<'e, DB: Driver, F> {
    Waiting(Option<F>),
    Running(Query, BoxStream<'e, Step<DB>>),
    Ended,
}

impl<'e, DB: Driver, F> Rows<'e, DB, F>
where
    F: FnOnce() -> (Query, BoxStream<'e, Step<DB>>),
{
    pub(crate) fn new(begin: F) -> Self {
        Self::Waiting(Some(begin))
    }
}

/// The closure is called by value and the stream is boxed: nothing in here is pinned in place.
impl<DB: Driver, F> Unpin for Rows<'_, DB, F> {}

impl<'e, DB: Driver, F> Stream for Rows<'e, DB, F>
where
    F: FnOnce() -> (Query, BoxStream<'e, Step<DB>>),
{
    type Item = Step<DB>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let rows = &mut *self;
        if let Self::Waiting(begin) = rows {
            let Some((query, stream)) = begin.take().map(|begin| begin()) else {
                return Poll::Ready(None);
            };
            *rows = Self::Running(query, stream);
        }
        let Self::Running(query, stream) = rows else {
            return Poll::Ready(None);
        };
        let polled = {
            let _active = query.enter();
            stream.as_mut().poll_next(cx)
        };
        let step = ready!(polled);
        match &step {
            Some(Ok(Either::Right(_row))) => query.count_rows(1),
            Some(Ok(Either::Left(result))) => query.count_affected(DB::rows_affected(result)),
            Some(Err(error)) => query.fail(&failure(error)),
            None => *rows = Self::Ended,
        }
        Poll::Ready(step)
    }
}

/// What the span of a failed query says about the error.
pub(crate) fn failure(error: &Error) -> Failure {
    let kind = match error {
        Error::Database(error) => match error.kind() {
            ErrorKind::UniqueViolation => "database.unique_violation",
            ErrorKind::ForeignKeyViolation => "database.foreign_key_violation",
            ErrorKind::NotNullViolation => "database.not_null_violation",
            ErrorKind::CheckViolation => "database.check_violation",
            _ => "database",
        },
        Error::Io(_) => "io",
        Error::Tls(_) => "tls",
        Error::Protocol(_) => "protocol",
        Error::Configuration(_) => "configuration",
        Error::Encode(_) => "encode",
        Error::Decode(_) | Error::ColumnDecode { .. } => "decode",
        Error::PoolTimedOut => "pool_timed_out",
        Error::PoolClosed => "pool_closed",
        Error::WorkerCrashed => "worker_crashed",
        _ => "other",
    };
    let code = error.as_database_error().and_then(|error| error.code());
    Failure::new(kind, error, code.as_deref())
}
