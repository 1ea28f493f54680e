//! The acceptance table of injection (B), row by row under its numbers, and what a context of our own adds to it. Rows
//! about styles that are not there yet are left out.

use std::collections::BTreeMap;

use http::header::HeaderMap;

use super::*;
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

        let mut written = BTreeMap::new();
        let propagator = Propagator::default().with_max_tags_length(row.max_tags_length);
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
