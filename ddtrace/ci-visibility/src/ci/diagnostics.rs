//! The number of a job on GitHub, which only the runner's own log has.
//!
//! Newer runners hand it over as `JOB_CHECK_RUN_ID`; elsewhere the newest `Worker_*.log` in the
//! runner's diagnostics folder names it under the key `check_run_id`.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

/// The largest log that is read.
const MAX_LOG: u64 = 10 * 1024 * 1024;

/// The most logs that are looked at.
const MAX_LOGS: usize = 16;

/// Where runners keep their logs.
pub fn diagnostic_folders() -> Vec<PathBuf> {
    let roots: &[&str] = if cfg!(target_os = "macos") {
        &["/Users/runner/actions-runner"]
    } else if cfg!(windows) {
        &[
            r"C:\Program Files\actions-runner",
            r"C:\Program Files (x86)\actions-runner",
            r"C:\actions-runner",
        ]
    } else {
        &["/home/runner/actions-runner"]
    };
    let of_root = |root: &&str| {
        let root = Path::new(root);
        [root.join("cached").join("_diag"), root.join("_diag")]
    };
    roots.iter().flat_map(of_root).collect()
}

/// The number of the job, from the newest log that names it.
pub fn job_id_in(folders: &[PathBuf]) -> Option<String> {
    folders.iter().find_map(|folder| {
        let entries = std::fs::read_dir(folder).ok()?;
        let mut logs: Vec<(SystemTime, PathBuf)> = entries
            .flatten()
            .filter(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with("Worker_") && name.ends_with(".log")
            })
            .filter_map(|entry| {
                let data = entry.metadata().ok()?;
                let is_small = data.is_file() && data.len() <= MAX_LOG;
                is_small.then(|| (data.modified().ok(), entry.path()))
            })
            .map(|(modified, path)| (modified.unwrap_or(SystemTime::UNIX_EPOCH), path))
            .collect();
        logs.sort();
        let newest = logs.iter().rev().take(MAX_LOGS);
        newest
            .filter_map(|(_, path)| std::fs::read(path).ok())
            .find_map(|log| job_id(&String::from_utf8_lossy(&log)))
    })
}

/// The number of the job in a log, which is JSON or has JSON in it.
fn job_id(log: &str) -> Option<String> {
    let of_json = || {
        let log: Value = serde_json::from_str(log).ok()?;
        let items = log.pointer("/job/d")?.as_array()?;
        items.iter().find_map(|item| {
            if item.get("k")? != "check_run_id" {
                return None;
            }
            number(item.get("v")?)
        })
    };
    of_json().or_else(|| in_text(log))
}

fn number(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => number.to_string(),
            None => {
                let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
                (number >= 0.0).then(|| format!("{number:.0}"))?
            }
        },
        _ => return None,
    };
    is_number(&text).then_some(text)
}

pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Finds `"k": "check_run_id", "v": <number>` in a text that is not JSON as a whole.
fn in_text(log: &str) -> Option<String> {
    let mut rest = log;
    while let Some(at) = rest.find("\"check_run_id\"") {
        let (before, after) = rest.split_at(at);
        rest = &after["\"check_run_id\"".len()..];
        let key = before.trim_end().strip_suffix(':');
        let is_key = key.is_some_and(|key| key.trim_end().ends_with("\"k\""));
        let value = || {
            let value = rest.trim_start().strip_prefix(',')?.trim_start();
            let value = value.strip_prefix("\"v\"")?.trim_start();
            let value = value.strip_prefix(':')?.trim_start();
            let end = value.find(|c: char| !c.is_ascii_digit());
            let digits = &value[..end.unwrap_or(value.len())];
            is_number(digits).then(|| digits.to_owned())
        };
        if let Some(id) = is_key.then(value).flatten() {
            return Some(id);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_in_json_and_in_text() {
        for (log, expected) in [
            (
                r#"{"job":{"d":[{"k":"x","v":1},{"k":"check_run_id","v":55.0}]}}"#,
                Some("55"),
            ),
            (
                r#"{"job":{"d":[{"k":"check_run_id","v":" 56 "}]}}"#,
                Some("56"),
            ),
            (r#"{"job":{"d":[{"k":"check_run_id","v":1.5}]}}"#, Some("1")),
            (
                "[INFO] {\"k\" : \"check_run_id\" , \"v\" : 57.0}",
                Some("57"),
            ),
            (
                r#"x "check_run_id" y "k":"check_run_id","v":58 z"#,
                Some("58"),
            ),
            (r#""k":"check_run_id","v":"no""#, None),
            ("", None),
        ] {
            assert_eq!(job_id(log).as_deref(), expected, "{log}");
        }
    }

    #[test]
    fn the_newest_log_that_names_it_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str, age: u64| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            let file = std::fs::File::options().append(true).open(&path);
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            file.and_then(|file| file.set_modified(time))
                .expect("dated");
        };
        write("Worker_1.log", r#""k":"check_run_id","v":1"#, 50);
        write("Worker_2.log", r#""k":"check_run_id","v":2"#, 10);
        write("Worker_3.log", "nothing", 5);
        write("Runner_4.log", r#""k":"check_run_id","v":4"#, 0);
        let folders = [PathBuf::from("/nowhere"), folder.path().to_owned()];
        assert_eq!(job_id_in(&folders).as_deref(), Some("2"));
    }
}
