//! Messages, and the requests that carry them (`spec/telemetry-and-remote-config.md` §2.2 and §2.3).

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

/// The most dependencies, or integrations, that one message may hold: the intake rejects more.
pub(super) const MAX_ITEMS: usize = 2000;

/// The size at which a request is full, in bytes; the intake takes 5 MB.
const FULL: usize = 4_000_000;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum RequestType {
    AppStarted,
    AppDependenciesLoaded,
    AppIntegrationsChange,
    AppClientConfigurationChange,
    AppProductChange,
    AppEndpoints,
    AppHeartbeat,
    AppExtendedHeartbeat,
    GenerateMetrics,
    Distributions,
    Logs,
    MessageBatch,
    AppClosing,
}

impl RequestType {
    /// The name on the wire.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::AppStarted => "app-started",
            Self::AppDependenciesLoaded => "app-dependencies-loaded",
            Self::AppIntegrationsChange => "app-integrations-change",
            Self::AppClientConfigurationChange => "app-client-configuration-change",
            Self::AppProductChange => "app-product-change",
            Self::AppEndpoints => "app-endpoints",
            Self::AppHeartbeat => "app-heartbeat",
            Self::AppExtendedHeartbeat => "app-extended-heartbeat",
            Self::GenerateMetrics => "generate-metrics",
            Self::Distributions => "distributions",
            Self::Logs => "logs",
            Self::MessageBatch => "message-batch",
            Self::AppClosing => "app-closing",
        }
    }
}

/// A message: what it is about, and its payload as JSON.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) kind: RequestType,
    payload: String,
}

impl Message {
    pub(super) fn new(kind: RequestType, payload: &impl Serialize) -> Self {
        // Fails for maps with keys that are no texts only, which no payload has.
        let payload = serde_json::to_string(payload).unwrap_or_else(|_| "{}".to_owned());
        Self { kind, payload }
    }

    pub(super) fn empty(kind: RequestType) -> Self {
        Self {
            kind,
            payload: "{}".to_owned(),
        }
    }
}

/// A request as it is sent, and sent again until it has arrived.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) kind: RequestType,
    pub(super) body: Bytes,
}

/// What every request says about the process.
#[derive(Clone, Debug)]
pub(super) struct Envelope {
    pub(super) runtime_id: String,
    pub(super) application: Value,
    pub(super) host: Value,
    pub(super) debug: bool,
}

impl Envelope {
    /// Takes as many messages from the front as fit into one request, and wraps them up: one alone, several as a batch.
    pub(super) fn wrap(
        &self,
        messages: &mut Vec<Message>,
        seq_id: u64,
        time: u64,
    ) -> Option<Request> {
        let mut size = 0;
        let fit = messages
            .iter()
            .take_while(|message| {
                let is_first = size == 0;
                size += message.payload.len() + 64;
                is_first || size <= FULL
            })
            .count();
        let taken: Vec<Message> = messages.drain(..fit).collect();
        let (kind, payload) = match taken.as_slice() {
            [] => return None,
            [alone] => (alone.kind, alone.payload.clone()),
            several => {
                let messages = several.iter().map(|message| {
                    let (kind, payload) = (message.kind.name(), &message.payload);
                    format!(r#"{{"request_type":"{kind}","payload":{payload}}}"#)
                });
                let messages: Vec<String> = messages.collect();
                (
                    RequestType::MessageBatch,
                    format!("[{}]", messages.join(",")),
                )
            }
        };
        let Self {
            runtime_id,
            application,
            host,
            debug,
        } = self;
        let name = kind.name();
        let debug = if *debug { r#""debug":true,"# } else { "" };
        let body = format!(
            r#"{{"api_version":"v2","request_type":"{name}","tracer_time":{time},"runtime_id":"{runtime_id}","seq_id":{seq_id},{debug}"application":{application},"host":{host},"payload":{payload}}}"#
        );
        Some(Request {
            kind,
            body: body.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            runtime_id: "r".to_owned(),
            application: json!({"service_name": "shop"}),
            host: json!({"hostname": "h"}),
            debug: false,
        }
    }

    fn read(request: &Request) -> Value {
        serde_json::from_slice(&request.body).unwrap()
    }

    #[test]
    fn one_message_goes_alone_and_several_as_a_batch() {
        let mut messages = vec![Message::empty(RequestType::AppHeartbeat)];
        let request = envelope().wrap(&mut messages, 3, 1_700_000_000).unwrap();
        assert_eq!(
            read(&request),
            json!({"api_version": "v2", "request_type": "app-heartbeat", "tracer_time": 1_700_000_000, "runtime_id": "r",
                "seq_id": 3, "application": {"service_name": "shop"}, "host": {"hostname": "h"}, "payload": {}})
        );
        assert!(envelope().wrap(&mut messages, 4, 0).is_none());

        let logs = json!({"logs": [{"message": "m", "level": "ERROR"}]});
        let mut messages = vec![
            Message::new(RequestType::Logs, &logs),
            Message::empty(RequestType::AppClosing),
        ];
        let request = envelope().wrap(&mut messages, 4, 0).unwrap();
        assert_eq!(request.kind, RequestType::MessageBatch);
        let body = read(&request);
        assert_eq!(body["request_type"], "message-batch");
        assert_eq!(
            body["payload"],
            json!([{"request_type": "logs", "payload": logs}, {"request_type": "app-closing", "payload": {}}])
        );
    }

    #[test]
    fn a_request_stays_below_the_limit_of_the_intake() {
        let big = json!("x".repeat(1_500_000));
        let mut messages = vec![Message::new(RequestType::Logs, &big); 5];
        let sizes: Vec<usize> = std::iter::from_fn(|| envelope().wrap(&mut messages, 1, 0))
            .map(|request| request.body.len())
            .collect();
        assert_eq!(sizes.len(), 3);
        assert!(sizes.iter().all(|size| *size < 5_000_000));
    }
}
