//! The clock of the hot path: a raw counter on the user's thread, nanoseconds on the worker.
//!
//! A span reads the clock twice, and nothing else that it does costs as much: about 9 ns for the processor's time-stamp
//! counter against 23 ns for `clock_gettime`. So [`now`] reads the counter where the kernel vouches for it (constant rate,
//! running in every power state) and `CLOCK_MONOTONIC` elsewhere, and hands out *ticks* that mean nothing by themselves.
//! The worker turns ticks into wall-clock nanoseconds with a [`TickConverter`], whose slope it fits anew whenever it
//! wakes: start-up never spins to calibrate, and a machine that was suspended or migrated is followed within a tick.
//!
//! Invariants: durations come from ticks alone and are never negative; the offset to the wall clock moves only when it
//! is off by more than [`OFFSET_TOLERANCE`], so that spans of one trace stay in order although they are converted at
//! different times.
//!
//! `unsafe` in this file: reading the counter, and `clock_gettime` through libc.
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether [`now`] reads the counter; written once by [`choose_source`].
static COUNTER: AtomicBool = AtomicBool::new(false);

/// The pair that every conversion starts from, taken when the source was chosen.
static ANCHOR: OnceLock<Reading> = OnceLock::new();

/// How far the wall clock may drift from the converter's idea of it before it is followed, in nanoseconds.
const OFFSET_TOLERANCE: i64 = 50_000;

/// How long a slope is fitted over before its window moves on, in nanoseconds.
const WINDOW: u64 = 30_000_000_000;

/// Raw ticks. About 9 ns where the counter is used, 23 ns elsewhere.
#[inline]
pub(crate) fn now() -> u64 {
    #[cfg(target_arch = "x86_64")]
    if COUNTER.load(Ordering::Relaxed) {
        // SAFETY: every x86-64 processor has the instruction; it reads a register and touches no memory.
        return unsafe { core::arch::x86_64::_rdtsc() };
    }
    monotonic()
}

/// Decides, once per process and before the first span, what [`now`] reads.
pub(crate) fn choose_source() {
    ANCHOR.get_or_init(|| {
        COUNTER.store(counter_is_steady(), Ordering::Relaxed);
        Reading::take()
    });
}

/// Whether the kernel says that the counter runs at one rate in every state of the processor.
fn counter_is_steady() -> bool {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return false;
    }
    let Ok(mut file) = std::fs::File::open("/proc/cpuinfo") else {
        return false;
    };
    // The flags stand in the first processor's entry; entries are a few kilobytes long.
    let mut head = vec![0; 8192];
    let read = std::io::Read::read(&mut file, &mut head).unwrap_or(0);
    let text = String::from_utf8_lossy(&head[..read]);
    let Some(flags) = text.lines().find(|line| line.starts_with("flags")) else {
        return false;
    };
    let has = |wanted: &str| flags.split_ascii_whitespace().any(|flag| flag == wanted);
    has("constant_tsc") && (has("nonstop_tsc") || has("hypervisor"))
}

/// `CLOCK_MONOTONIC` in nanoseconds. Out of line: its frame is not to be paid for where the counter is read.
#[cold]
#[inline(never)]
fn monotonic() -> u64 {
    #[cfg(unix)]
    {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointer is to a timespec of ours; the clock exists on every Unix.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
    #[cfg(not(unix))]
    {
        static START: OnceLock<std::time::Instant> = OnceLock::new();
        START
            .get_or_init(std::time::Instant::now)
            .elapsed()
            .as_nanos() as u64
    }
}

/// Wall-clock nanoseconds since the epoch.
pub(crate) fn wall() -> i64 {
    unix_nanoseconds(SystemTime::now())
}

/// A time as nanoseconds since the epoch; 0 for times before it.
pub(crate) fn unix_nanoseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    ticks: u64,
    monotonic: u64,
}

impl Reading {
    /// Takes the pair whose halves lie closest together out of three: an interruption between them would bend the slope.
    fn take() -> Self {
        let mut best = (
            u64::MAX,
            Self {
                ticks: now(),
                monotonic: monotonic(),
            },
        );
        for _ in 0..3 {
            let before = monotonic();
            let ticks = now();
            let after = monotonic();
            let apart = after.saturating_sub(before);
            if apart < best.0 {
                best = (
                    apart,
                    Self {
                        ticks,
                        monotonic: before + apart / 2,
                    },
                );
            }
        }
        best.1
    }
}

/// Turns ticks into nanoseconds. One per worker; [`refit`](Self::refit) is called whenever it wakes.
#[derive(Clone, Debug)]
pub(crate) struct TickConverter {
    /// Where the window of the fit begins, and where the next one will.
    oldest: Reading,
    next: Reading,
    latest: Reading,
    nanoseconds_per_tick: f64,
    /// Wall clock minus monotonic clock.
    offset: i64,
}

impl TickConverter {
    pub(crate) fn new() -> Self {
        choose_source();
        let anchor = ANCHOR.get().copied().unwrap_or_else(Reading::take);
        let mut converter = Self {
            oldest: anchor,
            next: anchor,
            latest: anchor,
            nanoseconds_per_tick: 1.0,
            offset: wall() - monotonic() as i64,
        };
        converter.refit();
        converter
    }

    /// Fits slope and offset to this moment.
    pub(crate) fn refit(&mut self) {
        let reading = Reading::take();
        let elapsed = reading.monotonic.saturating_sub(self.oldest.monotonic);
        let ticks = reading.ticks.saturating_sub(self.oldest.ticks);
        if elapsed > 0 && ticks > 0 {
            self.nanoseconds_per_tick = elapsed as f64 / ticks as f64;
        }
        if reading.monotonic.saturating_sub(self.next.monotonic) > WINDOW {
            self.oldest = self.next;
            self.next = reading;
        }
        self.latest = reading;
        let offset = wall() - monotonic() as i64;
        if (offset - self.offset).abs() > OFFSET_TOLERANCE {
            self.offset = offset;
        }
    }

    /// When something happened, in nanoseconds since the epoch.
    pub(crate) fn wall_time(&self, ticks: u64) -> i64 {
        let since = ticks.wrapping_sub(self.latest.ticks) as i64;
        let shift = (since as f64 * self.nanoseconds_per_tick) as i64;
        self.latest.monotonic as i64 + shift + self.offset
    }

    /// How long something took, in nanoseconds; 0 if the counter went back.
    pub(crate) fn duration(&self, start: u64, end: u64) -> i64 {
        (end.saturating_sub(start) as f64 * self.nanoseconds_per_tick) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_the_wall_clock() {
        let mut converter = TickConverter::new();
        let before = wall();
        let ticks = now();
        let start = monotonic();
        while monotonic() - start < 2_000_000 {}
        let end = now();
        let after = wall();
        converter.refit();
        let converted = converter.wall_time(ticks);
        assert!(
            converted >= before - 1_000_000 && converted <= after,
            "{before} {converted} {after}"
        );
        let duration = converter.duration(ticks, end);
        assert!(
            duration >= 1_900_000 && duration <= after - before + 200_000,
            "{duration}"
        );
    }

    #[test]
    fn a_counter_that_goes_back_gives_no_duration() {
        assert_eq!(TickConverter::new().duration(10, 5), 0);
    }

    #[test]
    fn order_survives_a_refit() {
        let mut converter = TickConverter::new();
        let (first, second) = (now(), now() + 1000);
        let early = converter.wall_time(first);
        converter.refit();
        assert!(converter.wall_time(second) + OFFSET_TOLERANCE >= early);
    }
}
