//! Open spans, finished records, and the two vectors that hold them on the hot path.
//!
//! [`Open`] is a value with one owner: the thread's [`Stack`] while the span is active, or the future or handle that it
//! belongs to otherwise. Leaving a span copies it into a [`Record`]. Both vectors keep their slots in place, filled with
//! empty values when they grow, with a length beside them: `Vec::push` of a type with a destructor costs a landing pad
//! and a spill, a slot costs one bounds check. Invariant: a slot at or above the length holds no tags.

use super::site::Site;
use super::tags::Tags;

/// Marks on an open span.
pub(crate) mod flags {
    /// The lowest span of a visit: when it goes, the buffer goes.
    pub(crate) const BASE: u32 = 1;
    /// No local parent: the local root of its segment.
    pub(crate) const ROOT: u32 = 2;
    /// Counts in the segment, because it can outlive the visit it was started in.
    pub(crate) const COUNTED: u32 = 4;
    /// Ended with an error.
    pub(crate) const ERROR: u32 = 8;
    /// Its future was dropped before it was done.
    pub(crate) const CANCELLED: u32 = 16;
    /// A span below it on the stack ended first.
    pub(crate) const EARLY: u32 = 32;
    /// Ended while others were open above it; taken off the stack when they are.
    pub(crate) const ENDED: u32 = 64;
    /// Not a span of this thread but the mark of an attached context; never recorded.
    pub(crate) const CONTEXT: u32 = 128;
    /// A panic unwound through it.
    pub(crate) const PANICKED: u32 = 256;
    /// Not begun: starts with the first poll of its future.
    pub(crate) const LATER: u32 = 512;
}

/// A span that has begun and not ended: 48 bytes.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) site: &'static Site,
    pub(crate) id: u64,
    pub(crate) parent: u64,
    /// Raw ticks.
    pub(crate) start: u64,
    pub(crate) tags: Option<Box<Tags>>,
    pub(crate) flags: u32,
    /// Numbers of its service and its local parent's.
    pub(crate) service: u16,
    pub(crate) parent_service: u16,
}

static NOWHERE: Site = Site::new("", "", "", "", 0);

impl Open {
    pub(crate) const EMPTY: Self = Self {
        site: &NOWHERE,
        id: 0,
        parent: 0,
        start: 0,
        tags: None,
        flags: 0,
        service: 0,
        parent_service: 0,
    };

    pub(crate) fn take(&mut self) -> Self {
        std::mem::replace(self, Self::EMPTY)
    }
}

/// A finished span: 56 bytes.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) open: Open,
    /// Raw ticks.
    pub(crate) end: u64,
}

/// The open spans of a thread, the active one on top.
pub(crate) struct Stack {
    slots: Vec<Open>,
    len: usize,
}

impl Stack {
    pub(crate) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            len: 0,
        }
    }

    #[inline]
    pub(crate) fn last(&self) -> Option<&Open> {
        // One comparison for "empty" and "in bounds": below zero wraps around.
        self.slots.get(self.len.wrapping_sub(1))
    }

    #[inline]
    pub(crate) fn last_mut(&mut self) -> Option<&mut Open> {
        self.slots.get_mut(self.len.wrapping_sub(1))
    }

    pub(crate) fn open(&self) -> &[Open] {
        &self.slots[..self.len]
    }

    pub(crate) fn open_mut(&mut self) -> &mut [Open] {
        &mut self.slots[..self.len]
    }

    /// The next slot, which becomes the top; nothing if the stack has to [grow](Self::grow) first.
    ///
    /// Its tags are empty; every other field is the caller's to write.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<&mut Open> {
        let slot = self.slots.get_mut(self.len)?;
        self.len += 1;
        Some(slot)
    }

    #[cold]
    #[inline(never)]
    pub(crate) fn grow(&mut self) {
        let more = (self.slots.len() * 2).max(16);
        self.slots.resize_with(more, || Open::EMPTY);
    }

    /// Puts a span on top.
    pub(crate) fn push(&mut self, open: Open) {
        if self.len == self.slots.len() {
            self.grow();
        }
        self.slots[self.len] = open;
        self.len += 1;
    }

    /// Puts a span on top that its owner takes back later; the tags move, the rest is copied.
    #[inline]
    pub(crate) fn put(&mut self, open: &mut Open) {
        if self.len == self.slots.len() {
            self.grow();
        }
        let slot = &mut self.slots[self.len];
        slot.site = open.site;
        slot.id = open.id;
        slot.parent = open.parent;
        slot.start = open.start;
        slot.flags = open.flags;
        slot.service = open.service;
        slot.parent_service = open.parent_service;
        std::mem::swap(&mut slot.tags, &mut open.tags);
        self.len += 1;
    }

    /// Takes the top off; its slot keeps no tags.
    pub(crate) fn pop(&mut self) -> Option<Open> {
        let top = self.last_mut()?.take();
        self.len -= 1;
        Some(top)
    }

    /// Forgets the top, whose tags were taken.
    #[inline]
    pub(crate) fn drop_top(&mut self) {
        self.len -= 1;
    }

    /// Forgets everything, for a forked child.
    pub(crate) fn clear(&mut self) {
        while let Some(open) = self.pop() {
            drop(open);
        }
    }
}

/// The finished spans of a buffer, children before parents.
#[derive(Debug, Default)]
pub(crate) struct Records {
    slots: Vec<Record>,
    len: usize,
}

/// Room for this many from the start: most traces are small, and a pool holds many of them.
const FIRST_RECORDS: usize = 8;

/// A vector that grew beyond this is given back after use.
const KEPT_RECORDS: usize = 512;

impl Records {
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory held by the slots, used or not.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.slots.len() * size_of::<Record>()
    }

    /// Moves a span's fields into the next slot, and its tags with them.
    #[inline]
    pub(crate) fn write(&mut self, open: &mut Open, end: u64) {
        if !self.write_in_place(open, end) {
            self.grow();
            self.write_in_place(open, end);
        }
    }

    /// The same if there is a slot; says so.
    #[inline]
    fn write_in_place(&mut self, open: &mut Open, end: u64) -> bool {
        let Some(slot) = self.slots.get_mut(self.len) else {
            return false;
        };
        slot.open.site = open.site;
        slot.open.id = open.id;
        slot.open.parent = open.parent;
        slot.open.start = open.start;
        slot.open.flags = open.flags;
        slot.open.service = open.service;
        slot.open.parent_service = open.parent_service;
        slot.end = end;
        // A slot above the length has no tags: a swap moves them without a destructor in the way.
        std::mem::swap(&mut slot.open.tags, &mut open.tags);
        self.len += 1;
        true
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let more = (self.slots.len() * 2).max(FIRST_RECORDS);
        self.slots.resize_with(more, || Record {
            open: Open::EMPTY,
            end: 0,
        });
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, Record> {
        self.slots[..self.len].iter()
    }

    /// Empties it for the next segment and hands each span's tags to `reuse`.
    pub(crate) fn clear(&mut self, mut reuse: impl FnMut(Box<Tags>)) {
        for record in &mut self.slots[..self.len] {
            if let Some(tags) = record.open.tags.take() {
                reuse(tags);
            }
        }
        self.len = 0;
        if self.slots.len() > KEPT_RECORDS {
            self.slots = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_what_the_hot_path_was_measured_with() {
        assert_eq!(size_of::<Open>(), 48);
        assert_eq!(size_of::<Record>(), 56);
    }

    #[test]
    fn a_stack_gives_back_what_was_put_on_it() {
        let mut stack = Stack::new();
        for id in 1..=40 {
            stack.push(Open { id, ..Open::EMPTY });
        }
        for id in (1..=40).rev() {
            assert_eq!(stack.last().map(|open| open.id), Some(id));
            assert_eq!(stack.pop().map(|open| open.id), Some(id));
        }
        assert!(stack.pop().is_none());
    }

    #[test]
    fn a_record_takes_the_tags_with_it() {
        let mut records = Records::default();
        let mut open = Open {
            id: 1,
            tags: Some(Box::default()),
            ..Open::EMPTY
        };
        records.write(&mut open, 5);
        assert!(open.tags.is_none());
        assert!(
            records
                .iter()
                .all(|record| record.open.tags.is_some() && record.end == 5)
        );
        let mut reused = 0;
        records.clear(|_| reused += 1);
        assert_eq!((reused, records.len()), (1, 0));
    }
}
