//! The files that are in force, and what an answer changes about them.
//!
//! An update is planned as a whole before anything of it happens: every file that is listed for us is looked up, its length
//! and hash are checked, and only then is anybody told. An answer with a single wrong file leaves everything as it was.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::digest::FileHash;
use super::path::ConfigPath;
use super::response::Update;
use super::subscription::ConfigFile;
use crate::diagnostics;

/// A file that is in force or was refused by its product; either way the agent need not send it again.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) version: u64,
    pub(super) length: u64,
    pub(super) hash: FileHash,
    /// What kept the product from applying it.
    pub(super) error: Option<String>,
}

/// All files of this client, by path.
pub(super) type Files = BTreeMap<ConfigPath, Known>;

/// What an answer changes.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The files afterwards, those that are added or changed without an outcome yet.
    pub(super) files: Files,
    /// Files whose content is not the one that is known.
    pub(super) changed: Vec<ConfigFile>,
    pub(super) removed: Vec<ConfigPath>,
}

impl Plan {
    /// Compares an answer with what is known. An error is about the whole answer.
    pub(super) fn new(
        update: &Update<'_>,
        known: &Files,
        is_wanted: impl Fn(&str) -> bool,
    ) -> Result<Self, String> {
        let mut plan = Self::default();
        let paths: BTreeSet<&str> = update.paths.iter().map(|path| &**path).collect();
        for text in paths {
            let path = ConfigPath::parse(text).ok_or_else(|| {
                format!(
                    "expected `datadog/<number>/<product>/<id>/<name>` as a path, found `{text}`"
                )
            })?;
            if !is_wanted(path.product()) {
                let product = path.product();
                diagnostics::warn(format_args!(
                    "remote configuration: a file for {product} came, which this program has not asked for"
                ));
                continue;
            }
            let target = update
                .target(text)
                .ok_or_else(|| format!("{text}: not among the targets, or without a hash"))?;
            let before = known.get(&path).filter(|known| known.hash == target.hash);
            let is_same = before.is_some_and(|known| {
                // The same content under another version is told again only if it was sent again.
                known.version == target.version || !update.has_content(text)
            });
            if !is_same {
                plan.changed.push(ConfigFile {
                    content: Bytes::from(update.content(text, target)?),
                    path: path.clone(),
                    version: target.version,
                });
            }
            let entry = Known {
                version: target.version,
                length: target.length,
                hash: target.hash.clone(),
                error: before
                    .filter(|_| is_same)
                    .and_then(|known| known.error.clone()),
            };
            plan.files.insert(path, entry);
        }
        let removed = known.keys().filter(|path| !plan.files.contains_key(*path));
        plan.removed = removed.cloned().collect();
        Ok(plan)
    }

    /// Everything goes.
    pub(super) fn removing(known: &Files) -> Self {
        Self {
            removed: known.keys().cloned().collect(),
            ..Self::default()
        }
    }
}
