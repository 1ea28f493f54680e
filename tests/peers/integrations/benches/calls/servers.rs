//! The servers that this program brings along, in the parent's process: what they do is in no tracer's bill.

use crate::subjects::kafka::{PAYLOAD, RECEIVED, SENT};
use crate::{HELLO, KAFKA, POSTGRES, REDIS};
use axum::Router;
use axum::routing::get;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};
use std::env;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// Messages that can be read: librdkafka's mock keeps five megabytes of a topic.
pub(crate) const MESSAGES: u32 = 11_000;

/// Servers, each started when the first subject needs it.
#[derive(Default)]
pub(crate) struct Servers {
    hello: Option<(Runtime, String)>,
    kafka: Option<(MockCluster<'static, DefaultProducerContext>, String)>,
}

impl Servers {
    /// The value of a variable that a subject needs; `None` if nobody has started that server.
    pub(crate) fn of(&mut self, variable: &str) -> Option<String> {
        match variable {
            HELLO => Some(self.hello.get_or_insert_with(hello).1.clone()),
            KAFKA => Some(self.kafka.get_or_insert_with(kafka).1.clone()),
            POSTGRES | REDIS => env::var(variable).ok(),
            other => panic!("nobody needs {other}"),
        }
    }
}

fn hello() -> (Runtime, String) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"));
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let router = Router::new().route("/hello", get(async || "hello, world"));
    runtime.spawn(async { axum::serve(listener, router).await });
    (runtime, format!("http://{address}/hello"))
}

fn kafka() -> (MockCluster<'static, DefaultProducerContext>, String) {
    let cluster = MockCluster::new(1).expect("a cluster");
    for topic in [SENT, RECEIVED] {
        cluster.create_topic(topic, 1, 1).expect("a topic");
    }
    let servers = cluster.bootstrap_servers();
    let mut config = ClientConfig::new();
    let producer: BaseProducer = config
        .set("bootstrap.servers", &servers)
        .create()
        .expect("a producer");
    // What a producer with a tracer writes.
    let headers = [
        ("x-datadog-trace-id", "9532127138774266268"),
        ("x-datadog-parent-id", "13235353014750950193"),
        ("x-datadog-sampling-priority", "1"),
        ("x-datadog-tags", "_dd.p.tid=0af7651916cd43dd,_dd.p.dm=-0"),
        (
            "traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("tracestate", "dd=s:1;t.dm:-0;p:b7ad6b7169203331"),
    ];
    let headers = headers
        .iter()
        .fold(OwnedHeaders::new(), |all, &(key, value)| {
            all.insert(Header {
                key,
                value: Some(value),
            })
        });
    for _ in 0..MESSAGES {
        let record = BaseRecord::to(RECEIVED)
            .partition(0)
            .key("key")
            .payload(PAYLOAD)
            .headers(headers.clone());
        assert!(
            producer.send(record).is_ok(),
            "the queue has room for them all"
        );
    }
    producer
        .flush(Duration::from_secs(60))
        .expect("the mock cluster takes them");
    (cluster, servers)
}
