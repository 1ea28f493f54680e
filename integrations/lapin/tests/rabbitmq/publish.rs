//! Messages on their way out.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use ddtrace_core::propagation::Carrier as _;
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::{self, Site, Span};
use ddtrace_lapin::{Channel, Connection};
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, ConnectionProperties, ExchangeKind};

use crate::broker::{
    address, assert_metas, bind, by, channel, confirm_select, connect_to, exchange, get_unwatched,
    listen, name, only, queue, queue_with, send, told, uri,
};
use crate::wire::Wire;

ddtrace_core::site! { static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }

const MANDATORY: BasicPublishOptions = BasicPublishOptions {
    mandatory: true,
    immediate: false,
};

#[tokio::test]
async fn a_message_is_described_and_carries_its_span() {
    let (Some((_connection, channel)), Some(uri)) = (channel().await, uri()) else {
        return;
    };
    let queue = queue(&channel).await;
    let recorder = Recorder::new();
    let mut work = Span::start(&WORK);
    let properties = BasicProperties::default()
        .with_delivery_mode(2)
        .with_content_type("text/plain".into());
    trace::poll_within(&mut work, send(&channel, &queue, properties)).await;
    let work_id = work.span_id().get();
    drop(work);
    let spans = recorder.take();
    let span = spans.iter().find(|span| span.name == "amqp.publish");
    let span = span.unwrap_or_else(|| panic!("{spans:#?}"));
    assert_eq!(span.parent_id, work_id);
    assert_eq!(span.resource, queue);
    assert_eq!(span.span_type, "worker");
    assert_eq!(span.service, "rabbitmq");
    assert!(!span.error);
    assert_metas(
        span,
        &[
            ("component", Some("lapin")),
            ("span.kind", Some("producer")),
            ("_dd.svc_src", Some("rabbitmq")),
            ("messaging.system", Some("rabbitmq")),
            ("messaging.destination.name", Some(&queue)),
            ("amqp.exchange", Some("")),
            ("amqp.routing_key", Some(&queue)),
            ("out.host", Some(&uri.authority.host)),
            ("out.vhost", Some("/")),
        ],
    );
    for (tag, value) in [
        ("amqp.body_length", 3.0),
        ("amqp.delivery_mode", 2.0),
        ("network.destination.port", f64::from(uri.authority.port)),
        ("_dd.measured", 1.0),
    ] {
        assert_eq!(span.metric(tag), Some(value), "{tag}");
    }

    let message = get_unwatched(&channel, &queue).await;
    assert_eq!(message.data, b"tea");
    let content_type = message.properties.content_type().as_ref();
    assert_eq!(content_type.map(|text| text.as_str()), Some("text/plain"));
    let headers = ddtrace_lapin::carrier(&message.properties);
    let parent = span.span_id.to_string();
    assert_eq!(headers.get("x-datadog-parent-id"), Some(parent.as_bytes()));
    assert!(headers.get("traceparent").is_some());
}

#[tokio::test]
async fn where_a_message_goes_is_told_as_data_streams_want_it() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    listen();
    let recorder = Recorder::new();
    let fanout = exchange(&channel, ExchangeKind::Fanout).await;
    let direct = exchange(&channel, ExchangeKind::Direct).await;
    let queue = queue(&channel).await;
    bind(&channel, &queue, &fanout, "").await;
    bind(&channel, &queue, &direct, "new").await;
    for (exchange, key, resource, expected) in [
        ("", &*queue, &*queue, format!("rabbitmq produce {queue}")),
        (
            &fanout,
            "",
            &fanout,
            format!("rabbitmq produce elsewhere exchange:{fanout} has_routing_key:false"),
        ),
        (
            &direct,
            "new",
            &direct,
            format!("rabbitmq produce elsewhere exchange:{direct} has_routing_key:true"),
        ),
    ] {
        channel
            .basic_publish(
                exchange.into(),
                key.into(),
                BasicPublishOptions::default(),
                b"tea",
                BasicProperties::default(),
            )
            .await
            .unwrap();
        assert_eq!(told(resource), [expected]);
        let span = only(&recorder);
        assert_eq!(span.resource, resource);
        assert_metas(
            &span,
            &[
                ("amqp.exchange", Some(exchange)),
                ("amqp.routing_key", Some(key)),
            ],
        );
        let message = get_unwatched(&channel, &queue).await;
        let headers = ddtrace_lapin::carrier(&message.properties);
        assert!(headers.get("x-size").is_some());
    }
}

#[tokio::test]
async fn with_confirms_the_span_ends_when_the_broker_has_answered() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    confirm_select(&channel).await;
    let recorder = Recorder::new();
    let publish = || {
        let options = BasicPublishOptions::default();
        let properties = BasicProperties::default();
        channel.basic_publish("".into(), (&*queue).into(), options, b"tea", properties)
    };
    let confirm = publish().await.unwrap();
    assert!(recorder.take().is_empty());
    assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
    assert!(!only(&recorder).error);

    // Nobody waits for it: the library goes on to.
    drop(publish().await.unwrap());
    assert!(!only(&recorder).error);
    assert_eq!(channel.wait_for_confirms().await.unwrap(), []);

    // What came back goes to whoever asks for all of it.
    let nowhere = name("nowhere");
    let properties = BasicProperties::default();
    let confirm = channel
        .basic_publish("".into(), (&*nowhere).into(), MANDATORY, b"tea", properties)
        .await
        .unwrap();
    drop(confirm);
    assert_eq!(only(&recorder).resource, nowhere);
    let returned = channel.wait_for_confirms().await.unwrap();
    let codes: Vec<_> = returned.iter().map(|message| message.reply_code).collect();
    assert_eq!(codes, [312]);
}

#[tokio::test]
async fn a_message_that_comes_back_is_an_error_of_the_span_and_none_of_the_call() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    confirm_select(&channel).await;
    let recorder = Recorder::new();
    let nowhere = name("nowhere");
    let properties = BasicProperties::default();
    let confirm = channel
        .basic_publish("".into(), (&*nowhere).into(), MANDATORY, b"tea", properties)
        .await
        .unwrap();
    let confirmation = confirm.await.unwrap();
    assert!(confirmation.is_ack());
    let returned = confirmation.take_message().unwrap();
    assert_eq!((returned.reply_code, &*returned.data), (312, &b"tea"[..]));
    let span = only(&recorder);
    assert!(span.error);
    assert_eq!(span.metric("amqp.reply_code"), Some(312.0));
    let message = span.meta("error.message").unwrap_or_default();
    assert!(
        message.contains("NO_ROUTE") || message.contains("NO-ROUTE"),
        "{message}"
    );
}

#[tokio::test]
async fn a_message_that_the_broker_refuses_is_an_error_of_the_span() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    let overflow = AMQPValue::LongString("reject-publish".into());
    arguments.insert("x-overflow".into(), overflow);
    let queue = queue_with(&channel, arguments).await;
    confirm_select(&channel).await;
    let recorder = Recorder::new();
    // How many a full queue still takes is the broker's affair.
    for count in 0.. {
        assert!(count < 1000, "it takes everything");
        let confirm = channel
            .basic_publish(
                "".into(),
                (&*queue).into(),
                BasicPublishOptions::default(),
                b"tea",
                BasicProperties::default(),
            )
            .await
            .unwrap();
        let confirmation = confirm.await.unwrap();
        let span = only(&recorder);
        assert_eq!(span.error, confirmation.is_nack());
        if confirmation.is_nack() {
            assert_eq!(span.meta("error.type"), Some("basic.nack"));
            break;
        }
    }
}

#[tokio::test]
async fn headers_that_leave_no_room_are_sent_as_they_are() {
    let Some(mut uri) = uri() else {
        return;
    };
    uri.query.frame_max = Some(8192);
    let connection = connect_to(uri).await;
    let channel = connection.create_channel().await.unwrap();
    let queue = queue(&channel).await;
    let recorder = Recorder::new();
    for (bytes, has_context) in [(4000, true), (8000, false)] {
        let mut table = FieldTable::default();
        let large = AMQPValue::LongString(vec![b'x'; bytes].into());
        table.insert("large".into(), large);
        let properties = BasicProperties::default().with_headers(table);
        send(&channel, &queue, properties).await;
        assert_eq!(only(&recorder).name, "amqp.publish");
        let message = get_unwatched(&channel, &queue).await;
        let headers = ddtrace_lapin::carrier(&message.properties);
        assert_eq!(headers.get("large").map(<[u8]>::len), Some(bytes));
        assert_eq!(headers.get("traceparent").is_some(), has_context);
    }
}

#[tokio::test]
async fn settings_decide_what_is_written() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    listen();
    let queue = queue(&channel).await;
    let off = ("DD_TRACE_RABBITMQ_ENABLED", "false");
    let no_context = ("DD_RABBITMQ_DISTRIBUTED_TRACING", "false");
    let service = ("DD_RABBITMQ_SERVICE", "post");
    let v1 = ("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1");
    for (variables, expected, has_context, is_told) in [
        (&[off][..], None, false, false),
        (
            &[no_context],
            Some(("amqp.publish", "rabbitmq")),
            false,
            true,
        ),
        (&[service], Some(("amqp.publish", "post")), true, true),
        (&[v1], Some(("amqp.send", "test")), true, true),
    ] {
        let recorder = Recorder::with_variables(variables);
        send(&channel, &queue, BasicProperties::default()).await;
        let spans = recorder.take();
        let seen = spans.first().map(|span| (&*span.name, &*span.service));
        assert_eq!(seen, expected, "{variables:?}");
        let message = get_unwatched(&channel, &queue).await;
        let headers = ddtrace_lapin::carrier(&message.properties);
        assert_eq!(
            headers.get("traceparent").is_some(),
            has_context,
            "{variables:?}"
        );
        assert_eq!(headers.get("x-size").is_some(), is_told, "{variables:?}");
    }
}

#[tokio::test]
async fn a_message_that_is_sent_on_has_one_context() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    let queue = queue(&channel).await;
    let recorder = Recorder::new();
    send(&channel, &queue, BasicProperties::default()).await;
    recorder.take();
    let first = get_unwatched(&channel, &queue).await;
    send(&channel, &queue, first.delivery.properties.clone()).await;
    let span = only(&recorder);
    let second = get_unwatched(&channel, &queue).await;
    let headers = ddtrace_lapin::carrier(&second.properties);
    let id = span.span_id.to_string();
    assert_eq!(headers.get("x-datadog-parent-id"), Some(id.as_bytes()));
    let count = |message: &BasicProperties| {
        let headers = message.headers().as_ref();
        headers.map_or(0, |headers| headers.inner().len())
    };
    assert_eq!(count(&second.properties), count(&first.properties));
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_a_cancelled_span() {
    let Some(uri) = uri() else {
        return;
    };
    let wire = Wire::to(address(&uri));
    let connection = connect_to(by(uri, wire.address())).await;
    let channel = connection.create_channel().await.unwrap();
    let recorder = Recorder::new();
    // More than the buffers on the way hold.
    let payload = vec![b'x'; 64 << 20];
    wire.freeze();
    {
        let mut publishing = pin!(channel.basic_publish(
            "".into(),
            "nowhere".into(),
            BasicPublishOptions::default(),
            &payload,
            BasicProperties::default(),
        ));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(publishing.as_mut().poll(&mut cx), Poll::Pending));
        assert!(recorder.take().is_empty());
    }
    let span = only(&recorder);
    assert_eq!(span.meta("ddtrace.cancelled"), Some("true"));
    assert!(!span.error);
}

#[tokio::test]
async fn what_was_made_by_the_library_can_be_watched_too() {
    let Some(uri) = uri() else {
        return;
    };
    let recorder = Recorder::new();
    let bare = lapin::Connection::connect_uri(uri.clone(), ConnectionProperties::default());
    let connection = Connection::from(bare.await.unwrap());
    let of_connection = connection.create_channel().await.unwrap();
    let bare = connection.into_inner();
    let by_itself = Channel::from(bare.create_channel().await.unwrap());
    for (channel, vhost) in [(of_connection, Some("/")), (by_itself, None)] {
        let queue = queue(&channel).await;
        send(&channel, &queue, BasicProperties::default()).await;
        let span = only(&recorder);
        assert_metas(&span, &[("out.host", None), ("out.vhost", vhost)]);
        assert_eq!(channel.clone().into_inner(), *channel);
    }
}

/// Headers with trace context, and body (`data-streams.md` §8); what listeners write is theirs to count.
#[tokio::test]
async fn sizes_are_those_of_headers_and_body() {
    let Some((_connection, channel)) = channel().await else {
        return;
    };
    listen();
    let queue = queue(&channel).await;
    let mut table = FieldTable::default();
    table.insert("né".into(), AMQPValue::LongString("你".into()));
    table.insert("number".into(), AMQPValue::LongInt(1));
    let properties = BasicProperties::default().with_headers(table);
    for (variables, own) in [
        (&[("DD_RABBITMQ_DISTRIBUTED_TRACING", "false")][..], true),
        (&[], false),
    ] {
        let _recorder = Recorder::with_variables(variables);
        send(&channel, &queue, properties.clone()).await;
        let message = get_unwatched(&channel, &queue).await;
        let headers = ddtrace_lapin::carrier(&message.properties);
        let mut expected = "tea".len() + "number".len();
        headers.keys(&mut |name| {
            if name != "x-size" && name != "number" {
                expected += name.len() + headers.get(name).map_or(0, <[u8]>::len);
            }
        });
        assert_eq!(expected == 3 + 6 + 3 + 3, own, "{expected}");
        let told = headers.get("x-size").unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(told), expected.to_string());
    }
}
