//! The tags that travel with a trace.

/// What every tag that travels begins with.
pub(super) const PREFIX: &str = "_dd.p.";

/// `_dd.p.*` pairs in the order in which they were first set.
///
/// Two allocations however many there are: one text with all keys and values, one list of lengths. There are rarely
/// more than four, so a lookup walks.
///
/// ```
/// use ddtrace_core::propagation::PropagationTags;
///
/// let mut tags = PropagationTags::default();
/// tags.set("_dd.p.dm", "-4");
/// tags.set("_dd.p.usr.id", "YQ==");
/// tags.set("_dd.p.dm", "-3");
/// assert_eq!(tags.iter().collect::<Vec<_>>(), [("_dd.p.dm", "-3"), ("_dd.p.usr.id", "YQ==")]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct PropagationTags {
    text: String,
    /// Lengths of key and value, which follow each other in `text`.
    lengths: Vec<(u32, u32)>,
}

impl PropagationTags {
    /// The key of the decision maker, the negative number of a sampling mechanism.
    pub const DECISION_MAKER: &'static str = "_dd.p.dm";
    /// The key of the rate that the sampler used.
    pub const KEEP_RATE: &'static str = "_dd.p.ksr";
    /// The key of the products that a trace is kept for, see [`TraceSource`](crate::sampling::TraceSource).
    pub const TRACE_SOURCE: &'static str = "_dd.p.ts";
    /// The key of the upper half of a trace id.
    pub const TRACE_ID_HIGH: &'static str = "_dd.p.tid";

    /// No tags, but room for some.
    pub(super) fn with_capacity(bytes: usize, pairs: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            lengths: Vec::with_capacity(pairs),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = self.text.as_str();
        self.lengths.iter().map(move |&(key, value)| {
            let (key, after_key) = rest.split_at(key as usize);
            let (value, after_value) = after_key.split_at(value as usize);
            rest = after_value;
            (key, value)
        })
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter()
            .find(|&(candidate, _)| candidate == key)
            .map(|(_, value)| value)
    }

    /// Sets `key` to `value`; a key that is there already keeps its place.
    ///
    /// A pair longer than `u32` can say is left out.
    pub fn set(&mut self, key: &str, value: &str) {
        let (Ok(key_length), Ok(value_length)) =
            (u32::try_from(key.len()), u32::try_from(value.len()))
        else {
            return;
        };
        if let Some((index, start)) = self.find(key) {
            let value_start = start + key.len();
            self.text.replace_range(
                value_start..value_start + self.lengths[index].1 as usize,
                value,
            );
            self.lengths[index].1 = value_length;
        } else {
            self.text.reserve(key.len() + value.len());
            self.text.push_str(key);
            self.text.push_str(value);
            self.lengths.push((key_length, value_length));
        }
    }

    /// Sets what `tracestate` calls `t.<name>`; a `~` in its value is a `=`.
    pub(super) fn set_from_tracestate(&mut self, name: &str, value: &str) {
        let is_set = self
            .iter()
            .any(|(key, _)| key.strip_prefix(PREFIX) == Some(name));
        let lengths = (
            u32::try_from(PREFIX.len() + name.len()),
            u32::try_from(value.len()),
        );
        let (false, (Ok(key_length), Ok(value_length))) = (is_set, lengths) else {
            return;
        };
        self.text.push_str(PREFIX);
        self.text.push_str(name);
        for (index, part) in value.split('~').enumerate() {
            if index > 0 {
                self.text.push('=');
            }
            self.text.push_str(part);
        }
        self.lengths.push((key_length, value_length));
    }

    /// Removes `key`, if it is there.
    pub fn remove(&mut self, key: &str) {
        if let Some((index, start)) = self.find(key) {
            let (key_length, value_length) = self.lengths.remove(index);
            self.text.replace_range(
                start..start + key_length as usize + value_length as usize,
                "",
            );
        }
    }

    /// Index of `key` and where it begins in the text.
    fn find(&self, key: &str) -> Option<(usize, usize)> {
        let mut start = 0;
        for (index, (candidate, value)) in self.iter().enumerate() {
            if candidate == key {
                return Some((index, start));
            }
            start += candidate.len() + value.len();
        }
        None
    }
}

/// Equal if the same pairs are in the same order.
impl PartialEq for PropagationTags {
    fn eq(&self, other: &Self) -> bool {
        self.lengths == other.lengths && self.text == other.text
    }
}

impl Eq for PropagationTags {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_survive_change_and_removal_of_their_neighbours() {
        let mut tags = PropagationTags::default();
        assert!(tags.is_empty());
        for (key, value) in [("_dd.p.a", "1"), ("_dd.p.b", "22"), ("_dd.p.c", "")] {
            tags.set(key, value);
        }
        tags.set("_dd.p.b", "a longer value");
        tags.remove("_dd.p.a");
        tags.remove("_dd.p.none");
        assert_eq!(
            tags.iter().collect::<Vec<_>>(),
            [("_dd.p.b", "a longer value"), ("_dd.p.c", "")]
        );
        assert_eq!(
            (tags.len(), tags.get("_dd.p.c"), tags.get("_dd.p.a")),
            (2, Some(""), None)
        );
        tags.set_from_tracestate("d", "~1~~");
        tags.set_from_tracestate("d", "2");
        assert_eq!(tags.get("_dd.p.d"), Some("=1=="));
    }
}
