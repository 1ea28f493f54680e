//! Spans of other libraries that ours stand for, and what is written on them.
//!
//! A library that describes its work in a vocabulary of its own (semantic conventions) does so through `tracing` or OpenTelemetry. The
//! bridges to these make spans of ours and tags of the attributes, and know no vocabulary. A product that knows one *follows* such spans:
//!
//! 1. A bridge says [`BridgedSpan`] when a span begins: its name, and the keys that are or may be written on it. A listener that
//!    finds a key of its own puts a [`Follower`] on the span, most do not.
//! 2. The bridge shows the followers every attribute, with its full length and type: first those that the span began with.
//! 3. When the span is about to end, the followers are dropped.
//!
//! A bridge that does not know keys in advance says the event again for a key that is written later, as long as nobody follows.
//!
//! # What it costs
//!
//! A span that nobody follows costs the relaxed load of every dispatch. A follower runs on the thread that writes.
//!
//! # Invariants
//!
//! * A panic in a follower ends with that call, is counted in [`panics`](super::panics), and the bridge goes on.
//! * At most [`FOLLOWERS`] are on one span; more are dropped.

use std::borrow::Cow;
use std::fmt;

use super::listeners::contained;
use super::{Event, Listeners};
use crate::trace::AnySpan;

/// How many followers one span takes.
pub const FOLLOWERS: usize = 4;

/// Looks through keys until one is wanted, and says whether one was.
type AnyKey<'a> = &'a dyn Fn(&mut dyn FnMut(&str) -> bool) -> bool;

/// A span of another library's has begun as one of ours, or is written on and nobody follows it yet.
///
/// Dispatched by bridges on the thread that makes the span or writes on it. A listener may put a [`Follower`] on it.
#[non_exhaustive]
pub struct BridgedSpan<'a> {
    /// The bridge, by its name as an integration.
    pub bridge: &'static str,
    /// What the library calls the span.
    pub name: &'a str,
    keys: AnyKey<'a>,
    followers: Followers,
}

impl fmt::Debug for BridgedSpan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BridgedSpan")
            .field("bridge", &self.bridge)
            .field("name", &self.name)
            .field("followers", &self.followers)
            .finish_non_exhaustive()
    }
}

impl<'a> BridgedSpan<'a> {
    /// Puts the fact together. `keys` shows one key after the other until it is told that one is wanted, and says whether that was so.
    pub fn new(bridge: &'static str, name: &'a str, keys: AnyKey<'a>) -> Self {
        Self {
            bridge,
            name,
            keys,
            followers: Followers::default(),
        }
    }

    /// Whether one of the keys that are or may be written on it is wanted.
    pub fn has_key(&self, mut wanted: impl FnMut(&str) -> bool) -> bool {
        (self.keys)(&mut wanted)
    }

    /// Follows the span from here to its end.
    pub fn follow(&mut self, follower: Box<dyn Follower>) {
        if self.followers.list.len() < FOLLOWERS {
            self.followers.list.push(follower);
        }
    }

    /// The followers that listeners put on it.
    pub fn into_followers(self) -> Followers {
        self.followers
    }
}

impl Event for BridgedSpan<'static> {
    type Payload<'a> = BridgedSpan<'a>;
    const NAME: &'static str = "BridgedSpan";

    fn listeners() -> &'static Listeners<Self> {
        static LISTENERS: Listeners<BridgedSpan<'static>> = Listeners::new();
        &LISTENERS
    }
}

/// What stands in an attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Attribute<'a> {
    /// A text.
    Text(&'a str),
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(f64),
    /// Texts, or whatever else the list has, as texts.
    List(&'a [Cow<'a, str>]),
}

/// Follows one span; dropped when the span is about to end.
///
/// Called on the threads that write, several at once if the library allows that. Must be short, must not block.
pub trait Follower: Send + Sync {
    /// The library gives the span another name.
    fn renamed(&self, name: &str) {
        let _ = name;
    }

    /// Something is written on the span.
    fn written(&self, span: AnySpan<'_>, key: &str, value: Attribute<'_>);
}

/// The followers of one span.
#[derive(Default)]
pub struct Followers {
    list: Vec<Box<dyn Follower>>,
}

impl Followers {
    /// Whether nobody follows.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Tells of another name.
    pub fn renamed(&self, name: &str) {
        for follower in &self.list {
            contained(|| follower.renamed(name));
        }
    }

    /// Shows an attribute.
    pub fn written(&self, mut span: AnySpan<'_>, key: &str, value: Attribute<'_>) {
        for follower in &self.list {
            contained(|| follower.written(span.reborrow(), key, value));
        }
    }
}

impl Drop for Followers {
    fn drop(&mut self) {
        for follower in self.list.drain(..) {
            contained(|| drop(follower));
        }
    }
}

impl fmt::Debug for Followers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Followers").field(&self.list.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::events::{Phase, dispatch, on, panics};
    use crate::trace::Span;

    struct Listening(Arc<Mutex<Vec<String>>>);

    impl Follower for Listening {
        fn renamed(&self, name: &str) {
            self.0.lock().unwrap().push(format!("renamed {name}"));
        }

        fn written(&self, _: AnySpan<'_>, key: &str, value: Attribute<'_>) {
            assert_ne!(key, "kettle.panic", "by design");
            self.0.lock().unwrap().push(format!("{key} {value:?}"));
        }
    }

    impl Drop for Listening {
        fn drop(&mut self) {
            self.0.lock().unwrap().push("dropped".to_owned());
        }
    }

    fn followers(keys: &[&str]) -> Followers {
        let any = |wanted: &mut dyn FnMut(&str) -> bool| keys.iter().any(|key| wanted(key));
        dispatch::<BridgedSpan<'_>>(|| BridgedSpan::new("test", "boil", &any))
            .map(BridgedSpan::into_followers)
            .unwrap_or_default()
    }

    #[test]
    fn who_knows_a_key_follows_to_the_end_whatever_panics() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&seen);
        on::<BridgedSpan<'_>>(Phase::Product, "kettles", move |event| {
            if event.has_key(|key| key.starts_with("kettle.")) {
                for _ in 0..FOLLOWERS + 3 {
                    event.follow(Box::new(Listening(Arc::clone(&shared))));
                }
            }
        });
        assert!(followers(&["cup", "spoon"]).is_empty());
        let followers = followers(&["cup", "kettle.colour"]);
        // Those that were too many are gone already.
        assert_eq!(std::mem::take(&mut *seen.lock().unwrap()), ["dropped"; 3]);
        let mut span = Span::off();
        followers.renamed("simmer");
        let before = panics();
        followers.written((&mut span).into(), "kettle.panic", Attribute::Bool(true));
        // Other tests may panic on purpose in the meantime.
        assert!(panics() >= before + FOLLOWERS as u64);
        followers.written((&mut span).into(), "cup", Attribute::Text("blue"));
        drop(followers);
        let seen = seen.lock().unwrap();
        assert_eq!(seen[..FOLLOWERS], ["renamed simmer"; FOLLOWERS]);
        assert_eq!(
            seen[FOLLOWERS..2 * FOLLOWERS],
            [r#"cup Text("blue")"#; FOLLOWERS]
        );
        assert_eq!(seen[2 * FOLLOWERS..], ["dropped"; FOLLOWERS]);
    }
}
