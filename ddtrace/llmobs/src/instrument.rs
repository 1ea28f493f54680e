//! What `#[llm]` and its kin expand to calls.
//!
//! The attribute makes the span of tracing. [`begin`] makes it one of this product, too, once it is active, and gives an
//! [`Open`] that ends with it. Until then what the options ask for is written on a [`Recording`]:
//!
//! * a function that returns when it is done holds the `Open` on its stack;
//! * around the body of an `async fn` there is [`within`], which begins with the first poll; the body reaches what was begun by
//!   [`active`];
//! * what a function returns to work later is wrapped in [`future`], [`stream`] or [`iter`].
//!
//! With the product off there is one relaxed load, [`is_on`], and everything on a recording is one test.

use std::cell::RefCell;
use std::ops::Deref;
use std::time::Instant;

use ddtrace_core::diagnostics;
use ddtrace_core::trace::{Failure, Site, active_at, current_span};
use serde_json::Value;

use crate::annotation::Annotation;
pub use crate::capture::*;
pub use crate::kind::Kind;
use crate::model::{Content, Prompt};
use crate::span::{Handle, Start, mark_active};
pub use crate::within::{Items, Within, WithinIter, WithinStream, future, iter, stream, within};

/// A function with an attribute: what it is, and what it is called.
#[derive(Debug)]
pub struct Call {
    kind: Kind,
    name: &'static str,
}

impl Call {
    /// A function of a kind.
    pub const fn new(kind: Kind, name: &'static str) -> Self {
        Self { kind, name }
    }
}

/// Whether the product is on: one relaxed load.
#[inline]
pub fn is_on() -> bool {
    crate::switch::is_on()
}

/// Makes the active span, if it is one of this site, a span of the product. `on` says whether the product was found on.
#[inline]
pub fn begin(on: bool, call: &'static Call, site: &'static Site) -> Open {
    if on { begin_on(call, site) } else { Open::OFF }
}

#[inline(never)]
fn begin_on(call: &'static Call, site: &'static Site) -> Open {
    let span = active_at(site);
    if !span.is_recording() {
        return Open::OFF;
    }
    let Some(handle) = mark_active(&Start::new(call.kind, call.name)) else {
        return Open::OFF;
    };
    // With an attribute of tracing on the same function the site says what that one says.
    if site.span_type().is_none() {
        span.set_type("llm");
    }
    if site.resource().is_none() {
        span.set_resource(call.kind.as_str());
    }
    Open {
        recording: Recording(Some(handle)),
        begun: Some(Instant::now()),
        panicking: std::thread::panicking(),
    }
}

thread_local! {
    /// What a future has begun at its first poll, for the body that begins right after.
    static BEGUN: RefCell<Option<(&'static Call, Recording)>> = const { RefCell::new(None) };
}

/// Puts aside what was begun, for [`active`]; gives what was there.
pub(crate) fn put_aside(
    begun: Option<(&'static Call, Recording)>,
) -> Option<(&'static Call, Recording)> {
    let replaced = BEGUN.try_with(|slot| {
        slot.try_borrow_mut()
            .ok()
            .map(|mut slot| std::mem::replace(&mut *slot, begun))
    });
    replaced.ok().flatten().flatten()
}

/// What was begun for this call right before; what does nothing if that was nothing.
pub fn active(call: &'static Call) -> Recording {
    match put_aside(None) {
        Some((begun, recording)) if std::ptr::eq(begun, call) => recording,
        _ => Recording(None),
    }
}

/// A span of the product that is open. It ends when this is dropped, within the span of tracing.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub struct Open {
    recording: Recording,
    begun: Option<Instant>,
    /// Whether the thread was unwinding already when it began: then it is a destructor's.
    panicking: bool,
}

impl Open {
    pub(crate) const OFF: Self = Self {
        recording: Recording(None),
        begun: None,
        panicking: false,
    };

    /// Seconds since it began.
    pub(crate) fn seconds(&self) -> Option<f64> {
        self.begun.map(|begun| begun.elapsed().as_secs_f64())
    }

    /// Notes a panic, if one is unwinding through here.
    pub(crate) fn note_panic(&self) {
        if self.recording.is_recording() && std::thread::panicking() && !self.panicking {
            self.recording
                .say(Annotation::new().error("panic", "panicked", ""));
        }
    }
}

impl Deref for Open {
    type Target = Recording;

    #[inline]
    fn deref(&self) -> &Recording {
        &self.recording
    }
}

impl Drop for Open {
    #[inline]
    fn drop(&mut self) {
        if self.recording.0.is_some() {
            self.note_panic();
            if let Some(handle) = &self.recording.0 {
                handle.end();
            }
        }
    }
}

/// What an input or output is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Captured without being asked for: what the kind makes of it, unless the program has said it already.
    Auto,
    /// Given by an option: what the kind makes of it.
    Given,
    /// Messages.
    Messages,
    /// Documents.
    Documents,
}

impl Form {
    fn content(self, value: Captured) -> Option<Content> {
        Some(match (self, value) {
            (_, Captured::Nothing) | (Self::Auto, Captured::Json(Value::Null)) => return None,
            (Self::Messages, value) => Content::messages(value.into()),
            (Self::Documents, value) => Content::documents(value.into()),
            (_, Captured::Text(text)) => Content::Text(text),
            (_, Captured::Json(value)) => Content::Captured(value),
        })
    }
}

/// Where the options of an attribute are written. Does nothing if the product is off.
#[derive(Clone, Debug, Default)]
pub struct Recording(Option<Handle>);

impl Recording {
    /// Whether what is written here is kept.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.0.is_some()
    }

    fn say(&self, annotation: Annotation) {
        if let Some(handle) = &self.0 {
            if let Err(error) = handle.annotate(annotation) {
                diagnostics::debug(format_args!("attribute of llm observability: {error}"));
            }
        }
    }

    /// Names it, and the span of tracing, which is active.
    pub fn set_name(&self, name: &str) {
        self.say(Annotation::new().name(name));
        current_span().set_name(name);
    }

    /// Sets the session.
    pub fn set_session_id(&self, id: &str) {
        self.say(Annotation::new().session_id(id));
    }

    /// Sets the application.
    pub fn set_ml_app(&self, app: &str) {
        self.say(Annotation::new().ml_app(app));
    }

    /// Sets the model.
    pub fn set_model_name(&self, name: &str) {
        self.say(Annotation::new().model_name(name));
    }

    /// Sets who runs the model.
    pub fn set_model_provider(&self, provider: &str) {
        self.say(Annotation::new().model_provider(provider));
    }

    /// Sets the version of an agent or a tool.
    pub fn set_version(&self, version: &str) {
        self.say(Annotation::new().version(version));
    }

    /// Sets what went in.
    pub fn set_input(&self, form: Form, value: Captured) {
        if let Some(content) = form.content(value) {
            self.say(Annotation::new().input(content));
        }
    }

    /// Sets what came out.
    pub fn set_output(&self, form: Form, value: Captured) {
        let is_said = |handle: &Handle| form == Form::Auto && handle.has_output();
        if self.0.as_ref().is_some_and(is_said) {
            return;
        }
        if let Some(content) = form.content(value) {
            self.say(Annotation::new().output(content));
        }
    }

    /// Sets the prompt that went in.
    pub fn set_prompt(&self, prompt: Captured) {
        match Prompt::try_from(Value::from(prompt)) {
            Ok(prompt) => self.say(Annotation::new().prompt(prompt)),
            Err(error) => {
                diagnostics::debug(format_args!(
                    "attribute of llm observability: prompt: {error:?}"
                ));
            }
        }
    }

    /// Sets a tag.
    pub fn set_tag(&self, key: &str, value: &str) {
        self.say(Annotation::new().tag(key, value));
    }

    /// Sets an entry of the metadata.
    pub fn set_metadata(&self, key: &str, value: Captured) {
        self.say(Annotation::new().metadata(key, Value::from(value)));
    }

    /// Sets numbers.
    pub fn set_metrics<K: AsRef<str>, N: Number>(&self, metrics: impl IntoIterator<Item = (K, N)>) {
        let mut annotation = Annotation::new();
        for (key, number) in metrics {
            if let Some(number) = number.number() {
                annotation = annotation.metric(key.as_ref(), number);
            }
        }
        self.say(annotation);
    }

    /// Marks it as failed.
    #[cold]
    pub fn fail(&self, failure: Failure<'_>) {
        if self.is_recording() {
            let (kind, message, stack) = failure.describe();
            self.say(Annotation::new().error(kind, message, stack.unwrap_or_default()));
        }
    }

    /// Sets how long it took until the first item of a stream was there.
    pub(crate) fn set_time_to_first_token(&self, seconds: f64) {
        const KEY: &str = "time_to_first_token";
        if let Some(handle) = &self.0 {
            if !handle.has_metric(KEY) {
                self.say(Annotation::new().metric(KEY, seconds));
            }
        }
    }
}
