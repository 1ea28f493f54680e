//! The spans of statements, and of what surrounds them: connecting, waiting for a connection, commits and rollbacks.
//!
//! Only statements are measured, so only they have statistics of their own, as in the reference.

use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;

use super::comment::Comment;
use super::statement;
use super::system::{System, Target};
use crate::config::DbmMode;
use crate::events::{self, SqlQueryFinished, SqlQueryStarted};
use crate::instrument::Enabled;
use crate::process_tags;
use crate::trace::{Entered, Site, Span, Tag, Value, instrument_with, traceparent};

/// A statement that is being run: its span, and what is counted meanwhile. The span ends when this is dropped.
///
/// With the integration or the tracer switched off it does nothing.
#[derive(Debug)]
pub struct Query {
    span: Span,
    settings: Option<Arc<Enabled>>,
    system: &'static System,
    /// Whether the rows that the database says it changed are those of another statement.
    only_reads: bool,
    /// Whether the library says how many rows there were.
    counts: bool,
    rows: u64,
    affected: u64,
}

/// A statement with a comment in front of it.
#[derive(Debug)]
pub struct Commented {
    /// What to send to the database.
    pub text: String,
    /// Whether the next call of the same statement has the same text, so that a server may keep it prepared.
    pub is_same_for_every_call: bool,
}

/// Why a statement failed.
#[derive(Debug)]
pub struct Failure {
    kind: &'static str,
    message: String,
    code: Option<String>,
}

impl Failure {
    /// `kind` is the class of the error, which becomes `error.type`; `code` the database's own, such as `23505`.
    pub fn new(kind: &'static str, error: &dyn Error, code: Option<&str>) -> Self {
        Self::with_message(kind, error.to_string(), code)
    }

    /// The same for an error that does not say enough by itself, or too much.
    pub fn with_message(kind: &'static str, message: String, code: Option<&str>) -> Self {
        Self {
            kind,
            message,
            code: code.map(str::to_owned),
        }
    }

    fn mark(&self, span: &mut Span) {
        span.set_error_message(self.kind, &self.message, None);
        if let Some(code) = &self.code {
            span.set_tag("db.response.status_code", code);
        }
    }
}

/// Opens a span of this system, with what is the same for all of them.
fn open(settings: &Enabled, system: &System, site: &'static Site, target: &Target) -> Span {
    let mut span = Span::start(site);
    if span.is_recording() {
        settings.set_service(&mut span, Some(system.service));
        span.set_tags(&[Tag {
            key: "db.system",
            value: Value::Static(system.name),
        }]);
        target.tag(&mut span);
    }
    span
}

impl Query {
    /// Opens the span of a statement. Without a text, its resource is the name of the operation.
    pub fn start(
        settings: Option<Arc<Enabled>>,
        system: &'static System,
        target: &Target,
        statement: &str,
    ) -> Self {
        let span = settings.as_deref().map_or(Span::off(), |settings| {
            let mut span = open(settings, system, system.sites.query, target);
            span.set_tag("_dd.measured", 1.0);
            span
        });
        let only_reads = system.reports_stale_changes && statement::only_reads(statement);
        let mut query = Self {
            span,
            settings,
            system,
            only_reads,
            counts: true,
            rows: 0,
            affected: 0,
        };
        query.describe(statement);
        query
    }

    fn describe(&mut self, statement: &str) {
        let Some(settings) = self
            .settings
            .as_deref()
            .filter(|_| self.span.is_recording())
        else {
            return;
        };
        if settings.names_by_v1() {
            self.span.set_name(self.system.v1_query);
        }
        if !statement.is_empty() {
            self.span.set_resource(statement::capped(statement));
        }
        let (span, system) = (&mut self.span, self.system.name);
        events::dispatch::<SqlQueryStarted<'_>>(|| SqlQueryStarted::new(span, system, statement));
    }

    /// The statement with the comment that `DD_DBM_PROPAGATION_MODE` asks for, if it asks for one.
    ///
    /// In full mode this decides whether the trace is kept, because the comment says so.
    pub fn comment(&mut self, target: &Target, statement: &str) -> Option<Commented> {
        let is_full = self.settings.as_deref()?.config.dbm_propagation_mode == DbmMode::Full;
        let traceparent = if is_full { self.traceparent() } else { None };
        let text = self.commented(target, statement, traceparent.as_deref())?;
        Some(Commented {
            text,
            is_same_for_every_call: traceparent.is_none(),
        })
    }

    fn commented(
        &mut self,
        target: &Target,
        statement: &str,
        traceparent: Option<&str>,
    ) -> Option<String> {
        let settings = self.settings.as_deref()?;
        let Enabled { config, .. } = settings;
        let mode = config.dbm_propagation_mode;
        if mode == DbmMode::Disabled || !self.span.is_recording() {
            return None;
        }
        let database = target.database.as_deref().unwrap_or_default();
        // Where peers are named after databases, Database Monitoring is to find them under the same name.
        let is_named_by_database = config.peer_service_defaults && !database.is_empty();
        let has_base_hash = mode == DbmMode::DynamicService
            || (mode == DbmMode::Service && config.dbm_inject_base_hash);
        let base_hash = has_base_hash
            .then(|| process_tags::current_base_hash(config))
            .flatten();
        let base_hash = base_hash.map(|hash| hash.to_string()).unwrap_or_default();
        let comment = Comment {
            database,
            database_service: if is_named_by_database {
                database
            } else {
                settings
                    .service_of(Some(self.system.service))
                    .unwrap_or(&config.service)
            },
            env: config.env.as_deref().unwrap_or_default(),
            host: target.host.as_deref().unwrap_or_default(),
            peer_service: tag(&config.tags, "peer.service"),
            service: &config.service,
            version: config.version.as_deref().unwrap_or_default(),
            base_hash: &base_hash,
            traceparent: traceparent.unwrap_or_default(),
        };
        let text = comment.prepend_to(statement);
        if !base_hash.is_empty() {
            self.span.set_tag("_dd.propagated_hash", &*base_hash);
        }
        Some(text)
    }

    fn traceparent(&mut self) -> Option<String> {
        if !self.span.is_recording() {
            return None;
        }
        let traceparent = traceparent(&self.span.context())?;
        self.span.set_tag("_dd.dbm_trace_injected", "true");
        Some(traceparent)
    }

    /// Makes the span the active one while the library works.
    pub fn enter(&mut self) -> Entered<'_> {
        self.span.enter()
    }

    /// Leaves the number of rows out: the library does not say it.
    #[must_use]
    pub fn uncounted(mut self) -> Self {
        self.counts = false;
        self
    }

    /// Counts rows that came back.
    pub fn count_rows(&mut self, rows: u64) {
        self.rows += rows;
    }

    /// Counts rows that a finished statement says it changed.
    pub fn count_affected(&mut self, affected: u64) {
        if !self.only_reads {
            self.affected += affected;
        }
    }

    /// Marks the span as an error.
    pub fn fail(&mut self, failure: &Failure) {
        failure.mark(&mut self.span);
    }

    /// Runs the library's future in the span. `rows` counts what came back, `failure` describes an error.
    pub async fn run<T, E, F>(
        mut self,
        future: F,
        rows: fn(&T) -> u64,
        failure: fn(&E) -> Failure,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        // What is left in `self` has no span to end.
        let span = std::mem::replace(&mut self.span, Span::off());
        let (system, counts) = (self.system.name, self.counts);
        let observe = move |result: &Result<T, E>, span: &mut Span| match result {
            Ok(output) => finish(span, system, counts.then(|| rows(output))),
            Err(error) => {
                failure(error).mark(span);
                finish(span, system, counts.then_some(0));
            }
        };
        instrument_with(span, future, observe).await
    }

    /// Runs the library's future that begins a stream, whose query it hands back with it.
    pub async fn open<T, E, F>(
        mut self,
        future: F,
        failure: fn(&E) -> Failure,
    ) -> Result<(Self, T), E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let mut future = pin!(future);
        let opened = poll_fn(|cx| {
            let _active = self.enter();
            future.as_mut().poll(cx)
        });
        match opened.await {
            Ok(stream) => Ok((self, stream)),
            Err(error) => {
                self.fail(&failure(&error));
                Err(error)
            }
        }
    }
}

/// The value of a tag that the user gave to all spans.
fn tag<'a>(tags: &'a [(String, String)], wanted: &str) -> &'a str {
    let found = tags.iter().rev().find(|(key, _)| key == wanted);
    found.map_or("", |(_, value)| value)
}

impl Drop for Query {
    fn drop(&mut self) {
        // Some statements return what they changed; then both counts say the same.
        let rows = if self.rows > 0 {
            self.rows
        } else {
            self.affected
        };
        finish(
            &mut self.span,
            self.system.name,
            self.counts.then_some(rows),
        );
    }
}

fn finish(span: &mut Span, system: &'static str, rows: Option<u64>) {
    if span.is_recording() {
        if let Some(rows) = rows {
            span.set_tag("db.row_count", rows);
        }
        let rows = rows.unwrap_or_default();
        events::dispatch::<SqlQueryFinished<'_>>(|| SqlQueryFinished::new(span, system, rows));
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionEnd {
    /// What was done in it stays.
    Commit,
    /// What was done in it is undone.
    Rollback,
}

impl TransactionEnd {
    /// Runs the library's future in a span of its own.
    pub async fn run<T, E, F>(
        self,
        settings: Option<Arc<Enabled>>,
        system: &'static System,
        target: &Target,
        future: F,
        failure: fn(&E) -> Failure,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let site = match self {
            Self::Commit => system.sites.commit,
            Self::Rollback => system.sites.rollback,
        };
        let span = settings.map_or(Span::off(), |settings| {
            open(&settings, system, site, target)
        });
        run_in(span, future, failure).await
    }
}

/// Runs the future that waits for a connection of a pool in a span of its own, whose site is the pool's.
pub async fn run_acquire<T, E, F>(
    settings: &Enabled,
    site: &'static Site,
    system: &'static System,
    target: &Target,
    future: F,
    failure: fn(&E) -> Failure,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let span = open(settings, system, site, target);
    run_in(span, future, failure).await
}

/// Runs the future that opens a connection, or a pool with its first one, in a span of its own.
pub async fn run_connect<T, E, F>(
    settings: Option<Arc<Enabled>>,
    system: &'static System,
    target: &Target,
    future: F,
    failure: fn(&E) -> Failure,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let span = settings.map_or(Span::off(), |settings| {
        open(&settings, system, system.sites.connect, target)
    });
    run_in(span, future, failure).await
}

async fn run_in<T, E, F>(span: Span, future: F, failure: fn(&E) -> Failure) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let observe = move |result: &Result<T, E>, span: &mut Span| {
        if let Err(error) = result {
            failure(error).mark(span);
        }
    };
    instrument_with(span, future, observe).await
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
