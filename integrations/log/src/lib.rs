//! Records of the crate `log` with the ids of the trace in which they were written.
//!
//! Any logger, one line:
//!
//! ```
//! # use log::LevelFilter;
//! let logger = env_logger::Builder::from_default_env().build();
//! ddtrace_log::init(logger, LevelFilter::Info)?;
//! # Ok::<(), log::SetLoggerError>(())
//! ```
//!
//! Every record then has the key-value pairs `dd.service`, `dd.env`, `dd.version`, `dd.trace_id` and `dd.span_id`; what a logger does with
//! pairs is its own business: loggers that write JSON write them as members, `env_logger` with its feature `kv` writes them behind the
//! message. For a logger that does nothing with pairs, [`ids`] gives them as text, to be put into its format:
//!
//! ```
//! use std::io::Write;
//!
//! env_logger::Builder::from_default_env()
//!     .format(|out, record| writeln!(out, "{} {} {}", record.level(), record.args(), ddtrace_log::ids()))
//!     .init();
//! ```
//!
//! `DD_LOGS_INJECTION` switches all of it off, at run time too; see [`correlation`] for what the fields say.
//!
//! With this crate linked, what the tracer has to say about itself goes to the program's logger, target `ddtrace`, if it wants
//! it; else to standard error.

mod sink;

use std::fmt;

use ddtrace_core::correlation::{self, Fields};
use log::kv::{Error, Key, Source, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record, SetLoggerError};

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("log", "log", "0.4").starting_with(sink::install)
}

/// Makes a logger the program's, with the ids of traces in its records.
pub fn init(logger: impl Log + 'static, level: LevelFilter) -> Result<(), SetLoggerError> {
    log::set_boxed_logger(Box::new(Correlated::new(logger)))?;
    log::set_max_level(level);
    Ok(())
}

/// The fields as text: `dd.service=shop dd.env=prod dd.version=1.2 dd.trace_id=… dd.span_id=…`. Empty without a tracer, or where
/// `DD_LOGS_INJECTION` is off.
pub fn ids() -> impl fmt::Display {
    struct Text(Option<Fields>);
    impl fmt::Display for Text {
        fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.as_ref().map_or(Ok(()), |fields| fields.fmt(out))
        }
    }
    Text(correlation::fields())
}

/// A logger whose records have the fields as key-value pairs, behind those that they had.
#[derive(Clone, Copy, Debug, Default)]
pub struct Correlated<L> {
    logger: L,
}

impl<L: Log> Correlated<L> {
    /// Adds the fields to what a logger is given.
    pub fn new(logger: L) -> Self {
        Self { logger }
    }
}

impl<L: Log> Log for Correlated<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.logger.enabled(record.metadata()) {
            return;
        }
        let Some(fields) = correlation::fields() else {
            self.logger.log(record);
            return;
        };
        let pairs = Pairs {
            of_record: record.key_values(),
            values: fields.values(),
        };
        let record = record.to_builder().key_values(&pairs).build();
        self.logger.log(&record);
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

struct Pairs<'a> {
    of_record: &'a dyn Source,
    values: [String; Fields::KEYS.len()],
}

impl Source for Pairs<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), Error> {
        self.of_record.visit(visitor)?;
        for (key, value) in Fields::KEYS.iter().zip(&self.values) {
            visitor.visit_pair(Key::from_str(key), Value::from(value.as_str()))?;
        }
        Ok(())
    }
}
