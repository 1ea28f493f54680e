//! Payloads as files, for runs in a sandbox (`spec/ci-visibility.md` §7.15).

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Files are numbered over all kinds, so that their names sort as they were written.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Writes a file into a folder, whole or not at all. Its name is
/// `<kind>-<20 digits>-<process>-<nanoseconds>.json`.
pub(crate) fn write(folder: &Path, kind: &str, content: &[u8]) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let name = format!(
        "{kind}-{number:020}-{}-{}.json",
        std::process::id(),
        now.as_nanos()
    );
    let part = folder.join(format!("{name}.tmp"));
    std::fs::write(&part, content)?;
    std::fs::rename(&part, folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_they_were_written() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("payloads/tests");
        for text in ["one", "two", "three"] {
            write(&folder, "tests", text.as_bytes()).expect("written");
        }
        let mut names: Vec<_> = std::fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        names.sort();
        let contents: Vec<_> = names
            .iter()
            .map(|name| std::fs::read_to_string(name).expect("read"))
            .collect();
        assert_eq!(contents, ["one", "two", "three"]);
        let name = names[0]
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let parts: Vec<&str> = name.split('-').collect();
        assert_eq!(
            (parts[0], parts[1].len(), parts.len()),
            ("tests", 20, 4),
            "{name}"
        );
    }
}
