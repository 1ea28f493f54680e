//! What becomes of spans that OpenTelemetry makes. Expected values are those of `core.md` and of system-tests,
//! `tests/parametric/test_otel_span_methods.py`.

use std::error::Error;
use std::fmt;
use std::time::{Duration, SystemTime};

use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::EventValue;
use ddtrace_opentelemetry::{Span, Tracer, TracerProvider};
use opentelemetry::trace::{
    Event, Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt, TraceFlags, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Array, Context, KeyValue, SpanId, StringValue, TraceId, Value};

fn tracer() -> Tracer {
    TracerProvider::new().tracer("test")
}

fn texts(texts: &[&'static str]) -> Value {
    let texts: Vec<StringValue> = texts.iter().map(|text| (*text).into()).collect();
    Value::Array(texts.into())
}

/// Records what `work` does with a span, and gives it.
#[track_caller]
fn span(kind: SpanKind, work: impl FnOnce(&mut Span)) -> SpanData {
    let recorder = Recorder::new();
    let tracer = tracer();
    let mut span = tracer
        .span_builder("operation")
        .with_kind(kind)
        .start(&tracer);
    work(&mut span);
    span.end();
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:?}");
    spans.remove(0)
}

#[test]
fn the_name_is_the_resource_and_kind_and_attributes_name_the_operation() {
    let span = span(SpanKind::Client, |span| {
        assert!(span.is_recording());
        span.set_attribute(KeyValue::new("messaging.system", "Kafka"));
        span.set_attribute(KeyValue::new("messaging.operation", "Receive"));
        span.update_name("orders");
    });
    assert_eq!((&*span.name, &*span.resource), ("kafka.receive", "orders"));
    assert_eq!(span.meta("span.kind"), Some("client"));
    assert_eq!(span.meta("messaging.system"), Some("Kafka"));
}

#[test]
fn a_span_without_a_kind_is_internal() {
    let recorder = Recorder::new();
    drop(tracer().start("work"));
    let spans = recorder.take();
    assert_eq!((&*spans[0].name, &*spans[0].resource), ("internal", "work"));
    assert_eq!(spans[0].meta("span.kind"), Some("internal"));
}

#[test]
fn attributes_become_tags_by_their_type() {
    let array = |array: Array| Value::Array(array);
    let span = span(SpanKind::Producer, |span| {
        span.set_attributes([
            KeyValue::new("str_val", "val"),
            KeyValue::new("str_val_empty", ""),
            KeyValue::new("bool_val", true),
            KeyValue::new("int_val", 1),
            KeyValue::new("int_val_zero", 0),
            KeyValue::new("double_val", 4.2),
            KeyValue::new("array_val_str", texts(&["val1", "val2"])),
            KeyValue::new("array_val_int", array(vec![10, 20].into())),
            KeyValue::new("array_val_bool", array(vec![true, false].into())),
            KeyValue::new("array_val_double", array(vec![10.1, 20.2].into())),
            KeyValue::new("http.response.status_code", 200),
        ]);
    });
    for (key, value) in [
        ("str_val", "val"),
        ("str_val_empty", ""),
        ("bool_val", "true"),
        ("array_val_str.0", "val1"),
        ("array_val_str.1", "val2"),
        ("array_val_bool.0", "true"),
        ("array_val_bool.1", "false"),
        ("http.status_code", "200"),
    ] {
        assert_eq!(span.meta(key), Some(value), "{key}");
    }
    for (key, value) in [
        ("int_val", 1.0),
        ("int_val_zero", 0.0),
        ("double_val", 4.2),
        ("array_val_int.0", 10.0),
        ("array_val_int.1", 20.0),
        ("array_val_double.0", 10.1),
        ("array_val_double.1", 20.2),
    ] {
        assert_eq!(span.metric(key), Some(value), "{key}");
    }
    for key in ["http.response.status_code", "array_val_str"] {
        assert_eq!((span.meta(key), span.metric(key)), (None, None), "{key}");
    }
}

#[test]
fn reserved_attributes_set_fields_and_leave_no_tag() {
    let span = span(SpanKind::Server, |span| {
        span.set_attributes([
            KeyValue::new("http.request.method", "GET"),
            KeyValue::new("resource.name", "new.name"),
            KeyValue::new("operation.name", "overriden.name"),
            KeyValue::new("service.name", "new.service.name"),
            KeyValue::new("span.type", "new.span.type"),
            KeyValue::new("analytics.event", "true"),
            // Names nothing any more.
            KeyValue::new("network.protocol.name", "amqp"),
        ]);
    });
    assert_eq!(
        (&*span.name, &*span.resource),
        ("overriden.name", "new.name")
    );
    assert_eq!(
        (&*span.service, &*span.span_type),
        ("new.service.name", "new.span.type")
    );
    assert_eq!(span.metric("_dd1.sr.eausr"), Some(1.0));
    for key in [
        "resource.name",
        "operation.name",
        "service.name",
        "span.type",
        "analytics.event",
    ] {
        assert_eq!((span.meta(key), span.metric(key)), (None, None), "{key}");
    }
}

#[test]
fn times_that_are_given_are_kept_and_the_first_end_counts() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let at = |micros| SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
    let builder = tracer.span_builder("operation").with_start_time(at(12_345));
    let mut span = builder.start(&tracer);
    span.end_with_timestamp(at(12_345 + 6_789));
    assert!(!span.is_recording());
    span.end_with_timestamp(at(99_999));
    span.update_name("too late");
    span.set_attribute(KeyValue::new("after_finish", true));
    span.add_event("too late", Vec::new());
    let spans = recorder.take();
    assert_eq!((spans[0].start, spans[0].duration), (12_345_000, 6_789_000));
    assert_eq!(
        (&*spans[0].resource, spans[0].meta("after_finish")),
        ("operation", None)
    );
    assert!(spans[0].events.is_empty());
}

#[test]
fn a_span_that_began_long_ago_lasts_until_it_is_ended() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let hour = Duration::from_secs(3600);
    let builder = tracer
        .span_builder("operation")
        .with_start_time(SystemTime::now() - hour);
    builder.start(&tracer).end();
    let duration = Duration::from_nanos(recorder.take()[0].duration as u64);
    assert!(duration >= hour, "{duration:?}");
}

#[test]
fn an_error_is_taken_back_by_ok_which_is_final() {
    let failed = span(SpanKind::Internal, |span| {
        span.set_status(Status::error("error_desc"));
        span.set_status(Status::Unset);
    });
    assert!(failed.error);
    assert_eq!(failed.meta("error.message"), Some("error_desc"));

    let fine = span(SpanKind::Internal, |span| {
        span.set_status(Status::error("before"));
        span.set_status(Status::Ok);
        span.set_status(Status::error("after"));
    });
    assert!(!fine.error);
    assert_eq!(fine.meta("error.message"), None);
}

#[derive(Debug)]
struct Broken(Option<Box<Broken>>);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "outer" } else { "inner" })
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.as_deref().map(|error| error as _)
    }
}

#[test]
fn an_exception_describes_a_failure_but_does_not_make_one() {
    let error = Broken(Some(Box::new(Broken(None))));
    let handled = span(SpanKind::Internal, |span| span.record_error(&error));
    assert!(!handled.error);
    assert_eq!(
        (handled.meta("error.message"), handled.meta("error.type")),
        (None, None)
    );
    assert_eq!(handled.meta("_dd.span_events.has_exception"), Some("true"));
    let event = &handled.events[0];
    let attribute = |name: &str| {
        let found = event.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.clone())
    };
    assert_eq!(event.name, "exception");
    assert_eq!(attribute("exception.message"), Some("outer".into()));
    let chain = "outer\ncaused by: inner";
    assert_eq!(attribute("exception.stacktrace"), Some(chain.into()));

    // Whichever comes first.
    let after = span(SpanKind::Internal, |span| {
        span.record_error(&error);
        span.set_status(Status::error(""));
    });
    let before = span(SpanKind::Internal, |span| {
        span.set_status(Status::error("error_desc"));
        span.record_error(&error);
        span.add_event(
            "exception",
            vec![KeyValue::new("exception.message", "override")],
        );
    });
    for (span, message) in [(&after, "outer"), (&before, "override")] {
        assert!(span.error);
        assert_eq!(span.meta("error.message"), Some(message));
        assert_eq!(span.meta("error.type"), Some("Error"));
        assert_eq!(span.meta("error.stack"), Some(chain));
    }
}

#[test]
fn events_keep_time_and_types() {
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(123_450);
    let attributes = vec![
        KeyValue::new("string", "bar"),
        KeyValue::new("bool", true),
        KeyValue::new("int", 1),
        KeyValue::new("double", 2.3),
        KeyValue::new("int_arr", Value::Array(vec![5, 6].into())),
    ];
    let span = span(SpanKind::Internal, |span| {
        span.add_event_with_timestamp("event_name", at, attributes);
    });
    let event = &span.events[0];
    assert_eq!(
        (&*event.name, event.time_unix_nano),
        ("event_name", 123_450_000)
    );
    let values: Vec<_> = event
        .attributes
        .iter()
        .map(|(_, value)| value.clone())
        .collect();
    let expected: [EventValue; 5] = [
        "bar".into(),
        true.into(),
        1.into(),
        2.3.into(),
        vec![5, 6].into(),
    ];
    assert_eq!(values, expected);
}

#[test]
fn links_say_what_they_point_at() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let mut first = tracer.start("first");
    let target = first.span_context().clone();
    first.end();
    let foreign = SpanContext::new(
        TraceId::from((16 << 64) | 1_u128),
        SpanId::from(17),
        TraceFlags::NOT_SAMPLED,
        true,
        TraceState::from_key_value([("foo", "1")]).expect("it is valid"),
    );
    let attributes = vec![
        KeyValue::new("foo", "bar"),
        KeyValue::new("array", texts(&["a", "b"])),
    ];
    let builder =
        tracer
            .span_builder("second")
            .with_links(vec![Link::new(target.clone(), attributes, 0)]);
    let mut second = builder.start(&tracer);
    second.add_link(foreign, Vec::new());
    second.add_link(SpanContext::NONE, Vec::new());
    second.end();
    let spans = recorder.take();
    let first = spans
        .iter()
        .find(|span| span.resource == "first")
        .expect("it is there");
    let second = spans
        .iter()
        .find(|span| span.resource == "second")
        .expect("it is there");
    let [one, two] = &second.links[..] else {
        panic!("{:?}", second.links)
    };
    assert_eq!(one.target.span_id.get(), first.span_id);
    assert_eq!((one.target.trace_id, one.flags), (first.trace_id, Some(1)));
    assert_eq!(
        one.attributes,
        [("foo", "bar"), ("array.0", "a"), ("array.1", "b")].map(|(k, v)| (k.into(), v.into()))
    );
    assert_eq!(
        (two.target.trace_id.high(), two.target.trace_id.low()),
        (16, 1)
    );
    assert_eq!(
        (
            two.target.span_id.get(),
            two.flags,
            two.tracestate.as_deref()
        ),
        (17, Some(0), Some("foo=1"))
    );
}

#[test]
fn what_is_built_with_a_span_is_on_it() {
    let recorder = Recorder::new();
    let tracer = tracer();
    let builder = tracer
        .span_builder("GET /")
        .with_kind(SpanKind::Server)
        .with_attributes([KeyValue::new("http.request.method", "GET")])
        .with_events(vec![Event::new(
            "accepted",
            SystemTime::UNIX_EPOCH,
            Vec::new(),
            0,
        )]);
    drop(builder.start(&tracer));
    let spans = recorder.take();
    assert_eq!(
        (&*spans[0].name, spans[0].events.len()),
        ("http.server.request", 1)
    );
}

#[test]
fn the_context_decides_about_the_trace_and_stays() {
    let recorder = Recorder::with(|config| {
        config.sampling_rules(r#"[{"sample_rate": 0, "resource": "dropped"}]"#)
    });
    let tracer = tracer();
    for (name, flags) in [
        ("kept", TraceFlags::SAMPLED),
        ("dropped", TraceFlags::NOT_SAMPLED),
    ] {
        let mut span = tracer.start(name);
        let context = span.span_context().clone();
        assert_eq!(context.trace_flags(), flags, "{name}");
        assert!(context.is_valid() && !context.is_remote());
        // Too late to change the decision.
        span.update_name("other");
        span.end();
        assert_eq!(span.span_context(), &context);
        let spans = recorder.take();
        assert_eq!(
            u128::from(spans[0].trace_id).to_be_bytes(),
            context.trace_id().to_bytes()
        );
        assert_eq!(spans[0].span_id.to_be_bytes(), context.span_id().to_bytes());
        let kept = spans[0]
            .metric("_sampling_priority_v1")
            .is_some_and(|priority| priority > 0.0);
        assert_eq!(kept, flags == TraceFlags::SAMPLED, "{name}");
    }
}

#[test]
fn without_a_tracer_or_when_suppressed_the_parent_is_passed_on() {
    let remote = SpanContext::new(
        TraceId::from(1u128),
        SpanId::from(2),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let parent = Context::new().with_remote_span_context(remote.clone());
    let span = tracer().start_with_context("nobody listens", &parent);
    assert!(!span.is_recording());
    assert_eq!(span.span_context().trace_id(), remote.trace_id());

    let recorder = Recorder::new();
    let span = tracer().start_with_context("suppressed", &parent.with_telemetry_suppressed());
    assert_eq!((span.is_recording(), span.span_context()), (false, &remote));
    drop(span);
    assert_eq!(recorder.take().len(), 0);
}
