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
/// Each look at a header is a call of librdkafka, and so is each comparison of names. So the user's are looked at once, and
/// from then on [`Names`] says of nearly every name that is written that nothing is to be replaced.
pub(crate) struct Outgoing {
    /// Nothing while there are none at all.
    headers: Option<OwnedHeaders>,
    had_none: bool,
    /// How many of them are the user's.
    of_user: usize,
    /// Which names there may be.
    names: Names,
    /// Bytes of all names and values.
    size: usize,
}

/// A set of names that forgets most of each: one that is not in it is not there, in no spelling; one that is in it may be.
#[derive(Clone, Copy, Default)]
struct Names(u64);

impl Names {
    /// Of the names of trace context and of data streams hardly two have the same.
    fn bit(name: &[u8]) -> u64 {
        // Both cases of a letter differ in this bit alone.
        const CASE: u8 = 0x20;
        let last = usize::from(name.last().map_or(0, |last| last | CASE));
        1 << ((name.len() ^ (last << 1)) % 64)
    }

    fn insert(&mut self, name: &[u8]) {
        self.0 |= Self::bit(name);
    }

    fn may_have(self, name: &[u8]) -> bool {
        self.0 & Self::bit(name) != 0
    }
}

impl Outgoing {
    pub(crate) fn new(headers: Option<OwnedHeaders>) -> Self {
        let mut this = Self {
            had_none: headers.is_none(),
            of_user: 0,
            names: Names::default(),
            size: 0,
            headers,
        };
        if this.headers.is_some() {
            this.look_at_all();
        }
        this
    }

    /// Finds out what the user has given.
    fn look_at_all(&mut self) {
        let (mut names, mut size) = (Names::default(), 0);
        for raw in self.iter() {
            names.insert(raw.name.to_bytes());
            size += raw.size();
        }
        (self.names, self.size) = (names, size);
        self.of_user = self.headers.as_ref().map_or(0, |headers| headers.count());
    }

    /// Bytes of all names and values.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    /// Takes back what was written here if the message would be larger with it than the library allows. `body` is the
    /// size of its value and key.
    pub(crate) fn fit(self, body: usize, largest: usize) -> Self {
        /// More than the lengths of a name and a value take.
        const LENGTHS: usize = 10;
        /// More than what every message has takes.
        const MESSAGE: usize = 128;
        let count = self.headers.as_ref().map_or(0, |headers| headers.count());
        if body + self.size + count * LENGTHS + MESSAGE <= largest {
            return self;
        }
        let (written, headers) = self.into_parts();
        Self::new(written.strip(headers))
    }

    /// What was written here, for [`Written::strip`], and the headers to send.
    pub(crate) fn into_parts(self) -> (Written, Option<OwnedHeaders>) {
        let written = Written {
            had_none: self.had_none,
            of_user: self.of_user,
        };
        (written, self.headers)
    }

    fn iter(&self) -> impl Iterator<Item = Raw<'_>> {
        let headers = self.headers.as_ref().map(OwnedHeaders::as_borrowed);
        let count = headers.map_or(0, BorrowedHeaders::count).min(MAX_HEADERS);
        (0..count).filter_map(move |index| at(headers?, index))
    }

    /// Takes out what has a name, in whatever spelling: a message that is sent on has the context of whoever sent it before.
    #[cold]
    fn remove(&mut self, name: &str) {
        let found: SmallVec<[(usize, CString, usize); 1]> = self
            .iter()
            .enumerate()
            .filter(|(_, raw)| raw.is_named(name))
            .map(|(index, raw)| (index, raw.name.to_owned(), raw.size()))
            .collect();
        let of_user = self.of_user;
        self.of_user -= found.iter().filter(|(at, ..)| *at < of_user).count();
        let Some(headers) = &mut self.headers else {
            return;
        };
        for (_, name, size) in &found {
            remove(headers, name);
            self.size -= size;
        }
    }
}

impl Carrier for Outgoing {
    fn get(&self, name: &str) -> Option<&[u8]> {
        if !self.names.may_have(name.as_bytes()) {
            return None;
        }
        self.iter()
            .filter(|raw| raw.is_named(name))
            .filter_map(|raw| raw.value)
            .last()
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.iter()
            .filter_map(|raw| raw.name.to_str().ok())
            .for_each(visit);
    }
}

impl CarrierMut for Outgoing {
    fn set(&mut self, name: &str, value: &[u8]) {
        /// More than trace context and data streams write.
        const USUAL: usize = 10;
        if self.names.may_have(name.as_bytes()) {
            self.remove(name);
        }
        self.names.insert(name.as_bytes());
        self.size += name.len() + value.len();
        let headers = self.headers.take();
        let headers = headers.unwrap_or_else(|| OwnedHeaders::new_with_capacity(USUAL));
        self.headers = Some(headers.insert(Header {
            key: name,
            value: Some(value),
        }));
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
    fn sizes_are_counted_through_everything() {
        let given = headers(&[("baggage", b"old"), ("mine", b"1"), ("Baggage", b"older")]);
        let mut outgoing = Outgoing::new(Some(given));
        assert_eq!(outgoing.size(), 10 + 5 + 12);
        // Names that are told apart only by looking: the same length and last letter.
        for (name, value) in [("luggage", "12"), ("BAGGAGE", "123"), ("garbage", "")] {
            outgoing.set(name, value.as_bytes());
            assert_eq!(outgoing.get(name), Some(value.as_bytes()));
        }
        let size = outgoing.iter().map(|raw| raw.size()).sum::<usize>();
        assert_eq!((outgoing.size(), size), (5 + 9 + 10 + 7, 5 + 9 + 10 + 7));
        let (written, sent) = outgoing.into_parts();
        let back = written.strip(sent).unwrap();
        assert_eq!(list(&back), [("mine".to_owned(), b"1".to_vec())]);
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
