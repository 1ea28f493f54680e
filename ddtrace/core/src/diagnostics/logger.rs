//! The state behind the tracer's own log: level, recent places, destination.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;

use super::level::Level;

/// Places whose last line is remembered. Places are calls in our source, so this is never reached
/// in practice; it bounds memory all the same.
const MAX_PLACES: usize = 1024;

/// How often a line asks for the lock before it gives up. Another line takes microseconds.
const LOCK_TRIES: usize = 1000;

/// The most that stands in front of a line in a file, in bytes.
const MAX_HEAD: u64 = 64;

/// The longest line, in bytes.
const MAX_LINE: usize = 4096;

/// The longest announcement, in bytes.
const MAX_ANNOUNCEMENT: usize = 64 << 10;

/// How the log behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The lowest level that is written to standard error; `None` for none at all.
    pub level: Option<Level>,
    /// The least time between two lines from one place; zero for no limit.
    pub rate: Duration,
    /// A file to write to instead of standard error.
    pub file: Option<PathBuf>,
    /// The lowest level that is written to the file.
    pub file_level: Option<Level>,
    /// The size at which the file is renamed and begun anew.
    pub file_size: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            level: Some(Level::Warn),
            rate: Duration::from_secs(60),
            file: None,
            file_level: Some(Level::Debug),
            file_size: 15 << 20,
        }
    }
}

/// Takes a line, or says that it does not.
pub type Sink = fn(Level, &str) -> bool;

pub(super) struct Logger {
    /// 0: off, else the lowest level that is written, plus one. Kept outside the lock, so that a
    /// line that goes nowhere costs one load.
    level: AtomicU8,
    /// The same for the copy.
    copy_level: AtomicU8,
    state: Mutex<Option<State>>,
    sinks: ArcSwapOption<Vec<Sink>>,
}

struct State {
    rate: Duration,
    places: HashMap<(&'static str, u32, u32), Place>,
    file: Option<LogFile>,
    copy: Option<LogFile>,
}

impl State {
    fn new(rate: Duration) -> State {
        State {
            rate,
            places: HashMap::new(),
            file: None,
            copy: None,
        }
    }
}

struct Place {
    last: Instant,
    left_out: u64,
}

thread_local! {
    static LOGGING: Cell<bool> = const { Cell::new(false) };
}

pub(super) fn is_logging() -> bool {
    LOGGING.try_with(Cell::get).unwrap_or(false)
}

/// Marks the thread as writing a line, for as long as it lives.
struct Mark;

impl Mark {
    /// `None` when the thread is writing a line already, or is so far gone that this is unknown.
    fn set() -> Option<Mark> {
        let was = LOGGING
            .try_with(|logging| logging.replace(true))
            .unwrap_or(true);
        (!was).then_some(Mark)
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = LOGGING.try_with(|logging| logging.set(false));
    }
}

impl Logger {
    pub(super) const fn new() -> Logger {
        Logger {
            level: AtomicU8::new(Level::Warn as u8 + 1),
            copy_level: AtomicU8::new(0),
            state: Mutex::new(None),
            sinks: ArcSwapOption::const_empty(),
        }
    }

    pub(super) fn configure(&self, settings: Settings) {
        let level = match settings.file {
            Some(_) => settings.file_level,
            None => settings.level,
        };
        let file = settings
            .file
            .map(|path| LogFile::open(path, settings.file_size));
        {
            let mut state = self.lock();
            // A copy goes on.
            let copy = state.take().and_then(|state| state.copy);
            *state = Some(State {
                file,
                copy,
                ..State::new(settings.rate)
            });
        }
        self.level
            .store(level.map_or(0, |level| level as u8 + 1), Ordering::Relaxed);
    }

    pub(super) fn is_enabled(&self, level: Level) -> bool {
        self.is_written(level) || self.is_copied(level)
    }

    fn is_written(&self, level: Level) -> bool {
        (level as u8) < self.level.load(Ordering::Relaxed)
    }

    fn is_copied(&self, level: Level) -> bool {
        (level as u8) < self.copy_level.load(Ordering::Relaxed)
    }

    pub(super) fn add_sink(&self, sink: Sink) {
        self.sinks.rcu(|sinks| {
            let mut sinks = sinks.as_deref().cloned().unwrap_or_default();
            if sinks
                .iter()
                .all(|other| !std::ptr::fn_addr_eq(*other, sink))
            {
                sinks.push(sink);
            }
            Some(Arc::new(sinks))
        });
    }

    pub(super) fn start_copy(&self, path: PathBuf, level: Level, limit: u64) {
        let copy = Some(LogFile::open(path, limit));
        let rate = Settings::default().rate;
        if let Some(mut state) = self.lock_soon() {
            state.get_or_insert_with(|| State::new(rate)).copy = copy;
            self.copy_level.store(level as u8 + 1, Ordering::Relaxed);
        }
    }

    pub(super) fn stop_copy(&self) {
        self.copy_level.store(0, Ordering::Relaxed);
        if let Some(mut state) = self.lock_soon() {
            if let Some(state) = state.as_mut() {
                state.copy = None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lock, unless it stays taken: by a writer whose reader has stopped, or, in a process that
    /// was forked, by a thread that is not there any more.
    fn lock_soon(&self) -> Option<MutexGuard<'_, Option<State>>> {
        for _ in 0..LOCK_TRIES {
            match self.state.try_lock() {
                Ok(state) => return Some(state),
                Err(TryLockError::Poisoned(error)) => return Some(error.into_inner()),
                Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            }
        }
        None
    }

    pub(super) fn log(
        &self,
        level: Level,
        place: Option<&'static Location<'static>>,
        message: fmt::Arguments<'_>,
    ) {
        self.log_at(Instant::now(), level, place, message, &mut io::stderr());
    }

    fn log_at(
        &self,
        now: Instant,
        level: Level,
        place: Option<&'static Location<'static>>,
        message: fmt::Arguments<'_>,
        fallback: &mut dyn Write,
    ) {
        if self.is_enabled(level) {
            self.write(now, level, place, message, false, fallback);
        }
    }

    /// Writes a line whatever its level is, unless nothing is written at all.
    pub(super) fn announce(&self, level: Level, message: fmt::Arguments<'_>) {
        self.announce_to(level, message, &mut io::stderr());
    }

    fn announce_to(&self, level: Level, message: fmt::Arguments<'_>, fallback: &mut dyn Write) {
        if self.is_written(Level::Error) {
            let now = Instant::now();
            self.write(now, level, None, message, true, fallback);
        }
    }

    fn write(
        &self,
        now: Instant,
        level: Level,
        place: Option<&'static Location<'static>>,
        message: fmt::Arguments<'_>,
        is_announced: bool,
        fallback: &mut dyn Write,
    ) {
        let Some(_mark) = Mark::set() else { return };
        // The message is made before the lock is taken: it may run code that is not ours.
        let limit = if is_announced {
            MAX_ANNOUNCEMENT
        } else {
            MAX_LINE
        };
        let mut line = Line {
            text: String::new(),
            limit,
        };
        let is_whole = line.write_fmt(message).is_ok();
        let mut line = line.text;
        if !is_whole {
            line.push_str("...");
        }
        {
            let Some(mut state) = self.lock_soon() else {
                return;
            };
            let state = state.get_or_insert_with(|| State::new(Settings::default().rate));
            if let Some(copy) = state.copy.as_mut().filter(|_| self.is_copied(level)) {
                copy.write_until_full(level, &line);
            }
            if !is_announced && !self.is_written(level) {
                return;
            }
            let unlimited = self.is_written(Level::Debug) || state.rate.is_zero();
            if let Some(place) = place.filter(|_| !unlimited) {
                match state.may_write(now, place) {
                    None => return,
                    Some(0) => {}
                    Some(count) => {
                        let _ = write!(line, " ({count} more like this were left out)");
                    }
                }
            }
            if let Some(file) = &mut state.file {
                file.write(level, &line);
                return;
            }
        }
        // What follows is the program's, or may wait for whoever reads: no lock of ours is held.
        let sinks = self.sinks.load();
        let mut sinks = sinks.iter().flat_map(|sinks| sinks.iter());
        if sinks.any(|sink| crate::text::guarded(|| sink(level, &line)).unwrap_or(false)) {
            return;
        }
        // One write per line keeps lines of several threads and processes apart.
        let text = format!("ddtrace: {level}: {line}\n");
        let _ = fallback.write_all(text.as_bytes());
    }
}

impl State {
    /// Whether a place may write, and how many of its lines were left out since the last.
    fn may_write(&mut self, now: Instant, place: &'static Location<'static>) -> Option<u64> {
        let key = (place.file(), place.line(), place.column());
        if let Some(known) = self.places.get_mut(&key) {
            if now.saturating_duration_since(known.last) < self.rate {
                known.left_out += 1;
                return None;
            }
            known.last = now;
            return Some(std::mem::take(&mut known.left_out));
        }
        if self.places.len() >= MAX_PLACES {
            self.places.clear();
        }
        self.places.insert(
            key,
            Place {
                last: now,
                left_out: 0,
            },
        );
        Some(0)
    }
}

/// Collects a message as one line of bounded length: characters that would break the line, or
/// move the cursor of whoever reads it, are escaped.
struct Line {
    text: String,
    limit: usize,
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if self.text.len() >= self.limit {
                return Err(fmt::Error);
            }
            if c.is_control() && c != '\t' {
                self.text.extend(c.escape_default());
            } else {
                self.text.push(c);
            }
        }
        Ok(())
    }
}

/// A file that is renamed to `<name>.1` when it is full.
struct LogFile {
    path: PathBuf,
    limit: u64,
    open: Option<(File, u64)>,
}

impl LogFile {
    fn open(path: PathBuf, limit: u64) -> LogFile {
        let open = open(&path);
        LogFile { path, limit, open }
    }

    /// Whether a line of this length does not fit any more.
    fn is_full(&self, length: u64) -> bool {
        let size = self.open.as_ref().map_or(0, |(_, size)| *size);
        size > 0 && size + length > self.limit
    }

    /// Writes a line unless the file is full; for one that must not grow, and is of no use without its beginning.
    fn write_until_full(&mut self, level: Level, line: &str) {
        if self.open.is_some() && !self.is_full(line.len() as u64 + MAX_HEAD) {
            self.write(level, line);
        }
    }

    fn write(&mut self, level: Level, line: &str) {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let text = format!(
            "{}.{:03} ddtrace: {level}: {line}\n",
            since.as_secs(),
            since.subsec_millis()
        );
        let length = text.len() as u64;
        if self.is_full(length) {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            let _ = std::fs::rename(&self.path, old);
            self.open = None;
        }
        if self.open.is_none() {
            self.open = open(&self.path);
        }
        let Some((file, size)) = &mut self.open else {
            // The user asked for a file that cannot be written: better here than nowhere.
            let _ = io::stderr().write_all(text.as_bytes());
            return;
        };
        if file.write_all(text.as_bytes()).is_ok() {
            *size += length;
        } else {
            self.open = None;
        }
    }
}

fn open(path: &Path) -> Option<(File, u64)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .ok()?;
    let size = file.metadata().map_or(0, |data| data.len());
    Some((file, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn here() -> &'static Location<'static> {
        Location::caller()
    }

    fn logger(level: Option<Level>, seconds: u64) -> Logger {
        let logger = Logger::new();
        logger.configure(Settings {
            level,
            rate: Duration::from_secs(seconds),
            ..Settings::default()
        });
        logger
    }

    #[test]
    fn one_place_writes_once_per_rate_and_then_says_what_was_left_out() {
        let logger = logger(Some(Level::Warn), 60);
        let (one, other) = (here(), here());
        let start = Instant::now();
        let mut out = Vec::new();
        for (seconds, place) in [
            (0, one),
            (1, one),
            (2, other),
            (59, one),
            (60, one),
            (61, one),
        ] {
            let now = start + Duration::from_secs(seconds);
            logger.log_at(
                now,
                Level::Warn,
                Some(place),
                format_args!("at {seconds}"),
                &mut out,
            );
        }
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "ddtrace: warning: at 0\n\
             ddtrace: warning: at 2\n\
             ddtrace: warning: at 60 (2 more like this were left out)\n"
        );
    }

    #[test]
    fn levels_below_the_set_one_are_not_written() {
        let cases = [
            (None, ""),
            (Some(Level::Error), "error "),
            (Some(Level::Info), "error warning info "),
            (Some(Level::Debug), "error warning info debug "),
        ];
        for (set, expected) in cases {
            let logger = logger(set, 60);
            let mut out = Vec::new();
            for level in [Level::Error, Level::Warn, Level::Info, Level::Debug] {
                let place = Some(here());
                logger.log_at(Instant::now(), level, place, format_args!("x"), &mut out);
            }
            let levels = String::from_utf8(out)
                .unwrap()
                .replace("ddtrace: ", "")
                .replace(": x\n", " ");
            // One place wrote all lines: only `debug` is without a limit.
            let expected = if set == Some(Level::Debug) {
                expected
            } else {
                &expected[..expected.find(' ').map_or(0, |end| end + 1)]
            };
            assert_eq!(levels, expected, "{set:?}");
        }
    }

    #[test]
    fn announcements_are_written_unless_the_log_is_off() {
        let message = "x".repeat(10_000);
        for (set, expected) in [
            (None, 0),
            (Some(Level::Error), "ddtrace: info: \n".len() + 10_000),
        ] {
            let logger = logger(set, 60);
            let mut out = Vec::new();
            logger.announce_to(Level::Info, format_args!("{message}"), &mut out);
            assert_eq!(out.len(), expected, "{set:?}");
        }
    }

    #[test]
    fn a_message_is_one_line_of_bounded_length() {
        let logger = logger(Some(Level::Debug), 60);
        let mut out = Vec::new();
        let message = format!("a\nddtrace: error: forged\u{1b}[2J{}", "x".repeat(10_000));
        logger.log_at(
            Instant::now(),
            Level::Warn,
            None,
            format_args!("{message}"),
            &mut out,
        );
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("ddtrace: warning: a\\nddtrace: error: forged\\u{1b}[2Jxxx"));
        assert_eq!(text.matches('\n').count(), 1);
        assert!(text.len() < MAX_LINE + 64);
    }

    #[test]
    fn a_display_that_logs_does_not_come_back_in() {
        struct Logs<'a>(&'a Logger);
        impl fmt::Display for Logs<'_> {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                assert!(is_logging());
                self.0.log(Level::Error, None, format_args!("inner"));
                out.write_str("outer")
            }
        }
        let logger = logger(Some(Level::Warn), 0);
        let mut out = Vec::new();
        logger.log_at(
            Instant::now(),
            Level::Warn,
            None,
            format_args!("{}", Logs(&logger)),
            &mut out,
        );
        assert_eq!(String::from_utf8(out).unwrap(), "ddtrace: warning: outer\n");
        assert!(!is_logging());
    }

    #[test]
    fn a_sink_that_takes_a_line_keeps_it_from_standard_error() {
        static TAKEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
        fn refuses(_: Level, _: &str) -> bool {
            false
        }
        fn panics(_: Level, _: &str) -> bool {
            panic!("by design")
        }
        fn takes_warnings(level: Level, line: &str) -> bool {
            assert!(is_logging());
            if level == Level::Warn {
                TAKEN.lock().unwrap().push(line.to_owned());
            }
            level == Level::Warn
        }
        let logger = logger(Some(Level::Warn), 0);
        for sink in [refuses, panics, takes_warnings, takes_warnings] {
            logger.add_sink(sink);
        }
        let mut out = Vec::new();
        for level in [Level::Error, Level::Warn, Level::Info] {
            logger.log_at(Instant::now(), level, None, format_args!("x"), &mut out);
        }
        assert_eq!(String::from_utf8(out).unwrap(), "ddtrace: error: x\n");
        assert_eq!(*TAKEN.lock().unwrap(), ["x"]);
    }

    #[test]
    fn a_copy_has_a_level_of_its_own_and_ends_when_it_is_full() {
        let path = std::env::temp_dir().join(format!("ddtrace-copy-{}.log", std::process::id()));
        let logger = logger(Some(Level::Warn), 60);
        logger.start_copy(path.clone(), Level::Debug, 1000);
        let (mut out, place) = (Vec::new(), here());
        for index in 0..100 {
            logger.log_at(
                Instant::now(),
                Level::Debug,
                Some(place),
                format_args!("line {index} of many"),
                &mut out,
            );
        }
        logger.configure(Settings::default());
        assert!(logger.is_enabled(Level::Debug), "the copy goes on");
        logger.stop_copy();
        assert!(!logger.is_enabled(Level::Debug));
        let copy = std::fs::read_to_string(&path).unwrap();
        assert!(copy.contains("line 0 of many") && copy.contains("line 1 of many"));
        assert!(copy.len() <= 1000 && !copy.contains("line 99 of many"));
        assert_eq!(out, b"");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn a_closed_destination_loses_the_line_only() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let logger = logger(Some(Level::Warn), 0);
        logger.log_at(
            Instant::now(),
            Level::Warn,
            None,
            format_args!("x"),
            &mut Closed,
        );
    }

    #[test]
    fn a_lock_that_stays_taken_loses_the_line_only() {
        let logger = logger(Some(Level::Warn), 0);
        let taken = logger.lock();
        let mut out = Vec::new();
        logger.log_at(
            Instant::now(),
            Level::Warn,
            None,
            format_args!("x"),
            &mut out,
        );
        drop(taken);
        assert!(out.is_empty());
    }

    #[test]
    fn a_full_file_is_renamed_and_begun_anew() {
        let folder = std::env::temp_dir().join(format!("ddtrace-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("tracer.log");
        let logger = Logger::new();
        logger.configure(Settings {
            file: Some(path.clone()),
            file_size: 150,
            rate: Duration::ZERO,
            ..Settings::default()
        });
        for number in 0..4 {
            logger.log(
                Level::Debug,
                None,
                format_args!("line {number} {}", "x".repeat(20)),
            );
        }
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        assert!(read(&path).contains("line 3") && !read(&path).contains("line 1"));
        assert!(read(&folder.join("tracer.log.1")).contains("line 1"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
