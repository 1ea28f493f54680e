//! What happens to spans and callers when things break.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ddtrace_core::test_support::Recorder;
use ddtrace_lapin::{Channel, Connection};
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ConnectionProperties, Error};

use crate::broker::{
    PATIENCE, address, by, channel, confirm_select, connect_to, consumer, name, next, next_message,
    only, queue, send, send_unwatched, uri,
};
use crate::wire::Wire;

async fn publish(channel: &Channel, exchange: &str) -> lapin::Result<()> {
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    let published =
        channel.basic_publish(exchange.into(), "key".into(), options, b"tea", properties);
    published.await?.await?;
    Ok(())
}

/// Until it fails.
async fn publish_on(channel: &Channel) -> Error {
    let failing = async {
        loop {
            if let Err(error) = publish(channel, "").await {
                return error;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, failing).await.unwrap()
}

#[tokio::test]
async fn a_broker_that_goes_away_is_an_error_of_whoever_was_talking_to_it() {
    let Some(uri) = uri() else {
        return;
    };
    let wire = Wire::to(address(&uri));
    let connection = connect_to(by(uri, wire.address())).await;
    let channel = connection.create_channel().await.unwrap();
    let queue = queue(&channel).await;
    let mut consumer = consumer(&channel, &queue).await;
    confirm_select(&channel).await;
    let recorder = Recorder::new();
    publish(&channel, "").await.unwrap();
    assert!(!only(&recorder).error);

    // In mid-publish: it was handed over, and will not be confirmed.
    wire.freeze();
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    let confirm = channel
        .basic_publish("".into(), "key".into(), options, b"tea", properties)
        .await
        .unwrap();
    assert!(recorder.take().is_empty());
    drop(wire);
    let error = tokio::time::timeout(PATIENCE, confirm)
        .await
        .unwrap()
        .unwrap_err();
    let span = only(&recorder);
    assert!(span.error);
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));

    // In mid-consume: the error, and then the end.
    let error = next(&mut consumer).await.unwrap().unwrap_err();
    let span = only(&recorder);
    assert_eq!((&*span.name, span.error), ("amqp.receive", true));
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
    assert!(next(&mut consumer).await.is_none());
    assert!(recorder.take().is_empty());

    // After it.
    let error = publish(&channel, "").await.unwrap_err();
    let bare: &lapin::Channel = &channel;
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    let theirs = bare.basic_publish("".into(), "key".into(), options, b"tea", properties);
    assert_eq!(error.to_string(), theirs.await.unwrap_err().to_string());
    let span = only(&recorder);
    assert!(span.error);
    assert_eq!(span.meta("error.message"), Some(&*error.to_string()));
}

#[tokio::test]
async fn a_channel_that_the_broker_closes_fails_what_was_sent_on_it() {
    let Some((connection, channel)) = channel().await else {
        return;
    };
    let recorder = Recorder::new();
    let missing = name("missing");
    confirm_select(&channel).await;
    let ours = publish(&channel, &missing).await.unwrap_err();
    let span = only(&recorder);
    assert!(span.error);
    let message = span.meta("error.message").unwrap_or_default();
    assert!(message.contains("NOT_FOUND"), "{message}");
    assert_eq!(message, ours.to_string());

    // The error is what it is without the integration.
    let bare = connection.create_channel().await.unwrap();
    confirm_select(&bare).await;
    let properties = BasicProperties::default();
    let bare = bare.into_inner();
    let options = BasicPublishOptions::default();
    let theirs = bare.basic_publish(
        (&*missing).into(),
        "key".into(),
        options,
        b"tea",
        properties,
    );
    let theirs = tokio::time::timeout(PATIENCE, theirs.await.unwrap());
    let theirs = theirs.await.unwrap().unwrap_err();
    assert_eq!(ours, theirs);

    // What is sent afterwards fails at once, in a span of its own.
    recorder.take();
    let error = publish_on(&channel).await;
    let spans = recorder.take();
    let last = spans.last().unwrap();
    assert!(last.error);
    assert_eq!(last.meta("error.message"), Some(&*error.to_string()));
}

#[tokio::test]
async fn a_queue_that_is_deleted_ends_the_stream_and_makes_no_span() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let mut consumer = consumer(&channel, &queue).await;
    let recorder = Recorder::new();
    let options = QueueDeleteOptions::default();
    channel
        .queue_delete((&*queue).into(), options)
        .await
        .unwrap();
    assert!(next(&mut consumer).await.is_none());
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn a_question_that_is_given_up_leaves_a_cancelled_span() {
    let Some(uri) = uri() else {
        return;
    };
    let wire = Wire::to(address(&uri));
    let connection = connect_to(by(uri, wire.address())).await;
    let channel = connection.create_channel().await.unwrap();
    let queue = queue(&channel).await;
    let recorder = Recorder::new();
    wire.freeze();
    {
        let asking = channel.basic_get((&*queue).into(), BasicGetOptions::default());
        let mut asking = pin!(asking);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(asking.as_mut().poll(&mut cx), Poll::Pending));
        assert!(recorder.take().is_empty());
    }
    let span = only(&recorder);
    assert_eq!((&*span.name, span.error), ("amqp.receive", false));
    assert_eq!(span.meta("ddtrace.cancelled"), Some("true"));
}

#[tokio::test]
async fn what_a_consumer_leaves_behind_goes_to_the_next() {
    let Some((connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let slow = connection.create_channel().await.unwrap();
    let options = BasicQosOptions::default();
    slow.basic_qos(2, options).await.unwrap();
    let mut first = consumer(&slow, &queue).await;
    for _ in 0..3 {
        send_unwatched(&channel, &queue, BasicProperties::default()).await;
    }
    let recorder = Recorder::new();
    let delivery = next_message(&mut first).await;
    assert!(delivery.ack(BasicAckOptions::default()).await.unwrap());
    assert_eq!(recorder.take().len(), 1, "what is only fetched has no span");
    drop((first, delivery));
    slow.close(200, "enough".into()).await.unwrap();

    let mut second = consumer(&channel, &queue).await;
    for _ in 0..2 {
        let delivery = next_message(&mut second).await;
        assert!(delivery.ack(BasicAckOptions::default()).await.unwrap());
    }
    let spans = recorder.take();
    assert_eq!(spans.len(), 2, "{spans:#?}");
    assert!(spans.iter().all(|span| !span.error));
}

#[tokio::test]
async fn a_connection_that_recovers_goes_on_with_its_spans() {
    let Some(uri) = uri() else {
        return;
    };
    let wire = Wire::to(address(&uri));
    let properties = ConnectionProperties::default().enable_auto_recover();
    let connection = Connection::connect_uri(by(uri, wire.address()), properties)
        .await
        .unwrap();
    let channel = connection.create_channel().await.unwrap();
    // One that outlives the connection: the broker takes its time to notice that it is gone.
    let queue = name("queue");
    let options = QueueDeclareOptions::default();
    channel
        .queue_declare((&*queue).into(), options, FieldTable::default())
        .await
        .unwrap();
    let mut consumer = consumer(&channel, &queue).await;
    let recorder = Recorder::new();
    send(&channel, &queue, BasicProperties::default()).await;
    next_message(&mut consumer).await;
    assert_eq!(recorder.take().len(), 2);

    wire.cut();
    let error = publish_on(&channel).await;
    let recovered = channel.wait_for_recovery(error);
    tokio::time::timeout(PATIENCE, recovered)
        .await
        .unwrap()
        .unwrap();
    let spans = recorder.take();
    assert!(spans.last().is_some_and(|span| span.error), "{spans:#?}");

    send(&channel, &queue, BasicProperties::default()).await;
    let sent = only(&recorder);
    // The stream says that it was interrupted, or goes on, as the library likes; and what was not acknowledged comes again.
    loop {
        match next(&mut consumer).await {
            Some(Ok(_)) => {
                let span = only(&recorder);
                assert_eq!((&*span.name, span.error), ("amqp.receive", false));
                if span.parent_id == sent.span_id {
                    break;
                }
                assert_eq!(span.meta("amqp.redelivered"), Some("true"));
            }
            Some(Err(_)) => assert!(only(&recorder).error),
            None => panic!("the stream has ended"),
        }
    }
    let options = QueueDeleteOptions::default();
    channel
        .queue_delete((&*queue).into(), options)
        .await
        .unwrap();
}
