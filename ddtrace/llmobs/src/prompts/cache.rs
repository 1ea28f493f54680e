//! What was fetched before: in memory, the least recently used of 1,024 going first, and in files that outlive the process.
//!
//! A file is one JSON object, readable by its owner only. Nothing that goes wrong with files is more than a debug line.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ddtrace_core::diagnostics;
use serde_json::{Value, json};

use super::render::{ManagedPrompt, Source};
use crate::experiments::quoted;
use crate::settings::Settings;

const PROMPTS: usize = 1024;
/// The most of a file that is read.
const FILE_LIMIT: u64 = 8 << 20;

/// A prompt that was kept.
pub(super) struct Found {
    pub(super) prompt: ManagedPrompt,
    pub(super) is_stale: bool,
    pub(super) age: Duration,
}

struct Entry {
    prompt: ManagedPrompt,
    fetched: Instant,
    used: u64,
}

#[derive(Default)]
struct Memory {
    entries: HashMap<String, Entry>,
    uses: u64,
}

static MEMORY: Mutex<Option<Memory>> = Mutex::new(None);

fn memory() -> MutexGuard<'static, Option<Memory>> {
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn in_memory(key: &str, ttl: Duration) -> Option<Found> {
    let mut memory = memory();
    let memory = memory.get_or_insert_default();
    memory.uses += 1;
    let uses = memory.uses;
    let entry = memory.entries.get_mut(key)?;
    entry.used = uses;
    let age = entry.fetched.elapsed();
    Some(Found {
        prompt: entry.prompt.clone(),
        is_stale: age > ttl,
        age,
    })
}

/// Keeps a prompt that was fetched so long ago.
pub(super) fn remember(key: &str, prompt: &ManagedPrompt, age: Duration) {
    let mut memory = memory();
    let memory = memory.get_or_insert_default();
    memory.uses += 1;
    let now = Instant::now();
    let entry = Entry {
        prompt: prompt.clone(),
        fetched: now.checked_sub(age).unwrap_or(now),
        used: memory.uses,
    };
    memory.entries.insert(key.to_owned(), entry);
    if memory.entries.len() > PROMPTS {
        let oldest = memory.entries.iter().min_by_key(|(_, entry)| entry.used);
        if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
            memory.entries.remove(&oldest);
        }
    }
}

/// Forgets one prompt, chosen in one way.
pub(super) fn forget(settings: &Settings, key: &str) {
    memory().get_or_insert_default().entries.remove(key);
    if let Some(path) = file(settings, key) {
        let _ = std::fs::remove_file(path);
    }
}

/// Forgets one prompt, however it was chosen.
pub(super) fn forget_all_of(settings: &Settings, id: &str) {
    let is_other = |key: &String| key.rsplit_once(':').is_none_or(|(own, _)| own != id);
    memory()
        .get_or_insert_default()
        .entries
        .retain(|key, _| is_other(key));
    if let Some(folder) = folder(settings) {
        let _ = std::fs::remove_dir_all(folder.join(name_of(id)));
    }
}

pub(super) fn clear(settings: Option<&Settings>) {
    *memory() = None;
    let Some(folder) = settings.and_then(folder) else {
        return;
    };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let _ = std::fs::remove_dir_all(entry.path());
    }
}

fn folder(settings: &Settings) -> Option<PathBuf> {
    if !settings.prompts_in_files {
        return None;
    }
    let home = || {
        std::env::var_os("HOME")
            .filter(|home| !home.is_empty())
            .map(PathBuf::from)
    };
    Some(match &settings.prompts_folder {
        Some(folder) => match folder.strip_prefix("~/") {
            Some(rest) => home()?.join(rest),
            None => PathBuf::from(folder),
        },
        None => match home() {
            Some(home) => home.join(".cache/datadog/llmobs/prompts"),
            None => std::env::temp_dir().join("datadog/llmobs/prompts"),
        },
    })
}

/// A text as the name of a file: no separator, no dots alone.
fn name_of(id: &str) -> String {
    quoted(id).replace('.', "%2E")
}

fn file(settings: &Settings, key: &str) -> Option<PathBuf> {
    let (id, selector) = key.rsplit_once(':')?;
    Some(
        folder(settings)?
            .join(name_of(id))
            .join(format!("{selector}.json")),
    )
}

pub(super) fn in_file(settings: &Settings, key: &str, ttl: Duration) -> Option<Found> {
    let path = file(settings, key)?;
    if std::fs::metadata(&path).ok()?.len() > FILE_LIMIT {
        return None;
    }
    let value: Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let written = Duration::try_from_secs_f64(value.get("timestamp")?.as_f64()?).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    // A file of the future is one of a clock that was wrong.
    let age = now.checked_sub(written)?;
    let prompt = ManagedPrompt::of_answer(value.get("prompt")?.as_object()?, Source::Cache, None)?;
    Some(Found {
        prompt,
        is_stale: age > ttl,
        age,
    })
}

pub(super) fn write(settings: &Settings, key: &str, prompt: &ManagedPrompt) {
    let Some(path) = file(settings, key) else {
        return;
    };
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let value = json!({ "prompt": prompt.to_value(), "timestamp": now.as_secs_f64() });
    if let Err(error) = write_file(&path, value.to_string().as_bytes()) {
        diagnostics::debug(format_args!("a prompt was not kept in a file: {error}"));
    }
}

fn write_file(path: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(folder) = path.parent() {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(folder)?;
    }
    // Never half a file: whoever reads it meanwhile sees the one before.
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(&beside)?.write_all(bytes)?;
    std::fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prompts::Template;
    use crate::testing::Fixture;

    fn prompt(id: &str) -> ManagedPrompt {
        ManagedPrompt::fallback(id.into(), Template::from("t")).with_source(Source::Cache)
    }

    #[test]
    fn prompts_outlive_the_process_in_files_of_their_own() {
        let folder = std::env::temp_dir().join(format!("ddtrace-prompts-{}", std::process::id()));
        let path = folder.to_string_lossy().into_owned();
        let fixture = Fixture::with(|config| config.set("DD_LLMOBS_PROMPTS_CACHE_DIR", &*path));
        let settings = crate::settings().unwrap();
        let hour = Duration::from_secs(3600);
        for id in ["a/../b", "..", "c"] {
            write(&settings, &format!("{id}:1"), &prompt(id));
            let found = in_file(&settings, &format!("{id}:1"), hour).expect(id);
            assert_eq!((found.prompt, found.is_stale), (prompt(id), false));
        }
        assert_eq!(
            std::fs::read_dir(&folder).unwrap().count(),
            3,
            "each in a folder of its own"
        );
        assert!(in_file(&settings, "c:1", Duration::ZERO).unwrap().is_stale);
        remember("c:1", &prompt("c"), Duration::ZERO);
        forget_all_of(&settings, "c");
        assert!(in_memory("c:1", hour).is_none() && in_file(&settings, "c:1", hour).is_none());
        std::fs::write(file(&settings, "..:1").unwrap(), "nonsense").unwrap();
        assert!(in_file(&settings, "..:1", hour).is_none());
        clear(Some(&settings));
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        std::fs::remove_dir_all(folder).unwrap();
        drop(fixture);
    }

    #[test]
    fn the_least_recently_used_prompt_goes_first() {
        let _turn = crate::testing::lock();
        clear(None);
        let hour = Duration::from_secs(3600);
        for index in 0..PROMPTS {
            remember(&format!("{index}:1"), &prompt("p"), Duration::ZERO);
        }
        assert!(in_memory("0:1", hour).is_some());
        remember("new:1", &prompt("p"), Duration::from_secs(7200));
        assert!(in_memory("0:1", hour).is_some() && in_memory("1:1", hour).is_none());
        assert!(in_memory("new:1", hour).is_some_and(|found| found.is_stale));
        clear(None);
    }
}
