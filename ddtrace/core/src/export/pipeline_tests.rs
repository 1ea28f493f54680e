//! What the pipeline counts, sends and drops, where statistics are made here.
#![allow(unsafe_code, reason = "a site names its link section")]

use std::sync::Arc;

use super::agent::DroppedUnsampled;
use super::{SpanData, TraceFilter};
use crate::test_support::Recorder;
use crate::trace::{Site, enter};

crate::site! { static ROOT: Site = Site::new("root", "root", module_path!(), file!(), line!()); }
crate::site! { static CHILD: Site = Site::new("child", "child", module_path!(), file!(), line!()); }

const INFO: &str = r#"{"client_drop_p0s": true, "endpoints": ["/v0.6/stats"]}"#;
const REJECT: &str = r#"[{"sample_rate": 0}]"#;

/// Sends every chunk on as it is, but by the way of owned spans.
struct Unchanged;

impl TraceFilter for Unchanged {
    fn process(&self, spans: Vec<SpanData>) -> Option<Vec<SpanData>> {
        Some(spans)
    }
}

/// A recorder with these rules, whose agent says this; without and with a filter.
fn recorders(rules: &str, info: &str) -> [Recorder; 2] {
    let filters: [Vec<Arc<dyn TraceFilter>>; 2] = [Vec::new(), vec![Arc::new(Unchanged)]];
    filters.map(|filters| {
        let recorder = Recorder::with_filters(|config| config.sampling_rules(rules), filters);
        recorder.follow_agent(info);
        recorder
    })
}

/// Runs the work under each recorder; gives the chunks, what was dropped, and hits by name.
fn each(
    rules: &str,
    info: &str,
    work: impl Fn(),
    check: impl Fn(Vec<Vec<SpanData>>, DroppedUnsampled, usize),
) {
    for recorder in recorders(rules, info) {
        let _active = recorder.activate();
        work();
        let chunks = recorder.take_chunks();
        let stats = &recorder.tracer().stats;
        let config = recorder.tracer().config();
        let payloads = stats.lock().take(&config, "", 0, true);
        check(chunks, stats.take_dropped(), payloads.len());
    }
}

fn trace() {
    let root = enter(&ROOT);
    drop(enter(&CHILD));
    drop(root);
}

/// F19.
#[test]
fn a_rejected_trace_is_counted_and_not_sent() {
    each(REJECT, INFO, trace, |chunks, dropped, payloads| {
        assert_eq!(chunks.len(), 0);
        assert_eq!(
            dropped,
            DroppedUnsampled {
                traces: 1,
                spans: 2
            }
        );
        assert_eq!(payloads, 1);
    });
}

#[test]
fn a_kept_trace_is_counted_and_sent() {
    each("[]", INFO, trace, |chunks, dropped, payloads| {
        assert_eq!((chunks.len(), chunks[0].len()), (1, 2));
        assert_eq!((dropped, payloads), (DroppedUnsampled::default(), 1));
    });
}

#[test]
fn without_an_agent_that_agrees_everything_is_sent_and_nothing_counted() {
    each(REJECT, "{}", trace, |chunks, dropped, payloads| {
        assert_eq!((chunks.len(), chunks[0].len()), (1, 2));
        assert_eq!((dropped, payloads), (DroppedUnsampled::default(), 0));
    });
}

/// C33.
#[test]
fn a_discarded_trace_is_not_even_counted() {
    let rules = r#"[{"sample_rate": 0, "discard": true}]"#;
    each(rules, INFO, trace, |chunks, dropped, payloads| {
        assert_eq!((chunks.len(), payloads), (0, 0));
        assert_eq!(dropped, DroppedUnsampled::default());
    });
}

#[test]
fn spans_sampled_on_their_own_go_alone_and_carry_the_chunks_tags() {
    let work = || {
        let root = enter(&ROOT);
        let child = enter(&CHILD);
        child.set_tag("_dd.span_sampling.mechanism", 8);
        drop(child);
        drop(root);
    };
    each(REJECT, INFO, work, |chunks, dropped, payloads| {
        assert_eq!((chunks.len(), chunks[0].len()), (1, 1));
        let child = &chunks[0][0];
        assert_eq!(child.name, "child");
        assert_eq!(child.metric("_sampling_priority_v1"), Some(-1.0));
        assert_eq!(child.meta("language"), Some("rust"));
        assert_eq!(child.meta("_dd.p.dm"), Some("-3"));
        assert!(child.meta("_dd.p.tid").is_some());
        assert_eq!(
            dropped,
            DroppedUnsampled {
                traces: 0,
                spans: 1
            }
        );
        assert_eq!(payloads, 1);
    });
}

/// The rules have limits, so they must not be asked again when the chunk is gone through a second time.
#[test]
fn rules_for_single_spans_are_asked_once_per_span() {
    let rules = r#"[{"name":"child","max_per_second":1}]"#;
    for filters in [
        Vec::new(),
        vec![Arc::new(Unchanged) as Arc<dyn TraceFilter>],
    ] {
        let recorder = Recorder::with_filters(
            |config| {
                config
                    .sampling_rules(REJECT)
                    .set("DD_SPAN_SAMPLING_RULES", rules)
            },
            filters,
        );
        recorder.follow_agent(INFO);
        trace();
        trace();
        let chunks = recorder.take_chunks();
        let names: Vec<_> = chunks.iter().flatten().map(|span| &*span.name).collect();
        assert_eq!(names, ["child"]);
        assert_eq!(chunks[0][0].meta("language"), Some("rust"));
    }
}

#[test]
fn an_error_keeps_a_trace_that_only_chance_rejected() {
    let work = || {
        let root = enter(&ROOT);
        root.set_error_flag(true);
        drop(root);
    };
    for recorder in recorders("[]", INFO) {
        let _active = recorder.activate();
        let rates = recorder.tracer().sampler.agent_rates();
        rates.update([("service:,env:", 0.0)], std::time::Instant::now());
        trace();
        work();
        let chunks = recorder.take_chunks();
        assert_eq!((chunks.len(), chunks[0].len()), (1, 1));
        assert_eq!(chunks[0][0].metric("_sampling_priority_v1"), Some(0.0));
        let dropped = recorder.tracer().stats.take_dropped();
        assert_eq!(
            dropped,
            DroppedUnsampled {
                traces: 1,
                spans: 2
            }
        );
    }
    // Who rejects by a rule means it.
    each(REJECT, INFO, work, |chunks, dropped, _| {
        assert_eq!(chunks.len(), 0);
        assert_eq!(
            dropped,
            DroppedUnsampled {
                traces: 1,
                spans: 1
            }
        );
    });
}

#[test]
fn what_the_agent_throws_away_is_neither_counted_nor_sent() {
    let info = r#"{"client_drop_p0s": true, "endpoints": ["/v0.6/stats"], "ignore_resources": ["^ro+t$"]}"#;
    each("[]", info, trace, |chunks, dropped, payloads| {
        assert_eq!((chunks.len(), payloads), (0, 0));
        assert_eq!(dropped, DroppedUnsampled::default());
    });
}
