//! The file that the tracer's own log may go to.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::level::Level;

/// The most that stands in front of a line in a file, in bytes.
const MAX_HEAD: u64 = 64;

/// A file that is renamed to `<name>.1` when it is full.
pub(super) struct LogFile {
    path: PathBuf,
    limit: u64,
    open: Option<(File, u64)>,
}

impl LogFile {
    pub(super) fn open(path: PathBuf, limit: u64) -> LogFile {
        let open = open(&path);
        LogFile { path, limit, open }
    }

    /// Whether a line of this length does not fit any more.
    fn is_full(&self, length: u64) -> bool {
        let size = self.open.as_ref().map_or(0, |(_, size)| *size);
        size > 0 && size + length > self.limit
    }

    /// Writes a line unless the file is full; for one that must not grow, and is of no use without its beginning.
    pub(super) fn write_until_full(&mut self, level: Level, line: &str) {
        if self.open.is_some() && !self.is_full(line.len() as u64 + MAX_HEAD) {
            self.write(level, line);
        }
    }

    pub(super) fn write(&mut self, level: Level, line: &str) {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let text = format!(
            "{}.{:03} ddtrace: {level}: {line}\n",
            since.as_secs(),
            since.subsec_millis()
        );
        let length = text.len() as u64;
        if self.is_full(length) {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            let _ = std::fs::rename(&self.path, old);
            self.open = None;
        }
        if self.open.is_none() {
            self.open = open(&self.path);
        }
        let Some((file, size)) = &mut self.open else {
            // The user asked for a file that cannot be written: better here than nowhere.
            let _ = io::stderr().write_all(text.as_bytes());
            return;
        };
        if file.write_all(text.as_bytes()).is_ok() {
            *size += length;
        } else {
            self.open = None;
        }
    }
}

fn open(path: &Path) -> Option<(File, u64)> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .ok()?;
    let size = file.metadata().map_or(0, |data| data.len());
    Some((file, size))
}
