//! The acceptance table of injection (B), row by row under its numbers, and what a context of our own adds to it.

use std::collections::BTreeMap;

use http::header::HeaderMap;

use super::*;
use crate::sampling::SamplingPriority;
use crate::trace::{SpanId, TraceId};

/// One row of table B: a context, and what must be written.
struct Injection<'a> {
    number: &'a str,
    trace_id: u128,
    priority: Option<i32>,
    tags: &'a [(&'a str, &'a str)],
    tracestate: Option<&'a str>,
    is_remote: bool,
    error: Option<PropagationError>,
    max_tags_length: usize,
    baggage: &'a [(&'a str, &'a str)],
    old_baggage: bool,
    headers: &'a [(&'a str, &'a str)],
    new_error: Option<PropagationError>,
}

const INJECTION: Injection<'static> = Injection {
    number: "",
    trace_id: 0x6400_0000_0000_0000_0000_0000_0000_0001,
    priority: Some(1),
    tags: &[],
    tracestate: None,
    is_remote: false,
    error: None,
    max_tags_length: 512,
    baggage: &[],
    old_baggage: false,
    headers: &[],
    new_error: None,
};

#[test]
fn contexts_are_injected_as_the_table_says() {
    const IDS: [(&str, &str); 2] = [("x-datadog-trace-id", "1"), ("x-datadog-parent-id", "11")];
    const KEPT: (&str, &str) = (
        "traceparent",
        "00-64000000000000000000000000000001-000000000000000b-01",
    );
    const UNDECIDED: (&str, &str) = (
        "traceparent",
        "00-64000000000000000000000000000001-000000000000000b-00",
    );
    let priority = |priority| ("x-datadog-sampling-priority", priority);
    let tags = |tags| ("x-datadog-tags", tags);
    let state = |state| ("tracestate", state);
    let big = "x".repeat(475);
    let long = "x".repeat(8190);
    let long_header = format!("a={long}");
    let big_header = format!("_dd.p.big={big},_dd.p.tid=6400000000000000");
    let tid = ("_dd.p.tid", "6400000000000000");
    let tid_only = tags("_dd.p.tid=6400000000000000");
    let plain_state = state("dd=p:000000000000000b;s:1;t.tid:6400000000000000");

    let rows = [
        Injection {
            number: "B1",
            headers: &[priority("1"), tid_only, KEPT, plain_state],
            ..INJECTION
        },
        Injection {
            number: "B2",
            priority: None,
            headers: &[
                tid_only,
                UNDECIDED,
                state("dd=p:000000000000000b;t.tid:6400000000000000"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B3",
            priority: Some(2),
            tags: &[("_dd.p.dm", "-4"), tid],
            headers: &[
                priority("2"),
                tags("_dd.p.dm=-4,_dd.p.tid=6400000000000000"),
                KEPT,
                state("dd=p:000000000000000b;s:2;t.dm:-4;t.tid:6400000000000000"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B4",
            tags: &[("_dd.p.dm", "-4"), ("_dd.p.usr.id", "baz64=="), tid],
            headers: &[
                priority("1"),
                tags("_dd.p.dm=-4,_dd.p.usr.id=baz64==,_dd.p.tid=6400000000000000"),
                KEPT,
                state("dd=p:000000000000000b;s:1;t.dm:-4;t.usr.id:baz64~~;t.tid:6400000000000000"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B5",
            tags: &[("_dd.p.x", "a;b~c=d"), tid],
            headers: &[
                priority("1"),
                tags("_dd.p.x=a;b~c=d,_dd.p.tid=6400000000000000"),
                KEPT,
                state("dd=p:000000000000000b;s:1;t.x:a_b_c~d;t.tid:6400000000000000"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B6",
            tags: &[("other", "1"), ("_dd.p.ok", "2"), tid],
            headers: &[
                priority("1"),
                tags("_dd.p.ok=2,_dd.p.tid=6400000000000000"),
                KEPT,
                state("dd=p:000000000000000b;s:1;t.ok:2;t.tid:6400000000000000"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B7",
            tags: &[("_dd.p.big", &big), tid],
            headers: &[priority("1"), tags(&big_header), KEPT, plain_state],
            ..INJECTION
        },
        Injection {
            number: "B8",
            tags: &[tid],
            tracestate: Some("dd=s:1"),
            headers: &[priority("1"), tid_only, KEPT, plain_state],
            ..INJECTION
        },
        Injection {
            number: "B9",
            is_remote: true,
            headers: &[
                priority("1"),
                tid_only,
                KEPT,
                state("dd=s:1;t.tid:6400000000000000"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B10",
            trace_id: 0,
            ..INJECTION
        },
        Injection {
            number: "B11",
            baggage: &[("foo", "bar"), ("baz", "qux")],
            headers: &[
                priority("1"),
                tid_only,
                KEPT,
                plain_state,
                ("baggage", "foo=bar,baz=qux"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B12",
            baggage: &[("\",;\\()/:<=>?@[]{}", "\",;\\")],
            headers: &[
                priority("1"),
                tid_only,
                KEPT,
                plain_state,
                (
                    "baggage",
                    "%22%2C%3B%5C%28%29%2F%3A%3C%3D%3E%3F%40%5B%5D%7B%7D=%22%2C%3B%5C",
                ),
            ],
            ..INJECTION
        },
        Injection {
            number: "B13",
            baggage: &[("n", "5")],
            headers: &[
                priority("1"),
                tid_only,
                KEPT,
                plain_state,
                ("baggage", "n=5"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B14",
            baggage: &[("a", &long), ("b", "1")],
            headers: &[
                priority("1"),
                tid_only,
                KEPT,
                plain_state,
                ("baggage", &long_header),
            ],
            ..INJECTION
        },
        Injection {
            number: "B21",
            baggage: &[("k", "v")],
            old_baggage: true,
            headers: &[
                priority("1"),
                tid_only,
                KEPT,
                plain_state,
                ("baggage", "k=v"),
                ("ot-baggage-k", "v"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B15",
            tags: &[("_dd.p.x", "1"), tid],
            error: Some(PropagationError::Decoding),
            headers: &[
                priority("1"),
                KEPT,
                state("dd=p:000000000000000b;s:1;t.x:1;t.tid:6400000000000000"),
            ],
            ..INJECTION
        },
        Injection {
            number: "B22",
            tags: &[("_dd.p.x", "1"), tid],
            max_tags_length: 0,
            headers: &[
                priority("1"),
                KEPT,
                state("dd=p:000000000000000b;s:1;t.x:1;t.tid:6400000000000000"),
            ],
            new_error: Some(PropagationError::Disabled),
            ..INJECTION
        },
        Injection {
            number: "one byte more than B7",
            tags: &[("_dd.p.big2", &big), tid],
            headers: &[priority("1"), KEPT, plain_state],
            new_error: Some(PropagationError::InjectMaxSize),
            ..INJECTION
        },
        Injection {
            number: "a tag with a comma",
            tags: &[("_dd.p.x", "1,2"), tid],
            headers: &[
                priority("1"),
                KEPT,
                state("dd=p:000000000000000b;s:1;t.x:1_2;t.tid:6400000000000000"),
            ],
            new_error: Some(PropagationError::Encoding),
            ..INJECTION
        },
    ];
    for row in rows {
        let mut row_tags = PropagationTags::default();
        row.tags
            .iter()
            .for_each(|(key, value)| row_tags.set(key, value));
        let mut context =
            InjectContext::new(TraceId::from(row.trace_id), SpanId::new(11), &row_tags);
        context.priority = row.priority.map(SamplingPriority::new);
        context.tracestate = row.tracestate;
        context.is_remote = row.is_remote;
        context.propagation_error = row.error.as_ref();
        let baggage: Baggage = row.baggage.iter().copied().collect();
        context.baggage = Some(&baggage);

        let mut written = BTreeMap::new();
        let propagator = Propagator::default()
            .with_max_tags_length(row.max_tags_length)
            .with_old_baggage(row.old_baggage);
        assert_eq!(
            propagator.inject(&context, &mut written),
            row.new_error,
            "{}",
            row.number
        );
        let ids = if row.headers.is_empty() {
            &[][..]
        } else {
            &IDS
        };
        let expected = ids.iter().chain(row.headers);
        let expected: BTreeMap<_, _> = expected
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(written, expected, "{}", row.number);
    }
}

#[test]
fn b3_is_injected_as_the_table_says() {
    const WIDE: u128 = 0x6400_0000_0000_0000_0000_0000_0000_0001;
    let trace_id = ("x-b3-traceid", "64000000000000000000000000000001");
    let span_id = ("x-b3-spanid", "000000000000000b");
    let multi = &[Style::B3Multi][..];
    let single = &[Style::B3][..];
    for (number, styles, id, priority, headers) in [
        (
            "B16",
            multi,
            WIDE,
            Some(1),
            vec![trace_id, span_id, ("x-b3-sampled", "1")],
        ),
        (
            "B17",
            multi,
            WIDE,
            Some(2),
            vec![trace_id, span_id, ("x-b3-flags", "1")],
        ),
        (
            "B18",
            multi,
            0x7b,
            Some(1),
            vec![
                ("x-b3-traceid", "000000000000007b"),
                span_id,
                ("x-b3-sampled", "1"),
            ],
        ),
        (
            "B19",
            single,
            WIDE,
            Some(0),
            vec![("b3", "64000000000000000000000000000001-000000000000000b-0")],
        ),
        (
            "B20",
            single,
            WIDE,
            None,
            vec![("b3", "64000000000000000000000000000001-000000000000000b")],
        ),
        (
            "B23",
            &[Style::Datadog, Style::B3],
            WIDE,
            Some(1),
            vec![
                ("x-datadog-trace-id", "1"),
                ("x-datadog-parent-id", "11"),
                ("x-datadog-sampling-priority", "1"),
                ("x-datadog-tags", "_dd.p.tid=6400000000000000"),
                ("b3", "64000000000000000000000000000001-000000000000000b-1"),
            ],
        ),
        (
            "dropped by a user",
            multi,
            WIDE,
            Some(-1),
            vec![trace_id, span_id, ("x-b3-sampled", "0")],
        ),
        ("undecided", multi, WIDE, None, vec![trace_id, span_id]),
        (
            "kept by a user",
            single,
            0x7b,
            Some(2),
            vec![("b3", "000000000000007b-000000000000000b-d")],
        ),
        ("no trace", &[Style::B3Multi, Style::B3], 0, Some(1), vec![]),
    ] {
        let tags = PropagationTags::default();
        let mut context = InjectContext::new(TraceId::from(id), SpanId::new(11), &tags);
        context.priority = priority.map(SamplingPriority::new);
        let mut written = BTreeMap::new();
        assert_eq!(
            Propagator::new(styles, styles).inject(&context, &mut written),
            None
        );
        let expected: BTreeMap<_, _> = headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        assert_eq!(written, expected, "{number}");
    }
}

#[test]
fn baggage_needs_no_trace() {
    let tags = PropagationTags::default();
    let baggage: Baggage = [("k", "v")].into_iter().collect();
    let mut context = InjectContext::new(TraceId::default(), SpanId::default(), &tags);
    context.baggage = Some(&baggage);
    let mut written = BTreeMap::new();
    let propagator = Propagator::default().with_old_baggage(true);
    assert_eq!(propagator.inject(&context, &mut written), None);
    let expected = BTreeMap::from([("baggage".to_owned(), "k=v".to_owned())]);
    assert_eq!(written, expected);
}

#[test]
fn decisions_made_here_take_the_place_of_inbound_ones() {
    let mut tags = PropagationTags::default();
    tags.set("_dd.p.dm", "-1");
    tags.set("_dd.p.x", "1");
    let mut context = InjectContext::new(TraceId::new(0, 1), SpanId::new(11), &tags);
    context.decision_maker = Some("-4");
    context.keep_rate = Some("0.5");
    let mut written = BTreeMap::new();
    Propagator::default().inject(&context, &mut written);
    assert_eq!(
        written["x-datadog-tags"],
        "_dd.p.dm=-4,_dd.p.x=1,_dd.p.ksr=0.5"
    );
    assert_eq!(
        written["tracestate"],
        "dd=p:000000000000000b;t.dm:-4;t.x:1;t.ksr:0.5"
    );
}

#[test]
fn a_trace_without_a_parent_is_passed_on_in_the_style_that_can_say_so() {
    let context = SpanContext::new(TraceId::new(0, 7), None);
    let mut written = BTreeMap::new();
    Propagator::default().inject(&InjectContext::remote(&context), &mut written);
    let expected = [("x-datadog-parent-id", "0"), ("x-datadog-trace-id", "7")];
    assert_eq!(
        written,
        expected
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    );
}

#[test]
fn tags_beyond_the_stack_are_sent_if_the_limit_allows() {
    let mut tags = PropagationTags::default();
    tags.set("_dd.p.big", &"x".repeat(5000));
    let context = InjectContext::new(TraceId::new(0, 1), SpanId::new(11), &tags);
    let propagator = Propagator::default().with_max_tags_length(10_000);
    let mut written = HeaderMap::new();
    assert_eq!(propagator.inject(&context, &mut written), None);
    assert_eq!(written["x-datadog-tags"].len(), "_dd.p.big=".len() + 5000);
    assert_eq!(propagator.extract(&written).context.unwrap().tags, tags);
}
