//! What is a body, and what a change to a source reaches.

use super::*;
use proptest::prelude::*;

const SOURCE: &str = "//! A file.
use std::process::Command;
const LIMIT: u32 = 3;
/// Doubles.
pub fn twice(n: u32) -> u32 {
    n * 2
}
const fn folded() -> u32 { 4 }
struct Point { x: u32 }
impl Point {
    pub async fn move_by(&mut self, by: u32) { self.x += by; }
    fn new() -> Self { Point { x: 0 } }
}
impl Default for Point {
    fn default() -> Self { Point::new() }
}
trait Shape { fn area(&self) -> u32; fn twice(&self) -> u32 { self.area() * 2 } }
macro_rules! made { ($name:ident) => { fn $name() -> u32 { 7 } } }
made! { seven }
static TABLE: [fn(u32) -> u32; 1] = [twice];
fn with_inner() { impl Drop for Point { fn drop(&mut self) {} } }
#[cfg(test)]
mod tests {
    use super::*;
    fn helper() -> u32 { 1 }
    #[test]
    fn doubles() { assert_eq!(twice(helper()), 2); }
    #[tokio::test]
    async fn waits() { struct Local; impl Local { fn f() {} } }
}
";

fn outline(text: &str) -> Outline {
    Outline::of(text).unwrap()
}

#[test]
fn bodies_are_found_by_their_paths() {
    let outline = outline(SOURCE);
    let found: Vec<(&str, u32, u32, bool)> = outline
        .bodies
        .iter()
        .map(|body| (body.key.as_str(), body.first, body.last, body.in_tests))
        .collect();
    assert_eq!(
        found,
        [
            ("twice", 5, 7, false),
            ("impl Point::move_by", 11, 11, false),
            ("impl Point::new", 12, 12, false),
            ("impl Default for Point::default", 15, 15, false),
            ("trait Shape::twice", 17, 17, false),
            ("mod tests::helper", 25, 25, true),
            ("mod tests::doubles", 26, 27, true),
            ("mod tests::waits", 28, 29, true),
        ]
    );
}

/// What changes when a piece of the text is replaced: skeleton, tests, bodies by key.
fn changed(from: &str, to: &str) -> (bool, bool, Vec<String>) {
    let (before, after) = (outline(SOURCE), outline(&SOURCE.replacen(from, to, 1)));
    assert!(SOURCE.contains(from), "{from}");
    let hashes = |outline: &Outline| -> std::collections::BTreeMap<String, Hash> {
        let bodies = outline.bodies.iter();
        bodies
            .map(|body| (body.key.clone(), body.hash.clone()))
            .collect()
    };
    let (old, new) = (hashes(&before), hashes(&after));
    let keys = old
        .keys()
        .chain(new.keys())
        .filter(|key| old.get(*key) != new.get(*key));
    let mut keys: Vec<String> = keys.cloned().collect();
    keys.dedup();
    (
        before.skeleton != after.skeleton,
        before.tests != after.tests,
        keys,
    )
}

#[test]
fn a_change_shows_where_it_reaches() {
    let no: &[&str] = &[];
    for (from, to, skeleton, tests, bodies) in [
        ("n * 2", "n * 3", false, false, &["twice"][..]),
        ("n * 2", "n  *  2 // twice", false, false, no),
        ("//! A file.\n", "", false, false, no),
        ("/// Doubles.", "/// Halves.", false, false, no),
        (
            "struct Point",
            "/// For derives to read.\nstruct Point",
            true,
            false,
            no,
        ),
        ("LIMIT: u32 = 3", "LIMIT: u32 = 4", true, false, no),
        ("u32 { 4 }", "u32 { 5 }", true, false, no),
        ("x: u32 }\n", "x: u64 }\n", true, false, no),
        ("(n: u32)", "(n: u64)", true, false, no),
        ("{ 7 }", "{ 8 }", true, false, no),
        ("made! { seven }", "made! { eight }", true, false, no),
        (
            "self.x += by",
            "self.x -= by",
            false,
            false,
            &["impl Point::move_by"],
        ),
        ("[twice]", "[twice as _]", true, false, no),
        (
            "fn drop(&mut self) {}",
            "fn drop(&mut self) { loop {} }",
            true,
            false,
            no,
        ),
        ("{ 1 }", "{ 2 }", false, false, &["mod tests::helper"]),
        ("fn helper() -> u32", "fn helper() -> u64", false, true, no),
        (
            "helper()), 2",
            "helper()), 3",
            false,
            false,
            &["mod tests::doubles"],
        ),
        (
            "    #[test]\n",
            "    #[test]\n    fn another() {}\n    #[test]\n",
            false,
            false,
            &["mod tests::another"],
        ),
        (
            "#[test]",
            "#[test] #[should_panic]",
            false,
            false,
            &["mod tests::doubles"],
        ),
        (
            "use super::*;",
            "use super::{twice, Point};",
            false,
            true,
            no,
        ),
    ] {
        let bodies: Vec<String> = bodies.iter().map(|key| (*key).to_owned()).collect();
        assert_eq!(
            changed(from, to),
            (skeleton, tests, bodies),
            "{from} -> {to}"
        );
    }
}

#[test]
fn words_say_what_coverage_does_not_show() {
    for (body, starts_programs, reads_sources) in [
        ("let x = 1;", false, false),
        ("Command::new(\"ls\");", true, false),
        ("Command::new(\"cargo\");", true, true),
        ("trybuild::TestCases::new().pass(\"a\");", false, true),
        ("std::fs::read_to_string(\"data.json\");", false, false),
        (
            "std::fs::read_dir(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/x\"));",
            false,
            true,
        ),
    ] {
        let outline = outline(&format!("fn f() {{ {body} }}"));
        let hints = Hints {
            starts_programs,
            reads_sources,
        };
        assert_eq!(outline.bodies[0].hints, hints, "{body}");
        assert_eq!(outline.hints, Hints::default());
    }
    assert!(outline("fn f() { g(line!()) }").asks_for_lines);
    assert!(outline("#[track_caller] fn f() {}").asks_for_lines);
    assert!(!outline(SOURCE).asks_for_lines);
}

#[test]
fn what_is_no_rust_has_no_outline() {
    assert_eq!(Outline::of("fn ("), None);
    assert!(Outline::of("#!/usr/bin/env run\nfn a() {}\n").is_some());
    assert_eq!(outline("fn a() {}\nfn a() {}").bodies[1].key, "a#2");
}

proptest! {
    #[test]
    fn any_text_is_taken(text in "([a-z{}()\\[\\];#!<>'\"/* ]|fn |impl |mod |#\\[test\\] ){0,60}") {
        if let Some(outline) = Outline::of(&text) {
            prop_assert!(outline.bodies.iter().all(|body| body.first <= body.last));
        }
    }
}
