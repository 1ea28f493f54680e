//! The command line.
//!
//! Cargo starts `cargo-ddtrace ddtrace run …` for `cargo ddtrace run …`; the name that it puts first is taken away, so both
//! spellings mean the same. In `run` our options stand before cargo's: the first word that is none of ours begins what
//! is passed on as it is, `--` included. `split` finds that place by the options that [`RunArgs`] declares.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::agent::{Agent, Options};
use crate::api::query::duration;
use crate::run;
use crate::security::Policy;
use crate::store::Limits;
use crate::test;

/// A local Datadog Agent with a viewer, and a runner that sends a program's traces there.
#[derive(Debug, Parser)]
#[command(name = "cargo ddtrace", bin_name = "cargo ddtrace", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Listen where the Datadog Agent would, and show what comes
    ///
    /// The page at the printed address shows traces, the service map, LLM conversations, data streams, test runs, what
    /// is wrong with what was sent, and the requests themselves. LLM datasets, experiments and prompts are kept here, so
    /// that they need no account; API.md of the crate describes the JSON behind the page.
    Agent(Box<AgentArgs>),
    /// Do that, and `cargo run` a program against it: cargo ddtrace run [OPTIONS] [CARGO RUN'S ARGUMENTS]
    Run(Box<RunArgs>),
    /// Do that with any command: cargo ddtrace exec [OPTIONS] -- COMMAND…
    Exec(Box<RunArgs>),
    /// Run and report tests: cargo ddtrace test [OPTIONS] [CARGO TEST'S ARGUMENTS]
    Test(Box<TestArgs>),
    /// The same with nextest: cargo ddtrace nextest [OPTIONS] run [ITS ARGUMENTS]
    Nextest(Box<TestArgs>),
    /// Print the tags of the pipeline and commit that the environment names, as JSON
    CiEnv(CiEnvArgs),
    /// The same with benchmarks: cargo ddtrace bench [OPTIONS] [CARGO BENCH'S ARGUMENTS]
    Bench(Box<TestArgs>),
}

/// How the announcement of `agent` is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Announce {
    /// One line of JSON on standard output.
    Json,
}

#[derive(Debug, Args)]
struct AgentArgs {
    /// TCP port; 0 takes any that is free
    #[arg(long, default_value_t = 8126)]
    port: u16,
    /// Listen on this Unix socket as well
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Listen on this address instead of loopback; may be repeated; others than loopback need --allow-remote
    #[arg(long, value_name = "ADDR")]
    listen: Vec<IpAddr>,
    /// Allow --listen on addresses that other machines can reach; page and API then need the token
    #[arg(long)]
    allow_remote: bool,
    /// Ask for the token even to read, for machines with several users
    #[arg(long)]
    private: bool,
    /// A name that the Host header may have for intake, such as host.docker.internal
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// An origin that may send to the intake from a browser
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
    /// List this path in /info (v1.0)
    #[arg(long, value_name = "PATH")]
    advertise: Vec<String>,
    /// Take this path out of /info and answer 404 there, as an older Agent would
    #[arg(long, value_name = "PATH")]
    hide: Vec<String>,
    /// Ask tracers to send also what they sampled out
    #[arg(long)]
    keep_all: bool,
    /// Write addresses, token and process id as one line on standard output
    #[arg(long, value_name = "FORMAT")]
    announce: Option<Announce>,
    /// Read the page's files from this folder instead of the embedded ones
    #[arg(long, value_name = "DIR")]
    assets: Option<PathBuf>,
    /// Keep test sessions in this folder, and answer from its files; llm_prices.json there corrects the prices of models
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Debug, Args)]
struct StoreArgs {
    /// Memory for what was received
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    memory: usize,
    /// Answer 400 to what a real Agent would drop or change
    #[arg(long)]
    strict: bool,
    /// Pass every request on to this Agent (http://HOST:PORT or unix:///PATH)
    #[arg(long, value_name = "URL")]
    forward: Option<String>,
}

/// Options of `run` and `exec`; cargo's arguments or the command follow.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// TCP port instead of 8126 or the next free one
    #[arg(long)]
    pub port: Option<u16>,
    /// Let the program send over a Unix socket
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    pub socket: Option<Option<PathBuf>>,
    /// End when the program ends, with its status
    #[arg(long)]
    pub once: bool,
    /// What to print at the end of --once
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub summary: SummaryFormat,
    /// Use the cargo ddtrace that already listens on 8126 (or --port)
    #[arg(long)]
    pub attach: bool,
    /// End the program after this time, with status 124
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Options of `ci-env`.
#[derive(Debug, Args)]
struct CiEnvArgs {
    /// The only format there is
    #[arg(long)]
    json: bool,
    /// Do not ask git; it is not asked in any case
    #[arg(long)]
    no_git: bool,
}

/// Options of `test`, `nextest` and `bench`; cargo's arguments follow.
#[derive(Debug, Args)]
pub struct TestArgs {
    /// Be the backend as well: find and retry flaky tests, keep a history, without any account
    #[arg(long)]
    pub local: bool,
    /// Where --local keeps the history, instead of a folder of this checkout in the user's state directory
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// With --local: run also tests that no change touches
    #[arg(long)]
    pub all: bool,
    /// With --local: do not find out which lines tests run, so that none can be skipped
    #[arg(long)]
    pub no_coverage: bool,
    /// Leave the page of --local open until Ctrl-C
    #[arg(long)]
    pub stay: bool,
    /// TCP port of --local
    #[arg(long)]
    pub port: Option<u16>,
    /// Write a JUnit file
    #[arg(long, value_name = "PATH")]
    pub junit: Option<PathBuf>,
    /// Send the JUnit file to Datadog as well; agents do not forward it, so an API key is needed
    #[arg(long)]
    pub junit_upload: bool,
    /// Run every test in a process of its own
    #[arg(long)]
    pub isolate: bool,
    /// End a test that runs alone after this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub test_timeout: Option<Duration>,
    /// What to print at the end
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub summary: SummaryFormat,
}

/// How a summary is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SummaryFormat {
    /// One object, the last line of standard output.
    Json,
    /// A few lines on standard error.
    Text,
    /// Not at all.
    None,
}

impl RunArgs {
    /// Whether problems fail the run.
    pub fn is_strict(&self) -> bool {
        self.store.strict
    }

    /// The options of the agent, its port aside.
    pub fn options(&self) -> Options {
        self.store.options()
    }
}

impl StoreArgs {
    fn options(&self) -> Options {
        Options {
            limits: Limits {
                memory: self.memory,
                ..Limits::default()
            },
            strict: self.strict,
            forward: self.forward.clone(),
            ..Options::default()
        }
    }
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "expected a time such as 500ms, 30s or 5m".to_owned())
}

/// Reads `256MiB`, `1GiB`, `64M`, or a number of bytes.
fn size(text: &str) -> Result<usize, String> {
    let split = text.find(|c: char| c.is_alphabetic()).unwrap_or(text.len());
    let unit: usize = match text[split..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err("expected a size such as 256MiB".to_owned()),
    };
    let bytes = text[..split]
        .trim()
        .parse::<usize>()
        .ok()
        .and_then(|n| n.checked_mul(unit));
    match bytes {
        Some(bytes) if bytes >= 1 << 20 => Ok(bytes),
        Some(_) => Err("at least 1MiB is needed".to_owned()),
        None => Err("expected a size such as 256MiB".to_owned()),
    }
}

/// Our options at the beginning of `words`, and everything after them.
fn split(command: &clap::Command, words: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let mut end = 0;
    while let Some(word) = words.get(end).and_then(|word| word.to_str()) {
        if matches!(word, "-h" | "--help") {
            end += 1;
            continue;
        }
        let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) else {
            break;
        };
        let (name, has_value) = name
            .split_once('=')
            .map_or((name, false), |(name, _)| (name, true));
        let Some(option) = command
            .get_opts()
            .find(|option| option.get_long() == Some(name))
        else {
            // A switch is no "option" for clap.
            let is_switch = command
                .get_arguments()
                .any(|switch| switch.get_long() == Some(name));
            if is_switch {
                end += 1;
                continue;
            }
            break;
        };
        end += 1;
        let is_optional = option
            .get_num_args()
            .is_some_and(|range| range.min_values() == 0);
        if !has_value && option.get_action().takes_values() {
            let next_is_value = words
                .get(end)
                .is_some_and(|next| !is_optional || !next.to_string_lossy().starts_with('-'));
            end += usize::from(next_is_value);
        }
    }
    let mut ours = words;
    let rest = ours.split_off(end.min(ours.len()));
    (ours, rest)
}

/// Our options wherever they stand before `--`, and everything else: none of them means something to cargo.
fn pick(command: &clap::Command, words: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let (mut ours, mut others) = (Vec::new(), Vec::new());
    let mut rest = words;
    while !rest.is_empty() {
        if rest[0] == "--" {
            others.append(&mut rest);
            break;
        }
        // Only `cargo ddtrace test --help` asks us; behind cargo's words it asks cargo.
        let is_cargos = matches!(rest[0].to_str(), Some("-h" | "--help")) && !others.is_empty();
        let (mut own, left) = if is_cargos {
            (Vec::new(), rest)
        } else {
            split(command, rest)
        };
        rest = left;
        ours.append(&mut own);
        if !rest.is_empty() && rest[0] != "--" {
            others.push(rest.remove(0));
        }
    }
    (ours, others)
}

/// How long the agent waits at its end until programs have given up what was pushed to them: two of the usual intervals
/// under `run`.
const REVERTING: std::time::Duration = std::time::Duration::from_secs(2);

/// Runs the command that the arguments ask for.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut words: Vec<OsString> = arguments.into_iter().collect();
    if let Some(code) = test::called_by_cargo(&words) {
        return code;
    }
    if words.get(1).is_some_and(|word| word == "ddtrace") {
        words.remove(1);
    }
    let (cli, rest) = match parse(words) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("ddtrace: cannot start: {error}");
            return ExitCode::from(2);
        }
    };
    let code = match cli.command {
        Command::Agent(arguments) => runtime.block_on(serve(*arguments)),
        Command::Run(arguments) => {
            let mut command = vec![
                std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
                "run".into(),
            ];
            command.extend(rest);
            runtime.block_on(run::run(*arguments, command, true))
        }
        Command::Exec(arguments) => {
            let mut command = rest;
            if command.first().is_some_and(|word| word == "--") {
                command.remove(0);
            }
            if command.is_empty() {
                eprintln!("ddtrace: exec needs a command: cargo ddtrace exec -- COMMAND…");
                return ExitCode::from(2);
            }
            runtime.block_on(run::run(*arguments, command, false))
        }
        Command::CiEnv(_) => {
            println!("{}", test::environment_tags());
            0
        }
        Command::Test(arguments) => runtime.block_on(test::run(*arguments, before("test", rest))),
        Command::Nextest(arguments) => {
            runtime.block_on(test::run(*arguments, before("nextest", rest)))
        }
        Command::Bench(arguments) => runtime.block_on(test::run(*arguments, before("bench", rest))),
    };
    // Tasks that wait for clients must not hold the end up.
    runtime.shutdown_background();
    ExitCode::from(code)
}

fn before(first: &str, rest: Vec<OsString>) -> Vec<OsString> {
    std::iter::once(first.into()).chain(rest).collect()
}

fn parse(mut words: Vec<OsString>) -> Result<(Cli, Vec<OsString>), clap::Error> {
    let mut command = Cli::command();
    command.build();
    let mut rest = Vec::new();
    if let Some(name @ ("run" | "exec" | "test" | "nextest" | "bench")) =
        words.get(1).and_then(|word| word.to_str())
    {
        let options = command
            .find_subcommand(name)
            .expect("all of them are declared")
            .clone();
        let find = if matches!(name, "run" | "exec") {
            split
        } else {
            pick
        };
        let (ours, others) = find(&options, words.split_off(2));
        words.extend(ours);
        rest = others;
    }
    let matches = Cli::command().try_get_matches_from(words)?;
    Ok((Cli::from_arg_matches(&matches)?, rest))
}

async fn serve(arguments: AgentArgs) -> u8 {
    let remote = arguments
        .listen
        .iter()
        .any(|address| !address.is_loopback());
    if remote && !arguments.allow_remote {
        eprintln!(
            "ddtrace: --listen on an address that other machines can reach needs --allow-remote"
        );
        return 2;
    }
    // Whoever reads the announcement may send a signal at once.
    let mut signals = run::signals::Signals::new();
    let options = Options {
        port: Some(arguments.port),
        listen: arguments.listen,
        socket: arguments.socket,
        advertise: arguments.advertise,
        hide: arguments.hide,
        keep_all: arguments.keep_all,
        assets: arguments.assets,
        data: arguments.data,
        policy: Policy {
            private: arguments.private || remote,
            allow_host: arguments.allow_host,
            allow_origin: arguments.allow_origin,
            remote,
        },
        ..arguments.store.options()
    };
    let agent = match Agent::start(options).await {
        Ok(agent) => agent,
        Err(error) => {
            eprintln!("ddtrace: {error}");
            if let Some(holder) = run::port::holder(arguments.port).await {
                eprintln!(
                    "ddtrace: port {} is held by {holder}; --port N takes another",
                    arguments.port
                );
            }
            return 2;
        }
    };
    if remote {
        eprintln!("ddtrace: WARNING: other machines can send here, and can read with the token");
    }
    let private = agent.shared().policy().private;
    let token = if private {
        format!("?token={}", agent.shared().token())
    } else {
        String::new()
    };
    eprintln!("ddtrace: viewer {}{token}", agent.viewer());
    if let Some(path) = agent.socket() {
        eprintln!("ddtrace: socket unix://{}", path.display());
    }
    if arguments.announce == Some(Announce::Json) {
        let addresses: Vec<String> = agent.addresses().iter().map(ToString::to_string).collect();
        let line = serde_json::json!({
            "viewer": agent.viewer(),
            "addresses": addresses,
            "port": agent.port(),
            "socket": agent.socket().map(|path| path.display().to_string()),
            "token": agent.shared().token(),
            "pid": std::process::id(),
        });
        println!("{line}");
    }
    signals.ended().await;
    agent.shared().remote_config().revert(REVERTING).await;
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn parsed(text: &str) -> (RunArgs, String) {
        let (cli, rest) = parse(words(text)).unwrap();
        let rest: Vec<_> = rest
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        match cli.command {
            Command::Run(arguments) | Command::Exec(arguments) => (*arguments, rest.join(" ")),
            other => panic!("not a run: {other:?}"),
        }
    }

    #[test]
    fn our_options_end_where_cargos_begin() {
        for (line, rest) in [
            ("x run --example shop", "--example shop"),
            (
                "x run --once --example shop -- --once",
                "--example shop -- --once",
            ),
            ("x run --once -- --port 1", "-- --port 1"),
            ("x run --port 9000 --release", "--release"),
            ("x run --port=9000 -p shop --strict", "-p shop --strict"),
            ("x run --socket --bin a", "--bin a"),
            ("x run --socket /tmp/s --bin a", "--bin a"),
            ("x run --summary json --once -q", "-q"),
            ("x run", ""),
            ("x exec --once -- sh -c true", "-- sh -c true"),
        ] {
            assert_eq!(parsed(line).1, rest, "{line}");
        }
        assert_eq!(parsed("x run --port=9000 --example a").0.port, Some(9000));
        assert_eq!(parsed("x run --socket --example a").0.socket, Some(None));
    }

    #[test]
    fn options_of_test_stand_anywhere_before_the_two_dashes() {
        for (line, rest, isolate) in [
            ("x test", "", false),
            ("x test --isolate -p shop", "-p shop", true),
            ("x test -p shop --summary json --isolate", "-p shop", true),
            (
                "x test --lib --no-fail-fast -- --isolate",
                "--lib --no-fail-fast -- --isolate",
                false,
            ),
            ("x test -p shop --help", "-p shop --help", false),
            ("x nextest run --isolate x", "run x", true),
        ] {
            let (cli, others) = parse(words(line)).unwrap();
            let others: Vec<_> = others.iter().map(|word| word.to_string_lossy()).collect();
            let (Command::Test(arguments) | Command::Nextest(arguments)) = cli.command else {
                panic!("{line}");
            };
            assert_eq!(
                (others.join(" ").as_str(), arguments.isolate),
                (rest, isolate),
                "{line}"
            );
        }
    }

    #[test]
    fn wrong_values_of_ours_are_errors_of_ours() {
        assert!(parse(words("x run --port many")).is_err());
        assert!(parse(words("x run --summary yaml")).is_err());
        assert!(parse(words("x agent --memory 5")).is_err());
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(size("256MiB"), Ok(256 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        assert!(
            size("12").is_err() && size("MiB").is_err() && size("99999999999999999999G").is_err()
        );
    }
}
