//! Which headers become tags (`DD_TRACE_HEADER_TAGS`).

use std::borrow::Cow;

use crate::propagation::{Carrier, joined};

/// What the tracer itself marks requests of security scans with; always tagged.
const SECURITY_TEST_HEADERS: [&str; 2] = ["x-datadog-endpoint-scan", "x-datadog-security-test"];

/// How long these names are, by themselves and as CGI variables.
const SECURITY_TEST_LENGTHS: [usize; 2] = [
    SECURITY_TEST_HEADERS[0].len(),
    SECURITY_TEST_HEADERS[0].len() + "HTTP_".len(),
];

const _: () = assert!(SECURITY_TEST_HEADERS[0].len() == SECURITY_TEST_HEADERS[1].len());

/// A value that is longer is cut: the rest of it is no tag.
const MAX_VALUE_BYTES: usize = 4096;

/// The headers that become tags, and what these are called.
///
/// ```
/// use std::collections::BTreeMap;
/// use ddtrace_core::http::HeaderTags;
///
/// let headers = BTreeMap::from([("content-type".to_owned(), "text/html".to_owned())]);
/// let mut tags = Vec::new();
/// HeaderTags::parse("Content-Type").of_request(&headers, |key, value| tags.push(format!("{key}={value}")));
/// assert_eq!(tags, ["http.request.headers.content-type=text/html"]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderTags {
    headers: Vec<HeaderTag>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct HeaderTag {
    name: Box<str>,
    request_key: Box<str>,
    response_key: Box<str>,
}

impl HeaderTags {
    /// Reads `Name[:tag]` pairs, separated by commas. A colon without a tag after it is no tag.
    pub fn parse(setting: &str) -> Self {
        let mut tags = Self::default();
        for item in setting.split(',') {
            let (name, key) = item.split_once(':').unwrap_or((item, ""));
            tags.add(name, key);
        }
        tags
    }

    /// Adds one header; an empty `tag` means the name that is made from the header's. The last word about a header holds.
    pub fn add(&mut self, header: &str, tag: &str) {
        let (name, tag) = (header.trim().to_ascii_lowercase(), tag.trim());
        if name.is_empty() {
            return;
        }
        let key = |direction: &str| -> Box<str> {
            if !tag.is_empty() {
                return tag.into();
            }
            let normal = name.chars().map(|character| match character {
                'a'..='z' | '0'..='9' | '_' | '-' | ':' | '/' => character,
                _ => '_',
            });
            format!("http.{direction}.headers.")
                .chars()
                .chain(normal)
                .collect()
        };
        let added = HeaderTag {
            request_key: key("request"),
            response_key: key("response"),
            name: name.into(),
        };
        self.headers.retain(|header| header.name != added.name);
        self.headers.push(added);
    }

    /// The headers and the tags they were given; an empty tag is the default one. For reports of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers.iter().map(|header| {
            let is_default = header.request_key != header.response_key;
            (
                &*header.name,
                if is_default { "" } else { &*header.request_key },
            )
        })
    }

    /// Hands the tags of a request to `set`: those that were asked for, and the marks of security scans.
    pub fn of_request(&self, headers: &dyn Carrier, mut set: impl FnMut(&str, &str)) {
        for header in &self.headers {
            if let Some(value) = value(headers, &header.name) {
                set(&header.request_key, &value);
            }
        }
        // One look at all names instead of one for each: hardly any request has either.
        let mut is_any_as_long = false;
        headers.keys(&mut |name| is_any_as_long |= SECURITY_TEST_LENGTHS.contains(&name.len()));
        if !is_any_as_long {
            return;
        }
        for name in SECURITY_TEST_HEADERS {
            if let Some(value) = value(headers, name) {
                let key = match name {
                    "x-datadog-endpoint-scan" => "http.request.headers.x-datadog-endpoint-scan",
                    _ => "http.request.headers.x-datadog-security-test",
                };
                set(key, &value);
            }
        }
    }

    /// Hands the tags of a response to `set`; a tag that the request had as well is set again.
    pub fn of_response(&self, headers: &dyn Carrier, mut set: impl FnMut(&str, &str)) {
        for header in &self.headers {
            if let Some(value) = value(headers, &header.name) {
                set(&header.response_key, &value);
            }
        }
    }
}

/// All values under a name as one text, trimmed and bounded. Copies only if there are several, or if they are not text.
fn value<'a>(headers: &'a dyn Carrier, name: &str) -> Option<Cow<'a, str>> {
    let bounded = |bytes: &'a [u8]| bytes[..bytes.len().min(MAX_VALUE_BYTES)].trim_ascii();
    Some(match joined(headers, name, MAX_VALUE_BYTES)? {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bounded(bytes)),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(bytes.trim_ascii()).into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn carrier(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// Row E38 as far as it is about header tags, and the setting of row D27.
    ///
    /// The row leaves out the `ua` that the setting asks for, since it takes it for a tag of the reference's own.
    #[test]
    fn headers_become_tags_as_the_table_says() {
        let tags = HeaderTags::parse("X-Foo:foo.tag,Content-Type,X-B3.Z:,User-Agent : ua");
        let request = carrier(&[
            ("X-Foo", "1"),
            ("content-type", "text/html"),
            ("X-B3.Z", "q"),
            ("User-Agent", "UA"),
        ]);
        let response = carrier(&[("Content-Type", "json"), ("X-Foo", "2")]);
        let mut found = BTreeMap::new();
        let mut set = |key: &str, value: &str| {
            found.insert(key.to_owned(), value.to_owned());
        };
        tags.of_request(&request, &mut set);
        tags.of_response(&response, &mut set);
        let expected = carrier(&[
            ("foo.tag", "2"),
            ("http.request.headers.content-type", "text/html"),
            ("http.request.headers.x-b3_z", "q"),
            ("http.response.headers.content-type", "json"),
            ("ua", "UA"),
        ]);
        assert_eq!(found, expected, "E38");

        let tags = HeaderTags::parse("X-A:b,Host");
        assert_eq!(
            tags.iter().collect::<Vec<_>>(),
            [("x-a", "b"), ("host", "")],
            "D27"
        );
    }

    #[test]
    fn values_are_joined_trimmed_and_bounded() {
        let mut headers = http::HeaderMap::new();
        headers.append("x-many", http::HeaderValue::from_static("a"));
        headers.append("x-many", http::HeaderValue::from_static("b "));
        headers.append("x-long", "x".repeat(5000).parse().unwrap());
        headers.append("x-bytes", http::HeaderValue::from_bytes(b"\xff").unwrap());
        let mut found = Vec::new();
        HeaderTags::parse("x-many:m,x-long:l,x-bytes:b,x-none:n")
            .of_request(&headers, |key, value| {
                found.push((key.to_owned(), value.to_owned()))
            });
        let expected = [
            ("m", "a,b".to_owned()),
            ("l", "x".repeat(4096)),
            ("b", "\u{fffd}".to_owned()),
        ];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value)));
    }

    #[test]
    fn marks_of_security_scans_need_no_setting() {
        let headers = carrier(&[("x-datadog-security-test", "1")]);
        let mut found = Vec::new();
        HeaderTags::default()
            .of_request(&headers, |key, value| found.push(format!("{key}={value}")));
        assert_eq!(found, ["http.request.headers.x-datadog-security-test=1"]);
    }
}
