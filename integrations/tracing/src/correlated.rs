//! Log records with the ids of the trace in which they were written.

use std::fmt;

use ddtrace_core::correlation;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// An event format with the fields `dd.service`, `dd.env`, `dd.version`, `dd.trace_id` and `dd.span_id` added to each record.
///
/// Works with every format. A record that is a JSON object gets them as its first members; a line of text gets them at its end, so that it
/// still begins with its date. Where the output is coloured, which is for people, they stand in front.
///
/// See [`correlation`] for what the fields say. Without a tracer, or with `DD_LOGS_INJECTION=false`, records are as they were.
///
/// Costs a copy of the record.
#[derive(Clone, Copy, Debug, Default)]
pub struct Correlated<F> {
    format: F,
}

/// Adds the fields to a format: `fmt().json().map_event_format(ddtrace::tracing::correlated)`.
pub fn correlated<F>(format: F) -> Correlated<F> {
    Correlated { format }
}

impl<S, N, F> FormatEvent<S, N> for Correlated<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(fields) = correlation::fields() else {
            return self.format.format_event(context, writer, event);
        };
        if writer.has_ansi_escapes() {
            write!(writer, "\x1b[2m[{fields}]\x1b[0m ")?;
            return self.format.format_event(context, writer, event);
        }
        let mut record = String::new();
        self.format
            .format_event(context, Writer::new(&mut record), event)?;
        let text = record.trim_end_matches(['\n', '\r']);
        let end = &record[text.len()..];
        match text.strip_prefix('{') {
            Some(members) if text.ends_with('}') => {
                let mut json = String::from("{");
                fields.write_json(&mut json);
                if !members.trim_start().starts_with('}') {
                    json.push(',');
                }
                write!(writer, "{json}{members}{end}")
            }
            _ => write!(writer, "{text} {fields}{end}"),
        }
    }
}
