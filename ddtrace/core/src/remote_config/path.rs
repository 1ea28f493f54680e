//! The path of a remote file: who it is from, for which product, and what it is called.

use std::fmt;
use std::sync::Arc;

/// The path of a remote file:
///
/// * `datadog/<organisation>/<PRODUCT>/<config id>/<name>`, the organisation as a number, or
/// * `employee/<PRODUCT>/<config id>/<name>`.
///
/// ```
/// use ddtrace_core::remote_config::ConfigPath;
///
/// let path = ConfigPath::parse("datadog/2/AGENT_CONFIG/7f3c/flare-log-level.debug").unwrap();
/// assert_eq!(path.product(), "AGENT_CONFIG");
/// assert_eq!(path.config_id(), "7f3c");
/// assert_eq!(path.name(), "flare-log-level.debug");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigPath(Arc<str>);

impl ConfigPath {
    /// Reads a path; nothing if it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        match parts.next()? {
            "datadog" => {
                let organisation = parts.next()?;
                let is_number =
                    !organisation.is_empty() && organisation.bytes().all(|b| b.is_ascii_digit());
                is_number.then_some(())?;
            }
            "employee" => {}
            _ => return None,
        }
        for _ in ["product", "config id", "name"] {
            parts.next().filter(|part| !part.is_empty())?;
        }
        parts.next().is_none().then(|| Self(text.into()))
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The product that the file is for, for example `APM_TRACING`.
    pub fn product(&self) -> &str {
        self.part_from_end(2)
    }

    /// The id under which the file was made.
    pub fn config_id(&self) -> &str {
        self.part_from_end(1)
    }

    /// The last part.
    pub fn name(&self) -> &str {
        self.part_from_end(0)
    }

    fn part_from_end(&self, position: usize) -> &str {
        // `parse` saw at least four parts.
        self.0.rsplit('/').nth(position).unwrap_or_default()
    }
}

impl fmt::Display for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ConfigPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_product_id_and_name() {
        for (text, expected) in [
            (
                "datadog/2/APM_TRACING/a/config",
                Some(("APM_TRACING", "a", "config")),
            ),
            (
                "employee/ASM_DD/1.recommended.json/config",
                Some(("ASM_DD", "1.recommended.json", "config")),
            ),
            // Row G20.
            ("datadog/x/APM_TRACING/a/b", None),
            ("datadog//APM_TRACING/a/b", None),
            ("datadog/2/APM_TRACING/a", None),
            ("datadog/2/APM_TRACING/a/b/c", None),
            ("datadog/2/APM_TRACING//b", None),
            ("datadog/2//a/b", None),
            ("datadog/2/APM_TRACING/a/", None),
            ("employee/2/APM_TRACING/a/b", None),
            ("other/2/APM_TRACING/a/b", None),
            ("/datadog/2/APM_TRACING/a/b", None),
            ("", None),
        ] {
            let path = ConfigPath::parse(text);
            let parts = path
                .as_ref()
                .map(|path| (path.product(), path.config_id(), path.name()));
            assert_eq!(parts, expected, "{text}");
            assert!(path.is_none_or(|path| path.as_str() == text));
        }
    }
}
