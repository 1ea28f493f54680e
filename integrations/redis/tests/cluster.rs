//! Connections to a real cluster of three nodes: a command has one span, wherever it goes and however often it is sent on.

use std::time::Duration;

use ddtrace_core::test_support::Recorder;
use ddtrace_redis::Traced;
use redis::cluster::{ClusterClient, ClusterClientBuilder, cluster_pipe};
use redis::cluster_routing::{RoutingInfo, SingleNodeRoutingInfo};
use redis::{
    AsyncCommands as _, Client, Commands as _, Connection, ConnectionInfo, IntoConnectionInfo as _,
    RedisResult, Value,
};
use tokio::sync::Mutex;

#[allow(dead_code, unreachable_pub, reason = "written for a crate of its own")]
#[path = "../../../tests/src/service.rs"]
mod service;

fn urls() -> Option<Vec<String>> {
    let urls = service::named("REDIS_CLUSTER_URLS")?;
    Some(urls.split(' ').map(str::to_owned).collect())
}

/// What a cluster is opened by, with time enough for a loaded machine, and the address of its first node.
fn builder() -> Option<(ClusterClientBuilder, ConnectionInfo)> {
    let urls = urls()?;
    let first = urls[0].as_str().into_connection_info().unwrap();
    let minute = Duration::from_secs(60);
    let builder = ClusterClient::builder(urls)
        .connection_timeout(minute)
        .response_timeout(minute);
    Some((builder, first))
}

type Async = Traced<redis::cluster_async::ClusterConnection>;
type Blocking = Traced<redis::cluster::ClusterConnection>;

async fn connections() -> Option<(Async, Blocking)> {
    let (builder, first) = builder()?;
    let client = builder.build().unwrap();
    let asynchronous = client.get_async_connection().await.unwrap();
    let blocking = client.get_connection().unwrap();
    Some((
        Traced::new(asynchronous, &first),
        Traced::new(blocking, &first),
    ))
}

/// One test at a time: slots change hands only while they are empty, and nodes count what all their clients do.
static TURN: Mutex<()> = Mutex::const_new(());

/// A key that no other run uses; what is in braces decides about its slot.
fn key(name: &str) -> String {
    format!("{{ddtrace:{}:{name}}}", std::process::id())
}

#[tokio::test]
async fn commands_have_one_span_each_on_whatever_node_they_run() {
    let _turn = TURN.lock().await;
    let Some((mut connection, mut blocking)) = connections().await else {
        return;
    };
    let (_, first) = builder().unwrap();
    let recorder = Recorder::new();
    // Enough to come to every node.
    let keys: Vec<_> = (0..60).map(|n| key(&n.to_string())).collect();
    for key in &keys {
        let () = connection.set(key, "a kettle").await.unwrap();
        let found: String = blocking.get(key).unwrap();
        assert_eq!(found, "a kettle");
        let spans = recorder.take();
        let found: Vec<_> = spans
            .iter()
            .map(|span| (span.resource.as_str(), span.metric("db.row_count")))
            .collect();
        assert_eq!(found, [("SET", None), ("GET", Some(1.0))]);
        for span in spans {
            let redis::ConnectionAddr::Tcp(host, port) = first.addr() else {
                unreachable!("the cluster of the tests listens on loopback");
            };
            assert!(!span.error);
            assert_eq!(span.meta("out.host"), Some(&**host));
            assert_eq!(span.metric("out.redis_db"), Some(0.0));
            let told = span.metric("network.destination.port");
            assert_eq!(told, Some(f64::from(*port)));
        }
    }
    // One that the library takes apart for the nodes.
    let all: Vec<String> = connection.mget(&keys).await.unwrap();
    assert_eq!(all.len(), keys.len());
    let span = recorder.take_only();
    assert_eq!(span.resource, "MGET");
    assert_eq!(span.metric("db.row_count"), Some(60.0));
    let gone: usize = blocking.del(&keys).unwrap();
    assert_eq!(gone, keys.len());
    assert_eq!(recorder.take_only().resource, "DEL");
}

#[tokio::test]
async fn pipelines_and_routed_commands_have_one_span_each() {
    let _turn = TURN.lock().await;
    let Some((mut connection, mut blocking)) = connections().await else {
        return;
    };
    let recorder = Recorder::new();
    let (one, other) = (key("one"), key("other"));
    for atomic in [false, true] {
        let mut pipeline = redis::pipe();
        if atomic {
            pipeline.atomic();
        }
        pipeline.set(&one, 1).ignore().incr(&one, 1);
        let (two,): (i64,) = pipeline.query_async(&mut connection).await.unwrap();
        assert_eq!(two, 2);
        let span = recorder.take_only();
        assert_eq!(span.resource, "SET\nINCRBY");
        assert_eq!(span.metric("redis.pipeline_length"), Some(2.0));
        assert!(!span.error);
    }

    // Slots of different nodes: only the pipeline of a cluster can do that.
    let mut pipeline = redis::pipe();
    pipeline.set(&one, 1).set(&other, 2);
    let bare: RedisResult<()> = pipeline.query_async(connection.inner_mut()).await;
    let answer: RedisResult<()> = pipeline.query_async(&mut connection).await;
    let (bare, error) = (bare.unwrap_err(), answer.unwrap_err());
    assert_eq!(error.to_string(), bare.to_string());
    let span = recorder.take_only();
    assert!(span.error);
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));

    let mut pipeline = cluster_pipe();
    pipeline
        .cmd("SET")
        .arg(&one)
        .arg(1)
        .ignore()
        .cmd("SET")
        .arg(&other)
        .arg(2)
        .ignore()
        .cmd("GET")
        .arg(&other);
    let (two,): (i64,) = blocking.query_pipeline(&pipeline).unwrap();
    assert_eq!(two, 2);
    let span = recorder.take_only();
    assert_eq!(span.resource, "SET\nSET\nGET");
    assert_eq!(span.metric("redis.pipeline_length"), Some(3.0));
    let raw = format!("SET {one} 1\nSET {other} 2\nGET {other}");
    assert_eq!(span.meta("redis.raw_command"), Some(&*raw));

    let mut refused = cluster_pipe();
    refused.cmd("KEYS").arg("*");
    let bare: RedisResult<()> = refused.query(blocking.inner_mut());
    let answer: RedisResult<()> = blocking.query_pipeline(&refused);
    let (bare, error) = (bare.unwrap_err(), answer.unwrap_err());
    assert_eq!(error.to_string(), bare.to_string());
    let span = recorder.take_only();
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));

    let anywhere = || RoutingInfo::SingleNode(SingleNodeRoutingInfo::Random);
    let ping = redis::cmd("PING");
    blocking.route_command(&ping, anywhere()).unwrap();
    assert_eq!(recorder.take_only().resource, "PING");
    connection.route_command(ping, anywhere()).await.unwrap();
    assert_eq!(recorder.take_only().resource, "PING");
    let _: usize = blocking.del(&[one, other]).unwrap();
}

/// A node of the cluster, reached by itself.
struct Node {
    connection: Connection,
    id: String,
}

impl Node {
    fn open(url: &str) -> Node {
        let mut connection = Client::open(url).unwrap().get_connection().unwrap();
        let id = redis::cmd("CLUSTER").arg("MYID").query(&mut connection);
        let id = id.unwrap();
        Node { connection, id }
    }

    fn owns(&mut self, key: &str) -> bool {
        let found: RedisResult<bool> = self.connection.exists(key);
        match found {
            Ok(_) => true,
            Err(error) if error.code() == Some("MOVED") => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// How often it has answered with this error.
    fn errors(&mut self, code: &str) -> u64 {
        let info = redis::cmd("INFO")
            .arg("errorstats")
            .query(&mut self.connection);
        let info: String = info.unwrap();
        let prefix = format!("errorstat_{code}:count=");
        let line = info.lines().find_map(|line| line.strip_prefix(&prefix));
        line.map_or(0, |count| count.parse().unwrap())
    }

    fn set_slot(&mut self, slot: u16, state: &[&str]) {
        let mut command = redis::cmd("CLUSTER");
        command.arg("SETSLOT").arg(slot).arg(state);
        let () = command.query(&mut self.connection).unwrap();
    }
}

/// The owner of a key's slot, another node, and those that remain.
fn nodes(key: &str) -> (u16, Node, Node, Vec<Node>) {
    let mut nodes: Vec<_> = urls().unwrap().iter().map(|url| Node::open(url)).collect();
    let at = nodes.iter_mut().position(|node| node.owns(key));
    let mut owner = nodes.remove(at.expect("every slot has an owner"));
    let other = nodes.remove(0);
    let mut slot = redis::cmd("CLUSTER");
    let slot = slot.arg("KEYSLOT").arg(key).query(&mut owner.connection);
    (slot.unwrap(), owner, other, nodes)
}

#[tokio::test]
async fn a_command_that_a_node_sends_on_for_good_has_one_span_without_an_error() {
    let _turn = TURN.lock().await;
    let Some((mut connection, mut blocking)) = connections().await else {
        return;
    };
    let moved = key("moved");
    let (slot, mut owner, mut other, mut rest) = nodes(&moved);
    // The connections have learnt who owns the slot, and are not told that it changes hands.
    other.set_slot(slot, &["IMPORTING", &owner.id]);
    owner.set_slot(slot, &["MIGRATING", &other.id]);
    let new_owner = other.id.clone();
    other.set_slot(slot, &["NODE", &new_owner]);
    owner.set_slot(slot, &["NODE", &new_owner]);
    for node in &mut rest {
        node.set_slot(slot, &["NODE", &new_owner]);
    }
    let before = owner.errors("MOVED");
    let recorder = Recorder::new();
    let () = connection.set(&moved, 1).await.unwrap();
    let span = recorder.take_only();
    assert_eq!(span.resource, "SET");
    assert!(!span.error, "{span:#?}");
    let between = owner.errors("MOVED");
    assert!(between > before, "the node did not send the command on");
    let one: i64 = blocking.get(&moved).unwrap();
    assert_eq!(one, 1);
    let span = recorder.take_only();
    assert_eq!(span.metric("db.row_count"), Some(1.0));
    assert!(!span.error, "{span:#?}");
    assert!(owner.errors("MOVED") > between);
    let _: usize = blocking.del(&moved).unwrap();
}

#[tokio::test]
async fn a_command_that_a_node_sends_on_for_once_has_one_span_without_an_error() {
    let _turn = TURN.lock().await;
    let Some((mut connection, mut blocking)) = connections().await else {
        return;
    };
    let asked = key("asked");
    let (slot, mut owner, mut other, _) = nodes(&asked);
    other.set_slot(slot, &["IMPORTING", &owner.id]);
    owner.set_slot(slot, &["MIGRATING", &other.id]);
    let before = owner.errors("ASK");
    let recorder = Recorder::new();
    // The owner has no such key, so it may be at the other already.
    let () = connection.set(&asked, 1).await.unwrap();
    let span = recorder.take_only();
    assert_eq!(span.resource, "SET");
    assert!(!span.error, "{span:#?}");
    let one: i64 = blocking.get(&asked).unwrap();
    assert_eq!(one, 1);
    let span = recorder.take_only();
    assert_eq!(span.metric("db.row_count"), Some(1.0));
    assert!(!span.error, "{span:#?}");
    assert!(owner.errors("ASK") >= before + 2, "nobody was sent on");
    let gone: usize = blocking.del(&asked).unwrap();
    assert_eq!(gone, 1);
    other.set_slot(slot, &["STABLE"]);
    owner.set_slot(slot, &["STABLE"]);
}

#[tokio::test]
async fn messages_cross_the_cluster_and_subscriptions_are_commands() {
    let Some((builder, first)) = builder() else {
        return;
    };
    let (sender, mut pushed) = tokio::sync::mpsc::unbounded_channel();
    let client = builder
        .use_protocol(redis::ProtocolVersion::RESP3)
        .push_sender(sender)
        .build()
        .unwrap();
    let subscriber = client.get_async_connection().await.unwrap();
    let mut subscriber = Traced::new(subscriber, &first);
    let (mut publisher, _) = connections().await.unwrap();
    let recorder = Recorder::new();
    let channel = key("channel");
    subscriber.subscribe(&channel).await.unwrap();
    let span = recorder.take_only();
    assert_eq!(span.resource, "SUBSCRIBE");
    assert!(!span.error);
    // The server says that it subscribed in a message of its own, behind which every other one comes.
    while pushed.recv().await.unwrap().kind != redis::PushKind::Subscribe {}
    let _: i64 = publisher.publish(&channel, "hot").await.unwrap();
    assert_eq!(recorder.take_only().resource, "PUBLISH");
    let message = loop {
        let push = pushed.recv().await.unwrap();
        if push.kind == redis::PushKind::Message {
            break push;
        }
    };
    let hot = Value::BulkString(b"hot".to_vec());
    assert_eq!(message.data.last(), Some(&hot));
    assert!(recorder.take().is_empty(), "a message is no command");
}
