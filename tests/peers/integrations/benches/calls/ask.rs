//! The parent's side: asks every process in turns, and prints the answers beside each other.

use crate::servers::{MESSAGES, Servers};
use crate::subjects::{self, CALLS_PER_TRACE, Subject};
use crate::table::{Table, number};
use crate::{KAFKA, Tracer, env};
use ddtrace_peers_integrations::process::{Answers, Child};
use ddtrace_peers_integrations::sink::Sink;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often instructions are counted; the least counts, since a reporter may wake up by itself in the middle.
pub(crate) const COUNTED: usize = 3;

/// What is asked.
pub(crate) struct Bench {
    pub(crate) rounds: u32,
    pub(crate) instructions: bool,
    /// Tracers that are asked; all if there are none.
    pub(crate) only: Vec<Tracer>,
}

/// One process, what it answered, and how many spans arrived from it while it was asked.
struct Asked {
    variant: usize,
    /// Nanoseconds on the calling thread, and of the processor until a batch was sent, and a single trace.
    wall: Vec<f64>,
    batch: Vec<f64>,
    trace: Vec<f64>,
    allocations: Answers,
    /// Caller and process.
    instructions: Option<[f64; 2]>,
    delivered: u64,
    expected: u64,
}

impl Bench {
    pub(crate) fn all(&self, words: &[String]) {
        let mut servers = Servers::default();
        let valgrind = self.instructions && is_there("valgrind");
        if self.instructions && !valgrind {
            println!("\nno instructions are counted: valgrind is not installed");
        }
        let is_wanted = |subject: &Subject| {
            words.is_empty()
                || words
                    .iter()
                    .any(|word| subject.name.contains(word.as_str()))
        };
        for (place, subject) in subjects::all().into_iter().enumerate() {
            if !is_wanted(subject) {
                continue;
            }
            let variable = match subject.needs {
                Some(name) => match servers.of(name) {
                    Some(value) => vec![(name, value)],
                    None => {
                        println!("\n{}: left out, {name} is not set", subject.name);
                        continue;
                    }
                },
                None => Vec::new(),
            };
            print(subject, &self.ask(place, subject, &variable, valgrind));
        }
    }

    fn ask(
        &self,
        place: usize,
        subject: &Subject,
        variable: &[(&'static str, String)],
        valgrind: bool,
    ) -> Vec<Asked> {
        let rounds = match subject.needs {
            // Two batches to warm up, one for the allocations, and one for all that are single traces.
            Some(KAFKA) => self.rounds.min(MESSAGES / subject.burst - 4),
            _ => self.rounds,
        };
        let is_asked = |tracer: Tracer| {
            self.only.is_empty() || tracer == Tracer::Bare || self.only.contains(&tracer)
        };
        let variants = subject.variants.iter().enumerate();
        let variants = variants.filter(|(_, variant)| is_asked(variant.tracer));
        let mut children = Vec::new();
        for (variant, _) in variants {
            let sink = Sink::start().expect("a free port");
            let mut child = start(place, subject, variant, variable, &sink, &[]);
            child.answer("the start");
            sink.take();
            let asked = Asked {
                variant,
                wall: Vec::new(),
                batch: Vec::new(),
                trace: Vec::new(),
                allocations: Answers::new(),
                instructions: None,
                delivered: 0,
                expected: u64::from(
                    rounds * (subject.expected(subject.burst) + subject.expected(CALLS_PER_TRACE)),
                ),
            };
            children.push((child, sink, asked));
        }
        for round in 0..rounds {
            eprintln!("{}: round {} of {rounds}", subject.name, round + 1);
            for (child, _, asked) in &mut children {
                let answers = child.ask("batch");
                asked.wall.push(answers["wall"]);
                asked.batch.push(answers["batch"]);
                asked.trace.push(answers["trace"]);
            }
        }
        let mut all = Vec::new();
        for (mut child, sink, mut asked) in children {
            asked.delivered = arrived(&sink, asked.expected);
            asked.allocations = child.ask("allocations");
            child.end();
            if valgrind {
                let variant = asked.variant;
                eprintln!(
                    "{}: instructions, {}",
                    subject.name,
                    subject.variants[variant].tracer.name()
                );
                asked.instructions =
                    Some([true, false].map(|by_thread| {
                        counted(place, subject, variant, variable, &sink, by_thread)
                    }));
            }
            all.push(asked);
        }
        all
    }
}

fn is_there(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok()
}

fn start(
    place: usize,
    subject: &Subject,
    variant: usize,
    variable: &[(&'static str, String)],
    sink: &Sink,
    under: &[String],
) -> Child {
    let arguments = ["--child", &place.to_string(), &variant.to_string()];
    let mut variables = subject.variants[variant].tracer.variables(&sink.url());
    variables.extend_from_slice(variable);
    Child::start(&arguments, &variables, under)
}

/// How many spans have come in. A tracer may send after it says that it has sent; not for long, though.
fn arrived(sink: &Sink, expected: u64) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut delivered = sink.take();
    while delivered < expected && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
        delivered += sink.take();
    }
    delivered
}

/// Instructions per call: of the calling thread, or of all until everything is sent.
fn counted(
    place: usize,
    subject: &Subject,
    variant: usize,
    variable: &[(&'static str, String)],
    sink: &Sink,
    by_thread: bool,
) -> f64 {
    let folder = env::temp_dir().join(format!("ddtrace-peers-integrations-{}", std::process::id()));
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
    let mut child = start(place, subject, variant, variable, sink, &under);
    child.answer("the start");
    child.ask("instructions");
    child.end();
    // A dump holds the thread that asked for it, or all threads when they are not told apart.
    let thread = if by_thread { "-01" } else { "" };
    let total = |part: usize| {
        let file = folder.join(format!("out.{part}{thread}"));
        let text = fs::read_to_string(file).expect("callgrind has written its file");
        let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
        let total = total.and_then(|it| it.trim().parse::<f64>().ok());
        total.expect("a total")
    };
    // Each time: the calls of a trace, their flush, the calls of a batch, their flush.
    let least = |parts: &[usize]| {
        let of_time = |time: usize| parts.iter().map(|part| total(4 * time + part)).sum::<f64>();
        (0..COUNTED).map(of_time).fold(f64::INFINITY, f64::min)
    };
    let (of_trace, of_batch) = if by_thread {
        (least(&[1]), least(&[3]))
    } else {
        (least(&[1, 2]), least(&[3, 4]))
    };
    let _ = fs::remove_dir_all(&folder);
    (of_batch - of_trace) / f64::from(subject.burst - CALLS_PER_TRACE)
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn print(subject: &Subject, all: &[Asked]) {
    let bare = &all[0];
    let rounds = bare.wall.len();
    // What a call takes, by the least and by the median of the batches.
    let by = |of: fn(&[f64]) -> f64, asked: &Asked| {
        let wall = of(&asked.wall) / f64::from(subject.burst);
        let cpu = of(&asked.batch) - of(&asked.trace);
        [wall, cpu / f64::from(subject.burst - CALLS_PER_TRACE)]
    };
    let title = format!(
        "{}: {rounds} batches of {} calls; per call, least (median), and in times the library alone",
        subject.name, subject.burst
    );
    let columns = [
        "with",
        "caller ns",
        "/bare",
        "process CPU ns",
        "/bare",
        "caller instr",
        "/bare",
        "process instr",
        "/bare",
        "allocations caller",
        "all",
        "spans/call",
    ];
    let mut table = Table::new(title, &columns);
    let usual = by(median, bare);
    for asked in all {
        let variant = &subject.variants[asked.variant];
        let calls = f64::from(subject.burst + CALLS_PER_TRACE) * rounds as f64;
        let delivered = asked.delivered as f64 / calls;
        let is_complete = if variant.tracer.traces() {
            asked.delivered >= asked.expected * 99 / 100
        } else {
            asked.delivered == 0
        };
        let ratio = |own: f64, of_bare: f64| match is_complete {
            true => format!("{:.2}", own / of_bare),
            // What it cost is no figure if the spans did not arrive, or were not to.
            false => "–".to_owned(),
        };
        let mut cells = vec![variant.with.to_owned()];
        let (own, middle, of_bare) = (by(least, asked), by(median, asked), by(least, bare));
        for i in 0..2 {
            cells.push(format!("{} ({})", number(own[i]), number(middle[i])));
            // Where the library's own threads make more noise than a call costs, there is nothing to compare with.
            let is_steady = (0.67..=1.5).contains(&(of_bare[i] / usual[i]));
            cells.push(match is_steady {
                true => ratio(own[i], of_bare[i]),
                false => "–".to_owned(),
            });
        }
        for i in 0..2 {
            match (asked.instructions, bare.instructions) {
                (Some(own), Some(of_bare)) => {
                    cells.push(number(own[i]));
                    cells.push(ratio(own[i], of_bare[i]));
                }
                _ => cells.extend(["–".to_owned(), "–".to_owned()]),
            }
        }
        cells.push(number(asked.allocations["own"]));
        cells.push(number(asked.allocations["all"]));
        cells.push(match is_complete {
            true => number(delivered),
            false => format!("{delivered:.2} of {:.2}", asked.expected as f64 / calls),
        });
        table.row(variant.tracer.name(), cells);
    }
    table.print();
}
