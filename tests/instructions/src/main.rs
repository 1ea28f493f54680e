//! What each integration adds to a call of its library, in instructions and allocations of the thread that calls.
//!
//! ```text
//! cargo run --profile counted -p ddtrace-instructions -- [CASE]... [--mode MODE]... [--keep FOLDER]
//! ```
//!
//! Each case is a call of a library whose other side does nothing, and is made in four modes: `bare`, the library alone; `off`, with
//! the integration switched off; `dark`, with tracing switched off, where contexts still pass through; `on`, with default settings.
//! Spans stay in memory and are thrown away between batches, which is not counted, so what a figure holds is what the user's thread
//! pays. Calls of clients are made in a span, as they mostly are in a program that answers requests.
//!
//! Times say little on a machine that does other things as well; instructions, counted by callgrind, differ from run to run by less than
//! a hundredth. Every figure is that of a process of its own: this program starts itself, once under valgrind and once without, where
//! the allocator counts. `--keep` keeps what callgrind wrote, for `callgrind_annotate`.

mod cases;
mod count;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use cases::{CASES, Case};
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::Span;

#[global_allocator]
static ALLOCATOR: count::Counting = count::Counting;

/// How a case is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Bare,
    Off,
    Dark,
    On,
}

impl Mode {
    const ALL: [Self; 4] = [Self::Bare, Self::Off, Self::Dark, Self::On];

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Off => "off",
            Self::Dark => "dark",
            Self::On => "on",
        }
    }

    fn of(name: &str) -> Self {
        let found = Self::ALL.into_iter().find(|mode| mode.name() == name);
        found.unwrap_or_else(|| panic!("no mode is called {name}; there are bare, off, dark, on"))
    }

    /// The tracer that the calls run with.
    fn recorder(self, case: &Case) -> Option<Recorder> {
        let mut variables = case.variables.to_vec();
        match self {
            Self::Bare => return None,
            Self::Off => variables.push((case.switch, "false")),
            Self::Dark => variables.push(("DD_TRACE_ENABLED", "false")),
            Self::On => {}
        }
        Some(Recorder::with_variables(&variables))
    }
}

/// Calls between two times that spans are thrown away; fewer than what is sent in parts.
const BATCH: u32 = 20;

/// Batches that are counted.
const BATCHES: u32 = 10;

/// The child's side: makes the calls.
fn run(case: &Case, mode: Mode) {
    let recorder = mode.recorder(case);
    let mut calls = (case.make)(mode != Mode::Bare);
    let mut spans = 0;
    let mut batch = |counts: bool| {
        let mut around =
            (case.is_client && mode == Mode::On).then(|| Span::builder("handler").start());
        {
            let _active = around.as_mut().map(Span::enter);
            if counts {
                count::counted(BATCH, &mut *calls);
            } else {
                calls(BATCH);
            }
        }
        let around_too = usize::from(around.take().is_some());
        spans = recorder
            .as_ref()
            .map_or(0, |recorder| recorder.take().len() - around_too);
    };
    // What is set up by the first calls, and grows to its size with them, is no cost of a call.
    (0..5).for_each(|_| batch(false));
    (0..BATCHES).for_each(|_| batch(true));
    let (allocations, bytes) = count::allocations();
    println!("{spans} {allocations} {bytes}");
}

/// What one call costs.
#[derive(Clone, Copy, Debug)]
struct Cost {
    instructions: f64,
    allocations: f64,
    bytes: f64,
}

/// The parent's side: asks a child.
fn ask(case: &Case, mode: Mode, folder: &std::path::Path) -> Cost {
    let executable = std::env::current_exe().expect("this program has a path");
    let arguments = ["--run", case.name, mode.name()];
    let output = Command::new(&executable)
        .args(arguments)
        .output()
        .expect("this program runs");
    assert!(output.status.success(), "{case:?} {mode:?}: {output:?}");
    let printed = String::from_utf8_lossy(&output.stdout);
    let mut numbers = printed
        .split_whitespace()
        .map(|number| number.parse::<f64>());
    let mut number = || numbers.next().and_then(Result::ok).expect("three numbers");
    let (spans, allocations, bytes) = (number(), number(), number());
    // A case that makes no spans where it should, or some where it should not, measures something else.
    let expected = if mode == Mode::On { BATCH } else { 0 };
    assert_eq!(
        spans,
        f64::from(expected),
        "spans of {} {}",
        case.name,
        mode.name()
    );
    let calls = f64::from(BATCH * BATCHES);
    let file = folder.join(format!("{}.{}", case.name.replace(' ', "-"), mode.name()));
    Cost {
        instructions: count::instructions(&executable, &arguments, &file) / calls,
        allocations: allocations / calls,
        bytes: bytes / calls,
    }
}

fn main() -> ExitCode {
    let (mut cases, mut modes, mut folder) = (Vec::new(), Vec::new(), None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .unwrap_or_else(|| panic!("{argument} wants a value"))
        };
        match argument.as_str() {
            "--run" => {
                let (case, mode) = (value(), value());
                run(cases::named(&case), Mode::of(&mode));
                return ExitCode::SUCCESS;
            }
            "--mode" => modes.push(Mode::of(&value())),
            "--keep" => folder = Some(PathBuf::from(value())),
            name => cases.push(cases::named(name)),
        }
    }
    if cases.is_empty() {
        cases = CASES.iter().collect();
    }
    if modes.is_empty() {
        modes = Mode::ALL.to_vec();
    }
    if !count::has_valgrind() {
        println!("nothing is counted: valgrind is not installed");
        return ExitCode::SUCCESS;
    }
    let own = std::env::temp_dir().join(format!("ddtrace-instructions-{}", std::process::id()));
    let keeps = folder.is_some();
    let folder = folder.unwrap_or(own);
    std::fs::create_dir_all(&folder).expect("a folder for what callgrind writes");
    println!(
        "{:24} {:>6} {:>12} {:>12} {:>8} {:>10}",
        "per call", "", "instructions", "over bare", "allocs", "bytes"
    );
    for case in cases {
        let mut bare = None;
        for &mode in &modes {
            let cost = ask(case, mode, &folder);
            if mode == Mode::Bare {
                bare = Some(cost);
            }
            let over = bare.map_or(f64::NAN, |bare| cost.instructions - bare.instructions);
            println!(
                "{:24} {:>6} {:>12.0} {over:>12.0} {:>8.2} {:>10.0}",
                case.name,
                mode.name(),
                cost.instructions,
                cost.allocations,
                cost.bytes
            );
        }
    }
    if !keeps {
        // What is left behind in a temporary folder harms nobody.
        let _ = std::fs::remove_dir_all(&folder);
    }
    ExitCode::SUCCESS
}
