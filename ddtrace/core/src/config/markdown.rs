//! The table of settings as documentation.

use std::fmt::Write as _;

use super::setting::Kind;
use super::table::SETTINGS;

/// Renders the table of settings as Markdown, one row each.
///
/// ```
/// let text = ddtrace_core::config::markdown();
/// assert!(text.contains("| `DD_SERVICE` |"));
/// ```
pub fn markdown() -> String {
    let mut out = String::from(
        "| name | type | default | also read from | read by | what it does |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in SETTINGS {
        let default = row
            .default
            .map_or_else(String::new, |text| format!("`{text}`"));
        let others: Vec<String> = row
            .aliases
            .iter()
            .chain(row.otel)
            .map(|name| format!("`{name}`"))
            .collect();
        let kind = match row.kind {
            Kind::Choice(words) => format!("one of `{}`", words.join("`, `")),
            kind => kind.word().to_owned(),
        };
        let cells = [
            format!("`{}`", row.name),
            kind,
            default,
            others.join(", "),
            row.products.join(", "),
            row.doc.trim().to_owned(),
        ];
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            out,
            "| {} |",
            cells.map(|cell| cell.replace('|', "\\|")).join(" | ")
        );
    }
    out
}
