//! Header tables of messages as carriers of context.
//!
//! A table maps names to values of eighteen types, tables among them. Context is text: a long string, which is what every client
//! writes for one, or whatever else holds bytes. Values of other types are passed over when they are read and stay as they are when
//! others are written. Both are the sender's, so nothing here follows tables within tables further than [`DEPTH`].

use std::collections::BTreeMap;

use ddtrace_core::propagation::{Carrier, CarrierMut};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use smallvec::SmallVec;

/// Headers of a message that are looked at; a sender that writes more hides them from us only.
const MAX_HEADERS: usize = 1024;

/// How deep tables within tables are followed.
const DEPTH: u32 = 16;

/// Bytes of a name, by the protocol.
const LONGEST_NAME: usize = 255;

type Table = BTreeMap<ShortString, AMQPValue>;

/// The headers of a message that has arrived: those that hold bytes, in a row, because a dozen names are asked for.
pub(crate) struct Incoming<'a> {
    headers: SmallVec<[(&'a str, &'a [u8]); 16]>,
    /// Names of all, whatever they hold.
    table: Option<&'a Table>,
}

impl<'a> Incoming<'a> {
    pub(crate) fn of(properties: &'a BasicProperties) -> Self {
        let table = properties.headers().as_ref().map(FieldTable::inner);
        let all = table.into_iter().flatten().take(MAX_HEADERS);
        let headers = all.filter_map(|(name, value)| Some((name.as_str(), bytes(value)?)));
        Self {
            headers: headers.collect(),
            table,
        }
    }

    /// Bytes of all names and values, as the reference counts them.
    pub(crate) fn size(&self) -> usize {
        self.table.map_or(0, |table| size(table, DEPTH))
    }
}

impl Carrier for Incoming<'_> {
    /// Where a name is there in several spellings, the one that is asked for counts.
    fn get(&self, name: &str) -> Option<&[u8]> {
        let mut found = None;
        for (key, value) in &self.headers {
            if key.eq_ignore_ascii_case(name) {
                if *key == name {
                    return Some(value);
                }
                found = found.or(Some(*value));
            }
        }
        found
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.headers.iter().for_each(|(name, _)| visit(name));
    }
}

/// The headers of a message that is about to be sent: the user's, and what is written here.
pub(crate) struct Outgoing {
    table: FieldTable,
    is_changed: bool,
}

impl Outgoing {
    /// A copy: properties do not give their headers away.
    pub(crate) fn of(properties: &BasicProperties) -> Self {
        Self {
            table: properties.headers().clone().unwrap_or_default(),
            is_changed: false,
        }
    }

    /// Bytes of all names and values, as the reference counts them.
    pub(crate) fn size(&self) -> usize {
        size(self.table.inner(), DEPTH)
    }

    /// The properties with these headers, unless a frame with them is one that the peer does not take.
    pub(crate) fn write_to(
        self,
        properties: BasicProperties,
        takes: impl FnOnce(usize) -> bool,
    ) -> BasicProperties {
        /// More than everything takes that a frame has besides the headers: nine short texts and a few numbers.
        const ELSE: usize = 9 * (1 + LONGEST_NAME) + 64;
        let size = encoded(self.table.inner(), DEPTH);
        if !self.is_changed || !size.is_some_and(|size| takes(size + ELSE)) {
            return properties;
        }
        properties.with_headers(self.table)
    }
}

impl Carrier for Outgoing {
    fn get(&self, name: &str) -> Option<&[u8]> {
        find(self.table.inner(), name)
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        names(self.table.inner(), visit);
    }
}

impl CarrierMut for Outgoing {
    fn set(&mut self, name: &str, value: &[u8]) {
        set(&mut self.table, name, value);
        self.is_changed = true;
    }
}

/// A table to read context from and to write it to by hand: for `ddtrace::extract` and `ddtrace::inject`, or a checkpoint of data streams.
///
/// ```
/// use ddtrace_core::propagation::{Carrier as _, CarrierMut as _};
/// use lapin::types::FieldTable;
///
/// let mut table = FieldTable::default();
/// ddtrace_lapin::table(&mut table).set("x-order-id", b"42");
/// assert_eq!(ddtrace_lapin::table(&mut table).get("x-order-id"), Some(&b"42"[..]));
/// ```
pub fn table(table: &mut FieldTable) -> impl Carrier + CarrierMut + '_ {
    InPlace(table)
}

struct InPlace<'a>(&'a mut FieldTable);

impl Carrier for InPlace<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        find(self.0.inner(), name)
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        names(self.0.inner(), visit);
    }
}

impl CarrierMut for InPlace<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        set(self.0, name, value);
    }
}

/// The headers of a message, to read context from by hand: for `ddtrace::extract`, or a checkpoint of data streams.
///
/// ```
/// use ddtrace_core::propagation::Carrier as _;
/// use lapin::message::Delivery;
///
/// fn order_id(delivery: &Delivery) -> Option<String> {
///     let headers = ddtrace_lapin::carrier(&delivery.properties);
///     let id = headers.get("x-order-id")?;
///     Some(String::from_utf8_lossy(id).into_owned())
/// }
/// # let _ = order_id;
/// ```
pub fn carrier(properties: &BasicProperties) -> impl Carrier + '_ {
    Incoming::of(properties)
}

/// Writes context into headers by hand, for messages that are sent by a channel that is not watched. Headers of the same names
/// are replaced.
///
/// ```
/// use ddtrace_core::propagation::Carrier as _;
/// use lapin::BasicProperties;
///
/// let properties = BasicProperties::default().with_content_type("text/plain".into());
/// let properties = ddtrace_lapin::write_headers(properties, |headers| {
///     headers.set("x-order-id", b"42");
/// });
/// assert_eq!(ddtrace_lapin::carrier(&properties).get("x-order-id"), Some(&b"42"[..]));
/// ```
pub fn write_headers(
    properties: BasicProperties,
    write: impl FnOnce(&mut dyn CarrierMut),
) -> BasicProperties {
    let mut headers = Outgoing::of(&properties);
    write(&mut headers);
    headers.write_to(properties, |_| true)
}

fn set(table: &mut FieldTable, name: &str, value: &[u8]) {
    if name.len() > LONGEST_NAME {
        return;
    }
    // A message that is sent on has the context of whoever sent it before, in whatever spelling.
    let is_other =
        |key: &ShortString| key.as_str() != name && key.as_str().eq_ignore_ascii_case(name);
    if table.inner().keys().any(is_other) {
        let mut rest = table.inner().clone();
        rest.retain(|key, _| !is_other(key));
        *table = rest.into();
    }
    let value = AMQPValue::LongString(LongString::from(value));
    table.insert(ShortString::from(name), value);
}

fn find<'a>(table: &'a Table, name: &str) -> Option<&'a [u8]> {
    if let Some(value) = table.get(name) {
        return bytes(value);
    }
    let mut all = table.iter().take(MAX_HEADERS);
    let (_, value) = all.find(|(key, _)| key.as_str().eq_ignore_ascii_case(name))?;
    bytes(value)
}

fn names<'a>(table: &'a Table, visit: &mut dyn FnMut(&'a str)) {
    let names = table.keys().take(MAX_HEADERS);
    names.map(ShortString::as_str).for_each(visit);
}

fn bytes(value: &AMQPValue) -> Option<&[u8]> {
    match value {
        AMQPValue::LongString(text) => Some(text.as_bytes()),
        AMQPValue::ShortString(text) => Some(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => Some(bytes.as_slice()),
        _ => None,
    }
}

/// Bytes of names and texts, in tables within the table as well; everything else counts nothing
/// (dd-trace-py, `ddtrace/internal/datastreams/utils.py`).
fn size(table: &Table, depth: u32) -> usize {
    let of = |value: &AMQPValue| match value {
        AMQPValue::FieldTable(table) if depth > 0 => size(table.inner(), depth - 1),
        value => bytes(value).map_or(0, <[u8]>::len),
    };
    table
        .iter()
        .map(|(name, value)| name.as_str().len() + of(value))
        .sum()
}

/// Bytes of a table in a frame (AMQP 0-9-1 §4.2.5.5 and RabbitMQ's types of fields); nothing for one that is deeper than is looked.
fn encoded(table: &Table, depth: u32) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    table.iter().try_fold(4, |size, (name, value)| {
        Some(size + 1 + name.as_str().len() + encoded_value(value, depth)?)
    })
}

/// The same for one value with its type.
fn encoded_value(value: &AMQPValue, depth: u32) -> Option<usize> {
    let bytes = match value {
        AMQPValue::Void => 0,
        AMQPValue::Boolean(_) | AMQPValue::ShortShortInt(_) | AMQPValue::ShortShortUInt(_) => 1,
        AMQPValue::ShortInt(_) | AMQPValue::ShortUInt(_) => 2,
        AMQPValue::LongInt(_) | AMQPValue::LongUInt(_) | AMQPValue::Float(_) => 4,
        AMQPValue::DecimalValue(_) => 5,
        AMQPValue::LongLongInt(_) | AMQPValue::Double(_) | AMQPValue::Timestamp(_) => 8,
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::LongString(text) => 4 + text.len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.len(),
        AMQPValue::FieldTable(table) => encoded(table.inner(), depth)?,
        AMQPValue::FieldArray(array) => {
            let depth = depth.checked_sub(1)?;
            let mut values = array.as_slice().iter();
            values.try_fold(4, |size, value| Some(size + encoded_value(value, depth)?))?
        }
    };
    Some(1 + bytes)
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
