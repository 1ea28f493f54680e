//! What context travels in: headers of a request, headers of a message, metadata of a call.
//!
//! Values are bytes, because that is what HTTP and Kafka headers are and because some products put binary values into
//! them. Both traits are object safe, so that the propagators are compiled once and not per library. Reading borrows;
//! whoever copies a value decides how much of it is worth copying.
//!
//! Names are asked for in lower case and found in any case. Maps with CGI-style names, as gateways and serverless
//! events have them, are understood as well: `HTTP_X_DATADOG_TRACE_ID` answers for `x-datadog-trace-id`.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// Something that context is read from.
///
/// ```
/// use ddtrace_core::propagation::Carrier;
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("X-Datadog-Trace-Id", "7".parse()?);
/// assert_eq!(headers.get("x-datadog-trace-id").map(|value| value.as_bytes()), Some(&b"7"[..]));
/// assert_eq!(Carrier::get(&headers, "x-datadog-trace-id"), Some(&b"7"[..]));
/// # Ok::<(), http::header::InvalidHeaderValue>(())
/// ```
pub trait Carrier {
    /// The first value under `name`, which is in lower case; the carrier's own names may be in any case.
    fn get(&self, name: &str) -> Option<&[u8]>;

    /// Hands every value under `name` to `visit`, in order. Carriers with one value per name need not write this.
    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        if let Some(value) = self.get(name) {
            visit(value);
        }
    }

    /// Hands every name to `visit`, as the carrier spells it; for styles whose header names vary.
    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str));
}

/// Something that context is written to.
pub trait CarrierMut {
    /// Sets `name` to one `value`, replacing whatever was there. A value that the carrier cannot hold is left out.
    ///
    /// Names and values of trace context are printable ASCII; other products may write any bytes.
    fn set(&mut self, name: &str, value: &[u8]);

    /// Makes room for so many names, where that spares growing several times.
    fn reserve(&mut self, more: usize) {
        let _ = more;
    }

    /// [`set`](Self::set) under a name that the caller keeps. Carriers that hold [`HeaderName`]s need not parse it; others need not
    /// write this.
    fn set_header(&mut self, name: &HeaderName, value: &[u8]) {
        self.set(name.as_str(), value);
    }
}

impl<C: Carrier + ?Sized> Carrier for &C {
    fn get(&self, name: &str) -> Option<&[u8]> {
        (**self).get(name)
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        (**self).get_all(name, visit);
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        (**self).keys(visit);
    }
}

/// Headers that a message may have or not: none are like an empty map.
impl<C: Carrier> Carrier for Option<C> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.as_ref()?.get(name)
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        if let Some(carrier) = self {
            carrier.get_all(name, visit);
        }
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        if let Some(carrier) = self {
            carrier.keys(visit);
        }
    }
}

/// All values of a name as one, joined by commas (RFC 9110 §5.3); borrowed if there is only one.
///
/// Joining stops before the result would exceed `limit` bytes, so that a sender cannot make us copy more.
pub(crate) fn joined<'a>(
    carrier: &'a dyn Carrier,
    name: &str,
    limit: usize,
) -> Option<Cow<'a, [u8]>> {
    let mut joined: Option<Cow<'a, [u8]>> = None;
    carrier.get_all(name, &mut |value| match &mut joined {
        None => joined = Some(Cow::Borrowed(value)),
        Some(before) if before.len() + 1 + value.len() <= limit => {
            let before = before.to_mut();
            before.push(b',');
            before.extend_from_slice(value);
        }
        Some(_) => {}
    });
    joined
}

/// Up to this many headers a name is compared with each: a look-up parses and hashes it first, which costs as much as thirty
/// comparisons of lengths, and most of the names that are asked for are not there.
const FEW_HEADERS: usize = 24;

impl Carrier for HeaderMap {
    fn get(&self, name: &str) -> Option<&[u8]> {
        if self.len() > FEW_HEADERS {
            return HeaderMap::get(self, name).map(HeaderValue::as_bytes);
        }
        self.iter()
            .find(|(key, _)| key.as_str() == name)
            .map(|(_, value)| value.as_bytes())
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        if self.len() > FEW_HEADERS {
            for value in HeaderMap::get_all(self, name) {
                visit(value.as_bytes());
            }
            return;
        }
        for (key, value) in self {
            if key.as_str() == name {
                visit(value.as_bytes());
            }
        }
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        for name in HeaderMap::keys(self) {
            visit(name.as_str());
        }
    }
}

/// Copies the value once; the names of trace context are not copied.
impl CarrierMut for HeaderMap {
    fn set(&mut self, name: &str, value: &[u8]) {
        let Some(name) = static_name(name).or_else(|| HeaderName::from_bytes(name.as_bytes()).ok())
        else {
            return;
        };
        insert(self, name, value);
    }

    fn reserve(&mut self, more: usize) {
        // The same error, which the insertions meet again.
        let _ = self.try_reserve(more);
    }

    fn set_header(&mut self, name: &HeaderName, value: &[u8]) {
        insert(self, name.clone(), value);
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(value) else {
        return;
    };
    // An error means that the map is at its maximum of 32,768 headers; then the context is lost, not the request.
    let _ = headers.try_insert(name, value);
}

/// Header names that need no allocation; parsing any other name copies it.
fn static_name(name: &str) -> Option<HeaderName> {
    // As a constant a name is checked by the compiler, and made of four words; called at run time it is checked byte by byte.
    macro_rules! names {
        ($($text:literal)*) => {
            match name {
                $($text => {
                    const NAME: HeaderName = HeaderName::from_static($text);
                    NAME
                })*
                _ => return None,
            }
        };
    }
    Some(names! {
        "x-datadog-trace-id"
        "x-datadog-parent-id"
        "x-datadog-sampling-priority"
        "x-datadog-origin"
        "x-datadog-tags"
        "traceparent"
        "tracestate"
        "x-b3-traceid"
        "x-b3-spanid"
        "x-b3-sampled"
        "x-b3-flags"
        "b3"
        "baggage"
    })
}

/// Looks the lower-case name up first; only if it is missing are all names compared.
impl<S: BuildHasher> Carrier for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let exact = HashMap::get(self, name);
        exact
            .or_else(|| {
                self.iter()
                    .find(|(key, _)| is_named(key, name))
                    .map(|(_, value)| value)
            })
            .map(String::as_bytes)
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        self.iter()
            .filter(|(key, _)| is_named(key, name))
            .for_each(|(_, value)| visit(value.as_bytes()));
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        HashMap::keys(self).for_each(|key| visit(key));
    }
}

impl<S: BuildHasher> CarrierMut for HashMap<String, String, S> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.retain(|key, _| !is_named(key, name));
        self.insert(name.to_owned(), String::from_utf8_lossy(value).into_owned());
    }
}

/// Looks the lower-case name up first; only if it is missing are all names compared.
impl Carrier for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let exact = BTreeMap::get(self, name);
        exact
            .or_else(|| {
                self.iter()
                    .find(|(key, _)| is_named(key, name))
                    .map(|(_, value)| value)
            })
            .map(String::as_bytes)
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        self.iter()
            .filter(|(key, _)| is_named(key, name))
            .for_each(|(_, value)| visit(value.as_bytes()));
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        BTreeMap::keys(self).for_each(|key| visit(key));
    }
}

impl CarrierMut for BTreeMap<String, String> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.retain(|key, _| !is_named(key, name));
        self.insert(name.to_owned(), String::from_utf8_lossy(value).into_owned());
    }
}

/// A carrier for headers of a library that no integration knows, held in any way: the headers, and how to look one up.
///
/// ```
/// use ddtrace_core::propagation::{Carrier, ReadWith};
///
/// let headers = [("x-datadog-trace-id", "7"), ("tea", "green")];
/// let carrier = ReadWith(&headers, |headers, name| {
///     Some(headers.iter().find(|(key, _)| *key == name)?.1.as_bytes())
/// });
/// assert_eq!(carrier.get("tea"), Some(&b"green"[..]));
/// ```
///
/// It cannot list its names, which only baggage in the style of OpenTracing needs.
#[derive(Debug)]
pub struct ReadWith<'h, H: ?Sized>(
    /// The headers.
    pub &'h H,
    /// Gives the first value under a name, which is in lower case.
    pub fn(&'h H, &str) -> Option<&'h [u8]>,
);

impl<H: ?Sized> Carrier for ReadWith<'_, H> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        (self.1)(self.0, name)
    }

    fn keys<'a>(&'a self, _: &mut dyn FnMut(&'a str)) {}
}

/// A carrier that hands names and values to a function, likewise for headers of any library.
///
/// ```
/// use ddtrace_core::propagation::{CarrierMut, WriteWith};
///
/// let mut headers = Vec::new();
/// WriteWith(|name: &str, value: &[u8]| headers.push((name.to_owned(), value.to_vec()))).set("tea", b"green");
/// assert_eq!(headers[0].0, "tea");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WriteWith<F>(
    /// Sets a name to one value, replacing whatever was there.
    pub F,
);

impl<F: FnMut(&str, &[u8])> CarrierMut for WriteWith<F> {
    fn set(&mut self, name: &str, value: &[u8]) {
        (self.0)(name, value);
    }
}

/// Headers of messages as many libraries hold them: in order, with values of any bytes.
impl Carrier for Vec<(String, Vec<u8>)> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        let mut of_name = self.iter().filter(|(key, _)| is_named(key, name));
        of_name.next().map(|(_, value)| &**value)
    }

    fn get_all<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&'a [u8])) {
        self.iter()
            .filter(|(key, _)| is_named(key, name))
            .for_each(|(_, value)| visit(value));
    }

    fn keys<'a>(&'a self, visit: &mut dyn FnMut(&'a str)) {
        self.iter().for_each(|(key, _)| visit(key));
    }
}

impl CarrierMut for Vec<(String, Vec<u8>)> {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.retain(|(key, _)| !is_named(key, name));
        self.push((name.to_owned(), value.to_owned()));
    }
}

/// Whether `key`, in any case or as a CGI variable, means the header `name`.
fn is_named(key: &str, name: &str) -> bool {
    const CGI_PREFIX: &[u8] = b"HTTP_";
    let (key, name) = (key.as_bytes(), name.as_bytes());
    if key.len() == name.len() {
        return key.eq_ignore_ascii_case(name);
    }
    key.len() == name.len() + CGI_PREFIX.len()
        && key[..CGI_PREFIX.len()].eq_ignore_ascii_case(CGI_PREFIX)
        && key[CGI_PREFIX.len()..]
            .iter()
            .zip(name)
            .all(|(&of_key, &of_name)| {
                let of_key = if of_key == b'_' { b'-' } else { of_key };
                of_key.eq_ignore_ascii_case(&of_name)
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_searched_in_any_case_and_as_cgi_names() {
        for key in [
            "traceparent",
            "TraceParent",
            "HTTP_TRACEPARENT",
            "http_traceparent",
        ] {
            let map = HashMap::from([(key.to_owned(), "v".to_owned())]);
            assert_eq!(Carrier::get(&map, "traceparent"), Some(&b"v"[..]), "{key}");
            let map = BTreeMap::from([(key.to_owned(), "v".to_owned())]);
            assert_eq!(Carrier::get(&map, "traceparent"), Some(&b"v"[..]), "{key}");
        }
        for key in ["trace-parent", "XHTTP_TRACEPARENT", "HTTP_TRACEPARENTS", ""] {
            let map = HashMap::from([(key.to_owned(), "v".to_owned())]);
            assert_eq!(Carrier::get(&map, "traceparent"), None, "{key}");
        }
        let cgi = BTreeMap::from([("HTTP_X_DATADOG_TRACE_ID".to_owned(), "7".to_owned())]);
        assert_eq!(Carrier::get(&cgi, "x-datadog-trace-id"), Some(&b"7"[..]));
    }

    #[test]
    fn setting_replaces_every_spelling_of_a_name() {
        let mut map = HashMap::from([("TraceParent".to_owned(), "old".to_owned())]);
        CarrierMut::set(&mut map, "traceparent", b"new");
        assert_eq!(
            map,
            HashMap::from([("traceparent".to_owned(), "new".to_owned())])
        );

        let mut headers = HeaderMap::new();
        headers.append("traceparent", HeaderValue::from_static("a"));
        headers.append("traceparent", HeaderValue::from_static("b"));
        CarrierMut::set(&mut headers, "traceparent", b"new");
        assert_eq!(headers.get_all("traceparent").iter().count(), 1);
        assert_eq!(headers["traceparent"], "new");
    }

    #[test]
    fn a_name_that_is_kept_is_as_good_as_its_text() {
        static NAME: HeaderName = HeaderName::from_static("x-of-a-product");
        let mut headers = HeaderMap::new();
        headers.append("X-Of-A-Product", HeaderValue::from_static("a"));
        headers.append("X-Of-A-Product", HeaderValue::from_static("b"));
        headers.set_header(&NAME, b"new");
        headers.set_header(&NAME, b"no\nvalue");
        assert_eq!(headers.get_all(&NAME).iter().collect::<Vec<_>>(), ["new"]);
        let mut map = BTreeMap::from([("X-Of-A-Product".to_owned(), "a".to_owned())]);
        map.set_header(&NAME, b"new");
        let expected = BTreeMap::from([("x-of-a-product".to_owned(), "new".to_owned())]);
        assert_eq!(map, expected);
    }

    #[test]
    fn a_list_of_headers_holds_any_bytes() {
        let mut list = vec![
            ("TraceParent".to_owned(), b"a".to_vec()),
            ("other".to_owned(), b"\xff".to_vec()),
            ("traceparent".to_owned(), b"b".to_vec()),
        ];
        let mut seen = Vec::new();
        Carrier::get_all(&list, "traceparent", &mut |value| seen.push(value));
        assert_eq!(seen, [b"a", b"b"]);
        assert_eq!(Carrier::get(&list, "other"), Some(&b"\xff"[..]));
        CarrierMut::set(&mut list, "traceparent", b"\xfe");
        let expected = [
            ("other".to_owned(), b"\xff".to_vec()),
            ("traceparent".to_owned(), b"\xfe".to_vec()),
        ];
        assert_eq!(list, expected);
    }

    #[test]
    fn a_value_that_headers_cannot_hold_is_left_out() {
        let mut headers = HeaderMap::new();
        CarrierMut::set(&mut headers, "traceparent", b"a\nb");
        CarrierMut::set(&mut headers, "bad name", b"a");
        assert!(headers.is_empty());
    }

    #[test]
    fn several_values_are_joined_within_the_limit() {
        let mut headers = HeaderMap::new();
        for value in ["a=1", "b=2", "c=3"] {
            headers.append("tracestate", HeaderValue::from_static(value));
        }
        assert_eq!(
            joined(&headers, "tracestate", 100).as_deref(),
            Some(&b"a=1,b=2,c=3"[..])
        );
        assert_eq!(
            joined(&headers, "tracestate", 8).as_deref(),
            Some(&b"a=1,b=2"[..])
        );
        assert!(joined(&headers, "other", 8).is_none());
    }

    #[test]
    fn few_headers_and_many_are_searched_alike() {
        for others in [0, FEW_HEADERS, 2 * FEW_HEADERS] {
            let mut headers = HeaderMap::new();
            for other in 0..others {
                let name = HeaderName::from_bytes(format!("x-other-{other}").as_bytes()).unwrap();
                headers.append(name, HeaderValue::from_static("o"));
            }
            for value in ["1", "2"] {
                headers.append("X-Wanted", HeaderValue::from_static(value));
            }
            assert_eq!(Carrier::get(&headers, "x-wanted"), Some(&b"1"[..]));
            assert_eq!(Carrier::get(&headers, "x-want"), None);
            let mut seen = Vec::new();
            Carrier::get_all(&headers, "x-wanted", &mut |value| seen.push(value));
            assert_eq!(seen, [b"1", b"2"], "{others} others");
        }
    }

    #[test]
    fn keys_are_given_as_spelled() {
        let map = BTreeMap::from([
            ("A".to_owned(), String::new()),
            ("b".to_owned(), String::new()),
        ]);
        let mut seen = Vec::new();
        Carrier::keys(&map, &mut |key| seen.push(key));
        assert_eq!(seen, ["A", "b"]);
    }
}
