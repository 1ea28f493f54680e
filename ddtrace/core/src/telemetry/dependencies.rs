//! The crates that the program was built from.
//!
//! A Rust program has no list of modules to look at while it runs, so the list has to be put into it when it is built:
//! `ddtrace::dependencies!()`, which `#[ddtrace::main]` does as well, reads the lock file at compile time and leaves the
//! packages that the crate depends on here. Without it, our own crates are reported and those of the integrations.

use serde::Serialize;

use super::MAX_ITEMS;
use crate::export::agent::TRACER_VERSION;
use crate::instrument::Linked;

/// Packages of one lock file: lines of `name version`. The macro `ddtrace::dependencies!()` submits it to [`inventory`].
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedDependencies(pub &'static str);

inventory::collect!(EmbeddedDependencies);

/// A crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) version: String,
}

/// Everything that is known about this program, each crate once, and what found no room.
pub(super) fn collect(linked: &Linked) -> (Vec<Dependency>, u64) {
    let lists = inventory::iter::<EmbeddedDependencies>.into_iter();
    let embedded: Vec<&str> = lists.map(|list| list.0).collect();
    from(&embedded, linked)
}

fn from(embedded: &[&str], linked: &Linked) -> (Vec<Dependency>, u64) {
    let entry = |(name, version): (&str, &str)| Dependency {
        name: name.to_owned(),
        version: version.to_owned(),
    };
    let lines = embedded.iter().flat_map(|list| list.lines());
    let mut all: Vec<Dependency> = lines
        .filter_map(|line| line.split_once(' '))
        .map(entry)
        .collect();
    all.push(entry(("ddtrace-core", TRACER_VERSION)));
    for integration in &linked.integrations {
        // All crates of the workspace have one version, and are named after what they instrument.
        let name = format!("ddtrace-{}", integration.name());
        all.push(entry((&name, TRACER_VERSION)));
    }
    all.sort();
    all.dedup();
    let lost = all.len().saturating_sub(MAX_ITEMS) as u64;
    all.truncate(MAX_ITEMS);
    (all, lost)
}

/// The version of a crate, if it is in the program once; the one that fits the requirement if it is there in several.
pub(super) fn version_of<'a>(
    dependencies: &'a [Dependency],
    name: &str,
    requirement: &str,
) -> Option<&'a str> {
    let mut found = dependencies
        .iter()
        .filter(|dependency| dependency.name == name)
        .map(|dependency| dependency.version.as_str());
    let fits = |version: &&str| {
        version
            .strip_prefix(requirement)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    found
        .clone()
        .find(fits)
        .or_else(|| match (found.next(), found.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instrument::Integration;

    #[test]
    fn embedded_crates_are_reported_once_with_ours_and_those_of_the_integrations() {
        static AXUM: Integration = Integration::new("axum", "axum", "0.8");
        let linked = Linked {
            integrations: vec![&AXUM],
            products: Vec::new(),
        };
        let shown = |(all, _): (Vec<Dependency>, u64)| {
            let all = all
                .iter()
                .map(|one| format!("{} {}", one.name, one.version));
            all.collect::<Vec<_>>()
        };
        let ours = [
            format!("ddtrace-axum {TRACER_VERSION}"),
            format!("ddtrace-core {TRACER_VERSION}"),
        ];
        assert_eq!(shown(from(&[], &linked)), ours);
        let embedded = [
            "serde 1.0.2\naxum 0.8.4\nbroken\n",
            "axum 0.8.4\naxum 0.7.1\n",
        ];
        assert_eq!(
            shown(from(&embedded, &linked)),
            [
                "axum 0.7.1",
                "axum 0.8.4",
                &ours[0],
                &ours[1],
                "serde 1.0.2"
            ]
        );
        let many: String = (0..6000).map(|n| format!("c{n} 1.0.0\n")).collect();
        let (all, lost) = from(&[&many], &linked);
        assert_eq!((all.len(), lost), (MAX_ITEMS, 1002));
    }

    #[test]
    fn the_version_of_a_library_is_the_one_that_the_integration_supports() {
        let (all, _) = from(
            &["sqlx 0.8.6\nsqlx 0.9.1\naxum 0.8.4\n"],
            &Linked {
                integrations: Vec::new(),
                products: Vec::new(),
            },
        );
        for (name, requirement, expected) in [
            ("sqlx", "0.8", Some("0.8.6")),
            ("sqlx", "0.9", Some("0.9.1")),
            ("sqlx", "0.7", None),
            ("axum", "0.7", Some("0.8.4")),
            ("moon", "1", None),
        ] {
            assert_eq!(
                version_of(&all, name, requirement),
                expected,
                "{name} {requirement}"
            );
        }
    }
}
