//! From tree to numbers: a query held against one segment.

use std::collections::HashSet;

use super::tree::{Bound, Field, Node, Piece, Test};
use crate::store::segment::{Row, Segment, flag};
use crate::store::strings::Strings;

/// A query over the numbers of one segment.
#[derive(Debug)]
pub enum Plan {
    /// Every row.
    All,
    /// All of them.
    And(Vec<Plan>),
    /// Any of them.
    Or(Vec<Plan>),
    /// Not this; `None` within means that nothing satisfies it.
    Not(Option<Box<Plan>>),
    /// The trace is in root set n.
    Root(usize),
    /// A fixed field is one of these texts.
    Text(fn(&Row) -> u32, Texts),
    /// A tag: any of these keys with one of these texts, or with such a number.
    Tag(Texts, Option<Texts>, Option<(Bound, Bound)>, bool),
    /// Some text of the row is one of these.
    Any(Texts),
    /// The duration.
    Duration(Bound, Bound),
    /// With an error, or without.
    Error(bool),
    /// The span id, decimal.
    Span(u64),
    /// The trace id is told by the summary, which the segment does not know; all rows of it are.
    Never,
}

/// A set of texts of a segment.
#[derive(Debug)]
pub struct Texts(Vec<u64>);

impl Texts {
    fn of(strings: &Strings, test: impl Fn(&str) -> bool) -> Option<Texts> {
        let mut bits = vec![0; strings.len().div_ceil(64)];
        let mut found = false;
        for (number, text) in strings.iter().enumerate() {
            if test(text) {
                bits[number / 64] |= 1u64 << (number % 64);
                found = true;
            }
        }
        found.then_some(Texts(bits))
    }

    fn has(&self, number: u32) -> bool {
        self.0[number as usize / 64] >> (number % 64) & 1 == 1
    }
}

impl Plan {
    /// Holds a query against a segment; `None` if no row of it can match.
    pub fn new(node: &Node, segment: &Segment) -> Option<Plan> {
        let strings = &segment.strings;
        Some(match node {
            Node::All => Plan::All,
            Node::And(nodes) => Plan::And(
                nodes
                    .iter()
                    .map(|node| Plan::new(node, segment))
                    .collect::<Option<Vec<_>>>()?,
            ),
            Node::Or(nodes) => {
                let plans: Vec<_> = nodes
                    .iter()
                    .filter_map(|node| Plan::new(node, segment))
                    .collect();
                if plans.is_empty() {
                    return None;
                }
                Plan::Or(plans)
            }
            Node::Not(node) => Plan::Not(Plan::new(node, segment).map(Box::new)),
            Node::Root(number) => Plan::Root(*number),
            Node::Term(field, test) => match field {
                Field::Service => Plan::Text(
                    |row| row.service,
                    Texts::of(strings, |text| fits(test, text))?,
                ),
                Field::Name => {
                    Plan::Text(|row| row.name, Texts::of(strings, |text| fits(test, text))?)
                }
                Field::Resource => Plan::Text(
                    |row| row.resource,
                    Texts::of(strings, |text| fits(test, text))?,
                ),
                Field::Type => Plan::Text(
                    |row| row.span_type,
                    Texts::of(strings, |text| fits(test, text))?,
                ),
                Field::Any => Plan::Any(Texts::of(strings, |text| fits(test, text))?),
                Field::Status => Plan::Error(matches!(test, Test::Exact(text) if text == "error")),
                Field::Duration => match test {
                    Test::Range(low, high) => Plan::Duration(*low, *high),
                    _ => return None,
                },
                Field::SpanId => match test {
                    Test::Exact(text) => Plan::Span(text.parse().ok()?),
                    _ => return None,
                },
                Field::TraceId => Plan::Never,
                Field::Tag(key) => {
                    let keys = Texts::of(strings, |text| text == key)?;
                    let numbers = match test {
                        Test::Range(low, high) => Some((*low, *high)),
                        Test::Exact(text) => text
                            .parse()
                            .ok()
                            .map(|n| (Bound::Including(n), Bound::Including(n))),
                        _ => None,
                    };
                    let texts = Texts::of(strings, |text| fits(test, text));
                    if texts.is_none()
                        && numbers.is_none()
                        && !matches!(test, Test::Exists | Test::Glob(_))
                    {
                        return None;
                    }
                    Plan::Tag(keys, texts, numbers, matches!(test, Test::Exists))
                }
            },
        })
    }

    /// Whether a row of that segment matches; `roots` are the traces of each `root(…)`.
    pub fn matches(&self, segment: &Segment, row: &Row, roots: &[HashSet<u32>]) -> bool {
        match self {
            Plan::All => true,
            Plan::And(plans) => plans.iter().all(|plan| plan.matches(segment, row, roots)),
            Plan::Or(plans) => plans.iter().any(|plan| plan.matches(segment, row, roots)),
            Plan::Not(None) => true,
            Plan::Not(Some(plan)) => !plan.matches(segment, row, roots),
            Plan::Root(number) => roots
                .get(*number)
                .is_some_and(|traces| traces.contains(&row.trace)),
            Plan::Text(get, texts) => texts.has(get(row)),
            Plan::Tag(keys, texts, numbers, any) => {
                segment.meta(row).iter().any(|(key, value)| {
                    keys.has(*key)
                        && (*any || texts.as_ref().is_some_and(|texts| texts.has(*value)))
                }) || ((*any || numbers.is_some())
                    && segment.metrics(row).any(|(key, value)| {
                        keys.has(key)
                            && (*any
                                || numbers.is_some_and(|(low, high)| Test::holds(low, high, value)))
                    }))
            }
            Plan::Any(texts) => {
                texts.has(row.resource)
                    || texts.has(row.name)
                    || texts.has(row.service)
                    || segment.meta(row).iter().any(|(_, value)| texts.has(*value))
            }
            Plan::Duration(low, high) => Test::holds(*low, *high, row.duration as f64),
            Plan::Error(error) => row.is(flag::ERROR) == *error,
            Plan::Span(id) => row.span_id == *id,
            Plan::Never => false,
        }
    }
}

fn fits(test: &Test, text: &str) -> bool {
    match test {
        Test::Exact(wanted) => text == wanted,
        Test::Exists => true,
        Test::Glob(pieces) => fits_glob(pieces, text),
        Test::Contains(wanted) => contains(text, wanted),
        Test::Range(low, high) => {
            let may_be_number =
                text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
            may_be_number && text.parse().is_ok_and(|n| Test::holds(*low, *high, n))
        }
    }
}

/// `wanted` is in lower case.
fn contains(text: &str, wanted: &str) -> bool {
    if !wanted.is_ascii() {
        return text.to_lowercase().contains(wanted);
    }
    let (text, wanted) = (text.as_bytes(), wanted.as_bytes());
    let Some(&first) = wanted.first() else {
        return true;
    };
    if wanted.len() > text.len() {
        return false;
    }
    let upper = first.to_ascii_uppercase();
    (0..=text.len() - wanted.len()).any(|at| {
        (text[at] == first || text[at] == upper)
            && text[at..at + wanted.len()].eq_ignore_ascii_case(wanted)
    })
}

/// Iterative: on a mismatch it goes back to the last `*` only, which is enough and never exponential.
fn fits_glob(pieces: &[Piece], text: &str) -> bool {
    let (mut piece, mut at) = (0, 0);
    let mut last_any: Option<(usize, usize)> = None;
    loop {
        let rest = &text[at..];
        let step = match pieces.get(piece) {
            None if rest.is_empty() => return true,
            None => None,
            Some(Piece::Any) => {
                last_any = Some((piece, at));
                piece += 1;
                continue;
            }
            Some(Piece::One) => rest.chars().next().map(char::len_utf8),
            Some(Piece::Text(wanted)) => rest.starts_with(wanted.as_str()).then_some(wanted.len()),
        };
        match (step, last_any) {
            (Some(step), _) => {
                piece += 1;
                at += step;
            }
            (None, Some((any, from))) => {
                let Some(c) = text[from..].chars().next() else {
                    return false;
                };
                last_any = Some((any, from + c.len_utf8()));
                piece = any + 1;
                at = from + c.len_utf8();
            }
            (None, None) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse::parse;
    use super::*;

    fn glob_fits(pattern: &str, text: &str) -> bool {
        match parse(&format!("@k:{pattern}")).unwrap().0 {
            Node::Term(_, test) => fits(&test, text),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn wildcards() {
        for (pattern, text, fits) in [
            ("5*", "503", true),
            ("5*", "4503", false),
            ("*/health*", "GET /health/x", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("?ä", "xä", true),
            ("?", "", false),
            ("a*", "a", true),
        ] {
            assert_eq!(glob_fits(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn free_text_ignores_case() {
        assert!(contains("GET /Cart", "cart"));
        assert!(contains("ÄPFEL", "äpfel"));
        assert!(!contains("GET", "gett"));
    }
}
