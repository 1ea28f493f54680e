//! The program: its environment, its end, and passing signals on to it.
//!
//! This file holds the crate's only `unsafe` block, the call of `kill(2)`.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::say;
use super::signals::Signal;

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with this status.
    Code(i32),
    /// By a signal.
    Signal(i32),
    /// It took too long.
    TimedOut,
}

impl Ended {
    pub(crate) fn of(status: ExitStatus) -> Ended {
        #[cfg(unix)]
        {
            use std::os::unix::process::ExitStatusExt as _;
            if let Some(signal) = status.signal() {
                return Ended::Signal(signal);
            }
        }
        Ended::Code(status.code().unwrap_or(1))
    }

    /// The status to end with ourselves.
    pub fn status(self) -> u8 {
        match self {
            Ended::Code(code) => (code & 0xff) as u8,
            Ended::Signal(signal) => (128 + signal) as u8,
            Ended::TimedOut => super::TIMED_OUT,
        }
    }

    /// In words.
    pub fn shown(self) -> String {
        match self {
            Ended::Code(code) => code.to_string(),
            Ended::Signal(signal) => format!("signal {signal}"),
            Ended::TimedOut => "a time-out".to_owned(),
        }
    }
}

/// The running program.
#[derive(Debug)]
pub struct Child(tokio::process::Child);

impl Child {
    /// Starts a command with the variables that lead it to the agent at `url`.
    pub fn start(command: &[OsString], url: &str, port: u16) -> std::io::Result<Child> {
        let mut process = tokio::process::Command::new(&command[0]);
        process.args(&command[1..]);
        // A program that this one replaced must not find its way here by accident: both are always set.
        for (name, value) in [
            ("DD_TRACE_AGENT_URL", url.to_owned()),
            ("DD_DOGSTATSD_URL", format!("udp://127.0.0.1:{port}")),
        ] {
            if let Some(old) =
                std::env::var_os(name).filter(|old| *old != *value && !old.is_empty())
            {
                say(&format!(
                    "{name}={} is replaced by {value}",
                    old.to_string_lossy()
                ));
            }
            process.env(name, value);
        }
        if std::env::var_os("DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS").is_none() {
            process.env("DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS", "1");
        }
        for (name, value) in loopback_without_proxy(|name| std::env::var(name).ok()) {
            process.env(name, value);
        }
        process.spawn().map(Child)
    }

    /// Its process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// Waits for its end. May be dropped and called again.
    pub async fn ended(&mut self) -> Ended {
        match self.0.wait().await {
            Ok(status) => Ended::of(status),
            Err(_) => Ended::Code(1),
        }
    }

    /// Passes a signal on.
    #[cfg(unix)]
    pub fn pass(&self, signal: Signal) {
        // The id is gone once the program was waited for, so no other process can be hit.
        if let Some(pid) = self.0.id().and_then(|pid| libc::pid_t::try_from(pid).ok()) {
            // SAFETY: kill(2) has no preconditions; it takes two integers and touches no memory.
            unsafe { libc::kill(pid, signal.number()) };
        }
    }

    /// Passes a signal on: there is only one.
    #[cfg(not(unix))]
    pub fn pass(&mut self, _signal: Signal) {
        let _ = self.0.start_kill();
    }

    /// Ends it by force.
    pub async fn kill(&mut self) {
        let _ = self.0.kill().await;
    }
}

/// `NO_PROXY` with loopback in it, where a proxy is set at all.
fn loopback_without_proxy(get: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, String)> {
    const PROXIES: [&str; 6] = [
        "http_proxy",
        "HTTP_PROXY",
        "https_proxy",
        "HTTPS_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ];
    if !PROXIES.iter().any(|name| get(name).is_some()) {
        return Vec::new();
    }
    ["NO_PROXY", "no_proxy"]
        .into_iter()
        .map(|name| {
            let listed = get(name).filter(|old| !old.is_empty());
            let loopback = "localhost,127.0.0.1,::1";
            (
                name,
                listed.map_or(loopback.to_owned(), |old| format!("{old},{loopback}")),
            )
        })
        .collect()
}

/// Where the Unix socket is without a path: in a folder of its own that only this user can enter.
pub fn default_socket() -> PathBuf {
    let base = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    base.join(format!("ddtrace-{}", std::process::id()))
        .join("apm.socket")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_exempt_from_a_proxy() {
        let with = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://proxy:1".to_owned()),
            "NO_PROXY" => Some("a.example".to_owned()),
            _ => None,
        };
        assert_eq!(loopback_without_proxy(|_| None), []);
        assert_eq!(
            loopback_without_proxy(with),
            [
                ("NO_PROXY", "a.example,localhost,127.0.0.1,::1".to_owned()),
                ("no_proxy", "localhost,127.0.0.1,::1".to_owned())
            ]
        );
    }

    #[test]
    fn statuses_follow_the_shell() {
        assert_eq!(Ended::Code(3).status(), 3);
        assert_eq!(Ended::Signal(9).status(), 137);
        assert_eq!(Ended::TimedOut.status(), 124);
    }
}
