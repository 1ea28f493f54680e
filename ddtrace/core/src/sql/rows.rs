//! A stream of results within the span of its query.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::query::Query;

pin_project! {
    /// The library's stream with the span of its query, which ends when the stream ends or is dropped.
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Rows<S: Stream> {
        query: Option<Query>,
        // Stays until the whole is dropped, as it would without us: it may hold a connection, and know more at its end.
        #[pin]
        stream: S,
        observe: fn(&S::Item, &mut Query),
        at_end: fn(&S, &mut Query),
    }
}

impl<S: Stream> Rows<S> {
    /// A stream that has begun. `observe` sees every item, to count it or to take note of its error, and `at_end` the
    /// stream that has no more.
    pub fn new(
        query: Query,
        stream: S,
        observe: fn(&S::Item, &mut Query),
        at_end: fn(&S, &mut Query),
    ) -> Self {
        Self {
            query: Some(query),
            stream,
            observe,
            at_end,
        }
    }

    /// The library's stream.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Ends the span and takes the library's stream out.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: Stream> Stream for Rows<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut rows = self.project();
        let Some(query) = rows.query else {
            return Poll::Ready(None);
        };
        let polled = {
            let _active = query.enter();
            rows.stream.as_mut().poll_next(cx)
        };
        let item = ready!(polled);
        match &item {
            Some(item) => (rows.observe)(item, query),
            None => {
                (rows.at_end)(&rows.stream, query);
                *rows.query = None;
            }
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self.query {
            Some(_) => self.stream.size_hint(),
            None => (0, Some(0)),
        }
    }
}

pin_project! {
    /// [`Rows`] that begin when they are first polled; if they never are, there is no span.
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct LaterRows<S: Stream, F> {
        #[pin]
        state: State<S, F>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S: Stream, F> {
        Waiting { begin: Option<F>, observe: fn(&S::Item, &mut Query) },
        Running { #[pin] rows: Rows<S> },
    }
}

impl<S: Stream, F: FnOnce() -> (Query, S)> LaterRows<S, F> {
    /// A stream that `begin` begins; `observe` as in [`Rows::new`].
    pub fn new(begin: F, observe: fn(&S::Item, &mut Query)) -> Self {
        Self {
            state: State::Waiting {
                begin: Some(begin),
                observe,
            },
        }
    }
}

impl<S: Stream, F: FnOnce() -> (Query, S)> Stream for LaterRows<S, F> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut state = self.project().state;
        if let StateProjection::Waiting { begin, observe } = state.as_mut().project() {
            let (begin, observe) = (begin.take(), *observe);
            // Missing only if it panicked when it was called.
            let Some((query, stream)) = begin.map(|begin| begin()) else {
                return Poll::Ready(None);
            };
            let rows = Rows::new(query, stream, observe, |_, _| {});
            state.set(State::Running { rows });
        }
        match state.project() {
            StateProjection::Running { rows } => rows.poll_next(cx),
            StateProjection::Waiting { .. } => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.state {
            State::Waiting { .. } => (0, None),
            State::Running { rows } => rows.size_hint(),
        }
    }
}
