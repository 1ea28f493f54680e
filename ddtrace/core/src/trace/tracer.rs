//! A tracer: configuration, sampler, propagation, and the threads that hand chunks to it.
//!
//! A [`TracerCore`] is a value. The global one, made by `init()`, is what threads use unless a test has activated one of
//! its own on them. A segment holds the tracer it was begun with, so a trace that wanders over threads stays with it.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};

use super::id::TraceId;
use super::outbox::Outbox;
use super::segment::{Buffer, Segment};
use crate::config::Config;
use crate::export::TraceFilter;
use crate::export::stats::Stats;
use crate::propagation::{Propagator, Style, StyleName};
use crate::sampling::{RuleSet, Sampler, SpanRules};

/// Rises whenever threads must look again at which tracer they work for: a tracer was installed, removed, or the process
/// was forked. 0 is never current, so that a thread which never looked does.
static GENERATION: AtomicU32 = AtomicU32::new(1);

/// How often this process is a fork of a fork.
static FORKS: AtomicU32 = AtomicU32::new(0);

/// How many configurations have been in force in this process.
static CONFIGURATIONS: AtomicU64 = AtomicU64::new(0);

/// The upper half of new trace ids: seconds since the epoch, shifted. Written by workers.
static SECONDS: AtomicU64 = AtomicU64::new(0);

static GLOBAL: ArcSwapOption<TracerCore> = ArcSwapOption::const_empty();

#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// What the child of a fork does at once. Only atomics: anything else may be locked by a thread that the child lacks.
pub(crate) fn after_fork() {
    FORKS.fetch_add(1, Ordering::Relaxed);
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// Keeps the seconds in new trace ids current.
pub(crate) fn set_seconds(wall: i64) {
    let seconds = u64::try_from(wall / 1_000_000_000).unwrap_or(0);
    SECONDS.store(seconds << 32, Ordering::Relaxed);
}

/// The tracer that `init()` installed.
pub(crate) fn global() -> Option<Arc<TracerCore>> {
    GLOBAL.load_full()
}

/// Whether threads use this tracer unless they are told otherwise.
pub(crate) fn is_global(tracer: &Arc<TracerCore>) -> bool {
    GLOBAL
        .load()
        .as_ref()
        .is_some_and(|global| Arc::ptr_eq(global, tracer))
}

/// Makes a tracer the one that threads use, or none.
pub(crate) fn install(tracer: Option<Arc<TracerCore>>) {
    GLOBAL.store(tracer);
    GENERATION.fetch_add(1, Ordering::SeqCst);
}

/// Makes a tracer the global one while a thread of a forked child looks for it: without another round of looking.
pub(crate) fn install_revived(tracer: Arc<TracerCore>) {
    // The parent's tracer is left alone, locks and all.
    std::mem::forget(GLOBAL.swap(Some(tracer)));
}

/// Everything that is shared by the threads and the worker of one tracer.
pub(crate) struct TracerCore {
    /// In force at the moment; remote configuration replaces it as a whole.
    config: ArcSwap<Config>,
    /// Which one that is, by a number that no other of the process has: for those who keep what they made of it.
    config_number: AtomicU64,
    pub(crate) sampler: Sampler,
    /// What is kept of traces that are dropped.
    pub(crate) span_rules: SpanRules,
    pub(crate) propagator: Propagator,
    /// Finished spans of a visit at which they are handed over although others are open.
    pub(crate) partial_flush_limit: usize,
    /// False: no spans are made, contexts pass through.
    enabled: AtomicBool,
    trace_id_128_bit: bool,
    /// Which fork of the process it belongs to.
    pub(crate) forks: u32,
    outboxes: Mutex<Vec<Arc<Outbox>>>,
    /// For threads that work for another tracer, or have no buffers any more.
    shared: Outbox,
    wake: WakeUp,
    pub(crate) filters: Vec<Arc<dyn TraceFilter>>,
    /// `runtime-id`: this process, newly made after a fork.
    pub(crate) runtime_id: String,
    pub(crate) counters: Counters,
    /// Only the worker looks at it.
    pub(crate) stats: Stats,
}

/// How a thread tells the worker that there is much to do.
pub(crate) type WakeUp = Box<dyn Fn() + Send + Sync>;

/// What happened to spans, for health metrics and the summary at shutdown.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Spans whose guard was forgotten.
    pub(crate) leaked: AtomicU64,
}

impl TracerCore {
    /// Puts a tracer together; nothing is running yet.
    pub(crate) fn new(
        config: Arc<Config>,
        filters: Vec<Arc<dyn TraceFilter>>,
        wake: WakeUp,
    ) -> Self {
        super::clock::choose_source();
        set_seconds(super::clock::wall());
        let limit = if config.partial_flush {
            config.partial_flush_min_spans
        } else {
            usize::MAX
        };
        let sampler = if config.apm_tracing_enabled {
            Sampler::new(rules(&config), config.rate_limit)
        } else {
            Sampler::standalone(rules(&config))
        };
        Self {
            sampler,
            span_rules: span_rules(&config),
            propagator: propagator(&config),
            partial_flush_limit: limit.max(1),
            enabled: AtomicBool::new(config.trace_enabled),
            forks: forks(),
            outboxes: Mutex::default(),
            shared: Outbox::new(),
            wake,
            filters,
            runtime_id: random_uuid(),
            counters: Counters::default(),
            stats: Stats::default(),
            trace_id_128_bit: config.trace_id_128_bit,
            config: ArcSwap::new(config),
            config_number: AtomicU64::new(next_config_number()),
        }
    }

    /// The configuration that is in force.
    pub(crate) fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The number of that configuration, or of the one before while it is being replaced. Never 0.
    #[inline]
    pub(crate) fn config_number(&self) -> u64 {
        self.config_number.load(Ordering::Acquire)
    }

    /// Puts another configuration in force, and with it the sampling rules. Tracing that it switches off stays off; what
    /// else the tracer derived from the first configuration stays.
    pub(crate) fn set_config(&self, config: Arc<Config>) {
        if config.sampling_rules != self.config.load().sampling_rules {
            self.sampler.set_rules(rules(&config));
        }
        if !config.trace_enabled {
            self.enabled.store(false, Ordering::Relaxed);
        }
        self.config.store(config);
        // After the configuration: who sees the number finds what it belongs to.
        self.config_number
            .store(next_config_number(), Ordering::Release);
    }

    /// Whether spans are made.
    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// A queue for a thread that begins to work for this tracer.
    pub(crate) fn register(&self) -> Arc<Outbox> {
        let outbox = Arc::new(Outbox::new());
        self.outboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Arc::clone(&outbox));
        outbox
    }

    /// Collects from every thread's queue with `visit`, and forgets those whose thread has ended.
    pub(crate) fn for_each_outbox(&self, mut visit: impl FnMut(&Outbox)) {
        let all: Vec<_> = {
            let mut outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
            let all = outboxes.clone();
            // What a closed one still holds is collected below; nothing is added to it after it was closed.
            outboxes.retain(|outbox| !outbox.is_closed());
            all
        };
        for outbox in &all {
            visit(outbox);
        }
        visit(&self.shared);
    }

    /// Shares the budget of waiting bytes out. Forgets no queue: what an ended thread left is still to be collected.
    pub(crate) fn limit_outboxes(&self, bytes: usize) {
        let outboxes = self.outboxes.lock().unwrap_or_else(PoisonError::into_inner);
        outboxes.iter().for_each(|outbox| outbox.set_limit(bytes));
        self.shared.set_limit(bytes);
    }

    /// Hands a chunk over from a thread without a queue of its own.
    pub(crate) fn hand_over(&self, buffer: Box<Buffer>) {
        if self.forks == forks() {
            self.shared.put_shared(buffer);
        } else {
            // In a forked child the lock may never open again.
            std::mem::forget(buffer);
        }
    }

    pub(crate) fn wake_worker(&self) {
        (self.wake)();
    }

    /// The id of a trace that begins here.
    pub(crate) fn new_trace_id(&self, random: u64) -> TraceId {
        let high = if self.trace_id_128_bit {
            SECONDS.load(Ordering::Relaxed)
        } else {
            0
        };
        TraceId::new(high, random)
    }

    /// A head for a segment of this tracer.
    pub(crate) fn new_segment(
        self: &Arc<Self>,
        trace_id: TraceId,
        site: &'static super::site::Site,
    ) -> Arc<Segment> {
        Arc::new(Segment::new(Arc::clone(self), trace_id, self.forks, site))
    }
}

fn next_config_number() -> u64 {
    CONFIGURATIONS.fetch_add(1, Ordering::Relaxed) + 1
}

/// The sampling rules that the settings ask for.
fn rules(config: &Config) -> RuleSet {
    let (rules, errors) = RuleSet::parse(&config.sampling_rules);
    for error in errors {
        crate::diagnostics::error(format_args!("DD_TRACE_SAMPLING_RULES: {error}"));
    }
    rules
}

/// The rules for single spans that the settings ask for, with a line in the log about each that is wrong.
fn span_rules(config: &Config) -> SpanRules {
    let json = config.span_sampling_rules.as_deref().unwrap_or("[]");
    let (rules, errors) = SpanRules::parse(json);
    for error in errors {
        crate::diagnostics::error(format_args!("DD_SPAN_SAMPLING_RULES: {error}"));
    }
    rules
}

/// The propagator that the settings ask for.
fn propagator(config: &Config) -> Propagator {
    let styles = |names: &[String]| -> Vec<Style> {
        let known = names
            .iter()
            .filter_map(|name| match Style::from_name(name) {
                StyleName::Known(style) => Some(style),
                // `none` is no style, and wrong names are the configuration's problem.
                StyleName::None | StyleName::Unknown => None,
            });
        known.collect()
    };
    Propagator::new(
        &styles(&config.propagation_extract),
        &styles(&config.propagation_inject),
    )
    .with_max_tags_length(config.x_datadog_tags_max_length)
    .with_extract_first(config.propagation_extract_first)
    .with_128_bit_ids(config.trace_id_128_bit)
    .with_behavior(config.propagation_behavior)
    .with_old_baggage(config.http_baggage_enabled)
}

/// A random UUID, version 4, as text.
pub(crate) fn random_uuid() -> String {
    use std::hash::{BuildHasher, RandomState};
    let random =
        |salt: u8| RandomState::new().hash_one((salt, std::process::id(), super::clock::now()));
    let high = (random(1) & !0xf000) | 0x4000;
    let low = (random(2) & !(0b11 << 62)) | (0b10 << 62);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
#[allow(unsafe_code, reason = "a site names its link section")]
mod tests {
    use crate::config::{Config, MapEnvironment, Name};
    use crate::test_support::Recorder;
    use crate::trace::{Site, enter};

    use super::*;

    crate::site! { static WORK: Site = Site::new("work", "work", module_path!(), file!(), line!()); }

    #[test]
    fn another_configuration_is_in_force_from_the_next_chunk_on() {
        let environment = MapEnvironment::new().executable("test");
        let tracer = TracerCore::new(
            Arc::new(Config::builder().environment(&environment).build()),
            Vec::new(),
            Box::new(|| {}),
        );
        assert_eq!(tracer.config().tags, []);
        let values = [(Name::DD_TAGS, "team:a".to_owned())];
        tracer.set_config(Arc::new(tracer.config().with_remote(&values, None)));
        assert_eq!(tracer.config().tags, [("team".to_owned(), "a".to_owned())]);

        let recorder = Recorder::new();
        drop(enter(&WORK));
        recorder.change_config(&values);
        drop(enter(&WORK));
        let tags: Vec<_> = recorder
            .take()
            .iter()
            .map(|span| span.meta("team").map(str::to_owned))
            .collect();
        // Tags of the program are settled where chunks are assembled, so all that waited have them.
        assert_eq!(tags, [Some("a".to_owned()), Some("a".to_owned())]);
    }
}
