//! What is written on an open span.
//!
//! Tags belong to their span, not to a buffer, so they move with it between threads and through a partial flush. One
//! [`Tags`] is a list of entries and one arena of text; static texts are kept by reference, everything else is copied into the
//! arena once. A `Tags` is boxed, empty spans have none, and emptied ones are reused by later spans of the same buffer,
//! so that tagging allocates nothing in the steady state.
//!
//! A key may be written twice; the last one wins, and text replaces number and the other way round. That is settled by the
//! worker, which looks at all of them anyway.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use super::SpanContextId;
use super::attachment::Attachment;
use crate::propagation::{Baggage, ExtractedLink, SpanContext};
use crate::sampling::SamplingPriority;

/// The value of one tag, borrowed from the caller for the time of the call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text that lives as long as the program; not copied.
    Static(&'static str),
    /// Text that is copied.
    Text(&'a str),
    /// A number: becomes a metric. NaN and infinities are left out.
    Number(f64),
    /// Nothing: the tag is not written.
    Absent,
}

/// A tag with a static key, as the attributes write them, several at once.
#[derive(Clone, Copy, Debug)]
pub struct Tag<'a> {
    /// The key, for example `http.method`.
    pub key: &'static str,
    /// The value.
    pub value: Value<'a>,
}

/// Types that can be the value of a tag: texts, numbers, booleans, and options of these.
///
/// Numbers become metrics (64-bit floats on the wire), booleans the texts `true` and `false`, `None` writes nothing.
pub trait TagValue {
    /// Calls `write` with the value.
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>));
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl TagValue for $number {
            fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
                write(Value::Number(*self as f64));
            }
        }
    )*};
}
numbers!(i8 i16 i32 i64 i128 isize u8 u16 u32 u64 u128 usize f32 f64);

impl TagValue for str {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        write(Value::Text(self));
    }
}

impl TagValue for String {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        write(Value::Text(self));
    }
}

impl TagValue for Cow<'_, str> {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        write(Value::Text(self));
    }
}

impl TagValue for Box<str> {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        write(Value::Text(self));
    }
}

impl TagValue for std::sync::Arc<str> {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        write(Value::Text(self));
    }
}

impl TagValue for bool {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        write(Value::Static(if *self { "true" } else { "false" }));
    }
}

impl TagValue for char {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        write(Value::Text(self.encode_utf8(&mut [0; 4])));
    }
}

impl TagValue for Value<'_> {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        write(*self);
    }
}

impl<T: TagValue> TagValue for Option<T> {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        match self {
            Some(value) => value.with_value(write),
            None => write(Value::Absent),
        }
    }
}

impl<T: TagValue + ?Sized> TagValue for &T {
    fn with_value(&self, write: &mut dyn FnMut(Value<'_>)) {
        (**self).with_value(write);
    }
}

/// A link from a span to one that is not its parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpanLink {
    /// The span that is linked to.
    pub target: SpanContextId,
    /// W3C `tracestate` of the linked context, if it had one.
    pub tracestate: Option<Box<str>>,
    /// W3C trace flags, if they are known.
    pub flags: Option<u32>,
    /// What the link means, for example `reason`.
    pub attributes: Vec<(Cow<'static, str>, Cow<'static, str>)>,
}

impl SpanLink {
    /// A link without attributes.
    pub fn new(target: SpanContextId) -> Self {
        Self {
            target,
            ..Self::default()
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with_attribute(
        mut self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }

    /// Sets the W3C trace flags of the linked context.
    #[must_use]
    pub fn with_flags(mut self, flags: u32) -> Self {
        self.flags = Some(flags);
        self
    }

    /// Sets the W3C `tracestate` of the linked context.
    #[must_use]
    pub fn with_tracestate(mut self, tracestate: impl Into<Box<str>>) -> Self {
        self.tracestate = Some(tracestate.into());
        self
    }
}

/// A link to a span of another service, with what its headers said of the trace.
impl From<&SpanContext> for SpanLink {
    fn from(context: &SpanContext) -> Self {
        let flags = u32::from(context.priority.is_some_and(SamplingPriority::is_kept));
        Self {
            target: SpanContextId {
                trace_id: context.full_trace_id(),
                span_id: context.span_id.unwrap_or_default(),
            },
            tracestate: context.tracestate.clone(),
            flags: Some(flags),
            attributes: Vec::new(),
        }
    }
}

impl From<ExtractedLink> for SpanLink {
    fn from(link: ExtractedLink) -> Self {
        let attributes = link
            .attributes()
            .map(|(key, value)| (key.into(), value.into()))
            .to_vec();
        Self {
            target: SpanContextId {
                trace_id: link.trace_id,
                span_id: link.span_id,
            },
            tracestate: link.tracestate,
            flags: Some(link.flags),
            attributes,
        }
    }
}

/// Something that happened during a span, at one moment.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct SpanEvent {
    /// What happened.
    pub name: Cow<'static, str>,
    /// When, in nanoseconds since the epoch.
    pub time_unix_nano: u64,
    /// Details.
    pub attributes: Vec<(Cow<'static, str>, EventValue)>,
}

impl SpanEvent {
    /// An event at this moment.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self::at(name, SystemTime::now())
    }

    /// An event at a given moment.
    pub fn at(name: impl Into<Cow<'static, str>>, time: SystemTime) -> Self {
        let time_unix_nano = super::clock::unix_nanoseconds(time).unsigned_abs();
        Self {
            name: name.into(),
            time_unix_nano,
            attributes: Vec::new(),
        }
    }

    /// Adds an attribute.
    #[must_use]
    pub fn with_attribute(
        mut self,
        key: impl Into<Cow<'static, str>>,
        value: impl Into<EventValue>,
    ) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }
}

/// The value of an event's attribute. Arrays hold values of one kind; others are dropped when the span is sent.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum EventValue {
    /// Text.
    Text(Cow<'static, str>),
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Double(f64),
    /// Several values of one kind.
    Array(Vec<EventValue>),
}

impl From<&'static str> for EventValue {
    fn from(value: &'static str) -> Self {
        Self::Text(value.into())
    }
}

impl From<String> for EventValue {
    fn from(value: String) -> Self {
        Self::Text(value.into())
    }
}

impl From<bool> for EventValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for EventValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for EventValue {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl<T: Into<EventValue>> From<Vec<T>> for EventValue {
    fn from(values: Vec<T>) -> Self {
        Self::Array(values.into_iter().map(Into::into).collect())
    }
}

/// How many links, and how many events, one span may hold; further ones are counted and left out.
pub(crate) const EXTRAS_LIMIT: usize = 128;

/// The most text that one span may hold, in bytes; tags beyond it are counted and left out.
const TEXT_LIMIT: usize = 4 << 20;

/// An arena larger than this is given back when the span is done, so that one large span does not keep its memory.
const KEPT_TEXT: usize = 4096;
const KEPT_ENTRIES: usize = 64;

/// What an arena has room for from the start, in bytes.
const FIRST_TEXT: usize = 128;

/// Text that is static or stands in the span's arena.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StoredText {
    Static(&'static str),
    Arena { at: u32, len: u32 },
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum StoredValue {
    Text(StoredText),
    Number(f64),
    Nothing,
}

impl StoredValue {
    /// Whether it can be sent: NaN and infinities cannot, and absent values need not.
    pub(crate) fn is_sendable(self) -> bool {
        match self {
            Self::Text(_) => true,
            Self::Number(number) => number.is_finite(),
            Self::Nothing => false,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) key: StoredText,
    pub(crate) value: StoredValue,
}

/// Everything on a span that is not a number of fixed size.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tags {
    pub(crate) entries: Vec<Entry>,
    /// The span's resource, if it is not that of its site.
    resource: Option<StoredText>,
    text: String,
    pub(crate) rare: Option<Box<Rare>>,
}

/// What few spans have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    pub(crate) name: Option<Box<str>>,
    /// A service that the table of numbers had no room for.
    pub(crate) service: Option<Box<str>>,
    /// The service's number, in the copy of a root's tags that others see.
    pub(crate) service_id: Option<u16>,
    pub(crate) span_type: Option<Box<str>>,
    pub(crate) links: Vec<SpanLink>,
    pub(crate) events: Vec<SpanEvent>,
    pub(crate) meta_struct: Vec<(Cow<'static, str>, Vec<u8>)>,
    pub(crate) attachments: Vec<Arc<dyn Attachment>>,
    /// Nanoseconds since the epoch, where the caller gave them.
    pub(crate) start: Option<i64>,
    pub(crate) end: Option<i64>,
    /// Raw ticks at which a span ended that others were still open above.
    pub(crate) end_ticks: Option<u64>,
    /// Links, events and tags that were left out because of a limit.
    pub(crate) left_out: u32,
    /// The span's own baggage; nothing if it is that of the parent.
    pub(crate) baggage: Option<Baggage>,
}

impl Tags {
    /// Writes several tags. Costs two reservations for all of them, and a copy per text.
    #[inline]
    pub(crate) fn extend(&mut self, tags: &[Tag<'_>]) {
        let more: usize = tags
            .iter()
            .map(|tag| {
                if let Value::Text(text) = tag.value {
                    text.len()
                } else {
                    0
                }
            })
            .sum();
        if self.text.len() + more > TEXT_LIMIT {
            return self.extend_one_by_one(tags);
        }
        self.text
            .reserve(more.max(FIRST_TEXT - FIRST_TEXT.min(self.text.capacity())));
        let arena = &mut self.text;
        // Of known length, so that no entry asks for room; what is nothing is left out by the worker.
        self.entries.extend(tags.iter().map(|tag| {
            let value = match tag.value {
                Value::Text(text) => {
                    let at = arena.len() as u32;
                    arena.push_str(text);
                    StoredValue::Text(StoredText::Arena {
                        at,
                        len: text.len() as u32,
                    })
                }
                Value::Static(text) => StoredValue::Text(StoredText::Static(text)),
                Value::Number(number) => StoredValue::Number(number),
                Value::Absent => StoredValue::Nothing,
            };
            Entry {
                key: StoredText::Static(tag.key),
                value,
            }
        }));
    }

    #[cold]
    #[inline(never)]
    fn extend_one_by_one(&mut self, tags: &[Tag<'_>]) {
        for tag in tags {
            self.push(StoredText::Static(tag.key), tag.value);
        }
    }

    #[allow(clippy::ptr_arg, reason = "a borrowed key is static and is not copied")]
    pub(crate) fn set(&mut self, key: &Cow<'static, str>, value: Value<'_>) {
        let key = match key {
            Cow::Borrowed(key) => StoredText::Static(key),
            Cow::Owned(key) => match self.store(key) {
                Some(key) => key,
                None => return,
            },
        };
        self.push(key, value);
    }

    #[inline]
    fn push(&mut self, key: StoredText, value: Value<'_>) {
        let value = match value {
            Value::Static(text) => StoredValue::Text(StoredText::Static(text)),
            Value::Text(text) => match self.store(text) {
                Some(text) => StoredValue::Text(text),
                None => return,
            },
            Value::Number(number) => StoredValue::Number(number),
            Value::Absent => return,
        };
        self.entries.push(Entry { key, value });
    }

    #[inline]
    fn store(&mut self, text: &str) -> Option<StoredText> {
        self.store_joined(&[text])
    }

    /// Copies a text in parts.
    #[inline]
    fn store_joined(&mut self, parts: &[&str]) -> Option<StoredText> {
        let at = self.text.len();
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if at + len > TEXT_LIMIT {
            self.leave_out();
            return None;
        }
        self.text
            .reserve(len.max(FIRST_TEXT - FIRST_TEXT.min(self.text.capacity())));
        for part in parts {
            self.text.push_str(part);
        }
        Some(StoredText::Arena {
            at: at as u32,
            len: len as u32,
        })
    }

    /// Writes a tag whose text is in parts.
    #[inline]
    pub(crate) fn set_joined(&mut self, key: &'static str, parts: &[&str]) {
        if let Some(text) = self.store_joined(parts) {
            self.entries.push(Entry {
                key: StoredText::Static(key),
                value: StoredValue::Text(text),
            });
        }
    }

    /// Sets the resource, a text in parts.
    #[inline]
    pub(crate) fn set_resource(&mut self, parts: &[&str]) {
        if let Some(text) = self.store_joined(parts) {
            self.resource = Some(text);
        }
    }

    /// The resource that was set.
    pub(crate) fn resource(&self) -> Option<&str> {
        self.resource.map(|resource| self.text(resource))
    }

    #[cold]
    fn leave_out(&mut self) {
        self.rare().left_out += 1;
    }

    pub(crate) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    pub(crate) fn add_link(&mut self, link: SpanLink) {
        let is_whole = link.is_whole();
        if !is_whole {
            crate::diagnostics::warn(format_args!(
                "a span link was left out: expected ids other than 0, found trace {} and span {}",
                link.target.trace_id, link.target.span_id
            ));
        }
        let rare = self.rare();
        if is_whole && rare.links.len() < EXTRAS_LIMIT {
            rare.links.push(link);
        } else {
            rare.left_out += 1;
        }
    }

    pub(crate) fn add_event(&mut self, event: SpanEvent) {
        let rare = self.rare();
        if rare.events.len() < EXTRAS_LIMIT {
            rare.events.push(event);
        } else {
            rare.left_out += 1;
        }
    }

    pub(crate) fn text(&self, text: StoredText) -> &str {
        match text {
            StoredText::Static(text) => text,
            StoredText::Arena { at, len } => &self.text[at as usize..][..len as usize],
        }
    }

    /// The last value written under a key.
    pub(crate) fn get(&self, key: &str) -> Option<Value<'_>> {
        let wanted = |entry: &&Entry| entry.value.is_sendable() && self.text(entry.key) == key;
        let entry = self.entries.iter().rev().find(wanted)?;
        Some(match entry.value {
            StoredValue::Text(text) => Value::Text(self.text(text)),
            StoredValue::Number(number) => Value::Number(number),
            StoredValue::Nothing => Value::Absent,
        })
    }

    /// Takes a key out again.
    pub(crate) fn remove(&mut self, key: &str) {
        let text = &self.text;
        self.entries.retain(|entry| match entry.key {
            StoredText::Static(name) => name != key,
            StoredText::Arena { at, len } => text[at as usize..][..len as usize] != *key,
        });
    }

    /// Roughly the bytes held, for the bound on what waits for the worker.
    #[inline]
    pub(crate) fn weight(&self) -> usize {
        let own = self.entries.len() * size_of::<Entry>() + self.text.len();
        if self.rare.is_none() {
            own
        } else {
            own + self.rare_weight()
        }
    }

    #[cold]
    fn rare_weight(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| {
            let structs: usize = rare
                .meta_struct
                .iter()
                .map(|(key, value)| key.len() + value.len())
                .sum();
            let baggage = rare.baggage.as_ref().map_or(0, Baggage::weight);
            let attached: usize = rare.attachments.iter().map(|it| it.weight()).sum();
            512 + structs + baggage + attached + 256 * (rare.links.len() + rare.events.len())
        })
    }

    /// Empties it for the next span.
    pub(crate) fn clear(&mut self) {
        if self.entries.capacity() > KEPT_ENTRIES {
            self.entries = Vec::new();
        }
        if self.text.capacity() > KEPT_TEXT {
            self.text = String::new();
        }
        self.entries.clear();
        self.text.clear();
        self.resource = None;
        self.rare = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_key_is_found() {
        let mut tags = Tags::default();
        tags.extend(&[
            Tag {
                key: "a",
                value: Value::Number(1.0),
            },
            Tag {
                key: "a",
                value: Value::Text("s"),
            },
        ]);
        assert_eq!(tags.get("a"), Some(Value::Text("s")));
        tags.remove("a");
        assert_eq!(tags.get("a"), None);
    }

    #[test]
    fn what_cannot_be_sent_is_not_found() {
        let mut tags = Tags::default();
        for value in [
            Value::Number(f64::NAN),
            Value::Number(f64::INFINITY),
            Value::Absent,
        ] {
            tags.set(&"k".into(), value);
        }
        assert_eq!(tags.get("k"), None);
    }

    #[test]
    fn text_beyond_the_limit_is_counted() {
        let mut tags = Tags::default();
        let long = "x".repeat(TEXT_LIMIT);
        tags.set(&"a".into(), Value::Text(&long));
        tags.set(&"b".into(), Value::Text("more"));
        assert_eq!(tags.get("b"), None);
        assert_eq!(tags.rare.as_ref().map(|rare| rare.left_out), Some(1));
        tags.clear();
        assert_eq!(tags.weight(), 0);
    }

    #[test]
    fn option_and_reference_are_values() {
        let mut seen = Vec::new();
        let mut write = |value: Value<'_>| seen.push(format!("{value:?}"));
        Some(&3u8).with_value(&mut write);
        None::<&str>.with_value(&mut write);
        true.with_value(&mut write);
        assert_eq!(seen, ["Number(3.0)", "Absent", "Static(\"true\")"]);
    }
}
