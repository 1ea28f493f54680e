//! What the standard library does not offer of the system: named pipes, signals to a group, names of signals.
//!
//! This file holds `unsafe` blocks: the calls of `mkfifo(3)` and `kill(2)`.
#![allow(unsafe_code)]

use std::io;
use std::path::Path;

/// Makes a named pipe that only this user can open.
pub(crate) fn named_pipe(path: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is a valid C string that outlives the call.
    match unsafe { libc::mkfifo(path.as_ptr(), 0o600) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Sends a signal to every process of a group.
pub(crate) fn signal_group(leader: u32, signal: i32) {
    if let Ok(group) = libc::pid_t::try_from(leader)
        && group > 1
    {
        // SAFETY: kill(2) has no preconditions; it takes two integers and touches no memory.
        unsafe { libc::kill(-group, signal) };
    }
}

/// Sends a signal to one process.
pub(crate) fn signal(process: u32, signal: i32) {
    if let Ok(pid) = libc::pid_t::try_from(process)
        && pid > 1
    {
        // SAFETY: kill(2) has no preconditions; it takes two integers and touches no memory.
        unsafe { libc::kill(pid, signal) };
    }
}

/// Whether a process exists, as far as this user may know.
pub(crate) fn exists(process: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(process) else {
        return false;
    };
    // SAFETY: kill(2) with signal 0 only checks; it takes two integers and touches no memory.
    let sent = unsafe { libc::kill(pid, 0) };
    sent == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

/// The name of a signal, as `SIGSEGV`.
pub(crate) fn signal_name(signal: i32) -> String {
    let name = match signal {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGSYS => "SIGSYS",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_their_names() {
        assert_eq!(signal_name(libc::SIGABRT), "SIGABRT");
        assert_eq!(signal_name(60), "signal 60");
    }

    #[test]
    fn this_process_exists_and_impossible_ones_do_not() {
        assert!(exists(std::process::id()));
        assert!(!exists(u32::MAX));
    }
}
