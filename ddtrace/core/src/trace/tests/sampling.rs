//! What is kept, by whom, and how it is told to others.

use std::collections::BTreeMap;

use super::*;
use crate::config::MapEnvironment;
use crate::sampling::TraceSource;

type Headers = BTreeMap<String, String>;

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs
        .iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn sent() -> Headers {
    let mut headers = Headers::new();
    inject(&mut headers);
    headers
}

/// The member `ot` of `tracestate`.
fn probability(headers: &Headers) -> Option<&str> {
    let members = headers["tracestate"].split(',');
    members
        .filter_map(|member| member.strip_prefix("ot="))
        .next()
}

/// Priority, decision maker, and the three rates, of a span with the tags of its chunk.
fn decision(span: &SpanData) -> String {
    let mut shown = format!(
        "prio {}",
        span.metric("_sampling_priority_v1").unwrap_or(f64::NAN)
    );
    if let Some(decision_maker) = span.meta("_dd.p.dm") {
        shown += &format!("; dm {decision_maker}");
    }
    for key in ["rule_psr", "limit_psr", "agent_psr"] {
        if let Some(rate) = span.metric(&format!("_dd.{key}")) {
            shown += &format!("; {key} {rate}");
        }
    }
    shown
}

const REJECTED: [(&str, &str); 3] = [
    ("x-datadog-trace-id", "7"),
    ("x-datadog-parent-id", "9"),
    ("x-datadog-sampling-priority", "0"),
];

/// Rows C21, C22 and C24.
#[test]
fn traces_are_decided_as_the_table_says() {
    let recorder = Recorder::with(|config| config.sampling_rules(r#"[{"sample_rate":1}]"#));
    drop(Span::start_from(&ROOT, extract(&headers(&REJECTED))));
    assert_eq!(decision(&recorder.take()[0]), "prio 0", "C21");

    let recorder = Recorder::with(|config| config.sampling_rules(r#"[{"sample_rate":0}]"#));
    enter(&ROOT).set_tag("manual.keep", true);
    assert_eq!(decision(&recorder.take()[0]), "prio 2; dm -4", "C22");

    let recorder = Recorder::with(|config| config.set("DD_TRACE_RATE_LIMIT", "1"));
    for _ in 0..3 {
        drop(enter(&ROOT));
    }
    let all: Vec<_> = recorder.take().iter().map(decision).collect();
    assert_eq!(all, ["prio 1; dm -0"; 3], "C24");
}

/// Rows C25, C26 and C33, and what belongs to them.
#[test]
fn single_spans_of_a_dropped_trace_are_kept_by_rules_of_their_own() {
    let with = |trace_rules: &str, span_rules: &str| {
        Recorder::with(|config| {
            config
                .sampling_rules(trace_rules)
                .set("DD_SPAN_SAMPLING_RULES", span_rules)
        })
    };
    let make = || {
        let _root = enter(&ROOT);
        let _child = enter(&CHILD);
        drop(enter(&OTHER));
    };
    let metric = |span: &SpanData, key: &str| span.metric(&format!("_dd.span_sampling.{key}"));
    let of_other = r#"[{"service":"other-service"}]"#;
    let drop_all = r#"[{"sample_rate":0}]"#;
    let recorder = with(drop_all, of_other);
    make();
    let spans = recorder.take();
    assert_eq!(decision(&spans[0]), "prio -1; dm -3; rule_psr 0");
    let kept = named(&spans, "other");
    assert_eq!(metric(kept, "mechanism"), Some(8.0), "C25");
    assert_eq!(metric(kept, "rule_rate"), Some(1.0), "C25");
    assert_eq!(metric(kept, "max_per_second"), None, "C25");
    for other in ["root", "child"] {
        assert_eq!(metric(named(&spans, other), "mechanism"), None);
    }

    let recorder = with(drop_all, r#"[{"sample_rate":1}]"#);
    make();
    let spans = recorder.take();
    assert!(
        spans.iter().all(|span| metric(span, "mechanism").is_none()),
        "C26"
    );

    let recorder = with(drop_all, r#"[{"name":"root","max_per_second":1}]"#);
    make();
    make();
    let spans = recorder.take();
    let kept: Vec<_> = spans
        .iter()
        .filter(|span| metric(span, "max_per_second") == Some(1.0))
        .collect();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].is_local_root);

    // Not of a trace that is kept, and not of one that is to vanish.
    let recorder = with(r#"[{"sample_rate":1}]"#, r#"[{"name":"*"}]"#);
    make();
    let spans = recorder.take();
    assert!(spans.iter().all(|span| metric(span, "mechanism").is_none()));
    let recorder = with(r#"[{"sample_rate":0,"discard":true}]"#, r#"[{"name":"*"}]"#);
    make();
    assert_eq!(recorder.take().len(), 0, "C33");
}

#[test]
fn rules_for_single_spans_come_from_a_file_as_well() {
    let environment = MapEnvironment::new().file("/rules.json", r#"[{"name":"child"}]"#);
    let environment: &'static MapEnvironment = Box::leak(Box::new(environment));
    for (variable, kept) in [(None, "child"), (Some(r#"[{"name":"root"}]"#), "root")] {
        let recorder = Recorder::with(|config| {
            let config = config
                .environment(environment)
                .sampling_rules(r#"[{"sample_rate":0}]"#)
                .set("DD_SPAN_SAMPLING_RULES_FILE", "/rules.json");
            match variable {
                Some(rules) => config.set("DD_SPAN_SAMPLING_RULES", rules),
                None => config,
            }
        });
        {
            let _root = enter(&ROOT);
            let _child = enter(&CHILD);
        }
        let spans = recorder.take();
        let is_kept = |span: &&SpanData| span.metric("_dd.span_sampling.mechanism").is_some();
        let names: Vec<_> = spans.iter().filter(is_kept).map(|it| &*it.name).collect();
        assert_eq!(names, [kept]);
    }
}

/// Row C27.
#[test]
fn without_tracing_of_its_own_a_program_shows_life_and_nothing_else() {
    let recorder = Recorder::with(|config| config.set("DD_APM_TRACING_ENABLED", "false"));
    let mut out = Vec::new();
    for _ in 0..2 {
        let _root = enter(&ROOT);
        let _child = enter(&CHILD);
        out.push(sent());
    }
    // Nothing that continues the trace leaves.
    assert_eq!(out, [Headers::new(), Headers::new()]);
    let spans = recorder.take();
    let decisions: Vec<_> = spans
        .iter()
        .filter(|span| span.is_local_root)
        .map(decision)
        .collect();
    assert_eq!(
        decisions,
        ["prio 1; dm -5; limit_psr 1", "prio 0; dm -5; limit_psr 0.5"],
        "C27"
    );
    let marked = |span: &SpanData| span.metric("_dd.apm.enabled") == Some(0.0);
    assert!(spans.len() == 4 && spans.iter().all(marked), "C27");
}

#[test]
fn what_a_product_needs_is_kept_and_continued() {
    let recorder = Recorder::with(|config| config.set("DD_APM_TRACING_ENABLED", "false"));
    drop(enter(&ROOT));
    recorder.take();
    // Inbound: a decision counts only beside a mark.
    let inbound = |more: &[(&str, &str)]| {
        let pairs = [&REJECTED[..], more].concat();
        let mut span = Span::start_from(&ROOT, extract(&headers(&pairs)));
        let entered = span.enter();
        let out = sent();
        drop(entered);
        drop(span);
        (decision(&recorder.take()[0]), out)
    };
    let (unmarked, out) = inbound(&[]);
    assert_eq!(
        (unmarked, out),
        ("prio 0; dm -5; limit_psr 0.5".into(), Headers::new())
    );
    let (marked, out) = inbound(&[("x-datadog-tags", "_dd.p.ts=02")]);
    assert_eq!(marked, "prio 2");
    assert_eq!(
        (
            &*out["x-datadog-sampling-priority"],
            &*out["x-datadog-tags"]
        ),
        ("2", "_dd.p.ts=02")
    );

    // Local: whoever marks it, whatever was decided before.
    {
        let root = enter(&ROOT);
        assert_eq!(sent(), Headers::new());
        root.keep_for(TraceSource::APPSEC);
        let out = sent();
        assert!(out["x-datadog-tags"].contains("_dd.p.dm=-5,_dd.p.ts=02"));
        assert!(out["tracestate"].contains("s:2;t.dm:-5;t.ts:02"));
        root.mark_trace(TraceSource::DATABASE_MONITORING);
    }
    let spans = recorder.take();
    assert_eq!(decision(&spans[0]), "prio 2; dm -5");
    assert_eq!(spans[0].meta("_dd.p.ts"), Some("12"));
}

#[test]
fn products_keep_traces_beside_tracing_as_well() {
    let recorder = Recorder::with(|config| config.sampling_rules(r#"[{"sample_rate":0}]"#));
    let pairs = [
        ("x-datadog-trace-id", "7"),
        ("x-datadog-parent-id", "9"),
        ("x-datadog-tags", "_dd.p.ts=02"),
    ];
    let mut span = Span::start_from(&ROOT, extract(&headers(&pairs)));
    span.keep_for(TraceSource::AI_GUARD);
    let entered = span.enter();
    assert_eq!(sent()["x-datadog-tags"], "_dd.p.ts=22,_dd.p.dm=-13");
    drop(entered);
    drop(span);
    let spans = recorder.take();
    assert_eq!(decision(&spans[0]), "prio 2; dm -13");
    assert_eq!(spans[0].meta("_dd.p.ts"), Some("22"));
}

/// Where §4.8 and dd-trace-py 4.16 agree; numbers of one trace are in the unit tests.
#[test]
fn the_probability_of_a_decision_travels() {
    let _recorder = Recorder::with(|config| config.sampling_rules(r#"[{"sample_rate":0.5}]"#));
    // A decision of this process.
    let root = enter(&ROOT);
    let first = sent();
    let randomness = match probability(&first).and_then(|member| member.split_once(';')) {
        Some((randomness, "th:8")) => randomness.to_owned(),
        other => panic!("{other:?} in {first:?}"),
    };
    assert!(randomness.starts_with("rv:") && randomness.len() == 17);
    assert!(first["tracestate"].starts_with("dd="));
    // One by hand afterwards: the threshold would be wrong.
    root.manual_keep();
    assert_eq!(probability(&sent()), Some(&*randomness));
    drop(root);
    // By hand alone: there never was any.
    let root = enter(&ROOT);
    root.manual_drop();
    assert_eq!(probability(&sent()), None);
    drop(root);

    let passed_on = |tracestate: &str, by_hand: bool| {
        let parent = "00-11111111111111110000000000000001-0000000000000002-01";
        let pairs = [("traceparent", parent), ("tracestate", tracestate)];
        let mut span = Span::start_from(&ROOT, extract(&headers(&pairs)));
        if by_hand {
            span.manual_keep();
        }
        let _entered = span.enter();
        let out = sent();
        (
            probability(&out).map(str::to_owned),
            out["tracestate"].clone(),
        )
    };
    for (number, tracestate, by_hand, expected) in [
        (
            "C37",
            "dd=s:1,ot=rv:not-hex;th:not-hex,congo=xyz",
            false,
            None,
        ),
        (
            "C38",
            "ot=rv:1234567890abcd;th:zz",
            false,
            Some("rv:1234567890abcd"),
        ),
        ("C39", "dd=s:1", false, None),
        // Undecided: the first service decides, and adds what is not there.
        (
            "decided here",
            "dd=o:rum,ot=x:1",
            false,
            Some("rv:f0948a54d43b8e;th:8;x:1"),
        ),
        (
            "known",
            "dd=o:rum,ot=rv:1234567890abcd",
            false,
            Some("rv:1234567890abcd"),
        ),
        (
            "by hand",
            "dd=s:1,ot=rv:1234567890abcd;th:8;x:1",
            true,
            Some("rv:1234567890abcd;x:1"),
        ),
    ] {
        let (member, all) = passed_on(tracestate, by_hand);
        assert_eq!(member.as_deref(), expected, "{number}: {all}");
        if number == "C37" {
            assert!(all.ends_with(",congo=xyz"), "{all}");
        }
    }
}
