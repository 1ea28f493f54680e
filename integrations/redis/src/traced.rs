//! The wrapper that users hold.

use std::fmt;
use std::sync::Arc;

use ddtrace_core::instrument::Enabled;
use ddtrace_core::trace::{Span, instrument_with};
use redis::{Arg, Cmd, ConnectionInfo, Pipeline, RedisFuture, RedisResult, Value};

use crate::packed::Packed;
use crate::span::{self, Rows, SETTINGS, Server};

/// A connection whose commands make spans.
///
/// There is no `Deref` to the connection: redis would take that for the connection itself, and go around the spans.
pub struct Traced<C> {
    pub(crate) inner: C,
    pub(crate) server: Arc<Server>,
}

impl<C> Traced<C> {
    /// Wraps a connection. Server and database come from what it was opened with,
    /// [`Client::get_connection_info`](redis::Client::get_connection_info).
    pub fn new(inner: C, info: &ConnectionInfo) -> Self {
        Self {
            inner,
            server: Arc::new(Server::of(info)),
        }
    }

    /// The wrapped connection, whose commands make no spans.
    pub fn inner(&self) -> &C {
        &self.inner
    }

    /// The wrapped connection, whose commands make no spans.
    pub fn inner_mut(&mut self) -> &mut C {
        &mut self.inner
    }

    /// Takes the wrapped connection out.
    pub fn into_inner(self) -> C {
        self.inner
    }
}

/// The name and the arguments of a command.
pub(crate) fn arguments(command: &Cmd) -> impl ExactSizeIterator<Item = &[u8]> {
    command.args_iter().map(|argument| match argument {
        Arg::Simple(bytes) => bytes,
        // Whose value is put in by the library, later.
        Arg::Cursor => b"0",
        _ => b"",
    })
}

/// The span of a pipeline of so many commands.
pub(crate) fn pipeline_span<'a>(
    settings: &Enabled,
    server: &Server,
    commands: impl Iterator<Item = &'a Cmd>,
    length: usize,
) -> Span {
    span::pipeline(settings, server, length, |text| {
        for command in commands {
            if text.is_full() {
                break;
            }
            text.add(arguments(command));
        }
    })
}

impl<C: redis::aio::ConnectionLike + Send> redis::aio::ConnectionLike for Traced<C> {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let Some(settings) = SETTINGS.get() else {
            return self.inner.req_packed_command(command);
        };
        Box::pin(async move {
            let (span, rows) = span::command(&settings, &self.server, arguments(command));
            let observe = move |answer: &RedisResult<Value>, span: &mut Span| {
                span::answered(span, rows, answer);
            };
            instrument_with(span, self.inner.req_packed_command(command), observe).await
        })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let Some(settings) = SETTINGS.get() else {
            return self.inner.req_packed_commands(pipeline, offset, count);
        };
        Box::pin(async move {
            let (commands, length) = (pipeline.cmd_iter(), pipeline.len());
            let span = pipeline_span(&settings, &self.server, commands, length);
            let answers = self.inner.req_packed_commands(pipeline, offset, count);
            instrument_with(span, answers, |answers, span| {
                span::all_answered(span, answers);
            })
            .await
        })
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }
}

impl<C: redis::ConnectionLike> Traced<C> {
    /// Does something with the connection in a span.
    pub(crate) fn within(
        &mut self,
        (mut span, rows): (Span, Rows),
        run: impl FnOnce(&mut C) -> RedisResult<Value>,
    ) -> RedisResult<Value> {
        let answer = {
            let _active = span.enter();
            run(&mut self.inner)
        };
        span::answered(&mut span, rows, &answer);
        answer
    }
}

impl<C: redis::ConnectionLike> redis::ConnectionLike for Traced<C> {
    fn req_packed_command(&mut self, packed: &[u8]) -> RedisResult<Value> {
        let Some(settings) = SETTINGS.get() else {
            return self.inner.req_packed_command(packed);
        };
        let mut arguments = Vec::new();
        Packed::new(packed).read(&mut arguments);
        let span = span::command(&settings, &self.server, arguments.into_iter());
        self.within(span, |connection| connection.req_packed_command(packed))
    }

    fn req_packed_commands(
        &mut self,
        packed: &[u8],
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        let Some(settings) = SETTINGS.get() else {
            return self.inner.req_packed_commands(packed, offset, count);
        };
        // Answers that are not asked for are those of a transaction's commands: to its `MULTI`, and that each is queued.
        let is_transaction = offset > 0;
        let length = if is_transaction { offset - 1 } else { count };
        let mut span = span::pipeline(&settings, &self.server, length, |text| {
            let (mut commands, mut arguments) = (Packed::new(packed), Vec::new());
            if is_transaction {
                commands.read(&mut arguments);
            }
            for _ in 0..length {
                if text.is_full() || !commands.read(&mut arguments) {
                    break;
                }
                text.add(arguments.iter().copied());
            }
        });
        let answers = {
            let _active = span.enter();
            self.inner.req_packed_commands(packed, offset, count)
        };
        span::all_answered(&mut span, &answers);
        answers
    }

    fn req_command(&mut self, command: &Cmd) -> RedisResult<Value> {
        let Some(settings) = SETTINGS.get() else {
            return self.inner.req_command(command);
        };
        let span = span::command(&settings, &self.server, arguments(command));
        self.within(span, |connection| connection.req_command(command))
    }

    fn get_db(&self) -> i64 {
        self.inner.get_db()
    }

    fn supports_pipelining(&self) -> bool {
        self.inner.supports_pipelining()
    }

    fn check_connection(&mut self) -> bool {
        self.inner.check_connection()
    }

    fn is_open(&self) -> bool {
        self.inner.is_open()
    }
}

impl<C: Clone> Clone for Traced<C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            server: self.server.clone(),
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for Traced<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traced").field(&self.inner).finish()
    }
}
