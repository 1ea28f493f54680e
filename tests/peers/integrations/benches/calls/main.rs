//! What a call of each library costs: alone, with our integration on and off, and with the other ways to trace it.
//!
//! ```text
//! bash tests/run --exec cargo bench --manifest-path tests/peers/integrations/Cargo.toml --bench calls
//! ```
//!
//! `-- --help` says what can be asked for. Without PostgreSQL and Redis (`tests/run` starts them) what needs them is left out,
//! and said so; without valgrind no instructions are counted.
//!
//! A tracer is global to its process, so this program starts itself once per library and tracer, and asks those processes for
//! a batch of calls in turns. Batches are so small that no tracer's queue overflows, and after each everything is sent: what is
//! dropped would cost too little. Ten calls of a client are below one root span of the tracer, as in a service that
//! makes ten calls per request; a tenth of that root is part of what a call costs.
//!
//! Of the time on the calling thread and of the processor time of the process, which has what the tracer does in the
//! background until everything is sent, the least of all batches counts, and the median is beside it: whatever else the
//! machine does only adds. Processor time and instructions are those of a batch less those of a single trace, so that what sending costs
//! however little there is to send (fastrace's reporter makes a client with all of TLS for every payload) is not in them: in a
//! service that is once a second, here it is after every batch. `end_to_end` has it.

use ddtrace_peers::{callgrind, meter, table};
use ddtrace_peers_integrations::process;
use ddtrace_peers_integrations::tracers::{Logs, Tracer};
use std::env;
use std::time::Instant;
use subjects::{CALLS_PER_TRACE, Variant};

mod ask;
mod servers;
mod subjects;

#[global_allocator]
static ALLOCATOR: meter::Counting = meter::Counting;

/// URL of an HTTP server that says hello.
const HELLO: &str = "BENCH_HELLO";
/// Addresses of a Kafka cluster.
const KAFKA: &str = "BENCH_KAFKA";
/// URL of PostgreSQL; `tests/run` sets it.
const POSTGRES: &str = "DATABASE_URL_POSTGRES";
/// URL of Redis; `tests/run` sets it.
const REDIS: &str = "REDIS_URL";

const HELP: &str = "\
bash tests/run --exec cargo bench --manifest-path tests/peers/integrations/Cargo.toml --bench calls -- [OPTION]... [WORD]...

WORD                 only calls whose name has the word in it: axum, reqwest, PostgreSQL, …
--only TRACER        only this tracer (may be repeated); bare is always there
--rounds N           batches per tracer; 15 without it, 1 shows that everything works
--no-instructions    not under valgrind
--list               what there is
";

fn main() {
    let mut words = Vec::new();
    let mut bench = ask::Bench {
        rounds: 15,
        instructions: true,
        only: Vec::new(),
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next();
            value.unwrap_or_else(|| panic!("{argument} wants a value\n\n{HELP}"))
        };
        match argument.as_str() {
            "--child" => {
                let place = [value(), value()].map(|it| it.parse::<usize>().expect("a number"));
                return child(place);
            }
            "--only" => {
                let name = value();
                let tracer = Tracer::of(&name);
                bench
                    .only
                    .push(tracer.unwrap_or_else(|| panic!("no tracer is called {name}")));
            }
            "--rounds" => bench.rounds = value().parse().expect("a number of rounds"),
            "--no-instructions" => bench.instructions = false,
            "--list" => return list(),
            "--help" => return print!("{HELP}"),
            // Cargo passes it to every bench.
            "--bench" => {}
            word => words.push(word.to_owned()),
        }
    }
    bench.all(&words);
}

fn list() {
    for subject in subjects::all() {
        println!("{}", subject.name);
        for variant in subject.variants {
            println!("    {:14}{}", variant.tracer.name(), variant.with);
        }
    }
}

/// Does the work of one subject with one tracer, as often as it is asked to.
fn child([subject, variant]: [usize; 2]) {
    let subject = subjects::all()[subject];
    let Variant {
        tracer, prepare, ..
    } = subject.variants[variant];
    let flush = tracer.start(Logs::None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut work = runtime.block_on(prepare(tracer));
    // First uses of buffers and caches are not what a long-lived program pays.
    for _ in 0..2 {
        runtime.block_on(work.run(subject.burst));
        work.settle();
        flush();
    }
    process::answer(|question| match question {
        "batch" => {
            // Wall time of the calls, processor time until all is sent, both in ns.
            let mut time = |calls: u32| {
                let before = meter::process_time();
                let began = Instant::now();
                runtime.block_on(work.run(calls));
                let wall = began.elapsed();
                work.settle();
                flush();
                let cpu = meter::process_time() - before;
                [wall, cpu].map(|time| time.as_nanos() as f64)
            };
            let [_, of_trace] = time(CALLS_PER_TRACE);
            let [wall, of_batch] = time(subject.burst);
            vec![("wall", wall), ("batch", of_batch), ("trace", of_trace)]
        }
        "allocations" => {
            let work = std::cell::RefCell::new(&mut work);
            let (own, all) = meter::allocations(
                || runtime.block_on(work.borrow_mut().run(subject.burst)),
                || {
                    work.borrow_mut().settle();
                    flush();
                },
            );
            let per_call = |count: u64| count as f64 / f64::from(subject.burst);
            vec![
                ("own", per_call(own.count)),
                ("bytes", per_call(own.bytes)),
                ("all", per_call(all.count)),
            ]
        }
        "instructions" => {
            for _ in 0..ask::COUNTED {
                for calls in [CALLS_PER_TRACE, subject.burst] {
                    callgrind::start();
                    runtime.block_on(work.run(calls));
                    callgrind::dump();
                    work.settle();
                    flush();
                    callgrind::dump();
                    callgrind::stop();
                }
            }
            Vec::new()
        }
        other => panic!("nobody asks {other}"),
    });
}
