#![allow(unsafe_code, reason = "a site names its link section")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::{Value, json};

use super::super::subscription::ConfigFile;
use super::*;
use crate::config::{MapEnvironment, Name, Origin};
use crate::sampling::{SamplingSubject, TagLookup, TagValue};
use crate::test_support::Recorder;
use crate::trace::{Site, enter, extract, inject};

/// A tracer with its files.
struct Remote {
    tracer: Arc<TracerCore>,
    state: ApmTracing,
    version: u64,
}

impl Remote {
    fn new(variables: &[(&str, &str)]) -> Self {
        let mut environment = MapEnvironment::new()
            .executable("test")
            .variable("DD_SERVICE", "Shop")
            .variable("DD_ENV", "Prod");
        for (name, value) in variables {
            environment = environment.variable(*name, *value);
        }
        let config = Arc::new(Config::builder().environment(&environment).build());
        Self {
            tracer: Arc::new(TracerCore::new(
                Arc::clone(&config),
                Vec::new(),
                Box::new(|| {}),
            )),
            state: ApmTracing::new(config),
            version: 0,
        }
    }

    /// Puts files in force and takes others out.
    fn change(&mut self, set: &[(&str, Value)], removed: &[&str]) -> Outcomes {
        self.version += 1;
        let path =
            |id: &str| ConfigPath::parse(&format!("datadog/2/APM_TRACING/{id}/config")).unwrap();
        let file = |(id, content): &(&str, Value)| ConfigFile {
            path: path(id),
            version: self.version,
            content: Bytes::from(content.to_string()),
        };
        let changed: Vec<_> = set.iter().map(file).collect();
        let removed: Vec<_> = removed.iter().map(|id| path(id)).collect();
        let batch = Batch {
            changed: &changed,
            removed: &removed,
            is_complete: false,
        };
        self.state.apply(&batch, &self.tracer)
    }

    /// Puts one file in force whose settings these are.
    fn set(&mut self, lib_config: Value) -> Outcomes {
        self.change(&[("one", json!({"lib_config": lib_config}))], &[])
    }

    fn config(&self) -> Arc<Config> {
        self.tracer.config()
    }

    /// The effective value of a setting as telemetry shows it, its origin, and the file that it stands in.
    fn shown(&self, name: Name) -> (Option<String>, Origin, Option<String>) {
        let config = self.config();
        let entry = config.setting(name).effective();
        let value = entry.value.as_ref().map(ToString::to_string);
        (value, entry.origin, entry.config_id.clone())
    }

    /// Rate and decision maker for a span of this service with the tag `tag-a`.
    fn decision(&self, service: &str, tag: &str) -> (Option<f64>, &'static str) {
        struct Tag<'a>(&'a str);
        impl TagLookup for Tag<'_> {
            fn tag(&self, key: &str) -> Option<TagValue<'_>> {
                (key == "tag-a").then_some(TagValue::Text(self.0))
            }
        }
        let decision = self.tracer.sampler.decide(&SamplingSubject {
            trace_id_low: 1,
            service,
            env: "Prod",
            name: "op_name",
            resource: "op_name",
            tags: &Tag(tag),
        });
        (decision.rule_rate, decision.mechanism.decision_maker())
    }
}

fn target(service: &str, env: &str, rate: f64) -> Value {
    json!({
        "service_target": {"service": service, "env": env},
        "lib_config": {"tracing_sampling_rate": rate},
    })
}

/// Row G16, and what else the order of files depends on.
#[test]
fn the_most_specific_file_counts() {
    let newer = |mut file: Value, revision: u64| {
        file["revision"] = json!(revision);
        file
    };
    let cluster = |mut file: Value| {
        file["k8s_target_v2"] = json!({"cluster_targets": [{"cluster_name": "c"}]});
        file
    };
    for (files, expected) in [
        (vec![target("*", "*", 0.1)], Some(0.1)),
        (
            vec![
                target("*", "*", 0.1),
                target("shop", "*", 0.2),
                target("SHOP", "prod", 0.3),
            ],
            Some(0.3),
        ),
        (
            vec![
                target("shop", "prod", 0.3),
                target("shop", "*", 0.2),
                target("*", "*", 0.1),
            ],
            Some(0.3),
        ),
        (
            vec![target("shop", "*", 0.2), target("*", "prod", 0.3)],
            Some(0.2),
        ),
        (
            vec![cluster(target("*", "*", 0.1)), target("*", "*", 0.2)],
            Some(0.1),
        ),
        (
            vec![cluster(target("*", "*", 0.1)), target("*", "prod", 0.2)],
            Some(0.2),
        ),
        (
            vec![
                newer(target("shop", "*", 0.1), 9),
                newer(target("shop", "*", 0.2), 8),
            ],
            Some(0.1),
        ),
        (
            vec![json!({"lib_config": {"tracing_sampling_rate": 0.4}})],
            Some(0.4),
        ),
        // For somebody else.
        (vec![target("other", "prod", 0.1)], None),
        (
            vec![target("shop", "staging", 0.1), target("*", "staging", 0.1)],
            None,
        ),
        (vec![target("shop", "", 0.1)], None),
    ] {
        let mut remote = Remote::new(&[]);
        let named: Vec<_> = files
            .iter()
            .enumerate()
            .map(|(number, file)| (["a", "b", "c"][number], file.clone()))
            .collect();
        let outcomes = remote.change(&named, &[]);
        assert_eq!(outcomes.failed(), [], "all are acknowledged");
        assert_eq!(remote.decision("Shop", "").0, expected, "{files:?}");
    }
}

#[test]
fn files_are_merged_key_by_key_and_removed_one_by_one() {
    let mut remote = Remote::new(&[("DD_LOGS_INJECTION", "true"), ("DD_TAGS", "local:yes")]);
    let wide = json!({
        "service_target": {"service": "*", "env": "*"},
        "lib_config": {"tracing_tags": ["from:wide"], "log_injection_enabled": false, "runtime_metrics_enabled": true},
    });
    let narrow = json!({
        "service_target": {"service": "shop", "env": "prod"},
        "lib_config": {"tracing_tags": ["from:narrow"], "log_injection_enabled": null},
    });
    remote.change(&[("wide", wide), ("narrow", narrow)], &[]);
    let shown = |remote: &Remote, name| {
        let (value, origin, id) = remote.shown(name);
        (value.unwrap(), origin, id.unwrap_or_default())
    };
    let at = |value: &str, origin: Origin, id: &str| (value.to_owned(), origin, id.to_owned());
    let remote_from = Origin::RemoteConfig;
    assert_eq!(
        shown(&remote, Name::DD_TAGS),
        at("from:narrow", remote_from, "narrow")
    );
    assert_eq!(
        shown(&remote, Name::DD_LOGS_INJECTION),
        at("false", remote_from, "wide")
    );
    assert!(remote.config().runtime_metrics);
    remote.change(&[], &["narrow"]);
    assert_eq!(
        shown(&remote, Name::DD_TAGS),
        at("from:wide", remote_from, "wide")
    );
    remote.change(&[], &["wide"]);
    assert_eq!(
        shown(&remote, Name::DD_TAGS),
        at("local:yes", Origin::Environment, "")
    );
    // Row G23.
    assert_eq!(
        shown(&remote, Name::DD_LOGS_INJECTION),
        at("true", Origin::Environment, "")
    );
    assert!(!remote.config().runtime_metrics);
}

/// Row G9.
#[test]
fn tags_take_the_place_of_local_ones() {
    let mut remote = Remote::new(&[("DD_TAGS", "local:yes")]);
    remote.set(json!({"tracing_tags": ["t1:v1", "t2:v2"]}));
    assert_eq!(
        remote.shown(Name::DD_TAGS).0.as_deref(),
        Some("t1:v1,t2:v2")
    );
    remote.set(json!({"tracing_tags": ["a:x,y z:w", " b : c ", "b:d", "alone", ":none", 5]}));
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let expected = [pair("a", "x,y z:w"), pair("b", "d"), pair("alone", "")];
    assert_eq!(remote.config().tags, expected);
    remote.set(json!({"tracing_tags": []}));
    assert_eq!(remote.config().tags, []);
    remote.set(json!({}));
    assert_eq!(remote.config().tags, [pair("local", "yes")]);
}

#[test]
fn header_tags_take_the_place_of_local_ones() {
    let mut remote = Remote::new(&[("DD_TRACE_HEADER_TAGS", "X-Local:local")]);
    let tags = json!([
        {"header": "X-Test-Header", "tag_name": "test_header_rc"},
        {"header": "Content-Length", "tag_name": ""},
        {"header": "X-Only"},
        {"header": " "},
        {"tag_name": "nobody"},
    ]);
    remote.set(json!({"tracing_header_tags": tags}));
    let pair = |header: &str, tag: &str| (header.to_owned(), tag.to_owned());
    let expected = [
        pair("x-test-header", "test_header_rc"),
        pair("content-length", ""),
        pair("x-only", ""),
    ];
    assert_eq!(remote.config().header_tags, expected);
    remote.change(&[], &["one"]);
    assert_eq!(remote.config().header_tags, [pair("x-local", "local")]);
}

/// Rows G17 to G19: the rules of the reference's conformance suite.
#[test]
fn rules_and_rate_take_the_place_of_local_rules() {
    let local = r#"[{"sample_rate":0.55,"service":"*"}]"#;
    let mut remote = Remote::new(&[("DD_TRACE_SAMPLING_RULES", local)]);
    assert_eq!(remote.decision("Shop", ""), (Some(0.55), "-3"));

    let customer =
        json!({"sample_rate": 0.8, "service": "Shop", "resource": "*", "provenance": "customer"});
    let dynamic =
        json!({"sample_rate": 0.4, "service": "*", "resource": "*", "provenance": "dynamic"});
    // In this order whatever the order of the list is.
    remote.set(json!({"tracing_sampling_rules": [dynamic, customer]}));
    assert_eq!(remote.decision("Shop", ""), (Some(0.8), "-11"));
    assert_eq!(remote.decision("other", ""), (Some(0.4), "-12"));

    remote.set(json!({"tracing_sampling_rules": [customer], "tracing_sampling_rate": 0.9}));
    assert_eq!(remote.decision("Shop", ""), (Some(0.8), "-11"));
    assert_eq!(remote.decision("other", ""), (Some(0.9), "-3"));

    let tagged = json!({
        "sample_rate": 0.8, "service": "Shop", "provenance": "customer",
        "tags": [{"key": "tag-a", "value_glob": "tag-a-val*"}],
    });
    remote.set(json!({"tracing_sampling_rules": [tagged, dynamic]}));
    assert_eq!(remote.decision("Shop", "tag-a-value"), (Some(0.8), "-11"));
    assert_eq!(remote.decision("Shop", "other"), (Some(0.4), "-12"));

    // Only a rate: the local rules are not used either.
    remote.set(json!({"tracing_sampling_rate": 0.3}));
    assert_eq!(remote.decision("Shop", ""), (Some(0.3), "-3"));
    let (value, origin, id) = remote.shown(Name::DD_TRACE_SAMPLING_RULES);
    assert_eq!(value.as_deref(), Some(r#"[{"sample_rate":0.3}]"#));
    assert_eq!((origin, id.as_deref()), (Origin::RemoteConfig, Some("one")));

    remote.set(json!({"tracing_sampling_rate": null, "tracing_sampling_rules": null}));
    assert_eq!(remote.decision("Shop", ""), (Some(0.55), "-3"));
}

#[test]
fn a_rule_that_does_not_say_enough_is_left_out() {
    let mut remote = Remote::new(&[]);
    let good = json!({"sample_rate": 0.5, "name": "op*", "provenance": "customer"});
    let outcomes = remote.set(json!({"tracing_sampling_rules": [
        {"sample_rate": 0, "provenance": "customer"},
        {"service": "*", "provenance": "customer"},
        {"sample_rate": 0, "service": "*"},
        {"sample_rate": 0, "service": "*", "provenance": "local"},
        {"sample_rate": "0", "service": "*", "provenance": "customer"},
        {"sample_rate": 0, "service": "*", "provenance": "customer", "tags": [{"key": "k"}]},
        {"sample_rate": 0, "service": "*", "provenance": "customer", "tags": "k"},
        "rule", null, 5, [],
        good,
    ]}));
    assert_eq!(outcomes.failed(), []);
    assert_eq!(remote.decision("Shop", ""), (Some(0.5), "-11"));
    remote.set(json!({"tracing_sampling_rules": [{"sample_rate": 7, "name": "*", "provenance": "dynamic"}]}));
    assert_eq!(remote.decision("Shop", ""), (Some(1.0), "-12"));
}

/// Row G22, for the tracer; what it means for spans is below.
#[test]
fn tracing_is_switched_off_for_good() {
    let mut remote = Remote::new(&[]);
    remote.set(json!({"tracing_enabled": true}));
    assert!(remote.tracer.is_enabled());
    assert_eq!(remote.shown(Name::DD_TRACE_ENABLED).1, Origin::Default);
    remote.set(json!({"tracing_enabled": false}));
    assert!(!remote.tracer.is_enabled());
    assert_eq!(
        remote.shown(Name::DD_TRACE_ENABLED).0.as_deref(),
        Some("false")
    );
    for later in [json!({}), json!({"tracing_enabled": true})] {
        remote.set(later);
        assert!(!remote.tracer.is_enabled());
        assert!(!remote.config().trace_enabled);
    }
    remote.change(&[], &["one"]);
    assert!(!remote.tracer.is_enabled());

    let mut remote = Remote::new(&[("DD_TRACE_ENABLED", "false")]);
    remote.set(json!({"tracing_enabled": true}));
    assert!(
        !remote.tracer.is_enabled(),
        "what the environment switched off stays off"
    );
}

crate::site! { static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }

/// Row G22.
#[test]
fn without_tracing_there_are_no_spans_and_contexts_pass() {
    let recorder = Recorder::new();
    drop(enter(&WORK));
    recorder.change_config(&[(Name::DD_TRACE_ENABLED, "false".to_owned())]);
    drop(enter(&WORK));
    assert_eq!(recorder.take().len(), 1);
    let mut inbound = http::HeaderMap::new();
    inbound.insert("x-datadog-trace-id", "7".parse().unwrap());
    inbound.insert("x-datadog-parent-id", "8".parse().unwrap());
    let mut span = crate::trace::Span::start_from(&WORK, extract(&inbound));
    let mut outbound = http::HeaderMap::new();
    {
        let _active = span.enter();
        inject(&mut outbound);
    }
    assert_eq!(outbound["x-datadog-trace-id"], "7");
    assert_eq!(outbound["x-datadog-parent-id"], "8");
    drop(span);
    assert_eq!(recorder.take().len(), 0);
}

#[test]
fn a_file_of_the_wrong_shape_fails_and_its_last_good_form_stays() {
    let mut remote = Remote::new(&[]);
    remote.set(json!({"tracing_sampling_rate": 0.5}));
    let deep = format!(
        r#"{{"lib_config":{{"x_enabled":{}1{}}}}}"#,
        "[".repeat(500),
        "]".repeat(500)
    );
    let many = json!({"tracing_tags": vec!["a:b"; 1001]});
    for (content, expected) in [
        (json!([]), "expected an object"),
        (json!(null), "expected an object"),
        (json!({"lib_config": []}), "an object as `lib_config`"),
        (
            json!({"lib_config": {"tracing_sampling_rate": "much"}}),
            "expected f64",
        ),
        (
            json!({"lib_config": {"tracing_enabled": 0}}),
            "expected a boolean",
        ),
        (
            json!({"lib_config": {"tracing_sampling_rules": {}}}),
            "a list of at most 1000",
        ),
        (json!({"lib_config": many}), "at most 1000"),
        (
            json!({"service_target": {"service": 5}}),
            "expected a string",
        ),
        (
            serde_json::from_str(r#"{"revision": "x"}"#).unwrap(),
            "expected f64",
        ),
    ] {
        let outcomes = remote.change(&[("one", content.clone())], &[]);
        let (path, error) = &outcomes.failed()[0];
        assert_eq!(path.config_id(), "one");
        assert!(error.contains(expected), "{content}: {error}");
        assert_eq!(remote.decision("Shop", ""), (Some(0.5), "-3"), "{content}");
    }
    let path = ConfigPath::parse("datadog/2/APM_TRACING/one/config").unwrap();
    let file = [ConfigFile {
        path,
        version: 9,
        content: Bytes::from(deep),
    }];
    let batch = Batch {
        changed: &file,
        removed: &[],
        is_complete: false,
    };
    let outcomes = remote.state.apply(&batch, &remote.tracer);
    assert!(outcomes.failed()[0].1.contains("recursion limit"));
    // Keys of others, whatever they hold.
    let outcomes = remote
        .set(json!({"tracing_debug": [{}], "later_enabled": "yes", "tracing_sampling_rate": 0.6}));
    assert_eq!(outcomes.failed(), []);
    assert_eq!(remote.decision("Shop", ""), (Some(0.6), "-3"));
}

#[test]
fn a_switch_hears_what_is_set_and_when_it_no_longer_is() {
    static HEARD: Mutex<Vec<Option<bool>>> = Mutex::new(Vec::new());
    static LATE: AtomicUsize = AtomicUsize::new(0);
    static PAN: Mutex<Vec<(Option<bool>, Option<String>)>> = Mutex::new(Vec::new());
    let heard = || std::mem::take(&mut *HEARD.lock().unwrap());
    on_switch("kettle_enabled", Capabilities::of(&[100]), |value| {
        HEARD.lock().unwrap().push(value);
        assert!(value.is_some(), "a handler that panics is heard again");
    });
    assert_eq!(capabilities().and(Capabilities::of(&[100])), capabilities());
    let mut remote = Remote::new(&[]);
    remote.set(json!({"kettle_enabled": null, "tracing_sampling_rate": 1}));
    assert_eq!(heard(), []);
    remote.set(json!({"kettle_enabled": true}));
    remote.set(json!({"kettle_enabled": true}));
    assert_eq!(heard(), [Some(true)]);
    remote.set(json!({"kettle_enabled": false}));
    assert_eq!(heard(), [Some(false)]);
    on_switch("pan.enabled", Capabilities::NONE, |value| {
        PAN.lock().unwrap().push((value, text("pan.name")));
    });
    remote.set(json!({"kettle_enabled": false, "pan": {"enabled": true, "name": "n", "more": {}}}));
    remote.set(json!({"kettle_enabled": false, "pan": "nonsense"}));
    let named = (Some(true), Some("n".to_owned()));
    assert_eq!(*PAN.lock().unwrap(), [named, (None, None)]);
    on_switch("late_enabled", Capabilities::NONE, |value| {
        assert_eq!(value, Some(true));
        LATE.fetch_add(1, Ordering::Relaxed);
    });
    remote.change(
        &[("two", json!({"lib_config": {"late_enabled": true}}))],
        &["one"],
    );
    assert_eq!(heard(), [None]);
    remote.state.tell_newcomers();
    assert_eq!(LATE.load(Ordering::Relaxed), 1);
    on_switch("kettle_enabled", Capabilities::NONE, |_| {});
}

#[test]
fn a_list_of_a_product_is_heard_of_as_json_and_what_does_not_fit_is_left_out() {
    static HEARD: Mutex<Vec<Option<String>>> = Mutex::new(Vec::new());
    let heard = || std::mem::take(&mut *HEARD.lock().unwrap());
    on_list("kettle_extractors", Capabilities::of(&[101]), |json| {
        HEARD.lock().unwrap().push(json.map(str::to_owned));
    });
    assert_eq!(capabilities().and(Capabilities::of(&[101])), capabilities());
    let mut remote = Remote::new(&[]);
    let list = json!([{"name": "n", "value": "v"}, {"name": 1}, "text", {}]);
    remote.set(json!({"kettle_extractors": list}));
    remote.set(json!({"kettle_extractors": list, "tracing_sampling_rate": 1}));
    let expected = r#"[{"name":"n","value":"v"},{}]"#;
    assert_eq!(heard(), [Some(expected.to_owned())]);
    // A switch of that name is no list.
    on_switch("kettle_extractors", Capabilities::NONE, |value| {
        HEARD
            .lock()
            .unwrap()
            .push(value.map(|value| value.to_string()));
    });
    remote.set(json!({"kettle_extractors": [], "tracing_sampling_rate": 1}));
    assert_eq!(heard(), [None]);
    on_switch("kettle_extractors", Capabilities::NONE, |_| {});
}

/// Settings come and go as fast as they can while other threads make traces. Nothing gets lost, and what a trace says about
/// its decision was true of one set of rules: the one by which it was decided when it was passed on, if it was.
#[test]
fn settings_that_come_and_go_under_load_lose_nothing_and_leave_decisions_whole() {
    const THREADS: usize = 2;
    const TRACES: usize = 1500;
    /// A thread is at most so many traces ahead of the next change.
    const STEP: usize = 20;

    let recorder = Recorder::new();
    let mut remote = Remote {
        tracer: Arc::clone(recorder.tracer()),
        state: ApmTracing::new(recorder.tracer().config()),
        version: 0,
    };
    let (cycles, running) = (AtomicUsize::new(0), AtomicUsize::new(THREADS));
    let passed_on: Mutex<BTreeMap<String, String>> = Mutex::default();
    let mut chunks = Vec::new();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let handle = recorder.handle();
            let (cycles, running) = (&cycles, &running);
            let passed_on = &passed_on;
            scope.spawn(move || {
                let _active = handle.activate();
                for number in 0..TRACES {
                    while cycles.load(Ordering::SeqCst) < number / STEP {
                        std::thread::yield_now();
                    }
                    let _root = enter(&WORK);
                    drop(enter(&WORK));
                    if number % 2 == 0 {
                        let mut headers = http::HeaderMap::new();
                        inject(&mut headers);
                        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
                        let id = text("x-datadog-trace-id");
                        let priority = text("x-datadog-sampling-priority");
                        passed_on.lock().unwrap().insert(id, priority);
                    }
                    drop(enter(&WORK));
                }
                running.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let rule = |rate: f64, provenance: &str| json!({"tracing_sampling_rules": [{"service": "*", "sample_rate": rate, "provenance": provenance}]});
        while running.load(Ordering::SeqCst) > 0 {
            remote.set(json!({"tracing_sampling_rate": 0.5, "tracing_tags": ["from:rate"]}));
            remote.set(rule(0.25, "customer"));
            remote.set(rule(0.0, "dynamic"));
            remote.change(&[], &["one"]);
            cycles.fetch_add(1, Ordering::SeqCst);
            chunks.extend(recorder.take_chunks());
        }
    });
    chunks.extend(recorder.take_chunks());
    assert_eq!(chunks.len(), THREADS * TRACES);
    let spans: usize = chunks.iter().map(Vec::len).sum();
    assert_eq!(spans, THREADS * TRACES * 3);
    let passed_on = passed_on.into_inner().unwrap();
    let mut compared = 0;
    for chunk in &chunks {
        let root = &chunk[0];
        let priority = root.metric("_sampling_priority_v1").unwrap();
        let decision = (
            root.meta("_dd.p.dm").unwrap_or("none"),
            root.metric("_dd.rule_psr"),
        );
        match decision {
            ("-3", Some(0.5)) | ("-11", Some(0.25)) => assert!([2.0, -1.0].contains(&priority)),
            ("-12", Some(0.0)) => assert_eq!(priority, -1.0),
            ("-0", None) => assert_eq!(priority, 1.0),
            // The limiter takes back what a rule kept, and then nobody is said to have decided.
            ("none", Some(_)) => assert_eq!(priority, -1.0),
            other => panic!("no set of rules decides so: {other:?}, {priority}"),
        }
        if let Some(priority_before) = passed_on.get(&root.trace_id.low().to_string()) {
            assert_eq!(*priority_before, priority.to_string());
            compared += 1;
        }
    }
    assert_eq!(compared, passed_on.len());
    assert_eq!(recorder.tracer().config().sampling_rules, "[]");
}
