//! Every way to run a command, on a real Redis.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ddtrace_core::test_support::Recorder;
use ddtrace_redis::Traced;
use futures_util::StreamExt as _;
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands as _, AsyncConnectionConfig, Client, Commands as _, RedisResult};

#[allow(dead_code, unreachable_pub, reason = "written for a crate of its own")]
#[path = "../../../tests/src/service.rs"]
mod service;

/// A key that no other test uses.
fn key() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("ddtrace:{}:{next}", std::process::id())
}

fn client() -> Option<Client> {
    let url = service::named("REDIS_URL")?;
    Some(Client::open(url).unwrap())
}

/// Without the library's time limits, which a loaded machine may not keep.
fn patient() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
}

async fn connection() -> Option<Traced<MultiplexedConnection>> {
    let client = client()?;
    let connection = client
        .get_multiplexed_async_connection_with_config(&patient())
        .await
        .unwrap();
    Some(Traced::new(connection, client.get_connection_info()))
}

#[tokio::test]
async fn a_command_is_described_as_the_table_says() {
    let (Some(mut connection), Some(client)) = (connection().await, client()) else {
        return;
    };
    let recorder = Recorder::new();
    let key = key();
    let () = connection.set(&key, "a kettle").await.unwrap();
    let span = recorder.take_only();
    assert_eq!(span.name, "redis.command");
    assert_eq!(span.resource, "SET");
    assert_eq!(span.span_type, "redis");
    assert_eq!(span.service, "redis");
    assert!(!span.error);
    assert_eq!(span.metric("redis.args_length"), Some(3.0));
    assert_eq!(span.metric("_dd.measured"), Some(1.0));
    assert_eq!(span.metric("out.redis_db"), Some(0.0));
    assert_eq!(span.metric("db.row_count"), None);
    let redis::ConnectionAddr::Tcp(host, port) = client.get_connection_info().addr() else {
        unreachable!("the server of the tests listens on loopback");
    };
    assert_eq!(
        span.metric("network.destination.port"),
        Some(f64::from(*port))
    );
    let raw = format!("SET {key} a kettle");
    let expected = [
        ("db.system", Some("redis")),
        ("redis.raw_command", Some(&*raw)),
        ("out.host", Some(&**host)),
        ("server.address", Some(&**host)),
        ("component", Some("redis")),
        ("span.kind", Some("client")),
        ("_dd.svc_src", Some("redis")),
    ];
    for (tag, value) in expected {
        assert_eq!(span.meta(tag), value, "{tag}");
    }
}

#[tokio::test]
async fn rows_are_counted_for_commands_that_read() {
    let Some(mut connection) = connection().await else {
        return;
    };
    let recorder = Recorder::new();
    let (text, list, hash, none) = (key(), key(), key(), key());
    let () = connection.set(&text, "x").await.unwrap();
    let () = connection.rpush(&list, &["a", "b"]).await.unwrap();
    let () = connection.hset(&hash, "f", 1).await.unwrap();
    recorder.take();
    let cases: [(&[&str], Option<f64>); 9] = [
        (&["GET", &text], Some(1.0)),
        (&["GET", &none], Some(0.0)),
        (&["MGET", &text, &none, &text], Some(2.0)),
        (&["HMGET", &hash, "f", "g"], Some(1.0)),
        (&["HMGET", &hash, "g", "h"], Some(0.0)),
        (&["LRANGE", &list, "0", "-1"], Some(1.0)),
        (&["LRANGE", &none, "0", "-1"], Some(0.0)),
        (&["HGETALL", &hash], Some(1.0)),
        (&["EXISTS", &text], None),
    ];
    for (command, expected) in cases {
        let mut built = redis::cmd(command[0]);
        built.arg(&command[1..]);
        let _: redis::Value = built.query_async(&mut connection).await.unwrap();
        assert_eq!(
            recorder.take_only().metric("db.row_count"),
            expected,
            "{command:?}"
        );
    }
    // An error is no row.
    let wrong: RedisResult<String> = connection.get(&list).await;
    wrong.unwrap_err();
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(0.0));
}

#[tokio::test]
async fn pipelines_are_one_span() {
    let Some(mut connection) = connection().await else {
        return;
    };
    let recorder = Recorder::new();
    let key = key();
    for atomic in [false, true] {
        // I18
        let mut pipeline = redis::pipe();
        if atomic {
            pipeline.atomic();
        }
        pipeline.set(&key, 1).ignore().incr(&key, 1).get(&key);
        let (two, text): (i64, String) = pipeline.query_async(&mut connection).await.unwrap();
        assert_eq!((two, &*text), (2, "2"));
        let span = recorder.take_only();
        assert_eq!(span.name, "redis.command");
        assert_eq!(span.resource, "SET\nINCRBY\nGET");
        let raw = format!("SET {key} 1\nINCRBY {key} 1\nGET {key}");
        assert_eq!(span.meta("redis.raw_command"), Some(&*raw));
        assert_eq!(span.metric("redis.pipeline_length"), Some(3.0));
        assert_eq!(span.metric("redis.args_length"), None);
        assert!(!span.error);

        // One command of several fails.
        let mut pipeline = redis::pipe();
        if atomic {
            pipeline.atomic();
        }
        pipeline.set(&key, "text").incr(&key, 1);
        let failed: RedisResult<redis::Value> = pipeline.query_async(&mut connection).await;
        let error = failed.unwrap_err();
        let span = recorder.take_only();
        assert!(span.error);
        assert_eq!(span.meta("error.type"), Some("ERR"), "{error}");
        let message = span.meta("error.message").unwrap();
        assert!(message.contains("not an integer"), "{message}");
    }
}

#[tokio::test]
async fn transactions_scripts_and_scans_go_through_the_wrapper() {
    let Some(connection) = connection().await else {
        return;
    };
    let recorder = Recorder::new();
    let key = key();
    let watched = key.clone();
    let one: i64 = redis::aio::transaction_async(
        connection.clone(),
        &[&key],
        |mut connection, mut pipeline| {
            let watched = watched.clone();
            async move {
                let (one,): (i64,) = pipeline
                    .incr(&watched, 1)
                    .query_async(&mut connection)
                    .await?;
                Ok(Some(one))
            }
        },
    )
    .await
    .unwrap();
    assert_eq!(one, 1);
    let resources: Vec<_> = recorder
        .take()
        .into_iter()
        .map(|span| span.resource)
        .collect();
    assert_eq!(resources, ["WATCH", "INCRBY", "UNWATCH"]);

    let mut connection = connection;
    let script = redis::Script::new("return ARGV[1]");
    let echoed: String = script
        .arg("hello")
        .invoke_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(echoed, "hello");
    let spans = recorder.take();
    let last = spans.last().unwrap();
    assert_eq!(last.resource, "EVALSHA");
    assert!(!last.error);

    let mut found = connection.scan_match::<_, String>(&key).await.unwrap();
    let mut names = Vec::new();
    while let Some(name) = found.next().await {
        names.push(name.unwrap());
    }
    drop(found);
    assert_eq!(names, [&*key]);
    let spans = recorder.take();
    assert!(!spans.is_empty());
    assert!(
        spans.iter().all(|span| span.resource == "SCAN"),
        "{spans:#?}"
    );
    let raw = spans[0].meta("redis.raw_command").unwrap();
    assert!(raw.starts_with("SCAN 0 MATCH"), "{raw}");
}

#[tokio::test]
async fn blocking_connections_are_described_in_the_same_way() {
    let Some(client) = client() else {
        return;
    };
    let recorder = Recorder::new();
    let mut connection = Traced::new(
        client.get_connection().unwrap(),
        client.get_connection_info(),
    );
    let key = key();
    let () = connection.set(&key, "a kettle").unwrap();
    let span = recorder.take_only();
    assert_eq!(span.resource, "SET");
    let raw = format!("SET {key} a kettle");
    assert_eq!(span.meta("redis.raw_command"), Some(&*raw));
    assert_eq!(span.metric("redis.args_length"), Some(3.0));
    let found: String = connection.get(&key).unwrap();
    assert_eq!(found, "a kettle");
    assert_eq!(recorder.take_only().metric("db.row_count"), Some(1.0));

    for atomic in [false, true] {
        let mut pipeline = redis::pipe();
        if atomic {
            pipeline.atomic();
        }
        pipeline.set(&key, 1).ignore().incr(&key, 1).get(&key);
        let (two, text): (i64, String) = pipeline.query(&mut connection).unwrap();
        assert_eq!((two, &*text), (2, "2"));
        let span = recorder.take_only();
        assert_eq!(span.resource, "SET\nINCRBY\nGET");
        let raw = format!("SET {key} 1\nINCRBY {key} 1\nGET {key}");
        assert_eq!(span.meta("redis.raw_command"), Some(&*raw));
        assert_eq!(span.metric("redis.pipeline_length"), Some(3.0));
    }

    let wrong: RedisResult<Vec<String>> = connection.lrange(&key, 0, -1);
    let error = wrong.unwrap_err();
    assert_eq!(error.code(), Some("WRONGTYPE"));
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.meta("error.type"), Some("WRONGTYPE"));
    let packed = redis::cmd("PING").get_packed_command();
    redis::ConnectionLike::req_packed_command(&mut connection, &packed).unwrap();
    assert_eq!(recorder.take_only().resource, "PING");
}

#[tokio::test]
async fn secrets_are_hidden_and_arguments_shown_as_the_user_wants() {
    let Some(connection) = connection().await else {
        return;
    };
    type Case = (
        &'static [(&'static str, &'static str)],
        &'static [&'static str],
        &'static str,
        &'static str,
    );
    let cases: [Case; 5] = [
        (&[], &["AUTH", "no-secret-at-all"], "AUTH", "AUTH ?"),
        (
            &[("DD_REDIS_RESOURCE_ONLY_COMMAND", "false")],
            &["AUTH", "no-secret-at-all"],
            "AUTH ?",
            "AUTH ?",
        ),
        (
            &[("DD_REDIS_RESOURCE_ONLY_COMMAND", "false")],
            &["EXISTS", "kettle"],
            "EXISTS kettle",
            "EXISTS kettle",
        ),
        (
            &[("DD_REDIS_CMD_MAX_LENGTH", "8")],
            &["EXISTS", "kettle"],
            "EXISTS",
            "EXISTS ke...",
        ),
        (
            &[],
            &["CONFIG", "SET", "maxmemory-samples", "5"],
            "CONFIG",
            "CONFIG SET maxmemory-samples ?",
        ),
    ];
    for (variables, command, resource, raw) in cases {
        let recorder = Recorder::with_variables(variables);
        let mut connection = connection.clone();
        let mut built = redis::cmd(command[0]);
        built.arg(&command[1..]);
        let _: RedisResult<redis::Value> = built.query_async(&mut connection).await;
        let span = recorder.take_only();
        assert_eq!(span.resource, resource);
        assert_eq!(span.meta("redis.raw_command"), Some(raw));
        assert!(!format!("{span:?}").contains("no-secret"), "{span:#?}");
    }
}

#[tokio::test]
async fn settings_name_the_service_or_switch_it_off() {
    let Some(connection) = connection().await else {
        return;
    };
    type Case = (
        &'static [(&'static str, &'static str)],
        Option<(&'static str, &'static str)>,
    );
    let cases: [Case; 4] = [
        (
            &[("DD_REDIS_SERVICE", "cache")],
            Some(("redis.command", "cache")),
        ),
        (
            &[("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1")],
            Some(("redis.command", "test")),
        ),
        (&[("DD_TRACE_REDIS_ENABLED", "false")], None),
        (&[("DD_TRACE_ENABLED", "false")], None),
    ];
    for (variables, expected) in cases {
        let recorder = Recorder::with_variables(variables);
        let mut connection = connection.clone();
        let _: String = connection.ping().await.unwrap();
        let spans = recorder.take();
        let found = spans.first();
        let found = found.map(|span| (span.name.as_str(), span.service.as_str()));
        assert_eq!(found, expected, "{variables:?}");
    }
}

#[tokio::test]
async fn subscriptions_are_commands_and_messages_arrive() {
    let (Some(mut connection), Some(client)) = (connection().await, client()) else {
        return;
    };
    let recorder = Recorder::new();
    let channel = key();
    let pubsub = client.get_async_pubsub().await.unwrap();
    let mut pubsub = Traced::new(pubsub, client.get_connection_info());
    pubsub.subscribe(&channel).await.unwrap();
    let span = recorder.take_only();
    assert_eq!(span.resource, "SUBSCRIBE");
    let raw = format!("SUBSCRIBE {channel}");
    assert_eq!(span.meta("redis.raw_command"), Some(&*raw));
    let receivers: i64 = connection.publish(&channel, "hot").await.unwrap();
    assert_eq!(receivers, 1);
    assert_eq!(recorder.take_only().resource, "PUBLISH");
    let message = pubsub.inner_mut().on_message().next().await.unwrap();
    assert_eq!(message.get_payload::<String>().unwrap(), "hot");
    pubsub.unsubscribe(&channel).await.unwrap();
    assert_eq!(recorder.take_only().resource, "UNSUBSCRIBE");

    // A connection that speaks the older protocol cannot subscribe, and says so.
    let error = connection.subscribe(&channel).await.unwrap_err();
    let span = recorder.take_only();
    assert!(span.error, "{error}");
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
}

#[tokio::test]
async fn connection_managers_are_connections_too() {
    let Some(client) = client() else {
        return;
    };
    let recorder = Recorder::new();
    let config = redis::aio::ConnectionManagerConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let manager = client
        .get_connection_manager_with_config(config)
        .await
        .unwrap();
    let mut manager = Traced::new(manager, client.get_connection_info());
    let _: String = manager.ping().await.unwrap();
    assert_eq!(recorder.take_only().resource, "PING");
}

#[tokio::test]
async fn commands_that_time_out_or_are_given_up_end_their_spans_once() {
    let Some(client) = client() else {
        return;
    };
    let recorder = Recorder::new();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(Some(Duration::from_millis(20)));
    let connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .unwrap();
    let mut connection = Traced::new(connection, client.get_connection_info());
    let waited: RedisResult<redis::Value> = connection.blpop(key(), 600.0).await;
    let error = waited.unwrap_err();
    assert!(error.is_timeout(), "{error}");
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.meta("error.type"), Some("timeout"));
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));

    let Some(mut connection) = self::connection().await else {
        return;
    };
    let name = key();
    let mut waiting = Box::pin(connection.blpop::<_, redis::Value>(&name, 600.0));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    drop(waiting);
    let span = recorder.take_only();
    assert_eq!(span.resource, "BLPOP");
    assert!(!span.error, "giving up is no error of the server");
}

#[tokio::test]
async fn a_connection_that_the_server_ends_in_mid_command_ends_the_span_with_that_error() {
    let (Some(mut connection), Some(mut other)) = (connection().await, connection().await) else {
        return;
    };
    let id: i64 = redis::cmd("CLIENT")
        .arg("ID")
        .query_async(connection.inner_mut())
        .await
        .unwrap();
    let recorder = Recorder::new();
    let name = key();
    let waiting = connection.blpop::<_, redis::Value>(&name, 600.0);
    let kill = async {
        loop {
            let clients: String = redis::cmd("CLIENT")
                .arg("LIST")
                .arg("ID")
                .arg(id)
                .query_async(other.inner_mut())
                .await
                .unwrap();
            // `b`: it waits for something that blocks.
            if clients.contains("cmd=blpop") && clients.contains("flags=b") {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _: i64 = redis::cmd("CLIENT")
            .arg("KILL")
            .arg("ID")
            .arg(id)
            .query_async(other.inner_mut())
            .await
            .unwrap();
    };
    let (answer, ()) = tokio::join!(waiting, kill);
    let error = answer.unwrap_err();
    assert!(error.is_connection_dropped(), "{error}");
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.meta("error.type"), Some("connection_dropped"));
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
}
