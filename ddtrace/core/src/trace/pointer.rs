//! Span pointers: links to a thing instead of a span.
//!
//! Who writes an object and who reads it share no context, but both know the object: each links its span to a hash of what
//! identifies it, and the backend joins the two. Source: dd-trace-py, `ddtrace/_trace/_span_pointer.py`; `core.md` §2.4.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::tags::SpanLink;

/// The attribute by which a pointer is known among links.
const KIND: &str = "link.kind";
const POINTER: &str = "span-pointer";

/// The bytes of the hash that are used.
const HASH_BYTES: usize = 16;

/// Whether a span got something from what it points at, or changed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointerDirection {
    /// It read it: whoever wrote it comes before.
    Upstream,
    /// It wrote it: whoever reads it comes after.
    Downstream,
}

impl SpanLink {
    /// A pointer at a thing of a kind (`aws.s3.object`), identified by these parts in their fixed order.
    ///
    /// An object of S3 is bucket, key, and ETag without its quotes; an item of DynamoDB is table, name and value of its first key,
    /// and name and value of the second one or two empty texts, keys sorted by name.
    ///
    /// ```
    /// use ddtrace_core::trace::{PointerDirection, SpanLink};
    ///
    /// let parts = ["some-bucket", "some-key.data", "ab12ef34"];
    /// let pointer = SpanLink::pointer("aws.s3.object", PointerDirection::Downstream, &parts);
    /// assert!(pointer.attributes.contains(&("ptr.hash".into(), "e721375466d4116ab551213fdea08413".into())));
    /// ```
    pub fn pointer(
        kind: impl Into<std::borrow::Cow<'static, str>>,
        direction: PointerDirection,
        parts: &[&str],
    ) -> Self {
        let direction = match direction {
            PointerDirection::Upstream => "u",
            PointerDirection::Downstream => "d",
        };
        Self::default()
            .with_attribute(KIND, POINTER)
            .with_attribute("ptr.kind", kind)
            .with_attribute("ptr.dir", direction)
            .with_attribute("ptr.hash", hash(parts))
    }

    /// Whether it says what it is linked to: a span, or as a pointer a thing.
    pub(crate) fn is_whole(&self) -> bool {
        let target = self.target;
        let has_span = !target.trace_id.is_zero() && !target.span_id.is_zero();
        has_span
            || self
                .attributes
                .iter()
                .any(|(key, value)| key == KIND && value == POINTER)
    }
}

/// The first half of the SHA-256 of the parts, joined by `|`, in hexadecimal.
fn hash(parts: &[&str]) -> String {
    let digest = Sha256::digest(parts.join("|"));
    digest[..HASH_BYTES]
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::{SpanContextId, SpanId, Tags, TraceId};

    /// The reference's own vectors, `tests/tracer/utils_botocore/test_span_pointers.py`.
    #[test]
    fn hashes_are_those_of_other_tracers() {
        for (parts, expected) in [
            (
                &["some-bucket", "some-key.data", "ab12ef34"][..],
                "e721375466d4116ab551213fdea08413",
            ),
            (
                &["some-bucket", "some-key.你好", "ab12ef34"],
                "d1333a04b9928ab462b5c6cadfa401f4",
            ),
            (
                &["some-table", "some-key", "some-value", "", ""],
                "7f1aee721472bcb48701d45c7c7f7821",
            ),
        ] {
            assert_eq!(hash(parts), expected);
        }
    }

    #[test]
    fn a_link_to_nothing_is_left_out_unless_it_is_a_pointer() {
        let target = |trace, span| SpanContextId {
            trace_id: TraceId::new(0, trace),
            span_id: SpanId::new(span),
        };
        let pointer = SpanLink::pointer("k", PointerDirection::Upstream, &["a"]);
        for (link, is_kept) in [
            (SpanLink::new(target(1, 2)), true),
            (SpanLink::new(target(0, 2)), false),
            (SpanLink::new(target(1, 0)), false),
            (pointer, true),
        ] {
            let mut tags = Tags::default();
            tags.add_link(link);
            let rare = tags.rare.unwrap_or_default();
            assert_eq!(
                (rare.links.len(), rare.left_out),
                if is_kept { (1, 0) } else { (0, 1) }
            );
        }
    }
}
