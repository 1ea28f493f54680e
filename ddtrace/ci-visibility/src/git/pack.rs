//! Objects of commits that the backend does not have, in packs of at most three megabytes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Git, GitError, SINCE, is_sha};

/// How long listing and packing may take, each.
const PACK_LIMIT: Duration = Duration::from_secs(20);

/// The objects of these missing commits, without the contents of files.
pub fn missing_objects(
    git: &Git,
    known: &[String],
    missing: &[String],
) -> Result<Vec<String>, GitError> {
    let since = format!("--since={SINCE}");
    // A thousand commits on the command line would be near its limit on some systems.
    let known = known
        .iter()
        .filter(|sha| is_sha(sha))
        .map(|sha| format!("^{sha}\n"));
    let missing = missing
        .iter()
        .filter(|sha| is_sha(sha))
        .map(|sha| format!("{sha}\n"));
    let input: String = ["HEAD\n".to_owned()]
        .into_iter()
        .chain(known)
        .chain(missing)
        .collect();
    let arguments = [
        "rev-list",
        "--objects",
        "--filter=blob:none",
        &since,
        "--no-object-names",
        "--stdin",
    ];
    let output = git.ask("get_objects", &arguments, input.as_bytes(), PACK_LIMIT)?;
    Ok(output
        .lines()
        .filter(|line| is_sha(line))
        .map(str::to_owned)
        .collect())
}

/// Packs in a folder that goes away with this value.
#[derive(Debug)]
pub struct Packs {
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl Packs {
    /// Packs these objects.
    pub fn of(git: &Git, objects: &[String]) -> Result<Packs, GitError> {
        let mut packs = Packs {
            folder: folder(git)?,
            files: Vec::new(),
        };
        let name = packs.folder.join("pack");
        let name = name.to_string_lossy().into_owned();
        let arguments = [
            "pack-objects",
            "--compression=9",
            "--max-pack-size=3m",
            "-q",
            &name,
        ];
        let input = objects.join("\n") + "\n";
        git.ask("pack_objects", &arguments, input.as_bytes(), PACK_LIMIT)?;
        for entry in std::fs::read_dir(&packs.folder)?.flatten() {
            let path = entry.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "pack")
            {
                packs.files.push(path);
            }
        }
        packs.files.sort();
        Ok(packs)
    }

    /// The packs, by path.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

impl Drop for Packs {
    fn drop(&mut self) {
        // What cannot be removed lies in a folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A new folder. Git moves a finished pack to its place, so the folder has to be on the device of
/// the work tree; if that of temporary files is not, it is made in the repository's own.
fn folder(git: &Git) -> Result<PathBuf, GitError> {
    let name = format!("ddtrace-packs-{:016x}", crate::random::number());
    let usual = std::env::temp_dir();
    let parent = if same_device(&usual, git.root()) {
        usual
    } else {
        let inner = git.read("", &["rev-parse", "--absolute-git-dir"])?;
        PathBuf::from(inner)
    };
    let folder = parent.join(name);
    std::fs::create_dir(&folder)?;
    Ok(folder)
}

#[cfg(unix)]
fn same_device(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| std::fs::metadata(path).map(|data| data.dev()).ok();
    device(one).is_some() && device(one) == device(other)
}

#[cfg(not(unix))]
fn same_device(one: &Path, other: &Path) -> bool {
    one.components().next() == other.components().next()
}
