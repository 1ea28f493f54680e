//! Visits: which buffer the thread has in hand, where it comes from and where it goes.

use std::sync::Arc;

use super::Local;
use crate::trace::id::TraceId;
use crate::trace::open::flags;
use crate::trace::segment::{Buffer, Segment};
use crate::trace::site::Site;

impl Local {
    /// Begins a visit of a new segment with a trace id of its own.
    pub(super) fn open_segment(&mut self, site: &'static Site) -> bool {
        let random = self.trace_low();
        let forks = self.forks;
        let Some(port) = self.port.as_ref().filter(|port| port.tracer.is_enabled()) else {
            return false;
        };
        let trace_id = port.tracer.new_trace_id(random);
        let mut buffer = match self.spare.take().or_else(|| port.outbox.take_free()) {
            Some(buffer) => buffer,
            None => Buffer::new(port.tracer.new_segment(trace_id, site)),
        };
        // Recycled unless a context still points at it.
        match Arc::get_mut(&mut buffer.segment)
            .filter(|segment| Arc::ptr_eq(&segment.tracer, &port.tracer))
        {
            Some(segment) => {
                segment.reset(trace_id, forks, site);
                segment.root_service = Site::service_of(site.word()).0;
            }
            None => buffer.segment = port.tracer.new_segment(trace_id, site),
        }
        self.begin_visit(buffer);
        true
    }

    /// A head for a segment, which `fill_in` sees before it is shared. That of the spare buffer, which the first visit will take,
    /// unless something still points at it.
    pub(crate) fn new_segment(
        &mut self,
        site: &'static Site,
        trace_id: Option<TraceId>,
        fill_in: impl FnOnce(&mut Segment),
    ) -> Option<Arc<Segment>> {
        let random = self.trace_low();
        let port = self.port.as_ref()?;
        let trace_id = trace_id.unwrap_or_else(|| port.tracer.new_trace_id(random));
        if self.spare.is_none() {
            self.spare = port.outbox.take_free();
        }
        let idle = self
            .spare
            .as_mut()
            .filter(|buffer| Arc::ptr_eq(&buffer.segment.tracer, &port.tracer));
        if let Some(buffer) = idle {
            if let Some(segment) = Arc::get_mut(&mut buffer.segment) {
                segment.reset(trace_id, self.forks, site);
                fill_in(segment);
                return Some(Arc::clone(&buffer.segment));
            }
        }
        let mut segment = Segment::new(Arc::clone(&port.tracer), trace_id, self.forks, site);
        fill_in(&mut segment);
        Some(Arc::new(segment))
    }

    /// A buffer for a segment that exists.
    pub(crate) fn buffer_for(&mut self, segment: &Arc<Segment>) -> Box<Buffer> {
        let free = self
            .spare
            .take()
            .or_else(|| self.port.as_ref()?.outbox.take_free());
        match free {
            Some(mut buffer) => {
                buffer.segment = Arc::clone(segment);
                buffer
            }
            None => Buffer::new(Arc::clone(segment)),
        }
    }

    /// Takes a buffer in hand.
    pub(crate) fn begin_visit(&mut self, buffer: Box<Buffer>) {
        if let Some(outer) = self.buffer.replace(buffer) {
            self.shelf.push(outer);
        }
    }

    /// Gives the buffer in hand away and takes the interrupted one back.
    pub(crate) fn end_visit(&mut self) -> Option<Box<Buffer>> {
        let buffer = self.buffer.take();
        self.buffer = self.shelf.pop();
        buffer
    }

    /// Whether the visit in hand is one of this segment.
    pub(crate) fn is_visiting(&self, segment: &Arc<Segment>) -> bool {
        self.buffer
            .as_ref()
            .is_some_and(|buffer| Arc::ptr_eq(&buffer.segment, segment))
    }

    /// Hands a chunk to the worker of its tracer.
    #[inline(never)]
    pub(crate) fn hand_over(&mut self, mut buffer: Box<Buffer>) {
        if buffer.spans.is_empty() && buffer.rest.is_empty() {
            // A context was attached and nothing happened under it.
            buffer.clear();
            self.spare = Some(buffer);
            return;
        }
        match &self.port {
            Some(port) if Arc::ptr_eq(&port.tracer, &buffer.segment.tracer) => {
                let result = port.outbox.put(buffer);
                if result.wake {
                    port.tracer.wake_worker();
                }
                if result.free.is_some() {
                    self.spare = result.free;
                }
            }
            _ => hand_over_shared(buffer),
        }
    }

    /// Counts the end of a visit whose buffer is this, and hands over what is complete.
    pub(crate) fn close(&mut self, buffer: Box<Buffer>) {
        if let Some(ready) = buffer.close() {
            self.hand_over(ready);
        }
    }

    /// Sends the spans finished so far, while others are open.
    #[cold]
    #[inline(never)]
    pub(crate) fn flush_partially(&mut self) {
        let Some(segment) = self
            .buffer
            .as_ref()
            .map(|buffer| Arc::clone(&buffer.segment))
        else {
            return;
        };
        let fresh = self.buffer_for(&segment);
        if let Some(mut full) = self.buffer.replace(fresh) {
            full.partial = true;
            self.hand_over(full);
        }
    }

    /// Sends what is finished if it is as much as a visit may hold.
    pub(crate) fn flush_if_full(&mut self) {
        if self
            .buffer
            .as_ref()
            .is_some_and(|buffer| buffer.spans.len() >= self.limit)
        {
            self.flush_partially();
        }
    }

    /// The segment of the visit in hand.
    pub(crate) fn segment(&self) -> Option<&Arc<Segment>> {
        self.buffer.as_ref().map(|buffer| &buffer.segment)
    }

    /// The segment of the span at an index of the stack.
    pub(crate) fn segment_at(&self, index: usize) -> Option<&Segment> {
        let above = self.stack.open().get(index + 1..)?;
        let buffer = match above
            .iter()
            .filter(|open| open.flags & flags::BASE != 0)
            .count()
        {
            0 => self.buffer.as_ref()?,
            visits => self.shelf.iter().rev().nth(visits - 1)?,
        };
        Some(&buffer.segment)
    }

    /// The low half of the next trace id, by splitmix64: the sampling hash sees it. Never 0.
    fn trace_low(&mut self) -> u64 {
        self.random_trace = self.random_trace.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random_trace;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)).max(1)
    }
}

/// Hands a chunk over without the thread's own queue.
pub(crate) fn hand_over_shared(buffer: Box<Buffer>) {
    let tracer = Arc::clone(&buffer.segment.tracer);
    tracer.hand_over(buffer);
}
