//! A broker, queues of the test's own, and what the integration tells about them.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use ddtrace_core::events::{self, MessageConsume, MessageProcess, MessageProduce, Phase};
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_lapin::{Channel, Connection, Consumer};
use futures_util::StreamExt as _;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, ConnectionProperties, ExchangeKind};

use crate::service;

/// How long something may take on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Where the broker is, or nothing if there is none.
#[track_caller]
pub(crate) fn uri() -> Option<AMQPUri> {
    let url = service::named("RABBITMQ_URL")?;
    Some(url.parse().unwrap())
}

pub(crate) fn address(uri: &AMQPUri) -> SocketAddr {
    let place = (&*uri.authority.host, uri.authority.port);
    place.to_socket_addrs().unwrap().next().unwrap()
}

/// The broker by another way.
pub(crate) fn by(mut uri: AMQPUri, way: SocketAddr) -> AMQPUri {
    uri.authority.host = way.ip().to_string();
    uri.authority.port = way.port();
    uri
}

pub(crate) async fn connect_to(uri: AMQPUri) -> Connection {
    Connection::connect_uri(uri, ConnectionProperties::default())
        .await
        .unwrap()
}

/// A connection with a channel, if there is a broker.
#[track_caller]
pub(crate) fn channel() -> impl Future<Output = Option<(Connection, Channel)>> {
    let uri = uri();
    async move {
        let connection = connect_to(uri?).await;
        let channel = connection.create_channel().await.unwrap();
        Some((connection, channel))
    }
}

/// A name that nobody else uses.
pub(crate) fn name(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{next}", std::process::id())
}

/// A queue that is gone with the connection.
pub(crate) async fn queue(channel: &Channel) -> String {
    queue_with(channel, FieldTable::default()).await
}

pub(crate) async fn queue_with(channel: &Channel, arguments: FieldTable) -> String {
    let name = name("queue");
    let options = QueueDeclareOptions {
        exclusive: true,
        auto_delete: false,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare((&*name).into(), options, arguments)
        .await
        .unwrap();
    name
}

/// An exchange that is gone with its last queue.
pub(crate) async fn exchange(channel: &Channel, kind: ExchangeKind) -> String {
    let name = name("exchange");
    let options = ExchangeDeclareOptions {
        auto_delete: true,
        ..ExchangeDeclareOptions::default()
    };
    channel
        .exchange_declare((&*name).into(), kind, options, FieldTable::default())
        .await
        .unwrap();
    name
}

pub(crate) async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            options,
            FieldTable::default(),
        )
        .await
        .unwrap();
}

pub(crate) async fn confirm_select(channel: &Channel) {
    let options = ConfirmSelectOptions::default();
    channel.confirm_select(options).await.unwrap();
}

/// Sends to a queue by its name, and waits for what is to be waited for.
pub(crate) async fn send(channel: &Channel, queue: &str, properties: BasicProperties) {
    let options = BasicPublishOptions::default();
    channel
        .basic_publish("".into(), queue.into(), options, b"tea", properties)
        .await
        .unwrap()
        .await
        .unwrap();
}

/// Sends past the integration.
pub(crate) async fn send_unwatched(channel: &Channel, queue: &str, properties: BasicProperties) {
    let channel: &lapin::Channel = channel;
    let options = BasicPublishOptions::default();
    let confirm = channel
        .basic_publish("".into(), queue.into(), options, b"tea", properties)
        .await
        .unwrap();
    confirm.await.unwrap();
}

/// Takes a message past the integration, however long the broker takes.
pub(crate) async fn get_unwatched(channel: &Channel, queue: &str) -> BasicGetMessage {
    let channel: &lapin::Channel = channel;
    let options = BasicGetOptions { no_ack: true };
    tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(message) = channel.basic_get(queue.into(), options).await.unwrap() {
                return message;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap()
}

pub(crate) async fn consumer(channel: &Channel, queue: &str) -> Consumer {
    let options = BasicConsumeOptions::default();
    let tag = name("consumer");
    channel
        .basic_consume(queue.into(), (&*tag).into(), options, FieldTable::default())
        .await
        .unwrap()
}

/// What a consumer has next.
pub(crate) async fn next(consumer: &mut Consumer) -> Option<lapin::Result<Delivery>> {
    tokio::time::timeout(PATIENCE, consumer.next())
        .await
        .unwrap()
}

pub(crate) async fn next_message(consumer: &mut Consumer) -> Delivery {
    next(consumer).await.unwrap().unwrap()
}

#[track_caller]
pub(crate) fn only(recorder: &Recorder) -> SpanData {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.remove(0)
}

#[track_caller]
pub(crate) fn assert_metas(span: &SpanData, expected: &[(&str, Option<&str>)]) {
    for (tag, value) in expected {
        assert_eq!(span.meta(tag), *value, "{tag} of {span:#?}");
    }
}

/// What was told of a place, by anybody in this process.
pub(crate) fn told(place: &str) -> Vec<String> {
    let told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    let about = told.iter().filter(|(of, _)| of == place);
    about.map(|(_, what)| what.clone()).collect()
}

static TOLD: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

fn note(place: &str, what: String) {
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    told.push((place.to_owned(), what));
}

/// Listens to everything for as long as the process lives.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        events::on::<MessageProduce<'_>>(Phase::Product, "test", |event| {
            let exchange = event.details.iter().find(|(key, _)| *key == "exchange");
            let place = event.destination.or(exchange.map(|(_, name)| *name));
            let mut what = format!(
                "{} produce {}",
                event.system,
                event.destination.unwrap_or("elsewhere")
            );
            for (key, value) in event.details {
                what += &format!(" {key}:{value}");
            }
            note(place.unwrap_or_default(), what);
            if let Some(headers) = &mut event.headers {
                let size = event.size.to_string();
                headers.as_carrier_mut().set("x-size", size.as_bytes());
            }
        });
        events::on::<MessageConsume<'_>>(Phase::Product, "test", |event| {
            let sent = event.headers.get("x-size").unwrap_or_default();
            let more = event.size - String::from_utf8_lossy(sent).parse().unwrap_or(0);
            let what = format!("{} consume {:?} {more} more", event.system, event.group);
            note(event.source, what);
        });
        events::on::<MessageProcess<'_>>(Phase::Product, "test", |event| {
            note(event.source, format!("{} process", event.system));
        });
    });
}
