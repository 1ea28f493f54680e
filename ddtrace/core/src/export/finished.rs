//! A finished span with every text resolved: what processors, samplers and encoders see.

use std::borrow::Cow;

use crate::trace::{Site, SpanEvent, SpanLink, TraceId};

/// A finished span, borrowed from the buffers of its chunk.
///
/// The vectors are the worker's and are used again for the next span.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FinishedSpan<'a> {
    /// The service, mapped and cut to 100 bytes.
    pub service: &'a str,
    /// The operation name.
    pub name: &'a str,
    /// The resource; the name where none was set.
    pub resource: &'a str,
    /// The type, empty where none was set.
    pub span_type: &'a str,
    /// The trace.
    pub trace_id: TraceId,
    /// The span; never 0.
    pub span_id: u64,
    /// The parent, 0 for the root of a trace.
    pub parent_id: u64,
    /// Nanoseconds since the epoch.
    pub start: i64,
    /// Nanoseconds.
    pub duration: i64,
    /// Whether it failed.
    pub error: bool,
    /// Tags that are texts; every key once, and in `meta` or `metrics` only.
    pub meta: Vec<(&'a str, Cow<'a, str>)>,
    /// Tags that are numbers.
    pub metrics: Vec<(&'a str, f64)>,
    /// Structured data as msgpack.
    pub meta_struct: Vec<(&'a str, &'a [u8])>,
    /// Links to other spans.
    pub links: Vec<&'a SpanLink>,
    /// What happened during it.
    pub events: Vec<&'a SpanEvent>,
    /// Whether it has no parent in this process.
    pub is_local_root: bool,
    /// Says that service, name, resource and type are what they always are for this site and service.
    pub(crate) head: SpanHead,
}

/// A site and a service, where a span has no other service, name, resource or type than these give it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanHead {
    site: usize,
    service: u16,
}

impl SpanHead {
    /// The span has texts of its own.
    pub(crate) const NONE: Self = Self {
        site: 0,
        service: 0,
    };

    pub(crate) fn new(site: &'static Site, service: u16) -> Self {
        Self {
            site: std::ptr::from_ref(site).addr(),
            service,
        }
    }

    /// Sites are statics next to each other, 128 bytes or so apart.
    #[inline]
    pub(crate) fn hash(self) -> usize {
        (self.site >> 4) ^ (self.site >> 12) ^ usize::from(self.service)
    }
}

impl<'a> FinishedSpan<'a> {
    /// A tag that is a text.
    pub fn meta(&self, key: &str) -> Option<&str> {
        self.meta
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| &**value)
    }

    /// A tag that is a number.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.metrics
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    /// Sets a tag that is a text, in place of whatever has the key.
    pub fn set_meta(&mut self, key: &'a str, value: impl Into<Cow<'a, str>>) {
        self.metrics.retain(|(name, _)| *name != key);
        match self.meta.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value.into(),
            None => self.meta.push((key, value.into())),
        }
    }

    /// Sets a tag that is a number, in place of whatever has the key.
    pub fn set_metric(&mut self, key: &'a str, value: f64) {
        self.meta.retain(|(name, _)| *name != key);
        match self.metrics.iter_mut().find(|(name, _)| *name == key) {
            Some((_, old)) => *old = value,
            None => self.metrics.push((key, value)),
        }
    }

    /// Empties it for a span of another chunk and keeps the vectors' memory.
    pub(crate) fn recycle<'b>(self) -> FinishedSpan<'b> {
        FinishedSpan {
            meta: emptied(self.meta),
            metrics: emptied(self.metrics),
            meta_struct: emptied(self.meta_struct),
            links: emptied(self.links),
            events: emptied(self.events),
            ..FinishedSpan::default()
        }
    }

    /// Empties the vectors.
    pub(crate) fn clear(&mut self) {
        self.meta.clear();
        self.metrics.clear();
        self.meta_struct.clear();
        self.links.clear();
        self.events.clear();
    }

    /// A copy that owns its texts, for filters and tests.
    pub fn to_data(&self) -> SpanData {
        SpanData {
            service: self.service.to_owned(),
            name: self.name.to_owned(),
            resource: self.resource.to_owned(),
            span_type: self.span_type.to_owned(),
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            start: self.start,
            duration: self.duration,
            error: self.error,
            meta: self
                .meta
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone().into_owned()))
                .collect(),
            metrics: self
                .metrics
                .iter()
                .map(|(key, value)| ((*key).to_owned(), *value))
                .collect(),
            meta_struct: self
                .meta_struct
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.to_vec()))
                .collect(),
            links: self.links.iter().map(|link| (*link).clone()).collect(),
            events: self.events.iter().map(|event| (*event).clone()).collect(),
            is_local_root: self.is_local_root,
        }
    }
}

/// The empty vector with the memory of one that held other lifetimes. `collect` reuses it in place.
fn emptied<T, U>(mut vector: Vec<T>) -> Vec<U> {
    vector.clear();
    vector
        .into_iter()
        .map(|_| unreachable!("it is empty"))
        .collect()
}

/// A finished span that owns its texts: what [filters](super::TraceFilter) get and tests look at.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SpanData {
    /// The service.
    pub service: String,
    /// The operation name.
    pub name: String,
    /// The resource.
    pub resource: String,
    /// The type, empty where none was set.
    pub span_type: String,
    /// The trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: u64,
    /// The parent, 0 for the root of a trace.
    pub parent_id: u64,
    /// Nanoseconds since the epoch.
    pub start: i64,
    /// Nanoseconds.
    pub duration: i64,
    /// Whether it failed.
    pub error: bool,
    /// Tags that are texts.
    pub meta: Vec<(String, String)>,
    /// Tags that are numbers.
    pub metrics: Vec<(String, f64)>,
    /// Structured data as msgpack.
    pub meta_struct: Vec<(String, Vec<u8>)>,
    /// Links to other spans.
    pub links: Vec<SpanLink>,
    /// What happened during it.
    pub events: Vec<SpanEvent>,
    /// Whether it has no parent in this process.
    pub is_local_root: bool,
}

impl SpanData {
    /// A tag that is a text.
    pub fn meta(&self, key: &str) -> Option<&str> {
        self.meta
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| &**value)
    }

    /// A tag that is a number.
    pub fn metric(&self, key: &str) -> Option<f64> {
        self.metrics
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| *value)
    }

    /// The same span, borrowed.
    pub(crate) fn as_finished(&self) -> FinishedSpan<'_> {
        FinishedSpan {
            service: &self.service,
            name: &self.name,
            resource: &self.resource,
            span_type: &self.span_type,
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent_id: self.parent_id,
            start: self.start,
            duration: self.duration,
            error: self.error,
            meta: self
                .meta
                .iter()
                .map(|(key, value)| (&**key, Cow::Borrowed(&**value)))
                .collect(),
            metrics: self
                .metrics
                .iter()
                .map(|(key, value)| (&**key, *value))
                .collect(),
            meta_struct: self
                .meta_struct
                .iter()
                .map(|(key, value)| (&**key, &**value))
                .collect(),
            links: self.links.iter().collect(),
            events: self.events.iter().collect(),
            is_local_root: self.is_local_root,
            head: SpanHead::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_text_or_number_and_once() {
        let mut span = FinishedSpan::default();
        span.set_metric("k", 1.0);
        span.set_meta("k", "s");
        assert_eq!((span.meta("k"), span.metric("k")), (Some("s"), None));
        span.set_metric("k", 2.0);
        assert_eq!((span.meta("k"), span.metric("k")), (None, Some(2.0)));
    }

    #[test]
    fn recycling_keeps_the_memory_and_nothing_else() {
        let mut span = FinishedSpan {
            name: "n",
            meta: Vec::with_capacity(64),
            ..FinishedSpan::default()
        };
        span.set_meta("k", "v");
        let span: FinishedSpan<'static> = span.recycle();
        assert!(span.meta.is_empty() && span.meta.capacity() >= 64 && span.name.is_empty());
    }

    #[test]
    fn owned_and_borrowed_say_the_same() {
        let data = SpanData {
            name: "n".into(),
            meta: vec![("a".into(), "b".into())],
            ..SpanData::default()
        };
        assert_eq!(data.as_finished().to_data(), data);
    }
}
