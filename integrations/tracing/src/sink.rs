//! The tracer's own lines, as events of the program's subscriber.

use ddtrace_core::diagnostics::{self, Level};

/// Offers the program's subscriber to the tracer's log. Called by `init()`.
pub(crate) fn install() {
    diagnostics::add_sink(write);
}

/// Takes a line if there is a subscriber and it wants lines of that level.
fn write(level: Level, line: &str) -> bool {
    if !tracing::dispatcher::has_been_set() {
        return false;
    }
    macro_rules! event {
        ($level:ident) => {{
            let wanted = tracing::event_enabled!(target: "ddtrace", tracing::Level::$level);
            if wanted {
                tracing::event!(target: "ddtrace", tracing::Level::$level, "{line}");
            }
            wanted
        }};
    }
    match level {
        Level::Error => event!(ERROR),
        Level::Warn => event!(WARN),
        Level::Info => event!(INFO),
        Level::Debug => event!(DEBUG),
    }
}
