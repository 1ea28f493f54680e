//! Tags of the process: how a program was started, for Datadog to find services that nobody named (`spec/core.md` §11.4).
//!
//! They go out with traces, statistics, telemetry, remote configuration, runtime metrics and process discovery, always as the
//! same text: `key:value` items, sorted by key and joined by commas.

use std::path::Path;

use crate::config::Config;

/// The longest value, in characters.
const MAX_LENGTH: usize = 100;

/// The tags of this process as one text; nothing if they are switched off.
pub fn process_tags(config: &Config) -> Option<String> {
    if !config.process_tags {
        return None;
    }
    let executable = std::env::current_exe().ok();
    let folder = std::env::current_dir().ok();
    let name = |path: Option<&Path>| {
        let name = path?.file_name()?.to_string_lossy();
        Some(name.into_owned())
    };
    let stem = executable
        .as_deref()
        .and_then(Path::file_stem)
        .map(|stem| stem.to_string_lossy().into_owned());
    let service = if config.service_is_inferred {
        ("svc.auto", Some(config.service.clone()))
    } else {
        ("svc.user", Some("true".to_owned()))
    };
    Some(text([
        (
            "entrypoint.basedir",
            name(executable.as_deref().and_then(Path::parent)),
        ),
        ("entrypoint.name", stem),
        ("entrypoint.type", Some("executable".to_owned())),
        ("entrypoint.workdir", name(folder.as_deref())),
        service,
    ]))
}

/// Tags as one text; those that nothing is left of are left out.
fn text<const N: usize>(mut tags: [(&str, Option<String>); N]) -> String {
    tags.sort_by_key(|(key, _)| *key);
    let items = tags.into_iter().filter_map(|(key, value)| {
        let value = normalize(&value?);
        (!value.is_empty()).then(|| format!("{key}:{value}"))
    });
    items.collect::<Vec<_>>().join(",")
}

/// A value in the form that the backend gives it: lower case, everything unusual as one underscore.
fn normalize(value: &str) -> String {
    let mut normal = String::with_capacity(value.len());
    for c in value.chars().take(MAX_LENGTH) {
        let c = match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '/' | '.' | '-') => c,
            _ => '_',
        };
        if c != '_' || !normal.ends_with('_') {
            normal.push(c);
        }
    }
    normal.trim_matches('_').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;

    #[test]
    fn values_are_normalized() {
        let cases = [
            ("Shop", "shop"),
            ("my shop!!v2", "my_shop_v2"),
            ("__a__b__", "a_b"),
            ("a/b.c_d-e", "a/b.c_d-e"),
            ("a,b:c", "a_b_c"),
            ("été", "t"),
            ("", ""),
        ];
        for (value, expected) in cases {
            assert_eq!(normalize(value), expected, "{value}");
        }
        assert_eq!(normalize(&"x".repeat(300)).len(), MAX_LENGTH);
    }

    #[test]
    fn tags_are_sorted_and_empty_ones_left_out() {
        let tags = [
            ("b", Some("2".to_owned())),
            ("c", None),
            ("a", Some("1".to_owned())),
            ("d", Some("!".to_owned())),
        ];
        assert_eq!(text(tags), "a:1,b:2");
    }

    #[test]
    fn the_process_says_how_it_was_started() {
        let config = |variables: &[(&str, &str)]| {
            let environment = variables.iter().fold(
                MapEnvironment::new().executable("Shop 2"),
                |all, (name, value)| all.variable(*name, *value),
            );
            Config::builder().environment(&environment).build()
        };
        let tags = process_tags(&config(&[])).unwrap();
        let keys: Vec<_> = tags
            .split(',')
            .map(|tag| tag.split_once(':').unwrap().0)
            .collect();
        assert_eq!(
            keys,
            [
                "entrypoint.basedir",
                "entrypoint.name",
                "entrypoint.type",
                "entrypoint.workdir",
                "svc.auto"
            ]
        );
        assert!(tags.contains("entrypoint.type:executable") && tags.ends_with("svc.auto:shop_2"));
        let named = process_tags(&config(&[("DD_SERVICE", "Shop")])).unwrap();
        assert!(named.ends_with(",svc.user:true"), "{named}");
        let off = config(&[("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", "false")]);
        assert_eq!(process_tags(&off), None);
    }
}
