//! A query on its way through the wrapper, which may give it another text.

use std::sync::Arc;

use ddtrace_core::sql::{LaterRows, Query, Target};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use sqlx_core::Error;
use sqlx_core::database::Database;
use sqlx_core::error::BoxDynError;
use sqlx_core::executor::Execute;

use crate::database::{Runner, SETTINGS, Step};
use crate::driver::Driver;
use crate::failure::{failure, observe};

/// The user's query under a text with a comment in front of it.
pub(crate) struct Commented<'t, DB: Database> {
    pub(crate) text: &'t str,
    pub(crate) arguments: Result<Option<DB::Arguments<'t>>, BoxDynError>,
    pub(crate) persistent: bool,
}

impl<'t, DB: Database> Execute<'t, DB> for Commented<'t, DB> {
    fn sql(&self) -> &'t str {
        self.text
    }

    fn statement(&self) -> Option<&DB::Statement<'t>> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments<'t>>, BoxDynError> {
        std::mem::replace(&mut self.arguments, Ok(None))
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// Opens the query's span, and makes the text with the comment in front of the statement, if there is to be one.
fn begin<'q, DB: Driver>(
    target: &Target,
    query: &impl Execute<'q, DB>,
) -> (Query, Option<ddtrace_core::sql::Commented>) {
    let mut span = Query::start(SETTINGS.get(), DB::system(), target, query.sql());
    // What the program prepared itself is the server's already.
    let is_prepared = query.statement().is_some();
    let commented = if is_prepared {
        None
    } else {
        span.comment(target, query.sql())
    };
    (span, commented)
}

pub(crate) fn fetch_many<'e, 'q: 'e, DB: Driver>(
    target: &Arc<Target>,
    runner: Runner<'e, DB>,
    mut query: impl Execute<'q, DB> + 'q,
) -> BoxStream<'e, Step<DB>> {
    let target = target.clone();
    let begin = move || {
        let (span, commented) = begin(&target, &query);
        let stream = match commented {
            None => DB::fetch_many(runner, query),
            Some(commented) => {
                let arguments = query.take_arguments();
                let persistent = query.persistent() && commented.is_same_for_every_call;
                DB::fetch_many_commented(runner, commented.text, arguments, persistent)
            }
        };
        (span, stream)
    };
    Box::pin(LaterRows::new(begin, observe::<DB>))
}

pub(crate) fn fetch_optional<'e, 'q: 'e, DB: Driver>(
    target: &Arc<Target>,
    runner: Runner<'e, DB>,
    mut query: impl Execute<'q, DB> + 'q,
) -> BoxFuture<'e, Result<Option<DB::Row>, Error>> {
    let target = target.clone();
    Box::pin(async move {
        let (span, commented) = begin(&target, &query);
        let row = match commented {
            None => DB::fetch_optional(runner, query),
            Some(commented) => {
                let arguments = query.take_arguments();
                let persistent = query.persistent() && commented.is_same_for_every_call;
                DB::fetch_optional_commented(runner, commented.text, arguments, persistent)
            }
        };
        span.run(row, |row| u64::from(row.is_some()), failure).await
    })
}
