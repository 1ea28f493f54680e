//! What a test is called, wherever and however it ran.
//!
//! Identity is decided by libtest's name alone, so that it is the same in every mode, order and place:
//!
//! | libtest's name | suite | name |
//! | --- | --- | --- |
//! | `math::tests::gcd` | `math::tests` | `gcd` |
//! | `gcd` | the crate's name | `gcd` |
//! | `adds::case_2_named` (rstest, test-case) | the path before | `adds::case_2_named`, with parameters |
//! | `src/lib.rs - f (line 2)` (a doctest) | `src/lib.rs` | `f`, `f#2` for the second |

use std::collections::HashMap;

use ddtrace_ci_visibility::model::TestIdentity;

/// The identity of a test in a binary.
pub(crate) fn of_test(module: &str, crate_name: &str, name: &str) -> TestIdentity {
    let segments: Vec<&str> = name.split("::").collect();
    let (last, parents) = segments
        .split_last()
        .map_or((&name, &[][..]), |(last, rest)| (last, rest));
    let is_case = !parents.is_empty() && (is_case(last, "case_") || is_case(last, "test_case_"));
    let of_name = if is_case { 2 } else { 1 };
    let (suite, name_segments) = segments.split_at(segments.len().saturating_sub(of_name));
    let suite = if suite.is_empty() {
        crate_name.to_owned()
    } else {
        suite.join("::")
    };
    let mut identity = TestIdentity::new(module, suite, name_segments.join("::"));
    if is_case {
        let metadata = serde_json::json!({"arguments": {}, "metadata": {"test_name": name}});
        identity.parameters = Some(metadata.to_string());
    }
    identity
}

/// `case_<digits>`, perhaps with a name behind it.
fn is_case(segment: &str, start: &str) -> bool {
    let Some(rest) = segment.strip_prefix(start) else {
        return false;
    };
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && (digits == rest.len() || rest.as_bytes()[digits] == b'_')
}

/// Names doctests; it counts those of one item.
#[derive(Debug, Default)]
pub(crate) struct Doctests {
    /// Lines at which doctests of an item were met, in the order of lines once all are known.
    seen: HashMap<(String, String), Vec<u32>>,
}

/// A doctest's name in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DoctestName {
    /// Relative to the folder that rustdoc ran in.
    pub(crate) file: String,
    /// The item, `(crate)` for the crate itself.
    pub(crate) item: String,
    /// The line at which its code begins.
    pub(crate) line: u32,
}

impl DoctestName {
    /// Reads `<file> - <item> (line N)`, whatever options follow.
    pub(crate) fn read(name: &str) -> Option<DoctestName> {
        let (before, after) = name.rsplit_once("(line ")?;
        let line = after.split_once(')')?.0.parse().ok()?;
        let (file, item) = before
            .trim_end()
            .split_once(" -")
            .unwrap_or((before.trim_end(), ""));
        let item = item.trim();
        Some(DoctestName {
            file: file.trim().to_owned(),
            item: if item.is_empty() { "(crate)" } else { item }.to_owned(),
            line,
        })
    }
}

impl Doctests {
    /// Makes all doctests of a target known, so that they can be numbered in the order of their lines.
    pub(crate) fn meet<'n>(&mut self, names: impl IntoIterator<Item = &'n DoctestName>) {
        for name in names {
            let lines = self
                .seen
                .entry((name.file.clone(), name.item.clone()))
                .or_default();
            if let Err(at) = lines.binary_search(&name.line) {
                lines.insert(at, name.line);
            }
        }
    }

    /// The identity of one that is known; `file` is relative to its package.
    pub(crate) fn identity(&self, module: &str, file: &str, name: &DoctestName) -> TestIdentity {
        let place = self
            .seen
            .get(&(name.file.clone(), name.item.clone()))
            .and_then(|lines| lines.binary_search(&name.line).ok())
            .unwrap_or(0);
        let item = match place {
            0 => name.item.clone(),
            place => format!("{}#{}", name.item, place + 1),
        };
        TestIdentity::new(module, file, item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_named_by_their_path() {
        for (name, suite, expected, has_parameters) in [
            ("math::tests::gcd_works", "math::tests", "gcd_works", false),
            ("alone", "shop", "alone", false),
            (
                "tests::adds::case_2_named",
                "tests",
                "adds::case_2_named",
                true,
            ),
            ("adds::case_1", "shop", "adds::case_1", true),
            ("case_1", "shop", "case_1", false),
            ("t::test_case_3_xyz", "shop", "t::test_case_3_xyz", true),
            (
                "tests::values::a_1_1::b_1___x__",
                "tests::values::a_1_1",
                "b_1___x__",
                false,
            ),
            (
                "test_artifact::dir/a.txt",
                "test_artifact",
                "dir/a.txt",
                false,
            ),
            ("case_of::x", "case_of", "x", false),
            ("m::case_2x", "m", "case_2x", false),
        ] {
            let identity = of_test("pkg", "shop", name);
            assert_eq!(
                (
                    identity.suite.as_str(),
                    identity.name.as_str(),
                    identity.parameters.is_some()
                ),
                (suite, expected, has_parameters),
                "{name}"
            );
        }
        assert_eq!(
            of_test("pkg", "shop", "a::case_1").parameters.as_deref(),
            Some(r#"{"arguments":{},"metadata":{"test_name":"a::case_1"}}"#)
        );
    }

    #[test]
    fn a_doctests_line_is_not_in_its_name() {
        let names: Vec<DoctestName> = [
            "src/lib.rs - Cart::total (line 9)",
            "src/lib.rs - Cart::total (line 2) - compile fail",
            "src/lib.rs - (line 1)",
        ]
        .iter()
        .map(|name| DoctestName::read(name).unwrap())
        .collect();
        let mut doctests = Doctests::default();
        doctests.meet(&names);
        let shown: Vec<String> = names
            .iter()
            .map(|name| {
                doctests
                    .identity("pkg::doctest/shop", "src/lib.rs", name)
                    .name
            })
            .collect();
        assert_eq!(shown, ["Cart::total#2", "Cart::total", "(crate)"]);
        assert_eq!(names[1].line, 2);
        assert!(DoctestName::read("no line").is_none());
    }
}
