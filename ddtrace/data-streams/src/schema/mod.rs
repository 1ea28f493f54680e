//! Schemas of what messages carry: the span on which something is serialised or deserialised says in what shape.
//!
//! ```
//! use std::sync::LazyLock;
//!
//! use ddtrace_data_streams::schema::{self, Schema};
//!
//! // Of prost or protobuf: the descriptor set that the compiler writes (`file_descriptor_set_path` in a build script).
//! # const DESCRIPTORS: &[u8] = &[];
//! static ORDER: LazyLock<Option<Schema>> = LazyLock::new(|| Schema::protobuf(DESCRIPTORS, "shop.v1.Order"));
//!
//! fn encode(order: &[u8]) -> Vec<u8> {
//!     if let Some(order) = &*ORDER {
//!         schema::serialized(order);
//!     }
//!     // what the library does
//!     # order.to_vec()
//! }
//! # encode(b"");
//! ```
//!
//! A schema is described once, in the words of OpenAPI, and identified by a hash of that description, so that every tracer of Datadog
//! calls the same shape the same: the text is that of the reference to the blank. A description is long, so it is put on a span once
//! in 30 seconds for each of the two operations, only on spans of traces that are known to be kept, together with the
//! number of operations since the last time. Source: dd-trace-py, `ddtrace/internal/datastreams/schemas/` and
//! `ddtrace/contrib/internal/{protobuf,avro}/schema_iterator.py`.
//!
//! No library is named here: descriptors of Protocol Buffers are read as the bytes that every implementation can give, schemas of Avro
//! as their JSON (`apache_avro::Schema::canonical_form`, or the file itself).

mod avro;
mod openapi;
mod protobuf;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use ddtrace_core::sampling::SamplingPriority;
use ddtrace_core::trace::{Tag, Value, active_ids, current_span};

pub use self::openapi::Property;
use self::openapi::{Begin, Definition};
use crate::hash::Fnv1;
use crate::switch;
use crate::time::Nanoseconds;

/// A shape of messages, described once.
#[derive(Clone, Debug)]
pub struct Schema(Arc<Described>);

#[derive(Debug)]
struct Described {
    kind: &'static str,
    name: Box<str>,
    definition: Box<str>,
    id: Box<str>,
}

impl Schema {
    /// A message of Protocol Buffers by its full name (`shop.v1.Order`), out of a serialised `FileDescriptorSet`.
    ///
    /// Nothing if the bytes are no such set, or the message is not in it.
    pub fn protobuf(descriptor_set: &[u8], message: &str) -> Option<Self> {
        let (name, definition) = protobuf::define(descriptor_set, message)?;
        Some(Self::new("protobuf", &name, &definition))
    }

    /// A record of Avro, by the JSON of its schema. Nothing if that is none of a record.
    pub fn avro(json: &str) -> Option<Self> {
        let (name, definition) = avro::define(json)?;
        Some(Self::new("avro", &name, &definition))
    }

    /// An object of JSON, described by hand: its name, and the properties of every object that it consists of, itself included.
    ///
    /// ```
    /// use ddtrace_data_streams::schema::{Property, Schema};
    ///
    /// let user = [
    ///     ("name", Property::of("string")),
    ///     ("age", Property::of("integer").format("int32")),
    ///     ("tags", Property::list(Property::of("string"))),
    /// ];
    /// let user = Schema::json("User", [("User", user)]);
    /// ```
    pub fn json<'a, P>(name: &str, objects: impl IntoIterator<Item = (&'a str, P)>) -> Self
    where
        P: IntoIterator<Item = (&'a str, Property)>,
    {
        let mut definition = Definition::default();
        for (object, properties) in objects {
            if definition.begin(object, 0) != Begin::New {
                continue;
            }
            for (field, property) in properties {
                definition.add(object, field, property);
            }
        }
        Self::new("json", name, &definition)
    }

    fn new(kind: &'static str, name: &str, definition: &Definition) -> Self {
        let definition = definition.to_json();
        let id = Fnv1::new().with(definition.as_bytes()).finish();
        Self(Arc::new(Described {
            kind,
            name: name.into(),
            definition: definition.into(),
            id: id.to_string().into(),
        }))
    }

    /// The description, as JSON.
    pub fn definition(&self) -> &str {
        &self.0.definition
    }

    /// The description's id: a hash as a decimal number.
    pub fn id(&self) -> &str {
        &self.0.id
    }
}

/// Says on the active span that something of this shape was serialised. With the product off it is one relaxed load.
pub fn serialized(schema: &Schema) {
    static SAMPLER: Sampler = Sampler::new();
    track(schema, "serialization", &SAMPLER);
}

/// Says on the active span that something of this shape was deserialised. With the product off it is one relaxed load.
pub fn deserialized(schema: &Schema) {
    static SAMPLER: Sampler = Sampler::new();
    track(schema, "deserialization", &SAMPLER);
}

fn track(schema: &Schema, operation: &'static str, sampler: &Sampler) {
    if !switch::is_on() {
        return;
    }
    let span = current_span();
    if !span.is_recording() {
        return;
    }
    let Described {
        kind,
        name,
        definition,
        id,
    } = &*schema.0;
    let text = |key, value| Tag {
        key,
        value: Value::Text(value),
    };
    span.set_tags(&[
        text("schema.type", kind),
        text("schema.name", name),
        text("schema.operation", operation),
    ]);
    sampler.count();
    let priority = active_ids().and_then(|(_, _, priority)| priority);
    if !priority.is_some_and(SamplingPriority::is_kept) {
        return;
    }
    if let Some(weight) = sampler.sample(Nanoseconds::now().milliseconds()) {
        span.set_tags(&[
            text("schema.definition", definition),
            text("schema.id", id),
            Tag {
                key: "schema.weight",
                value: Value::Number(weight as f64),
            },
        ]);
    }
}

/// Lets one description through in 30 seconds.
#[derive(Debug)]
struct Sampler {
    /// Operations since the last description.
    weight: AtomicU64,
    /// Milliseconds since the epoch.
    last: AtomicI64,
}

impl Sampler {
    const PAUSE: i64 = 30_000;

    const fn new() -> Self {
        Self {
            weight: AtomicU64::new(0),
            last: AtomicI64::new(0),
        }
    }

    fn count(&self) {
        self.weight.fetch_add(1, Ordering::Relaxed);
    }

    /// How many operations the description stands for, if it may be given.
    fn sample(&self, now: i64) -> Option<u64> {
        let last = self.last.load(Ordering::Relaxed);
        // A clock that stepped back far is believed, or nothing would be described until it has caught up.
        let is_due = now >= last + Self::PAUSE || now < last - Self::PAUSE;
        let is_ours = is_due
            && self
                .last
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        is_ours.then(|| self.weight.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// §15.6, made by dd-trace-py 4.16.0.
    #[test]
    fn an_object_by_hand_has_the_id_of_the_reference() {
        const DEFINITION: &str = r#"{"openapi": "3.0.0", "components": {"schemas": {"User": {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer", "format": "int32"}, "tags": {"type": "array", "items": {"type": "string"}}, "status": {"type": "string", "enum": ["A", "B"]}}}}}}"#;
        let user = [
            ("name", Property::of("string")),
            ("age", Property::of("integer").format("int32")),
            ("tags", Property::list(Property::of("string"))),
            ("status", Property::of("string").values(["A", "B"])),
        ];
        let schema = Schema::json("User", [("User", user)]);
        assert_eq!(schema.definition(), DEFINITION);
        assert_eq!(schema.id(), "396375941978911759");
    }

    /// §15.6: 100000, 100001, 129999, 130000 ms.
    #[test]
    fn one_description_goes_through_in_thirty_seconds_and_stands_for_all_since() {
        let sampler = Sampler::new();
        let ask = |now| {
            sampler.count();
            sampler.sample(now)
        };
        let answers = [100_000, 100_001, 129_999, 130_000].map(ask);
        assert_eq!(answers, [Some(1), None, None, Some(3)]);
    }
}
