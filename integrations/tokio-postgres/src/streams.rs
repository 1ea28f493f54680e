//! Streams of results, with the spans of their queries.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use ddtrace_core::sql::{Query, Rows};
use futures_core::Stream;
use pin_project_lite::pin_project;
use tokio_postgres::{Error, Row, SimpleQueryMessage};

use crate::failure::failure;

macro_rules! streams {
    ($($(#[doc = $doc:literal])+ $name:ident of $item:ty;)+) => {$(
        pin_project! {
            $(#[doc = $doc])+
            #[must_use = "streams do nothing unless polled"]
            pub struct $name {
                #[pin]
                rows: Rows<tokio_postgres::$name>,
            }
        }

        impl Stream for $name {
            type Item = Result<$item, Error>;

            fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
                self.project().rows.poll_next(cx)
            }

            fn size_hint(&self) -> (usize, Option<usize>) {
                self.rows.size_hint()
            }
        }

        impl $name {
            /// Ends the span and takes the library's stream out.
            pub fn into_inner(self) -> tokio_postgres::$name {
                self.rows.into_inner()
            }
        }
    )+};
}

streams! {
    /// A [`tokio_postgres::RowStream`] whose span ends with it.
    RowStream of Row;
    /// A [`tokio_postgres::SimpleQueryStream`] whose span ends with it.
    SimpleQueryStream of SimpleQueryMessage;
    /// A [`tokio_postgres::CopyOutStream`] whose span ends with it.
    CopyOutStream of Bytes;
}

impl RowStream {
    pub(crate) fn new((query, stream): (Query, tokio_postgres::RowStream)) -> Self {
        let observe = |row: &Result<Row, Error>, query: &mut Query| match row {
            Ok(_) => query.count_rows(1),
            Err(error) => query.fail(&failure(error)),
        };
        let at_end = |stream: &tokio_postgres::RowStream, query: &mut Query| {
            query.count_affected(stream.rows_affected().unwrap_or_default());
        };
        Self {
            rows: Rows::new(query, stream, observe, at_end),
        }
    }

    /// The number of rows affected, once the stream is at its end; see [`tokio_postgres::RowStream::rows_affected`].
    pub fn rows_affected(&self) -> Option<u64> {
        self.rows.get_ref().rows_affected()
    }
}

impl SimpleQueryStream {
    pub(crate) fn new((query, stream): (Query, tokio_postgres::SimpleQueryStream)) -> Self {
        let observe = |message: &Result<SimpleQueryMessage, Error>, query: &mut Query| match message
        {
            Ok(SimpleQueryMessage::Row(_)) => query.count_rows(1),
            Ok(SimpleQueryMessage::CommandComplete(rows)) => query.count_affected(*rows),
            Ok(_) => {}
            Err(error) => query.fail(&failure(error)),
        };
        Self {
            rows: Rows::new(query, stream, observe, |_, _| {}),
        }
    }
}

impl CopyOutStream {
    pub(crate) fn new((query, stream): (Query, tokio_postgres::CopyOutStream)) -> Self {
        let observe = |bytes: &Result<Bytes, Error>, query: &mut Query| {
            if let Err(error) = bytes {
                query.fail(&failure(error));
            }
        };
        Self {
            rows: Rows::new(query, stream, observe, |_, _| {}),
        }
    }
}
