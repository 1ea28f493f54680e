//! Spans whose name is known at run time only.
//!
//! An attribute or an integration has a static [`Site`]; a program that decides by its data what a span is called has
//! none. All such spans share one site, and their name is written on each: one small allocation more than a site costs.
//!
//! `unsafe` in this file: the site names its link section.
#![allow(unsafe_code)]

use std::borrow::Cow;
use std::time::SystemTime;

use super::context::Context;
use super::site::{Site, SpanKind};
use super::span::Span;
use super::tags::{SpanLink, TagValue, Value};
use crate::propagation::Extracted;

crate::site! {
    static BY_HAND: Site = Site::new("span", "", module_path!(), file!(), line!());
}

/// Describes a span and starts it; made by [`Span::builder`].
///
/// ```
/// use ddtrace_core::test_support::Recorder;
/// use ddtrace_core::trace::{Span, SpanKind};
///
/// let recorder = Recorder::new();
/// let job = String::from("reindex");
/// Span::builder(format!("job.{job}")).kind(SpanKind::Consumer).tag("job.attempt", 2).start().finish();
///
/// let spans = recorder.take();
/// assert_eq!(spans[0].name, "job.reindex");
/// assert_eq!(spans[0].metric("job.attempt"), Some(2.0));
/// ```
#[must_use = "the span starts with `start()`"]
#[derive(Clone, Debug)]
pub struct SpanBuilder {
    name: Cow<'static, str>,
    parent: Parent,
    service: Option<String>,
    resource: Option<String>,
    span_type: Option<String>,
    kind: Option<SpanKind>,
    start_time: Option<SystemTime>,
    tags: Vec<(Cow<'static, str>, OwnedValue)>,
    links: Vec<SpanLink>,
}

#[derive(Clone, Debug)]
enum Parent {
    Active,
    Root,
    Of(Context),
    Elsewhere(Box<Extracted>),
}

#[derive(Clone, Debug)]
enum OwnedValue {
    Text(String),
    Number(f64),
}

impl Span {
    /// Describes a span whose name is known at run time only.
    pub fn builder(name: impl Into<Cow<'static, str>>) -> SpanBuilder {
        SpanBuilder {
            name: name.into(),
            parent: Parent::Active,
            service: None,
            resource: None,
            span_type: None,
            kind: None,
            start_time: None,
            tags: Vec::new(),
            links: Vec::new(),
        }
    }
}

impl SpanBuilder {
    /// Makes it the root of a new trace, whatever is active.
    pub fn root(mut self) -> Self {
        self.parent = Parent::Root;
        self
    }

    /// Makes it a child of a span that may be elsewhere.
    pub fn child_of(mut self, parent: &Context) -> Self {
        self.parent = Parent::Of(parent.clone());
        self
    }

    /// Makes it the local root of a trace that began in another service.
    pub fn continuing(mut self, extracted: Extracted) -> Self {
        self.parent = Parent::Elsewhere(Box::new(extracted));
        self
    }

    /// Sets the service; without it, it is the parent's.
    pub fn service(mut self, service: impl Into<String>) -> Self {
        self.service = Some(service.into());
        self
    }

    /// Sets the resource; without it, it equals the name.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Sets the span's type, for example `web` or `sql`.
    pub fn span_type(mut self, span_type: impl Into<String>) -> Self {
        self.span_type = Some(span_type.into());
        self
    }

    /// Sets the tag `span.kind`.
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = Some(kind);
        self
    }

    /// Sets a tag, as [`Span::set_tag`] does.
    pub fn tag(mut self, key: impl Into<Cow<'static, str>>, value: impl TagValue) -> Self {
        let key = key.into();
        value.with_value(&mut |value| {
            let value = match value {
                Value::Static(text) | Value::Text(text) => OwnedValue::Text(text.to_owned()),
                Value::Number(number) => OwnedValue::Number(number),
                Value::Absent => return,
            };
            self.tags.push((key.clone(), value));
        });
        self
    }

    /// Adds a link to another span.
    pub fn link(mut self, link: SpanLink) -> Self {
        self.links.push(link);
        self
    }

    /// Gives the start a moment of the caller's.
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.start_time = Some(time);
        self
    }

    /// Starts it. One relaxed load when tracing is off.
    pub fn start(self) -> Span {
        let mut span = match self.parent {
            Parent::Active => Span::start(&BY_HAND),
            Parent::Root => Span::start_root(&BY_HAND),
            Parent::Of(parent) => Span::start_child_of(&BY_HAND, &parent),
            Parent::Elsewhere(extracted) => Span::start_from(&BY_HAND, *extracted),
        };
        if !span.is_recording() {
            return span;
        }
        span.set_name(&self.name);
        if let Some(service) = &self.service {
            span.set_service(service);
        }
        if let Some(resource) = &self.resource {
            span.set_resource(resource);
        }
        if let Some(span_type) = &self.span_type {
            span.set_type(span_type);
        }
        if let Some(kind) = self.kind {
            span.set_kind(kind);
        }
        if let Some(time) = self.start_time {
            span.set_start_time(time);
        }
        for (key, value) in self.tags {
            match value {
                OwnedValue::Text(text) => span.set_tag(key, text),
                OwnedValue::Number(number) => span.set_tag(key, number),
            }
        }
        for link in self.links {
            span.add_link(link);
        }
        span
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::test_support::Recorder;
    use crate::trace::extract;

    #[test]
    fn everything_that_is_described_is_on_the_span() {
        let recorder = Recorder::new();
        let other = Span::builder("other").root().start();
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(5);
        Span::builder("made.here")
            .root()
            .service("shop")
            .resource("what it works on")
            .span_type("worker")
            .kind(SpanKind::Producer)
            .tag("text", "a")
            .tag("number", 1.5)
            .tag("nothing", None::<&str>)
            .link(SpanLink::new(other.id()))
            .start_time(start)
            .start()
            .finish_at(start + Duration::from_millis(3));
        let spans = recorder.take();
        let [span] = &spans[..] else {
            panic!("{spans:?}")
        };
        assert_eq!(
            (&*span.name, &*span.service, &*span.resource),
            ("made.here", "shop", "what it works on")
        );
        assert_eq!((&*span.span_type, span.start), ("worker", 5_000_000_000));
        assert_eq!(span.duration, 3_000_000);
        assert_eq!(span.meta("span.kind"), Some("producer"));
        assert_eq!(
            (span.meta("text"), span.metric("number")),
            (Some("a"), Some(1.5))
        );
        assert_eq!((span.meta("nothing"), span.metric("nothing")), (None, None));
        assert_eq!(span.links[0].target, other.id());
    }

    #[test]
    fn the_parent_is_the_active_span_or_the_one_that_is_named() {
        let recorder = Recorder::new();
        let inbound = BTreeMap::from([
            ("x-datadog-trace-id".to_owned(), "7".to_owned()),
            ("x-datadog-parent-id".to_owned(), "9".to_owned()),
        ]);
        let mut parent = Span::builder("parent").start();
        let context = parent.context();
        {
            let _active = parent.enter();
            Span::builder("active").start().finish();
            Span::builder("root").root().start().finish();
            Span::builder("elsewhere")
                .continuing(extract(&inbound))
                .start()
                .finish();
        }
        parent.finish();
        Span::builder("named").child_of(&context).start().finish();
        let spans = recorder.take();
        let parent_of = |name: &str| {
            let span = spans.iter().find(|span| span.name == name).expect(name);
            span.parent_id
        };
        assert_eq!(parent_of("active"), context.span_id().get());
        assert_eq!(parent_of("named"), context.span_id().get());
        assert_eq!((parent_of("root"), parent_of("elsewhere")), (0, 9));
    }
}
