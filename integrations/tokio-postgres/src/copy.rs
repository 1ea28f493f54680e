//! Copies into the database.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use ddtrace_core::sql::Query;
use futures_sink::Sink;
use pin_project_lite::pin_project;
use tokio_postgres::Error;

use crate::failure::failure;

pin_project! {
    /// A [`tokio_postgres::CopyInSink`] whose span ends when the copy is finished or given up.
    ///
    /// For the library's `BinaryCopyInWriter`, which wants its own sink, there is [`into_inner`](Self::into_inner).
    #[must_use = "a copy that is not finished is undone"]
    pub struct CopyInSink<T> {
        query: Option<Query>,
        #[pin]
        sink: tokio_postgres::CopyInSink<T>,
    }
}

impl<T> CopyInSink<T> {
    pub(crate) fn new((query, sink): (Query, tokio_postgres::CopyInSink<T>)) -> Self {
        Self {
            query: Some(query),
            sink,
        }
    }

    /// Ends the span and takes the library's sink out.
    pub fn into_inner(self) -> tokio_postgres::CopyInSink<T> {
        self.sink
    }

    /// Lets the library do something within the span.
    fn poll<R>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut tokio_postgres::CopyInSink<T>>) -> Poll<Result<R, Error>>,
    ) -> Poll<Result<R, Error>> {
        let this = self.project();
        let Some(query) = this.query else {
            return poll(this.sink);
        };
        let polled = {
            let _active = query.enter();
            poll(this.sink)
        };
        if let Poll::Ready(Err(error)) = &polled {
            query.fail(&failure(error));
            *this.query = None;
        }
        polled
    }
}

impl<T> CopyInSink<T>
where
    T: Buf + 'static + Send,
{
    /// Completes the copy; see [`tokio_postgres::CopyInSink::poll_finish`].
    pub fn poll_finish(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<u64, Error>> {
        let finished = ready!(self.as_mut().poll(|sink| sink.poll_finish(cx)));
        if let (Ok(rows), Some(mut query)) = (&finished, self.project().query.take()) {
            query.count_affected(*rows);
        }
        Poll::Ready(finished)
    }

    /// Completes the copy, and gives the number of rows; see [`tokio_postgres::CopyInSink::finish`].
    ///
    /// # Errors
    ///
    /// Those of the library's method.
    pub async fn finish(mut self: Pin<&mut Self>) -> Result<u64, Error> {
        poll_fn(|cx| self.as_mut().poll_finish(cx)).await
    }
}

impl<T> Sink<T> for CopyInSink<T>
where
    T: Buf + 'static + Send,
{
    type Error = Error;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll(|sink| sink.poll_ready(cx))
    }

    fn start_send(self: Pin<&mut Self>, item: T) -> Result<(), Error> {
        match self.poll(|sink| Poll::Ready(sink.start_send(item))) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll(|sink| sink.poll_flush(cx))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.poll_finish(cx).map_ok(drop)
    }
}
