//! What configuration asks of the outside world: variables, arguments, files, the host.
//!
//! Behind a trait, so that tests configure a tracer without touching the process: setting an
//! environment variable in a test races with every other test.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The outside world as configuration sees it.
pub trait Environment {
    /// All environment variables.
    fn variables(&self) -> Vec<(String, String)>;
    /// The arguments of the process, the program's name included.
    fn arguments(&self) -> Vec<String>;
    /// The file name of the executable without its extension.
    fn executable(&self) -> Option<String>;
    /// The name of the host.
    fn hostname(&self) -> Option<String>;
    /// The contents of a file of at most `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// Whether there is a Unix socket at this path.
    fn is_socket(&self, path: &Path) -> bool;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variables(&self) -> Vec<(String, String)> {
        let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
        std::env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    fn arguments(&self) -> Vec<String> {
        std::env::args_os()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect()
    }

    fn executable(&self) -> Option<String> {
        let path = std::env::current_exe().ok()?;
        Some(path.file_stem()?.to_string_lossy().into_owned())
    }

    fn hostname(&self) -> Option<String> {
        // Linux has the name in a file; elsewhere shells export it more often than not.
        let name = self.read(Path::new("/proc/sys/kernel/hostname"), 4096).ok();
        let name = name
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .or_else(|| std::env::var("HOSTNAME").ok())
            .or_else(|| std::env::var("COMPUTERNAME").ok())?;
        let name = name.trim();
        (!name.is_empty()).then(|| name.to_owned())
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?
            .take(limit + 1)
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::other(format!(
                "the file has more than {limit} bytes"
            )));
        }
        Ok(bytes)
    }

    #[cfg(unix)]
    fn is_socket(&self, path: &Path) -> bool {
        use std::os::unix::fs::FileTypeExt;
        std::fs::metadata(path).is_ok_and(|data| data.file_type().is_socket())
    }

    #[cfg(not(unix))]
    fn is_socket(&self, _path: &Path) -> bool {
        false
    }
}

/// An environment made of values, for tests.
///
/// ```
/// use ddtrace_core::config::{Config, MapEnvironment};
///
/// let environment = MapEnvironment::new().variable("DD_SERVICE", "shop");
/// assert_eq!(Config::builder().environment(&environment).build().service, "shop");
/// ```
#[derive(Clone, Debug, Default)]
pub struct MapEnvironment {
    variables: BTreeMap<String, String>,
    arguments: Vec<String>,
    executable: Option<String>,
    hostname: Option<String>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    sockets: Vec<PathBuf>,
}

impl MapEnvironment {
    /// An environment with nothing in it.
    pub fn new() -> MapEnvironment {
        MapEnvironment::default()
    }

    /// Adds a variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }

    /// Adds an argument.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Names the executable.
    #[must_use]
    pub fn executable(mut self, stem: impl Into<String>) -> Self {
        self.executable = Some(stem.into());
        self
    }

    /// Names the host.
    #[must_use]
    pub fn hostname(mut self, name: impl Into<String>) -> Self {
        self.hostname = Some(name.into());
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>, contents: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), contents.into());
        self
    }

    /// Adds a Unix socket.
    #[must_use]
    pub fn socket(mut self, path: impl Into<PathBuf>) -> Self {
        self.sockets.push(path.into());
        self
    }
}

impl Environment for MapEnvironment {
    fn variables(&self) -> Vec<(String, String)> {
        self.variables.clone().into_iter().collect()
    }

    fn arguments(&self) -> Vec<String> {
        self.arguments.clone()
    }

    fn executable(&self) -> Option<String> {
        self.executable.clone()
    }

    fn hostname(&self) -> Option<String> {
        self.hostname.clone()
    }

    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let bytes = self.files.get(path).ok_or(io::ErrorKind::NotFound)?;
        if bytes.len() as u64 > limit {
            return Err(io::Error::other(format!(
                "the file has more than {limit} bytes"
            )));
        }
        Ok(bytes.clone())
    }

    fn is_socket(&self, path: &Path) -> bool {
        self.sockets.iter().any(|socket| socket == path)
    }
}
