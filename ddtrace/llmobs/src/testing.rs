//! What the tests of this crate stand on: the product is global, so they take turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ddtrace_core::config::ConfigBuilder;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::current_config;
use serde_json::Value;

use crate::queue::{self, Queue};
use crate::settings::{Options, Settings};
use crate::switch::{self, Running};

static TURN: Mutex<()> = Mutex::new(());

pub(crate) fn lock() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The product, on, with a tracer that keeps its spans.
pub(crate) struct Fixture {
    pub(crate) recorder: Recorder,
    pub(crate) queue: Arc<Queue>,
    _turn: MutexGuard<'static, ()>,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|config| config)
    }

    pub(crate) fn with(configure: impl FnOnce(ConfigBuilder<'_>) -> ConfigBuilder<'_>) -> Self {
        let turn = lock();
        let recorder = Recorder::with(configure);
        let config = current_config().expect("a tracer");
        let settings = Settings::read(&config, &Options::default());
        let queue = queue::make_ready();
        switch::replace(Some(Running::new(settings)));
        Self {
            recorder,
            queue,
            _turn: turn,
        }
    }

    /// Spans of tracing that are complete.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.recorder.take()
    }

    /// What rides on these spans.
    pub(crate) fn structs(&self) -> Vec<Value> {
        let spans = self.spans();
        spans.iter().filter_map(struct_of).collect()
    }

    /// Events that go by themselves.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.spans();
        let taken = self.queue.take();
        let events = taken.waiting.spans.iter();
        events
            .map(|bytes| serde_json::from_slice(bytes).expect("JSON"))
            .collect()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        switch::replace(None);
    }
}

/// What rides on a span.
pub(crate) fn struct_of(span: &SpanData) -> Option<Value> {
    let (_, bytes) = span.meta_struct.iter().find(|(key, _)| key == "_llmobs")?;
    Some(rmp_serde::from_slice(bytes).expect("msgpack"))
}
