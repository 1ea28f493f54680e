//! The hashes that identify nodes of a pathway: FNV-1, 64 bits (multiply, then exclusive or; **not** FNV-1a).
//!
//! A node is its service, environment, process tags and edge tags, one behind the other without separators; a pathway is a
//! node and the pathway before it. Every tracer of Datadog computes the same number for the same node. Source: dd-trace-py,
//! `ddtrace/internal/datastreams/processor.py` and `ddtrace/internal/utils/fnv.py`.

/// A hash in the making. Bytes can be added in pieces: the result is that of all of them in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fnv1(u64);

impl Fnv1 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;

    pub(crate) const fn new() -> Self {
        Self(Self::OFFSET)
    }

    #[must_use]
    pub(crate) fn with(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(Self::PRIME) ^ u64::from(*byte);
        }
        self
    }

    pub(crate) const fn finish(self) -> u64 {
        self.0
    }
}

/// The hash of some bytes.
#[cfg(test)]
fn fnv1(bytes: &[u8]) -> u64 {
    Fnv1::new().with(bytes).finish()
}

/// What all nodes of a process have in common, hashed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Node(Fnv1);

impl Node {
    /// A missing environment counts as `none`. `process_tags` are joined by commas; nothing if they are switched off. The hash
    /// of the container's tags comes from the agent and is empty until it is known.
    pub(crate) fn new(
        service: &str,
        env: Option<&str>,
        process_tags: Option<&str>,
        container_tags_hash: &str,
    ) -> Self {
        let hash = Fnv1::new()
            .with(service.as_bytes())
            .with(env.unwrap_or("none").as_bytes());
        Self(match process_tags {
            Some(tags) => {
                let base = Fnv1::new()
                    .with(tags.as_bytes())
                    .with(container_tags_hash.as_bytes());
                hash.with(&base.finish().to_le_bytes())
            }
            None => hash,
        })
    }

    /// The hash of the pathway that reaches this node by way of `parent`. The tags have to be sorted by their bytes.
    pub(crate) fn hash<'a>(&self, tags: impl IntoIterator<Item = &'a str>, parent: u64) -> u64 {
        let node = tags
            .into_iter()
            .fold(self.0, |hash, tag| hash.with(tag.as_bytes()));
        Fnv1::new()
            .with(&node.finish().to_le_bytes())
            .with(&parent.to_le_bytes())
            .finish()
    }
}

/// A hash as decimal text, which spans carry; in place, since a span copies it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    /// The text is at the end.
    bytes: [u8; Self::LONGEST],
    begin: usize,
}

impl Decimal {
    const LONGEST: usize = 20;

    pub(crate) fn new(mut hash: u64) -> Self {
        let (mut bytes, mut begin) = ([b'0'; Self::LONGEST], Self::LONGEST);
        loop {
            begin -= 1;
            bytes[begin] = b'0' + (hash % 10) as u8;
            hash /= 10;
            if hash == 0 || begin == 0 {
                return Self { bytes, begin };
            }
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[self.begin..]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of §15.1, made by dd-trace-py 4.16.0.
    #[test]
    fn texts_have_the_hashes_of_the_reference() {
        for (text, expected) in [
            ("", 14_695_981_039_346_656_037),
            ("a", 12_638_153_115_695_167_422),
            ("foobar", 3_750_802_935_296_928_194),
            ("hello", 8_883_723_591_023_973_575),
            ("topic:orders", 14_954_763_571_282_231_091),
            ("direction:out", 3_129_902_973_905_163_886),
            (
                "checkoutproddirection:outtopic:orderstype:kafka",
                12_291_548_158_607_182_529,
            ),
        ] {
            assert_eq!(fnv1(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn pieces_hash_as_the_whole() {
        let whole = Fnv1::new().with(b"checkoutprod");
        assert_eq!(Fnv1::new().with(b"checkout").with(b"prod"), whole);
    }

    /// Rows V9 and V10: the digest of the process tags.
    #[test]
    fn process_tags_have_the_digest_of_the_reference() {
        const TAGS: &str = "entrypoint.basedir:app,entrypoint.name:worker,entrypoint.type:script,\
                            entrypoint.workdir:srv,svc.user:true";
        for (container, expected) in [
            ("container-hash-123", 3_059_293_037_080_301_305_u64),
            ("", 5_957_115_907_604_155_752),
        ] {
            let node = Node::new("checkout", Some("prod"), Some(TAGS), container);
            let by_hand = Fnv1::new()
                .with(b"checkoutprod")
                .with(&expected.to_le_bytes());
            assert_eq!(node, Node(by_hand), "{container}");
        }
    }

    #[test]
    fn decimal_text_is_that_of_the_standard_library() {
        for shift in 0..64 {
            for hash in [
                u64::MAX >> shift,
                1 << shift,
                0,
                10,
                99,
                12_638_153_115_695_167_422,
            ] {
                assert_eq!(Decimal::new(hash).as_str(), hash.to_string());
            }
        }
    }
}
