//! What benchmarks measured, from the files that criterion leaves.
//!
//! `target/criterion/<group>/<function>/<value>/new/` holds `benchmark.json` (names) and `sample.json` (how long how many iterations
//! took, in nanoseconds). Datadog wants seconds, and the numbers that pytest-benchmark computes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ddtrace_ci_visibility::model::{Attempt, Status, TestIdentity, TestKind};
use serde_json::Value;

/// Folders that are looked into.
const FOLDERS: usize = 100_000;
/// How deep a benchmark may lie.
const DEPTH: usize = 6;
/// Bytes of one file.
const FILE: u64 = 16 << 20;

/// The benchmarks that were measured since then, as runs of tests of this module.
pub(super) fn measured(binary: &Path, module: &str, since: SystemTime) -> Vec<Attempt> {
    let Some(home) = home(binary) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let mut folders = vec![(home, 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        seen += 1;
        if seen > FOLDERS {
            break;
        }
        if folder.ends_with("new") {
            found.extend(read(&folder, module, since));
            continue;
        }
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
        let below = entries
            .filter(|entry| depth < DEPTH && entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders.extend(below.map(|entry| (entry.path(), depth + 1)));
    }
    found.sort_by(|a, b| a.identity.cmp(&b.identity));
    found
}

/// Where criterion writes: beside the profile's folder, unless a variable says otherwise.
fn home(binary: &Path) -> Option<PathBuf> {
    if let Some(home) = std::env::var_os("CRITERION_HOME") {
        return Some(PathBuf::from(home));
    }
    // target/release/deps/name-hash
    Some(binary.parent()?.parent()?.parent()?.join("criterion"))
}

fn read(folder: &Path, module: &str, since: SystemTime) -> Option<Attempt> {
    let json = |name: &str| -> Option<Value> {
        let path = folder.join(name);
        let data = std::fs::metadata(&path).ok()?;
        // What an earlier run left is not this one's.
        let is_new = data.modified().is_ok_and(|time| time >= since);
        if !is_new || data.len() > FILE {
            return None;
        }
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    };
    let (names, sample) = (json("benchmark.json")?, json("sample.json")?);
    let numbers = |key: &str| -> Option<Vec<f64>> {
        sample[key].as_array()?.iter().map(Value::as_f64).collect()
    };
    let (iterations, times) = (numbers("iters")?, numbers("times")?);
    let each = times.iter().zip(&iterations);
    let each: Vec<f64> = each.map(|(time, count)| time / count / 1e9).collect();
    if each.is_empty() || each.len() != times.len() || !each.iter().all(|time| time.is_finite()) {
        return None;
    }
    let group = names["group_id"].as_str()?;
    let parts = [&names["function_id"], &names["value_str"]];
    let name: Vec<&str> = parts.iter().filter_map(|part| part.as_str()).collect();
    let name = if name.is_empty() {
        group.to_owned()
    } else {
        name.join("/")
    };
    let seconds = times.iter().sum::<f64>() / 1e9;
    let took = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    let identity = TestIdentity::new(module, group, name);
    let ended = std::fs::metadata(folder.join("sample.json")).and_then(|data| data.modified());
    let start = ended.ok()?.checked_sub(took).unwrap_or(since);
    let mut attempt = Attempt::new(identity, Status::Pass, start, took);
    attempt.kind = TestKind::Benchmark;
    let statistics = Statistics::of(each);
    attempt
        .meta
        .push(("benchmark.duration.info".to_owned(), "Time".to_owned()));
    let outliers = format!(
        "{};{}",
        statistics.beyond_deviation, statistics.beyond_quartiles
    );
    attempt.meta.push((
        "benchmark.duration.statistics.outliers".to_owned(),
        outliers,
    ));
    attempt.metrics = statistics.metrics();
    Some(attempt)
}

/// Numbers about a sample, as pytest-benchmark 5 computes them.
#[derive(Debug, Clone, PartialEq)]
struct Statistics {
    mean: f64,
    median: f64,
    min: f64,
    max: f64,
    total: f64,
    count: usize,
    deviation: f64,
    first_quartile: f64,
    third_quartile: f64,
    lowest_within: f64,
    highest_within: f64,
    beyond_quartiles: usize,
    beyond_deviation: usize,
}

impl Statistics {
    /// `data` is not empty.
    fn of(mut data: Vec<f64>) -> Statistics {
        data.sort_by(f64::total_cmp);
        let count = data.len();
        let total: f64 = data.iter().sum();
        let mean = total / count as f64;
        let squares: f64 = data.iter().map(|time| (time - mean).powi(2)).sum();
        let deviation = if count > 1 {
            (squares / (count - 1) as f64).sqrt()
        } else {
            0.0
        };
        let (first_quartile, third_quartile) = quartiles(&data);
        let range = 1.5 * (third_quartile - first_quartile);
        let (low, high) = (first_quartile - range, third_quartile + range);
        let beyond = |low: f64, high: f64| {
            data.iter()
                .filter(|time| **time < low || **time > high)
                .count()
        };
        Statistics {
            mean,
            median: median(&data),
            min: data[0],
            max: data[count - 1],
            total,
            count,
            deviation,
            first_quartile,
            third_quartile,
            lowest_within: data
                .iter()
                .copied()
                .find(|time| *time >= low)
                .unwrap_or(data[0]),
            highest_within: data
                .iter()
                .rev()
                .copied()
                .find(|time| *time <= high)
                .unwrap_or(data[0]),
            beyond_quartiles: beyond(low, high),
            beyond_deviation: beyond(mean - deviation, mean + deviation),
        }
    }

    fn metrics(&self) -> Vec<(String, f64)> {
        let rate = if self.total > 0.0 {
            self.count as f64 / self.total
        } else {
            0.0
        };
        let named = [
            ("mean", self.mean),
            ("runs", self.count as f64),
            ("statistics.mean", self.mean),
            ("statistics.median", self.median),
            ("statistics.min", self.min),
            ("statistics.max", self.max),
            ("statistics.total", self.total),
            ("statistics.n", self.count as f64),
            ("statistics.std_dev", self.deviation),
            ("statistics.iqr", self.third_quartile - self.first_quartile),
            ("statistics.q1", self.first_quartile),
            ("statistics.q3", self.third_quartile),
            ("statistics.hd15iqr", self.highest_within),
            ("statistics.ld15iqr", self.lowest_within),
            ("statistics.iqr_outliers", self.beyond_quartiles as f64),
            ("statistics.std_dev_outliers", self.beyond_deviation as f64),
            ("statistics.ops", rate),
        ];
        let name = |(name, value): (&str, f64)| (format!("benchmark.duration.{name}"), value);
        named.into_iter().map(name).collect()
    }
}

/// Of sorted data.
fn median(data: &[f64]) -> f64 {
    let half = data.len() / 2;
    if data.len() % 2 == 1 {
        data[half]
    } else {
        (data[half - 1] + data[half]) / 2.0
    }
}

/// The first and the third: of an even number the medians of its halves, of an odd one weighted means.
fn quartiles(data: &[f64]) -> (f64, f64) {
    let count = data.len();
    let n = count / 4;
    match count % 4 {
        _ if count == 1 => (data[0], data[0]),
        1 => (
            0.25 * data[n - 1] + 0.75 * data[n],
            0.75 * data[3 * n] + 0.25 * data[3 * n + 1],
        ),
        3 => (
            0.75 * data[n] + 0.25 * data[n + 1],
            0.25 * data[3 * n + 1] + 0.75 * data[3 * n + 2],
        ),
        _ => (median(&data[..count / 2]), median(&data[count / 2..])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_pytest_benchmark() {
        // Computed by pytest_benchmark.stats.Stats.
        type Row<'r> = (
            &'r [f64],
            f64,
            f64,
            f64,
            f64,
            f64,
            f64,
            f64,
            f64,
            (usize, usize),
        );
        let rows: [Row<'_>; 5] = [
            (&[1.0], 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, (0, 0)),
            (
                &[1.0, 2.0, 3.0, 10.0],
                4.0,
                4.08248290463863,
                2.5,
                1.5,
                6.5,
                1.0,
                10.0,
                0.25,
                (1, 0),
            ),
            (
                &[5.0, 1.0, 2.0, 3.0, 4.0],
                3.0,
                1.5811388300841898,
                3.0,
                1.75,
                4.25,
                1.0,
                5.0,
                0.3333333333333333,
                (2, 0),
            ),
            (
                &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 100.0],
                17.285714285714285,
                36.51353304239532,
                4.0,
                2.25,
                5.75,
                1.0,
                6.0,
                0.05785123966942149,
                (1, 1),
            ),
            (
                &[2.0, 2.0, 2.5, 2.1, 2.2, 9.0],
                3.3,
                2.7985710639538888,
                2.15,
                2.0,
                2.5,
                2.0,
                2.5,
                0.30303030303030304,
                (1, 1),
            ),
        ];
        for (data, mean, deviation, median, q1, q3, low, high, ops, outliers) in rows {
            let found = Statistics::of(data.to_vec());
            let metrics = found.metrics();
            let get = |name: &str| {
                metrics
                    .iter()
                    .find(|(key, _)| key.ends_with(&format!(".{name}")))
                    .unwrap()
                    .1
            };
            for (name, expected) in [
                ("mean", mean),
                ("std_dev", deviation),
                ("median", median),
                ("q1", q1),
                ("q3", q3),
                ("ld15iqr", low),
                ("hd15iqr", high),
                ("ops", ops),
            ] {
                assert!(
                    (get(name) - expected).abs() < 1e-9,
                    "{data:?} {name}: {}",
                    get(name)
                );
            }
            assert_eq!(
                (found.beyond_deviation, found.beyond_quartiles),
                outliers,
                "{data:?}"
            );
        }
    }

    #[test]
    fn what_criterion_leaves_is_read_and_what_is_older_is_not() {
        let target = tempfile::tempdir().unwrap();
        let write = |place: &str, names: &str| {
            let folder = target.path().join("criterion").join(place).join("new");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("benchmark.json"), names).unwrap();
            std::fs::write(
                folder.join("sample.json"),
                r#"{"sampling_mode":"Flat","iters":[10.0,20.0],"times":[1000.0,4000.0]}"#,
            )
            .unwrap();
        };
        write(
            "group/f/7",
            r#"{"group_id":"group","function_id":"f","value_str":"7","full_id":"group/f/7"}"#,
        );
        write(
            "alone",
            r#"{"group_id":"alone","function_id":null,"value_str":null}"#,
        );
        write("broken", "no JSON");
        let binary = target.path().join("release/deps/speed-0123456789abcdef");
        let found = measured(&binary, "shop::bench/speed", SystemTime::UNIX_EPOCH);
        let names: Vec<(&str, &str)> = found
            .iter()
            .map(|one| (one.identity.suite.as_str(), one.identity.name.as_str()))
            .collect();
        assert_eq!(names, [("alone", "alone"), ("group", "f/7")]);
        let mean = found[0]
            .metrics
            .iter()
            .find(|(name, _)| name == "benchmark.duration.mean")
            .unwrap()
            .1;
        assert!((mean - 150e-9).abs() < 1e-15, "{mean}");
        assert_eq!(found[0].kind, TestKind::Benchmark);
        let later = SystemTime::now() + Duration::from_secs(3600);
        assert!(measured(&binary, "shop::bench/speed", later).is_empty());
    }
}
