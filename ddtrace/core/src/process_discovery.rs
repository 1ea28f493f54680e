//! Process discovery: a file in memory by which the agent finds traced processes on its host.
//!
//! The agent looks through `/proc/<pid>/fd` for files called `datadog-tracer-info-…` and reads a small msgpack map out of
//! them. The file is sealed, so whoever reads it reads what was written; it lives as long as the process, and a forked child
//! replaces its parent's. Linux only; failure is silent, since nothing of the program depends on it. Source:
//! `spec/telemetry-and-remote-config.md` §9; libdatadog, `libdd-library-config/src/tracer_metadata.rs`.
//!
//! `unsafe` in this file: `memfd_create`, `fcntl` and `close`.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd};
use std::sync::atomic::{AtomicI32, Ordering};

use rmp::encode::{write_map_len, write_str, write_uint};

use crate::config::Config;
use crate::export::agent::{ContainerIdentity, TRACER_VERSION};
use crate::process_tags::ProcessTags;

/// The form of the map.
const SCHEMA_VERSION: u64 = 2;

/// The descriptor of the file that was published last, which stays open.
static PUBLISHED: AtomicI32 = AtomicI32::new(-1);

/// Lets the agent find this process, in place of what was published before, here or by the process that forked this one.
pub(crate) fn publish(config: &Config, runtime_id: &str) {
    let Some(file) = file(runtime_id, &metadata(config, runtime_id)) else {
        return;
    };
    let before = PUBLISHED.swap(file.into_raw_fd(), Ordering::Relaxed);
    if before >= 0 {
        // SAFETY: the descriptor was made by this function, and nobody else has it.
        unsafe { libc::close(before) };
    }
}

/// The map; texts that are not known are left out, but for those that the agent insists on.
fn metadata(config: &Config, runtime_id: &str) -> Vec<u8> {
    let tags = ProcessTags::of(config);
    let container = ContainerIdentity::detect().container_id;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let all = [
        ("runtime_id", runtime_id.to_owned()),
        ("tracer_language", "rust".to_owned()),
        ("tracer_version", TRACER_VERSION.to_owned()),
        ("hostname", text(&config.hostname)),
        ("service_name", config.service.clone()),
        ("service_env", text(&config.env)),
        ("service_version", text(&config.version)),
        ("process_tags", tags.as_str().to_owned()),
        ("container_id", text(&container)),
    ];
    let known: Vec<_> = all
        .iter()
        .filter(|(key, value)| *key == "hostname" || !value.is_empty())
        .collect();
    let mut bytes = Vec::new();
    let length = u32::try_from(known.len() + 1).unwrap_or(0);
    // Writing to memory does not fail.
    let _ = write_map_len(&mut bytes, length);
    let _ = write_str(&mut bytes, "schema_version");
    let _ = write_uint(&mut bytes, SCHEMA_VERSION);
    for (key, value) in known {
        let _ = write_str(&mut bytes, key);
        let _ = write_str(&mut bytes, value);
    }
    bytes
}

/// A sealed file in memory. Its name ends with eight letters or digits, those of the runtime's id.
fn file(runtime_id: &str, contents: &[u8]) -> Option<File> {
    let digits = runtime_id.chars().filter(char::is_ascii_alphanumeric);
    let suffix: String = digits.take(8).collect();
    let name = CString::new(format!("datadog-tracer-info-{suffix}")).ok()?;
    // SAFETY: the name is a text with an end that lives until the call is over.
    let descriptor =
        unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if descriptor < 0 {
        return None;
    }
    // SAFETY: the descriptor is new, and nobody else has it.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all(contents).ok()?;
    let seals = libc::F_SEAL_GROW | libc::F_SEAL_SHRINK | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: takes numbers only, and the descriptor is open.
    let sealed = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) };
    (sealed == 0).then_some(file)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::{Read, Seek};

    use serde_json::Value;

    use super::*;
    use crate::config::MapEnvironment;

    fn config(variables: &[(&str, &str)]) -> Config {
        let environment = variables.iter().fold(
            MapEnvironment::new().executable("shop").hostname("h1"),
            |all, (name, value)| all.variable(*name, *value),
        );
        Config::builder().environment(&environment).build()
    }

    fn read(bytes: &[u8]) -> BTreeMap<String, Value> {
        rmp_serde::from_slice(bytes).unwrap()
    }

    #[test]
    fn the_map_says_who_this_is() {
        let map = read(&metadata(
            &config(&[
                ("DD_SERVICE", "a"),
                ("DD_ENV", "test"),
                ("DD_VERSION", "0.1.0"),
            ]),
            "id-1",
        ));
        for (key, value) in [
            ("runtime_id", "id-1"),
            ("tracer_language", "rust"),
            ("tracer_version", TRACER_VERSION),
            ("hostname", "h1"),
            ("service_name", "a"),
            ("service_env", "test"),
            ("service_version", "0.1.0"),
        ] {
            assert_eq!(map[key], value, "{key}");
        }
        assert_eq!(map["schema_version"], 2);
        let tags = map["process_tags"].as_str().unwrap();
        assert!(tags.contains("entrypoint.name:"), "{tags}");
        let map = read(&metadata(
            &config(&[("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", "false")]),
            "id-1",
        ));
        assert!(!map.contains_key("process_tags") && !map.contains_key("service_env"));
    }

    #[test]
    fn the_file_is_sealed_and_has_a_name_that_the_agent_looks_for() {
        let mut file = file("0a1b2c3d-e", b"contents").unwrap();
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        let name = std::fs::read_link(link).unwrap();
        assert!(
            name.to_string_lossy()
                .starts_with("/memfd:datadog-tracer-info-0a1b2c3d"),
            "{name:?}"
        );
        assert!(file.write_all(b"more").is_err());
        assert!(file.set_len(0).is_err());
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "contents");
    }

    #[test]
    fn a_second_file_takes_the_place_of_the_first() {
        let config = config(&[]);
        let published = |id: &str| {
            publish(&config, id);
            let name = std::fs::read_link(format!(
                "/proc/self/fd/{}",
                PUBLISHED.load(Ordering::Relaxed)
            ));
            name.unwrap().to_string_lossy().into_owned()
        };
        assert!(published("aaaaaaaa").contains("info-aaaaaaaa"));
        assert!(published("bbbbbbbb").contains("info-bbbbbbbb"));
        let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let names = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        let first = names.filter(|name| name.to_string_lossy().contains("info-aaaaaaaa"));
        assert_eq!(first.count(), 0);
    }
}
