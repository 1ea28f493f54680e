//! The arguments of a libtest binary: read once, rebuilt for every process that is started.
//!
//! libtest refuses an option that is given twice, so arguments can't be appended to what the user wrote. They are
//! parsed into a [`Arguments`], and each kind of process (the list, the whole, a part, one test) gets a list of its own.
//! Whatever asks for something that is no run of tests, or that is not known here, makes the runner start the
//! binary as if there were none: see [`Wish::Plain`].

use std::ffi::{OsStr, OsString};

/// What the user asked of a test binary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Run tests.
    Run(Arguments),
    /// Something else, or something unknown: the binary is started as it is.
    Plain,
}

/// When libtest colours its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// `--color auto`, or nothing.
    Auto,
    /// `--color always`.
    Always,
    /// `--color never`.
    Never,
}

/// Options of libtest that select tests or change how they run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// As they were given.
    pub(crate) original: Vec<OsString>,
    /// Names, or parts of them.
    pub(crate) filters: Vec<String>,
    /// `--skip`.
    pub(crate) skips: Vec<String>,
    /// `--exact`.
    pub(crate) exact: bool,
    /// `--ignored`.
    pub(crate) ignored: bool,
    /// `--include-ignored`.
    pub(crate) include_ignored: bool,
    /// `--nocapture`.
    pub(crate) no_capture: bool,
    /// `--show-output`.
    pub(crate) show_output: bool,
    /// `-q`, `--format terse`.
    pub(crate) quiet: bool,
    /// `--test-threads`.
    pub(crate) threads: Option<usize>,
    /// `--color`.
    pub(crate) colour: Colour,
    /// Whether the order is not that of the list.
    pub(crate) shuffled: bool,
    /// Options that every process gets as they are (`-Z unstable-options`, `--report-time`).
    pub(crate) kept: Vec<OsString>,
}

impl Wish {
    /// Reads the arguments behind the path of a test binary.
    pub(crate) fn read(words: &[OsString]) -> Wish {
        parse(words).map_or(Wish::Plain, Wish::Run)
    }
}

fn parse(words: &[OsString]) -> Option<Arguments> {
    let mut read = Arguments {
        original: words.to_vec(),
        filters: Vec::new(),
        skips: Vec::new(),
        exact: false,
        ignored: false,
        include_ignored: false,
        no_capture: false,
        show_output: false,
        quiet: false,
        threads: None,
        colour: Colour::Auto,
        shuffled: false,
        kept: Vec::new(),
    };
    let mut words = words.iter().map(OsString::as_os_str);
    let mut only_filters = false;
    while let Some(word) = words.next() {
        let word = word.to_str()?;
        if only_filters || word == "-" || !word.starts_with('-') {
            read.filters.push(word.to_owned());
            continue;
        }
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word, None),
        };
        let mut value = || -> Option<String> {
            match &attached {
                Some(value) => Some(value.clone()),
                None => words.next().and_then(OsStr::to_str).map(str::to_owned),
            }
        };
        match name {
            "--" => only_filters = true,
            "--skip" => read.skips.push(value()?),
            "--exact" => read.exact = true,
            "--ignored" => read.ignored = true,
            "--include-ignored" => read.include_ignored = true,
            "--nocapture" | "--no-capture" => read.no_capture = true,
            "--show-output" => read.show_output = true,
            "--test" => {}
            "-q" | "--quiet" => read.quiet = true,
            "--format" => match value()?.as_str() {
                "pretty" => {}
                "terse" => read.quiet = true,
                _ => return None,
            },
            "--test-threads" => match value()?.parse() {
                Ok(threads) if threads > 0 => read.threads = Some(threads),
                // libtest has its own words for this mistake.
                _ => return None,
            },
            "--color" => {
                read.colour = match value()?.as_str() {
                    "auto" => Colour::Auto,
                    "always" => Colour::Always,
                    "never" => Colour::Never,
                    _ => return None,
                }
            }
            "--shuffle" => {
                read.shuffled = true;
                read.kept.push(name.into());
            }
            "--shuffle-seed" => {
                read.shuffled = true;
                read.kept
                    .push(format!("--shuffle-seed={}", value()?).into());
            }
            "-Z" => {
                read.kept.push("-Z".into());
                read.kept.push(value()?.into());
            }
            "--report-time" | "--ensure-time" | "--exclude-should-panic" if attached.is_none() => {
                read.kept.push(name.into());
            }
            _ => return None,
        }
    }
    // libtest has words for this, too.
    (!(read.ignored && read.include_ignored)).then_some(read)
}

impl Arguments {
    /// Arguments that list the tests that the user selected. The unstable option is accepted only in a process that has
    /// `RUSTC_BOOTSTRAP=1`.
    pub(crate) fn list(&self, json: bool) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--list".into(), "--format".into()];
        words.push(if json { "json" } else { "terse" }.into());
        if json && !self.kept.iter().any(|word| word == "unstable-options") {
            words.extend(["-Z".into(), "unstable-options".into()]);
        }
        words.extend(
            self.kept
                .iter()
                .filter(|word| !word.to_string_lossy().starts_with("--shuffle"))
                .filter(|word| json || !(*word == "-Z" || *word == "unstable-options"))
                .cloned(),
        );
        self.selection(&mut words);
        self.names(&mut words);
        words
    }

    /// Which of the ignored tests take part.
    fn selection(&self, words: &mut Vec<OsString>) {
        if self.ignored {
            words.push("--ignored".into());
        }
        if self.include_ignored {
            words.push("--include-ignored".into());
        }
    }

    fn names(&self, words: &mut Vec<OsString>) {
        if self.exact {
            words.push("--exact".into());
        }
        for skip in &self.skips {
            words.push(format!("--skip={skip}").into());
        }
        if !self.filters.is_empty() {
            words.push("--".into());
            words.extend(self.filters.iter().map(Into::into));
        }
    }

    fn shared(&self, colour: bool) -> Vec<OsString> {
        let mut words = Vec::new();
        self.selection(&mut words);
        for (wanted, word) in [
            (self.no_capture, "--nocapture"),
            (self.show_output, "--show-output"),
            (self.quiet, "--quiet"),
        ] {
            if wanted {
                words.push(word.into());
            }
        }
        if let Some(threads) = self.threads {
            words.push(format!("--test-threads={threads}").into());
        }
        let colour = match self.colour {
            Colour::Always => Some("always"),
            Colour::Never => Some("never"),
            Colour::Auto => colour.then_some("always"),
        };
        if let Some(colour) = colour {
            words.push(format!("--color={colour}").into());
        }
        words.extend(self.kept.iter().cloned());
        words
    }

    /// Arguments that run everything that the user selected.
    pub(crate) fn whole(&self, colour: bool) -> Vec<OsString> {
        let mut words = self.shared(colour);
        self.names(&mut words);
        words
    }

    /// Arguments that run `run` of the selected tests and leave `left_out` out; `None` if they don't fit into a command.
    ///
    /// Both ways to say it are exact; the shorter one is taken. Leaving out needs `--exact`, which would change
    /// what filters and skips of the user's own mean.
    pub(crate) fn part(
        &self,
        colour: bool,
        run: &[&str],
        left_out: &[&str],
    ) -> Option<Vec<OsString>> {
        /// Far below what any system allows for all arguments together.
        const MOST: usize = 1 << 20;
        let mut words = self.shared(colour);
        words.push("--exact".into());
        let bytes = |names: &[&str]| names.iter().map(|name| name.len() + 8).sum::<usize>();
        let may_leave_out = self.filters.is_empty() && self.skips.is_empty();
        if may_leave_out && bytes(left_out) < bytes(run) {
            words.extend(left_out.iter().map(|name| format!("--skip={name}").into()));
        } else {
            words.push("--".into());
            words.extend(run.iter().map(Into::into));
        }
        let size: usize = words.iter().map(|word| word.len() + 8).sum();
        (size <= MOST).then_some(words)
    }

    /// Arguments that run one test alone, its output not captured.
    pub(crate) fn alone(&self, name: &str, runs_if_ignored: bool) -> Vec<OsString> {
        let mut words: Vec<OsString> = vec!["--exact".into(), "--nocapture".into()];
        if runs_if_ignored {
            words.push("--include-ignored".into());
        }
        // With one thread libtest runs a test on the main thread, which then has another name, and prints its own words
        // around what the test writes.
        words.push("--test-threads=2".into());
        words.extend(
            self.kept
                .iter()
                .filter(|word| !word.to_string_lossy().starts_with("--shuffle"))
                .cloned(),
        );
        words.push("--color=never".into());
        words.push("--".into());
        words.push(name.into());
        words
    }

    /// Whether ignored tests run.
    pub(crate) fn runs_ignored(&self) -> bool {
        self.ignored || self.include_ignored
    }

    /// How many tests may run at once.
    pub(crate) fn concurrency(&self) -> usize {
        self.threads
            .or_else(|| {
                std::env::var("RUST_TEST_THREADS")
                    .ok()
                    .and_then(|threads| threads.parse().ok())
                    .filter(|threads| *threads > 0)
            })
            .or_else(|| std::thread::available_parallelism().ok().map(Into::into))
            .unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn read(text: &str) -> Arguments {
        match Wish::read(&words(text)) {
            Wish::Run(arguments) => arguments,
            Wish::Plain => panic!("{text} is plain"),
        }
    }

    fn joined(words: &[OsString]) -> String {
        words
            .iter()
            .map(|word| word.to_str().unwrap())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn what_is_no_run_of_tests_is_left_to_the_binary() {
        for text in [
            "--list",
            "-h",
            "--help",
            "--format json",
            "--format=junit",
            "--logfile x",
            "--bench",
            "--no-such-thing",
            "--test-threads many",
            "--test-threads=0",
            "--color mauve",
            "--skip",
            "--ignored --include-ignored",
        ] {
            assert_eq!(Wish::read(&words(text)), Wish::Plain, "{text}");
        }
    }

    #[test]
    fn arguments_are_rebuilt_without_repeats() {
        for (given, list, whole) in [
            ("", "--list --format json -Z unstable-options", ""),
            (
                "math --exact --skip a --skip=b -q --test-threads 3",
                "--list --format json -Z unstable-options --exact --skip=a --skip=b -- math",
                "--quiet --test-threads=3 --exact --skip=a --skip=b -- math",
            ),
            (
                "-Z unstable-options --report-time --ignored --nocapture --color never",
                "--list --format json -Z unstable-options --report-time --ignored",
                "--ignored --nocapture --color=never -Z unstable-options --report-time",
            ),
            (
                "--shuffle-seed 4 --show-output -- -x",
                "--list --format json -Z unstable-options -- -x",
                "--show-output --shuffle-seed=4 -- -x",
            ),
        ] {
            let read = read(given);
            assert_eq!(joined(&read.list(true)), list, "{given}");
            assert_eq!(joined(&read.whole(false)), whole, "{given}");
        }
        assert_eq!(joined(&read("").whole(true)), "--color=always");
        assert_eq!(
            joined(&read("-Z unstable-options --report-time").list(false)),
            "--list --format terse --report-time"
        );
    }

    #[test]
    fn a_part_is_said_the_shorter_way_and_never_changes_the_users_filters() {
        let part = |given: &str, run: &[&str], left_out: &[&str]| {
            joined(&read(given).part(false, run, left_out).unwrap())
        };
        assert_eq!(part("", &["a", "b", "c"], &["d"]), "--exact --skip=d");
        assert_eq!(part("", &["a"], &["b", "c"]), "--exact -- a");
        assert_eq!(part("x", &["a", "b", "c"], &["d"]), "--exact -- a b c");
        assert_eq!(
            part("--skip x", &["a", "b", "c"], &["d"]),
            "--exact -- a b c"
        );
        let long = "n".repeat(2000);
        let many = vec![long.as_str(); 1000];
        assert!(read("").part(false, &many, &many).is_none());
        assert!(read("").part(false, &many, &["d"]).is_some());
    }

    #[test]
    fn a_test_alone_runs_on_a_thread_of_its_name() {
        assert_eq!(
            joined(&read("x --skip y").alone("a::b", false)),
            "--exact --nocapture --test-threads=2 --color=never -- a::b"
        );
        assert_eq!(
            joined(&read("--test-threads=1 --ignored").alone("a", true)),
            "--exact --nocapture --include-ignored --test-threads=2 --color=never -- a"
        );
    }
}
