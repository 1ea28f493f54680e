//! What the agent answers to `POST /v0.7/config`: files, and the signed list that says which files there are.
//!
//! The list (`targets`) is the JSON of The Update Framework, in Base64; who signed it is the agent's business. Whatever
//! arrives is counted while it is read, so that an answer of many small entries cannot become much larger in memory than
//! it was on the wire, and nothing here recurses over its depth.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

use super::capped::{Capped, CappedMap};
use super::digest::FileHash;
use crate::base64;

/// How many files one client can be told of, and how many targets a list may have.
const MAX_FILES: usize = 10_000;

/// How many hashes a target can have.
const MAX_HASHES: usize = 16;

/// The bytes of an answer that says that nothing has changed: `{}`, perhaps with a line break.
const EMPTY: usize = 3;

/// An answer that says something.
#[derive(Debug)]
pub(super) struct Update<'a> {
    /// The version of the list.
    pub(super) version: u64,
    /// What the backend wants to hear next time, as it was received.
    pub(super) backend_state: String,
    /// The files that exist, by path.
    targets: BTreeMap<String, Target>,
    /// The contents that were sent along, by path, in Base64.
    contents: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// The paths of the files for this client.
    pub(super) paths: Vec<Cow<'a, str>>,
}

/// A file in the list.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) version: u64,
    pub(super) length: u64,
    pub(super) hash: FileHash,
}

impl<'a> Update<'a> {
    /// Reads an answer; nothing if it says that nothing has changed. An error is about the whole of it.
    pub(super) fn parse(body: &'a [u8]) -> Result<Option<Self>, String> {
        if body.len() <= EMPTY {
            return Ok(None);
        }
        let answer: Answer<'a> = serde_json::from_slice(body)
            .map_err(|error| format!("the answer is not what was expected: {error}"))?;
        let is_expired = answer.config_status.is_some_and(|status| status.0);
        let Some(list) = answer.targets.filter(|list| !list.0.is_empty()) else {
            // An expired organisation has no list, and everything it had set is void.
            return Ok(is_expired.then(Self::nothing));
        };
        let list = base64::decode(&*list.0).ok_or("`targets` is not Base64")?;
        let list: List = serde_json::from_slice(&list)
            .map_err(|error| format!("`targets` is not what was expected: {error}"))?;
        let signed = list.signed;
        let mut targets = BTreeMap::new();
        for (path, target) in signed.targets.unwrap_or_default().0 {
            let hashes = target.hashes.0.iter();
            let hash = FileHash::choose(hashes.map(|(name, hex)| (name.as_str(), hex.as_str())));
            // Only who needs the file has to know that it cannot be checked.
            let Some(hash) = hash else { continue };
            let entry = Target {
                version: target.custom.and_then(|custom| custom.v).unwrap_or(0),
                length: target.length,
                hash,
            };
            targets.insert(path, entry);
        }
        let files = answer.target_files.unwrap_or_default().0;
        let contents = files.into_iter().map(|file| (file.path, file.raw));
        let paths = answer.client_configs.unwrap_or_default().0;
        let paths = paths.into_iter().map(|path| path.0);
        let custom = signed.custom.unwrap_or_default();
        Ok(Some(Self {
            version: signed.version,
            backend_state: custom.opaque_backend_state.unwrap_or_default(),
            targets,
            contents: contents.collect(),
            paths: paths.filter(|_| !is_expired).collect(),
        }))
    }

    /// The list of an organisation that has none.
    fn nothing() -> Self {
        Self {
            version: 0,
            backend_state: String::new(),
            targets: BTreeMap::new(),
            contents: BTreeMap::new(),
            paths: Vec::new(),
        }
    }

    /// The entry of a file in the list, if it can be checked.
    pub(super) fn target(&self, path: &str) -> Option<&Target> {
        self.targets.get(path)
    }

    /// Whether the file's content was sent along.
    pub(super) fn has_content(&self, path: &str) -> bool {
        self.contents.contains_key(path)
    }

    /// The content of a file, checked.
    pub(super) fn content(&self, path: &str, target: &Target) -> Result<Vec<u8>, String> {
        let raw = self
            .contents
            .get(path)
            .ok_or_else(|| format!("{path}: neither sent nor known"))?;
        let content = base64::decode(raw.as_ref()).ok_or_else(|| format!("{path}: not Base64"))?;
        if content.len() as u64 != target.length {
            let (expected, found) = (target.length, content.len());
            return Err(format!("{path}: expected {expected} bytes, found {found}"));
        }
        if !target.hash.fits(&content) {
            let algorithm = target.hash.algorithm();
            return Err(format!("{path}: the {algorithm} of the content is another"));
        }
        Ok(content)
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    targets: Option<Text<'a>>,
    #[serde(borrow)]
    target_files: Option<Capped<TargetFile<'a>, MAX_FILES>>,
    #[serde(borrow)]
    client_configs: Option<Capped<Text<'a>, MAX_FILES>>,
    config_status: Option<IsExpired>,
}

/// A text that is borrowed where it holds no escape.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct TargetFile<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow)]
    raw: Cow<'a, str>,
}

#[derive(Deserialize)]
struct List {
    signed: Signed,
}

#[derive(Deserialize)]
struct Signed {
    version: u64,
    custom: Option<SignedCustom>,
    targets: Option<CappedMap<RawTarget, MAX_FILES>>,
}

#[derive(Default, Deserialize)]
struct SignedCustom {
    opaque_backend_state: Option<String>,
}

#[derive(Deserialize)]
struct RawTarget {
    custom: Option<TargetCustom>,
    hashes: CappedMap<String, MAX_HASHES>,
    length: u64,
}

#[derive(Deserialize)]
struct TargetCustom {
    v: Option<u64>,
}

/// Whether a status says that the organisation's remote configuration has run out: a number or a name.
struct IsExpired(bool);

impl<'de> Deserialize<'de> for IsExpired {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Status {
            Number(u64),
            Name(String),
            Other(IgnoredAny),
        }
        Ok(Self(match Status::deserialize(deserializer)? {
            Status::Number(number) => number == 1,
            Status::Name(name) => name.ends_with("EXPIRED"),
            Status::Other(_) => false,
        }))
    }
}
