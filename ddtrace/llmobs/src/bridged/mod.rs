//! Spans of libraries that describe their calls of models themselves.
//!
//! Libraries for language models write attributes on spans of `tracing` or OpenTelemetry: OpenTelemetry's conventions for generative AI
//! (`gen_ai.*`), or the kinds of OpenInference and Traceloop. Bridges make spans of ours of these and tell of them
//! ([`BridgedSpan`]); this module makes them spans of the product, under ours and over ours as they come:
//!
//! 1. A span that has one of the [keys](attributes) is followed, which most are not.
//! 2. The first attribute that says what the span does makes it one of the product. Usually it is there when the span begins;
//!    if it comes later, what began below the span before it is not below it in the product.
//! 3. What children have to know (model, session, name) is said at once. The rest is kept as it is and [read](reading) on the worker
//!    once the span has ended; what the program has said by itself about input and output stands.
//!
//! # One call, one span
//!
//! Such a library sends requests in the end, and the client's integration knows these as well ([`providers`](crate::providers)). Where a request asks for the
//! model that the span above it is about, it is the same call, and the request stays a plain span of tracing. Many libraries write down what was said
//! only if asked to; so what request and response say of the call goes to the span above, and attributes go before it.
//!
//! # Bounds
//!
//! Of known keys one value each is kept: at most [`MAX_TEXT`] bytes or [`MAX_ITEMS`] texts of [`MAX_ITEM`] bytes, and [`MAX_ALL`] bytes over all spans
//! that are open or wait for the worker. What does not fit is left out.

pub(crate) mod attributes;
mod messages;
pub(crate) mod reading;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ddtrace_core::events::{self, Attribute, BridgedSpan, Follower, Phase};
use ddtrace_core::trace::AnySpan;

use crate::annotation::Annotation;
use crate::current;
use crate::kind::Kind;
use crate::record::Record;
use crate::span::mark_bridged;
use crate::switch;
use attributes::Key;

/// What is kept of one text.
const MAX_TEXT: usize = 4 << 20;
/// How many texts of a list are kept.
const MAX_ITEMS: usize = 128;
/// What is kept of each of them.
const MAX_ITEM: usize = 1024;
/// What is kept in all.
const MAX_ALL: usize = 64 << 20;

/// What is kept at this moment.
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// Follows bridged spans from here on.
pub(crate) fn listen() {
    events::on::<BridgedSpan<'_>>(Phase::Product, "llm observability", |event| {
        if switch::is_on() && event.has_key(|key| Key::parse(key).is_some()) {
            let followed = Followed {
                bridge: event.bridge,
                state: Mutex::new(State {
                    name: event.name.to_owned(),
                    ..State::default()
                }),
            };
            event.follow(Box::new(followed));
        }
    });
}

/// The bridged span above that is about the same call of a model as one that begins here.
pub(crate) fn tells_of(kind: Kind, is_model: impl FnOnce(&str) -> bool) -> Option<Arc<Record>> {
    if !switch::is_on() {
        return None;
    }
    let above = current::get().filter(|node| node.kind == kind && kind.has_model());
    let record = above?.record().filter(|record| record.is_bridged)?;
    let model = record.said().model_name.clone();
    let model = model.filter(|model| !model.is_empty());
    model
        .is_some_and(|model| is_model(&model))
        .then_some(record)
}

/// Has said of a bridged span what its request and the response say, as far as nobody else says it. Whether the call failed in the end is
/// known to the library alone: it may try again.
pub(crate) fn add_exchange(record: &Record, read: impl FnOnce() -> Annotation + Send + 'static) {
    if record.node.has_ended() {
        return;
    }
    let mut said = record.said();
    let (has_input, has_output) = (!said.input.is_nothing(), !said.output.is_nothing());
    said.deferred.push(Box::new(move || {
        let mut annotation = read();
        annotation.error = None;
        annotation.input = annotation.input.filter(|_| !has_input);
        annotation.output = annotation.output.filter(|_| !has_output);
        annotation
    }));
}

/// A span that has one of our keys.
struct Followed {
    bridge: &'static str,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    name: String,
    kept: Kept,
    /// Since it is known what the span does.
    record: Option<Arc<Record>>,
}

impl Followed {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follower for Followed {
    fn renamed(&self, name: &str) {
        let mut state = self.state();
        state.name = name.to_owned();
        // The name of a tool says more than that of its span.
        if state.kept.text(Key::ToolName).is_none() {
            state.say(Annotation::new().name(name));
        }
    }

    fn written(&self, mut span: AnySpan<'_>, key: &str, value: Attribute<'_>) {
        let Some(key) = Key::parse(key) else {
            return;
        };
        let mut state = self.state();
        state.kept.keep(key, value);
        if state.record.is_some() {
            if key.is_for_children() {
                let early = state.kept.for_children();
                state.say(early);
            }
            return;
        }
        let Some(kind) = key.kind(value) else {
            return;
        };
        state.record = mark_bridged(&mut span, kind, state.name.clone(), self.bridge);
        if state.record.is_some() {
            span.set_type("llm");
            let early = state.kept.for_children();
            state.say(early);
        }
    }
}

impl State {
    fn say(&self, annotation: Annotation) {
        if let Some(record) = &self.record {
            // What is wrong in an annotation is left out of it, and nobody is there to be told.
            let _ = record.annotate_quietly(annotation);
        }
    }
}

/// The span is about to end.
impl Drop for Followed {
    fn drop(&mut self) {
        let mut state = self.state();
        let Some(record) = state.record.take() else {
            return;
        };
        let kept = std::mem::take(&mut state.kept);
        let kind = record.node.kind;
        let mut said = record.said();
        let (has_input, has_output) = (!said.input.is_nothing(), !said.output.is_nothing());
        said.deferred.push(Box::new(move || {
            let mut annotation = kept.read(kind);
            annotation.input = annotation.input.filter(|_| !has_input);
            annotation.output = annotation.output.filter(|_| !has_output);
            annotation
        }));
        drop(said);
        record.node.end();
    }
}

/// What was written under our keys.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    values: BTreeMap<Key, Value>,
    /// What it counts for in [`KEPT`].
    counted: usize,
}

/// What was written under a key.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Number(f64),
    List(Vec<String>),
}

impl Kept {
    fn keep(&mut self, key: Key, value: Attribute<'_>) {
        let value = match value {
            Attribute::Text(text) if text.len() <= MAX_TEXT => Value::Text(text.to_owned()),
            Attribute::Number(number) => Value::Number(number),
            Attribute::Bool(value) => Value::Text(value.to_string()),
            Attribute::List(items) => {
                let items = items.iter().filter(|item| item.len() <= MAX_ITEM);
                let items = items.take(MAX_ITEMS).map(|item| item.clone().into_owned());
                Value::List(items.collect())
            }
            _ => return,
        };
        let size = value.size();
        if KEPT.fetch_add(size, Ordering::Relaxed) + size > MAX_ALL {
            KEPT.fetch_sub(size, Ordering::Relaxed);
            return;
        }
        self.counted += size;
        if let Some(before) = self.values.insert(key, value) {
            self.counted -= before.size();
            KEPT.fetch_sub(before.size(), Ordering::Relaxed);
        }
    }
}

impl Value {
    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Number(_) => 0,
            Self::List(items) => items.iter().map(String::len).sum(),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        KEPT.fetch_sub(self.counted, Ordering::Relaxed);
    }
}
