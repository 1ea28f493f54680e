//! The tracer's own log: what the library itself has to say.
//!
//! One function, [`log`], and its shorthands [`error`], [`warn`], [`info`] and [`debug`]. A line goes to the file of
//! `DD_TRACE_LOG_FILE` with the time in front; without one to the first [sink](add_sink) that takes it, which is the program's own
//! logging if an integration is linked and the program has set one up; else to standard error as `ddtrace: <level>: <message>`.
//! A [copy](start_copy) may go to one more file meanwhile.
//!
//! The rules, because this runs inside somebody else's program:
//!
//! * **Quiet.** One line per place in the source and [`Settings::rate`]; what was left out is
//!   counted and said with the next line from there. At level `debug` nothing is left out.
//! * **Harmless.** A closed standard error, a full disk, or a lock that somebody holds for good loses
//!   the line, nothing more. A message is one line, whatever is in it.
//! * **Not re-entrant.** A line written while one is being written on the same thread (a `Display`
//!   that logs) is dropped, and [`is_logging`] tells a log bridge to leave our lines alone.
//!
//! This module stands below every other and knows no configuration: whoever starts a tracer hands
//! it [`Settings`] with [`configure`]. Until then the level is `warn`.

mod file;
mod level;
mod logger;

use std::fmt;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::OnceLock;

pub use level::Level;
pub use logger::{Settings, Sink};

use logger::Logger;

static LOGGER: Logger = Logger::new();

/// Is told of every error, whether it is written or not: the place, and the text if there is nothing variable in it.
pub(crate) type Observer = fn(&Location<'_>, Option<&'static str>);

static OBSERVER: OnceLock<Observer> = OnceLock::new();

/// Has a function told of every error; the first one stays.
pub(crate) fn observe(observer: Observer) {
    let _ = OBSERVER.set(observer);
}

/// Sets level, rate and destination for the process.
pub fn configure(settings: Settings) {
    LOGGER.configure(settings);
}

/// Adds somewhere for lines to go instead of standard error: the program's logging. The sinks are asked in the order in which
/// they were added; one that is there already is not added again.
///
/// A sink says whether it took the line. It is called on the thread that writes, with no lock held; while it runs,
/// [`is_logging`] is true and lines written on this thread are dropped.
pub fn add_sink(sink: Sink) {
    LOGGER.add_sink(sink);
}

/// Copies lines of this level and above into a file as well, wherever else they go and however often, until the file has
/// `limit` bytes. A second call replaces the first.
pub fn start_copy(path: PathBuf, level: Level, limit: u64) {
    LOGGER.start_copy(path, level, limit);
}

/// Ends the copying.
pub fn stop_copy() {
    LOGGER.stop_copy();
}

/// Whether a line of this level would go anywhere; for messages that cost something to make.
pub fn is_enabled(level: Level) -> bool {
    LOGGER.is_enabled(level)
}

/// Whether this thread is writing a line of the tracer's log at this moment.
pub fn is_logging() -> bool {
    logger::is_logging()
}

/// Writes a line, unless its level is too low or the same place wrote one recently.
#[track_caller]
pub fn log(level: Level, message: fmt::Arguments<'_>) {
    if level == Level::Error {
        if let Some(observer) = OBSERVER.get() {
            observer(Location::caller(), message.as_str());
        }
    }
    LOGGER.log(level, Some(Location::caller()), message);
}

/// Writes a line however recently the same place wrote one: for lists that are written once.
pub fn log_always(level: Level, message: fmt::Arguments<'_>) {
    LOGGER.log(level, None, message);
}

/// Writes a line that somebody asked for by a setting of its own: whatever the level is, unless the log is off, and as long as
/// it is.
pub(crate) fn announce(level: Level, message: fmt::Arguments<'_>) {
    LOGGER.announce(level, message);
}

/// [`log`] at level `error`.
#[track_caller]
pub fn error(message: fmt::Arguments<'_>) {
    log(Level::Error, message);
}

/// [`log`] at level `warn`.
#[track_caller]
pub fn warn(message: fmt::Arguments<'_>) {
    log(Level::Warn, message);
}

/// [`log`] at level `info`.
#[track_caller]
pub fn info(message: fmt::Arguments<'_>) {
    log(Level::Info, message);
}

/// [`log`] at level `debug`.
#[track_caller]
pub fn debug(message: fmt::Arguments<'_>) {
    log(Level::Debug, message);
}
