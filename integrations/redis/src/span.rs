//! The span of a command, or of a pipeline.

use ddtrace_core::instrument::{Enabled, Settings};
use ddtrace_core::trace::{Site, Span, SpanKind, Tag, Value as TagValue};
use redis::{
    ConnectionAddr, ConnectionInfo, ErrorKind, RedisError, RedisResult, ServerError, Value,
};

use crate::command::Text;

/// What the user has set for this integration.
pub(crate) static SETTINGS: Settings = Settings::of("redis");

ddtrace_core::site! {
    static COMMAND: Site = Site::new("redis.command", "command", module_path!(), file!(), line!())
        .with_span_type("redis")
        .with_kind(SpanKind::Client)
        .with_component("redis");
}

/// Where commands go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Server {
    host: Option<String>,
    port: Option<u16>,
    database: i64,
}

impl Server {
    pub(crate) fn of(info: &ConnectionInfo) -> Self {
        let (host, port) = match info.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
                (Some(host.clone()), Some(*port))
            }
            ConnectionAddr::Unix(path) => (Some(path.to_string_lossy().into_owned()), None),
            _ => (None, None),
        };
        Self {
            host,
            port,
            database: info.redis_settings().db(),
        }
    }
}

/// How the rows of an answer are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// The command does not read, or is a pipeline.
    Uncounted,
    /// An answer that is not empty is one.
    One,
    /// One if any of several fields has a value.
    AnyOf,
    /// As many as have a value.
    Each,
}

impl Rows {
    fn of(name: &str) -> Self {
        match name {
            "GET" | "GETDEL" | "GETEX" | "GETRANGE" | "GETSET" | "LINDEX" | "LRANGE" | "RPOP"
            | "LPOP" | "HGET" | "HGETALL" | "HKEYS" | "HRANDFIELD" | "HVALS" => Self::One,
            "HMGET" => Self::AnyOf,
            "MGET" => Self::Each,
            _ => Self::Uncounted,
        }
    }

    fn count(self, answer: &Value) -> Option<usize> {
        let values = || match answer {
            Value::Array(values) | Value::Set(values) => {
                values.iter().filter(|value| !is_empty(value)).count()
            }
            _ => 0,
        };
        match self {
            Self::Uncounted => None,
            Self::One => Some(usize::from(!is_empty(answer))),
            Self::AnyOf => Some(values().min(1)),
            Self::Each => Some(values()),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::BulkString(bytes) => bytes.is_empty(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.is_empty(),
        Value::Array(values) | Value::Set(values) => values.is_empty(),
        Value::Map(pairs) => pairs.is_empty(),
        _ => false,
    }
}

/// Opens the span of a command.
pub(crate) fn command<'a>(
    settings: &Enabled,
    server: &Server,
    arguments: impl ExactSizeIterator<Item = &'a [u8]>,
) -> (Span, Rows) {
    let mut span = Span::start(&COMMAND);
    if !span.is_recording() {
        return (span, Rows::Uncounted);
    }
    let count = arguments.len();
    let mut text = Text::new(settings.config.redis_command_length);
    text.add(arguments);
    describe(&mut span, settings, server, &text);
    span.set_tag("redis.args_length", count);
    (span, Rows::of(&text.names))
}

/// Opens the span of a pipeline of so many commands; `add` adds them to the text until it is full.
pub(crate) fn pipeline(
    settings: &Enabled,
    server: &Server,
    count: usize,
    add: impl FnOnce(&mut Text),
) -> Span {
    let mut span = Span::start(&COMMAND);
    if span.is_recording() {
        let mut text = Text::new(settings.config.redis_command_length);
        add(&mut text);
        describe(&mut span, settings, server, &text);
        span.set_tag("redis.pipeline_length", count);
    }
    span
}

fn describe(span: &mut Span, settings: &Enabled, server: &Server, text: &Text) {
    settings.set_service(span, Some("redis"));
    if settings.config.redis_resource_only_command {
        span.set_resource(&text.names);
    } else {
        span.set_resource(&text.raw);
    }
    let host = server
        .host
        .as_deref()
        .map_or(TagValue::Absent, TagValue::Text);
    span.set_tags(&[
        Tag {
            key: "db.system",
            value: TagValue::Static("redis"),
        },
        Tag {
            key: "redis.raw_command",
            value: TagValue::Text(&text.raw),
        },
        Tag {
            key: "out.host",
            value: host,
        },
        Tag {
            key: "server.address",
            value: host,
        },
        Tag {
            key: "network.destination.port",
            value: server
                .port
                .map_or(TagValue::Absent, |port| TagValue::Number(port.into())),
        },
        Tag {
            key: "_dd.measured",
            value: TagValue::Number(1.0),
        },
    ]);
    span.set_tag("out.redis_db", server.database);
}

/// Says how a command ended.
pub(crate) fn answered(span: &mut Span, rows: Rows, answer: &RedisResult<Value>) {
    if !span.is_recording() {
        return;
    }
    let count = match answer {
        Ok(Value::ServerError(error)) => {
            mark_server_error(span, error);
            rows.count(&Value::Nil)
        }
        Ok(answer) => rows.count(answer),
        Err(error) => {
            mark(span, error);
            rows.count(&Value::Nil)
        }
    };
    if let Some(count) = count {
        span.set_tag("db.row_count", count);
    }
}

/// Says how a pipeline ended: with the first error among its answers, if there is one.
pub(crate) fn all_answered(span: &mut Span, answers: &RedisResult<Vec<Value>>) {
    if !span.is_recording() {
        return;
    }
    match answers {
        Ok(answers) => {
            // Those of a transaction are one level below.
            let error = answers.iter().find_map(|answer| match answer {
                Value::ServerError(error) => Some(error),
                Value::Array(answers) => answers.iter().find_map(server_error),
                _ => None,
            });
            if let Some(error) = error {
                mark_server_error(span, error);
            }
        }
        Err(error) => mark(span, error),
    }
}

fn server_error(answer: &Value) -> Option<&ServerError> {
    match answer {
        Value::ServerError(error) => Some(error),
        _ => None,
    }
}

fn mark_server_error(span: &mut Span, error: &ServerError) {
    span.set_error_message(error.code(), error.details().unwrap_or_default(), None);
}

/// The most telling of the kinds that an error is; one of the server has its code.
pub(crate) fn mark(span: &mut Span, error: &RedisError) {
    let kind = match error.code() {
        Some(code) => code,
        None if error.is_timeout() => "timeout",
        None if error.is_connection_refusal() => "connection_refused",
        None if error.is_connection_dropped() => "connection_dropped",
        None => match error.kind() {
            ErrorKind::Io => "io",
            ErrorKind::Parse => "parse",
            ErrorKind::AuthenticationFailed => "authentication_failed",
            ErrorKind::UnexpectedReturnType => "unexpected_return_type",
            ErrorKind::Client | ErrorKind::InvalidClientConfig => "client",
            _ => "other",
        },
    };
    span.set_error_message(kind, &error.to_string(), None);
}
