//! What an archive holds.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::archive::File;
use super::{MAX_FILE, STALE_AFTER};
use crate::config::{Config, Entry};
use crate::dogstatsd;
use crate::export::agent::{RUSTC_VERSION, TRACER_VERSION};
use crate::worker::task::TaskContext;

/// A folder of its own for a copy of the log, readable by this user only.
pub(super) fn make_folder() -> io::Result<PathBuf> {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new().hash_one(std::process::id());
    let name = format!("ddtrace-flare-{}-{random:016x}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    // Fails if something is there already, whoever put it there.
    builder.create(&folder)?;
    Ok(folder)
}

/// Whether this process is the first that got a task, which a lock file says. Where none can be made, every process is.
pub(super) fn is_first(uuid: &str) -> bool {
    let mut name: String = uuid
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect();
    name.insert_str(0, "ddtrace-flare-");
    name.push_str(".lock");
    is_first_by(&std::env::temp_dir().join(name))
}

fn is_first_by(lock: &Path) -> bool {
    let age = |data: fs::Metadata| SystemTime::now().duration_since(data.modified().ok()?).ok();
    let is_stale = fs::symlink_metadata(lock)
        .ok()
        .and_then(age)
        .is_some_and(|age: Duration| age > STALE_AFTER);
    if is_stale {
        let _ = fs::remove_file(lock);
    }
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(lock);
    !made.is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
}

/// The files. The configuration is left out if another process has sent it.
pub(super) fn collect(context: &TaskContext, log: Option<&Path>, with_config: bool) -> Vec<File> {
    let process = std::process::id();
    let mut files = Vec::new();
    if with_config {
        files.push(File {
            name: format!("tracer_config_{process}.json"),
            content: bounded(configuration(&context.config()).to_string().into_bytes()),
        });
    }
    if let Some(content) = log.and_then(|log| read(log).ok()) {
        files.push(File {
            name: format!("tracer_{process}.log"),
            content,
        });
    }
    files.push(File {
        name: format!("tracer_runtime_{process}.json"),
        content: bounded(facts(context).to_string().into_bytes()),
    });
    files
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?
        .take(MAX_FILE)
        .read_to_end(&mut content)?;
    Ok(content)
}

fn bounded(mut content: Vec<u8>) -> Vec<u8> {
    content.truncate(MAX_FILE as usize);
    content
}

/// Every setting: what counts, where it is from, and what the other sources said. Secrets are masked where entries are made.
pub(super) fn configuration(config: &Config) -> Value {
    let entry = |entry: &Entry| {
        json!({
            "origin": entry.origin.name(),
            "name": entry.name,
            "value": entry.raw,
            "error": entry.error,
            "config_id": entry.config_id,
        })
    };
    let settings: Map<String, Value> = config
        .settings()
        .iter()
        .map(|resolved| {
            let effective = resolved.effective();
            let all: Vec<_> = resolved.entries().iter().map(entry).collect();
            let value = json!({
                "value": effective.raw,
                "origin": effective.origin.name(),
                "sources": all,
            });
            (resolved.setting.name.to_owned(), value)
        })
        .collect();
    let problems: Vec<_> = config.problems().iter().map(ToString::to_string).collect();
    json!({
        "service": config.service,
        "env": config.env,
        "version": config.version,
        "agent_url": config.agent_url.to_string(),
        "settings": settings,
        "problems": problems,
    })
}

/// What there is to know about the process.
fn facts(context: &TaskContext) -> Value {
    let counts = crate::worker::counts();
    let metrics = dogstatsd::counts();
    let linked = crate::instrument::linked();
    let integrations: Vec<_> = linked
        .integrations
        .iter()
        .map(|integration| format!("{} {}", integration.name(), integration.supported()))
        .collect();
    let products: Vec<_> = linked
        .products
        .iter()
        .map(|product| product.name())
        .collect();
    let info = context.info();
    json!({
        "tracer_version": TRACER_VERSION,
        "rustc_version": RUSTC_VERSION,
        "process_id": std::process::id(),
        "runtime_id": context.runtime_id(),
        "os": std::env::consts::OS,
        "architecture": std::env::consts::ARCH,
        "threads": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "integrations": integrations,
        "products": products,
        "agent_version": info.as_ref().and_then(|info| info.version.clone()),
        "agent_endpoints": info.as_ref().map(|info| info.endpoints.clone()),
        "runtime_metrics": crate::runtime_metrics::snapshot(),
        "traces": {
            "sent": counts.sent_traces,
            "sent_spans": counts.sent_spans,
            "dropped": counts.dropped_traces,
            "dropped_spans": counts.dropped_spans,
        },
        "dogstatsd": {
            "metrics": metrics.metrics,
            "dropped_metrics": metrics.dropped_metrics,
            "sent_datagrams": metrics.sent_datagrams,
            "dropped_datagrams": metrics.dropped_datagrams,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;

    #[test]
    fn the_configuration_says_origins_and_masks_secrets() {
        let environment = MapEnvironment::new()
            .executable("test")
            .variable("DD_ENV", "prod")
            .variable("DD_API_KEY", "0123456789abcdef0123456789abcdef")
            .variable("DD_TRACE_AGENT_URL", "http://me:password@agent:8126");
        let config = Config::builder()
            .environment(&environment)
            .service("shop")
            .build();
        let json = configuration(&config);
        assert_eq!(json["settings"]["DD_ENV"]["value"], "prod");
        assert_eq!(json["settings"]["DD_ENV"]["origin"], "env_var");
        assert_eq!(json["settings"]["DD_SERVICE"]["origin"], "code");
        assert_eq!(json["settings"]["DD_API_KEY"]["value"], "****cdef");
        let text = json.to_string();
        assert!(!text.contains("0123456789abcdef") && !text.contains("password"));
    }

    #[test]
    fn one_process_is_the_first_until_the_lock_is_stale() {
        let lock = std::env::temp_dir().join(format!("ddtrace-lock-{}", std::process::id()));
        assert!(is_first_by(&lock));
        assert!(!is_first_by(&lock));
        let long_ago = SystemTime::now() - STALE_AFTER - Duration::from_secs(1);
        let file = fs::File::options().write(true).open(&lock).unwrap();
        file.set_modified(long_ago).unwrap();
        assert!(is_first_by(&lock));
        assert!(!is_first_by(&lock));
        fs::remove_file(&lock).unwrap();
        assert!(is_first_by(Path::new("/nowhere/at/all")));
    }
}
