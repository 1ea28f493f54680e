//! Baggage: what a program sends along with its requests, for services further on.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// Keys and values of the user's own that travel with a trace, in the order in which they were first set.
///
/// A copy is one addition to a counter: spans and contexts share the list until one of them changes its own.
///
/// It holds at most [`MAX_ITEMS`](Self::MAX_ITEMS) items and [`MAX_BYTES`](Self::MAX_BYTES) bytes; what would exceed that
/// is left out. Headers carry less: see [`propagation`](super).
///
/// ```
/// use ddtrace_core::propagation::Baggage;
///
/// let mut baggage = Baggage::new();
/// baggage.set("user.id", "u1");
/// baggage.set("tier", "gold");
/// baggage.set("user.id", "u2");
/// assert_eq!(baggage.get("user.id"), Some("u2"));
/// assert_eq!(baggage.iter().collect::<Vec<_>>(), [("user.id", "u2"), ("tier", "gold")]);
/// ```
#[derive(Clone, Default)]
pub struct Baggage {
    /// Nothing if it is empty, which costs no allocation.
    items: Option<Arc<Vec<Item>>>,
    /// Nothing, or an empty list, if there is none. What is handed down along with it and never leaves the process: see [`Inherited`](crate::trace::Inherited).
    values: Option<Arc<Vec<InnerValue>>>,
}

type Item = (Box<str>, Box<str>);

/// A value by its owner's name.
type InnerValue = (&'static str, AnyValue);

/// A value of a type that its owner knows.
pub(crate) type AnyValue = Arc<dyn Any + Send + Sync>;

impl Baggage {
    /// How many items it holds.
    pub const MAX_ITEMS: usize = 256;
    /// How many bytes of keys and values it holds.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// No baggage.
    pub const fn new() -> Self {
        Self {
            items: None,
            values: None,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_none()
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.items.as_ref().map_or(0, |items| items.len())
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter()
            .find(|&(candidate, _)| candidate == key)
            .map(|(_, value)| value)
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let items = self.items.iter().flat_map(|items| items.iter());
        items.map(|(key, value)| (&**key, &**value))
    }

    /// Sets `key` to `value`; a key that is there already keeps its place. False if there is no room.
    pub fn set(&mut self, key: &str, value: &str) -> bool {
        let others: usize = self
            .iter()
            .filter(|&(candidate, _)| candidate != key)
            .map(|(key, value)| key.len() + value.len())
            .sum();
        if others + key.len() + value.len() > Self::MAX_BYTES {
            return false;
        }
        let items = Arc::make_mut(self.items.get_or_insert_default());
        if let Some((_, old)) = items.iter_mut().find(|(candidate, _)| **candidate == *key) {
            *old = value.into();
        } else if items.len() < Self::MAX_ITEMS {
            items.push((key.into(), value.into()));
        } else {
            return false;
        }
        true
    }

    /// Removes `key`, if it is there.
    pub fn remove(&mut self, key: &str) {
        if self.get(key).is_none() {
            return;
        }
        if self.len() == 1 {
            self.items = None;
        } else if let Some(items) = &mut self.items {
            Arc::make_mut(items).retain(|(candidate, _)| **candidate != *key);
        }
    }

    /// Bytes of keys and values.
    pub(crate) fn weight(&self) -> usize {
        self.iter()
            .map(|(key, value)| key.len() + value.len())
            .sum()
    }

    /// Whether there is nothing to hand down, values included.
    pub(crate) fn holds_nothing(&self) -> bool {
        let has_values = |values: &Arc<Vec<InnerValue>>| !values.is_empty();
        self.items.is_none() && !self.values.as_ref().is_some_and(has_values)
    }

    /// The value that an owner has put in.
    pub(crate) fn value(&self, owner: &'static str) -> Option<&AnyValue> {
        let values = self.values.as_ref()?;
        let (_, value) = values.iter().find(|(name, _)| is_same(name, owner))?;
        Some(value)
    }

    /// Puts a value in, in place of the owner's earlier one, or takes it out. Gives the earlier one.
    ///
    /// A list that nobody shares is changed where it is, and stays when it becomes empty: the next value costs no allocation.
    pub(crate) fn swap_value(
        &mut self,
        owner: &'static str,
        value: Option<AnyValue>,
    ) -> Option<AnyValue> {
        if value.is_none() && self.value(owner).is_none() {
            return None;
        }
        let values = Arc::make_mut(self.values.get_or_insert_default());
        let place = values.iter().position(|(name, _)| is_same(name, owner));
        match (place, value) {
            (Some(at), Some(value)) => Some(std::mem::replace(&mut values[at].1, value)),
            (Some(at), None) => Some(values.remove(at).1),
            (None, value) => {
                values.extend(value.map(|value| (owner, value)));
                None
            }
        }
    }

    /// Removes every item.
    pub fn clear(&mut self) {
        self.items = None;
    }
}

/// Whether two names are one: mostly they are one static.
#[inline]
fn is_same(one: &'static str, other: &'static str) -> bool {
    std::ptr::eq(one, other) || one == other
}

impl fmt::Debug for Baggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Equal if the same items are in the same order.
impl PartialEq for Baggage {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Baggage {}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Baggage {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(items: I) -> Self {
        let mut baggage = Self::new();
        for (key, value) in items {
            baggage.set(key.as_ref(), value.as_ref());
        }
        baggage
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_the_other_one_changes() {
        let mut one: Baggage = [("a", "1"), ("b", "2")].into_iter().collect();
        let before = one.clone();
        one.set("a", "3");
        one.remove("b");
        one.remove("none");
        assert_eq!(one.iter().collect::<Vec<_>>(), [("a", "3")]);
        assert_eq!(before.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
        one.remove("a");
        assert!(one.is_empty() && one == Baggage::new());
        let mut cleared = before.clone();
        cleared.clear();
        assert_eq!((cleared.len(), before.len()), (0, 2));
    }

    #[test]
    fn values_are_put_in_taken_out_and_not_seen_by_copies() {
        let number = |value: &AnyValue| *value.downcast_ref::<u32>().unwrap();
        let mut one = Baggage::new();
        assert!(one.swap_value("a", None).is_none() && one.holds_nothing());
        assert!(one.swap_value("a", Some(Arc::new(1_u32))).is_none());
        assert!(one.swap_value("b", Some(Arc::new(2_u32))).is_none());
        let copy = one.clone();
        let before = one.swap_value("a", Some(Arc::new(3_u32)));
        assert_eq!(before.as_ref().map(number), Some(1));
        assert_eq!(one.swap_value("b", None).as_ref().map(number), Some(2));
        assert_eq!(one.value("a").map(number), Some(3));
        assert!(one.value("b").is_none() && !one.holds_nothing());
        assert_eq!(one.swap_value("a", None).as_ref().map(number), Some(3));
        assert!(one.holds_nothing() && one.is_empty());
        assert_eq!(copy.value("a").map(number), Some(1));
        assert_eq!(copy.value("b").map(number), Some(2));
    }

    #[test]
    fn what_exceeds_the_bounds_is_left_out() {
        let mut baggage = Baggage::new();
        for number in 0..Baggage::MAX_ITEMS {
            assert!(baggage.set(&format!("k{number}"), "v"));
        }
        assert!(!baggage.set("one more", "v"));
        assert!(baggage.set("k0", "changed"));
        assert!(!baggage.set("k0", &"x".repeat(Baggage::MAX_BYTES)));
        assert_eq!(baggage.get("k0"), Some("changed"));
        assert_eq!(baggage.len(), Baggage::MAX_ITEMS);
    }
}
