//! Writing on an open span: one implementation behind every handle.
//!
//! A [`SpanGuard`](super::SpanGuard), a [`Span`](super::Span), a [`CurrentSpan`](super::CurrentSpan) and a
//! [`SpanRef`](super::SpanRef) reach a span in different ways and then all do the same. [`Pen`] is that same;
//! [`writing_methods!`] gives each handle the public methods.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use super::attachment::Attachment;
use super::open::{Open, flags};
use super::segment::{Buffer, Segment};
use super::service::ServiceId;
use super::tags::{SpanEvent, SpanLink, Tag, TagValue, Tags, Value};
use crate::sampling::{SamplingMechanism, SamplingPriority, TraceSource};

/// A span at hand for writing.
pub(crate) struct Pen<'a> {
    pub(crate) open: &'a mut Open,
    pub(crate) segment: &'a Arc<Segment>,
    /// Emptied tags to use.
    pub(crate) spare: Option<&'a mut Vec<Box<Tags>>>,
}

impl<'a> Pen<'a> {
    /// A span on this thread's stack, with the buffer in hand.
    #[inline]
    pub(crate) fn with_buffer(open: &'a mut Open, buffer: &'a mut Buffer) -> Self {
        Self {
            open,
            segment: &buffer.segment,
            spare: Some(&mut buffer.spare_tags),
        }
    }

    #[inline]
    fn tags(&mut self) -> &mut Tags {
        if self.open.tags.is_none() {
            self.open.tags = Some(self.emptied_tags());
        }
        self.open.tags.get_or_insert_default()
    }

    /// Those of the span's own visits, or of the visit or root that the thread has in hand.
    fn emptied_tags(&mut self) -> Box<Tags> {
        let own = self.spare.as_mut().and_then(|spare| spare.pop());
        own.or_else(super::local::take_emptied_tags)
            .unwrap_or_default()
    }

    /// Several tags with static keys. Keys with a meaning are settled by the worker.
    #[inline]
    pub(crate) fn set_tags(&mut self, tags: &[Tag<'_>]) {
        self.tags().extend(tags);
        if self.open.flags & flags::ROOT != 0 {
            self.publish_if_sampled_by_tags();
        }
    }

    #[allow(clippy::ptr_arg, reason = "a borrowed key is static and is not copied")]
    pub(crate) fn set_tag(&mut self, key: &Cow<'static, str>, value: Value<'_>) {
        // Most keys have no meaning, and most of these tell by their first letter.
        if !matches!(key.as_bytes().first(), Some(b'm' | b's' | b'r' | b'o')) {
            return self.set_plain_tag(key, value);
        }
        match (&**key, value) {
            ("manual.keep", value) if is_true(value) => {
                self.keep_by_hand(SamplingPriority::USER_KEEP)
            }
            ("manual.drop", value) if is_true(value) => {
                self.keep_by_hand(SamplingPriority::USER_REJECT)
            }
            ("manual.keep" | "manual.drop", _) => {}
            ("service.name", Value::Static(text) | Value::Text(text)) => self.set_service(text),
            ("resource.name", Value::Static(text) | Value::Text(text)) => self.set_resource(text),
            ("operation.name", Value::Static(text) | Value::Text(text)) => self.set_name(text),
            ("span.type", Value::Static(text) | Value::Text(text)) => self.set_type(text),
            _ => self.set_plain_tag(key, value),
        }
    }

    #[allow(clippy::ptr_arg, reason = "a borrowed key is static and is not copied")]
    fn set_plain_tag(&mut self, key: &Cow<'static, str>, value: Value<'_>) {
        self.tags().set(key, value);
        if self.open.flags & flags::ROOT != 0 {
            self.publish_if_sampled_by_tags();
        }
    }

    pub(crate) fn remove_tag(&mut self, key: &str) {
        if let Some(tags) = &mut self.open.tags {
            tags.remove(key);
        }
    }

    pub(crate) fn set_name(&mut self, name: &str) {
        self.tags().rare().name = Some(name.into());
        if self.segment.tracer.sampler.has_rules() {
            self.publish_root();
        }
    }

    pub(crate) fn set_resource(&mut self, resource: &str) {
        self.set_resource_joined(&[resource]);
    }

    pub(crate) fn set_resource_joined(&mut self, parts: &[&str]) {
        self.tags().set_resource(parts);
        self.publish_if_sampled_by_tags();
    }

    /// A tag that has no meaning but itself, whose text is in parts.
    pub(crate) fn set_joined(&mut self, key: &'static str, parts: &[&str]) {
        self.tags().set_joined(key, parts);
        if self.open.flags & flags::ROOT != 0 {
            self.publish_if_sampled_by_tags();
        }
    }

    pub(crate) fn set_type(&mut self, span_type: &str) {
        self.tags().rare().span_type = Some(span_type.into());
    }

    /// Children that start from here on inherit it.
    pub(crate) fn set_service(&mut self, name: &str) {
        if !name.is_empty() {
            self.set_service_by_id(name, ServiceId::of(name));
        }
    }

    /// The same by the number of the name.
    pub(crate) fn set_service_by_id(&mut self, name: &str, id: ServiceId) {
        self.open.service = id.0;
        if id == ServiceId::OVERFLOW {
            self.tags().rare().service = Some(name.into());
        } else if let Some(rare) = self.open.tags.as_mut().and_then(|tags| tags.rare.as_mut()) {
            rare.service = None;
        }
        self.publish_root();
    }

    pub(crate) fn set_error_flag(&mut self, error: bool) {
        if error {
            self.open.flags |= flags::ERROR;
        } else {
            self.open.flags &= !flags::ERROR;
        }
    }

    pub(crate) fn set_error_text(&mut self, error_type: &str, message: &str, stack: Option<&str>) {
        self.open.flags |= flags::ERROR;
        let stack = stack.map_or(Value::Absent, Value::Text);
        self.tags().extend(&[
            Tag {
                key: "error.type",
                value: Value::Text(error_type),
            },
            Tag {
                key: "error.message",
                value: Value::Text(message),
            },
            Tag {
                key: "error.stack",
                value: stack,
            },
        ]);
    }

    pub(crate) fn add_link(&mut self, link: SpanLink) {
        self.tags().add_link(link);
    }

    pub(crate) fn add_event(&mut self, event: SpanEvent) {
        self.tags().add_event(event);
    }

    pub(crate) fn attach(&mut self, attachment: Arc<dyn Attachment>) {
        self.tags().rare().attachments.push(attachment);
    }

    pub(crate) fn set_meta_struct(&mut self, key: Cow<'static, str>, value: Vec<u8>) {
        let structs = &mut self.tags().rare().meta_struct;
        structs.retain(|(name, _)| *name != key);
        structs.push((key, value));
    }

    pub(crate) fn keep_by_hand(&mut self, priority: SamplingPriority) {
        self.segment
            .decide_by_hand(priority, SamplingMechanism::Manual);
    }

    pub(crate) fn mark_trace(&mut self, source: TraceSource) {
        self.segment.mark(source);
    }

    pub(crate) fn keep_for(&mut self, source: TraceSource) {
        self.segment.mark(source);
        self.segment
            .decide_by_hand(SamplingPriority::USER_KEEP, source.mechanism());
    }

    pub(crate) fn mark_cancelled(&mut self) {
        // A future that panicked is dropped as well, but was not given up.
        if self.open.flags & flags::PANICKED == 0 {
            self.open.flags |= flags::CANCELLED;
        }
    }

    pub(crate) fn set_start(&mut self, unix_nanoseconds: i64) {
        self.tags().rare().start = Some(unix_nanoseconds);
    }

    pub(crate) fn set_end(&mut self, unix_nanoseconds: i64) {
        self.tags().rare().end = Some(unix_nanoseconds);
    }

    #[inline]
    fn publish_if_sampled_by_tags(&mut self) {
        if self.segment.tracer.sampler.needs_tags() {
            self.publish_root();
        }
    }

    #[cold]
    fn publish_root(&mut self) {
        if self.open.flags & flags::ROOT == 0 {
            return;
        }
        if let Some(tags) = &self.open.tags {
            let mut tags = (**tags).clone();
            tags.rare().service_id = Some(self.open.service);
            self.segment.publish_root(tags);
        } else {
            let mut tags = Tags::default();
            tags.rare().service_id = Some(self.open.service);
            self.segment.publish_root(tags);
        }
    }
}

/// Whether a tag that switches something is on.
fn is_true(value: Value<'_>) -> bool {
    match value {
        Value::Static(text) | Value::Text(text) => text == "1" || text.eq_ignore_ascii_case("true"),
        Value::Number(number) => number == 1.0,
        Value::Absent => false,
    }
}

/// An error as texts, made before the thread's state is borrowed: its `Display` is the user's code.
pub(crate) struct ErrorText {
    pub(crate) error_type: String,
    pub(crate) message: String,
    pub(crate) stack: Option<String>,
}

impl ErrorText {
    pub(crate) fn of<E: Error + ?Sized>(error: &E) -> Self {
        let name = std::any::type_name::<E>();
        Self::named(
            if name.starts_with("dyn ") {
                "Error"
            } else {
                name
            },
            error,
        )
    }

    /// The same with the name of the type that the program calls it by.
    pub(crate) fn named<E: Error + ?Sized>(error_type: &str, error: &E) -> Self {
        let message = crate::text::display(error);
        let mut chain = String::new();
        let mut source = crate::text::guarded(|| error.source()).flatten();
        let mut depth = 0;
        while let Some(cause) = source.filter(|_| depth < CHAIN_LIMIT) {
            chain.push_str("\ncaused by: ");
            chain.push_str(&crate::text::display(cause));
            source = crate::text::guarded(|| cause.source()).flatten();
            depth += 1;
        }
        let stack = (!chain.is_empty()).then(|| format!("{error_type}: {message}{chain}"));
        Self {
            error_type: error_type.to_owned(),
            message,
            stack,
        }
    }
}

/// How many causes of an error are followed.
const CHAIN_LIMIT: usize = 30;

/// An `exception` event as OpenTelemetry names it.
pub(crate) fn exception_event(text: &ErrorText) -> SpanEvent {
    let event = SpanEvent::new("exception")
        .with_attribute("exception.type", text.error_type.clone())
        .with_attribute("exception.message", text.message.clone());
    match &text.stack {
        Some(stack) => event.with_attribute("exception.stacktrace", stack.clone()),
        None => event,
    }
}

/// Calls `write` with a value that may need formatting; the last one counts.
pub(crate) fn with_value(value: &dyn TagValue, write: &mut dyn FnMut(Value<'_>)) {
    value.with_value(write);
}

/// The public methods by which a handle writes on its span. The handle has `fn pen<R>(self, FnOnce(&mut Pen) -> R) -> Option<R>`.
macro_rules! writing_methods {
    ($self:ident: $receiver:ty) => {
        /// Whether what is written here will be sent. False when tracing is off.
        pub fn is_recording(&self) -> bool {
            self.recording()
        }

        /// Sets a tag. Texts become `meta`, numbers become `metrics`; the last value of a key wins.
        ///
        /// `manual.keep`, `manual.drop`, `service.name`, `resource.name`, `operation.name` and `span.type` do what
        /// they say. NaN and infinities are left out. Costs a copy of the text.
        pub fn set_tag(
            $self: $receiver,
            key: impl Into<std::borrow::Cow<'static, str>>,
            value: impl $crate::trace::TagValue,
        ) {
            if !$self.recording() {
                return;
            }
            let key = key.into();
            $crate::trace::write::with_value(&value, &mut |value| {
                $self.pen(|pen| pen.set_tag(&key, value));
            });
        }

        /// Sets several tags with static keys in one go, as the attributes do.
        #[inline]
        pub fn set_tags($self: $receiver, tags: &[$crate::trace::Tag<'_>]) {
            $self.pen(|pen| pen.set_tags(tags));
        }

        /// Takes a tag away.
        pub fn remove_tag($self: $receiver, key: &str) {
            $self.pen(|pen| pen.remove_tag(key));
        }

        /// Sets the operation name.
        pub fn set_name($self: $receiver, name: &str) {
            $self.pen(|pen| pen.set_name(name));
        }

        /// Sets the resource: what the span works on, for example `GET /users/{id}`.
        pub fn set_resource($self: $receiver, resource: &str) {
            $self.pen(|pen| pen.set_resource(resource));
        }

        /// The same with a text in parts, which are joined where they are stored: `&["GET", " ", "/users/{id}"]`.
        pub fn set_resource_joined($self: $receiver, parts: &[&str]) {
            $self.pen(|pen| pen.set_resource_joined(parts));
        }

        /// Sets a tag with a static key to a text in parts, which are joined where they are stored.
        pub fn set_tag_joined($self: $receiver, key: &'static str, parts: &[&str]) {
            $self.pen(|pen| pen.set_joined(key, parts));
        }

        /// Sets the service; children that start later inherit it. An empty name changes nothing.
        pub fn set_service($self: $receiver, service: &str) {
            $self.pen(|pen| pen.set_service(service));
        }

        /// Sets the span's type, for example `web` or `sql`.
        pub fn set_type($self: $receiver, span_type: &str) {
            $self.pen(|pen| pen.set_type(span_type));
        }

        /// Sets the tag `span.kind`.
        pub fn set_kind($self: $receiver, kind: $crate::trace::SpanKind) {
            let value = $crate::trace::Value::Static(kind.as_str());
            $self.set_tags(&[$crate::trace::Tag {
                key: "span.kind",
                value,
            }]);
        }

        /// Marks the span as failed and describes the error: type, message, and the chain of its sources.
        pub fn set_error<E: std::error::Error + ?Sized>($self: $receiver, error: &E) {
            if $self.recording() {
                let text = $crate::trace::write::ErrorText::of(error);
                $self.set_error_message(&text.error_type, &text.message, text.stack.as_deref());
            }
        }

        /// Marks the span as failed with texts of the caller's.
        pub fn set_error_message(
            $self: $receiver,
            error_type: &str,
            message: &str,
            stack: Option<&str>,
        ) {
            $self.pen(|pen| pen.set_error_text(error_type, message, stack));
        }

        /// Sets or clears the error mark alone.
        pub fn set_error_flag($self: $receiver, error: bool) {
            $self.pen(|pen| pen.set_error_flag(error));
        }

        /// Adds an `exception` event. The span is not marked as failed by it.
        pub fn record_exception<E: std::error::Error + ?Sized>($self: $receiver, error: &E) {
            if $self.recording() {
                let event = $crate::trace::write::exception_event(
                    &$crate::trace::write::ErrorText::of(error),
                );
                $self.pen(|pen| pen.add_event(event));
            }
        }

        /// Marks the span as failed, for the attributes: a returned error of any type.
        #[doc(hidden)]
        #[cold]
        pub fn fail($self: $receiver, failure: $crate::trace::Failure<'_>) {
            if $self.recording() {
                let text = failure.text();
                $self.set_error_message(&text.error_type, &text.message, text.stack.as_deref());
            }
        }

        /// The same if there is one.
        #[doc(hidden)]
        #[inline]
        pub fn fail_if($self: $receiver, failure: Option<$crate::trace::Failure<'_>>) {
            if let Some(failure) = failure {
                $self.fail(failure);
            }
        }

        /// Adds an `exception` event, for the attributes: a returned error of any type.
        #[doc(hidden)]
        #[cold]
        pub fn fail_handled($self: $receiver, failure: $crate::trace::Failure<'_>) {
            if $self.recording() {
                let event = $crate::trace::write::exception_event(&failure.text());
                $self.pen(|pen| pen.add_event(event));
            }
        }

        /// Adds a link to another span; at most 128 per span.
        pub fn add_link($self: $receiver, link: $crate::trace::SpanLink) {
            $self.pen(|pen| pen.add_link(link));
        }

        /// Adds an event; at most 128 per span.
        pub fn add_event($self: $receiver, event: $crate::trace::SpanEvent) {
            $self.pen(|pen| pen.add_event(event));
        }

        /// Sets structured data: msgpack under a key of `meta_struct`. Sent with v0.4 payloads only.
        pub fn set_meta_struct(
            $self: $receiver,
            key: impl Into<std::borrow::Cow<'static, str>>,
            msgpack: Vec<u8>,
        ) {
            let key = key.into();
            $self.pen(|pen| pen.set_meta_struct(key, msgpack));
        }

        /// Attaches a product's record, which says on the worker what the finished span carries.
        pub fn attach($self: $receiver, attachment: std::sync::Arc<dyn $crate::trace::Attachment>) {
            $self.pen(|pen| pen.attach(attachment));
        }

        /// Keeps the whole trace, whatever rules and rates say.
        pub fn manual_keep($self: $receiver) {
            $self.pen(|pen| pen.keep_by_hand($crate::sampling::SamplingPriority::USER_KEEP));
        }

        /// Drops the whole trace, whatever rules and rates say.
        pub fn manual_drop($self: $receiver) {
            $self.pen(|pen| pen.keep_by_hand($crate::sampling::SamplingPriority::USER_REJECT));
        }

        /// Keeps the whole trace for a product and marks it as that product's, here and in the services that it goes on to.
        ///
        /// For products, which keep what the user's rules would drop, also where nothing else is traced.
        pub fn keep_for($self: $receiver, product: $crate::sampling::TraceSource) {
            $self.pen(|pen| pen.keep_for(product));
        }

        /// Marks the trace as one that a product is part of, without keeping it.
        pub fn mark_trace($self: $receiver, product: $crate::sampling::TraceSource) {
            $self.pen(|pen| pen.mark_trace(product));
        }

        /// Marks the span as one whose work was given up before it was done.
        pub fn mark_cancelled($self: $receiver) {
            $self.pen(|pen| pen.mark_cancelled());
        }
    };
}
pub(crate) use writing_methods;
