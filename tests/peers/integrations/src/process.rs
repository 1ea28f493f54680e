//! A process of its own for each tracer, and how it is talked to: a question is a line, the answer lines of `key value` and at last
//! a line with a full stop.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{self, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Longer than any question takes, even under callgrind on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// The numbers of an answer.
pub type Answers = BTreeMap<String, f64>;

/// This program, started once more.
pub struct Child {
    process: process::Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    name: String,
}

impl Child {
    /// Starts this program with `arguments` and `variables`, run by the program `under` if that says one.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub fn start(arguments: &[&str], variables: &[(&str, String)], under: &[String]) -> Child {
        let executable = env::current_exe().expect("this program has a path");
        let mut command = match under {
            [] => Command::new(executable),
            [program, of_program @ ..] => {
                let mut command = Command::new(program);
                command.args(of_program).arg(executable);
                command
            }
        };
        // Whatever the shell has set for tracers is not in the comparison.
        for (name, _) in env::vars_os() {
            let is_a_tracers = |name: &str| name.starts_with("DD_") || name.starts_with("OTEL_");
            if name.to_str().is_some_and(is_a_tracers) {
                command.env_remove(name);
            }
        }
        let mut process = command
            .args(arguments)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can start itself");
        let output = process.stdout.take().expect("it is piped");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Child {
            input: process.stdin.take(),
            process,
            lines,
            name: arguments.join(" "),
        }
    }

    /// Asks and waits for the answer.
    ///
    /// # Panics
    ///
    /// If it is not there any more, or takes too long.
    pub fn ask(&mut self, question: &str) -> Answers {
        let name = &self.name;
        let input = self.input.as_mut().expect("it is open until the drop");
        writeln!(input, "{question}").unwrap_or_else(|error| panic!("{name}: {error}"));
        self.answer(question)
    }

    /// Waits for the answer to a question that needs no asking.
    ///
    /// # Panics
    ///
    /// If it is not there any more, or takes too long.
    pub fn answer(&mut self, question: &str) -> Answers {
        let name = &self.name;
        let mut answers = Answers::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|error| panic!("{name}, {question}: {error}"));
            if line == "." {
                return answers;
            }
            let (key, value) = line
                .split_once(' ')
                .unwrap_or_else(|| panic!("{name}, {question}: {line}"));
            let value = value.parse();
            answers.insert(key.to_owned(), value.expect("answers are numbers"));
        }
    }

    /// Lets it end, and waits for that.
    pub fn end(mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It ends by itself when its input does, unless it hangs or this process panics.
        if let Ok(None) = self.process.try_wait() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

/// Answers the questions of the parent until there are no more: `of` gets a question and returns numbers by name.
///
/// # Panics
///
/// If the parent sends what is no text.
pub fn answer(mut of: impl FnMut(&str) -> Vec<(&'static str, f64)>) {
    println!(".");
    for question in std::io::stdin().lock().lines() {
        for (key, value) in of(&question.expect("a text")) {
            println!("{key} {value}");
        }
        println!(".");
    }
}
