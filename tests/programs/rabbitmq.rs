//! A program with RabbitMQ: produces, consumes, and passes on, as its arguments say.

use std::time::Duration;

use ddtrace::lapin::{Channel, Connection, ProcessSpan as _};
use futures_util::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions,
    ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ConnectionProperties, ExchangeKind};

const PATIENCE: Duration = Duration::from_secs(60);

/// The broker, then steps: `declare:EXCHANGE:KEY:QUEUE`, `produce:EXCHANGE:KEY`, `consume:QUEUE`, `pass:QUEUE:EXCHANGE:KEY`. The exchange
/// without a name has its queues bound to it already.
pub(crate) fn run(arguments: &[String]) {
    let guard = ddtrace::init();
    let (broker, steps) = arguments.split_first().expect("a broker");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(all(broker, steps))
        .expect("the broker does as it is told");
    drop(guard);
    crate::report(0);
}

async fn all(broker: &str, steps: &[String]) -> lapin::Result<()> {
    let connection = Connection::connect(broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    // One message is enough: the next is for whoever comes next.
    let options = BasicQosOptions::default();
    channel.basic_qos(1, options).await?;
    for step in steps {
        let words: Vec<&str> = step.split(':').collect();
        match words[..] {
            ["declare", exchange, key, queue] => declare(&channel, exchange, key, queue).await?,
            ["produce", exchange, key] => produce(&channel, exchange, key).await?,
            ["consume", queue] => consume(&channel, queue, None).await?,
            ["pass", queue, exchange, key] => {
                consume(&channel, queue, Some((exchange, key))).await?;
            }
            _ => panic!("there is no step {step:?}"),
        }
    }
    connection.close(200, "done".into()).await
}

async fn declare(channel: &Channel, exchange: &str, key: &str, queue: &str) -> lapin::Result<()> {
    let options = QueueDeclareOptions::default();
    let none = FieldTable::default();
    channel
        .queue_declare(queue.into(), options, none.clone())
        .await?;
    if exchange.is_empty() {
        return Ok(());
    }
    let options = ExchangeDeclareOptions::default();
    channel
        .exchange_declare(exchange.into(), ExchangeKind::Direct, options, none.clone())
        .await?;
    let options = QueueBindOptions::default();
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), options, none)
        .await
}

async fn produce(channel: &Channel, exchange: &str, key: &str) -> lapin::Result<()> {
    let properties = BasicProperties::default()
        .with_content_type("text/plain".into())
        .with_content_encoding("utf-8".into());
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish(
        exchange.into(),
        key.into(),
        options,
        b"from Rust",
        properties,
    );
    published.await?.await?;
    Ok(())
}

async fn consume(channel: &Channel, queue: &str, then: Option<(&str, &str)>) -> lapin::Result<()> {
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume(queue.into(), "".into(), options, FieldTable::default())
        .await?;
    let next = tokio::time::timeout(PATIENCE, consumer.next());
    let delivery = next.await.expect("a message").expect("no end")?;
    if let Some((exchange, key)) = then {
        let work = produce(channel, exchange, key);
        ddtrace::instrument(delivery.process_span(), work).await?;
    }
    delivery.ack(BasicAckOptions::default()).await?;
    Ok(())
}
