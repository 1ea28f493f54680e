//! Whether the product is on, and what it works with.
//!
//! `init()` starts the product whether it is wanted or not: remote configuration may want it later. Off, everything is one
//! relaxed load, and integrations go on without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwapOption, Guard};
use ddtrace_core::diagnostics;
use ddtrace_core::instrument::{Product, inventory};
use ddtrace_core::remote_config::{self, Capabilities};
use ddtrace_core::trace::{current_config, on_injection};
use ddtrace_core::worker::task;

use crate::links::LinkTracker;
use crate::processor::{ProcessedSpan, Processor};
use crate::route::{self, Mode};
use crate::settings::{self, Options, Settings};
use crate::{propagation, telemetry, writer};

inventory::submit! { Product::new("llm observability", start) }

static IS_ON: AtomicBool = AtomicBool::new(false);
static RUNNING: ArcSwapOption<Running> = ArcSwapOption::const_empty();
/// What the settings of this process say, for when remote configuration has nothing to say any more.
static IS_CONFIGURED: AtomicBool = AtomicBool::new(false);
static HAS_WARNED: AtomicBool = AtomicBool::new(false);

/// What the product works with.
pub(crate) struct Running {
    pub(crate) settings: Settings,
    pub(crate) links: LinkTracker,
    pub(crate) processor: ArcSwapOption<Boxed>,
    /// Whether an agent passes requests on, as far as it is known: unknown, yes, no.
    agent: AtomicU8,
}

/// A processor, with a size.
pub(crate) struct Boxed(pub(crate) Box<Processor>);

const UNKNOWN: u8 = 0;
const PRESENT: u8 = 1;
const ABSENT: u8 = 2;

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Running {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            links: LinkTracker::default(),
            processor: ArcSwapOption::empty(),
            agent: AtomicU8::new(UNKNOWN),
        }
    }

    /// The way of spans.
    pub(crate) fn mode(&self) -> Mode {
        route::mode(&self.settings, self.has_agent())
    }

    /// The way of requests of its own.
    pub(crate) fn intake_mode(&self) -> Mode {
        route::intake(&self.settings, self.has_agent())
    }

    fn has_agent(&self) -> bool {
        self.agent.load(Ordering::Relaxed) != ABSENT
    }

    /// Says whether there is an agent that passes requests on.
    pub(crate) fn found_agent(&self, is_there: bool) {
        let state = if is_there { PRESENT } else { ABSENT };
        self.agent.store(state, Ordering::Relaxed);
    }
}

/// Whether the product is on: one relaxed load.
#[inline]
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// What the product works with; nothing before `init()`.
pub(crate) fn running() -> Option<Arc<Running>> {
    RUNNING.load_full()
}

/// The same without counting.
pub(crate) fn peek() -> Guard<Option<Arc<Running>>> {
    RUNNING.load()
}

/// The settings in force; nothing while the product is off.
pub fn settings() -> Option<Settings> {
    is_on()
        .then(|| Some(peek().as_ref()?.settings.clone()))
        .flatten()
}

/// Says once in the life of the program that something was asked of the product while it was off.
pub(crate) fn warn_that_it_is_off() {
    if !HAS_WARNED.swap(true, Ordering::Relaxed) {
        diagnostics::warn(format_args!(
            "LLM Observability is off: set DD_LLMOBS_ENABLED=true or call ddtrace::llmobs::enable(); spans and annotations do nothing until then"
        ));
    }
}

/// On the thread that calls `init()`: spans that begin right after it are seen.
fn start() {
    let Some(config) = current_config() else {
        return;
    };
    let began = Instant::now();
    let wanted = settings::wanted(&config) == Some(true);
    IS_CONFIGURED.store(wanted, Ordering::Relaxed);
    let running = Running::new(Settings::read(&config, &Options::default()));
    let mode = running.mode();
    crate::queue::of_this_process();
    RUNNING.store(Some(Arc::new(running)));
    on_injection(propagation::contribute);
    crate::providers::listen();
    crate::bridged::listen();
    task::add(writer::TASK);
    remote_config::on_switch("llmobs.enabled", Capabilities::of(&[48]), |value| {
        heard(value);
    });
    if wanted {
        telemetry::enabled(true, mode, None);
        telemetry::started_in(began.elapsed().as_secs_f64());
    }
    set_on(wanted);
}

/// Remote configuration says whether the product is on, and what the application is called.
fn heard(value: Option<bool>) {
    let on = value.unwrap_or_else(|| IS_CONFIGURED.load(Ordering::Relaxed));
    if on && !is_on() {
        if let (Some(name), Some(config)) =
            (remote_config::text("llmobs.ml_app_name"), current_config())
        {
            let options = Options::default().ml_app(name);
            go_on_with(Running::new(Settings::read(&config, &options)));
        }
    }
    set_on(on);
}

/// Goes on with other settings, and with what was found out and registered before.
fn go_on_with(running: Running) {
    if let Some(before) = peek().as_ref() {
        running.processor.store(before.processor.load_full());
        running
            .agent
            .store(before.agent.load(Ordering::Relaxed), Ordering::Relaxed);
    }
    RUNNING.store(Some(Arc::new(running)));
}

/// Switches it on or off.
pub(crate) fn set_on(on: bool) {
    if IS_ON.swap(on, Ordering::Relaxed) != on {
        ddtrace_core::telemetry::product_changed("mlobs", on);
    }
}

/// Why the product could not be switched on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnableError {
    /// `ddtrace::init()` comes first.
    #[error("expected ddtrace::init() to have been called")]
    NotInitialised,
    /// The user has said no.
    #[error("DD_LLMOBS_ENABLED is false")]
    Refused,
    /// Sending without an agent needs a key.
    #[error("expected DD_API_KEY to be set, for sending without an agent")]
    NoApiKey,
    /// Sending without an agent needs a feature.
    #[error("expected the feature `agentless`, for sending without an agent")]
    NoTls,
}

/// Switches the product on, whatever is not set in code being as the environment says. After `ddtrace::init()`.
///
/// ```no_run
/// # fn main() -> Result<(), ddtrace_llmobs::EnableError> {
/// use ddtrace_llmobs::Options;
///
/// ddtrace_llmobs::enable(Options::default().ml_app("shop-assistant"))?;
/// # Ok(())
/// # }
/// ```
pub fn enable(options: Options) -> Result<(), EnableError> {
    let config = current_config().ok_or(EnableError::NotInitialised)?;
    if settings::wanted(&config) == Some(false) {
        return Err(EnableError::Refused);
    }
    let settings = Settings::read(&config, &options);
    if settings.agentless == Some(true) && settings.override_origin.is_none() {
        if settings.api_key.is_none() {
            return Err(EnableError::NoApiKey);
        }
        if cfg!(not(feature = "agentless")) {
            return Err(EnableError::NoTls);
        }
    }
    let running = Running::new(settings);
    telemetry::enabled(false, running.mode(), None);
    go_on_with(running);
    on_injection(propagation::contribute);
    crate::providers::listen();
    crate::bridged::listen();
    set_on(true);
    Ok(())
}

/// Switches the product off. What was recorded is still sent.
pub fn disable() {
    set_on(false);
}

/// Sends what there is, traces included, and waits for that. False if it took longer than five seconds.
pub fn flush() -> bool {
    telemetry::flushed();
    ddtrace_core::worker::flush()
}

/// Shows every span to a function before it is sent, on the tracer's own thread: it gives the span back as it is to be sent, or nothing to
/// leave it out. It must not block. Nothing is shown before `init()`.
///
/// ```
/// use ddtrace_llmobs::register_processor;
///
/// register_processor(|mut span| {
///     if span.tag("internal") == Some("true") {
///         return None;
///     }
///     for message in &mut span.input {
///         message.content = message.content.replace("secret", "***");
///     }
///     Some(span)
/// });
/// ```
pub fn register_processor(
    processor: impl Fn(ProcessedSpan) -> Option<ProcessedSpan> + Send + Sync + 'static,
) {
    if let Some(running) = peek().as_ref() {
        running
            .processor
            .store(Some(Arc::new(Boxed(Box::new(processor)))));
    }
}

/// Puts another product in the place of this one, or none; for tests.
pub(crate) fn replace(running: Option<Running>) {
    IS_ON.store(running.is_some(), Ordering::Relaxed);
    RUNNING.store(running.map(Arc::new));
    on_injection(propagation::contribute);
    crate::bridged::listen();
}

/// Switches it on or off and tells nobody; for tests.
pub(crate) fn pretend(on: bool) {
    IS_ON.store(on, Ordering::Relaxed);
}
