//! Messages that have arrived.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ddtrace_core::export::SpanData;
use ddtrace_core::propagation::Carrier as _;
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::{self, Site, Span};
use ddtrace_lapin::{Channel, ProcessSpan as _};
use lapin::message::DeliveryResult;
use lapin::options::{BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable};
use lapin::{BasicProperties, ExchangeKind};

use crate::broker::{
    PATIENCE, assert_metas, bind, channel, confirm_select, consumer, exchange, listen, name,
    next_message, only, queue, send, send_unwatched, told, uri,
};

ddtrace_core::site! { static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }

/// Sends a message, and gives the span of that.
async fn sent(channel: &Channel, queue: &str, recorder: &Recorder) -> SpanData {
    send(channel, queue, BasicProperties::default()).await;
    only(recorder)
}

#[tokio::test]
async fn receiving_and_processing_are_children_of_publishing() {
    let (Some((_connection, channel)), Some(uri)) = (channel().await, uri()) else {
        return;
    };
    listen();
    let queue = queue(&channel).await;
    let mut consumer = consumer(&channel, &queue).await;
    let recorder = Recorder::new();
    let published = sent(&channel, &queue, &recorder).await;
    let delivery = next_message(&mut consumer).await;
    let received = only(&recorder);
    {
        let mut span = delivery.process_span();
        let _active = span.enter();
        drop(Span::start(&WORK));
    }
    assert!(delivery.ack(BasicAckOptions::default()).await.unwrap());
    let spans = recorder.take();
    let find = |name| spans.iter().find(|span| span.name == name).unwrap();
    let processed = find("amqp.process");
    assert_eq!(find("work").parent_id, processed.span_id);
    assert_eq!(received.name, "amqp.receive");
    for span in [&received, processed] {
        assert_eq!(span.trace_id, published.trace_id);
        assert_eq!(span.parent_id, published.span_id);
        assert_eq!(span.resource, queue);
        assert_eq!(span.span_type, "worker");
        assert_eq!(span.service, "rabbitmq");
        assert!(!span.error);
        assert_eq!(span.metric("amqp.body_length"), Some(3.0));
        assert_eq!(span.metric("_dd.measured"), Some(1.0));
        assert_metas(
            span,
            &[
                ("component", Some("lapin")),
                ("span.kind", Some("consumer")),
                ("_dd.svc_src", Some("rabbitmq")),
                ("messaging.system", Some("rabbitmq")),
                ("messaging.destination.name", Some(&queue)),
                ("amqp.queue", Some(&queue)),
                ("amqp.exchange", Some("")),
                ("amqp.routing_key", Some(&queue)),
                ("amqp.redelivered", Some("false")),
            ],
        );
    }
    assert_metas(
        &received,
        &[
            ("amqp.consumer_tag", Some(consumer.tag().as_str())),
            ("out.host", Some(&uri.authority.host)),
            ("out.vhost", Some("/")),
        ],
    );
    assert_eq!(
        told(&queue),
        [
            format!("rabbitmq produce {queue}"),
            // The header by which the test says how large it was before: its name and three digits.
            "rabbitmq consume None 9 more".to_owned(),
            "rabbitmq process".to_owned(),
        ]
    );
}

#[tokio::test]
async fn a_message_of_an_exchange_is_known_by_the_queue_it_was_found_in() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let orders = exchange(&channel, ExchangeKind::Fanout).await;
    let mut found = Vec::new();
    let recorder = Recorder::new();
    let mut consumers = Vec::new();
    for _ in 0..2 {
        let queue = queue(&channel).await;
        bind(&channel, &queue, &orders, "").await;
        consumers.push((consumer(&channel, &queue).await, queue));
    }
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default();
    channel
        .basic_publish((&*orders).into(), "new".into(), options, b"tea", properties)
        .await
        .unwrap();
    for (consumer, queue) in &mut consumers {
        found.push((next_message(consumer).await, &*queue));
    }
    recorder.take();
    // In whatever order, and wherever.
    for (delivery, queue) in found.into_iter().rev() {
        drop(delivery.process_span());
        let span = only(&recorder);
        assert_eq!(&*span.resource, queue);
        assert_metas(
            &span,
            &[
                ("amqp.queue", Some(queue)),
                ("amqp.exchange", Some(&orders)),
            ],
        );
    }
}

#[tokio::test]
async fn one_message_can_be_asked_for() {
    let Some((connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let recorder = Recorder::new();
    let published = sent(&channel, &queue, &recorder).await;
    let options = BasicGetOptions { no_ack: true };
    let message = tokio::time::timeout(PATIENCE, async {
        loop {
            if let Some(message) = channel.basic_get((&*queue).into(), options).await.unwrap() {
                return message;
            }
            assert_eq!(recorder.take().len(), 1);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(message.await.unwrap().data, b"tea");
    let span = only(&recorder);
    assert_eq!(span.name, "amqp.receive");
    assert_eq!(span.parent_id, published.span_id);
    assert_metas(
        &span,
        &[
            ("amqp.queue", Some(&queue)),
            ("amqp.consumer_tag", None),
            ("amqp.received_message", None),
        ],
    );

    let nothing = channel.basic_get((&*queue).into(), options).await;
    assert_eq!(nothing.unwrap(), None);
    let span = only(&recorder);
    assert_eq!(span.parent_id, 0);
    assert_metas(&span, &[("amqp.received_message", Some("false"))]);

    let missing = name("missing");
    let ours = channel.basic_get((&*missing).into(), options).await;
    let other = connection.create_channel().await.unwrap().into_inner();
    let theirs = other.basic_get((&*missing).into(), options).await;
    assert_eq!(ours, theirs);
    let span = only(&recorder);
    assert!(span.error && ours.is_err());
    let message = span.meta("error.message").unwrap_or_default();
    assert!(message.contains("NOT_FOUND"), "{message}");
}

/// What the delegate of the test has seen: whether a span was active, and which.
type Seen = Arc<Mutex<Vec<(u64, u64)>>>;

#[tokio::test]
async fn a_delegate_works_within_the_span_of_its_message() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    listen();
    let queue = queue(&channel).await;
    let consumer = consumer(&channel, &queue).await;
    let recorder = Recorder::new();
    let handle = recorder.handle();
    let seen = Seen::default();
    let sees = Arc::clone(&seen);
    consumer.set_delegate(move |delivery: DeliveryResult| {
        // The library calls from a thread of its own, which has no recorder before the first call.
        std::mem::forget(handle.activate());
        let at_once = trace::current_span().span_id().get();
        let sees = Arc::clone(&sees);
        async move {
            let delivery = delivery.unwrap().unwrap();
            delivery.ack(BasicAckOptions::default()).await.unwrap();
            let later = trace::current_span().span_id().get();
            drop(Span::start(&WORK));
            sees.lock().unwrap().push((at_once, later));
        }
    });
    let mut published = Vec::new();
    for count in 1..=3 {
        published.push(sent(&channel, &queue, &recorder).await);
        let done = async {
            while seen.lock().unwrap().len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, done).await.unwrap();
        let spans = recorder.take();
        if count == 1 {
            continue;
        }
        let find = |name| {
            let found = spans.iter().find(|span| span.name == name);
            found.unwrap_or_else(|| panic!("{name}: {spans:#?}"))
        };
        let received = find("amqp.receive");
        assert_eq!(received.parent_id, published[count - 1].span_id);
        assert_eq!(find("work").parent_id, received.span_id);
        let seen = seen.lock().unwrap()[count - 1];
        assert_eq!(seen, (received.span_id, received.span_id));
    }
    let told = told(&queue);
    let processed = told.iter().filter(|what| *what == "rabbitmq process");
    assert_eq!(processed.count(), 2, "{told:?}");
}

#[tokio::test]
async fn messages_that_were_waiting_for_a_delegate_have_no_part_in_what_names_it() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let mut consumer = consumer(&channel, &queue).await;
    let recorder = Recorder::new();
    let nothing = BasicProperties::default();
    send_unwatched(&channel, &queue, nothing.clone()).await;
    send_unwatched(&channel, &queue, nothing).await;
    // The library takes what comes in one go, so the second is there as well once the first was handed out and some time has passed.
    next_message(&mut consumer).await;
    recorder.take();
    let seen = Seen::default();
    let sees = Arc::clone(&seen);
    let mut work = Span::start(&WORK);
    let id = work.span_id().get();
    {
        let _active = work.enter();
        consumer.set_delegate(move |_: DeliveryResult| {
            let active = trace::current_span().span_id().get();
            sees.lock().unwrap().push((active, active));
            async {}
        });
        assert_eq!(trace::current_span().span_id().get(), id);
    }
    drop(work);
    let done = async {
        while seen.lock().unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, done).await.unwrap();
    // Whether it was waiting is the library's affair; in either case it is a trace of its own or not this thread's.
    assert_ne!(seen.lock().unwrap()[0].0, id);
}

#[tokio::test]
async fn headers_that_are_no_context_begin_a_trace() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let mut consumer = consumer(&channel, &queue).await;
    let recorder = Recorder::new();
    let nested = (0..10).fold(AMQPValue::Void, |inner, _| {
        let mut table = FieldTable::default();
        table.insert("inner".into(), inner);
        AMQPValue::FieldTable(table)
    });
    let list = AMQPValue::FieldArray(FieldArray::from(vec![nested.clone(); 10]));
    let large = AMQPValue::LongString(vec![b'1'; 20_000].into());
    let broken = AMQPValue::LongString(b"\xff\xfe\x00".to_vec().into());
    let number = AMQPValue::LongLongInt(7);
    for poison in [nested, list, large, broken, number] {
        let mut table = FieldTable::default();
        for name in [
            "x-datadog-trace-id",
            "traceparent",
            "tracestate",
            "baggage",
            "dd-pathway-ctx-base64",
        ] {
            table.insert(name.into(), poison.clone());
        }
        let properties = BasicProperties::default().with_headers(table);
        send_unwatched(&channel, &queue, properties.clone()).await;
        let delivery = next_message(&mut consumer).await;
        assert_eq!(delivery.properties, properties);
        let span = only(&recorder);
        assert_eq!((&*span.name, span.parent_id), ("amqp.receive", 0));
        drop(delivery.process_span());
        assert_eq!(only(&recorder).parent_id, 0);
    }
}

#[tokio::test]
async fn several_messages_can_be_worked_on_at_once() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let mut consumer = consumer(&channel, &queue).await;
    let recorder = Recorder::new();
    let (mut published, mut deliveries) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        published.push(sent(&channel, &queue, &recorder).await);
        deliveries.push(next_message(&mut consumer).await);
        recorder.take();
    }
    drop(ddtrace_lapin::batch_span(&deliveries));
    let span = only(&recorder);
    assert_eq!(span.parent_id, published[0].span_id);
    let links: Vec<_> = span
        .links
        .iter()
        .map(|link| link.target.span_id.get())
        .collect();
    assert_eq!(links, [published[1].span_id, published[2].span_id]);
    assert_eq!(span.metric("messaging.batch.message_count"), Some(3.0));

    drop(ddtrace_lapin::batch_span([]));
    let span = only(&recorder);
    assert_eq!((&*span.name, span.parent_id), ("amqp.process", 0));
}

#[tokio::test]
async fn context_can_come_as_a_link_or_not_at_all() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let mut consumer = consumer(&channel, &queue).await;
    for (variables, links) in [
        (("DD_TRACE_PROPAGATION_AS_SPAN_LINKS", "rabbitmq"), 1),
        (("DD_RABBITMQ_DISTRIBUTED_TRACING", "false"), 0),
    ] {
        {
            let _recorder = Recorder::new();
            send(&channel, &queue, BasicProperties::default()).await;
        }
        let recorder = Recorder::with_variables(&[variables]);
        let delivery = next_message(&mut consumer).await;
        drop(delivery.process_span());
        let spans = recorder.take();
        assert_eq!(spans.len(), 2);
        for span in spans {
            assert_eq!(span.parent_id, 0);
            assert_eq!(span.links.len(), links, "{variables:?}");
        }
    }
}

#[tokio::test]
async fn acknowledgements_and_transactions_are_the_librarys() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let recorder = Recorder::new();
    channel.tx_select().await.unwrap();
    send(&channel, &queue, BasicProperties::default()).await;
    channel.tx_rollback().await.unwrap();
    send(&channel, &queue, BasicProperties::default()).await;
    channel.tx_commit().await.unwrap();
    assert_eq!(recorder.take().len(), 2);
    let mut consumer = consumer(&channel, &queue).await;
    let delivery = next_message(&mut consumer).await;
    let again = BasicNackOptions {
        requeue: true,
        ..BasicNackOptions::default()
    };
    assert!(delivery.nack(again).await.unwrap());
    channel.tx_commit().await.unwrap();
    let delivery = next_message(&mut consumer).await;
    assert!(delivery.redelivered);
    let spans = recorder.take();
    let seen: Vec<_> = spans
        .iter()
        .map(|span| span.meta("amqp.redelivered").unwrap_or_default())
        .collect();
    assert_eq!(seen, ["false", "true"]);
}

#[tokio::test]
async fn an_answer_by_the_brokers_own_queue_keeps_its_token_out_of_names() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    const REPLY_TO: &str = "amq.rabbitmq.reply-to";
    let queue = queue(&channel).await;
    let options = lapin::options::BasicConsumeOptions {
        no_ack: true,
        ..Default::default()
    };
    let arguments = FieldTable::default();
    let mut answers = channel
        .basic_consume(REPLY_TO.into(), "".into(), options, arguments)
        .await
        .unwrap();
    let mut questions = consumer(&channel, &queue).await;
    let recorder = Recorder::new();
    let properties = BasicProperties::default().with_reply_to(REPLY_TO.into());
    send(&channel, &queue, properties).await;
    let question = next_message(&mut questions).await;
    recorder.take();
    let reply_to = question.properties.reply_to().clone().unwrap();
    assert_ne!(reply_to.as_str(), REPLY_TO);
    send(&channel, reply_to.as_str(), BasicProperties::default()).await;
    let answer = next_message(&mut answers).await;
    drop(answer.process_span());
    let spans = recorder.take();
    let resources: Vec<_> = spans.iter().map(|span| &*span.resource).collect();
    assert_eq!(resources, [REPLY_TO; 3]);
    // Confirms are not in the way of any of it.
    confirm_select(&channel).await;
    send(&channel, &queue, BasicProperties::default()).await;
}

#[tokio::test]
async fn with_tracing_off_what_came_in_goes_on() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let on = name("queue");
    let options = lapin::options::QueueDeclareOptions {
        exclusive: true,
        ..Default::default()
    };
    channel
        .queue_declare((&*on).into(), options, FieldTable::default())
        .await
        .unwrap();
    let published = {
        let recorder = Recorder::new();
        sent(&channel, &queue, &recorder).await
    };
    let recorder = Recorder::with_variables(&[("DD_TRACE_ENABLED", "false")]);
    let mut consumer = consumer(&channel, &queue).await;
    let delivery = next_message(&mut consumer).await;
    let work = send(&channel, &on, BasicProperties::default());
    trace::instrument(delivery.process_span(), work).await;
    assert!(recorder.take().is_empty());
    let message = crate::broker::get_unwatched(&channel, &on).await;
    let headers = ddtrace_lapin::carrier(&message.properties);
    let parent = published.span_id.to_string();
    assert_eq!(headers.get("x-datadog-parent-id"), Some(parent.as_bytes()));
}
