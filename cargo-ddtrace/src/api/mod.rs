//! The JSON API, described in `API.md`.

use std::path::Path;
use std::sync::Arc;

/// What every handler can reach.
#[derive(Clone)]
pub struct Shared(Arc<Inner>);

struct Inner {
    token: String,
    assets: Option<std::path::PathBuf>,
}

impl Shared {
    /// The token of changing calls: 32 hex digits, for the page's `<meta name="ddtrace-token">`.
    pub fn token(&self) -> &str {
        &self.0.token
    }

    /// The folder of `--assets DIR`: page files are read from there instead of the embedded ones.
    pub fn assets(&self) -> Option<&Path> {
        self.0.assets.as_deref()
    }
}
