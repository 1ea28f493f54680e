//! Tests of the table: its consistency, and that sources read nothing beside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::integration::is_of_family;
use super::table::NOT_READ;
use super::*;

#[test]
fn names_are_unique_and_defaults_parse_without_complaint() {
    let mut seen = BTreeSet::new();
    for (index, row) in SETTINGS.iter().enumerate() {
        assert_eq!(row.id as usize, index, "{}", row.name);
        assert!(seen.insert(row.name), "{} appears twice", row.name);
        assert!(
            row.aliases.iter().all(|alias| seen.insert(alias)),
            "{}",
            row.name
        );
        assert!(
            !row.doc.is_empty() && !row.products.is_empty(),
            "{}",
            row.name
        );
        if let Some(default) = row.default {
            let outcome = parse::parse(&row.kind, default);
            assert!(
                outcome.value.is_some() && outcome.notes.is_empty(),
                "{}",
                row.name
            );
        }
    }
    assert!(NOT_READ.iter().all(|(name, _)| !seen.contains(name)));
}

#[test]
fn the_documentation_has_a_row_for_every_setting() {
    let text = markdown();
    for row in SETTINGS {
        assert!(
            text.contains(&format!("\n| `{}` |", row.name)),
            "{}",
            row.name
        );
    }
    assert_eq!(text.lines().count(), SETTINGS.len() + 2);
}

/// Every file of Rust source below a folder.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The string literals in a text that are the name of a variable of ours.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').filter(|literal| {
        let rest = literal
            .strip_prefix('_')
            .unwrap_or(literal)
            .strip_prefix("DD_");
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(plain))
    })
}

#[test]
fn every_name_read_in_the_sources_is_in_the_table() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    if !workspace.join("Cargo.toml").exists() {
        // The crate was taken out of its workspace: there is nothing else to look at.
        return;
    }
    let mut files = Vec::new();
    sources(&workspace, &mut files);
    // Files of tests make names up.
    let in_src = files.iter().filter(|path| {
        let of_tests = path.to_string_lossy().ends_with("tests.rs");
        !of_tests && path.components().any(|part| part.as_os_str() == "src")
    });
    let mut unknown = BTreeSet::new();
    for path in in_src {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for name in names(&text) {
            let known = Name::find(name).is_some()
                || is_of_family(name)
                || NOT_READ.iter().any(|(not_read, _)| *not_read == name);
            if !known {
                unknown.insert(format!("{name} in {}", path.display()));
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "add a row to the table of settings for: {unknown:#?}"
    );
}

#[test]
fn the_scan_finds_names() {
    let text = r#"env("DD_UNKNOWN"), format!("DD_{x}"), "DD_", "_DD_INNER", DD_BARE"#;
    assert_eq!(names(text).collect::<Vec<_>>(), ["DD_UNKNOWN", "_DD_INNER"]);
}
