//! Processor time, context switches, memory and threads of this process.
//!
//! `unsafe` in this file: `getrusage`, `sysconf`.
#![allow(unsafe_code)]

use std::time::Instant;

use super::Values;

/// What the process has used since its start.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    /// Seconds.
    system: f64,
    user: f64,
    voluntary: u64,
    involuntary: u64,
}

pub(super) struct Sampler {
    last: Option<(Instant, Usage)>,
}

impl Sampler {
    pub(super) fn new() -> Self {
        Self {
            last: usage().map(|usage| (Instant::now(), usage)),
        }
    }

    pub(super) fn read(&mut self, values: &mut Values) {
        if let Some(usage) = usage() {
            let now = Instant::now();
            if let Some((at, last)) = self.last.replace((now, usage)) {
                differences(values, last, usage, now.duration_since(at).as_secs_f64());
            }
        }
        #[cfg(target_os = "linux")]
        if let Some(Status { threads, pages }) = std::fs::read_to_string("/proc/self/stat")
            .ok()
            .and_then(|stat| Status::parse(&stat))
        {
            values.push("mem.rss", pages * page_size());
            values.push("thread_count", threads);
        }
    }
}

fn differences(values: &mut Values, last: Usage, usage: Usage, seconds: f64) {
    // Clocks of processors are known to step back by a little.
    let system = (usage.system - last.system).max(0.0);
    let user = (usage.user - last.user).max(0.0);
    values.push("cpu.time.sys", system);
    values.push("cpu.time.user", user);
    if seconds > 0.0 {
        values.push("cpu.percent", (system + user) / seconds * 100.0);
    }
    values.push(
        "cpu.ctx_switch.voluntary",
        usage.voluntary.saturating_sub(last.voluntary),
    );
    values.push(
        "cpu.ctx_switch.involuntary",
        usage.involuntary.saturating_sub(last.involuntary),
    );
}

#[cfg(unix)]
fn usage() -> Option<Usage> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: the kernel fills the structure, which is ours, or says that it did not.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    Some(Usage {
        system: seconds(usage.ru_stime),
        user: seconds(usage.ru_utime),
        voluntary: usage.ru_nvcsw.try_into().unwrap_or(0),
        involuntary: usage.ru_nivcsw.try_into().unwrap_or(0),
    })
}

#[cfg(not(unix))]
fn usage() -> Option<Usage> {
    None
}

/// Fields of `/proc/self/stat`.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Status {
    threads: u64,
    /// Pages in memory.
    pages: u64,
}

#[cfg(target_os = "linux")]
impl Status {
    /// The name of the program, in brackets, may hold anything; what follows it are fields 3 and on.
    fn parse(stat: &str) -> Option<Status> {
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let threads = fields.nth(20 - 3)?.parse().ok()?;
        let pages = fields.nth(24 - 20 - 1)?.parse().ok()?;
        Some(Status { threads, pages })
    }
}

#[cfg(target_os = "linux")]
fn page_size() -> u64 {
    // SAFETY: asks for a constant.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_status_is_read_whatever_the_program_is_called() {
        // proc(5), `/proc/pid/stat`: 20 is num_threads, 24 is rss.
        let stat = "1234 (a) b (c) S 1 1234 1234 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 17 0 999 12345678 321 18446744073709551615 1 1";
        let status = Status {
            threads: 17,
            pages: 321,
        };
        assert_eq!(Status::parse(stat), Some(status));
        for broken in ["", "1 (a", "1 (a) S 1 2", "1 (a) S x"] {
            assert_eq!(Status::parse(broken), None, "{broken}");
        }
    }

    #[test]
    fn times_are_differences_and_the_percentage_is_of_one_core() {
        let last = Usage {
            system: 1.0,
            user: 10.0,
            voluntary: 5,
            involuntary: 7,
        };
        let usage = Usage {
            system: 2.0,
            user: 14.0,
            voluntary: 15,
            involuntary: 7,
        };
        let mut values = Values(Vec::new());
        differences(&mut values, last, usage, 10.0);
        let values: Vec<_> = values
            .0
            .iter()
            .map(|(name, value, _)| (name.as_str(), *value))
            .collect();
        assert_eq!(
            values,
            [
                ("cpu.time.sys", 1.0),
                ("cpu.time.user", 4.0),
                ("cpu.percent", 50.0),
                ("cpu.ctx_switch.voluntary", 10.0),
                ("cpu.ctx_switch.involuntary", 0.0),
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_threads_and_memory() {
        let mut values = Values(Vec::new());
        Sampler::new().read(&mut values);
        let value = |name: &str| values.0.iter().find(|value| value.0 == name).unwrap().1;
        assert!(value("thread_count") >= 1.0);
        // More than a page, less than a tebibyte.
        assert!((4096.0..1e12).contains(&value("mem.rss")));
    }
}
