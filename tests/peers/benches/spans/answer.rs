//! The child's side: does the work with one peer and prints what was measured.

use crate::{WORK, Work};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use ddtrace_peers::{Flush, Peer, callgrind, load, meter, peer};
use std::io::BufRead as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Answers one question about one peer; `work` is a row of [`WORK`] by its number, where the question wants one.
pub(crate) fn answer(question: &str, name: &str, work: &str) {
    let peer = peer(name).expect("a peer's name");
    match question {
        "time" => time(peer, &(peer.start)()),
        "off" => time(peer, &(peer.start_off)()),
        "instructions" => instructions(
            peer,
            &(peer.start)(),
            &WORK[work.parse::<usize>().expect("a number")],
        ),
        "allocations" => allocations(peer, &(peer.start)()),
        "paced" => paced(peer, &(peer.start)()),
        "flat-out" => flat_out(peer, &(peer.start)()),
        "axum" => axum(peer, &(peer.start)()),
        other => panic!("nobody asks {other}"),
    }
}

fn burst(peer: &Peer, work: &Work) {
    let run = (work.run)(peer);
    for _ in 0..work.burst() {
        run(work.children);
    }
}

/// First uses of buffers and caches are not what a long-lived program pays.
fn warm_up(peer: &Peer, flush: &Flush, work: &Work) {
    for _ in 0..3 {
        burst(peer, work);
        flush();
    }
}

fn time(peer: &Peer, flush: &Flush) {
    for (i, work) in WORK.iter().enumerate() {
        warm_up(peer, flush, work);
        let mut samples: Vec<f64> = (0..40)
            .map(|_| {
                let began = Instant::now();
                burst(peer, work);
                let took = began.elapsed();
                flush();
                took.as_nanos() as f64 / (work.burst() * work.spans()) as f64
            })
            .collect();
        samples.sort_by(f64::total_cmp);
        println!("least-{i} {}", samples[0]);
        println!("median-{i} {}", samples[samples.len() / 2]);
    }
}

/// Runs under callgrind, which writes a file per dump: the burst and the flush, first cold and then warm, and at last a
/// single trace and its flush.
fn instructions(peer: &Peer, flush: &Flush, work: &Work) {
    let counted = |traces: u64| {
        callgrind::start();
        let run = (work.run)(peer);
        for _ in 0..traces {
            run(work.children);
        }
        callgrind::dump();
        flush();
        callgrind::dump();
        callgrind::stop();
    };
    counted(work.burst());
    warm_up(peer, flush, work);
    counted(work.burst());
    counted(1);
    println!("spans {}", work.burst() * work.spans());
}

fn allocations(peer: &Peer, flush: &Flush) {
    for (i, work) in WORK.iter().enumerate() {
        warm_up(peer, flush, work);
        let spans = (work.burst() * work.spans()) as f64;
        let (caller, all) = meter::allocations(|| burst(peer, work), flush);
        println!("caller-{i} {}", caller.count as f64 / spans);
        println!("bytes-{i} {}", caller.bytes as f64 / spans);
        println!("all-{i} {}", all.count as f64 / spans);
    }
}

/// Ten children a trace, so many traces that it makes 100,000 spans in each second.
fn paced(peer: &Peer, flush: &Flush) {
    const SECONDS: u64 = 4;
    const PER_SECOND: u64 = 100_000;
    let pace = |seconds: u64| {
        let began = Instant::now();
        let mut made = 0;
        while made < PER_SECOND * seconds {
            let due = began.elapsed().as_micros() as u64 * PER_SECOND / 1_000_000;
            while made < due.min(PER_SECOND * seconds) {
                (peer.flat)(10);
                made += 11;
            }
            thread::sleep(Duration::from_millis(1));
        }
        flush();
        made
    };
    pace(1);
    let before = meter::process_time();
    let made = pace(SECONDS);
    let took = meter::process_time() - before;
    println!("ns {}", took.as_nanos() as f64 / made as f64);
}

fn flat_out(peer: &Peer, flush: &Flush) {
    const SECONDS: f64 = 3.0;
    let stop = AtomicBool::new(false);
    let made = AtomicU64::new(0);
    let began = Instant::now();
    let mut took = 0.0;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut own = 0;
                while !stop.load(Ordering::Relaxed) {
                    (peer.flat)(10);
                    own += 11;
                }
                made.fetch_add(own, Ordering::Relaxed);
            });
        }
        thread::sleep(Duration::from_secs_f64(SECONDS));
        stop.store(true, Ordering::Relaxed);
        took = began.elapsed().as_secs_f64();
    });
    flush();
    let made = made.into_inner() as f64;
    println!("per-second {}", made / took);
    println!("made {made}");
    if let Some(taken) = (peer.taken)() {
        println!("taken {taken}");
    }
    println!("peak {}", meter::peak_memory());
}

/// Serves until its input ends; each line of input is answered with the processor time so far.
fn axum(peer: &Peer, flush: &Flush) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("a free port");
    println!("address {}", listener.local_addr().expect("it is bound"));
    let hello = get(async |Path(name): Path<String>| format!("hello, {name}"));
    debug_assert!(load::ANSWER.starts_with("hello, "));
    let router = (peer.layer)(Router::new().route("/hello/{name}", hello));
    runtime.spawn(async { axum::serve(listener, router).await });
    for line in std::io::stdin().lock().lines() {
        line.expect("readable input");
        flush();
        println!("cpu {}", meter::process_time().as_nanos());
    }
}
