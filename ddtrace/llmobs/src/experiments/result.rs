//! What came of an experiment, as values, as a table, and as a file that CI systems read.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use super::evaluator::{BoxError, EvaluatorResult};
use crate::evaluation::Assessment;
use crate::json_text::text_of;

/// The longest text of a cell.
const CELL: usize = 40;

/// Why something could not be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The type of error.
    pub kind: String,
    /// What it says.
    pub message: String,
}

impl Failure {
    pub(super) fn of(error: &BoxError) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(error) = source {
            let _ = write!(message, ": {error}");
            source = error.source();
        }
        Self {
            // The type of a boxed error is not known any more.
            kind: "error".into(),
            message,
        }
    }

    pub(super) fn panicked() -> Self {
        Self {
            kind: "panic".into(),
            message: "panicked".into(),
        }
    }
}

/// What one evaluator thinks, or why it does not.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Judgement {
    /// Its label.
    pub label: String,
    /// What it thinks.
    pub result: EvaluatorResult,
    /// Why it does not.
    pub error: Option<Failure>,
}

impl Judgement {
    /// As it stands in a request.
    pub(super) fn metric(
        &self,
        source: &str,
        experiment: &str,
        span: &str,
        trace: &str,
        timestamp_ms: u64,
    ) -> Value {
        let value = &self.result.value;
        let (kind, value) = match value {
            Value::Null => ("categorical", Value::Null),
            Value::Bool(_) => ("boolean", value.clone()),
            Value::Number(_) => ("score", value.clone()),
            Value::Object(_) => ("json", value.clone()),
            other => ("categorical", text_of(other).to_lowercase().into()),
        };
        let tags = self.result.tags.iter();
        let tags: Vec<_> = tags.map(|(key, value)| format!("{key}:{value}")).collect();
        let error = self.error.as_ref();
        let error =
            error.map(|error| json!({ "message": error.message, "type": error.kind, "stack": "" }));
        let mut metric = json!({
            "metric_source": source, "span_id": span, "trace_id": trace, "timestamp_ms": timestamp_ms,
            "metric_type": kind, "label": self.label, "error": error, "tags": tags, "experiment_id": experiment,
        });
        metric[format!("{kind}_value")] = value;
        if source == "custom" {
            let usual = if self.error.is_some() { "ERROR" } else { "OK" };
            metric["status"] = self.result.managed.as_deref().unwrap_or(usual).into();
        }
        if let Some(reasoning) = &self.result.reasoning {
            metric["reasoning"] = reasoning.clone().into();
        }
        if let Some(assessment) = self.result.assessment {
            metric["assessment"] = assessment.as_str().into();
        }
        if !self.result.metadata.is_empty() {
            metric["metadata"] = self.result.metadata.clone().into();
        }
        if self.result.managed.is_some() {
            metric["eval_source_type"] = "managed".into();
        }
        metric
    }

    fn is_bad(&self) -> bool {
        self.error.is_some() || self.result.assessment == Some(Assessment::Fail)
    }
}

/// A row with its answer.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// Which row of the dataset it is.
    pub index: usize,
    /// Its span.
    pub span_id: String,
    /// Its trace.
    pub trace_id: String,
    /// When it began, in milliseconds since the epoch.
    pub timestamp_ms: u64,
    /// How long it took.
    pub duration: Duration,
    /// What went in.
    pub input: Value,
    /// What came out.
    pub output: Value,
    /// What should have come out.
    pub expected_output: Value,
    /// Why nothing came out.
    pub error: Option<Failure>,
    /// What is thought of it.
    pub judgements: Vec<Judgement>,
}

/// All rows, once.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Run {
    /// Its id.
    pub id: String,
    /// Which run it is, from 1 on.
    pub iteration: usize,
    /// The rows.
    pub rows: Vec<Row>,
    /// What is thought of all of them.
    pub summaries: Vec<Judgement>,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    pub(super) fn first_failure(&self) -> Option<String> {
        self.rows.iter().find_map(|row| {
            let of_task = row.error.iter().map(|error| ("the task", error));
            let of_others = row.judgements.iter();
            let of_others = of_others.filter_map(|it| Some((&*it.label, it.error.as_ref()?)));
            let (who, error) = of_task.chain(of_others).next()?;
            Some(format!("row {}: {who}: {}", row.index, error.message))
        })
    }

    fn labels(&self) -> Vec<&str> {
        let mut labels: Vec<&str> = Vec::new();
        for judgement in self.rows.iter().flat_map(|row| &row.judgements) {
            if !labels.contains(&&*judgement.label) {
                labels.push(&judgement.label);
            }
        }
        labels
    }
}

/// What came of an experiment. Shown as a table.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ExperimentResult {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The name of its task.
    pub task: String,
    /// Its runs.
    pub runs: Vec<Run>,
    /// Where it is to be seen.
    pub url: String,
}

impl ExperimentResult {
    /// Whether nothing went wrong and everything is good enough.
    pub fn is_good(&self) -> bool {
        let rows = self.runs.iter().flat_map(|run| &run.rows);
        let is_fine =
            |row: &Row| row.error.is_none() && !row.judgements.iter().any(Judgement::is_bad);
        let summaries = self.runs.iter().flat_map(|run| &run.summaries);
        rows.into_iter().all(is_fine) && !summaries.into_iter().any(Judgement::is_bad)
    }

    /// What went wrong, each once.
    pub(super) fn error_summary(&self) -> Option<String> {
        let mut errors = std::collections::BTreeSet::new();
        for row in self.runs.iter().flat_map(|run| &run.rows) {
            errors.extend(
                row.error
                    .iter()
                    .map(|it| format!("{}: {}", it.kind, it.message)),
            );
            for judgement in &row.judgements {
                let error = judgement.error.as_ref();
                errors.extend(
                    error.map(|it| format!("{} ({}): {}", judgement.label, it.kind, it.message)),
                );
            }
        }
        let errors: Vec<_> = errors.into_iter().collect();
        (!errors.is_empty()).then(|| errors.join("; "))
    }

    /// A JUnit file: a suite for each run, a case for each row, which fails if its task or an evaluator did, or if an evaluator says that it
    /// is not good enough.
    pub fn junit(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
        for run in &self.runs {
            let bad =
                |row: &&Row| row.error.is_some() || row.judgements.iter().any(Judgement::is_bad);
            let _ = writeln!(
                out,
                "  <testsuite name=\"{} run {}\" tests=\"{}\" failures=\"{}\" time=\"{:.3}\">",
                escaped(&self.name),
                run.iteration,
                run.rows.len(),
                run.rows.iter().filter(bad).count(),
                run.took.as_secs_f64()
            );
            for row in &run.rows {
                let (name, seconds) = (escaped(&self.task), row.duration.as_secs_f64());
                let _ = writeln!(
                    out,
                    "    <testcase classname=\"{}\" name=\"{name} row {}\" time=\"{seconds:.3}\">",
                    escaped(&self.name),
                    row.index
                );
                let mut fail = |kind: &str, text: String| {
                    let _ = writeln!(
                        out,
                        "      <failure type=\"{}\">{}</failure>",
                        escaped(kind),
                        escaped(&text)
                    );
                };
                if let Some(error) = &row.error {
                    fail(&error.kind, error.message.clone());
                }
                for judgement in row.judgements.iter().filter(|it| it.is_bad()) {
                    let text = match &judgement.error {
                        Some(error) => error.message.clone(),
                        None => judgement
                            .result
                            .reasoning
                            .clone()
                            .unwrap_or_else(|| text_of(&judgement.result.value)),
                    };
                    fail(&judgement.label, text);
                }
                out.push_str("    </testcase>\n");
            }
            out.push_str("  </testsuite>\n");
        }
        out + "</testsuites>\n"
    }
}

/// A text as it stands in XML, without characters that cannot.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(char),
            char if char < ' ' || matches!(char, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

fn cell(text: &str) -> String {
    let flat: String = text
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    if flat.chars().count() <= CELL {
        return flat;
    }
    flat.chars().take(CELL - 1).chain(['…']).collect()
}

impl fmt::Display for ExperimentResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, self.url)?;
        for run in &self.runs {
            let labels = run.labels();
            let head = ["row", "input", "output", "expected"];
            let mut table: Vec<Vec<String>> = vec![
                head.iter()
                    .chain(&labels)
                    .map(|it| (*it).to_owned())
                    .collect(),
            ];
            for row in &run.rows {
                let output = match &row.error {
                    Some(error) => format!("{}: {}", error.kind, error.message),
                    None => text_of(&row.output),
                };
                let mut cells = vec![
                    row.index.to_string(),
                    text_of(&row.input),
                    output,
                    text_of(&row.expected_output),
                ];
                cells.extend(labels.iter().map(|label| {
                    let judgement = row.judgements.iter().find(|it| it.label == *label);
                    match judgement {
                        Some(Judgement {
                            error: Some(error), ..
                        }) => format!("{}: {}", error.kind, error.message),
                        Some(judgement) => text_of(&judgement.result.value),
                        None => String::new(),
                    }
                }));
                table.push(cells.iter().map(|text| cell(text)).collect());
            }
            let columns = table[0].len();
            let width = |column: usize| {
                table
                    .iter()
                    .map(|row| row[column].chars().count())
                    .max()
                    .unwrap_or(0)
            };
            let widths: Vec<_> = (0..columns).map(width).collect();
            writeln!(
                f,
                "run {}, {} rows, {:.1} s",
                run.iteration,
                run.rows.len(),
                run.took.as_secs_f64()
            )?;
            for row in &table {
                let line: Vec<_> = row
                    .iter()
                    .zip(&widths)
                    .map(|(text, width)| format!("{text:width$}"))
                    .collect();
                writeln!(f, "  {}", line.join("  ").trim_end())?;
            }
            let mut means: BTreeMap<&str, (f64, usize)> = BTreeMap::new();
            for judgement in run.rows.iter().flat_map(|row| &row.judgements) {
                let number = match &judgement.result.value {
                    Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
                    other => other.as_f64(),
                };
                if let Some(number) = number {
                    let (sum, count) = means.entry(&judgement.label).or_default();
                    *sum += number;
                    *count += 1;
                }
            }
            for (label, (sum, count)) in means {
                writeln!(f, "  mean of {label}: {:.4}", sum / count as f64)?;
            }
            for summary in &run.summaries {
                let text = match &summary.error {
                    Some(error) => format!("{}: {}", error.kind, error.message),
                    None => text_of(&summary.result.value),
                };
                writeln!(f, "  {}: {text}", summary.label)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result() -> ExperimentResult {
        let judgement = |value: Value, assessment| Judgement {
            label: "exact".into(),
            result: EvaluatorResult {
                value,
                assessment,
                ..EvaluatorResult::default()
            },
            error: None,
        };
        let good = Row {
            input: json!("1 + 1\n"),
            output: json!(2),
            expected_output: json!(2),
            judgements: vec![judgement(json!(true), Some(Assessment::Pass))],
            ..Row::default()
        };
        let bad = Row {
            index: 1,
            input: json!("<&\">"),
            error: Some(Failure {
                kind: "Timeout".into(),
                message: "too <slow>".into(),
            }),
            judgements: vec![judgement(json!(false), Some(Assessment::Fail))],
            ..Row::default()
        };
        ExperimentResult {
            id: "e".into(),
            name: "sums".into(),
            task: "add".into(),
            url: "https://x/e".into(),
            runs: vec![Run {
                iteration: 1,
                rows: vec![good, bad],
                summaries: vec![Judgement {
                    label: "accuracy".into(),
                    result: EvaluatorResult::new(0.5),
                    error: None,
                }],
                ..Run::default()
            }],
        }
    }

    #[test]
    fn a_result_is_a_table() {
        let text = result().to_string();
        assert_eq!(
            text,
            "sums (https://x/e)\n\
             run 1, 2 rows, 0.0 s\n\
             \x20 row  input   output               expected  exact\n\
             \x20 0    1 + 1   2                    2         true\n\
             \x20 1    <&\">    Timeout: too <slow>  null      false\n\
             \x20 mean of exact: 0.5000\n\
             \x20 accuracy: 0.5\n"
        );
        assert!(!result().is_good());
    }

    #[test]
    fn a_result_is_a_file_for_ci() {
        let text = result().junit();
        for part in [
            "<testsuite name=\"sums run 1\" tests=\"2\" failures=\"1\"",
            "<testcase classname=\"sums\" name=\"add row 1\"",
            "<failure type=\"Timeout\">too &lt;slow&gt;</failure>",
            "<failure type=\"exact\">false</failure>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn a_metric_has_the_type_of_its_value() {
        for (value, kind, sent) in [
            (json!(true), "boolean", json!(true)),
            (json!(0.5), "score", json!(0.5)),
            (json!({"a": 1}), "json", json!({"a": 1})),
            (json!("GOOD"), "categorical", json!("good")),
            (Value::Null, "categorical", Value::Null),
        ] {
            let judgement = Judgement {
                label: "l".into(),
                result: EvaluatorResult::new(value),
                error: None,
            };
            let metric = judgement.metric("custom", "e", "s", "t", 7);
            assert_eq!(
                (
                    &metric["metric_type"],
                    &metric[format!("{kind}_value")],
                    &metric["status"]
                ),
                (&json!(kind), &sent, &json!("OK"))
            );
        }
    }
}
