//! One order through everything: axum → reqwest → axum → sqlx → rdkafka → a consumer → redis → tonic, and one trace.
//!
//! PostgreSQL and Redis are real, the brokers are those that librdkafka plays itself unless `KAFKA_BROKERS` names real ones, all of it over sockets.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use codec::Text;
use ddtrace::rdkafka::{FutureProducer, ProcessSpan as _, StreamConsumer};
use ddtrace::reqwest::RequestBuilderExt as _;
use ddtrace::sqlx::Traced;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_tests::kafka::Brokers;
use ddtrace_tests::service;
use rdkafka::consumer::Consumer as _;
use rdkafka::producer::FutureRecord;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use redis::AsyncCommands as _;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};
use tower::{Service, service_fn};

#[path = "../../integrations/tonic/tests/codec/mod.rs"]
mod codec;

const PATIENCE: Duration = Duration::from_secs(60);

/// Fetches parcels; what generated code would be.
#[derive(Clone)]
struct Carrier;

impl NamedService for Carrier {
    const NAME: &'static str = "post.v1.Carrier";
}

impl Service<http::Request<Body>> for Carrier {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let fetch = |request: Request<String>| async move {
            Ok::<_, Status>(Response::new(format!("fetched {}", request.get_ref())))
        };
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Text);
            Ok(grpc.unary(service_fn(fetch), request).await)
        })
    }
}

async fn serve_carrier() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serve = Server::builder()
        .layer(ddtrace::tonic::server::layer())
        .add_service(Carrier)
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(serve);
    address
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.layer(ddtrace::axum::layer());
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// What the warehouse works with.
#[derive(Clone)]
struct Warehouse {
    pool: Traced<PgPool>,
    producer: FutureProducer,
}

async fn pack(State(warehouse): State<Warehouse>) -> String {
    let id: i64 = sqlx::query_scalar("SELECT 41::int8 + $1")
        .bind(1_i64)
        .fetch_one(&warehouse.pool)
        .await
        .unwrap();
    let parcel = id.to_string();
    let record = FutureRecord::to("journey").key("k").payload(&parcel);
    warehouse.producer.send(record, PATIENCE).await.unwrap();
    parcel
}

/// Takes one parcel, counts it, and has it fetched.
async fn ship(
    consumer: StreamConsumer,
    mut redis: ddtrace::redis::Traced<redis::aio::MultiplexedConnection>,
    carrier: SocketAddr,
) -> String {
    let message = consumer.recv().await.unwrap();
    let work = async {
        let key = format!("ddtrace:journey:{}", std::process::id());
        let _: i64 = redis.incr(&key, 1).await.unwrap();
        let endpoint = Endpoint::from_shared(format!("http://{carrier}")).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let mut client = tonic::client::Grpc::new(ddtrace::tonic::client::trace(channel));
        client.ready().await.unwrap();
        let path = "/post.v1.Carrier/Fetch".parse().unwrap();
        let request = Request::new("parcel".to_owned());
        client
            .unary(request, path, Text)
            .await
            .unwrap()
            .into_inner()
    };
    ddtrace::instrument(message.process_span(), work).await
}

#[tokio::test]
async fn an_order_is_one_trace_from_the_shop_to_the_carrier() {
    let (Some(postgres), Some(redis)) = (
        service::named("DATABASE_URL_POSTGRES"),
        service::named("REDIS_URL"),
    ) else {
        return;
    };
    let brokers = Brokers::find();
    brokers.create_topic("journey", 1);
    let pool = Traced::new(PgPool::connect(&postgres).await.unwrap());
    let client = redis::Client::open(redis).unwrap();
    let config = redis::AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let redis = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap();
    let redis = ddtrace::redis::Traced::new(redis, client.get_connection_info());
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers.servers())
        .create()
        .unwrap();
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers.servers())
        .set("group.id", "shipping")
        .create()
        .unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset("journey", 0, Offset::Beginning)
        .unwrap();
    consumer.assign(&from).unwrap();

    let recorder = Recorder::new();
    let carrier = serve_carrier().await;
    let shipping = tokio::spawn(ship(consumer, redis, carrier));
    let warehouse = serve(
        Router::new()
            .route("/pack", get(pack))
            .with_state(Warehouse { pool, producer }),
    )
    .await;
    let shop = serve(Router::new().route(
        "/order",
        get(async move || {
            let request = reqwest::Client::new().get(format!("http://{warehouse}/pack"));
            request.send_traced().await.unwrap().text().await.unwrap()
        }),
    ))
    .await;

    let order = reqwest::get(format!("http://{shop}/order")).await.unwrap();
    assert_eq!(order.text().await.unwrap(), "42");
    let fetched = tokio::time::timeout(PATIENCE, shipping)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fetched, "fetched parcel");

    // Servers learn of the end of a response after their clients do.
    let mut spans: Vec<SpanData> = Vec::new();
    let steps = [
        ("axum.request", "GET /order"),
        ("reqwest.request", "GET /pack"),
        ("axum.request", "GET /pack"),
        ("kafka.produce", "kafka.produce"),
        ("kafka.process", "kafka.process"),
        ("grpc", "/post.v1.Carrier/Fetch"),
        ("grpc", "/post.v1.Carrier/Fetch"),
    ];
    let beside = ["postgres.query", "kafka.consume", "redis.command"];
    let collect = async {
        while spans.len() < steps.len() + beside.len() {
            spans.extend(recorder.take());
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, collect).await;
    assert!(in_time.is_ok(), "{spans:#?}");

    let trace = spans[0].trace_id;
    for span in &spans {
        assert_eq!(span.trace_id, trace, "{span:#?}");
        assert!(!span.error, "{span:#?}");
    }
    let children = |parent: u64, name: &str| -> Vec<&SpanData> {
        let is_child = |span: &&SpanData| span.parent_id == parent && span.name == name;
        spans.iter().filter(is_child).collect()
    };
    let mut parent = 0;
    let mut found = Vec::new();
    for (name, resource) in steps {
        let next = children(parent, name);
        assert_eq!(next.len(), 1, "{name} below {parent}: {spans:#?}");
        assert_eq!(next[0].resource, resource);
        parent = next[0].span_id;
        found.push(next[0]);
    }
    for (name, parent) in beside.into_iter().zip([found[2], found[3], found[4]]) {
        let next = children(parent.span_id, name);
        assert_eq!(next.len(), 1, "{name} below {}: {spans:#?}", parent.name);
    }
    assert_eq!(spans.len(), steps.len() + beside.len(), "{spans:#?}");
}
