//! What statistics are grouped by.
//!
//! A key is written as bytes into one buffer that is used again, looked up as bytes, and copied only when it is new: a span
//! of a group that exists costs no allocation. [`Key::read`] takes the bytes apart again for the payload.
//!
//! Source: libdatadog, `libdd-trace-stats/src/span_concentrator/aggregation.rs`; `core.md` §8.

use std::borrow::Cow;

use super::obfuscation::without_addresses;
use crate::export::finished::FinishedSpan;
use crate::text::floor_char_boundary;

/// Stands for what there was too much of.
pub(super) const BLOCKED: &str = "tracer_blocked_value";

/// The agent cuts these so.
const NAME_LIMIT: usize = 100;
const RESOURCE_LIMIT: usize = 5000;
/// Characters of an additional tag; a longer one is blocked.
const ADDITIONAL_LIMIT: usize = 200;

/// No gRPC status.
const NO_STATUS: u8 = u8::MAX;

/// Where a gRPC status may be, best first.
const GRPC_STATUS: [&str; 4] = [
    "rpc.grpc.status_code",
    "grpc.code",
    "rpc.grpc.status.code",
    "grpc.status.code",
];

/// The group of a span.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Key<'a> {
    pub(super) service: &'a str,
    pub(super) name: &'a str,
    pub(super) resource: Cow<'a, str>,
    pub(super) span_type: &'a str,
    pub(super) kind: &'a str,
    pub(super) method: &'a str,
    pub(super) endpoint: &'a str,
    pub(super) service_source: &'a str,
    pub(super) http_status: u32,
    pub(super) grpc_status: Option<u8>,
    pub(super) synthetics: bool,
    /// `None` for the group of what was too much.
    pub(super) is_trace_root: Option<bool>,
    /// Names and values; an empty value means that there is none.
    pub(super) peer_tags: Vec<(&'a str, Cow<'a, str>)>,
    pub(super) additional: Vec<(&'a str, &'a str)>,
}

impl<'a> Key<'a> {
    /// The group of a span with this resource.
    pub(super) fn of(
        span: &'a FinishedSpan<'_>,
        resource: Cow<'a, str>,
        kind: &'a str,
        peer_tags: &'a [String],
        additional: &'a [String],
    ) -> Self {
        let found = Found::in_span(span);
        let endpoint = if found.endpoint.is_empty() {
            found.route
        } else {
            found.endpoint
        };
        Self {
            service: cut(span.service, NAME_LIMIT),
            name: cut(span.name, NAME_LIMIT),
            resource: match resource {
                Cow::Borrowed(text) => cut(text, RESOURCE_LIMIT).into(),
                Cow::Owned(mut text) => {
                    text.truncate(cut(&text, RESOURCE_LIMIT).len());
                    text.into()
                }
            },
            span_type: cut(span.span_type, NAME_LIMIT),
            kind,
            method: found.method,
            endpoint,
            service_source: found.service_source,
            http_status: match found.http_status.map(str::parse) {
                Some(status) => status.unwrap_or(0),
                None => span
                    .metric("http.status_code")
                    .map_or(0, |status| status as u32),
            },
            grpc_status: grpc_status(span, &found.grpc_status),
            synthetics: found.origin.starts_with("synthetics"),
            is_trace_root: Some(span.parent_id == 0),
            peer_tags: peer_tags_of(span, kind, found.base_service, peer_tags),
            additional: additional_of(span, additional),
        }
    }

    /// The group of everything that is in no other because there are too many.
    pub(super) fn overflow() -> Self {
        Self {
            service: BLOCKED,
            name: BLOCKED,
            resource: BLOCKED.into(),
            span_type: BLOCKED,
            kind: BLOCKED,
            method: BLOCKED,
            endpoint: BLOCKED,
            service_source: BLOCKED,
            http_status: 0,
            grpc_status: None,
            synthetics: false,
            is_trace_root: None,
            peer_tags: vec![(BLOCKED, "".into())],
            additional: vec![(BLOCKED, "")],
        }
    }

    /// Appends the key.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        let root = match self.is_trace_root {
            None => 0,
            Some(true) => 1,
            Some(false) => 2,
        };
        bytes.extend(self.http_status.to_le_bytes());
        bytes.extend([
            self.grpc_status.unwrap_or(NO_STATUS),
            u8::from(self.synthetics),
            root,
        ]);
        for text in [
            self.service,
            self.name,
            &self.resource,
            self.span_type,
            self.kind,
            self.method,
            self.endpoint,
            self.service_source,
        ] {
            put(bytes, text);
        }
        bytes.push(self.peer_tags.len().min(255) as u8);
        for (name, value) in self.peer_tags.iter().take(255) {
            put(bytes, name);
            put(bytes, value);
        }
        for (name, value) in &self.additional {
            put(bytes, name);
            put(bytes, value);
        }
    }

    /// Takes apart what [`write`](Self::write) wrote.
    pub(super) fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let http_status = u32::from_le_bytes(*bytes.split_first_chunk().map(|(head, rest)| {
            *bytes = rest;
            head
        })?);
        let [grpc_status, synthetics, root] = *bytes.split_first_chunk().map(|(head, rest)| {
            *bytes = rest;
            head
        })?;
        let mut key = Self {
            http_status,
            grpc_status: (grpc_status != NO_STATUS).then_some(grpc_status),
            synthetics: synthetics != 0,
            is_trace_root: match root {
                0 => None,
                root => Some(root == 1),
            },
            service: get(bytes)?,
            name: get(bytes)?,
            resource: get(bytes)?.into(),
            span_type: get(bytes)?,
            kind: get(bytes)?,
            method: get(bytes)?,
            endpoint: get(bytes)?,
            service_source: get(bytes)?,
            ..Self::default()
        };
        let (&count, rest) = bytes.split_first()?;
        *bytes = rest;
        for _ in 0..count {
            key.peer_tags.push((get(bytes)?, get(bytes)?.into()));
        }
        while !bytes.is_empty() {
            key.additional.push((get(bytes)?, get(bytes)?));
        }
        Some(key)
    }
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u32).to_le_bytes());
    bytes.extend(text.as_bytes());
}

fn get<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

fn cut(text: &str, limit: usize) -> &str {
    if text.len() <= limit {
        text
    } else {
        &text[..floor_char_boundary(text, limit)]
    }
}

/// The tags that any key may need, found in one walk over the span's.
#[derive(Default)]
struct Found<'a> {
    method: &'a str,
    endpoint: &'a str,
    route: &'a str,
    service_source: &'a str,
    origin: &'a str,
    http_status: Option<&'a str>,
    base_service: Option<&'a str>,
    /// In the order of [`GRPC_STATUS`].
    grpc_status: [Option<&'a str>; GRPC_STATUS.len()],
}

impl<'a> Found<'a> {
    fn in_span(span: &'a FinishedSpan<'_>) -> Self {
        let mut found = Self::default();
        for (key, value) in &span.meta {
            match *key {
                "http.method" => found.method = value,
                "http.endpoint" => found.endpoint = value,
                "http.route" => found.route = value,
                "http.status_code" => found.http_status = Some(value),
                "_dd.svc_src" => found.service_source = value,
                "_dd.origin" => found.origin = value,
                "_dd.base_service" => found.base_service = Some(value),
                key if key.contains("grpc") => {
                    if let Some(at) = GRPC_STATUS.iter().position(|known| *known == key) {
                        found.grpc_status[at] = Some(value);
                    }
                }
                _ => {}
            }
        }
        found
    }
}

fn grpc_status(span: &FinishedSpan<'_>, texts: &[Option<&str>]) -> Option<u8> {
    let mut texts = texts.iter().flatten();
    texts.find_map(|text| grpc_code(text)).or_else(|| {
        if !span.metrics.iter().any(|(key, _)| key.contains("grpc")) {
            return None;
        }
        let is_code = |number: &f64| number.fract() == 0.0 && (0.0..255.0).contains(number);
        let mut numbers = GRPC_STATUS.iter().filter_map(|key| span.metric(key));
        numbers.find(is_code).map(|number| number as u8)
    })
}

/// The number of a gRPC status: a number, or a name in any case, with or without `StatusCode.` and underscores.
fn grpc_code(text: &str) -> Option<u8> {
    /// gRPC, `doc/statuscodes.md`; the number is the place.
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALIDARGUMENT",
        "DEADLINEEXCEEDED",
        "NOTFOUND",
        "ALREADYEXISTS",
        "PERMISSIONDENIED",
        "RESOURCEEXHAUSTED",
        "FAILEDPRECONDITION",
        "ABORTED",
        "OUTOFRANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATALOSS",
        "UNAUTHENTICATED",
    ];
    if let Ok(code) = text.parse::<u8>() {
        return Some(code).filter(|code| *code != NO_STATUS);
    }
    let name = text.strip_prefix("StatusCode.").unwrap_or(text);
    if name.len() > 32 || !name.is_ascii() {
        return None;
    }
    let name: String = name
        .chars()
        .filter(|&c| c != '_')
        .map(|c| c.to_ascii_uppercase())
        .collect();
    if name == "CANCELED" {
        return Some(1);
    }
    let code = NAMES.iter().position(|known| *known == name)?;
    Some(code as u8)
}

fn peer_tags_of<'a>(
    span: &'a FinishedSpan<'_>,
    kind: &str,
    base_service: Option<&'a str>,
    names: &'a [String],
) -> Vec<(&'a str, Cow<'a, str>)> {
    let has_peer = ["client", "producer", "consumer"]
        .iter()
        .any(|known| kind.eq_ignore_ascii_case(known));
    if has_peer {
        let tags = names.iter().filter_map(|name| {
            let value = span.meta(name).filter(|value| !value.is_empty())?;
            Some((&**name, without_addresses(value)))
        });
        return tags.collect();
    }
    base_service
        .map(|base| ("_dd.base_service", base.into()))
        .into_iter()
        .collect()
}

fn additional_of<'a>(span: &'a FinishedSpan<'_>, names: &'a [String]) -> Vec<(&'a str, &'a str)> {
    let tags = names.iter().filter_map(|name| {
        let value = span.meta(name).filter(|value| !value.is_empty())?;
        let is_long = value.chars().nth(ADDITIONAL_LIMIT).is_some();
        Some((&**name, if is_long { BLOCKED } else { value }))
    });
    tags.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn grpc_statuses_are_read_from_names_and_numbers() {
        for (text, code) in [
            ("0", Some(0)),
            ("OK", Some(0)),
            ("StatusCode.NOT_FOUND", Some(5)),
            ("not_found", Some(5)),
            ("NotFound", Some(5)),
            ("Canceled", Some(1)),
            ("CANCELLED", Some(1)),
            ("UNAUTHENTICATED", Some(16)),
            ("DATA_LOSS", Some(15)),
            ("255", None),
            ("-1", None),
            ("", None),
            ("NO SUCH", None),
            ("ÜBEL", None),
        ] {
            assert_eq!(grpc_code(text), code, "{text}");
        }
        let status = |span: &FinishedSpan<'_>| Key::of(span, "".into(), "", &[], &[]).grpc_status;
        let mut span = FinishedSpan::default();
        assert_eq!(status(&span), None);
        span.set_metric("grpc.code", 3.0);
        assert_eq!(status(&span), Some(3));
        span.set_metric("rpc.grpc.status_code", 2.5);
        assert_eq!(status(&span), Some(3));
        span.set_meta("grpc.status.code", "UNKNOWN");
        assert_eq!(status(&span), Some(2), "texts come first");
        span.set_meta("rpc.grpc.status.code", "4");
        assert_eq!(status(&span), Some(4), "in the order of the list");
    }

    #[test]
    fn a_long_additional_tag_is_blocked() {
        let names = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let (fits, long) = ("é".repeat(200), "é".repeat(201));
        let mut span = FinishedSpan::default();
        span.set_meta("a", &*fits);
        span.set_meta("b", &*long);
        assert_eq!(
            additional_of(&span, &names),
            [("a", &*fits), ("b", BLOCKED)]
        );
    }

    proptest! {
        #[test]
        fn a_key_comes_apart_as_it_was_put_together(
            texts in proptest::collection::vec("\\PC{0,30}", 13), http_status: u32, grpc_status in 0u8..255,
            root in proptest::option::of(any::<bool>()), synthetics: bool,
        ) {
            let text = |at: usize| &*texts[at];
            let key = Key {
                service: text(0), name: text(1), resource: text(2).into(), span_type: text(3), kind: text(4),
                method: text(5), endpoint: text(6), service_source: text(7), http_status,
                grpc_status: Some(grpc_status), synthetics, is_trace_root: root,
                peer_tags: vec![(text(8), text(9).into())], additional: vec![(text(10), text(11))],
            };
            let mut bytes = Vec::new();
            key.write(&mut bytes);
            prop_assert_eq!(Key::read(&bytes), Some(key));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = Key::read(&bytes);
        }
    }
}
