//! Coverage the other way round: from files and lines to the tests that reach them.

use std::collections::BTreeMap;

use super::session::{Run, Session};

/// A file that tests of a session reach.
#[derive(Debug)]
pub struct File<'s> {
    /// Relative to the repository.
    pub path: &'s str,
    /// Lines that any test reaches.
    pub lines: u32,
    /// First line, last line, and how many tests reach them; ascending, without overlaps.
    pub ranges: Vec<(u32, u32, u32)>,
    /// A run of each test, and how many lines the test reaches; most lines first.
    pub tests: Vec<(&'s Run, u32)>,
}

/// A run of a test, and the ranges of a file that the test reaches.
type Reached<'s> = (&'s Run, Vec<(u32, u32)>);

/// The files of a session, by path. What a test reached in several runs counts once.
pub fn files(session: &Session) -> Vec<File<'_>> {
    let mut by_file: BTreeMap<&str, Vec<Reached<'_>>> = BTreeMap::new();
    for test in session.tests() {
        let mut own: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
        for run in &test.runs {
            for (file, ranges) in &run.coverage {
                own.entry(file).or_default().extend(ranges);
            }
        }
        for (file, ranges) in own {
            by_file
                .entry(file)
                .or_default()
                .push((test.runs[0], united(ranges)));
        }
    }
    by_file
        .into_iter()
        .map(|(path, tests)| file(path, tests))
        .collect()
}

fn file<'s>(path: &'s str, tests: Vec<Reached<'s>>) -> File<'s> {
    // Where a range begins one more test reaches the lines, behind its end one less.
    let mut changes: BTreeMap<u32, i64> = BTreeMap::new();
    for (first, last) in tests.iter().flat_map(|(_, ranges)| ranges) {
        *changes.entry(*first).or_default() += 1;
        *changes.entry(last.saturating_add(1)).or_default() -= 1;
    }
    let mut ranges: Vec<(u32, u32, u32)> = Vec::new();
    let (mut here, mut from) = (0_i64, 0);
    for (line, change) in changes {
        if here > 0 {
            let tests = u32::try_from(here).unwrap_or(u32::MAX);
            match ranges.last_mut() {
                Some((_, last, same)) if *same == tests && *last + 1 == from => *last = line - 1,
                _ => ranges.push((from, line - 1, tests)),
            }
        }
        here += change;
        from = line;
    }
    let count = |ranges: &[(u32, u32)]| {
        ranges
            .iter()
            .map(|(first, last)| last - first + 1)
            .sum::<u32>()
    };
    let mut tests: Vec<(&Run, u32)> = tests
        .iter()
        .map(|(run, ranges)| (*run, count(ranges)))
        .collect();
    tests.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.key().cmp(&b.0.key())));
    File {
        path,
        lines: ranges.iter().map(|(first, last, _)| last - first + 1).sum(),
        ranges,
        tests,
    }
}

/// Ranges in order, without overlaps; a range that ends before it begins is left out.
fn united(mut ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    ranges.retain(|(first, last)| first <= last && *last < u32::MAX);
    ranges.sort_unstable();
    let mut united: Vec<(u32, u32)> = Vec::new();
    for (first, last) in ranges {
        match united.last_mut() {
            Some((_, end)) if first <= *end + 1 => *end = last.max(*end),
            _ => united.push((first, last)),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn session(tests: &[Vec<(u32, u32)>]) -> Session {
        let run = |(number, ranges): (usize, &Vec<(u32, u32)>)| Run {
            name: format!("t{number}"),
            coverage: BTreeMap::from([("src/lib.rs".to_owned(), ranges.clone())]),
            ..Run::default()
        };
        Session {
            runs: tests.iter().enumerate().map(run).collect(),
            ..Session::default()
        }
    }

    #[test]
    fn lines_are_counted_by_tests() {
        let mut session = session(&[vec![(1, 3), (7, 7)], vec![(2, 5)], vec![]]);
        // Another run of the second test reaches more; it is still one test.
        session.runs.push(Run {
            name: "t1".into(),
            coverage: BTreeMap::from([("src/lib.rs".to_owned(), vec![(5, 6)])]),
            ..Run::default()
        });
        let files = files(&session);
        assert_eq!(files.len(), 1);
        let file = &files[0];
        assert_eq!(file.ranges, [(1, 1, 1), (2, 3, 2), (4, 7, 1)]);
        assert_eq!(file.lines, 7);
        let tests: Vec<_> = file
            .tests
            .iter()
            .map(|(run, lines)| (run.name.as_str(), *lines))
            .collect();
        assert_eq!(tests, [("t1", 5), ("t0", 4), ("t2", 0)]);
    }

    proptest! {
        #[test]
        fn it_is_what_counting_line_by_line_gives(
            tests in prop::collection::vec(prop::collection::vec((0..40_u32, 0..40_u32), 0..6), 1..6),
        ) {
            let session = session(&tests);
            let sets: Vec<BTreeSet<u32>> = tests
                .iter()
                .map(|ranges| ranges.iter().flat_map(|(first, last)| *first..=*last).collect())
                .collect();
            let files = files(&session);
            let counted = |line: u32| files[0].ranges.iter().find(|(first, last, _)| (*first..=*last).contains(&line)).map_or(0, |(_, _, tests)| *tests);
            for line in 0..45 {
                let expected = sets.iter().filter(|set| set.contains(&line)).count();
                prop_assert_eq!(counted(line) as usize, expected, "line {}", line);
            }
            let all: BTreeSet<u32> = sets.into_iter().flatten().collect();
            prop_assert_eq!(files[0].lines as usize, all.len());
        }
    }
}
