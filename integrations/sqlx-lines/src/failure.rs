//! What the span of a query learns from its results and errors.

/// The module `failure` of a line.
#[macro_export]
macro_rules! failure {
    () => {
        use ddtrace_core::sql::{Failure, Query};
        use sqlx_core::error::ErrorKind;
        use sqlx_core::{Either, Error};

        use crate::database::{Described, Step};

        /// Counts what a step of a query brought, or marks its error.
        pub(crate) fn observe<DB: Described>(step: &Step<DB>, query: &mut Query) {
            match step {
                Ok(Either::Right(_row)) => query.count_rows(1),
                Ok(Either::Left(result)) => query.count_affected(DB::rows_affected(result)),
                Err(error) => query.fail(&failure(error)),
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
    };
}
