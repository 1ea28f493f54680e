//! The acceptance table of extraction (A), row by row under its numbers.

use std::collections::BTreeMap;

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

/// Number, headers, and the context in the notation of [`shown`].
type Row = (&'static str, Vec<(&'static str, &'static str)>, String);

/// A context in the notation of the table.
fn shown(extracted: &Extracted) -> String {
    if extracted.is_empty() {
        return "no context".to_owned();
    }
    let none = SpanContext::default();
    let context = extracted.context.as_ref().unwrap_or(&none);
    let mut shown = if context.trace_id.is_zero() {
        "trace none".to_owned()
    } else {
        format!("trace {}", context.trace_id)
    };
    match context.span_id {
        Some(span_id) => shown += &format!("; span {span_id}"),
        None => shown += "; span none",
    }
    if let Some(priority) = context.priority {
        shown += &format!("; prio {priority}");
    }
    if let Some(origin) = &context.origin {
        shown += &format!("; origin {origin}");
    }
    for (key, value) in context.tags.iter() {
        shown += &format!("; {key}={value}");
    }
    if let Some(last_parent_id) = &context.last_parent_id {
        shown += &format!("; _dd.parent_id={last_parent_id}");
    }
    if let Some(error) = &context.propagation_error {
        shown += &format!("; error={}", error.tag_value());
    }
    if let Some(tracestate) = &context.tracestate {
        shown += &format!("; tracestate={tracestate}");
    }
    for (key, value) in extracted.baggage.iter() {
        shown += &format!("; {key}: {value}");
    }
    for link in &extracted.links {
        let tracestate = link.tracestate.as_deref().unwrap_or("none");
        shown += &format!(
            "; link {} {} flags {} tracestate {tracestate} {} {}",
            link.trace_id, link.span_id, link.flags, link.reason, link.context_headers
        );
    }
    shown
}

const ONE: &str = "trace 00000000000000000000000000000001; span 2";
const NOTHING: &str = "trace none; span none";
const WIDE: &str = "trace 11111111111111110000000000000001; span 2";
const PARENT: &str = "00-11111111111111110000000000000001-0000000000000002-01";
const PARENT_DROPPED: &str = "00-11111111111111110000000000000001-0000000000000002-00";

#[test]
fn contexts_are_extracted_as_the_table_says() {
    let datadog = |more: &[(&'static str, &'static str)]| {
        [
            &[("x-datadog-trace-id", "1"), ("x-datadog-parent-id", "2")][..],
            more,
        ]
        .concat()
    };
    let tags = |tags: &'static str| datadog(&[("x-datadog-tags", tags)]);
    let w3c = |parent: &'static str, state: &'static str| {
        vec![("traceparent", parent), ("tracestate", state)]
    };
    let long: &'static str = String::leak(format!("_dd.p.a={}", "x".repeat(505)));
    let many: &'static str = String::leak(
        (0..33)
            .map(|number| format!("k{number}=v"))
            .collect::<Vec<_>>()
            .join(","),
    );
    let first_32 = &many[..many.len() - ",k32=v".len()];
    let wide = format!("big={},small=1,tiny=wwwwwwwwwwwwwwwwwwww", "v".repeat(500));
    let wide: &'static str = String::leak(wide);
    let wide_kept = &wide[..wide.len() - ",tiny=wwwwwwwwwwwwwwwwwwww".len()];

    let baggage = |header: &'static str| vec![("baggage", header)];
    let long_item: &'static str = String::leak(format!("a={},b=1", "x".repeat(8190)));
    let long_item_kept = format!("{NOTHING}; a: {}", "x".repeat(8190));

    let rows: Vec<Row> = vec![
        ("A1", datadog(&[]), ONE.into()),
        (
            "A2",
            datadog(&[("x-datadog-sampling-priority", "-1")]),
            format!("{ONE}; prio -1"),
        ),
        (
            "A3",
            datadog(&[("x-datadog-sampling-priority", "1.0")]),
            "no context".into(),
        ),
        (
            "A4",
            vec![
                ("x-datadog-trace-id", "18446744073709551616"),
                ("x-datadog-parent-id", "2"),
            ],
            "no context".into(),
        ),
        (
            "A5",
            vec![("x-datadog-trace-id", "abc"), ("x-datadog-parent-id", "2")],
            "no context".into(),
        ),
        (
            "A6",
            vec![("x-datadog-trace-id", "7")],
            "trace 00000000000000000000000000000007; span none".into(),
        ),
        (
            "A7",
            vec![("x-datadog-trace-id", "7"), ("x-datadog-parent-id", "zz")],
            "no context".into(),
        ),
        (
            "A8",
            vec![
                ("x-datadog-trace-id", " 1 "),
                ("x-datadog-parent-id", " 2 "),
            ],
            ONE.into(),
        ),
        (
            "A9",
            tags("_dd.p.tid=640000"),
            format!("{ONE}; error=malformed_tid 640000"),
        ),
        (
            "A10",
            tags("_dd.p.tid=0000000000000000"),
            format!("{ONE}; error=malformed_tid 0000000000000000"),
        ),
        ("A11", tags("_dd.p.dm=-4"), format!("{ONE}; _dd.p.dm=-4")),
        (
            "A12",
            tags("_dd.p.dm=-255"),
            format!("{ONE}; _dd.p.dm=-255"),
        ),
        (
            "A13",
            tags("_dd.p.dm=934086a686-4"),
            format!("{ONE}; error=decoding_error"),
        ),
        (
            "A14",
            tags("_dd.p.upstream_services=a,_dd.p.x=1"),
            format!("{ONE}; _dd.p.x=1"),
        ),
        (
            "A15",
            tags("_dd.p.a=,_dd.p.b=1"),
            format!("{ONE}; error=decoding_error"),
        ),
        ("A16", tags("_dd.p.a=1,"), format!("{ONE}; _dd.p.a=1")),
        ("A17", tags(long), format!("{ONE}; error=extract_max_size")),
        (
            "A18",
            tags("_dd.p.a=\u{e9}"),
            format!("{ONE}; error=decoding_error"),
        ),
        (
            "A19",
            datadog(&[("x-datadog-origin", "\u{e9}")]),
            ONE.into(),
        ),
        (
            "A20",
            vec![("traceparent", PARENT)],
            format!("{WIDE}; prio 1"),
        ),
        (
            "A21",
            vec![(
                "traceparent",
                "00-11111111111111110000000000000001-0000000000000002-03",
            )],
            format!("{WIDE}; prio 1"),
        ),
        (
            "A22",
            vec![(
                "traceparent",
                "cc-11111111111111110000000000000001-0000000000000002-01",
            )],
            format!("{WIDE}; prio 1"),
        ),
        (
            "A23",
            vec![(
                "traceparent",
                "cc-11111111111111110000000000000001-0000000000000002-01.what",
            )],
            "no context".into(),
        ),
        (
            "A24",
            vec![(
                "traceparent",
                "\t 00-11111111111111110000000000000001-0000000000000002-01 \t",
            )],
            format!("{WIDE}; prio 1"),
        ),
        (
            "A25",
            vec![(
                "traceparent",
                "00-11111111111111110000000000000001-0000000000000000-01",
            )],
            "no context".into(),
        ),
        // The decision maker is ours, not the reference's: a flag that overrules `s` resets it.
        (
            "A26",
            w3c(PARENT, "dd=s:-1"),
            format!("{WIDE}; prio 1; _dd.p.dm=-0; tracestate=dd=s:-1"),
        ),
        (
            "A27",
            w3c(PARENT_DROPPED, "dd=s:-1"),
            format!("{WIDE}; prio -1; tracestate=dd=s:-1"),
        ),
        (
            "A28",
            w3c(PARENT_DROPPED, "dd=o:rum"),
            format!("{WIDE}; origin rum; tracestate=dd=o:rum"),
        ),
        (
            "A29",
            w3c(PARENT, "dd=foo,bar=2"),
            format!("{WIDE}; prio 1; tracestate=dd=foo,bar=2"),
        ),
        // The decision maker is ours here and below: so does system-tests want it for a trace that only others were at.
        (
            "A30",
            w3c(PARENT, "foo=1 \t , \t bar=2, \t baz=3"),
            format!("{WIDE}; prio 1; _dd.p.dm=-0; tracestate=foo=1,bar=2,baz=3"),
        ),
        (
            "A31",
            w3c(PARENT, many),
            format!("{WIDE}; prio 1; _dd.p.dm=-0; tracestate={first_32}"),
        ),
        (
            "A32",
            w3c(PARENT, wide),
            format!("{WIDE}; prio 1; _dd.p.dm=-0; tracestate={wide_kept}"),
        ),
        (
            "A33",
            [
                tags("_dd.p.tid=1111111111111111"),
                w3c(PARENT, "dd=s:1,foo=1"),
            ]
            .concat(),
            format!("{WIDE}; tracestate=dd=s:1,foo=1"),
        ),
        (
            "A34",
            [
                &[("x-datadog-trace-id", "1"), ("x-datadog-parent-id", "9")][..],
                &[("x-datadog-tags", "_dd.p.tid=1111111111111111")],
                &w3c(PARENT, "foo=1"),
            ]
            .concat(),
            format!("{WIDE}; _dd.parent_id=0000000000000009; tracestate=foo=1"),
        ),
        // That `user.id` becomes a tag is said where spans are tested.
        (
            "A35",
            baggage("foo=bar,user.id=u1"),
            format!("{NOTHING}; foo: bar; user.id: u1"),
        ),
        (
            "A36",
            baggage("userId=Am%C3%A9lie,serverNode=DF%2028,isProduction=false"),
            format!("{NOTHING}; userId: Am\u{e9}lie; serverNode: DF 28; isProduction: false"),
        ),
        ("A37", baggage("foo=,a=b"), "no context".into()),
        (
            "A38",
            baggage("foo=bar;prop=1"),
            format!("{NOTHING}; foo: bar;prop=1"),
        ),
        (
            "A39",
            baggage(" a = 1 , b = 2 "),
            format!("{NOTHING}; a: 1; b: 2"),
        ),
        ("A40", baggage(long_item), long_item_kept),
        (
            "several headers are one",
            vec![("baggage", "a=1"), ("baggage", "b=2")],
            format!("{NOTHING}; a: 1; b: 2"),
        ),
        (
            "A58",
            vec![(
                "traceparent",
                "00-ABCDEF11111111110000000000000001-0000000000000002-01",
            )],
            "no context".into(),
        ),
        (
            "A59",
            w3c(PARENT_DROPPED, "foo=1,dd=s:1;t.dm:-0"),
            format!("{WIDE}; prio 0; tracestate=dd=s:1;t.dm:-0,foo=1"),
        ),
        (
            "A60",
            w3c(PARENT_DROPPED, "dd=s:2;t.dm:-4"),
            format!("{WIDE}; prio 0; tracestate=dd=s:2;t.dm:-4"),
        ),
    ];
    let propagator = Propagator::default();
    for (number, pairs, expected) in rows {
        assert_eq!(
            shown(&propagator.extract(&headers(&pairs))),
            expected,
            "{number}"
        );
    }
}

/// Two traces in one carrier, and baggage.
const TWO_TRACES: [(&str, &str); 7] = [
    ("x-datadog-trace-id", "1"),
    ("x-datadog-parent-id", "2"),
    ("x-datadog-tags", "_dd.p.tid=1111111111111111,_dd.p.dm=-4"),
    ("x-datadog-sampling-priority", "2"),
    (
        "traceparent",
        "00-12345678901234567890123456789012-1234567890123456-01",
    ),
    ("tracestate", "dd=s:2,foo=1"),
    ("baggage", "key1=value1"),
];

#[test]
fn settings_change_the_extraction_as_the_table_says() {
    let of = |styles: &[Style]| Propagator::new(styles, styles);
    let restarting = || Propagator::default().with_behavior(ExtractBehavior::Restart);
    let continued = format!("{WIDE}; prio 2; _dd.p.dm=-4");
    let old = [
        ("x-datadog-trace-id", "1"),
        ("x-datadog-parent-id", "2"),
        ("ot-baggage-key", "v"),
    ];
    for (number, propagator, pairs, expected) in [
        (
            "A41",
            Propagator::default().with_old_baggage(true),
            &old[..],
            format!("{ONE}; key: v"),
        ),
        ("A41 without the setting", Propagator::default(), &old, ONE.to_owned()),
        (
            "A41 without a trace",
            Propagator::default().with_old_baggage(true),
            &old[2..],
            "no context".to_owned(),
        ),
        (
            "A42",
            Propagator::default().with_128_bit_ids(false),
            &[("traceparent", PARENT)],
            format!("{WIDE}; prio 1"),
        ),
        (
            "A52",
            restarting(),
            &TWO_TRACES,
            format!(
                "{NOTHING}; key1: value1; link 11111111111111110000000000000001 2 flags 1 tracestate none \
                 propagation_behavior_extract datadog"
            ),
        ),
        (
            "A53",
            restarting(),
            &[("baggage", "a=1")],
            format!("{NOTHING}; a: 1"),
        ),
        (
            "A54",
            Propagator::default().with_extract_first(true),
            &TWO_TRACES,
            format!("{continued}; key1: value1"),
        ),
        (
            "A55",
            of(&[Style::TraceContext, Style::Datadog, Style::Baggage]),
            &TWO_TRACES,
            "trace 12345678901234567890123456789012; span 1311768467284833366; prio 2; tracestate=dd=s:2,foo=1; \
             key1: value1; link 11111111111111110000000000000001 2 flags 1 tracestate none terminated_context datadog"
                .to_owned(),
        ),
        (
            "A55 in the default order",
            Propagator::default(),
            &TWO_TRACES,
            format!(
                "{continued}; key1: value1; link 12345678901234567890123456789012 1311768467284833366 flags 1 \
                 tracestate dd=s:2,foo=1 terminated_context tracecontext"
            ),
        ),
        ("A56", of(&[]), &TWO_TRACES, "no context".to_owned()),
        (
            "A57",
            Propagator::default(),
            &[("baggage", "user.id=1,b=2")],
            format!("{NOTHING}; user.id: 1; b: 2"),
        ),
        (
            "everything is ignored",
            Propagator::default().with_behavior(ExtractBehavior::Ignore),
            &TWO_TRACES,
            "no context".to_owned(),
        ),
        (
            "only the first style, though its headers are absent",
            of(&[Style::B3, Style::Datadog, Style::Baggage]).with_extract_first(true),
            &TWO_TRACES,
            format!("{NOTHING}; key1: value1"),
        ),
    ] {
        assert_eq!(shown(&propagator.extract(&headers(pairs))), expected, "{number}");
    }
}

#[test]
fn b3_is_extracted_as_the_table_says() {
    const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const B3: &str = "trace 80f198ee56343ba864fe8b2a57d3eff7; span 16453819474850114513";
    let multi = |trace_id: &'static str, more: &[(&'static str, &'static str)]| {
        [
            &[
                ("x-b3-traceid", trace_id),
                ("x-b3-spanid", "e457b5a2e4d86bd1"),
            ][..],
            more,
        ]
        .concat()
    };
    let single = |value: &'static str| vec![("b3", value)];
    let sampled = |value| ("x-b3-sampled", value);
    let flags = |value| ("x-b3-flags", value);
    let rows: Vec<Row> = vec![
        (
            "A43",
            multi(TRACE, &[sampled("0")]),
            format!("{B3}; prio 0"),
        ),
        (
            "A44",
            multi(TRACE, &[flags("1"), sampled("0")]),
            format!("{B3}; prio 2"),
        ),
        (
            "A45",
            multi("64fe8b2a57d3eff7", &[]),
            "trace 000000000000000064fe8b2a57d3eff7; span 16453819474850114513".into(),
        ),
        ("A46", vec![sampled("1")], "no context".into()),
        (
            "A47",
            single("80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
            format!("{B3}; prio 1"),
        ),
        (
            "A48",
            single("80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d"),
            format!("{B3}; prio 2"),
        ),
        (
            "A49",
            single("80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90"),
            format!("{B3}; prio 1"),
        ),
        ("A50", single("d"), format!("{NOTHING}; prio 2")),
        ("A51", single(""), "no context".into()),
        (
            "kept",
            multi(TRACE, &[sampled("1")]),
            format!("{B3}; prio 1"),
        ),
        ("undecided", multi(TRACE, &[sampled("true")]), B3.into()),
        (
            "no number",
            multi("xyz", &[sampled("1")]),
            "no context".into(),
        ),
        ("no trace", multi("0", &[sampled("1")]), "no context".into()),
        (
            "no span",
            vec![("x-b3-traceid", "1")],
            "trace 00000000000000000000000000000001; span none".into(),
        ),
    ];
    for (number, pairs, expected) in rows {
        let style = if pairs[0].0 == "b3" {
            Style::B3
        } else {
            Style::B3Multi
        };
        let propagator = Propagator::new(&[style], &[style]);
        assert_eq!(
            shown(&propagator.extract(&headers(&pairs))),
            expected,
            "{number}"
        );
    }
}

#[test]
fn without_128_bit_ids_the_upper_half_is_a_tag_that_is_passed_on() {
    let propagator = Propagator::default().with_128_bit_ids(false);
    let mut inbound = headers(&TWO_TRACES[..3]);
    inbound.insert("traceparent", HeaderValue::from_static(PARENT));
    let extracted = propagator.extract(&inbound);
    assert_eq!(
        shown(&extracted),
        format!("{ONE}; _dd.p.tid=1111111111111111; _dd.p.dm=-4")
    );
    let mut outbound = BTreeMap::new();
    assert_eq!(
        propagator.inject(
            &InjectContext::remote(&extracted.context.unwrap()),
            &mut outbound
        ),
        None
    );
    assert_eq!(
        outbound["x-datadog-tags"],
        "_dd.p.dm=-4,_dd.p.tid=1111111111111111"
    );
}

#[test]
fn a_nearer_w3c_parent_wins_and_the_last_datadog_span_is_kept() {
    let extracted = |tracestate: &'static str| {
        shown(&Propagator::default().extract(&headers(&[
            ("x-datadog-trace-id", "1"),
            ("x-datadog-parent-id", "10"),
            (
                "traceparent",
                "00-00000000000000000000000000000001-000000003ade68b1-01",
            ),
            ("tracestate", tracestate),
        ])))
    };
    let start = "trace 00000000000000000000000000000001; span 987654321; _dd.parent_id=";
    assert_eq!(
        extracted("dd=s:2,foo=1"),
        format!("{start}000000000000000a; tracestate=dd=s:2,foo=1")
    );
    let tracestate = "dd=s:2;p:8fffffffffffffff,foo=1";
    assert_eq!(
        extracted(tracestate),
        format!("{start}8fffffffffffffff; tracestate={tracestate}")
    );
}
