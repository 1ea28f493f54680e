//! Bad weather over a real Redis: servers that go away or refuse, transactions that are thrown away, subscriptions, streams that
//! nobody reads to their end. The library's error arrives as it is, and every span ends once, with that error.

use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::{Site, Span};
use ddtrace_redis::Traced;
use futures_util::StreamExt as _;
use redis::aio::{ConnectionManagerConfig, MultiplexedConnection};
use redis::{
    AsyncCommands as _, AsyncConnectionConfig, Client, Commands as _, ConnectionAddr, PushKind,
    RedisResult, Value,
};

#[allow(dead_code, unreachable_pub, reason = "written for a crate of its own")]
#[path = "../../../tests/src/service.rs"]
mod service;

#[allow(dead_code, unreachable_pub, reason = "written for a crate of its own")]
#[path = "../../../tests/src/proxy.rs"]
mod proxy;

ddtrace_core::site! {
    static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!());
}

fn client() -> Option<Client> {
    Some(Client::open(service::named("REDIS_URL")?).unwrap())
}

/// The server behind a proxy.
fn behind(client: &Client) -> (proxy::Proxy, Client) {
    let ConnectionAddr::Tcp(host, port) = client.get_connection_info().addr() else {
        unreachable!("the server of the tests listens on loopback");
    };
    let proxy = proxy::Proxy::to((&**host, *port));
    let behind = Client::open(format!("redis://{}/", proxy.address())).unwrap();
    (proxy, behind)
}

/// Without the library's time limits, which a loaded machine may not keep.
fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
}

async fn connect(client: &Client) -> Traced<MultiplexedConnection> {
    let patient = patient();
    let connection = client.get_multiplexed_async_connection_with_config(&patient);
    Traced::new(connection.await.unwrap(), client.get_connection_info())
}

/// A key that no other run uses.
fn key(name: &str) -> String {
    format!("ddtrace:weather:{}:{name}", std::process::id())
}

/// Waits until a client that is called like this waits for something that blocks.
fn blocked(name: &str, other: &mut redis::Connection) {
    loop {
        let clients: String = redis::cmd("CLIENT").arg("LIST").query(other).unwrap();
        let mut clients = clients.lines();
        if clients.any(|client| client.contains(name) && client.contains("flags=b")) {
            return;
        }
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn a_server_that_goes_away_in_mid_command_ends_the_span_with_the_librarys_error() {
    let Some(client) = client() else {
        return;
    };
    let (proxy, behind) = behind(&client);
    let mut connection = connect(&behind).await;
    let name = key("multiplexed");
    let call = redis::cmd("CLIENT").arg("SETNAME").arg(&name).to_owned();
    let () = call.query_async(connection.inner_mut()).await.unwrap();
    let recorder = Recorder::new();
    for pipelined in [false, true] {
        let cut = tokio::task::spawn_blocking({
            let (mut other, name) = (client.get_connection().unwrap(), name.clone());
            move || blocked(&name, &mut other)
        });
        let mut waiting = connection.clone();
        let (answer, ()) = tokio::join!(
            async {
                if pipelined {
                    let mut pipeline = redis::pipe();
                    pipeline.set(&name, 1).blpop(key("none"), 600.0);
                    pipeline.query_async::<Value>(&mut waiting).await
                } else {
                    waiting.blpop::<_, Value>(key("none"), 600.0).await
                }
            },
            async {
                cut.await.unwrap();
                proxy.cut();
            }
        );
        let error = answer.unwrap_err();
        assert!(error.is_connection_dropped(), "{error:?}");
        let span = recorder.take_only();
        assert!(span.error);
        assert_eq!(
            span.resource,
            if pipelined { "SET\nBLPOP" } else { "BLPOP" }
        );
        assert_eq!(span.meta("error.type"), Some("connection_dropped"));
        assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
        // The connection is gone for good, and says so as the library says it.
        let bare: RedisResult<Value> = call.query_async(connection.inner_mut()).await;
        let answer: RedisResult<Value> = call.query_async(&mut connection).await;
        let (bare, error) = (bare.unwrap_err(), answer.unwrap_err());
        assert_eq!(error.to_string(), bare.to_string());
        let span = recorder.take_only();
        assert_eq!(span.meta("error.message"), Some(&*error.to_string()));

        connection = connect(&behind).await;
        let () = call.query_async(connection.inner_mut()).await.unwrap();
    }
    let _: usize = connection.del(&name).await.unwrap();
}

#[test]
fn a_blocking_connection_that_is_cut_ends_its_span_with_the_librarys_error() {
    let Some(client) = client() else {
        return;
    };
    let (proxy, behind) = behind(&client);
    let recorder = Recorder::new();
    let name = key("blocking");
    let connection = behind.get_connection().unwrap();
    let mut connection = Traced::new(connection, behind.get_connection_info());
    let call = redis::cmd("CLIENT").arg("SETNAME").arg(&name).to_owned();
    let () = call.query(connection.inner_mut()).unwrap();
    let mut other = client.get_connection().unwrap();
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            blocked(&name, &mut other);
            proxy.cut();
        });
        let answer: RedisResult<Value> = connection.blpop(key("none"), 600.0);
        answer.unwrap_err()
    });
    assert!(error.is_connection_dropped(), "{error:?}");
    let span = recorder.take_only();
    assert_eq!(span.resource, "BLPOP");
    assert_eq!(span.meta("error.type"), Some("connection_dropped"));
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
    assert!(!redis::ConnectionLike::is_open(&connection));
}

#[tokio::test]
async fn a_manager_whose_server_refuses_says_so_and_recovers_from_a_cut() {
    let Some(client) = client() else {
        return;
    };
    let config = || {
        ConnectionManagerConfig::new()
            .set_number_of_retries(0)
            .set_connection_timeout(None)
            .set_response_timeout(None)
    };
    let recorder = Recorder::new();
    let closed = proxy::Closed::new();
    let away = Client::open(format!("redis://127.0.0.1:{}/", closed.port())).unwrap();
    let manager = || away.get_connection_manager_lazy(config()).unwrap();
    let bare: RedisResult<Value> = redis::cmd("PING").query_async(&mut manager()).await;
    let mut manager = Traced::new(manager(), away.get_connection_info());
    let answer: RedisResult<Value> = redis::cmd("PING").query_async(&mut manager).await;
    let (bare, error) = (bare.unwrap_err(), answer.unwrap_err());
    assert!(error.is_connection_refusal(), "{error:?}");
    assert_eq!(error.to_string(), bare.to_string());
    let span = recorder.take_only();
    assert_eq!(span.meta("error.type"), Some("connection_refused"));
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));

    let (proxy, behind) = behind(&client);
    let manager = behind.get_connection_manager_with_config(config()).await;
    let mut manager = Traced::new(manager.unwrap(), behind.get_connection_info());
    let _: String = manager.ping().await.unwrap();
    assert!(!recorder.take_only().error);
    proxy.cut();
    // However many commands it takes to notice, each has one span that says how it ended.
    loop {
        let answer: RedisResult<String> = manager.ping().await;
        let span = recorder.take_only();
        assert_eq!(span.error, answer.is_err(), "{answer:?}");
        match answer {
            Ok(_) => break,
            Err(error) => {
                assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
            }
        }
    }
}

#[tokio::test]
async fn transactions_that_are_thrown_away_say_so_and_those_that_lose_a_race_do_not() {
    let Some(client) = client() else {
        return;
    };
    let (mut connection, mut other) = (connect(&client).await, connect(&client).await);
    let recorder = Recorder::new();
    let raced = key("raced");
    // A command that the server does not even queue.
    let mut pipeline = redis::pipe();
    pipeline.atomic().set(&raced, 1).cmd("SET").arg(&raced);
    let bare: RedisResult<Value> = pipeline.query_async(connection.inner_mut()).await;
    let answer: RedisResult<Value> = pipeline.query_async(&mut connection).await;
    let (bare, error) = (bare.unwrap_err(), answer.unwrap_err());
    assert_eq!(error.to_string(), bare.to_string());
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.resource, "SET\nSET");
    assert_eq!(span.meta("error.type"), error.code());
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));

    let watch = redis::cmd("WATCH").arg(&raced).to_owned();
    let () = watch.query_async(&mut connection).await.unwrap();
    let () = other.set(&raced, 2).await.unwrap();
    recorder.take();
    let mut pipeline = redis::pipe();
    pipeline.atomic().set(&raced, 3);
    let answer: Option<Value> = pipeline.query_async(&mut connection).await.unwrap();
    assert_eq!(answer, None);
    assert!(
        !recorder.take_only().error,
        "a race that is lost is an answer"
    );
    let _: usize = other.del(&raced).await.unwrap();
}

#[tokio::test]
async fn commands_and_streams_that_are_left_end_their_spans_once() {
    let Some(client) = client() else {
        return;
    };
    let mut connection = connect(&client).await;
    let keys: Vec<_> = (0..50).map(|n| key(&format!("scanned:{n}"))).collect();
    for key in &keys {
        let () = connection.set(key, 1).await.unwrap();
    }
    let recorder = Recorder::new();
    let mut pipeline = redis::pipe();
    pipeline.ping().blpop(key("none"), 600.0);
    let mut waiting = connect(&client).await;
    recorder.take();
    let mut left = Box::pin(pipeline.query_async::<Value>(&mut waiting));
    assert!(futures_util::poll!(&mut left).is_pending());
    drop(left);
    let span = recorder.take_only();
    assert_eq!(span.resource, "PING\nBLPOP");
    assert!(!span.error);

    let mut scan = connection
        .scan_match::<_, String>(key("scanned:*"))
        .await
        .unwrap();
    scan.next().await.unwrap().unwrap();
    drop(scan);
    let spans = recorder.take();
    assert!(!spans.is_empty());
    let scans = |span: &ddtrace_core::export::SpanData| span.resource == "SCAN" && !span.error;
    assert!(spans.iter().all(scans), "{spans:#?}");
    // The connection is as good as before.
    let gone: usize = connection.del(&keys).await.unwrap();
    assert_eq!(gone, keys.len());
    assert_eq!(recorder.take_only().resource, "DEL");
}

#[tokio::test]
async fn subscriptions_keep_no_trace_open_and_messages_arrive() {
    let Some(client) = client() else {
        return;
    };
    let channel = key("channel");
    let recorder = Recorder::new();
    let mut publisher = connect(&client).await;

    // On a connection that runs commands meanwhile.
    let url = format!("{}?protocol=resp3", service::named("REDIS_URL").unwrap());
    let resp3 = Client::open(url).unwrap();
    let (sender, mut pushed) = tokio::sync::mpsc::unbounded_channel();
    let config = patient().set_push_sender(sender);
    let connection = resp3.get_multiplexed_async_connection_with_config(&config);
    let connection = connection.await.unwrap();
    let mut subscriber = Traced::new(connection, resp3.get_connection_info());
    let work = Span::start(&WORK);
    let subscribing = subscriber.subscribe(&channel);
    let subscribed = ddtrace_core::trace::instrument_with(work, subscribing, |_, _| {});
    subscribed.await.unwrap();
    let names: Vec<_> = recorder
        .take()
        .into_iter()
        .map(|span| span.resource)
        .collect();
    assert_eq!(names.len(), 2, "the trace is complete: {names:?}");
    assert!(names.contains(&"SUBSCRIBE".to_owned()));
    let receivers: i64 = publisher.publish(&channel, "hot").await.unwrap();
    assert_eq!(receivers, 1);
    let span = recorder.take_only();
    assert_eq!(span.resource, "PUBLISH");
    let raw = format!("PUBLISH {channel} hot");
    assert_eq!(span.meta("redis.raw_command"), Some(&*raw));
    let hot = Value::BulkString(b"hot".to_vec());
    loop {
        let push = pushed.recv().await.unwrap();
        if push.kind == PushKind::Message {
            assert_eq!(push.data.last(), Some(&hot));
            break;
        }
    }
    let _: String = subscriber.ping().await.unwrap();
    assert_eq!(recorder.take_only().resource, "PING");
    subscriber.unsubscribe(&channel).await.unwrap();
    assert_eq!(recorder.take_only().resource, "UNSUBSCRIBE");

    // On one that blocks.
    let connection = client.get_connection().unwrap();
    let mut subscriber = Traced::new(connection, client.get_connection_info());
    let mut pubsub = subscriber.inner_mut().as_pubsub();
    pubsub.subscribe(&channel).unwrap();
    let _: i64 = publisher.publish(&channel, "cold").await.unwrap();
    let message = pubsub.get_message().unwrap();
    assert_eq!(message.get_payload::<String>().unwrap(), "cold");
    drop(pubsub);
    assert_eq!(recorder.take_only().resource, "PUBLISH");
    let _: String = redis::cmd("PING").query(&mut subscriber).unwrap();
    assert_eq!(recorder.take_only().resource, "PING");
}
