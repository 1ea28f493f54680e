//! What a span of LLM Observability costs: `cargo bench -p ddtrace --bench llm`.
//!
//! The same function with `#[trace]` and with attributes of the product, called over and over on one thread: without a tracer,
//! with the product off, and with it on; then what the worker spends on a span, and how many spans a second reach an agent.
//! Prints the best of several rounds. Budgets: §23 of the specification of the product.

use std::hint::black_box;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ddtrace::llmobs::test_support::LlmRecorder;
use ddtrace::{llm, trace, workflow};

const ROUNDS: usize = 40;

#[inline(never)]
fn plain(question: &str) -> &str {
    black_box(question)
}

#[trace]
#[inline(never)]
fn traced(question: &str) -> &str {
    black_box(question)
}

#[workflow(io = "none")]
#[inline(never)]
fn workflow_without_io(question: &str) -> &str {
    black_box(question)
}

#[workflow]
#[inline(never)]
fn workflow_with_io(question: &str) -> &str {
    black_box(question)
}

#[llm(io = "both", model_name = "gpt-4o", model_provider = "openai")]
#[inline(never)]
fn llm_with_io(question: &str) -> &str {
    black_box(question)
}

/// A function by what is printed of it.
type Case = (&'static str, for<'a> fn(&'a str) -> &'a str);

const CASES: [Case; 4] = [
    ("#[trace]", traced),
    ("#[workflow(io = \"none\")]", workflow_without_io),
    ("#[workflow]", workflow_with_io),
    ("#[llm(io = \"both\")]", llm_with_io),
];

/// The best times of a call on this thread, and of what comes after so many calls by each of them, in nanoseconds.
fn best(call: fn(&str) -> &str, question: &str, calls: u32, mut after: impl FnMut()) -> (f64, f64) {
    let mut best = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        for _ in 0..calls {
            black_box(call(black_box(question)));
        }
        let called = began.elapsed();
        after();
        let ended = began.elapsed() - called;
        let per_call = |time: Duration| time.as_nanos() as f64 / f64::from(calls);
        best = (best.0.min(per_call(called)), best.1.min(per_call(ended)));
    }
    best
}

fn off(what: &str, question: &str) {
    println!("{what}, ns a call:");
    let (without, _) = best(plain, question, 100_000, || ());
    println!("  {:44} {without:10.1}", "no attribute");
    for (name, call) in CASES {
        let (caller, _) = best(call, question, 100_000, || ());
        println!("  {name:44} {caller:10.1}");
    }
}

/// Stands in for an agent: says yes to everything, and counts the spans of the product that arrive.
fn agent(arrived: Arc<AtomicUsize>) -> std::io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let arrived = Arc::clone(&arrived);
            std::thread::spawn(move || while converse(&stream, &arrived).is_some() {});
        }
    });
    Ok(url)
}

fn converse(mut stream: &TcpStream, arrived: &AtomicUsize) -> Option<()> {
    const MARK: &[u8] = b"agent_service";
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let is_info = line.contains("/info");
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let marks = body
        .iter()
        .enumerate()
        .filter(|(at, byte)| **byte == MARK[0] && body[*at..].starts_with(MARK));
    arrived.fetch_add(marks.count(), Ordering::Relaxed);
    let answer = match is_info {
        true => r#"{"endpoints":["/v0.4/traces","/evp_proxy/v2/"]}"#,
        false => "{}",
    };
    let length = answer.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all((head + answer).as_bytes()).ok()
}

fn sent(question: &str) -> std::io::Result<()> {
    const SPANS: usize = 20_000;
    /// Less than the queue holds.
    const AT_ONCE: usize = 500;
    let arrived = Arc::new(AtomicUsize::new(0));
    let url = agent(Arc::clone(&arrived))?;
    let guard = ddtrace::builder()
        .service("bench")
        .agent_url(&url)
        .set("DD_LLMOBS_ENABLED", "true")
        .set("DD_LLMOBS_ML_APP", "bench")
        .set("DD_LLMOBS_AGENTLESS_ENABLED", "false")
        .set("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
        .set("DD_REMOTE_CONFIGURATION_ENABLED", "false")
        .init();
    let began = Instant::now();
    for at in 1..=SPANS {
        black_box(llm_with_io(question));
        if at % AT_ONCE == 0 {
            ddtrace::llmobs::flush();
        }
    }
    drop(guard);
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "through the writer to an agent, {} bytes in and out: {:.0} spans/s, {} of {SPANS} arrived",
        question.len(),
        SPANS as f64 / seconds,
        arrived.load(Ordering::Relaxed),
    );
    Ok(())
}

fn main() -> std::io::Result<()> {
    let [small, medium, large] = [16, 1 << 10, 100 << 10].map(|size| "x".repeat(size));
    off("without a tracer", &small);
    {
        let recorder = LlmRecorder::new();
        recorder.switch(false);
        println!("the product off, ns a call and ns on the worker:");
        for (name, call) in CASES {
            let (caller, worker) = best(call, &small, 1000, || drop(recorder.take()));
            println!("  {name:44} {caller:10.1} {worker:10.1}");
        }
        recorder.switch(true);
        for (question, calls) in [(&small, 500), (&medium, 500), (&large, 20)] {
            println!(
                "the product on, {} bytes in and out, ns a call and ns on the worker:",
                question.len()
            );
            for (name, call) in CASES {
                let (caller, worker) = best(call, question, calls, || drop(recorder.take()));
                println!("  {name:44} {caller:10.1} {worker:10.1}");
            }
        }
    }
    sent(&medium)
}
