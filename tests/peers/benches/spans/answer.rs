//! The child's side: does the work with one peer and prints what was measured.

use crate::{WORK, Work};
use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use ddtrace_peers::{Flush, Peer, callgrind, encode, load, meter, peer};
use std::hint::black_box;
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
        "instructions" => instructions(peer, &(peer.start)(), work_of(work)),
        "instructions-off" => instructions(peer, &(peer.start_off)(), work_of(work)),
        "allocations" => allocations(peer, &(peer.start)()),
        "shared" => shared(peer, &(peer.start)()),
        "encode" => encode(),
        "paced" => paced(peer, &(peer.start)()),
        "flat-out" => flat_out(peer, &(peer.start)()),
        "axum" => axum(peer, &(peer.start)()),
        other => panic!("nobody asks {other}"),
    }
}

fn work_of(number: &str) -> &'static Work {
    &WORK[number.parse::<usize>().expect("a number")]
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

/// A hundred children of a root that is on this thread's stack, and of one that is only attached.
fn shared(peer: &Peer, flush: &Flush) {
    let shared = peer.shared.expect("only peers that can are asked");
    let sample = |run: fn(u64)| {
        let began = Instant::now();
        (0..18).for_each(|_| run(100));
        let took = began.elapsed();
        flush();
        took.as_nanos() as f64 / (18 * 101) as f64
    };
    let mut samples: [Vec<f64>; 2] = Default::default();
    for _ in 0..60 {
        samples[0].push(sample(peer.flat));
        samples[1].push(sample(shared));
    }
    for (name, samples) in ["own", "shared"].iter().zip(&mut samples) {
        samples.sort_by(f64::total_cmp);
        println!("{name} {}", samples[0]);
        println!("median-{name} {}", samples[samples.len() / 2]);
    }
}

/// Nanoseconds per span, the least of many rounds that take the encoders in turn.
fn encode() {
    let spans = encode::spans();
    let (mut v04, mut v05) = (encode::Ours::new(false), encode::Ours::new(true));
    let payloads = [v04.encode(&spans), v05.encode(&spans)];
    let theirs = encode::Theirs::new(&payloads[0]);
    let size = payloads[0].len() as u32;
    assert_eq!(
        encode::Theirs::new(&theirs.v04(size)).v04(size),
        theirs.v04(size),
        "it is the same payload again"
    );
    let mut copies = [vec![0_u8; payloads[0].len()], vec![0_u8; payloads[1].len()]];
    let [
        mut ours04,
        mut ours05,
        mut theirs04,
        mut theirs05,
        mut copy04,
        mut copy05,
    ] = [f64::INFINITY; 6];
    for _ in 0..300 {
        let least = |value: &mut f64, work: &mut dyn FnMut()| {
            let began = Instant::now();
            work();
            *value = value.min(began.elapsed().as_nanos() as f64 / encode::SPANS as f64);
        };
        let [to04, to05] = &mut copies;
        least(&mut copy04, &mut || {
            black_box(&mut *to04).copy_from_slice(black_box(&payloads[0]))
        });
        least(&mut copy05, &mut || {
            black_box(&mut *to05).copy_from_slice(black_box(&payloads[1]))
        });
        least(&mut ours04, &mut || drop(black_box(v04.encode(&spans))));
        least(&mut ours05, &mut || drop(black_box(v05.encode(&spans))));
        least(&mut theirs04, &mut || drop(black_box(theirs.v04(size))));
        least(&mut theirs05, &mut || drop(black_box(theirs.v05())));
    }
    println!("copy-v04 {copy04}\ncopy-v05 {copy05}\nours-v04 {ours04}\nours-v05 {ours05}");
    println!("theirs-v04 {theirs04}\ntheirs-v05 {theirs05}");
}
