//! Lines of the protocol: `name:value|type[|@rate][|#tag:v,tag2:v][|c:<container>][|e:<external env>][|T<unix>]`.
//!
//! Whatever separates parts of a line is replaced by `_` in what comes from outside, so that a name that holds user input can
//! not add a metric or a tag.

use std::fmt::Write;

use super::metric::{Kind, Metric};
use super::origin::Origin;

/// The longest line, in bytes; the agent reads no more of a datagram.
pub(super) const LIMIT: usize = 8_192;

/// Writes a metric.
pub(super) fn metric(out: &mut String, metric: &Metric<'_>, origin: &Origin) {
    name(out, metric.name);
    let _ = write!(out, ":{}", metric.value);
    rest(out, metric.kind, metric.rate, metric.tags, origin);
    if let Some(timestamp) = metric.timestamp {
        let _ = write!(out, "|T{timestamp}");
    }
}

/// Writes an element of a set.
pub(super) fn set(out: &mut String, name_: &str, element: &str, tags_: &[&str], origin: &Origin) {
    name(out, name_);
    out.push(':');
    out.extend(element.chars().map(|c| match c {
        '|' => '_',
        c if c.is_control() => '_',
        c => c,
    }));
    rest(out, Kind::Set, 1.0, tags_, origin);
}

fn rest(out: &mut String, kind: Kind, rate: f64, tags_: &[&str], origin: &Origin) {
    out.push('|');
    out.push_str(kind.as_str());
    if rate < 1.0 {
        let _ = write!(out, "|@{rate}");
    }
    tags(out, tags_, origin);
    out.push_str(&origin.fields);
}

/// Writes a name. A colon would end it.
pub(super) fn name(out: &mut String, text: &str) {
    out.extend(text.chars().map(|c| if c == ':' { '_' } else { plain(c) }));
}

/// Writes `|#` and the tags of the line and of every line; nothing if there are none.
pub(super) fn tags(out: &mut String, tags: &[&str], origin: &Origin) {
    let mut separator = "|#";
    if !origin.tags.is_empty() {
        out.push_str(separator);
        out.push_str(&origin.tags);
        separator = ",";
    }
    for tag in tags.iter().filter(|tag| !tag.is_empty()) {
        out.push_str(separator);
        separator = ",";
        text(out, tag);
    }
}

/// Writes a text without separators in it.
pub(super) fn text(out: &mut String, text: &str) {
    out.extend(text.chars().map(plain));
}

fn plain(c: char) -> char {
    match c {
        '|' | ',' | '#' | '@' => '_',
        c if c.is_control() => '_',
        c => c,
    }
}

/// Writes a text in which line ends are kept, as the protocol of events writes them.
pub(super) fn escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => {}
            c if c.is_control() && c != '\t' => out.push('_'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::{Config, MapEnvironment};

    fn origin(variables: &[(&str, &str)]) -> Origin {
        let mut environment = MapEnvironment::new();
        for (name, value) in variables {
            environment = environment.variable(*name, *value);
        }
        let config = Config::builder().environment(&environment).build();
        Origin::new(&config, Some("ci-c0ffee"))
    }

    fn line(metric_: Metric<'_>, origin: &Origin) -> String {
        let mut out = String::new();
        metric(&mut out, &metric_, origin);
        out
    }

    /// Settings, a metric, and its line.
    type Case<'a> = (&'a [(&'a str, &'a str)], Metric<'a>, &'a str);

    #[test]
    fn lines_are_those_of_the_protocol() {
        let quiet = [("DD_ORIGIN_DETECTION_ENABLED", "false")];
        let cases: [Case<'_>; 10] = [
            // G26.
            (
                &[("DD_ENV", "prod"), quiet[0]],
                Metric::count("name", 1),
                "name:1|c|#env:prod",
            ),
            // G27.
            (
                &[("DD_EXTERNAL_ENV", "x"), quiet[0]],
                Metric::count("name", 1),
                "name:1|c|e:x",
            ),
            (&[], Metric::gauge("a", 2.5), "a:2.5|g|c:ci-c0ffee"),
            (
                &[("DD_EXTERNAL_ENV", "it-false,cn-x")],
                Metric::histogram("a", 1).tags(&["b:c", "d"]),
                "a:1|h|#b:c,d|c:ci-c0ffee|e:it-false,cn-x",
            ),
            // The pod's id takes the place of the container's.
            (
                &[("DD_ENTITY_ID", "pod-1")],
                Metric::distribution("a", 1).tags(&["b:c"]),
                "a:1|d|#dd.internal.entity_id:pod-1,b:c",
            ),
            (
                &quiet,
                Metric::timing("a", std::time::Duration::from_micros(1500)),
                "a:1.5|ms",
            ),
            (
                &quiet,
                Metric::count("a", 1).sample_rate(0.25).tags(&["b"]),
                "a:1|c|@0.25|#b",
            ),
            (
                &quiet,
                Metric::gauge("a", 1).tags(&["b"]).at(1_700_000_000),
                "a:1|g|#b|T1700000000",
            ),
            (
                &[
                    ("DD_SERVICE", "shop"),
                    ("DD_VERSION", "1.2"),
                    ("DD_ENV", "prod"),
                    quiet[0],
                ],
                Metric::count("a", 1),
                "a:1|c|#env:prod,service:shop,version:1.2",
            ),
            (
                &quiet,
                Metric::count("a|b,c\nd#e@f:g", 1).tags(&["h|i,j\nk#l@m:n", ""]),
                "a_b_c_d_e_f_g:1|c|#h_i_j_k_l_m:n",
            ),
        ];
        for (variables, metric, expected) in cases {
            assert_eq!(line(metric, &origin(variables)), expected);
        }
    }

    #[test]
    fn elements_of_sets_are_texts() {
        let mut out = String::new();
        set(
            &mut out,
            "users",
            "a|b\nc:d",
            &["x:y"],
            &origin(&[("DD_ORIGIN_DETECTION_ENABLED", "false")]),
        );
        assert_eq!(out, "users:a_b_c:d|s|#x:y");
    }

    proptest! {
        #[test]
        fn nothing_from_outside_adds_a_part_to_a_line(name in ".*", tag in ".+") {
            let origin = origin(&[("DD_ORIGIN_DETECTION_ENABLED", "false")]);
            let tags = [tag.as_str()];
            let line = line(Metric::count(&name, 1).tags(&tags), &origin);
            prop_assert_eq!(line.lines().count(), 1);
            let parts: Vec<_> = line.split('|').collect();
            prop_assert_eq!(parts.len(), 3);
            prop_assert!(parts[0].ends_with(":1") && parts[0].matches(':').count() == 1);
            prop_assert_eq!(parts[1], "c");
            prop_assert!(parts[2].starts_with('#') && !parts[2].contains(','));
        }
    }
}
