//! The layer.
//!
//! No lock of the registry is held while a field is formatted or a span is written: a field's `Debug` is the user's code, which may
//! make spans and events itself, and what we call may log. So a callback first takes the [`Bridged`] span out of the registry's
//! extensions, as a clone of its `Arc`, and then works on that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ddtrace_core::diagnostics;
use ddtrace_core::events::{self, BridgedSpan, Followers};
use ddtrace_core::instrument::Settings;
use ddtrace_core::trace::{
    Context as Place, CurrentSpan, SharedSpan, Span, SpanEvent, SpanLink, Tag, Value, current_span,
};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

use crate::bridged::{self, Bridged};
use crate::fields::{EventFields, Failure};
use crate::{OWN_TARGET, active, site};

static SETTINGS: Settings = Settings::of("tracing");

/// Targets that are left out unless asked for, with everything below them: what these libraries have to say is about themselves.
const INTERNALS: [&str; 5] = ["h2", "hyper", "hyper_util", "mio", "tokio"];

/// The number of the next layer.
static LAYERS: AtomicUsize = AtomicUsize::new(0);

/// How spans and events of `tracing` are taken over; [`Bridge::layer`] makes the layer.
///
/// ```
/// use tracing_subscriber::prelude::*;
///
/// let bridge = ddtrace_tracing::Bridge::new().with_events(tracing::Level::WARN);
/// let subscriber = tracing_subscriber::registry().with(bridge.layer());
/// # drop(subscriber);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "it does nothing before it is made a layer"]
pub struct Bridge {
    events: Option<Level>,
    internals: bool,
}

impl Default for Bridge {
    fn default() -> Self {
        Self::new()
    }
}

/// A layer by which spans of `tracing` become spans of ddtrace: `registry().with(ddtrace::tracing::layer())`.
pub fn layer<S>() -> impl Layer<S> + Send + Sync + 'static
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    Bridge::new().layer()
}

impl Bridge {
    /// Spans of everything but the internals of `h2`, `hyper`, `mio` and `tokio`, and events from level `INFO` on.
    pub const fn new() -> Self {
        Self {
            events: Some(Level::INFO),
            internals: false,
        }
    }

    /// The lowest level at which events become span events; `INFO` if not set, `None` for no events at all.
    ///
    /// Errors in events mark their span as failed whatever is set here.
    pub fn with_events(mut self, lowest: impl Into<Option<Level>>) -> Self {
        self.events = lowest.into();
        self
    }

    /// Whether spans and events of `h2`, `hyper`, `mio` and `tokio` take part; they do not if not set.
    pub fn with_internals(mut self, with: bool) -> Self {
        self.internals = with;
        self
    }

    /// The layer. What it does not take it does not enable either, so that a place which nobody else is interested in costs
    /// nothing.
    pub fn layer<S>(self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let layer = BridgeLayer {
            number: LAYERS.fetch_add(1, Ordering::Relaxed),
            bridge: self,
        };
        layer.with_filter(Takes(self))
    }

    fn wants_event(&self, level: &Level) -> bool {
        self.events.is_some_and(|lowest| *level <= lowest)
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let root = metadata.target().split("::").next().unwrap_or_default();
        let is_ours = root != OWN_TARGET && (self.internals || !INTERNALS.contains(&root));
        let level = metadata.level();
        is_ours && (metadata.is_span() || *level == Level::ERROR || self.wants_event(level))
    }
}

/// What a [`Bridge`] takes, which is the same each time at one place.
struct Takes(Bridge);

impl<S> Filter<S> for Takes {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.0.takes(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.0.takes(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }
}

struct BridgeLayer {
    number: usize,
    bridge: Bridge,
}

/// In the registry's extensions. A type of its own, so that nobody else's `Arc` is taken for it.
struct Extension {
    layer: usize,
    bridged: Arc<Bridged>,
}

impl BridgeLayer {
    /// The span of an id, if it is one of this layer's.
    fn bridged<S>(&self, id: &Id, context: &Context<'_, S>) -> Option<Arc<Bridged>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let span = context.span(id)?;
        let extensions = span.extensions();
        let all = extensions.get::<Vec<Extension>>()?;
        let own = all.iter().find(|own| own.layer == self.number)?;
        Some(Arc::clone(&own.bridged))
    }

    /// The place of the nearest span of this layer's, from this one up.
    fn place<S>(&self, id: &Id, context: &Context<'_, S>) -> Option<Place>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let scope: Vec<Id> = context.span_scope(id)?.map(|span| span.id()).collect();
        let bridged = scope.iter().find_map(|id| self.bridged(id, context))?;
        Some(bridged.span.context())
    }

    /// Starts the span where tracing says. Without a parent of its own it belongs under what is active, which is the innermost of
    /// tracing's and ours.
    fn start<S>(&self, attributes: &Attributes<'_>, context: &Context<'_, S>) -> Option<Span>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let site = site::of(attributes.metadata())?;
        if !site.is_on() || SETTINGS.get().is_none() {
            return None;
        }
        if attributes.is_root() {
            return Some(Span::start_root(site));
        }
        let place = attributes
            .parent()
            .and_then(|parent| self.place(parent, context));
        Some(match place {
            Some(place) => Span::start_child_of(site, &place),
            None => Span::start(site),
        })
    }
}

impl<S> Layer<S> for BridgeLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let metadata = attributes.metadata();
        if diagnostics::is_logging() {
            return;
        }
        let Some(span) = self.start(attributes, &context).filter(Span::is_recording) else {
            return;
        };
        let bridged = Bridged::new(SharedSpan::new(span), followers(metadata));
        bridged.span.set_tags(&[
            Tag {
                key: "target",
                value: Value::Static(metadata.target()),
            },
            Tag {
                key: "level",
                value: Value::Static(metadata.level().as_str()),
            },
        ]);
        bridged.record(|fields| attributes.record(fields));
        let extension = Extension {
            layer: self.number,
            bridged: Arc::new(bridged),
        };
        if let Some(span) = context.span(id) {
            let mut extensions = span.extensions_mut();
            match extensions.get_mut::<Vec<Extension>>() {
                Some(all) => all.push(extension),
                None => extensions.insert(vec![extension]),
            }
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(bridged) = self.bridged(id, &context) {
            bridged.record(|fields| values.record(fields));
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: Context<'_, S>) {
        if let (Some(bridged), Some(followed)) =
            (self.bridged(id, &context), self.bridged(follows, &context))
        {
            let link = SpanLink::from(&followed.span.context());
            bridged.span.add_link(link);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(bridged) = self.bridged(id, &context) {
            active::enter(self.number, id.into_u64(), bridged);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        active::exit(self.number, id.into_u64());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let own = {
            let mut extensions = span.extensions_mut();
            let all = extensions.get_mut::<Vec<Extension>>();
            all.and_then(|all| {
                let at = all.iter().position(|own| own.layer == self.number)?;
                Some(all.swap_remove(at))
            })
        };
        if let Some(bridged) = own.and_then(|own| Arc::into_inner(own.bridged)) {
            bridged.finish();
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        if diagnostics::is_logging() {
            return;
        }
        let is_wanted = self.bridge.wants_event(metadata.level());
        let is_error = *metadata.level() == Level::ERROR;
        let Some(target) = self.target(event, &context) else {
            return;
        };
        let mut fields = EventFields::default();
        event.record(&mut fields);
        if is_error && fields.error.is_some() {
            target.fail(&fields.error);
        }
        if is_wanted {
            target.add(span_event(metadata, fields));
        }
    }
}

/// Whoever follows a span. Its fields are known from the start, whenever they are written.
fn followers(metadata: &'static Metadata<'static>) -> Followers {
    let any = |wanted: &mut dyn FnMut(&str) -> bool| {
        metadata.fields().iter().any(|field| wanted(field.name()))
    };
    events::dispatch::<BridgedSpan<'_>>(|| BridgedSpan::new("tracing", metadata.name(), &any))
        .map(BridgedSpan::into_followers)
        .unwrap_or_default()
}

/// The span that an event belongs to.
enum Target {
    OfTracing(Arc<Bridged>),
    Ours(CurrentSpan),
}

impl Target {
    fn fail(&self, failure: &Failure) {
        match self {
            Self::OfTracing(bridged) => bridged.fail(failure),
            Self::Ours(span) => bridged::fail(failure, |kind, message, stack| {
                span.set_error_message(kind, message, stack);
            }),
        }
    }

    fn add(&self, event: SpanEvent) {
        match self {
            Self::OfTracing(bridged) => bridged.span.add_event(event),
            Self::Ours(span) => span.add_event(event),
        }
    }
}

impl BridgeLayer {
    /// The span that the event names, or what is active: the innermost of tracing's and ours.
    fn target<S>(&self, event: &Event<'_>, context: &Context<'_, S>) -> Option<Target>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        if !event.is_contextual() {
            let named = event.parent().and_then(|id| self.bridged(id, context))?;
            return Some(Target::OfTracing(named));
        }
        let of_tracing = context
            .lookup_current()
            .and_then(|span| self.bridged(&span.id(), context));
        let current = current_span();
        match of_tracing {
            Some(bridged)
                if !current.is_recording() || bridged.span.id().span_id == current.span_id() =>
            {
                Some(Target::OfTracing(bridged))
            }
            _ => current.is_recording().then_some(Target::Ours(current)),
        }
    }
}

fn span_event(metadata: &Metadata<'static>, fields: EventFields) -> SpanEvent {
    let event = match fields.message {
        Some(message) => SpanEvent::new(message),
        None => SpanEvent::new(metadata.name()),
    };
    let event = event
        .with_attribute("level", metadata.level().as_str())
        .with_attribute("target", metadata.target().to_owned());
    fields
        .attributes
        .into_iter()
        .fold(event, |event, (key, value)| {
            event.with_attribute(key, value)
        })
}
