//! The parent's side: asks every peer, and prints the answers beside each other.

use crate::*;
use ddtrace_peers::load;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

/// What is asked, of whom, how often.
pub(crate) struct Bench {
    pub(crate) sink: Sink,
    pub(crate) peers: Vec<&'static Peer>,
    pub(crate) rounds: usize,
    pub(crate) targets: Targets,
}

type Answers = BTreeMap<String, f64>;

impl Bench {
    /// The child that answers, directly or under another program.
    fn command(&self, question: &str, peer: &Peer, work: usize, under: &[String]) -> Command {
        let executable = env::current_exe().expect("this program has a path");
        let mut command = match under {
            [] => Command::new(executable),
            [program, arguments @ ..] => {
                let mut command = Command::new(program);
                command.args(arguments).arg(executable);
                command
            }
        };
        command.args(["--answer", question, peer.name, &work.to_string()]);
        command
            .env("DD_TRACE_AGENT_URL", self.sink.url())
            .env("DD_SERVICE", "bench");
        command
            .env("DD_INSTRUMENTATION_TELEMETRY_ENABLED", "false")
            .env("DD_REMOTE_CONFIGURATION_ENABLED", "false")
            .env("DD_TRACE_STATS_COMPUTATION_ENABLED", "false")
            .env("DD_TRACE_STARTUP_LOGS", "false");
        // A rate limit would make the cheap, unsampled kind of span out of most of a burst.
        command.env("DD_TRACE_RATE_LIMIT", "100000000");
        if question.starts_with("instructions") {
            // Under valgrind a second of the program is many of ours: what reports by the clock would do so in the middle.
            command.env("PEERS_REPORT_ON_FLUSH", "1");
        }
        command.env("DD_TRACE_ENABLED", (!question.ends_with("off")).to_string());
        command
    }

    fn ask(&self, question: &str, peer: &Peer) -> Answers {
        answers(&mut self.command(question, peer, 0, &[]))
    }

    /// All rounds, each over all peers.
    fn rounds(&self, question: &str) -> Vec<Vec<Answers>> {
        let mut all: Vec<Vec<Answers>> = self.peers.iter().map(|_| Vec::new()).collect();
        for round in 0..self.rounds {
            for (i, peer) in self.peers.iter().enumerate() {
                eprintln!(
                    "{question}: round {} of {}, {}",
                    round + 1,
                    self.rounds,
                    peer.name
                );
                all[i].push(self.ask(question, peer));
            }
        }
        all
    }

    /// Where a peer stands in the tables, if it is asked at all.
    fn place(&self, name: &str) -> Option<usize> {
        self.peers.iter().position(|peer| peer.name == name)
    }

    /// What `peer` has in `column`, in times what fastrace has.
    fn ratio(&self, values: &[f64], i: usize) -> String {
        match self.place("fastrace") {
            Some(fastrace) => format!("{:.2}", values[i] / values[fastrace]),
            None => "-".to_owned(),
        }
    }

    pub(crate) fn time(&self, question: &str) {
        let rounds = self.rounds(question);
        let title = match question {
            "off" => "switched off, ns per call: least (median)",
            _ => {
                "ns per span on the caller's thread: least (median), and the least in times fastrace's"
            }
        };
        let names: Vec<_> = WORK
            .iter()
            .flat_map(|work| [work.name, "/fastrace"])
            .collect();
        let mut table = Table::new(title, &names);
        let least: Vec<Vec<f64>> = (0..WORK.len())
            .map(|work| {
                rounds
                    .iter()
                    .map(|all| least(all, &format!("least-{work}")))
                    .collect()
            })
            .collect();
        for (i, peer) in self.peers.iter().enumerate() {
            let mut cells = Vec::new();
            for (work, least) in least.iter().enumerate() {
                let median = median(&rounds[i], &format!("median-{work}"));
                cells.push(format!("{} ({})", number(least[i]), number(median)));
                cells.push(self.ratio(least, i));
            }
            table.row(peer.name, cells);
        }
        table.print();
        let (ours, fastrace, untraced) = (
            self.place(OURS),
            self.place("fastrace"),
            self.place("untraced"),
        );
        match (question, ours, fastrace, untraced) {
            ("time", Some(ours), Some(fastrace), _) => {
                let ratio = |work: usize| least[work][ours] / least[work][fastrace];
                self.targets
                    .at_most("root and 1 child, times fastrace's ns", 0.7, ratio(0));
                self.targets
                    .at_most("child of 100, times fastrace's ns", 0.6, ratio(2));
                self.targets
                    .at_most("child with tags, times fastrace's ns", 0.4, ratio(3));
            }
            ("off", Some(ours), _, Some(untraced)) => {
                self.targets.at_most(
                    "off, ns above untraced",
                    1.0,
                    least[2][ours] - least[2][untraced],
                );
            }
            _ => {}
        }
    }

    pub(crate) fn instructions(&self) {
        if Command::new("valgrind")
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .is_err()
        {
            return println!("\ninstructions per span: not counted, valgrind is not installed");
        }
        let names: Vec<_> = WORK.iter().map(|work| work.name).collect();
        let mut caller = Table::new(
            "instructions per span on the caller's thread, warm (cold)",
            &names,
        );
        let mut process = Table::new(
            "instructions per span of the whole process until flushed, less what one trace and its flush take, warm (cold)",
            &names,
        );
        let mut off = Table::new(
            "instructions per call on the caller's thread, switched off",
            &names,
        );
        // By peer and work: caller warm, process cold, caller off.
        let mut figures = Vec::new();
        for peer in &self.peers {
            let mut cells: [Vec<String>; 3] = Default::default();
            let mut of_peer = Vec::new();
            for (i, work) in WORK.iter().enumerate() {
                eprintln!("instructions: {}, {}", peer.name, work.name);
                // A dump holds the thread that asked for it, or all threads when they are not told apart.
                let (own, spans) = self.counted("instructions", peer, i, true);
                // A reporter may wake up by itself and report twice: of two runs, the one that has less of that.
                let runs = [(); 2].map(|()| self.counted("instructions", peer, i, false).0);
                let all: Vec<f64> = runs[0]
                    .iter()
                    .zip(runs[1])
                    .map(|(one, other)| one.min(other))
                    .collect();
                let own = |part: usize| own[part] / spans;
                // A trace of its own shows what a flush costs however little there is to send.
                let least = all[4] + all[5];
                let all = |part: usize| {
                    (all[part] + all[part + 1] - least) / (spans - work.spans() as f64)
                };
                let when_off = self.counted("instructions-off", peer, i, true).0[2] / spans;
                cells[0].push(format!("{} ({})", number(own(2)), number(own(0))));
                cells[1].push(format!("{} ({})", number(all(2)), number(all(0))));
                cells[2].push(number(when_off));
                of_peer.push((own(2), all(0), when_off));
            }
            let [on_caller, in_process, when_off] = cells;
            caller.row(peer.name, on_caller);
            process.row(peer.name, in_process);
            off.row(peer.name, when_off);
            figures.push(of_peer);
        }
        for table in [caller, process, off] {
            table.print();
        }
        if let (Some(ours), Some(untraced)) = (self.place(OURS), self.place("untraced")) {
            let (ours, untraced) = (&figures[ours], &figures[untraced]);
            let targets = &self.targets;
            targets.at_most("child of 100, instructions on the caller", 170.0, ours[2].0);
            // Two spans less the child: what the root adds.
            targets.at_most(
                "a trace, instructions on the caller",
                600.0,
                2.0 * ours[0].0 - ours[2].0,
            );
            targets.at_most(
                "child with tags, instructions on the caller",
                500.0,
                ours[3].0,
            );
            targets.at_most(
                "async child, instructions above untraced",
                600.0,
                ours[4].0 - untraced[4].0,
            );
            targets.at_most(
                "off, instructions above untraced",
                8.0,
                ours[2].2 - untraced[2].2,
            );
            targets.at_most(
                "off, async, instructions above untraced",
                16.0,
                ours[4].2 - untraced[4].2,
            );
            targets.at_most(
                "child of 100, instructions of the process, cold",
                800.0,
                ours[2].1,
            );
        }
    }

    /// Instructions in each of the six dumps (burst and flush: cold, warm, a single trace), and the spans of a burst.
    fn counted(
        &self,
        question: &str,
        peer: &Peer,
        work: usize,
        by_thread: bool,
    ) -> ([f64; 6], f64) {
        let folder = env::temp_dir().join(format!("ddtrace-peers-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a temporary folder");
        let separate = if by_thread { "yes" } else { "no" };
        let under = [
            "valgrind".to_owned(),
            "--tool=callgrind".to_owned(),
            "-q".to_owned(),
            "--instr-atstart=no".to_owned(),
            format!("--separate-threads={separate}"),
            format!("--callgrind-out-file={}", folder.join("out").display()),
        ];
        let spans = answers(&mut self.command(question, peer, work, &under))["spans"];
        let thread = if by_thread { "-01" } else { "" };
        let counts = [1, 2, 3, 4, 5, 6].map(|part| {
            let file = folder.join(format!("out.{part}{thread}"));
            let text = fs::read_to_string(file).expect("callgrind wrote its file");
            let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
            total
                .and_then(|it| it.trim().parse::<f64>().ok())
                .expect("a total")
        });
        let _ = fs::remove_dir_all(&folder);
        (counts, spans)
    }

    pub(crate) fn allocations(&self) {
        let names: Vec<_> = WORK.iter().map(|work| work.name).collect();
        let title = "allocations per span: caller (bytes), all threads until flushed";
        let mut table = Table::new(title, &names);
        for peer in &self.peers {
            eprintln!("allocations: {}", peer.name);
            let all = self.ask("allocations", peer);
            let cell = |i| {
                let get = |key: &str| all[&format!("{key}-{i}")];
                format!(
                    "{:.2} ({:.0}) {:.2}",
                    get("caller"),
                    get("bytes"),
                    get("all")
                )
            };
            table.row(peer.name, (0..WORK.len()).map(cell).collect());
            if peer.name == OURS {
                self.targets.at_most(
                    "child of 100, allocations of all threads",
                    0.02,
                    all["all-2"],
                );
                self.targets.at_most(
                    "child with tags, allocations of all threads",
                    0.1,
                    all["all-3"],
                );
            }
        }
        table.print();
    }

    pub(crate) fn paced(&self) {
        let rounds = self.rounds("paced");
        let medians: Vec<f64> = rounds.iter().map(|all| median(all, "ns")).collect();
        let idle = self.place("untraced").map_or(0.0, |i| medians[i]);
        let title =
            "process CPU ns per span at 100,000 spans/s, ten children a trace, untraced subtracted";
        let mut table = Table::new(title, &["median of rounds", "least"]);
        for (i, peer) in self.peers.iter().enumerate() {
            if peer.name == OURS {
                self.targets.at_most(
                    "100,000 spans/s sent, CPU ns per span",
                    700.0,
                    medians[i] - idle,
                );
            }
            table.row(
                peer.name,
                vec![
                    number(medians[i] - idle),
                    number(least(&rounds[i], "ns") - idle),
                ],
            );
        }
        table.print();
    }

    pub(crate) fn flat_out(&self) {
        let title = "two threads flat out for 3 s, ten children a trace";
        let mut table = Table::new(
            title,
            &["M spans/s made", "M spans/s delivered", "share", "peak MiB"],
        );
        for peer in &self.peers {
            eprintln!("flat-out: {}", peer.name);
            self.sink.take();
            let all = self.ask("flat-out", peer);
            let sent = self.sink.take();
            // A chunk is a whole trace of a root and ten children, except where its sender says nothing about chunks.
            let sent = sent.chunks * 11 + sent.loose_spans;
            let delivered = all.get("taken").copied().unwrap_or(sent as f64);
            let share = delivered / all["made"];
            if peer.name == OURS {
                self.targets
                    .at_least("flat out, M spans/s made", 4.0, all["per-second"] / 1e6);
                self.targets.at_least(
                    "flat out, M spans/s sent",
                    1.0,
                    all["per-second"] * share / 1e6,
                );
                self.targets
                    .at_most("flat out, MiB", 64.0, all["peak"] / f64::from(1 << 20));
            }
            table.row(
                peer.name,
                vec![
                    number(all["per-second"] / 1e6),
                    number(all["per-second"] * share / 1e6),
                    format!("{:.0} %", share * 100.0),
                    number(all["peak"] / f64::from(1 << 20)),
                ],
            );
        }
        table.print();
    }

    pub(crate) fn shared(&self) {
        let title = "ns per span, 100 children: below the root, and with its context attached: least (median)";
        let mut table = Table::new(title, &["own", "shared", "shared/own"]);
        for peer in self.peers.iter().filter(|peer| peer.shared.is_some()) {
            eprintln!("shared: {}", peer.name);
            let all = self.ask("shared", peer);
            let cell = |key: &str| {
                format!(
                    "{} ({})",
                    number(all[key]),
                    number(all[&format!("median-{key}")])
                )
            };
            let ratio = format!("{:.2}", all["shared"] / all["own"]);
            self.targets.at_most(
                "a segment that is continued elsewhere, times its own ns",
                1.5,
                all["shared"] / all["own"],
            );
            table.row(peer.name, vec![cell("own"), cell("shared"), ratio]);
        }
        table.print();
    }

    pub(crate) fn encode(&self) {
        eprintln!("encode");
        let all = self.ask("encode", &PEERS[0]);
        let title =
            "1000 spans of 10 texts and 3 numbers: ns per span, and in times a copy of the payload";
        let mut table = Table::new(title, &["v0.4", "/copy", "v0.5", "/copy"]);
        for (name, key) in [
            ("copy", "copy"),
            ("libdatadog", "theirs"),
            ("ddtrace", "ours"),
        ] {
            let mut cells = Vec::new();
            for format in ["v04", "v05"] {
                let value = all[&format!("{key}-{format}")];
                cells.push(number(value));
                cells.push(format!("{:.1}", value / all[&format!("copy-{format}")]));
            }
            table.row(name, cells);
        }
        table.print();
        self.targets
            .at_most("v0.4, times a copy", 8.0, all["ours-v04"] / all["copy-v04"]);
        self.targets.at_most(
            "v0.5, times a copy",
            30.0,
            all["ours-v05"] / all["copy-v05"],
        );
    }

    pub(crate) fn axum(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut costs: Vec<Vec<f64>> = self.peers.iter().map(|_| Vec::new()).collect();
        for round in 0..self.rounds {
            for (i, peer) in self.peers.iter().enumerate() {
                eprintln!(
                    "axum: round {} of {}, {}",
                    round + 1,
                    self.rounds,
                    peer.name
                );
                costs[i].push(self.serve(peer, &runtime));
            }
        }
        for cost in &mut costs {
            cost.sort_by(f64::total_cmp);
        }
        let median = |i: usize| costs[i][costs[i].len() / 2];
        let untraced = self.place("untraced").map(median);
        let mut table = Table::new(
            "axum, one route, 64 connections: server CPU µs per request, flush included",
            &["median", "least", "/untraced"],
        );
        for (i, peer) in self.peers.iter().enumerate() {
            let ratio = untraced.map_or("-".to_owned(), |it| format!("{:.2}", median(i) / it));
            if let (OURS, Some(untraced)) = (peer.name, untraced) {
                self.targets.at_most(
                    "axum, CPU per request, times untraced",
                    1.3,
                    median(i) / untraced,
                );
            }
            table.row(
                peer.name,
                vec![number(median(i)), number(costs[i][0]), ratio],
            );
        }
        table.print();
    }

    fn serve(&self, peer: &Peer, runtime: &tokio::runtime::Runtime) -> f64 {
        const REQUESTS: usize = 30_000;
        let mut command = self.command("axum", peer, 0, &[]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut input = child.stdin.take().expect("piped");
        let mut output = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut next = |key: &str| {
            let line = output.next().expect("the server is alive").expect("text");
            line.strip_prefix(key)
                .unwrap_or_else(|| panic!("{key} expected, got {line}"))
                .trim()
                .to_owned()
        };
        let address = next("address").parse().expect("an address");
        let mut processor = || {
            writeln!(input, "?").expect("the server is alive");
            next("cpu").parse::<f64>().expect("a number")
        };
        runtime
            .block_on(load::run(address, 64, REQUESTS / 10))
            .expect("the server answers");
        let before = processor();
        runtime
            .block_on(load::run(address, 64, REQUESTS))
            .expect("the server answers");
        let cost = (processor() - before) / REQUESTS as f64 / 1e3;
        drop(input);
        child.wait().expect("it ends");
        cost
    }
}

fn answers(command: &mut Command) -> Answers {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .expect("the bench can start itself");
    assert!(
        output.status.success(),
        "{command:?} ended with {}",
        output.status
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

fn least(all: &[Answers], key: &str) -> f64 {
    all.iter()
        .map(|answers| answers[key])
        .fold(f64::INFINITY, f64::min)
}

fn median(all: &[Answers], key: &str) -> f64 {
    let mut values: Vec<f64> = all.iter().map(|answers| answers[key]).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
