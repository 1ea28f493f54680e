//! The files of a repository as they are before cargo looks at them.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::outline::{Hash, Outline, hash};
use crate::test::coordinator::source;

/// Files that are looked at; a repository with more has no test skipped.
const FILES: usize = 100_000;
/// Bytes over all files.
const BYTES: u64 = 1 << 30;
/// Bytes of a Rust source that is taken apart; a larger one counts whole.
const SOURCE: u64 = 8 << 20;

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// All of it.
    pub(super) hash: Hash,
    /// If it is Rust.
    pub(super) outline: Option<Outline>,
    stamp: Stamp,
}

/// What the file system says of a file, to see whether it was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    length: u64,
    seconds: i64,
    nanoseconds: i64,
    inode: u64,
}

impl Stamp {
    fn of(data: &std::fs::Metadata) -> Stamp {
        Stamp {
            length: data.len(),
            seconds: data.mtime(),
            nanoseconds: data.mtime_nsec(),
            inode: data.ino(),
        }
    }
}

/// The files of a repository, by their paths in it.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    root: PathBuf,
    pub(super) files: BTreeMap<PathBuf, File>,
}

impl Snapshot {
    /// Looks at all files that git does not ignore; without git, at all that are in no target folder.
    pub(super) fn take(root: &Path) -> Result<Snapshot, String> {
        let root = root
            .canonicalize()
            .map_err(|error| format!("{}: {error}", root.display()))?;
        let names = listed(&root).map_or_else(|| walked(&root), Ok)?;
        let mut files = BTreeMap::new();
        let mut bytes = 0;
        for name in names {
            let path = root.join(&name);
            // A link counts as what it leads to; one that leads nowhere, or to a folder, as its text.
            let Ok(data) = std::fs::metadata(&path) else {
                if let Ok(target) = std::fs::read_link(&path) {
                    let stamp = std::fs::symlink_metadata(&path).map(|data| Stamp::of(&data));
                    let Ok(stamp) = stamp else { continue };
                    let hash = hash(target.as_os_str().as_bytes());
                    files.insert(
                        name,
                        File {
                            hash,
                            outline: None,
                            stamp,
                        },
                    );
                }
                continue;
            };
            if data.is_dir() {
                // A repository in the repository, or a link.
                for inner in walked(&path)? {
                    let inner = name.join(inner);
                    if let Some(file) = read(&root.join(&inner), &mut bytes)? {
                        files.insert(inner, file);
                    }
                }
            } else if let Some(file) = read(&path, &mut bytes)? {
                files.insert(name, file);
            }
            if files.len() > FILES {
                return Err(too_much(&root));
            }
        }
        source::forget();
        Ok(Snapshot { root, files })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A file that was changed or removed since.
    pub(super) fn changed(&self) -> Option<String> {
        let is_same = |(name, file): &(&PathBuf, &File)| {
            let path = self.root.join(name);
            let data = std::fs::metadata(&path).or_else(|_| std::fs::symlink_metadata(&path));
            data.is_ok_and(|data| Stamp::of(&data) == file.stamp)
        };
        let changed = self.files.iter().find(|file| !is_same(file));
        changed.map(|(name, _)| name.display().to_string())
    }
}

fn too_much(root: &Path) -> String {
    format!("{} has too many files to see what changed", root.display())
}

/// Reads a file; what is neither file nor link to one counts as nothing.
fn read(path: &Path, bytes: &mut u64) -> Result<Option<File>, String> {
    let Ok(data) = std::fs::metadata(path) else {
        return Ok(None);
    };
    if !data.is_file() {
        return Ok(None);
    }
    *bytes += data.len();
    if *bytes > BYTES {
        return Err(too_much(path));
    }
    let content = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let is_rust = path.extension().is_some_and(|end| end == "rs") && data.len() <= SOURCE;
    let text = is_rust
        .then(|| std::str::from_utf8(&content).ok())
        .flatten();
    Ok(Some(File {
        hash: hash(&content),
        outline: text.and_then(Outline::of),
        stamp: Stamp::of(&data),
    }))
}

/// What git knows or would take; and the lock file, which decides even where git ignores it.
fn listed(root: &Path) -> Option<Vec<PathBuf>> {
    let output = Command::new("git")
        .arg("-c")
        .arg(format!("safe.directory={}", root.display()))
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    if !output.status.success() {
        return None;
    }
    let mut names: Vec<PathBuf> = output
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(name)))
        .collect();
    names.push(PathBuf::from("Cargo.lock"));
    names.sort();
    names.dedup();
    Some(names)
}

/// All files below a folder, but for git's own and for what cargo builds.
fn walked(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut names = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        if path.join("CACHEDIR.TAG").is_file() && path.join(".rustc_info.json").is_file() {
            continue;
        }
        let entries =
            std::fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for entry in entries.flatten() {
            let name = folder.join(entry.file_name());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && entry.file_name() != ".git" => folders.push(name),
                Ok(kind) if !kind.is_dir() => names.push(name),
                _ => {}
            }
        }
        if names.len() + folders.len() > FILES {
            return Err(too_much(root));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_are_seen_with_and_without_git() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("src/lib.rs", "fn f() {}\n");
        write("data/ü x.txt", "x");
        write("Cargo.lock", "");
        write("broken.rs", "fn (");
        write("target/CACHEDIR.TAG", "");
        write("target/.rustc_info.json", "");
        write("target/debug/x", "");
        write(".gitignore", "/target\n/Cargo.lock\n");
        std::os::unix::fs::symlink("nowhere", root.join("link")).unwrap();
        let names = |snapshot: &Snapshot| -> Vec<String> {
            let names = snapshot.files.keys();
            names
                .map(|name| name.to_string_lossy().into_owned())
                .collect()
        };
        let without = Snapshot::take(root).unwrap();
        let expected = [
            ".gitignore",
            "Cargo.lock",
            "broken.rs",
            "data/ü x.txt",
            "link",
            "src/lib.rs",
        ];
        assert_eq!(names(&without), expected);
        let git = Command::new("git")
            .args(["init", "-q"])
            .current_dir(root)
            .status();
        if git.is_ok_and(|status| status.success()) {
            assert_eq!(names(&Snapshot::take(root).unwrap()), expected);
        }
        assert!(without.files[Path::new("src/lib.rs")].outline.is_some());
        assert!(without.files[Path::new("broken.rs")].outline.is_none());
        assert_eq!(without.changed(), None);
        write("src/lib.rs", "fn f() { }\n");
        assert_eq!(without.changed().as_deref(), Some("src/lib.rs"));
    }
}
