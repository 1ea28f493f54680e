//! The state behind the tracer's own log: level, recent places, destination.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::panic::Location;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::file::LogFile;
use super::level::Level;

/// Places whose last line is remembered. Places are calls in our source, so this is never reached
/// in practice; it bounds memory all the same.
const MAX_PLACES: usize = 1024;

/// How often a line asks for the lock before it gives up. Another line takes microseconds.
const LOCK_TRIES: usize = 1000;

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

#[cfg(test)]
#[path = "logger_tests.rs"]
mod tests;
