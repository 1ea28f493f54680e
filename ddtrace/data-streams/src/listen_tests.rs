//! What listeners make of events, held against the vectors of the reference.

use std::collections::HashMap;
use std::sync::MutexGuard;

use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::{Site, enter};

use super::*;
use crate::bucket::Rare;
use crate::hash::Node;
use crate::pathway::Point;
use crate::switch::Waiting;
use crate::test_support::turn;

#[allow(unsafe_code, reason = "a site names its link section")]
mod sites {
    use super::Site;

    ddtrace_core::site! { pub(super) static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }
    ddtrace_core::site! { pub(super) static SEND: Site = Site::new("send", "send", module_path!(), file!(), line!()); }
}
use sites::{SEND, WORK};

/// The product switched on, with the queue in the test's hands.
struct On {
    recorder: Recorder,
    waiting: Waiting,
    /// The switch and the extractors belong to the process: one test at a time.
    _turn: MutexGuard<'static, ()>,
}

impl On {
    fn new(service: &str, env: Option<&str>) -> Self {
        let turn = turn();
        subscribe();
        current::clear();
        switch::make_ready(Node::new(service, env, None, ""));
        switch::set_on(true);
        Self {
            recorder: Recorder::new(),
            waiting: switch::take_waiting().unwrap(),
            _turn: turn,
        }
    }

    fn points(&mut self) -> Vec<Point> {
        std::iter::from_fn(|| self.waiting.next())
            .filter_map(|observation| match observation {
                Observation::Point(point) => Some(point),
                _ => None,
            })
            .collect()
    }

    fn others(&mut self) -> Vec<Rare> {
        std::iter::from_fn(|| self.waiting.next())
            .filter_map(|observation| match observation {
                Observation::Rare(rare) => Some(*rare),
                Observation::Point(_) => None,
            })
            .collect()
    }
}

impl Drop for On {
    fn drop(&mut self) {
        switch::set_on(false);
        switch::count_requests(false);
        extractors::set(None);
        current::clear();
    }
}

type Headers = HashMap<String, String>;

fn produce(topic: &str, details: &[(&str, &str)], headers: &mut Headers) {
    let mut span = Span::start(&SEND);
    events::dispatch::<MessageProduce<'_>>(|| {
        let mut event = MessageProduce::new(&mut span, "kafka", Some(topic));
        event.details = details;
        event.size = 100;
        event.headers = Some(headers);
        event
    });
}

fn consume(topic: &str, group: &str, details: &[(&str, &str)], headers: &Headers) {
    let mut span = Span::start(&SEND);
    events::dispatch::<MessageConsume<'_>>(|| {
        let mut event = MessageConsume::new(&mut span, "kafka", topic, headers);
        event.group = Some(group);
        event.details = details;
        event.size = 100;
        event
    });
}

const TOPIC: &str = "dsm-system-tests-queue";

/// Vectors V1 and V2 of §15.3.
#[test]
fn what_integrations_dispatch_has_the_hashes_of_the_reference() {
    let cluster: &[(&str, &str)] = &[("kafka_cluster_id", "5L6g3nShT-eMCtK--X86sw")];
    for (details, sent, received) in [
        (
            &[][..],
            4_463_699_290_244_539_355_u64,
            3_735_318_893_869_752_335_u64,
        ),
        (
            cluster,
            14_216_899_112_169_674_443,
            4_247_242_616_665_718_048,
        ),
    ] {
        let mut on = On::new("weblog", Some("system-tests"));
        let mut headers = Headers::new();
        produce(TOPIC, details, &mut headers);
        assert!(headers.contains_key("dd-pathway-ctx-base64"));
        consume(TOPIC, "testgroup1", details, &headers);
        let points = on.points();
        let shown: Vec<_> = points
            .iter()
            .map(|point| (point.hash, point.parent, point.payload_size))
            .collect();
        assert_eq!(shown, [(sent, 0, 149), (received, sent, 100)]);
        let tagged: Vec<_> = on
            .recorder
            .take()
            .into_iter()
            .map(|span| span.meta("pathway.hash").map(str::to_owned))
            .collect();
        assert_eq!(tagged, [Some(sent.to_string()), Some(received.to_string())]);
    }
}

#[test]
fn work_that_was_handed_on_goes_on_from_its_own_message() {
    let mut on = On::new("s", None);
    let messages = ["a", "b"].map(|topic| {
        let mut headers = Headers::new();
        produce(topic, &[], &mut headers);
        // A producer elsewhere: nothing of it is in force here.
        current::clear();
        headers
    });
    for (topic, headers) in ["a", "b"].iter().zip(&messages) {
        consume(topic, "g", &[], headers);
    }
    let consumed: Vec<_> = on.points()[2..].iter().map(|point| point.hash).collect();
    // Both are worked on after both have arrived, the first one first.
    for (topic, headers) in ["a", "b"].iter().zip(&messages) {
        let mut span = Span::start(&WORK);
        events::dispatch::<MessageProcess<'_>>(|| {
            let mut event = MessageProcess::new(&mut span, "kafka", topic, headers);
            event.group = Some("g");
            event
        });
        let _active = span.enter();
        produce("c", &[], &mut Headers::new());
    }
    let points = on.points();
    assert_eq!(points.len(), 2, "working on a message is no checkpoint");
    let parents: Vec<_> = points.iter().map(|point| point.parent).collect();
    assert_eq!(parents, consumed);
}

/// §17: two tasks on one thread alternate, each consumes a message of its own and produces.
#[test]
fn tasks_that_alternate_on_one_thread_do_not_cross() {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    let mut on = On::new("s", None);
    let messages = ["a", "b"].map(|topic| {
        let mut headers = Headers::new();
        produce(topic, &[], &mut headers);
        current::clear();
        headers
    });
    let task = |topic: &'static str, headers: &'static Headers| async move {
        for _ in 0..3 {
            consume(topic, "g", &[], headers);
            let mut is_second = false;
            std::future::poll_fn(|_| match std::mem::replace(&mut is_second, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            produce("c", &[], &mut Headers::new());
        }
    };
    let [a, b]: [&'static Headers; 2] = messages.map(|headers| &*Box::leak(Box::new(headers)));
    let instrument = ddtrace_core::trace::instrument;
    let mut first = pin!(instrument(Span::start(&WORK), task("a", a)));
    let mut second = pin!(instrument(Span::start(&SEND), task("b", b)));
    let mut context = Context::from_waker(Waker::noop());
    let mut tasks: [Pin<&mut dyn Future<Output = ()>>; 2] = [first.as_mut(), second.as_mut()];
    for _ in 0..4 {
        for task in &mut tasks {
            let _ = task.as_mut().poll(&mut context);
        }
    }
    let points: Vec<_> = on.points().split_off(2);
    let of = |tag: &str| -> Vec<&Point> {
        let has = |point: &&Point| point.tags.iter().any(|own| own == tag);
        points.iter().filter(has).collect()
    };
    let hashes = ["topic:a", "topic:b"].map(|topic| of(topic)[0].hash);
    let parents: Vec<_> = of("topic:c").iter().map(|point| point.parent).collect();
    assert_eq!(parents.len(), 6);
    for pair in parents.chunks(2) {
        assert_eq!(pair, hashes);
    }
}

#[test]
fn a_request_does_not_go_on_from_a_message_that_its_thread_consumed() {
    let mut on = On::new("s", None);
    consume("a", "g", &[], &Headers::new());
    assert!(current::get().is_some());
    let (method, uri) = (http::Method::GET, http::Uri::from_static("/"));
    let headers = http::HeaderMap::new();
    let mut span = Span::start(&WORK);
    events::dispatch::<HttpServerRequest<'_>>(|| {
        HttpServerRequest::new(&mut span, &method, &uri, &headers)
    });
    {
        let _active = span.enter();
        assert_eq!(current::get(), None);
        produce("b", &[], &mut Headers::new());
    }
    assert_eq!(on.points()[1].parent, 0);
    assert!(current::get().is_some(), "the thread's own stays");
}

#[test]
fn places_without_a_topic_and_with_details_have_the_tags_of_the_reference() {
    let mut on = On::new("s", None);
    let mut span = Span::start(&SEND);
    for (system, destination, details, expected) in [
        (
            "rabbitmq",
            None,
            &[("exchange", "e"), ("has_routing_key", "true")][..],
            "direction:out exchange:e has_routing_key:true type:rabbitmq",
        ),
        (
            "eventbridge",
            Some("order placed"),
            &[("exchange", "default")],
            "direction:out exchange:default topic:order placed type:eventbridge",
        ),
        ("sqs", Some("q"), &[], "direction:out topic:q type:sqs"),
    ] {
        events::dispatch::<MessageProduce<'_>>(|| {
            let mut event = MessageProduce::new(&mut span, system, destination);
            event.details = details;
            event
        });
        let point = on.points().remove(0);
        let tags: Vec<_> = point.tags.iter().collect();
        assert_eq!(tags.join(" "), expected);
    }
}

/// The estimate of §7 for Kinesis: both latencies are counted from when the record arrived in the stream.
#[test]
fn the_arrival_in_the_stream_counts_where_the_integration_knows_it() {
    let mut on = On::new("s", None);
    let mut span = Span::start(&SEND);
    let arrived = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    events::dispatch::<MessageConsume<'_>>(|| {
        let headers: &'static Headers = Box::leak(Box::default());
        let mut event = MessageConsume::new(&mut span, "kinesis", "stream", headers);
        event.arrived_at = Some(arrived);
        event
    });
    let point = on.points().remove(0);
    assert!(point.edge_latency.seconds() >= 3600.0 && point.pathway_latency.seconds() >= 3600.0);
    assert_eq!(
        point.tags.iter().collect::<Vec<_>>().join(" "),
        "direction:in topic:stream type:kinesis"
    );
}

#[test]
fn offsets_of_kafka_are_observed_and_those_of_others_are_not() {
    let mut on = On::new("s", None);
    for system in ["kafka", "sqs"] {
        let mut delivered = MessageDelivered::new(system, "t", 1);
        delivered.offset = Some(7);
        events::dispatch::<MessageDelivered<'_>>(|| delivered);
        events::dispatch::<MessageDelivered<'_>>(|| MessageDelivered::new(system, "t", 1));
        for offset in [8, -1] {
            events::dispatch::<MessageCommit<'_>>(|| {
                MessageCommit::new(system, "g", "t", 1, offset)
            });
        }
        events::dispatch::<MessageWatermark<'_>>(|| MessageWatermark::new(system, "t", 1, 9));
    }
    let offsets: Vec<_> = on
        .others()
        .into_iter()
        .filter_map(|observation| match observation {
            Rare::Offset(position, offset, _) => Some((position.kind, offset)),
            _ => None,
        })
        .collect();
    use crate::bucket::PositionKind::{Commit, HighWatermark, Produce};
    assert_eq!(offsets, [(Produce, 7), (Commit, 8), (HighWatermark, 9)]);
}

#[test]
fn transactions_are_read_from_the_headers_that_the_user_named() {
    let mut on = On::new("s", None);
    extractors::set(Some(
        r#"[{"name": "sent", "type": "KAFKA_PRODUCE_HEADERS", "value": "X-Order"},
            {"name": "got", "type": "KAFKA_CONSUME_HEADERS", "value": "x-order"},
            {"name": "asked", "type": "HTTP_IN_HEADERS", "value": "x-order"},
            {"name": "asking", "type": "HTTP_OUT_HEADERS", "value": "x-order"}]"#,
    ));
    let mut headers = Headers::from([("x-order".to_owned(), "o1".to_owned())]);
    produce("t", &[], &mut headers);
    consume("t", "g", &[], &headers);
    let mut of_http = http::HeaderMap::new();
    of_http.insert("x-order", http::HeaderValue::from_static("o2"));
    let (method, uri) = (http::Method::GET, http::Uri::from_static("/"));
    let mut span = Span::start(&WORK);
    events::dispatch::<HttpServerRequest<'_>>(|| {
        HttpServerRequest::new(&mut span, &method, &uri, &of_http)
    });
    events::dispatch::<HttpClientRequest<'_>>(|| {
        HttpClientRequest::new(&mut span, &method, "http://h/", &of_http)
    });
    let passed: Vec<_> = on
        .others()
        .into_iter()
        .filter_map(|observation| match observation {
            Rare::Transaction(it) => Some(format!("{} {}", it.checkpoint, it.id)),
            _ => None,
        })
        .collect();
    assert_eq!(passed, ["sent o1", "got o1", "asked o2", "asking o2"]);
    let spans = on.recorder.take();
    assert_eq!(spans[0].meta("dsm.transaction.id"), Some("o1"));
    assert_eq!(spans[0].meta("dsm.transaction.checkpoint"), Some("sent"));
}

#[test]
fn spans_say_what_was_serialised_and_those_that_are_kept_how_it_looks() {
    use crate::schema::{self, Property, Schema};

    let on = On::new("s", None);
    let schema = Schema::json("User", [("User", [("name", Property::of("string"))])]);
    // Nobody has decided about the trace yet: only the name.
    let undecided = enter(&WORK);
    schema::serialized(&schema);
    schema::deserialized(&schema);
    drop(undecided);
    // Injecting decides.
    let kept = enter(&WORK);
    ddtrace_core::trace::inject(&mut Headers::new());
    schema::serialized(&schema);
    drop(kept);
    let again = enter(&WORK);
    ddtrace_core::trace::inject(&mut Headers::new());
    schema::serialized(&schema);
    drop(again);
    // Off: not a word.
    switch::set_on(false);
    let off = enter(&WORK);
    schema::serialized(&schema);
    drop(off);

    let spans = on.recorder.take();
    let shown: Vec<_> = spans
        .iter()
        .map(|span| {
            (
                span.meta("schema.operation"),
                span.meta("schema.id"),
                span.metric("schema.weight"),
            )
        })
        .collect();
    let expected = [
        (Some("deserialization"), None, None),
        (Some("serialization"), Some(schema.id()), Some(2.0)),
        (Some("serialization"), None, None),
        (None, None, None),
    ];
    assert_eq!(shown, expected);
    assert_eq!(spans[1].meta("schema.type"), Some("json"));
    assert_eq!(spans[1].meta("schema.name"), Some("User"));
    assert_eq!(
        spans[1].meta("schema.definition"),
        Some(schema.definition())
    );
}

#[test]
fn switched_off_nothing_is_written_and_nothing_observed() {
    let on = On::new("s", None);
    switch::set_on(false);
    let mut headers = Headers::new();
    let active = enter(&WORK);
    produce("t", &[], &mut headers);
    consume("t", "g", &[], &headers);
    drop(active);
    assert!(headers.is_empty());
    assert!(on.waiting.next().is_none());
    assert!(
        on.recorder
            .take()
            .iter()
            .all(|span| span.meta("pathway.hash").is_none())
    );
}

/// The hash is that of `test_dsm_http` in system-tests, `tests/integrations/test_dsm.py`; tags and headers are those of
/// dd-trace-java's `HttpClientTest`, `HttpServerTest` and `GrpcTest`.
#[test]
fn requests_are_checkpoints_if_the_user_wants_that() {
    const ANSWERED: u64 = 3_883_033_147_046_472_598;
    let mut on = On::new("weblog", Some("system-tests"));
    let (method, uri) = (http::Method::GET, http::Uri::from_static("/"));
    for is_wanted in [false, true] {
        switch::count_requests(is_wanted);
        let none = http::HeaderMap::new();
        let mut sent = http::HeaderMap::new();
        let mut serving = Span::start(&WORK);
        events::dispatch::<HttpServerRequest<'_>>(|| {
            HttpServerRequest::new(&mut serving, &method, &uri, &none)
        });
        let active = serving.enter();
        let mut calling = Span::start(&SEND);
        events::dispatch::<OutgoingHeaders<'_>>(|| {
            OutgoingHeaders::new(&mut calling, "grpc", &mut sent)
        });
        drop(calling);
        drop(active);
        drop(serving);
        let mut called = Span::start(&WORK);
        events::dispatch::<RpcServerRequest<'_>>(|| {
            RpcServerRequest::new(&mut called, "grpc", "/tea.Kettle/Boil", &sent)
        });
        let pathway = {
            let _active = called.enter();
            current::get()
        };
        drop(called);
        assert_eq!(sent.contains_key("dd-pathway-ctx-base64"), is_wanted);
        let points = on.points();
        let tagged: Vec<_> = on
            .recorder
            .take()
            .iter()
            .filter_map(|span| span.meta("pathway.hash").map(str::to_owned))
            .collect();
        if !is_wanted {
            assert_eq!((points.len(), tagged.len(), pathway), (0, 0, None));
            continue;
        }
        let shown: Vec<_> = points
            .iter()
            .map(|point| {
                let tags: Vec<_> = point.tags.iter().collect();
                (tags.join(" "), point.parent, point.payload_size)
            })
            .collect();
        let expected = [
            ("direction:in type:http".to_owned(), 0, 0),
            ("direction:out type:grpc".to_owned(), ANSWERED, 0),
            ("direction:in type:grpc".to_owned(), points[1].hash, 0),
        ];
        assert_eq!(shown, expected);
        assert_eq!(points[0].hash, ANSWERED);
        assert_eq!(pathway.map(|it| it.hash()), Some(points[2].hash));
        let hashes: Vec<_> = points.iter().map(|point| point.hash.to_string()).collect();
        assert_eq!(tagged, hashes);
    }
}
