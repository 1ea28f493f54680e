//! A thread begins to work for a tracer, changes it, and ends.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Local, Port, with};
use crate::propagation::Baggage;
use crate::trace::clock;
use crate::trace::open::flags;
use crate::trace::tracer::{self, TracerCore};

thread_local! {
    static REAPER: Reaper = const { Reaper { armed: Cell::new(false) } };
}

/// Empties the thread's state when the thread ends.
struct Reaper {
    armed: Cell<bool>,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        with(|local| {
            local.reaped = true;
            local.generation = 0;
            local.looked = 0;
            local.abandon();
            if let Some(port) = local.port.take() {
                port.outbox.close();
            }
            local.chosen = None;
        });
    }
}

/// Finished spans of a visit before it is flushed, on a thread that has no tracer to say so.
const LIMIT_WITHOUT_TRACER: usize = 300;

impl Local {
    /// Whether the thread's state can be used: brought up to date, and not taken down.
    #[inline]
    pub(crate) fn is_current(&mut self) -> bool {
        self.looked == tracer::generation() || self.renew()
    }

    /// The same for starting spans, which a thread whose tracer is switched off does not.
    #[cold]
    pub(super) fn may_trace(&mut self) -> bool {
        self.is_current() && self.generation != 0
    }

    /// Looks anew at which tracer to work for. Leaves behind what a forked child inherited.
    #[cold]
    #[inline(never)]
    fn renew(&mut self) -> bool {
        if self.reaped {
            return false;
        }
        let generation = tracer::generation();
        let forks = tracer::forks();
        if self.forks != forks {
            self.forget_inherited();
            self.forks = forks;
            if tracer::global().is_some_and(|tracer| tracer.forks != forks) {
                crate::worker::revive();
            }
        }
        let tracer = self
            .chosen
            .clone()
            .or_else(tracer::global)
            .filter(|tracer| tracer.forks == forks);
        REAPER.with(|reaper| reaper.armed.set(true));
        let stays = match (&self.port, &tracer) {
            (Some(port), Some(tracer)) => Arc::ptr_eq(&port.tracer, tracer),
            (None, None) => true,
            _ => false,
        };
        if !stays {
            if let Some(port) = self.port.take() {
                port.outbox.close();
            }
            self.spare = None;
            self.port = tracer.map(|tracer| Port {
                outbox: tracer.register(),
                tracer,
            });
        }
        self.limit = self
            .port
            .as_ref()
            .map_or(LIMIT_WITHOUT_TRACER, |port| port.tracer.partial_flush_limit);
        self.seed();
        // A thread without a tracer may still work on segments that are carried to it.
        let is_off = self
            .port
            .as_ref()
            .is_some_and(|port| !port.tracer.is_enabled());
        self.generation = if is_off { 0 } else { generation };
        self.looked = generation;
        true
    }

    /// Ids that no other thread, process or run makes.
    fn seed(&mut self) {
        use std::hash::{BuildHasher, Hasher, RandomState};
        // std seeds its hashers from the system once per process and counts up per thread, so a forked child would repeat
        // its parent: process id and clock set it apart.
        let state = RandomState::new();
        let place = std::ptr::from_ref(self).addr();
        let draw = |salt: u64| {
            let mut hasher = state.build_hasher();
            hasher.write_u64(salt);
            hasher.write_u64(clock::now());
            hasher.write_u32(std::process::id());
            hasher.write_usize(place);
            hasher.finish()
        };
        self.random = draw(1);
        self.random_trace = draw(2);
    }

    /// Uses a tracer of one's own on this thread, or none.
    pub(crate) fn choose(&mut self, tracer: Option<Arc<TracerCore>>) -> Option<Arc<TracerCore>> {
        self.generation = 0;
        self.looked = 0;
        std::mem::replace(&mut self.chosen, tracer)
    }

    /// The tracer that the thread works for.
    pub(crate) fn tracer(&self) -> Option<&Arc<TracerCore>> {
        self.port.as_ref().map(|port| &port.tracer)
    }

    /// What the thread still holds when it ends: guards that were forgotten or outlive it.
    fn abandon(&mut self) {
        let leaked = self
            .stack
            .open()
            .iter()
            .filter(|open| open.flags & (flags::CONTEXT | flags::ENDED) == 0)
            .count();
        if let Some(port) = &self.port {
            port.tracer
                .counters
                .leaked
                .fetch_add(leaked as u64, Ordering::Relaxed);
        }
        self.stack.clear();
        self.buffer = None;
        self.shelf = Vec::new();
        self.spare = None;
        self.ambient = Baggage::new();
    }

    /// In a forked child: nothing of the parent's is touched, its locks may be held by threads that do not exist here.
    fn forget_inherited(&mut self) {
        std::mem::forget(self.buffer.take());
        std::mem::forget(std::mem::take(&mut self.shelf));
        std::mem::forget(self.spare.take());
        std::mem::forget(self.port.take());
        self.stack.clear();
    }
}
