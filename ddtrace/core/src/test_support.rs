//! A tracer for tests: what it records stays in memory.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::config::{Config, ConfigBuilder, MapEnvironment};
use crate::export::pipeline::{Pipeline, Sink};
use crate::export::{FinishedSpan, SpanData, TraceFilter};
use crate::trace::local;
use crate::trace::tracer::TracerCore;

/// Records the spans that this thread makes, and those of threads and tasks that its contexts are carried to.
///
/// Each test has its own; neither `init()` nor other tests' recorders get in the way. Roots that other threads make on
/// their own account are not seen.
///
/// ```
/// use ddtrace_core::test_support::Recorder;
/// use ddtrace_core::trace::{Site, enter};
///
/// ddtrace_core::site! { static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }
///
/// let recorder = Recorder::new();
/// drop(enter(&WORK));
/// let spans = recorder.take();
/// assert_eq!(spans[0].name, "work");
/// ```
pub struct Recorder {
    tracer: Arc<TracerCore>,
    before: Option<Arc<TracerCore>>,
    pipeline: std::cell::RefCell<Pipeline>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").finish_non_exhaustive()
    }
}

/// How long a span may take to end: a machine that is busy with something else takes its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Lets other tasks run.
async fn give_way() {
    let mut has_waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut has_waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// An environment with nothing in it, so that a test does not depend on the process's.
fn bare_environment() -> MapEnvironment {
    MapEnvironment::new().executable("test")
}

impl Recorder {
    /// A recorder with default settings and the service `test`.
    pub fn new() -> Self {
        Self::with(|config| config)
    }

    /// A recorder with settings of the test's.
    pub fn with(configure: impl FnOnce(ConfigBuilder<'_>) -> ConfigBuilder<'_>) -> Self {
        Self::with_filters(configure, Vec::new())
    }

    /// A recorder with the settings of a program that has these variables in its environment, and no others.
    ///
    /// ```
    /// use ddtrace_core::test_support::Recorder;
    ///
    /// let recorder = Recorder::with_variables(&[("DD_TRACE_ENABLED", "false")]);
    /// assert!(ddtrace_core::trace::current_config().is_some_and(|config| !config.trace_enabled));
    /// # drop(recorder);
    /// ```
    pub fn with_variables(variables: &[(&str, &str)]) -> Self {
        let environment = variables
            .iter()
            .fold(bare_environment(), |environment, &(name, value)| {
                environment.variable(name, value)
            });
        let config = Config::builder().service("test").environment(&environment);
        Self::of(config.build(), Vec::new())
    }

    /// A recorder with settings and filters.
    pub fn with_filters(
        configure: impl FnOnce(ConfigBuilder<'_>) -> ConfigBuilder<'_>,
        filters: Vec<Arc<dyn TraceFilter>>,
    ) -> Self {
        let environment = bare_environment();
        let config = configure(Config::builder().service("test").environment(&environment));
        Self::of(config.build(), filters)
    }

    fn of(config: Config, filters: Vec<Arc<dyn TraceFilter>>) -> Self {
        let tracer = Arc::new(TracerCore::new(Arc::new(config), filters, Box::new(|| {})));
        if tracer.is_enabled() {
            crate::instrument::switch_on();
        }
        crate::trace::panic::install_hook();
        let before = local::with(|local| local.choose(Some(Arc::clone(&tracer)))).flatten();
        let pipeline = Pipeline::new(Arc::clone(&tracer)).into();
        Self {
            tracer,
            before,
            pipeline,
        }
    }

    /// Uses this recorder on another thread as well, until the guard is dropped there.
    pub fn activate(&self) -> Activated {
        let before = local::with(|local| local.choose(Some(Arc::clone(&self.tracer)))).flatten();
        Activated { before }
    }

    /// A handle by which other threads can [activate](RecorderHandle::activate) the recorder.
    pub fn handle(&self) -> RecorderHandle {
        RecorderHandle {
            tracer: Arc::clone(&self.tracer),
        }
    }

    /// Puts remote values in force, as a change by remote configuration does.
    #[cfg(test)]
    pub(crate) fn change_config(&self, values: &[(crate::config::Name, String)]) {
        let config = self.tracer.config().with_remote(values, None);
        self.tracer.set_config(Arc::new(config));
    }

    /// Has the tracer see an agent whose `/info` has this body.
    #[cfg(test)]
    pub(crate) fn follow_agent(&self, info: &str) {
        let info = crate::export::agent::AgentInfo::parse(info.as_bytes());
        self.pipeline.borrow().follow(info.as_ref());
    }

    /// The tracer.
    #[cfg(test)]
    pub(crate) fn tracer(&self) -> &Arc<TracerCore> {
        &self.tracer
    }

    /// All chunks that are complete, in the order in which they come from each thread.
    pub fn take_chunks(&self) -> Vec<Vec<SpanData>> {
        let mut memory = Memory::default();
        self.pipeline.borrow_mut().run(&mut memory);
        memory.chunks
    }

    /// All spans of chunks that are complete.
    pub fn take(&self) -> Vec<SpanData> {
        self.take_chunks().into_iter().flatten().collect()
    }

    /// The only span of chunks that are complete.
    ///
    /// # Panics
    ///
    /// If there is none, or if there are several.
    #[track_caller]
    pub fn take_only(&self) -> SpanData {
        let mut spans = self.take();
        assert_eq!(spans.len(), 1, "there should be one span: {spans:#?}");
        spans.remove(0)
    }

    /// Waits for so many spans, and takes them: a server learns of the end of a response after its client does, and the other
    /// way round.
    ///
    /// Gives way to other tasks of whatever runtime polls it.
    ///
    /// # Panics
    ///
    /// If there are fewer after thirty seconds, or more.
    pub async fn spans(&self, count: usize) -> Vec<SpanData> {
        let deadline = Instant::now() + PATIENCE;
        let mut spans = self.take();
        while spans.len() < count {
            assert!(
                Instant::now() < deadline,
                "expected {count} spans, found {spans:#?}"
            );
            give_way().await;
            spans.extend(self.take());
        }
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let before = self.before.take();
        local::with(|local| local.choose(before));
    }
}

/// Sends another thread's spans to a [`Recorder`].
#[derive(Clone)]
pub struct RecorderHandle {
    tracer: Arc<TracerCore>,
}

impl std::fmt::Debug for RecorderHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecorderHandle").finish_non_exhaustive()
    }
}

impl RecorderHandle {
    /// Uses the recorder on this thread until the guard is dropped.
    pub fn activate(&self) -> Activated {
        let before = local::with(|local| local.choose(Some(Arc::clone(&self.tracer)))).flatten();
        Activated { before }
    }
}

/// Keeps a recorder active on a thread.
#[must_use = "the recorder is active until the guard is dropped"]
pub struct Activated {
    before: Option<Arc<TracerCore>>,
}

impl std::fmt::Debug for Activated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Activated").finish_non_exhaustive()
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        let before = self.before.take();
        local::with(|local| local.choose(before));
    }
}

#[derive(Default)]
struct Memory {
    chunks: Vec<Vec<SpanData>>,
}

impl Sink for Memory {
    fn begin_chunk(&mut self) {
        self.chunks.push(Vec::new());
    }

    fn push(&mut self, span: &FinishedSpan<'_>) {
        if let Some(chunk) = self.chunks.last_mut() {
            chunk.push(span.to_data());
        }
    }

    fn end_chunk(&mut self) {}
}
