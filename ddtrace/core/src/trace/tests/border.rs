//! Traces that come in and go out, and what is decided about them.

use super::*;

#[test]
fn a_decision_made_at_injection_stays() {
    let rules = r#"[{"resource":"late","sample_rate":0},{"sample_rate":1}]"#;
    let recorder = Recorder::with(|config| config.sampling_rules(rules));
    {
        let root = enter(&ROOT);
        let mut headers = std::collections::HashMap::<String, String>::new();
        inject(&mut headers);
        assert_eq!(headers["x-datadog-sampling-priority"], "2");
        assert!(headers["x-datadog-tags"].contains("_dd.p.dm=-3"));
        root.set_resource("late");
    }
    {
        let root = enter(&ROOT);
        root.set_resource("late");
    }
    let spans = recorder.take();
    assert_eq!(spans[0].metric("_sampling_priority_v1"), Some(2.0));
    assert_eq!(
        (
            spans[1].metric("_sampling_priority_v1"),
            spans[1].metric("_dd.rule_psr")
        ),
        (Some(-1.0), Some(0.0))
    );
}

#[test]
fn a_rule_can_make_traces_vanish() {
    let recorder =
        Recorder::with(|config| config.sampling_rules(r#"[{"sample_rate":0,"discard":true}]"#));
    drop(enter(&ROOT));
    assert!(recorder.take().is_empty());
    {
        let root = enter(&ROOT);
        root.manual_keep();
    }
    assert_eq!(recorder.take().len(), 1);
}

#[test]
fn manual_decisions_win_whenever_they_come() {
    let recorder = Recorder::with(|config| config.sampling_rules(r#"[{"sample_rate":0}]"#));
    {
        let _root = enter(&ROOT);
        enter(&CHILD).set_tag("manual.keep", true);
    }
    let spans = recorder.take();
    assert_eq!(
        (
            spans[0].metric("_sampling_priority_v1"),
            spans[0].meta("_dd.p.dm")
        ),
        (Some(2.0), Some("-4"))
    );
    assert_eq!(spans[0].metric("_dd.rule_psr"), None);
    assert_eq!(named(&spans, "child").meta("manual.keep"), None);
}

#[test]
fn an_inbound_trace_is_continued_with_its_decision() {
    let recorder = Recorder::new();
    let headers = std::collections::HashMap::from([
        ("x-datadog-trace-id".to_owned(), "7".to_owned()),
        ("x-datadog-parent-id".to_owned(), "9".to_owned()),
        ("x-datadog-sampling-priority".to_owned(), "-1".to_owned()),
        ("x-datadog-origin".to_owned(), "rum".to_owned()),
        (
            "x-datadog-tags".to_owned(),
            "_dd.p.dm=-4,_dd.p.tid=640000000000000a".to_owned(),
        ),
    ]);
    let mut out = std::collections::HashMap::<String, String>::new();
    {
        let mut span = Span::start_from(&ROOT, extract(&headers));
        let _entered = span.enter();
        let _child = enter(&CHILD);
        inject(&mut out);
    }
    let spans = recorder.take();
    let root = &spans[0];
    assert_eq!(
        (root.trace_id, root.parent_id),
        (TraceId::new(0x6400_0000_0000_000a, 7), 9)
    );
    assert_eq!(
        (root.metric("_sampling_priority_v1"), root.meta("_dd.p.dm")),
        (Some(-1.0), Some("-4"))
    );
    assert!(
        spans
            .iter()
            .all(|span| span.meta("_dd.origin") == Some("rum"))
    );
    assert_eq!(
        out["x-datadog-parent-id"],
        named(&spans, "child").span_id.to_string()
    );
    assert_eq!(out["x-datadog-sampling-priority"], "-1");
    assert!(out["x-datadog-tags"].contains("_dd.p.dm=-4"));
}

#[test]
fn with_tracing_off_contexts_pass_through_and_nothing_is_recorded() {
    let recorder = Recorder::with(|config| config.trace_enabled(false));
    let headers = std::collections::HashMap::from([
        (
            "traceparent".to_owned(),
            "00-11111111111111110000000000000001-0000000000000002-01".to_owned(),
        ),
        (
            "tracestate".to_owned(),
            "dd=s:2;p:00000000000000aa,foo=1".to_owned(),
        ),
    ]);
    let mut out = std::collections::HashMap::<String, String>::new();
    {
        let mut span = Span::start_from(&ROOT, extract(&headers));
        assert!(!span.is_recording());
        let _entered = span.enter();
        let _off = enter(&CHILD);
        inject(&mut out);
    }
    assert_eq!(
        out["traceparent"],
        "00-11111111111111110000000000000001-0000000000000002-01"
    );
    assert!(
        out["tracestate"].contains("p:00000000000000aa") && out["tracestate"].contains("foo=1")
    );
    assert_eq!(recorder.take().len(), 0);
}

/// B22 and its neighbours, and A9: what went wrong with the tags is told to the backend, by the local root.
#[test]
fn what_went_wrong_with_the_tags_is_on_the_local_root() {
    let long = format!("_dd.p.big={}", "x".repeat(491));
    for (max_length, inbound, expected) in [
        ("512", "_dd.p.x=1", None),
        ("512", "_dd.p.tid=640000", Some("malformed_tid 640000")),
        ("512", "_dd.p.x", Some("decoding_error")),
        // With the decision maker it is too long.
        ("512", &*long, Some("inject_max_size")),
        ("100", &*long, Some("extract_max_size")),
        ("0", "_dd.p.x=1", Some("disabled")),
    ] {
        let recorder =
            Recorder::with(|config| config.set("DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH", max_length));
        let headers = std::collections::HashMap::from([
            ("x-datadog-trace-id".to_owned(), "7".to_owned()),
            ("x-datadog-parent-id".to_owned(), "9".to_owned()),
            ("x-datadog-tags".to_owned(), inbound.to_owned()),
        ]);
        let mut out = std::collections::HashMap::<String, String>::new();
        {
            let mut span = Span::start_from(&ROOT, extract(&headers));
            let _entered = span.enter();
            let _child = enter(&CHILD);
            inject(&mut out);
        }
        assert_eq!(out["x-datadog-trace-id"], "7");
        assert_eq!(out.contains_key("x-datadog-tags"), expected.is_none());
        let spans = recorder.take();
        let error = |name| named(&spans, name).meta("_dd.propagation_error");
        assert_eq!(
            (error("root"), error("child")),
            (expected, None),
            "{inbound}"
        );
    }
}

/// system-tests, `tests/parametric/test_128_bit_traceids.py`: with 128-bit ids off the upper half that came in is kept and goes on.
#[test]
fn the_upper_half_of_an_id_survives_where_ids_have_64_bits() {
    let recorder = Recorder::with(|config| {
        config
            .set("DD_TRACE_PROPAGATION_STYLE", "datadog")
            .set("DD_TRACE_128_BIT_TRACEID_GENERATION_ENABLED", "false")
    });
    let inbound = std::collections::HashMap::from(
        [
            ("x-datadog-trace-id", "1234567890123456789"),
            ("x-datadog-parent-id", "987654321"),
            ("x-datadog-tags", "_dd.p.tid=640cfd8d00000000"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let mut headers = std::collections::HashMap::<String, String>::new();
    let span = Span::start_from(&ROOT, extract(&inbound));
    inject_context(&span.context(), &mut headers);
    drop(span);
    assert_eq!(headers["x-datadog-trace-id"], "1234567890123456789");
    assert!(headers["x-datadog-tags"].contains("_dd.p.tid=640cfd8d00000000"));
    let spans = recorder.take();
    assert_eq!(u128::from(spans[0].trace_id), 1_234_567_890_123_456_789);
    assert_eq!(spans[0].meta("_dd.p.tid"), Some("640cfd8d00000000"));
}
