//! What every request says about the program and the machine (`application` and `host`).

use serde_json::{Value, json};

use crate::config::Config;
use crate::export::agent::{ContainerIdentity, RUSTC_VERSION, TRACER_VERSION};
use crate::process_tags::ProcessTags;

/// The program. What is not known is empty, never missing.
pub(super) fn application(config: &Config) -> Value {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let mut application = json!({
        "service_name": config.service,
        "service_version": text(&config.version),
        "env": text(&config.env),
        "language_name": "rust",
        "language_version": RUSTC_VERSION,
        "tracer_version": TRACER_VERSION,
        "runtime_name": "rustc",
        "runtime_version": RUSTC_VERSION,
    });
    let tags = ProcessTags::of(config);
    if !tags.as_str().is_empty() {
        application["process_tags"] = tags.as_str().into();
    }
    application
}

/// The machine.
pub(super) fn host(config: &Config) -> Value {
    let kernel = Kernel::detect();
    let container = ContainerIdentity::detect().container_id;
    json!({
        "hostname": config.hostname.clone().unwrap_or_else(|| "unknown".to_owned()),
        "os": os_name(),
        "os_version": os_version(),
        "architecture": std::env::consts::ARCH,
        "kernel_name": kernel.name,
        "kernel_release": kernel.release,
        "kernel_version": kernel.version,
        "container_id": container.unwrap_or_default(),
    })
}

/// The name of the system as `uname` has it.
pub(crate) fn os_name() -> &'static str {
    match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        "windows" => "Windows",
        other => other,
    }
}

/// The version of the distribution; empty if it is not known.
pub(crate) fn os_version() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    version_of(&text).to_owned()
}

fn version_of(release: &str) -> &str {
    let version = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_ID="));
    version.unwrap_or_default().trim().trim_matches(['"', '\''])
}

/// What Linux says about its kernel; elsewhere nothing is known without a system call.
#[derive(Debug, Default)]
struct Kernel {
    name: String,
    release: String,
    version: String,
}

impl Kernel {
    fn detect() -> Self {
        let read = |name: &str| {
            let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}"));
            text.unwrap_or_default().trim().to_owned()
        };
        Self {
            name: read("ostype"),
            release: read("osrelease"),
            version: read("version"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;

    #[test]
    fn the_program_and_the_machine_are_described_without_gaps() {
        let environment = MapEnvironment::new()
            .variable("DD_SERVICE", "shop")
            .variable("DD_ENV", "prod")
            .hostname("h1");
        let config = Config::builder().environment(&environment).build();
        let application = application(&config);
        for (key, value) in [
            ("service_name", "shop"),
            ("service_version", ""),
            ("env", "prod"),
            ("language_name", "rust"),
            ("language_version", RUSTC_VERSION),
            ("tracer_version", TRACER_VERSION),
        ] {
            assert_eq!(application[key], value, "{key}");
        }
        assert!(
            application["process_tags"]
                .as_str()
                .unwrap()
                .contains("svc.user:true")
        );
        let host = host(&config);
        assert_eq!(host["hostname"], "h1");
        assert_eq!(host.as_object().unwrap().len(), 8);
        assert!(host.as_object().unwrap().values().all(Value::is_string));
    }

    #[test]
    fn the_version_of_the_distribution_is_found() {
        for (text, expected) in [
            ("NAME=x\nVERSION_ID=\"12\"\n", "12"),
            ("VERSION_ID=22.04", "22.04"),
            ("NAME=x", ""),
        ] {
            assert_eq!(version_of(text), expected);
        }
    }
}
