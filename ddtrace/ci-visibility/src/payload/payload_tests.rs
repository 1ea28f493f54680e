//! Payloads, field by field, as an independent decoder reads them (`rmp-serde` into JSON values).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::backend::SkippingLevel;
use crate::coverage::Bitmap;
use crate::model::{
    Attempt, ExecutionMode, Failure, RetryReason, SessionId, Source, Status, TestIdentity, TestKind,
};
use crate::selection::{Action, Decision, SkipCause, Verdict};

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn configuration() -> Configuration {
    let session = SessionId::new(77).expect("a valid id");
    Configuration {
        tests_skipping: true,
        correlation_id: Some("correlated".into()),
        errors: vec!["known_tests"],
        ..Configuration::new(session, "shop")
    }
}

fn decoded(msgpack: &[u8]) -> Value {
    rmp_serde::from_slice(msgpack).expect("valid MessagePack")
}

fn attempt() -> Attempt {
    let mut attempt = Attempt::new(
        TestIdentity::new("shop", "cart::tests", "adds"),
        Status::Fail,
        at(1_700_000_000),
        Duration::from_micros(1500),
    );
    attempt.number = 2;
    attempt.module_path = "crates/shop".into();
    attempt.source = Some(Source {
        file: "crates/shop/src/cart.rs".into(),
        start: 10,
        end: 20,
    });
    attempt.failure = Some(Failure {
        kind: "panic".into(),
        message: "x".repeat(MAX_TEXT + 10),
        stack: "here".into(),
    });
    attempt.retry_reason = Some(RetryReason::AutoTestRetry);
    attempt.execution_mode = Some(ExecutionMode::Isolated);
    attempt.exit_signal = Some("SIGABRT".into());
    attempt.should_panic = true;
    attempt.framework = Some(("libtest".into(), "1.95.0".into()));
    attempt.meta = vec![
        ("mine".into(), "yes".into()),
        ("test.status".into(), "lie".into()),
    ];
    attempt.metrics = vec![("score".into(), 0.5)];
    attempt
}

fn verdict() -> Verdict {
    Verdict {
        status: Status::Fail,
        is_flaky: false,
        has_failed_all_retries: true,
        attempt_to_fix_passed: Some(false),
        is_aborted_slow: true,
        is_masked: false,
        fails_build: true,
    }
}

#[test]
fn an_attempt_has_every_field_of_the_dossier() {
    let decision = Decision {
        is_new: true,
        is_modified: true,
        is_quarantined: true,
        is_disabled: true,
        is_attempt_to_fix: true,
        is_unskippable: true,
        is_forced_run: true,
        ..Decision::default()
    };
    let (configuration, attempt) = (configuration(), attempt());
    let owners = Some(r#"["@core"]"#);
    let event = attempt_event(
        &configuration,
        &attempt,
        &decision,
        Some(&verdict()),
        owners,
    );
    let session = configuration.session;
    let meta = json!({
        "type": "test",
        "span.kind": "test",
        "test.status": "fail",
        "test.itr.tests_skipping.enabled": "true",
        "_dd.ci.library_configuration_error.known_tests": "true",
        "test.name": "adds",
        "test.suite": "cart::tests",
        "test.module": "shop",
        "test.module_path": "crates/shop",
        "test.type": "test",
        "test.source.file": "crates/shop/src/cart.rs",
        "test.source.start": "10",
        "test.source.end": "20",
        "test.codeowners": "[\"@core\"]",
        "error.type": "panic",
        "error.message": "x".repeat(5000),
        "error.stack": "here",
        "test.framework": "libtest",
        "test.framework_version": "1.95.0",
        "component": "libtest",
        "test.rust.execution_mode": "isolated",
        "test.rust.exit_signal": "SIGABRT",
        "test.rust.should_panic": "true",
        "test.is_retry": "true",
        "test.retry_reason": "auto_test_retry",
        "test.is_new": "true",
        "test.is_modified": "true",
        "test.test_management.is_quarantined": "true",
        "test.test_management.is_test_disabled": "true",
        "test.test_management.is_attempt_to_fix": "true",
        "test.itr.unskippable": "true",
        "test.itr.forced_run": "true",
        "test.final_status": "fail",
        "test.has_failed_all_retries": "true",
        "test.test_management.attempt_to_fix_passed": "false",
        "test.early_flake.abort_reason": "slow",
        "mine": "yes",
    });
    let expected = json!({
        "type": "test",
        "version": 2,
        "content": {
            "trace_id": session.trace_id(&attempt.identity, 2),
            "span_id": session.span_id(&attempt.identity, 2),
            "parent_id": 0,
            "test_session_id": 77,
            "test_module_id": session.module_id("shop"),
            "test_suite_id": session.suite_id("shop", "cart::tests"),
            "itr_correlation_id": "correlated",
            "type": "test",
            "name": "rust.test",
            "resource": "adds",
            "service": "shop",
            "start": 1_700_000_000_000_000_000_u64,
            "duration": 1_500_000,
            "error": 1,
            "meta": meta,
            "metrics": {
                "_dd.tracer_kr": 1.0,
                "_sampling_priority_v1": 1.0,
                "_dd.top_level": 1.0,
                "score": 0.5,
            },
        },
    });
    assert_eq!(decoded(&event.to_msgpack()), expected);
    let of_file: Value = serde_json::from_slice(&event.to_json()).expect("valid JSON");
    assert_eq!(of_file, expected);
}

#[test]
fn an_attempt_that_is_nothing_special_says_nothing_special() {
    let configuration = Configuration::new(SessionId::new(1).expect("valid"), "s");
    let attempt = Attempt::new(
        TestIdentity::new("m", "s", "n"),
        Status::Pass,
        at(1),
        Duration::ZERO,
    );
    let event = attempt_event(&configuration, &attempt, &Decision::default(), None, None);
    let content = &decoded(&event.to_msgpack())["content"];
    assert_eq!(content["error"], 0);
    assert!(content.get("itr_correlation_id").is_none());
    let expected = json!({
        "type": "test", "span.kind": "test", "test.status": "pass",
        "test.itr.tests_skipping.enabled": "false",
        "test.name": "n", "test.suite": "s", "test.module": "m", "test.type": "test",
    });
    assert_eq!(content["meta"], expected);
}

#[test]
fn a_skipped_test_says_why() {
    let mut attempt = Attempt::new(
        TestIdentity::new("m", "s", "n"),
        Status::Skip,
        at(1),
        Duration::ZERO,
    );
    attempt.kind = TestKind::Benchmark;
    attempt.identity.parameters = Some("{}".into());
    attempt.skip_reason = Some(SkipCause::Impact.reason().into());
    let decision = Decision {
        action: Action::Skip(SkipCause::Impact),
        ..Decision::default()
    };
    let event = attempt_event(&configuration(), &attempt, &decision, None, None);
    for (tag, value) in [
        ("test.status", "skip"),
        (
            "test.skip_reason",
            "Skipped by Datadog Intelligent Test Runner",
        ),
        ("test.skipped_by_itr", "true"),
        ("test.type", "benchmark"),
        ("test.parameters", "{}"),
    ] {
        assert_eq!(event.meta[tag], value);
    }
}

#[test]
fn suites_modules_and_sessions_have_their_fields() {
    let mut configuration = configuration();
    configuration.skipping_level = SkippingLevel::Suite;
    let session = configuration.session;
    let suite = SuiteEnd {
        module: "shop",
        suite: "cart::tests",
        status: Status::Skip,
        start: at(1),
        duration: Duration::from_nanos(2),
        source: Some(Source {
            file: "a.rs".into(),
            start: 1,
            end: 0,
        }),
        codeowners: Some("[]".into()),
        is_skipped_by_impact: true,
    };
    let common = |kind: &str, status: &str| {
        json!({
            "type": kind, "span.kind": "test", "test.status": status,
            "test.itr.tests_skipping.enabled": "true",
            "_dd.ci.library_configuration_error.known_tests": "true",
        })
    };
    let with = |mut base: Value, more: Value| {
        let more = more.as_object().expect("an object").clone();
        base.as_object_mut().expect("an object").extend(more);
        base
    };
    let kept = json!({"_dd.tracer_kr": 1.0, "_sampling_priority_v1": 1.0});
    assert_eq!(
        decoded(&suite.event(&configuration).to_msgpack()),
        json!({"type": "test_suite_end", "version": 1, "content": {
            "test_session_id": 77,
            "test_module_id": session.module_id("shop"),
            "test_suite_id": session.suite_id("shop", "cart::tests"),
            "itr_correlation_id": "correlated",
            "type": "test_suite_end", "name": "rust.test_suite", "resource": "cart::tests",
            "service": "shop", "start": 1_000_000_000, "duration": 2, "error": 0,
            "meta": with(common("test_suite_end", "skip"), json!({
                "test.suite": "cart::tests", "test.module": "shop", "test.source.file": "a.rs",
                "test.source.start": "1", "test.codeowners": "[]", "test.skipped_by_itr": "true",
            })),
            "metrics": kept,
        }})
    );
    let module = ModuleEnd {
        module: "shop",
        module_path: "crates/shop",
        status: Status::Pass,
        start: at(1),
        duration: Duration::from_nanos(2),
    };
    assert_eq!(
        decoded(&module.event(&configuration).to_msgpack()),
        json!({"type": "test_module_end", "version": 1, "content": {
            "test_session_id": 77, "test_module_id": session.module_id("shop"),
            "type": "test_module_end", "name": "rust.test_module", "resource": "shop",
            "service": "shop", "start": 1_000_000_000, "duration": 2, "error": 0,
            "meta": with(common("test_module_end", "pass"), json!({
                "test.module": "shop", "test.module_path": "crates/shop",
            })),
            "metrics": kept,
        }})
    );
    let end = SessionEnd {
        name: "job-cargo test",
        command: "cargo test",
        status: Status::Fail,
        start: at(1),
        duration: Duration::from_nanos(2),
        code_coverage: true,
        impact: Some(3),
        early_flake_detection: true,
        is_faulty: true,
        test_management: true,
        lines_pct: Some(12.5),
        meta: &[("mine".into(), "yes".into())],
    };
    assert_eq!(
        decoded(&end.event(&configuration).to_msgpack()),
        json!({"type": "test_session_end", "version": 1, "content": {
            "test_session_id": 77,
            "type": "test_session_end", "name": "rust.test_session",
            "resource": "job-cargo test", "service": "shop",
            "start": 1_000_000_000, "duration": 2, "error": 0,
            "meta": with(common("test_session_end", "fail"), json!({
                "test.command": "cargo test", "test.code_coverage.enabled": "true",
                "_dd.ci.itr.tests_skipped": "true", "test.itr.tests_skipping.tests_skipped": "true",
                "test.itr.tests_skipping.type": "suite", "test.early_flake.enabled": "true",
                "test.early_flake.abort_reason": "faulty",
                "test.test_management.enabled": "true", "mine": "yes",
            })),
            "metrics": {"_dd.tracer_kr": 1.0, "_sampling_priority_v1": 1.0, "_dd.top_level": 1.0,
                "test.itr.tests_skipping.count": 3.0, "test.code_coverage.lines_pct": 12.5},
        }})
    );
}

#[test]
fn a_span_keeps_its_parent_and_is_no_top() {
    let span = TestSpan {
        trace_id: u64::MAX >> 1,
        span_id: 2,
        parent_id: 3,
        name: "sqlx.query".into(),
        resource: "SELECT 1".into(),
        service: "db".into(),
        kind: "sql".into(),
        start: 4,
        duration: 5,
        error: 1,
        meta: BTreeMap::from([("k".into(), "v".into())]),
        metrics: BTreeMap::from([("_dd.top_level".into(), 1.0), ("n".into(), 2.0)]),
    };
    assert_eq!(
        decoded(&span.event().to_msgpack()),
        json!({"type": "span", "version": 1, "content": {
            "trace_id": u64::MAX >> 1, "span_id": 2, "parent_id": 3, "type": "sql",
            "name": "sqlx.query", "resource": "SELECT 1", "service": "db", "start": 4,
            "duration": 5, "error": 1, "meta": {"k": "v"}, "metrics": {"n": 2.0},
        }})
    );
}

fn metadata() -> Metadata {
    Metadata {
        all: BTreeMap::from([
            ("language".into(), "rust".into()),
            ("long".into(), "y".repeat(6000)),
        ]),
        test: BTreeMap::from([(
            "_dd.library_capabilities.auto_test_retries".into(),
            "1".into(),
        )]),
    }
}

#[test]
fn a_payload_has_version_metadata_and_events() {
    let shape = Shape::Tests(Arc::new(Mutex::new(metadata())));
    let event = attempt_event(
        &configuration(),
        &attempt(),
        &Decision::default(),
        None,
        None,
    );
    let bodies = shape.bodies(&[event.to_msgpack(), event.to_msgpack()]);
    let [(form, 2)] = &bodies[..] else {
        panic!("one body of two events, not {}", bodies.len());
    };
    assert_eq!(form.content_type, "application/msgpack");
    let payload = decoded(&form.body);
    assert_eq!(payload["version"], 1);
    assert_eq!(
        payload["metadata"],
        json!({
            "*": {"language": "rust", "long": "y".repeat(5000)},
            "test": {"_dd.library_capabilities.auto_test_retries": "1"},
        })
    );
    assert_eq!(payload["events"][1], decoded(&event.to_msgpack()));
    assert_eq!(payload.as_object().map(|all| all.len()), Some(3));
    // The file holds the same.
    let files = shape.files(&[event.to_json(), event.to_json()]);
    let file: Value = serde_json::from_slice(&files[0]).expect("valid JSON");
    assert_eq!(file, payload);
}

#[test]
fn large_payloads_are_halved_and_a_large_event_goes_alone() {
    let shape = Shape::Tests(Arc::default());
    let item = |bytes: usize| {
        let mut out = Vec::new();
        rmp::encode::write_bin(&mut out, &vec![7; bytes]).expect("written");
        out
    };
    for (sizes, expected) in [
        (&[][..], &[][..]),
        (&[1 << 20; 5], &[2, 3]),
        (&[1 << 20; 10], &[2, 3, 2, 3]),
        (&[6 << 20, 10], &[1, 1]),
        (&[6 << 20], &[1]),
    ] {
        let items: Vec<Vec<u8>> = sizes.iter().map(|size| item(*size)).collect();
        let bodies = shape.bodies(&items);
        let counts: Vec<usize> = bodies.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, expected);
        for (form, count) in bodies {
            assert!(form.body.len() <= MAX_BODY || count == 1);
        }
    }
    let logs = vec![b"{}".to_vec(); 2001];
    let counts: Vec<usize> = Shape::Logs.bodies(&logs).iter().map(|(_, n)| *n).collect();
    assert!(counts.iter().all(|count| *count <= 1000), "{counts:?}");
    assert_eq!(counts.iter().sum::<usize>(), 2001);
}

/// The parts of a form: head and data of each.
fn parts(form: &multipart::Form) -> Vec<(String, Vec<u8>)> {
    let boundary = form
        .content_type
        .strip_prefix("multipart/form-data; boundary=");
    let boundary = format!("--{}", boundary.expect("a boundary"));
    let mut rest = &form.body[..];
    let mut found = Vec::new();
    let find =
        |text: &[u8], what: &[u8]| text.windows(what.len()).position(|window| window == what);
    assert_eq!(find(rest, boundary.as_bytes()), Some(0));
    loop {
        rest = &rest[boundary.len()..];
        if rest == b"--\r\n" {
            return found;
        }
        let end = find(rest, boundary.as_bytes()).expect("another boundary");
        let part = &rest[2..end - 2];
        let head = find(part, b"\r\n\r\n").expect("a head");
        let text = String::from_utf8(part[..head].to_vec()).expect("text");
        found.push((text, part[head + 4..].to_vec()));
        rest = &rest[end..];
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoveragePayload {
    version: u64,
    coverages: Vec<CoverageOf>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoverageOf {
    test_session_id: u64,
    test_suite_id: u64,
    #[serde(default)]
    span_id: Option<u64>,
    files: Vec<FileOf>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileOf {
    filename: String,
    bitmap: Binary,
}

/// Binary data, and nothing else, such as a text or an array.
#[derive(Clone, Debug, PartialEq)]
struct Binary(Vec<u8>);

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Binary, D::Error> {
        struct Bytes;
        impl serde::de::Visitor<'_> for Bytes {
            type Value = Binary;
            fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                out.write_str("binary data")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Binary, E> {
                Ok(Binary(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[test]
fn coverage_is_a_form_with_bitmaps() {
    let coverage = Coverage {
        session_id: 1,
        suite_id: 2,
        span_id: Some(3),
        files: vec![FileCoverage {
            file: "src/lib.rs".into(),
            lines: [1, 2, 3, 7].into_iter().collect::<Bitmap>(),
        }],
    };
    let of_suite = Coverage {
        span_id: None,
        files: Vec::new(),
        ..coverage.clone()
    };
    let items = [coverage.to_msgpack(), of_suite.to_msgpack()];
    let bodies = Shape::Coverage.bodies(&items);
    let parts = parts(&bodies[0].0);
    let heads: Vec<&str> = parts.iter().map(|(head, _)| head.as_str()).collect();
    assert_eq!(
        heads,
        [
            "Content-Disposition: form-data; name=\"coverage1\"; filename=\"coverage1.msgpack\"\r\nContent-Type: application/msgpack",
            "Content-Disposition: form-data; name=\"event\"; filename=\"event.json\"\r\nContent-Type: application/json",
        ]
    );
    let decoded: CoveragePayload = rmp_serde::from_slice(&parts[0].1).expect("valid MessagePack");
    let of_test = CoverageOf {
        test_session_id: 1,
        test_suite_id: 2,
        span_id: Some(3),
        files: vec![FileOf {
            filename: "/src/lib.rs".into(),
            bitmap: Binary(vec![0x71]),
        }],
    };
    let of_suite = CoverageOf {
        span_id: None,
        files: Vec::new(),
        ..of_test.clone()
    };
    assert_eq!(
        (decoded.version, decoded.coverages),
        (2, vec![of_test, of_suite])
    );
    assert_eq!(parts[1].1, br#"{"dummy":true}"#);
    let files = Shape::Coverage.files(&[coverage.to_json()]);
    let file: Value = serde_json::from_slice(&files[0]).expect("valid JSON");
    assert_eq!(
        file,
        json!({"version": 2, "coverages": [
            {"test_session_id": 1, "test_suite_id": 2, "span_id": 3,
             "files": [{"filename": "/src/lib.rs", "bitmap": "cQ=="}]}]})
    );
}

#[test]
fn reports_carry_the_tags_of_commit_and_pipeline() {
    let tags = BTreeMap::from([
        ("git.branch".to_owned(), "main".to_owned()),
        ("ci.job.id".to_owned(), "1".to_owned()),
        ("pr.number".to_owned(), "2".to_owned()),
        ("os.platform".to_owned(), "Linux".to_owned()),
    ]);
    let expected = json!({"type": "coverage_report", "format": "lcov", "timestamp": 5000,
        "git.branch": "main", "ci.job.id": "1", "pr.number": "2"});
    let flags = vec!["f".to_owned(); 33];
    assert_eq!(cicovreprt::event("lcov", &flags, &tags, at(5)), expected);
    let event = cicovreprt::event("lcov", &flags[..32], &tags, at(5));
    assert_eq!(event["report.flags"].as_array().map(Vec::len), Some(32));
    let form = cicovreprt::form("lcov", b"zipped".to_vec(), &event);
    let parts = parts(&form);
    assert!(
        parts[0]
            .0
            .contains("name=\"coverage\"; filename=\"coverage.lcov.gz\"")
    );
    assert_eq!(parts[0].1, b"zipped");
    assert_eq!(
        serde_json::from_slice::<Value>(&parts[1].1).expect("JSON"),
        event
    );
}

#[test]
fn logs_are_an_array_of_records() {
    let record = LogRecord {
        date: at(2),
        message: "said".into(),
        status: "info".into(),
        trace_id: u64::MAX,
        span_id: 0,
    };
    let bodies = Shape::Logs.bodies(&[record.to_json("shop", "host")]);
    let body: Value = serde_json::from_slice(&bodies[0].0.body).expect("valid JSON");
    assert_eq!(
        body,
        json!([{"date": 2000, "ddsource": "rust", "ddtags": "datadog.product:citest",
            "hostname": "host", "message": "said", "service": "shop", "status": "info",
            "dd.trace_id": "18446744073709551615", "dd.span_id": "0"}])
    );
}
