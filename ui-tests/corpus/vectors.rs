//! The vectors of section H of `core-vectors.md`.
//!
//! Those about one function alone are shapes (H3 to H7, H13 to H15, H20, H22, H24, H25 in `shapes`), those about what the
//! compiler says are in `ui-tests` (H16 to H19); here are the rest.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::pin::pin;
use std::process::Command;
use std::sync::mpsc;
use std::task::{Context as TaskContext, Waker};
use std::time::{Duration, Instant};

use ddtrace::test_support::{Recorder, RecorderHandle};
use ddtrace::{Context, SpanData, carry_fn, span, trace, trace_block};

use crate::harness::{block_on, summary, tick};

mod m {
    #[ddtrace::trace]
    pub(super) fn f() {}

    #[ddtrace::trace(short_name)]
    pub(super) fn short() {}
}

#[test]
fn h1_the_name_is_the_path_of_the_function() {
    let recorder = Recorder::new();
    m::f();
    m::short();
    let spans = recorder.take();
    assert_eq!(spans[0].name, concat!(module_path!(), "::m::f"));
    assert_eq!(spans[0].resource, spans[0].name);
    assert_eq!(spans[1].name, "short");
}

#[trace(name = "x", service = "s", resource = "r", span_type = "web", kind = server)]
fn fields() {}

#[trace(service = format!("s{n}"), resource = n, span_type = "w".to_owned() + "eb")]
fn computed_fields(n: u64) {
    let _ = n;
}

#[test]
fn h2_options_set_the_fields() {
    let recorder = Recorder::new();
    fields();
    computed_fields(u64::MAX);
    let spans = recorder.take();
    let named = |span: &SpanData| {
        [&span.name, &span.service, &span.resource, &span.span_type].map(String::clone)
    };
    assert_eq!(named(&spans[0]), ["x", "s", "r", "web"]);
    assert_eq!(spans[0].meta("span.kind"), Some("server"));
    let name = concat!(module_path!(), "::computed_fields");
    assert_eq!(
        named(&spans[1]),
        [name, "s18446744073709551615", "18446744073709551615", "web"]
    );
}

#[trace]
async fn waits() -> u8 {
    tick().await;
    leaf();
    1
}

#[trace]
fn leaf() {}

#[test]
fn h8_a_future_starts_with_its_first_poll_and_is_the_parent_of_what_it_calls() {
    let recorder = Recorder::new();
    let future = waits();
    drop(span!("before"));
    block_on(future);
    assert_eq!(
        summary(&recorder.take()),
        [
            "before".to_owned(),
            name("waits"),
            format!("{0}/{1}", name("waits"), name("leaf"))
        ]
    );
}

#[test]
fn h9_futures_stay_send_and_small() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    async fn plain() -> u8 {
        tick().await;
        crate::harness::log("plain");
        1
    }
    let extra = size_of_val(&is_send(waits())) - size_of_val(&plain());
    assert!(extra <= 80, "{extra} bytes more than the plain future");
}

#[trace]
async fn joined() -> (u8, u8) {
    tokio::join!(waits(), waits())
}

#[tokio::test]
async fn h10_joined_futures_are_siblings() {
    let recorder = Recorder::new();
    joined().await;
    let [joined, waits, leaf] = ["joined", "waits", "leaf"].map(name);
    let mut spans = summary(&recorder.take());
    spans.sort();
    let mut expected = vec![
        joined.clone(),
        format!("{joined}/{waits}"),
        format!("{joined}/{waits}"),
        format!("{waits}/{leaf}"),
        format!("{waits}/{leaf}"),
    ];
    expected.sort();
    assert_eq!(spans, expected);
}

#[trace]
async fn on_worker(recorder: RecorderHandle) {
    let _active = recorder.activate();
    leaf();
}

#[trace]
async fn spawns(recorder: RecorderHandle) {
    let here = recorder.clone();
    tokio::spawn(on_worker(recorder)).await.unwrap();
    let there = here.clone();
    tokio::task::spawn_blocking(move || in_thread(&there))
        .await
        .unwrap();
    let there = here.clone();
    std::thread::spawn(move || in_thread(&there))
        .join()
        .unwrap();
    let (sender, receiver) = mpsc::channel();
    rayon::spawn(move || {
        in_thread(&here);
        let _ = sender.send(());
    });
    receiver.recv().unwrap();
}

fn in_thread(recorder: &RecorderHandle) {
    let _active = recorder.activate();
    leaf();
}

#[trace(propagate = false)]
async fn spawns_alone(recorder: RecorderHandle) {
    tokio::spawn(roots_on_worker(recorder)).await.unwrap();
}

async fn roots_on_worker(recorder: RecorderHandle) {
    let _active = recorder.activate();
    leaf();
}

async fn spawns_without_attribute(recorder: RecorderHandle) {
    tokio::spawn(roots_on_worker(recorder)).await.unwrap();
}

#[tokio::test]
async fn h11_spawned_work_belongs_to_an_annotated_function_unless_told_otherwise() {
    let recorder = Recorder::new();
    spawns(recorder.handle()).await;
    let [spawns, on_worker, leaf] = ["spawns", "on_worker", "leaf"].map(name);
    let mut spans = summary(&take(&recorder, 6));
    spans.sort();
    let mut expected = vec![
        spawns.clone(),
        format!("{spawns}/{on_worker}"),
        format!("{on_worker}/{leaf}"),
        format!("{spawns}/{leaf}"),
        format!("{spawns}/{leaf}"),
        format!("{spawns}/{leaf}"),
    ];
    expected.sort();
    assert_eq!(spans, expected);

    spawns_alone(recorder.handle()).await;
    spawns_without_attribute(recorder.handle()).await;
    let mut spans = summary(&take(&recorder, 3));
    spans.sort();
    assert_eq!(spans, [leaf.clone(), leaf, name("spawns_alone")]);
}

/// The next spans, so many: other threads may still be leaving the trace.
fn take(recorder: &Recorder, count: usize) -> Vec<SpanData> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut spans = recorder.take();
    while spans.len() < count && Instant::now() < deadline {
        std::thread::yield_now();
        spans.extend(recorder.take());
    }
    spans
}

#[test]
fn h12_a_wrapped_closure_carries_the_span_to_a_thread() {
    let recorder = Recorder::new();
    let handle = recorder.handle();
    {
        let _span = span!("outer");
        let work = carry_fn(move || in_thread(&handle));
        std::thread::spawn(work).join().unwrap();
    }
    assert_eq!(
        summary(&take(&recorder, 2)),
        ["outer".to_owned(), format!("outer/{}", name("leaf"))]
    );
}

#[trace]
fn deep(n: u32) -> u32 {
    if n == 0 { 0 } else { deep(n - 1) + 1 }
}

#[test]
fn h21_a_thousand_calls_deep_are_a_thousand_and_one_spans() {
    let recorder = Recorder::new();
    assert_eq!(deep(1000), 1000);
    let chunks = recorder.take_chunks();
    assert!(chunks.len() > 1, "partial flush");
    let spans: Vec<SpanData> = chunks.into_iter().flatten().collect();
    assert_eq!(spans.len(), 1001);
    let chained = spans
        .iter()
        .filter(|span| spans.iter().any(|parent| parent.span_id == span.parent_id))
        .count();
    assert_eq!(chained, 1000);
}

#[trace(parent = context)]
fn child_elsewhere(context: &Context) {
    let _ = context;
}

#[trace(parent = context, link = context.clone())]
async fn future_elsewhere(context: Context) {
    tick().await;
}

#[trace(root)]
fn root() {}

#[trace(enabled = on)]
async fn switched(on: bool) {
    leaf();
}

#[trace(enabled = on, tags(on = on))]
fn switched_sync(on: bool) {
    leaf();
}

#[test]
fn h26_a_parent_is_used_and_a_root_has_none() {
    let recorder = Recorder::new();
    let outer = span!("outer");
    let context = Context::current();
    {
        let _other = span!("other");
        child_elsewhere(&context);
        block_on(future_elsewhere(context.clone()));
        root();
    }
    drop(outer);
    let spans = recorder.take();
    let mut found = summary(&spans);
    found.sort();
    let mut expected = vec![
        "outer".to_owned(),
        "outer/other".to_owned(),
        format!("outer/{}", name("child_elsewhere")),
        format!("outer/{}", name("future_elsewhere")),
        name("root"),
    ];
    expected.sort();
    assert_eq!(found, expected);
    let linked = spans.iter().find(|span| !span.links.is_empty()).unwrap();
    assert_eq!(linked.name, name("future_elsewhere"));
}

#[test]
fn a_span_that_is_switched_off_leaves_the_others() {
    let recorder = Recorder::new();
    let _outer = span!("outer");
    for on in [true, false] {
        block_on(switched(on));
        switched_sync(on);
    }
    drop(_outer);
    let [switched, switched_sync, leaf] = ["switched", "switched_sync", "leaf"].map(name);
    assert_eq!(
        summary(&recorder.take()),
        [
            "outer".to_owned(),
            format!("outer/{switched}"),
            format!("{switched}/{leaf}"),
            format!("outer/{switched_sync} on=true"),
            format!("{switched_sync}/{leaf}"),
            format!("outer/{leaf}"),
            format!("outer/{leaf}"),
        ]
    );
}

#[trace(enter_on_poll)]
async fn every_poll() {
    tick().await;
}

#[test]
fn every_poll_can_be_a_span() {
    let recorder = Recorder::new();
    block_on(every_poll());
    assert_eq!(
        summary(&recorder.take()),
        [name("every_poll"), name("every_poll")]
    );
}

#[test]
fn a_piece_of_a_function_can_be_a_span() {
    let recorder = Recorder::new();
    let items = 3;
    let doubled = trace_block!("cart.double", items = items, "cart.kind" = "big", {
        let _inner = span!("cart.inner", shown = ?Some(1));
        items * 2
    });
    assert_eq!(doubled, 6);
    assert_eq!(
        summary(&recorder.take()),
        [
            "cart.double cart.kind=big items=3",
            "cart.double/cart.inner shown=Some(1)"
        ]
    );
}

#[test]
fn a_future_given_up_is_left_within_its_span() {
    struct Leaves;
    impl Drop for Leaves {
        fn drop(&mut self) {
            leaf();
        }
    }
    #[trace]
    async fn owner() {
        let _leaves = Leaves;
        tick().await;
    }
    let recorder = Recorder::new();
    {
        let mut future = pin!(owner());
        let mut task = TaskContext::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut task).is_pending());
    }
    let owner = format!(
        "{}::owner",
        name("a_future_given_up_is_left_within_its_span")
    );
    // Functions in functions are named after their module.
    let owner = owner.replace("a_future_given_up_is_left_within_its_span::", "");
    assert_eq!(
        summary(&recorder.take()),
        [
            format!("{owner} ddtrace.cancelled=true"),
            format!("{owner}/{}", name("leaf"))
        ]
    );
}

/// The name of a function of this file.
fn name(function: &str) -> String {
    format!("{}::{function}", module_path!())
}

#[ddtrace::main]
#[tokio::main]
async fn returning() {
    leaf();
}

#[ddtrace::main]
fn panicking() {
    leaf();
    panic!("by design");
}

#[test]
fn h23_what_main_recorded_is_sent_when_it_returns_and_when_it_panics() {
    for program in ["returning", "panicking"] {
        let payloads = run_with_agent(program);
        assert!(
            payloads
                .iter()
                .any(|payload| contains(payload, name("leaf").as_bytes())),
            "{program} sent {} payloads",
            payloads.len()
        );
    }
}

/// Not a test: what the process started by [`run_with_agent`] runs.
#[test]
#[ignore = "run by h23 in a process of its own"]
fn program() {
    match std::env::var("DDTRACE_TEST_PROGRAM").as_deref() {
        Ok("returning") => returning(),
        Ok("panicking") => panicking(),
        _ => {}
    }
}

/// Runs a program with an agent that accepts everything, and returns the bodies that it was sent.
fn run_with_agent(program: &str) -> Vec<Vec<u8>> {
    let agent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", agent.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for connection in agent.incoming().map_while(Result::ok) {
            let sender = sender.clone();
            std::thread::spawn(move || answer(connection, &sender));
        }
    });
    Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "vectors::program",
            "--test-threads=1",
        ])
        .env("DDTRACE_TEST_PROGRAM", program)
        .env("DD_TRACE_AGENT_URL", url)
        .output()
        .unwrap();
    let mut payloads = Vec::new();
    while let Ok(payload) = receiver.recv_timeout(Duration::from_millis(200)) {
        payloads.push(payload);
    }
    payloads
}

/// Answers each request of a connection with 200 and passes on its bytes.
fn answer(mut connection: TcpStream, sender: &mpsc::Sender<Vec<u8>>) {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    while let Ok(read @ 1..) = connection.read(&mut part) {
        request.extend_from_slice(&part[..read]);
        let _ = sender.send(request.clone());
        if is_complete(&request) {
            request.clear();
            let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        }
    }
}

fn is_complete(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head.split("content-length:").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.trim().parse().ok());
    request.len() >= end + 4 + length.unwrap_or(0) || request.ends_with(b"0\r\n\r\n")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
