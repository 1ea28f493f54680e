//! Ids: the session's is random, all others are derived from it.
//!
//! So that many processes need no exchange of ids, and a tracer inside of the test's process can
//! compute the id of its parent, an id is the 63 lower bits of a SHA-256 over a label, the session
//! and the names. Names are written with their length in front: `("a", "bc")` and `("ab", "c")` differ.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::TestIdentity;

/// The id of a test session: 63 random bits, not zero.
///
/// ```
/// use ddtrace_ci_visibility::model::{SessionId, TestIdentity};
///
/// let session = SessionId::random();
/// let test = TestIdentity::new("shop", "cart::tests", "adds");
/// assert_eq!(session.span_id(&test, 0), session.span_id(&test, 0));
/// assert_ne!(session.span_id(&test, 0), session.span_id(&test, 1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct SessionId(NonZeroU64);

/// The bits that ids use: the intake takes signed numbers.
const MASK: u64 = u64::MAX >> 1;

impl SessionId {
    /// A new id.
    pub fn random() -> SessionId {
        SessionId(truncated(crate::random::number().to_le_bytes()))
    }

    /// An id that was made elsewhere; `None` for 0 and for numbers of more than 63 bits.
    pub fn new(id: u64) -> Option<SessionId> {
        (id & MASK == id)
            .then(|| NonZeroU64::new(id))?
            .map(SessionId)
    }

    /// The bare number.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// The id of a module.
    pub fn module_id(self, module: &str) -> u64 {
        self.derive("module", &[module])
    }

    /// The id of a suite.
    pub fn suite_id(self, module: &str, suite: &str) -> u64 {
        self.derive("suite", &[module, suite])
    }

    /// The span id of an attempt; the first has number 0.
    pub fn span_id(self, test: &TestIdentity, attempt: u32) -> u64 {
        self.of_attempt("span", test, attempt)
    }

    /// The trace id of an attempt.
    pub fn trace_id(self, test: &TestIdentity, attempt: u32) -> u64 {
        self.of_attempt("trace", test, attempt)
    }

    fn of_attempt(self, label: &str, test: &TestIdentity, attempt: u32) -> u64 {
        let attempt = attempt.to_string();
        let parameters = test.parameters.as_deref().unwrap_or_default();
        let names = [&test.module, &test.suite, &test.name, parameters, &attempt];
        self.derive(label, &names)
    }

    fn derive(self, label: &str, names: &[&str]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.get().to_le_bytes());
        for text in [label].iter().chain(names) {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text.as_bytes());
        }
        let digest = hash.finalize();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        truncated(bytes).get()
    }
}

fn truncated(bytes: [u8; 8]) -> NonZeroU64 {
    NonZeroU64::new(u64::from_le_bytes(bytes) & MASK).unwrap_or(NonZeroU64::MIN)
}

impl From<SessionId> for u64 {
    fn from(id: SessionId) -> u64 {
        id.get()
    }
}

impl TryFrom<u64> for SessionId {
    type Error = &'static str;

    fn try_from(id: u64) -> Result<SessionId, Self::Error> {
        SessionId::new(id).ok_or("expected a session id between 1 and 2^63 - 1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_have_63_bits_and_differ_by_every_part() {
        let session = SessionId::random();
        let mut parameterised = TestIdentity::new("m", "s", "n");
        parameterised.parameters = Some("p".into());
        let test = TestIdentity::new("m", "s", "n");
        let shifted = TestIdentity::new("ms", "", "n");
        let ids = [
            session.get(),
            session.module_id("m"),
            session.module_id("s"),
            session.suite_id("m", "s"),
            session.suite_id("ms", ""),
            session.span_id(&test, 0),
            session.span_id(&test, 1),
            session.span_id(&shifted, 0),
            session.span_id(&parameterised, 0),
            session.trace_id(&test, 0),
            SessionId::random().span_id(&test, 0),
        ];
        assert!(ids.iter().all(|id| *id != 0 && *id >> 63 == 0), "{ids:?}");
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }

    /// The digest is that of Python's `hashlib` over the layout that the module describes.
    #[test]
    fn another_implementation_derives_the_same_id() {
        let session = SessionId::new(1).expect("a valid id");
        assert_eq!(session.module_id("m"), MODULE_ID_BY_HASHLIB);
    }

    const MODULE_ID_BY_HASHLIB: u64 = 5150768797334618158;

    #[test]
    fn ids_from_outside_are_checked() {
        for (id, is_valid) in [(0, false), (1, true), (MASK, true), (MASK + 1, false)] {
            assert_eq!(SessionId::new(id).is_some(), is_valid, "{id}");
        }
        assert!(serde_json::from_str::<SessionId>("0").is_err());
        assert_eq!(
            serde_json::from_str::<SessionId>("7").expect("valid").get(),
            7
        );
    }
}
