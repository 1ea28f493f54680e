//! The tracer's own lines, as records of the program's logger.

use ddtrace_core::diagnostics::{self, Level};

/// Offers the program's logger to the tracer's log. Called by `init()`.
pub(crate) fn install() {
    diagnostics::add_sink(write);
}

/// Takes a line if there is a logger and it wants lines of that level.
fn write(level: Level, line: &str) -> bool {
    let level = match level {
        Level::Error => log::Level::Error,
        Level::Warn => log::Level::Warn,
        Level::Info => log::Level::Info,
        Level::Debug => log::Level::Debug,
    };
    let metadata = log::Metadata::builder()
        .level(level)
        .target("ddtrace")
        .build();
    // Without a logger there is one that wants nothing.
    if level > log::max_level() || !log::logger().enabled(&metadata) {
        return false;
    }
    let mut record = log::Record::builder();
    record.metadata(metadata);
    log::logger().log(&record.args(format_args!("{line}")).build());
    true
}
