//! A stream of results within the span of its query.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use pin_project_lite::pin_project;

use super::query::Query;

pin_project! {
    /// The library's stream with the span of its query, which ends when the stream ends or is dropped.
    ///
    /// `F` is what begins the query when the stream is first polled.
    #[must_use = "a stream does nothing unless it is polled"]
    pub struct Rows<S: Stream, F = fn() -> (Query, S)> {
        #[pin]
        state: State<S, F>,
        observe: fn(&S::Item, &mut Query),
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<S, F> {
        Waiting { begin: Option<F> },
        Running { query: Query, #[pin] stream: S },
        Ended,
    }
}

impl<S: Stream> Rows<S> {
    /// A stream that has begun. `observe` sees every item, to count it or to take note of its error.
    pub fn new(query: Query, stream: S, observe: fn(&S::Item, &mut Query)) -> Self {
        Self {
            state: State::Running { query, stream },
            observe,
        }
    }

    /// The library's stream, as long as it has not ended.
    pub fn get(&self) -> Option<&S> {
        match &self.state {
            State::Running { stream, .. } => Some(stream),
            _ => None,
        }
    }
}

impl<S: Stream, F: FnOnce() -> (Query, S)> Rows<S, F> {
    /// A stream that begins when it is first polled; one that never is makes no span.
    pub fn later(begin: F, observe: fn(&S::Item, &mut Query)) -> Self {
        Self {
            state: State::Waiting { begin: Some(begin) },
            observe,
        }
    }
}

impl<S: Stream, F: FnOnce() -> (Query, S)> Stream for Rows<S, F> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let mut rows = self.project();
        if let StateProjection::Waiting { begin } = rows.state.as_mut().project() {
            let Some((query, stream)) = begin.take().map(|begin| begin()) else {
                return Poll::Ready(None);
            };
            rows.state.set(State::Running { query, stream });
        }
        let StateProjection::Running { query, stream } = rows.state.as_mut().project() else {
            return Poll::Ready(None);
        };
        let polled = {
            let _active = query.enter();
            stream.poll_next(cx)
        };
        let item = ready!(polled);
        match &item {
            Some(item) => (rows.observe)(item, query),
            None => rows.state.set(State::Ended),
        }
        Poll::Ready(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.state {
            State::Waiting { .. } => (0, None),
            State::Running { stream, .. } => stream.size_hint(),
            State::Ended => (0, Some(0)),
        }
    }
}
