//! Sessions on disk: one gzipped file of JSON lines each, the session first, then its runs.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::session::{Run, Session, TESTS};

/// Sessions that are kept.
pub(super) const SESSIONS: usize = 200;
/// Bytes of one file, inflated.
const FILE: u64 = 256 << 20;

fn folder(data: &Path) -> PathBuf {
    data.join("sessions")
}

/// Writes a session whole or not at all, and removes the oldest ones.
pub(super) fn write(data: &Path, session: &Session) -> std::io::Result<()> {
    let folder = folder(data);
    fs::create_dir_all(&folder)?;
    // Names sort by time.
    let name = format!("{:020}-{}.jsonl.gz", session.start.max(0), session.id);
    let hidden = folder.join(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut file = GzEncoder::new(fs::File::create(&hidden)?, Compression::fast());
        serde_json::to_writer(&mut file, session)?;
        file.write_all(b"\n")?;
        for run in &session.runs {
            serde_json::to_writer(&mut file, run)?;
            file.write_all(b"\n")?;
        }
        file.finish()?.sync_all()?;
        fs::rename(&hidden, folder.join(name))
    })();
    if written.is_err() {
        let _ = fs::remove_file(&hidden);
    }
    written?;
    let files = files(data);
    for file in &files[..files.len().saturating_sub(SESSIONS)] {
        let _ = fs::remove_file(file);
    }
    Ok(())
}

/// Files of sessions, oldest first.
fn files(data: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder(data)) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| !name.starts_with('.') && name.ends_with(".jsonl.gz"))
        })
        .collect();
    files.sort();
    files
}

/// Reads what is there, oldest first; files that can't be read are passed over.
pub(super) fn read(data: &Path) -> Vec<Session> {
    let files = files(data);
    let newest = &files[files.len().saturating_sub(SESSIONS)..];
    newest.iter().filter_map(|file| read_one(file)).collect()
}

fn read_one(path: &Path) -> Option<Session> {
    let file = GzDecoder::new(fs::File::open(path).ok()?);
    let mut lines = BufReader::new(file.take(FILE)).lines();
    let mut session: Session = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    for line in lines.take(TESTS) {
        let run: Run = serde_json::from_str(&line.ok()?).ok()?;
        session.runs.push(run);
    }
    Some(session)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_are_kept_over_a_restart_and_the_oldest_go() {
        let folder = tempfile::tempdir().unwrap();
        let session = |start: i64| Session {
            id: "7".into(),
            start,
            status: "pass".into(),
            runs: vec![Run {
                name: format!("t{start}"),
                ..Run::default()
            }],
            ..Session::default()
        };
        for start in 1..=SESSIONS as i64 + 3 {
            write(folder.path(), &session(start)).unwrap();
        }
        fs::write(
            folder
                .path()
                .join("sessions/99999999999999999999-9.jsonl.gz"),
            "no gzip",
        )
        .unwrap();
        let read = read(folder.path());
        assert_eq!(read.len(), SESSIONS - 1);
        assert_eq!(read.last(), Some(&session(SESSIONS as i64 + 3)));
        assert_eq!(read[0].start, 5);
    }
}
