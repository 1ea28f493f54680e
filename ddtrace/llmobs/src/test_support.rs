//! The product in a test: on, with a tracer that keeps its spans in memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::current_config;

use crate::queue;
use crate::settings::{Options, Settings};
use crate::switch::{self, Running};

/// The product is one for the whole process, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Switches the product on while it lives, calls of models by clients of HTTP included, and records the spans that this thread makes. One at a time: the next one waits for this
/// one to be dropped. Not for programs that call `init()`.
///
/// ```
/// use ddtrace_llmobs::test_support::LlmRecorder;
/// use ddtrace_llmobs::{self as llmobs, Kind};
///
/// let recorder = LlmRecorder::new();
/// llmobs::span(Kind::Task).name("tidy").start().finish();
/// let spans = recorder.take();
/// assert_eq!(spans[0].name, "tidy");
/// // What the product says of it, as MessagePack.
/// assert!(spans[0].meta_struct.iter().any(|(key, _)| key == "_llmobs"));
/// ```
#[derive(Debug)]
pub struct LlmRecorder {
    recorder: Recorder,
    _turn: MutexGuard<'static, ()>,
}

impl Default for LlmRecorder {
    fn default() -> Self {
        Self::new()
    }
}

impl LlmRecorder {
    /// Begins, with default settings and the service `test`.
    pub fn new() -> Self {
        // A test that failed has left nothing that the next one would mind.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let recorder = Recorder::new();
        if let Some(config) = current_config() {
            let settings = Settings::read(&config, &Options::default());
            queue::make_ready();
            crate::providers::listen();
            switch::replace(Some(Running::new(settings)));
        }
        Self {
            recorder,
            _turn: turn,
        }
    }

    /// Switches the product on or off, as remote configuration may.
    pub fn switch(&self, on: bool) {
        switch::pretend(on);
    }

    /// The spans that are complete, and were not taken yet.
    pub fn take(&self) -> Vec<SpanData> {
        self.recorder.take()
    }
}

impl Drop for LlmRecorder {
    fn drop(&mut self) {
        switch::replace(None);
    }
}
