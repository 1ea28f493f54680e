//! A service that answers requests with axum, Redis and PostgreSQL, and writes a log record for each: without a tracer, with ours and everything
//! that it has switched on, and with the alternatives.
//!
//! ```text
//! bash tests/run --exec cargo bench --manifest-path tests/peers/integrations/Cargo.toml --bench end_to_end
//! ```
//!
//! Every way to trace is a server process of its own; all of them live through the whole run and are asked in turns. This
//! process is the client, the Datadog Agent and the collector. Two kinds of load:
//!
//! * **closed**: so many connections, each with the next request as soon as the last is answered: the most requests per second
//!   that the machine can do, client and databases included, and the server's processor time for each, spans sent and all;
//! * **paced**: at a rate that every server can hold. A request is due at a moment that does not depend on the answers
//!   before it, and its latency counts from that moment: a server that is late pays for it (no coordinated omission). The kernel wakes this
//!   process up to 50 µs late, the same for all.
//!
//! One request in five is for an order that is in no cache: Redis is asked, PostgreSQL is, and the answer is put into Redis; the others
//! are answered from Redis. That is two spans or four.

use ddtrace_peers::table::{Table, number};
use ddtrace_peers_integrations::process::Child;
use ddtrace_peers_integrations::sink::Sink;
use ddtrace_peers_integrations::tracers::Tracer;
use std::env;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

mod database;
mod load;
mod service;
mod store;

/// URL of PostgreSQL; `tests/run` sets it.
const POSTGRES: &str = "DATABASE_URL_POSTGRES";
/// URL of Redis; `tests/run` sets it.
const REDIS: &str = "REDIS_URL";

const HELP: &str = "\
bash tests/run --exec cargo bench --manifest-path tests/peers/integrations/Cargo.toml --bench end_to_end -- [OPTION]...

--only NAME        only this server (may be repeated); bare is always there
--rounds N         rounds of each kind of load; 5 without it, 1 shows that everything works
--seconds N        how long each load lasts; 4 without it
--connections N    connections; 32 without it
--rate N           requests per second when paced; without it 40 % of what the slowest server can do
";

/// A server: a tracer and its settings.
struct Setup {
    name: &'static str,
    tracer: Tracer,
    settings: &'static [(&'static str, &'static str)],
}

/// What is not on by default.
const EVERYTHING: &[(&str, &str)] = &[
    ("DD_RUNTIME_METRICS_ENABLED", "true"),
    ("DD_TRACE_HEALTH_METRICS_ENABLED", "true"),
    ("DD_LOGS_INJECTION", "true"),
    ("DD_DBM_PROPAGATION_MODE", "service"),
];

static SETUPS: &[Setup] = &[
    Setup {
        name: "bare",
        tracer: Tracer::Bare,
        settings: &[],
    },
    Setup {
        name: "off",
        tracer: Tracer::Off,
        settings: &[],
    },
    Setup {
        name: "ddtrace",
        tracer: Tracer::Ddtrace,
        settings: EVERYTHING,
    },
    // Every statement has a text of its own, so that PostgreSQL parses each: what Database Monitoring asks for in this mode.
    Setup {
        name: "ddtrace, DBM full",
        tracer: Tracer::Ddtrace,
        settings: &[
            ("DD_RUNTIME_METRICS_ENABLED", "true"),
            ("DD_TRACE_HEALTH_METRICS_ENABLED", "true"),
            ("DD_LOGS_INJECTION", "true"),
            ("DD_DBM_PROPAGATION_MODE", "full"),
        ],
    },
    Setup {
        name: "otel",
        tracer: Tracer::Otel,
        settings: &[],
    },
    Setup {
        name: "datadog-otel",
        tracer: Tracer::Datadog,
        settings: &[],
    },
    Setup {
        name: "fastrace",
        tracer: Tracer::Fastrace,
        settings: &[],
    },
];

/// How long, how often, how many.
struct Plan {
    only: Vec<String>,
    rounds: u32,
    time: Duration,
    connections: usize,
    rate: Option<f64>,
}

fn main() {
    let mut plan = Plan {
        only: Vec::new(),
        rounds: 5,
        time: Duration::from_secs(4),
        connections: 32,
        rate: None,
    };
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            let value = arguments.next();
            value.unwrap_or_else(|| panic!("{argument} wants a value\n\n{HELP}"))
        };
        match argument.as_str() {
            "--serve" => {
                let name = value();
                let tracer = Tracer::of(&name).expect("a tracer");
                return service::serve(tracer);
            }
            "--only" => {
                let name = value();
                let is_there = SETUPS.iter().any(|setup| setup.name == name);
                assert!(is_there, "no server is called {name}");
                plan.only.push(name);
            }
            "--rounds" => plan.rounds = value().parse().expect("a number of rounds"),
            "--seconds" => {
                plan.time = Duration::from_secs_f64(value().parse().expect("seconds"));
            }
            "--connections" => plan.connections = value().parse().expect("a number"),
            "--rate" => plan.rate = Some(value().parse().expect("requests per second")),
            "--help" => return print!("{HELP}"),
            // Cargo passes it to every bench.
            "--bench" => {}
            other => panic!("what is {other}?\n\n{HELP}"),
        }
    }
    for variable in [POSTGRES, REDIS] {
        if env::var_os(variable).is_none() {
            return println!(
                "nothing is measured: {variable} is not set; tests/run starts the servers"
            );
        }
    }
    database::prepare();
    run(&plan);
    database::clean_up();
}

/// A server process and what was seen of it.
struct Server {
    setup: &'static Setup,
    child: Child,
    sink: Sink,
    address: SocketAddr,
    closed: Vec<Closed>,
    paced: Vec<Paced>,
    requests: f64,
    expected: f64,
    delivered: f64,
    peak: f64,
}

struct Closed {
    per_second: f64,
    cpu: f64,
}

struct Paced {
    median: f64,
    p99: f64,
    cpu: f64,
}

impl Server {
    fn start(setup: &'static Setup, metrics: u16) -> Server {
        let sink = Sink::start().expect("a free port");
        let mut variables = setup.tracer.variables(&sink.url());
        variables.push(("DD_DOGSTATSD_PORT", metrics.to_string()));
        let settings = setup.settings.iter();
        variables.extend(settings.map(|&(name, value)| (name, value.to_owned())));
        let mut child = Child::start(&["--serve", setup.tracer.name()], &variables, &[]);
        child.answer("the start");
        let port = child.ask("port")["port"];
        Server {
            setup,
            child,
            sink,
            address: SocketAddr::from(([127, 0, 0, 1], port as u16)),
            closed: Vec::new(),
            paced: Vec::new(),
            requests: 0.0,
            expected: 0.0,
            delivered: 0.0,
            peak: 0.0,
        }
    }

    /// Runs a load; the server's processor time for each request until all spans are sent, in µs.
    fn under<T>(&mut self, load: impl FnOnce(SocketAddr) -> T) -> (T, f64) {
        let before = self.child.ask("state");
        let result = load(self.address);
        let after = self.child.ask("state");
        let more = |key: &str| after[key] - before[key];
        let requests = more("hits") + more("misses");
        // The server's own span and that of Redis; and that of PostgreSQL, and Redis's once more.
        let expected = 2.0 * more("hits") + 4.0 * more("misses");
        self.requests += requests;
        self.peak = after["peak"];
        if self.setup.tracer.traces() {
            self.expected += expected;
            self.delivered += self.arrived(expected);
        } else {
            self.delivered += self.sink.take() as f64;
        }
        (result, more("cpu") / requests / 1e3)
    }

    /// A tracer may send after it says that it has sent; not for long, though.
    fn arrived(&self, expected: f64) -> f64 {
        let deadline = Instant::now() + Duration::from_secs(2);
        let mut delivered = self.sink.take() as f64;
        while delivered < expected && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(10));
            delivered += self.sink.take() as f64;
        }
        delivered
    }
}

fn run(plan: &Plan) {
    let (metrics, packets) = metrics();
    let is_wanted = |setup: &&Setup| {
        let is_asked = plan.only.iter().any(|name| name == setup.name);
        plan.only.is_empty() || setup.name == "bare" || is_asked
    };
    let setups = SETUPS.iter().filter(is_wanted);
    let mut servers: Vec<_> = setups.map(|setup| Server::start(setup, metrics)).collect();
    for server in &mut servers {
        // First uses of buffers and caches are not what a long-lived service pays.
        let warm_up = plan.time.min(Duration::from_secs(2));
        load::closed(server.address, plan.connections, warm_up);
        server.child.ask("state");
        // What arrives late would be counted for the first round.
        thread::sleep(Duration::from_millis(200));
        server.sink.take();
    }
    for round in 1..=plan.rounds {
        for server in &mut servers {
            eprintln!(
                "closed: round {round} of {}, {}",
                plan.rounds, server.setup.name
            );
            let load = |address| load::closed(address, plan.connections, plan.time);
            let (answered, cpu) = server.under(load);
            let per_second = answered as f64 / plan.time.as_secs_f64();
            server.closed.push(Closed { per_second, cpu });
        }
    }
    let slowest = servers.iter().map(|server| {
        let of_rounds = server.closed.iter().map(|closed| closed.per_second);
        of_rounds.fold(f64::INFINITY, f64::min)
    });
    let slowest = slowest.fold(f64::INFINITY, f64::min);
    let rate = plan
        .rate
        .unwrap_or((slowest * 0.4 / 100.0).round().max(1.0) * 100.0);
    for round in 1..=plan.rounds {
        for server in &mut servers {
            eprintln!(
                "paced: round {round} of {}, {}",
                plan.rounds, server.setup.name
            );
            let load = |address| load::paced(address, plan.connections, rate, plan.time);
            let (latencies, cpu) = server.under(load);
            let at = |share: f64| {
                let place = (latencies.len() as f64 * share) as usize;
                latencies[place.min(latencies.len() - 1)].as_secs_f64() * 1e6
            };
            let (median, p99) = (at(0.5), at(0.99));
            server.paced.push(Paced { median, p99, cpu });
        }
    }
    print(plan, rate, &servers);
    println!(
        "\npackets of metrics that arrived: {}",
        packets.load(Ordering::Relaxed)
    );
    for server in servers {
        server.child.end();
    }
}

/// DogStatsD's port, and how many packets have come to it so far.
fn metrics() -> (u16, Arc<AtomicU64>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let port = socket.local_addr().expect("it is bound").port();
    let packets = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&packets);
    thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while socket.recv(&mut buffer).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, packets)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(plan: &Plan, rate: f64, servers: &[Server]) {
    let title = format!(
        "axum, sqlx on PostgreSQL, Redis; {} connections, {} rounds of {:?}, paced at {rate:.0} requests/s; medians of the rounds",
        plan.connections, plan.rounds, plan.time
    );
    let columns = [
        "requests/s",
        "/bare",
        "server CPU µs/request",
        "/bare",
        "paced: CPU µs/request",
        "/bare",
        "p50 µs",
        "/bare",
        "p99 µs",
        "/bare",
        "peak MiB",
        "/bare",
        "spans/request",
        "delivered",
    ];
    let mut table = Table::new(title, &columns);
    let figures = |server: &Server| {
        [
            median(server.closed.iter().map(|closed| closed.per_second)),
            median(server.closed.iter().map(|closed| closed.cpu)),
            median(server.paced.iter().map(|paced| paced.cpu)),
            median(server.paced.iter().map(|paced| paced.median)),
            median(server.paced.iter().map(|paced| paced.p99)),
            server.peak / f64::from(1 << 20),
        ]
    };
    let of_bare = figures(&servers[0]);
    for server in servers {
        // What a server costs is no figure if it traces and nothing arrives, or if it does not and something does.
        let is_right = server.setup.tracer.traces() == (server.delivered > 0.0);
        let mut cells = Vec::new();
        for (own, of_bare) in figures(server).into_iter().zip(of_bare) {
            cells.push(number(own));
            cells.push(match is_right {
                true => format!("{:.2}", own / of_bare),
                false => "–".to_owned(),
            });
        }
        cells.push(number(server.delivered / server.requests));
        cells.push(match server.setup.tracer.traces() {
            true => format!("{:.1} %", server.delivered / server.expected * 100.0),
            false => "–".to_owned(),
        });
        table.row(server.setup.name, cells);
    }
    table.print();
}
