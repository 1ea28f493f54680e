//! What the standard library of our minimum Rust version cannot do on Unix: signal a process group,
//! lock a file. `unsafe`: calls of the C library that take numbers only.
#![allow(unsafe_code, reason = "calls of the C library")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Kills the process group that this process leads.
pub(super) fn kill_group(leader: u32) {
    let Ok(group) = libc::pid_t::try_from(leader) else {
        return;
    };
    // SAFETY: the leader has not been waited for, so its id is not reused, and it was made the
    // leader of its own group when it was started.
    unsafe {
        libc::killpg(group, libc::SIGKILL);
    }
}

/// Locks a file for this process alone, as long as it is open. `Ok(false)`: another process has it.
pub(super) fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: the descriptor is open, since the file is borrowed.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(false),
        _ => Err(error),
    }
}
