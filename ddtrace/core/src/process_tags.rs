//! Tags of the process: what was started, from where, and who named the service.
//!
//! They tell apart processes that report under one service, and are the same wherever they appear: `_dd.tags.process` of
//! traces, statistics, telemetry, remote configuration, metrics, data streams. Source: dd-trace-py,
//! `ddtrace/internal/process_tags`; `core.md` §11.4.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use crate::config::Config;

/// The most characters of a value.
const LONGEST: usize = 100;

/// Values that say nothing.
const EMPTY: [&str; 3] = ["/", "\\", "bin"];

/// The tags of this process, sorted by key; none if `DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED` is off.
///
/// ```
/// use ddtrace_core::config::Config;
/// use ddtrace_core::process_tags::ProcessTags;
///
/// let config = Config::builder().service("checkout").build();
/// let tags = ProcessTags::of(&config);
/// assert!(tags.as_str().contains("entrypoint.type:executable"));
/// assert!(tags.as_str().ends_with("svc.user:true"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessTags(String);

impl ProcessTags {
    /// The tags of this process under a configuration.
    pub fn of(config: &Config) -> Self {
        if !config.process_tags {
            return Self::default();
        }
        let place = place();
        let service = config.service_is_inferred.then_some(&*config.service);
        Self::from_place(place, service)
    }

    fn from_place(place: &Place, inferred_service: Option<&str>) -> Self {
        let service = match inferred_service {
            Some(service) => ("svc.auto", service),
            None => ("svc.user", "true"),
        };
        let tags = [
            ("entrypoint.basedir", &*place.base_folder),
            ("entrypoint.name", &place.name),
            ("entrypoint.type", "executable"),
            ("entrypoint.workdir", &place.work_folder),
            service,
        ];
        let mut joined = String::new();
        for (key, value) in tags {
            let value = if EMPTY.contains(&value) {
                String::new()
            } else {
                normalized(value)
            };
            if value.is_empty() {
                continue;
            }
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(key);
            joined.push(':');
            joined.push_str(&value);
        }
        Self(joined)
    }

    /// `key:value` joined by commas; empty if there are none.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each tag, as `key:value`.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(',').filter(|tag| !tag.is_empty())
    }

    /// The base hash: of these tags and of the container's, whose hash the agent tells
    /// ([`AgentInfo::container_tags_hash`](crate::export::agent::AgentInfo::container_tags_hash)). FNV-1, 64 bits.
    pub fn base_hash(&self, container_tags_hash: &str) -> u64 {
        const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let bytes = self.0.bytes().chain(container_tags_hash.bytes());
        bytes.fold(OFFSET, |hash, byte| {
            hash.wrapping_mul(PRIME) ^ u64::from(byte)
        })
    }
}

/// The hash of the container's tags, once an agent has told it: a process is in one container.
static CONTAINER_TAGS_HASH: ArcSwapOption<String> = ArcSwapOption::const_empty();

/// The base hash with what it was made from.
struct KnownHash {
    config: Arc<Config>,
    container: Option<Arc<String>>,
    hash: u64,
}

/// Takes over what the agent says about the container.
pub(crate) fn learn_container_tags_hash(hash: Option<&str>) {
    let known = CONTAINER_TAGS_HASH.load();
    if known.as_deref().map(String::as_str) != hash {
        CONTAINER_TAGS_HASH.store(hash.map(|hash| Arc::new(hash.to_owned())));
    }
}

/// The base hash of this process, with the container's part as soon as the agent has told it; none without process tags.
///
/// Costs two atomic reference counts; the first call after a change computes it.
pub fn current_base_hash(config: &Arc<Config>) -> Option<u64> {
    config
        .process_tags
        .then(|| known_base_hash(config, CONTAINER_TAGS_HASH.load_full()))
}

fn known_base_hash(config: &Arc<Config>, container: Option<Arc<String>>) -> u64 {
    static KNOWN: ArcSwapOption<KnownHash> = ArcSwapOption::const_empty();
    let is_same = |known: &KnownHash| {
        let same_container = match (&known.container, &container) {
            (Some(known), Some(container)) => Arc::ptr_eq(known, container),
            (None, None) => true,
            _ => false,
        };
        same_container && Arc::ptr_eq(&known.config, config)
    };
    if let Some(known) = KNOWN.load_full().filter(|known| is_same(known)) {
        return known.hash;
    }
    let text = container.as_deref().map_or("", String::as_str);
    let hash = ProcessTags::of(config).base_hash(text);
    KNOWN.store(Some(Arc::new(KnownHash {
        config: config.clone(),
        container,
        hash,
    })));
    hash
}

/// Where this process was started, which does not change.
struct Place {
    base_folder: String,
    name: String,
    work_folder: String,
}

fn place() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let executable = std::env::current_exe().unwrap_or_default();
        let folder = std::env::current_dir().unwrap_or_default();
        Place {
            base_folder: executable.parent().map(last_part).unwrap_or_default(),
            name: executable
                .file_stem()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            work_folder: last_part(&folder),
        }
    })
}

fn last_part(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// A value as the agent would have it.
fn normalized(value: &str) -> String {
    let lower: String = value
        .chars()
        .take(LONGEST)
        .flat_map(char::to_lowercase)
        .collect();
    let mut normalized = String::with_capacity(lower.len());
    for c in lower.chars() {
        let is_kept = c.is_alphanumeric() || matches!(c, '/' | '.' | '-');
        if is_kept {
            normalized.push(c);
        } else if !normalized.ends_with('_') {
            normalized.push('_');
        }
    }
    normalized.trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;
    use proptest::prelude::*;

    fn place(base_folder: &str, name: &str, work_folder: &str) -> Place {
        Place {
            base_folder: base_folder.into(),
            name: name.into(),
            work_folder: work_folder.into(),
        }
    }

    #[test]
    fn tags_are_sorted_and_what_says_nothing_is_left_out() {
        let shop = place("release", "Shop Server", "srv");
        for (place, service, expected) in [
            (
                &shop,
                None,
                "entrypoint.basedir:release,entrypoint.name:shop_server,entrypoint.type:executable,\
                 entrypoint.workdir:srv,svc.user:true",
            ),
            (
                &place("bin", "shop", ""),
                Some("shop"),
                "entrypoint.name:shop,entrypoint.type:executable,svc.auto:shop",
            ),
        ] {
            let tags = ProcessTags::from_place(place, service);
            assert_eq!(tags.as_str(), expected);
            assert_eq!(tags.iter().collect::<Vec<_>>().join(","), expected);
        }
    }

    /// The reference's own table, `tests/internal/test_process_tags.py`.
    #[test]
    fn values_are_normalised_as_the_reference_does() {
        for (value, expected) in [
            ("#test_starting_hash", "test_starting_hash"),
            ("TestCAPSandSuch", "testcapsandsuch"),
            (
                "Test Conversion Of Weird !@#$%^&**() Characters",
                "test_conversion_of_weird_characters",
            ),
            ("allowed:c0l0ns", "allowed_c0l0ns"),
            ("1love", "1love"),
            ("/love2", "/love2"),
            ("ünicöde:metäl", "ünicöde_metäl"),
            ("Data🐨dog🐶 繋がっ⛰てて", "data_dog_繋がっ_てて"),
            (" #hashtag!@#spaces #__<>#  ", "hashtag_spaces"),
            (":::test", "test"),
            ("contiguous_____underscores", "contiguous_underscores"),
            (
                "\u{17f}odd_\u{17f}case\u{17f}",
                "\u{17f}odd_\u{17f}case\u{17f}",
            ),
            ("", ""),
            (" ", ""),
            ("™Ö™Ö™™Ö™", "ö_ö_ö"),
            ("___trim", "trim"),
            ("12.:trim@@", "12._trim"),
            ("fun:ky__tag/1", "fun_ky_tag/1"),
            ("tag:1/2.3", "tag_1/2.3"),
            ("---fun:k####y_ta@#g/1_@@#", "---fun_k_y_ta_g/1"),
            ("AlsO:œ#@ö))œk", "also_œ_ö_œk"),
            ("test\u{99}\u{8f}aaa", "test_aaa"),
            ("a\u{fffd}\u{fffd}b", "a_b"),
        ] {
            assert_eq!(normalized(value), expected, "{value}");
        }
        assert_eq!(normalized(&"a".repeat(888)), "a".repeat(100));
        assert_eq!(normalized(&format!("a{}b", "🐶".repeat(799))), "a");
    }

    #[test]
    fn the_setting_takes_them_all_away() {
        let environment = MapEnvironment::new()
            .variable("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", "false");
        let config = Config::builder().environment(&environment).build();
        assert_eq!(ProcessTags::of(&config), ProcessTags::default());
        assert_eq!(ProcessTags::default().iter().count(), 0);
    }

    /// Test vectors of the FNV authors: FNV-1, 64 bits.
    #[test]
    fn the_base_hash_is_fnv_1() {
        for (tags, container, hash) in [
            ("", "", 0xcbf2_9ce4_8422_2325),
            ("a", "", 0xaf63_bd4c_8601_b7be),
            ("foo", "bar", 0x340d_8765_a4dd_a9c2),
        ] {
            assert_eq!(ProcessTags(tags.to_owned()).base_hash(container), hash);
        }
    }

    proptest! {
        #[test]
        fn values_hold_nothing_that_separates(value in "\\PC{0,120}") {
            let value = normalized(&value);
            prop_assert!(!value.contains([',', ':', ' ']), "{value}");
        }
    }

    #[test]
    fn the_current_base_hash_follows_configuration_and_container() {
        let config = Arc::new(Config::builder().service("a").build());
        let container = |hash: &str| Some(Arc::new(hash.to_owned()));
        let abc = container("abc");
        for (container, hash) in [(None, ""), (abc.clone(), "abc"), (abc, "abc"), (None, "")] {
            let expected = ProcessTags::of(&config).base_hash(hash);
            assert_eq!(known_base_hash(&config, container), expected, "{hash}");
        }
        assert!(current_base_hash(&config).is_some());
        let environment = crate::config::MapEnvironment::new()
            .variable("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", "false");
        let off = Arc::new(Config::builder().environment(&environment).build());
        assert_eq!(current_base_hash(&off), None);
    }
}
