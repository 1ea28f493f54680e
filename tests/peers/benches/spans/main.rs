//! What a span costs with each tracer. `-- --help` says what can be asked for.
//!
//! A tracer is global to its process, so this program starts itself once per peer and question and reads the answers
//! from the child's output, lines of `key value`. Rounds go over all peers in turn, so that a busy moment of the machine
//! hits all of them.

use ddtrace_peers::sink::Sink;
use ddtrace_peers::table::{Table, number};
use ddtrace_peers::{PEERS, Peer, meter, peer};
use std::collections::BTreeMap;
use std::env;
use targets::{OURS, Targets};

mod answer;
mod ask;
mod targets;

#[global_allocator]
static ALLOCATOR: meter::Counting = meter::Counting;

/// A row of work: its name, what is called, and how many spans one call makes.
struct Work {
    name: &'static str,
    run: fn(&Peer) -> fn(u64),
    children: u64,
}

static WORK: &[Work] = &[
    Work {
        name: "1 child",
        run: |peer| peer.flat,
        children: 1,
    },
    Work {
        name: "10 children",
        run: |peer| peer.flat,
        children: 10,
    },
    Work {
        name: "100 children",
        run: |peer| peer.flat,
        children: 100,
    },
    Work {
        name: "100 tagged",
        run: |peer| peer.tagged,
        children: 100,
    },
    Work {
        name: "100 async",
        run: |peer| peer.asynchronous,
        children: 100,
    },
];

impl Work {
    fn spans(&self) -> u64 {
        self.children + 1
    }

    /// Calls in a burst. It stays below the smallest queue of a peer (2,048 spans), so that no cheap dropped span is timed.
    fn burst(&self) -> u64 {
        1_900 / self.spans()
    }
}

const HELP: &str = "\
cargo bench --manifest-path tests/peers/Cargo.toml -- [PART]... [--peer NAME]... [--rounds N]

parts   time           nanoseconds per span on the caller's thread
        off            the same with the tracer switched off
        instructions   instructions per span, on and off, counted by valgrind
        allocations    allocations and bytes per span
        paced          processor time per span at 100,000 spans a second, sent to an agent
        flat-out       two threads as fast as they can: made, delivered, memory
        shared         a child span on a thread that only has the root's context, against one below its root
        encode         1000 spans of 13 tags to v0.4 and v0.5, against copying the payload
        axum           processor time per request of a small server
without a part: all of them; without --peer: all peers
";

fn main() {
    let mut parts = Vec::new();
    let mut peers = Vec::new();
    let mut rounds = 3;
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .unwrap_or_else(|| panic!("{argument} wants a value\n\n{HELP}"))
        };
        match argument.as_str() {
            "--answer" => return answer::answer(&value(), &value(), &value()),
            "--peer" => {
                let name = value();
                peers.push(peer(&name).unwrap_or_else(|| panic!("no peer is called {name}")));
            }
            "--rounds" => rounds = value().parse().expect("a number of rounds"),
            "--help" => return print!("{HELP}"),
            // Cargo passes it to every bench.
            "--bench" => {}
            part => parts.push(part.to_owned()),
        }
    }
    if peers.is_empty() {
        peers = PEERS.iter().collect();
    }
    if parts.is_empty() {
        let all = [
            "time",
            "off",
            "instructions",
            "allocations",
            "paced",
            "flat-out",
            "shared",
            "encode",
            "axum",
        ];
        parts = all.map(str::to_owned).to_vec();
    }
    let bench = ask::Bench {
        sink: Sink::start().expect("a free port"),
        peers,
        rounds,
        targets: Targets::default(),
    };
    for part in &parts {
        match part.as_str() {
            "time" => bench.time("time"),
            "off" => bench.time("off"),
            "instructions" => bench.instructions(),
            "allocations" => bench.allocations(),
            "paced" => bench.paced(),
            "flat-out" => bench.flat_out(),
            "shared" => bench.shared(),
            "encode" => bench.encode(),
            "axum" => bench.axum(),
            other => panic!("there is no part {other}\n\n{HELP}"),
        }
    }
    bench.targets.print();
}
