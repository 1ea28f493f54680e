//! The operation name of a span, which OpenTelemetry does not have: from its kind and its attributes.
//!
//! The rules are Datadog's, the same for every language; `lib.rs` lists them. What they look at may arrive one by one
//! while the span is open, so it is kept, and the name is asked for again after each.

use opentelemetry::Value;
use opentelemetry::trace::SpanKind;

/// The attributes that a name is made of, with the newer names of some.
const KEYS: [&[&str]; 11] = [
    &["http.request.method", "http.method"],
    &["db.system", "db.system.name"],
    &["messaging.system"],
    &["messaging.operation", "messaging.operation.type"],
    &["rpc.system", "rpc.system.name"],
    &["rpc.service"],
    &["faas.invoked_provider"],
    &["faas.invoked_name"],
    &["faas.trigger"],
    &["graphql.operation.type"],
    &["network.protocol.name"],
];

const HTTP_METHOD: usize = 0;
const DB_SYSTEM: usize = 1;
const MESSAGING_SYSTEM: usize = 2;
const MESSAGING_OPERATION: usize = 3;
const RPC_SYSTEM: usize = 4;
const RPC_SERVICE: usize = 5;
const FAAS_PROVIDER: usize = 6;
const FAAS_NAME: usize = 7;
const FAAS_TRIGGER: usize = 8;
const GRAPHQL_TYPE: usize = 9;
const PROTOCOL: usize = 10;

/// What is known of a span for its name.
#[derive(Debug)]
pub(crate) struct Operation {
    kind: SpanKind,
    /// In lower case.
    values: [Option<Box<str>>; KEYS.len()],
    /// Named by the program: nothing else counts any more.
    is_given: bool,
}

impl Operation {
    pub(crate) fn new(kind: SpanKind) -> Self {
        Self {
            kind,
            values: Default::default(),
            is_given: false,
        }
    }

    /// Looks at an attribute. True if the name may be another one.
    pub(crate) fn note(&mut self, key: &str, value: &Value) -> bool {
        let Some(at) = KEYS.iter().position(|names| names.contains(&key)) else {
            return false;
        };
        self.values[at] = Some(value.as_str().to_lowercase().into_boxed_str());
        !self.is_given
    }

    /// The program names the operation itself.
    pub(crate) fn give(&mut self) {
        self.is_given = true;
    }

    fn get(&self, at: usize) -> Option<&str> {
        self.values[at].as_deref()
    }

    /// The name.
    pub(crate) fn name(&self) -> String {
        let is_client = self.kind == SpanKind::Client;
        let is_server = self.kind == SpanKind::Server;
        let side = match (is_client, is_server) {
            (true, _) => Some("client"),
            (_, true) => Some("server"),
            _ => None,
        };
        if let (Some(side), Some(_)) = (side, self.get(HTTP_METHOD)) {
            return format!("http.{side}.request");
        }
        if let (true, Some(system)) = (is_client, self.get(DB_SYSTEM)) {
            return format!("{system}.query");
        }
        if let (false, Some(system), Some(operation)) = (
            self.kind == SpanKind::Internal,
            self.get(MESSAGING_SYSTEM),
            self.get(MESSAGING_OPERATION),
        ) {
            return format!("{system}.{operation}");
        }
        match (side, self.get(RPC_SYSTEM), self.get(RPC_SERVICE)) {
            (Some("client"), Some("aws-api"), Some(service)) => {
                return format!("aws.{service}.request");
            }
            (Some("client"), Some("aws-api"), None) => return "aws.client.request".to_owned(),
            (Some(side), Some(system), _) => return format!("{system}.{side}.request"),
            _ => {}
        }
        if let (true, Some(provider), Some(name)) =
            (is_client, self.get(FAAS_PROVIDER), self.get(FAAS_NAME))
        {
            return format!("{provider}.{name}.invoke");
        }
        if let (true, Some(trigger)) = (is_server, self.get(FAAS_TRIGGER)) {
            return format!("{trigger}.invoke");
        }
        if self.get(GRAPHQL_TYPE).is_some() {
            return "graphql.server.request".to_owned();
        }
        match (side, self.get(PROTOCOL)) {
            (Some(side), Some(protocol)) => format!("{protocol}.{side}.request"),
            (Some(side), None) => format!("{side}.request"),
            (None, _) => kind_name(&self.kind).to_owned(),
        }
    }
}

/// The value of the tag `span.kind`.
pub(crate) fn kind_name(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Case = (
        &'static str,
        SpanKind,
        &'static [(&'static str, &'static str)],
    );

    /// The cases of system-tests, `tests/parametric/test_otel_span_methods.py`, and what the rules say beside them.
    #[rustfmt::skip]
    const CASES: &[Case] = &[
        ("http.server.request", SpanKind::Server, &[("http.request.method", "GET")]),
        ("http.client.request", SpanKind::Client, &[("http.request.method", "GET")]),
        ("internal", SpanKind::Internal, &[("http.request.method", "GET")]),
        ("redis.query", SpanKind::Client, &[("db.system", "Redis")]),
        ("postgresql.query", SpanKind::Client, &[("db.system.name", "postgresql")]),
        ("server.request", SpanKind::Server, &[("db.system", "Redis")]),
        ("kafka.receive", SpanKind::Client, &[("messaging.system", "Kafka"), ("messaging.operation", "Receive")]),
        ("kafka.receive", SpanKind::Server, &[("messaging.system", "Kafka"), ("messaging.operation", "Receive")]),
        ("kafka.receive", SpanKind::Producer, &[("messaging.system", "Kafka"), ("messaging.operation", "Receive")]),
        ("kafka.receive", SpanKind::Consumer, &[("messaging.system", "Kafka"), ("messaging.operation", "Receive")]),
        ("consumer", SpanKind::Consumer, &[("messaging.system", "Kafka")]),
        ("aws.s3.request", SpanKind::Client, &[("rpc.system", "aws-api"), ("rpc.service", "S3")]),
        ("aws.client.request", SpanKind::Client, &[("rpc.system", "aws-api")]),
        ("grpc.client.request", SpanKind::Client, &[("rpc.system", "GRPC")]),
        ("grpc.server.request", SpanKind::Server, &[("rpc.system", "GRPC")]),
        ("aws.my-function.invoke", SpanKind::Client, &[("faas.invoked_provider", "aws"), ("faas.invoked_name", "My-Function")]),
        ("client.request", SpanKind::Client, &[("faas.invoked_provider", "aws")]),
        ("datasource.invoke", SpanKind::Server, &[("faas.trigger", "Datasource")]),
        ("graphql.server.request", SpanKind::Server, &[("graphql.operation.type", "query")]),
        ("amqp.server.request", SpanKind::Server, &[("network.protocol.name", "Amqp")]),
        ("amqp.client.request", SpanKind::Client, &[("network.protocol.name", "Amqp")]),
        ("server.request", SpanKind::Server, &[]),
        ("client.request", SpanKind::Client, &[]),
        ("internal", SpanKind::Internal, &[]),
        ("consumer", SpanKind::Consumer, &[]),
        ("producer", SpanKind::Producer, &[]),
    ];

    #[test]
    fn kind_and_attributes_name_the_operation() {
        for (expected, kind, attributes) in CASES {
            let mut operation = Operation::new(kind.clone());
            for (key, value) in *attributes {
                assert!(operation.note(key, &Value::from(*value)), "{key}");
            }
            assert_eq!(operation.name(), *expected, "{kind:?} {attributes:?}");
        }
    }

    #[test]
    fn other_attributes_and_a_given_name_ask_for_no_new_one() {
        let mut operation = Operation::new(SpanKind::Client);
        assert!(!operation.note("http.route", &Value::from("/")));
        operation.give();
        assert!(!operation.note("db.system", &Value::from("redis")));
    }
}
