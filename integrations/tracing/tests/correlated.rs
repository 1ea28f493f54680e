//! Log records and the ids in them.

use std::io::Write;
use std::sync::{Arc, Mutex};

use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace;
use tracing::{Subscriber, info_span};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::prelude::*;

#[derive(Clone, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Output {
    fn text(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Output;

    fn make_writer(&'a self) -> Output {
        self.clone()
    }
}

fn settings(recorder: &[(&str, &str)]) -> Recorder {
    Recorder::with(|mut config| {
        for (name, value) in recorder {
            config = config.set(name, *value);
        }
        config
    })
}

/// Writes one record inside a span and one outside. Gives both, and the ids of the span.
fn records(
    subscriber: impl Subscriber + Send + Sync,
    output: &Output,
) -> (Vec<String>, String, u64) {
    let mut ids = (String::new(), 0);
    tracing::subscriber::with_default(subscriber, || {
        info_span!("work").in_scope(|| {
            if let Some((trace_id, span_id, _)) = trace::active_ids() {
                ids = (trace_id.to_string(), span_id.get());
            }
            tracing::info!(items = 3, "placed\nin two lines");
        });
        tracing::info!("outside");
    });
    let text = output.text();
    (text.lines().map(str::to_owned).collect(), ids.0, ids.1)
}

#[test]
fn json_records_have_the_fields_as_members() {
    let _recorder = settings(&[("DD_ENV", "prod"), ("DD_VERSION", "1.\"2\"")]);
    let output = Output::default();
    let subscriber = tracing_subscriber::registry()
        .with(ddtrace_tracing::layer())
        .with(
            tracing_subscriber::fmt::layer()
                .json()
                .flatten_event(true)
                .map_event_format(ddtrace_tracing::correlated)
                .with_writer(output.clone()),
        );
    let (lines, trace_id, span_id) = records(subscriber, &output);
    let json: Vec<serde_json::Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(json.len(), 2);
    assert_eq!(trace_id.len(), 32);
    assert_eq!(json[0]["dd.trace_id"], trace_id);
    assert_eq!(json[0]["dd.span_id"], span_id.to_string());
    assert_eq!(json[0]["message"], "placed\nin two lines");
    assert_eq!(json[0]["items"], 3);
    for (key, value) in [
        ("dd.service", "test"),
        ("dd.env", "prod"),
        ("dd.version", "1.\"2\""),
        ("dd.trace_id", "0"),
        ("dd.span_id", "0"),
    ] {
        assert_eq!(json[1][key], value, "{key}");
    }
}

#[test]
fn text_records_have_them_at_their_end_and_coloured_ones_in_front() {
    let _recorder = settings(&[]);
    for ansi in [false, true] {
        let output = Output::default();
        let subscriber = tracing_subscriber::registry()
            .with(ddtrace_tracing::layer())
            .with(
                tracing_subscriber::fmt::layer()
                    .with_ansi(ansi)
                    .map_event_format(ddtrace_tracing::correlated)
                    .with_writer(output.clone()),
            );
        let (lines, trace_id, span_id) = records(subscriber, &output);
        let text = lines.join("\n");
        let fields = format!(
            "dd.service=test dd.env= dd.version= dd.trace_id={trace_id} dd.span_id={span_id}"
        );
        let outside = "dd.service=test dd.env= dd.version= dd.trace_id=0 dd.span_id=0";
        if ansi {
            assert!(
                text.starts_with(&format!("\u{1b}[2m[{fields}]\u{1b}[0m \u{1b}[")),
                "{text:?}"
            );
        } else {
            assert!(text.starts_with("20"), "{text:?}");
            assert!(text.contains(&format!("items=3 {fields}\n")), "{text:?}");
            assert!(text.ends_with(&format!("outside {outside}")), "{text:?}");
        }
    }
}

#[test]
fn records_are_as_they_were_without_a_tracer_or_with_injection_off() {
    let plain = |recorder: Option<Recorder>| {
        let output = Output::default();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .map_event_format(ddtrace_tracing::correlated)
            .with_writer(output.clone())
            .finish();
        let (lines, _, _) = records(subscriber, &output);
        drop(recorder);
        lines
    };
    let without = plain(None);
    assert!(without[2].ends_with("outside"), "{without:?}");
    let off = settings(&[("DD_LOGS_INJECTION", "false")]);
    assert_eq!(plain(Some(off)), without);
}
