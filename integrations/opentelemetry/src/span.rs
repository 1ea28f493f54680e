//! A span of ours behind OpenTelemetry's interface.

use std::borrow::Cow;
use std::error::Error;
use std::sync::OnceLock;
use std::time::SystemTime;

use ddtrace_core::events::{self, BridgedSpan, Followers};
use ddtrace_core::trace::{self, Span as Datadog, SpanContextId, SpanEvent, SpanLink, SpanRef};
use opentelemetry::trace::{SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use crate::attributes;
use crate::context::Registration;
use crate::operation::{Operation, kind_name};
use crate::w3c;

/// How many causes of an error are told.
const CAUSES: usize = 30;

/// A span that OpenTelemetry started, or one of ours that it is shown.
///
/// [`From`] shows it a span of ours, and [`datadog`](Self::datadog) gives that back for what OpenTelemetry has no words for.
#[derive(Debug)]
pub struct Span {
    /// Before the span, so that they are told first of the end.
    followers: Followers,
    handle: Handle,
    /// What OpenTelemetry calls it; empty for a span that was made here.
    name: Cow<'static, str>,
    place: trace::Context,
    operation: Operation,
    status: State,
    /// What `exception` events said, until the status says that the span failed.
    exception: Exception,
    /// The start was given, so the end has to be on the same clock.
    has_start_time: bool,
    context: OnceLock<SpanContext>,
    registration: Option<Registration>,
}

/// How the span is reached.
#[derive(Debug)]
enum Handle {
    /// It ends with this.
    Own(Datadog),
    /// It belongs to somebody else.
    Reference(SpanRef),
    /// Only its place is known, or it is over.
    Nothing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Unset,
    Failed,
    Fine,
}

/// The tags that describe a failure, in the order of `TAGS`.
#[derive(Debug, Default)]
struct Exception([Option<String>; 3]);

impl Exception {
    const ATTRIBUTES: [&str; 3] = [
        "exception.type",
        "exception.message",
        "exception.stacktrace",
    ];
    const TAGS: [&str; 3] = ["error.type", "error.message", "error.stack"];
    const TYPE: usize = 0;
}

/// Does the same to a span however it is reached.
macro_rules! on_span {
    ($handle:expr, $span:ident => $work:expr) => {
        match $handle {
            Handle::Own($span) => $work,
            Handle::Reference($span) => $work,
            Handle::Nothing => {}
        }
    };
}

impl Span {
    fn new(handle: Handle, place: trace::Context, operation: Operation) -> Self {
        Self {
            followers: Followers::default(),
            handle,
            name: Cow::Borrowed(""),
            registration: Registration::of(&place),
            place,
            operation,
            status: State::Unset,
            exception: Exception::default(),
            has_start_time: false,
            context: OnceLock::new(),
        }
    }

    /// Writes on a span that has begun what it was built with.
    pub(crate) fn begin(mut span: Datadog, builder: SpanBuilder) -> Self {
        if let Some(time) = builder.start_time {
            span.set_start_time(time);
        }
        let kind = builder.span_kind.unwrap_or(SpanKind::Internal);
        let attributes = builder.attributes.unwrap_or_default();
        // What followers give the span to hand down is part of its place.
        let followers = followers(&builder.name, &attributes);
        for attribute in &attributes {
            attributes::show(&followers, (&mut span).into(), attribute);
        }
        let place = span.context();
        let mut span = Self::new(Handle::Own(span), place, Operation::new(kind.clone()));
        on_span!(&mut span.handle, inner => {
            inner.set_tag("span.kind", kind_name(&kind));
            inner.set_resource(&builder.name);
        });
        span.followers = followers;
        span.name = builder.name;
        span.has_start_time = builder.start_time.is_some();
        span.name_operation();
        for attribute in attributes {
            span.write(&attribute);
        }
        for link in builder.links.into_iter().flatten() {
            span.link(&link.span_context, &link.attributes);
        }
        for event in builder.events.into_iter().flatten() {
            span.event(event.name, event.timestamp, &event.attributes);
        }
        span
    }

    /// A place of ours, to be a parent; nothing can be written on it.
    pub(crate) fn at(place: trace::Context) -> Self {
        Self::new(Handle::Nothing, place, Operation::new(SpanKind::Internal))
    }

    /// A span of somebody else's, to be written on.
    pub(crate) fn reference(span: SpanRef, place: trace::Context) -> Self {
        let mut operation = Operation::new(SpanKind::Internal);
        operation.give();
        Self::new(Handle::Reference(span), place, operation)
    }

    /// A span that does nothing and passes its parent on.
    pub(crate) fn nothing(parent: &Context) -> Self {
        let span = Self::at(trace::Context::default());
        span.context
            .get_or_init(|| parent.span().span_context().clone());
        span
    }

    /// The span of ours, while it is open.
    pub fn datadog(&mut self) -> Option<&mut Datadog> {
        match &mut self.handle {
            Handle::Own(span) => Some(span),
            _ => None,
        }
    }

    /// The span's place and baggage, to be carried elsewhere. It stays what it was when the span ended.
    pub fn datadog_context(&self) -> trace::Context {
        match &self.handle {
            Handle::Own(span) => span.context(),
            _ => self.place.clone(),
        }
    }

    /// Shows an attribute to whoever follows the span, which its key may be the first reason for.
    fn show(&mut self, attribute: &KeyValue) {
        let Handle::Own(span) = &mut self.handle else {
            return;
        };
        if self.followers.is_empty() {
            self.followers = followers(&self.name, std::slice::from_ref(attribute));
        }
        if !self.followers.is_empty() {
            attributes::show(&self.followers, span.into(), attribute);
            // They may have given it something to hand down.
            self.place = span.context();
            self.registration = None;
            self.registration = Registration::of(&self.place);
        }
    }

    /// The span of ours, to be ended. A reference stays one: it ends where it belongs.
    fn take(&mut self) -> Option<Datadog> {
        self.place = self.datadog_context();
        drop(std::mem::take(&mut self.followers));
        match std::mem::replace(&mut self.handle, Handle::Nothing) {
            Handle::Own(span) => Some(span),
            handle => {
                self.handle = handle;
                None
            }
        }
    }

    fn name_operation(&mut self) {
        let name = self.operation.name();
        on_span!(&mut self.handle, span => span.set_name(&name));
    }

    fn write(&mut self, attribute: &KeyValue) {
        let key = attribute.key.as_str();
        match key {
            "" => return,
            "operation.name" | "service.name" | "resource.name" | "span.type" => {
                if key == "operation.name" {
                    self.operation.give();
                }
                let (key, value) = (key.to_owned(), attribute.value.as_str());
                on_span!(&mut self.handle, span => span.set_tag(key, value));
                return;
            }
            _ => {}
        }
        on_span!(&mut self.handle, span => {
            attributes::for_each_tag(attribute, |key, value| span.set_tag(key, value));
        });
        if self.operation.note(key, &attribute.value) {
            self.name_operation();
        }
    }

    fn link(&mut self, target: &SpanContext, attributes: &[KeyValue]) {
        if !target.is_valid() {
            return;
        }
        let target_id = SpanContextId {
            trace_id: u128::from_be_bytes(target.trace_id().to_bytes()).into(),
            span_id: trace::SpanId::new(u64::from_be_bytes(target.span_id().to_bytes())),
        };
        let mut link = SpanLink::new(target_id).with_flags(target.trace_flags().to_u8().into());
        let state = target.trace_state().header();
        if !state.is_empty() {
            link = link.with_tracestate(state);
        }
        attributes::for_each_link_attribute(attributes, |key, value| {
            link.attributes.push((key.into(), value.into()));
        });
        on_span!(&mut self.handle, span => span.add_link(link));
    }

    fn event(&mut self, name: Cow<'static, str>, time: SystemTime, attributes: &[KeyValue]) {
        if !opentelemetry::trace::Span::is_recording(self) {
            return;
        }
        if name == "exception" {
            self.note_exception(attributes);
        }
        let mut event = SpanEvent::at(name, time);
        event.attributes = attributes.iter().map(attributes::event_attribute).collect();
        on_span!(&mut self.handle, span => span.add_event(event));
    }

    fn note_exception(&mut self, attributes: &[KeyValue]) {
        for KeyValue { key, value, .. } in attributes {
            let at = Exception::ATTRIBUTES
                .iter()
                .position(|name| *name == key.as_str());
            if let Some(at) = at {
                self.exception.0[at] = Some(value.as_str().into_owned());
            }
        }
        // The backend groups by it, and an interface with `&dyn Error` does not know it.
        self.exception.0[Exception::TYPE].get_or_insert_with(|| "Error".to_owned());
        if self.status == State::Failed {
            self.describe_failure();
        }
    }

    fn describe_failure(&mut self) {
        for (tag, text) in Exception::TAGS.into_iter().zip(&mut self.exception.0) {
            if let Some(text) = text.take() {
                on_span!(&mut self.handle, span => span.set_tag(tag, text));
            }
        }
    }
}

/// Whoever follows a span on which these are written.
fn followers(name: &str, attributes: &[KeyValue]) -> Followers {
    let any = |wanted: &mut dyn FnMut(&str) -> bool| {
        let mut keys = attributes.iter();
        keys.any(|attribute| wanted(attribute.key.as_str()))
    };
    events::dispatch::<BridgedSpan<'_>>(|| BridgedSpan::new("opentelemetry", name, &any))
        .map(BridgedSpan::into_followers)
        .unwrap_or_default()
}

/// Shows OpenTelemetry a span of ours. Its name stays what it is, and dropping the result ends it.
impl From<Datadog> for Span {
    fn from(span: Datadog) -> Self {
        let mut operation = Operation::new(SpanKind::Internal);
        operation.give();
        let place = span.context();
        Self::new(Handle::Own(span), place, operation)
    }
}

impl opentelemetry::trace::Span for Span {
    fn record_error(&mut self, error: &dyn Error) {
        let mut causes = String::new();
        let mut cause = error.source();
        for _ in 0..CAUSES {
            let Some(next) = cause else { break };
            causes.push_str(&format!("\ncaused by: {next}"));
            cause = next.source();
        }
        let message = error.to_string();
        let mut attributes = Vec::with_capacity(2);
        if !causes.is_empty() {
            attributes.push(KeyValue::new(
                "exception.stacktrace",
                format!("{message}{causes}"),
            ));
        }
        attributes.push(KeyValue::new("exception.message", message));
        self.event("exception".into(), SystemTime::now(), &attributes);
    }

    fn add_event_with_timestamp<T>(&mut self, name: T, time: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.event(name.into(), time, &attributes);
    }

    /// Decides about the trace, if that is still open.
    fn span_context(&self) -> &SpanContext {
        self.context.get_or_init(|| w3c::of_place(&self.place))
    }

    fn is_recording(&self) -> bool {
        match &self.handle {
            Handle::Own(span) => span.is_recording(),
            Handle::Reference(span) => span.is_recording(),
            Handle::Nothing => false,
        }
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.write(&attribute);
        self.show(&attribute);
    }

    fn set_status(&mut self, status: Status) {
        if self.status == State::Fine {
            return;
        }
        match status {
            Status::Unset => {}
            Status::Ok => {
                self.status = State::Fine;
                on_span!(&mut self.handle, span => {
                    span.set_error_flag(false);
                    Exception::TAGS.iter().for_each(|tag| span.remove_tag(tag));
                });
            }
            Status::Error { description } => {
                self.status = State::Failed;
                on_span!(&mut self.handle, span => span.set_error_flag(true));
                self.describe_failure();
                if !description.is_empty() {
                    on_span!(&mut self.handle, span => span.set_tag("error.message", description));
                }
            }
        }
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.name = name.into();
        on_span!(&mut self.handle, span => span.set_resource(&self.name));
        self.followers.renamed(&self.name);
    }

    fn add_link(&mut self, target: SpanContext, attributes: Vec<KeyValue>) {
        self.link(&target, &attributes);
    }

    fn end(&mut self) {
        if self.has_start_time {
            return self.end_with_timestamp(SystemTime::now());
        }
        if let Some(span) = self.take() {
            span.finish();
        }
    }

    fn end_with_timestamp(&mut self, time: SystemTime) {
        if let Some(span) = self.take() {
            span.finish_at(time);
        }
    }
}
