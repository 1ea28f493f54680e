//! Headers of messages as carriers of context.
//!
//! Names and values are whatever bytes the sender wrote. rdkafka's own look at a header takes the name for UTF-8 and panics where it
//! is not, so names are read from librdkafka itself, by the functions that rdkafka calls: a header whose name is no text is
//! passed over. Where a name repeats, the last header counts.
//!
//! `unsafe` here: three calls of librdkafka on headers that a borrow keeps alive.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use ddtrace_core::propagation::{Carrier, CarrierMut};
use rdkafka::bindings;
use rdkafka::message::{BorrowedHeaders, Header, Headers as _, OwnedHeaders};
use smallvec::SmallVec;

/// Headers of a message that are looked at; a sender that writes more hides them from us only.
const MAX_HEADERS: usize = 1024;

/// A header as librdkafka holds it.
#[derive(Clone, Copy)]
struct Raw<'a> {
    name: &'a CStr,
    /// Nothing is another value than no bytes.
    value: Option<&'a [u8]>,
}

/// The header at an index, if there are so many.
fn at(headers: &BorrowedHeaders, index: usize) -> Option<Raw<'_>> {
    let native: *const bindings::rd_kafka_headers_t = ptr::from_ref(headers).cast();
    let (mut name, mut value, mut size) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0);
    // SAFETY: rdkafka makes a `&BorrowedHeaders` by casting the pointer to librdkafka's headers, which live as long as the
    // borrow and are not written to while it lasts; the three others are ours.
    let error = unsafe {
        bindings::rd_kafka_header_get_all(native, index, &mut name, &mut value, &mut size)
    };
    if error != bindings::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
        return None;
    }
    // SAFETY: librdkafka ends names with a zero, and both name and value live as long as the headers do.
    let name = unsafe { CStr::from_ptr(name) };
    let value = (!value.is_null()).then(|| {
        // SAFETY: as above; `size` is the value's length in bytes.
        unsafe { std::slice::from_raw_parts(value.cast::<u8>(), size) }
    });
    Some(Raw { name, value })
}

/// The headers of a message that has arrived.
pub(crate) struct Incoming<'a> {
    headers: SmallVec<[(&'a str, &'a [u8]); 16]>,
    /// Bytes of all names and values.
    size: usize,
}

impl<'a> Incoming<'a> {
    pub(crate) fn of(headers: Option<&'a BorrowedHeaders>) -> Self {
        let mut this = Self {
            headers: SmallVec::new(),
            size: 0,
        };
        let Some(headers) = headers else {
            return this;
        };
        for index in 0..headers.count().min(MAX_HEADERS) {
            let Some(raw) = at(headers, index) else {
                break;
            };
            this.size += raw.size();
            if let (Ok(name), Some(value)) = (raw.name.to_str(), raw.value) {
                this.headers.push((name, value));
            }
        }
        this
    }

    /// Bytes of all names and values, those that are no text included.
    pub(crate) fn size(&self) -> usize {
        self.size
    }
}

impl Carrier for Incoming<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let mut from_last = self.headers.iter().rev();
        from_last
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| *value)
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.headers.iter().for_each(|(name, _)| visit(name));
    }
}

impl Raw<'_> {
    fn size(&self) -> usize {
        self.name.to_bytes().len() + self.value.map_or(0, <[u8]>::len)
    }

    fn is_named(&self, name: &str) -> bool {
        self.name.to_bytes().eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The headers of a message that is about to be sent: the user's, and behind them what is written here.
///
/// What is written is kept apart, in one piece of memory and mostly on the stack, until all of it is known. librdkafka is
/// then told how many headers there will be, and asked nothing about those that nobody but us has written.
pub(crate) struct Outgoing {
    /// The user's, without those that were written anew.
    given: Option<OwnedHeaders>,
    written: SmallVec<[Place; 8]>,
    /// Names, each followed by its value.
    bytes: SmallVec<[u8; 512]>,
}

/// Where a header is that was written here.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    name: usize,
    value: usize,
}

impl Outgoing {
    pub(crate) fn new(headers: Option<OwnedHeaders>) -> Self {
        Self {
            given: headers,
            written: SmallVec::new(),
            bytes: SmallVec::new(),
        }
    }

    /// Bytes of all names and values.
    pub(crate) fn size(&self) -> usize {
        let given: usize = self.given_ones().map(|raw| raw.size()).sum();
        let written = self.written.iter().map(|it| it.name + it.value);
        given + written.sum::<usize>()
    }

    /// Takes back what was written here if the message would be larger with it than the library allows. `body` is the
    /// size of its value and key.
    pub(crate) fn fit(&mut self, body: usize, largest: usize) {
        /// More than the lengths of a name and a value take.
        const LENGTHS: usize = 10;
        /// More than what every message has takes.
        const MESSAGE: usize = 128;
        let count = self.given_count() + self.written.len();
        if body + self.size() + count * LENGTHS + MESSAGE > largest {
            self.written.clear();
        }
    }

    /// What was written here, for [`Written::strip`], and the headers to send.
    pub(crate) fn into_parts(self) -> (Written, Option<OwnedHeaders>) {
        let written = Written {
            had_none: self.given.is_none(),
            of_user: self.given_count(),
        };
        if self.written.is_empty() {
            return (written, self.given);
        }
        let (places, bytes) = (self.written, self.bytes);
        let headers = self
            .given
            .unwrap_or_else(|| OwnedHeaders::new_with_capacity(places.len()));
        let headers = places.iter().fold(headers, |headers, place| {
            // Names came as text.
            let name = std::str::from_utf8(place.name(&bytes)).unwrap_or_default();
            headers.insert(Header {
                key: name,
                value: Some(place.value(&bytes)),
            })
        });
        (written, Some(headers))
    }

    fn given_count(&self) -> usize {
        self.given.as_ref().map_or(0, |headers| headers.count())
    }

    /// The user's headers, as far as they are looked at.
    fn given_ones(&self) -> impl Iterator<Item = Raw<'_>> {
        let headers = self.given.as_ref().map(OwnedHeaders::as_borrowed);
        let count = headers.map_or(0, BorrowedHeaders::count).min(MAX_HEADERS);
        (0..count).filter_map(move |index| at(headers?, index))
    }

    /// Takes the user's headers of a name away, in whatever spelling: a message that is sent on has the context of whoever
    /// sent it before.
    fn remove(&mut self, name: &str) {
        let spellings = self.given_ones().filter(|raw| raw.is_named(name));
        let spellings: SmallVec<[CString; 1]> = spellings.map(|raw| raw.name.to_owned()).collect();
        if let Some(headers) = &mut self.given {
            for name in &spellings {
                remove(headers, name);
            }
        }
    }
}

impl Place {
    fn name(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.at..][..self.name]
    }

    fn value(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.at + self.name..][..self.value]
    }
}

impl Carrier for Outgoing {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let is_named = |place: &&Place| {
            place
                .name(&self.bytes)
                .eq_ignore_ascii_case(name.as_bytes())
        };
        if let Some(place) = self.written.iter().find(is_named) {
            return Some(place.value(&self.bytes));
        }
        self.given_ones()
            .filter(|raw| raw.is_named(name))
            .filter_map(|raw| raw.value)
            .last()
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.given_ones()
            .filter_map(|raw| raw.name.to_str().ok())
            .for_each(&mut *visit);
        self.written
            .iter()
            .filter_map(|place| std::str::from_utf8(place.name(&self.bytes)).ok())
            .for_each(visit);
    }
}

impl CarrierMut for Outgoing {
    fn set(&mut self, name: &str, value: &[u8]) {
        let bytes = &self.bytes;
        // What was written of it before stays behind among the bytes, which is rare.
        self.written
            .retain(|place| !place.name(bytes).eq_ignore_ascii_case(name.as_bytes()));
        if self.given.is_some() {
            self.remove(name);
        }
        self.written.push(Place {
            at: self.bytes.len(),
            name: name.len(),
            value: value.len(),
        });
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(value);
    }
}

/// Which of a message's headers were written here.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    had_none: bool,
    of_user: usize,
}

impl Written {
    /// The headers as the user gave them, for a message that comes back.
    pub(crate) fn strip(self, headers: Option<OwnedHeaders>) -> Option<OwnedHeaders> {
        if self.had_none {
            return None;
        }
        let mut headers = headers?;
        while headers.count() > self.of_user {
            let last = at(headers.as_borrowed(), headers.count() - 1);
            let Some(name) = last.map(|raw| raw.name.to_owned()) else {
                break;
            };
            remove(&mut headers, &name);
        }
        Some(headers)
    }
}

/// Takes all headers of a name out.
fn remove(headers: &mut OwnedHeaders, name: &CStr) {
    let native: *const bindings::rd_kafka_headers_t = ptr::from_ref(headers.as_borrowed()).cast();
    // SAFETY: the pointer is that of librdkafka's own headers (see `at`), which are ours alone by the exclusive borrow, and
    // nothing is left that points into them.
    unsafe {
        bindings::rd_kafka_header_remove(native.cast_mut(), name.as_ptr());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &[u8])]) -> OwnedHeaders {
        pairs.iter().fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header {
                key,
                value: Some(*value),
            })
        })
    }

    /// rdkafka takes `&str` for a name, so a name that is no text is written by librdkafka itself.
    fn with_a_name_that_is_no_text(headers: OwnedHeaders) -> OwnedHeaders {
        let native: *const bindings::rd_kafka_headers_t =
            ptr::from_ref(headers.as_borrowed()).cast();
        let (name, value) = (b"na\xffme", b"v");
        // SAFETY: as in `remove`; lengths are those of the texts, which librdkafka copies.
        unsafe {
            bindings::rd_kafka_header_add(
                native.cast_mut(),
                name.as_ptr().cast(),
                name.len() as isize,
                value.as_ptr().cast(),
                value.len() as isize,
            );
        }
        headers
    }

    fn list(headers: &OwnedHeaders) -> Vec<(String, Vec<u8>)> {
        let raw = (0..headers.count()).filter_map(|index| at(headers.as_borrowed(), index));
        raw.map(|raw| {
            let name = raw.name.to_string_lossy().into_owned();
            (name, raw.value.unwrap_or_default().to_vec())
        })
        .collect()
    }

    #[test]
    fn any_bytes_can_be_read_and_the_last_of_a_name_counts() {
        let owned = headers(&[
            ("a", b"1"),
            ("Traceparent", b"\xff\xfe"),
            ("traceparent", b"2"),
        ]);
        let owned = with_a_name_that_is_no_text(owned).insert(Header::<&[u8]> {
            key: "empty",
            value: None,
        });
        let incoming = Incoming::of(Some(owned.as_borrowed()));
        assert_eq!(incoming.get("traceparent"), Some(&b"2"[..]));
        assert_eq!(incoming.get("na\u{fffd}me"), None);
        assert_eq!(incoming.get("empty"), None);
        let mut names = Vec::new();
        incoming.keys(&mut |name| names.push(name));
        assert_eq!(names, ["a", "Traceparent", "traceparent"]);
        assert_eq!(incoming.size(), 2 + 13 + 12 + 6 + 5);
        assert_eq!(Incoming::of(None).size(), 0);
    }

    #[test]
    fn what_is_written_replaces_every_spelling_and_keeps_the_rest() {
        let owned = with_a_name_that_is_no_text(headers(&[
            ("mine", b"1"),
            ("TraceParent", b"old"),
            ("traceparent", b"older"),
        ]));
        let mut outgoing = Outgoing::new(Some(owned));
        outgoing.set("traceparent", b"new");
        outgoing.set("other", b"2");
        outgoing.set("other", b"3");
        assert_eq!(outgoing.get("traceparent"), Some(&b"new"[..]));
        assert_eq!(outgoing.size(), 5 + 6 + 14 + 6);
        let (written, sent) = outgoing.into_parts();
        let sent = sent.unwrap();
        let names: Vec<_> = list(&sent).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["mine", "na\u{fffd}me", "traceparent", "other"]);
        let back = written.strip(Some(sent)).unwrap();
        assert_eq!(list(&back).len(), 2, "{:?}", list(&back));
    }

    #[test]
    fn a_message_without_headers_comes_back_without() {
        let mut outgoing = Outgoing::new(None);
        assert_eq!(outgoing.size(), 0);
        outgoing.set("a", b"1");
        let (written, sent) = outgoing.into_parts();
        assert_eq!(
            list(sent.as_ref().unwrap()),
            [("a".to_owned(), b"1".to_vec())]
        );
        assert!(written.strip(sent).is_none());
        let (written, sent) = Outgoing::new(Some(OwnedHeaders::new())).into_parts();
        assert_eq!(written.strip(sent).unwrap().count(), 0);
    }

    #[test]
    fn more_headers_than_are_looked_at_do_no_harm() {
        let mut owned = OwnedHeaders::new();
        for number in 0..MAX_HEADERS + 10 {
            owned = owned.insert(Header {
                key: &number.to_string(),
                value: Some("v"),
            });
        }
        assert_eq!(
            Incoming::of(Some(owned.as_borrowed())).headers.len(),
            MAX_HEADERS
        );
        let mut outgoing = Outgoing::new(Some(owned));
        outgoing.set("traceparent", b"1");
        let (written, sent) = outgoing.into_parts();
        assert_eq!(
            sent.as_ref().map(|sent| sent.count()),
            Some(MAX_HEADERS + 11)
        );
        assert_eq!(
            written.strip(sent).map(|back| back.count()),
            Some(MAX_HEADERS + 10)
        );
    }
}
