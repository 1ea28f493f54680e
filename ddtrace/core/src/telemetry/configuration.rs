//! The configuration as telemetry reports it: one entry per source that said something, with the one that counts last
//! (`spec/telemetry-and-remote-config.md` §2.4, `spec/core.md` §1.1).

use serde::Serialize;

use crate::config::{Config, Entry, Kind, Name, Origin, Resolved};

/// The longest value that is reported, in bytes.
const MAX_VALUE: usize = 4096;

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Fault {
    code: i64,
    message: String,
}

/// What one source said about one setting, without secrets.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Reported {
    name: &'static str,
    value: Option<String>,
    origin: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

/// The same with its place among all that this process has reported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Numbered {
    #[serde(flatten)]
    reported: Reported,
    seq_id: u64,
}

/// The entries of all settings; those of one setting stand together, and the one that counts is the last of them.
pub(super) fn entries(config: &Config) -> Vec<Reported> {
    let mut entries = Vec::new();
    for resolved in config.settings() {
        if !resolved.setting.sensitive {
            of_setting(config, resolved, &mut entries);
        }
    }
    entries.push(Reported {
        name: "instrumentation_source",
        value: Some("manual".to_owned()),
        origin: "default",
        config_id: None,
        error: None,
    });
    entries
}

fn of_setting(config: &Config, resolved: &Resolved, entries: &mut Vec<Reported>) {
    let (setting, effective) = (resolved.setting, resolved.effective());
    let report = |entry: &Entry| Reported {
        name: setting.name,
        value: value(config, resolved, entry),
        origin: entry.origin.name(),
        config_id: entry.config_id.clone(),
        error: entry.error.as_ref().map(|expected| Fault {
            code: 0,
            message: format!("expected {expected}"),
        }),
    };
    // A source whose value is unusable stands where it stands, but must not have the last word.
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for entry in resolved.entries() {
        match entry.value {
            Some(_) => after.push(report(entry)),
            None => before.push(report(entry)),
        }
    }
    let calculated = match effective.value {
        Some(_) => None,
        None => calculated(config, setting.id),
    };
    entries.append(&mut before);
    entries.append(&mut after);
    entries.extend(calculated.map(|value| Reported {
        name: setting.name,
        value: Some(value),
        origin: "calculated",
        config_id: None,
        error: None,
    }));
}

/// The text of a value: booleans and numbers in one form whatever the source wrote, other texts as they were written.
fn value(config: &Config, resolved: &Resolved, entry: &Entry) -> Option<String> {
    let kind = resolved.setting.kind;
    let is_collection = matches!(
        kind,
        Kind::List | Kind::Tags | Kind::Mapping | Kind::HeaderTags
    );
    let text = match (&entry.value, &entry.raw) {
        _ if entry.origin == Origin::Default && resolved.setting.id == Name::DD_SERVICE => {
            Some(config.default_service().to_owned())
        }
        (_, raw) if entry.error.is_some() => raw.clone(),
        (Some(value), _) if entry.origin == Origin::OtelEnvironment => Some(value.to_string()),
        (Some(value), raw) => match kind {
            Kind::Flag
            | Kind::Integer { .. }
            | Kind::Number { .. }
            | Kind::Choice(_)
            | Kind::List
            | Kind::Tags
            | Kind::Mapping
            | Kind::Styles => Some(value.to_string()),
            _ => raw.clone().or_else(|| Some(value.to_string())),
        },
        (None, None) if is_collection => Some(String::new()),
        (None, raw) => raw.clone(),
    };
    text.map(|text| super::cut(&text, MAX_VALUE).to_owned())
}

/// What follows from other settings where nothing is set.
fn calculated(config: &Config, name: Name) -> Option<String> {
    let styles = |styles: &[String]| match styles {
        [] => "none".to_owned(),
        styles => styles.join(","),
    };
    Some(match name {
        Name::DD_TRACE_AGENT_URL => config.agent_url.to_string(),
        Name::DD_DOGSTATSD_URL => config.dogstatsd.to_string(),
        Name::DD_TRACE_PROPAGATION_STYLE_INJECT => styles(&config.propagation_inject),
        Name::DD_TRACE_PROPAGATION_STYLE_EXTRACT => styles(&config.propagation_extract),
        _ => return None,
    })
}

/// Settings that remote configuration changes.
const REMOTE: [Name; 6] = [
    Name::DD_TRACE_SAMPLING_RULES,
    Name::DD_LOGS_INJECTION,
    Name::DD_TAGS,
    Name::DD_TRACE_ENABLED,
    Name::DD_TRACE_HEADER_TAGS,
    Name::DD_RUNTIME_METRICS_ENABLED,
];

/// What was reported, and what has to be reported when something changes.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    known: Vec<Numbered>,
    last: u64,
}

impl Ledger {
    /// Numbers and keeps the entries of a configuration that differ from what was reported, and gives them.
    ///
    /// A value that went away makes the one that counts instead be reported again: the highest number of a name counts.
    pub(super) fn report(&mut self, entries: Vec<Reported>) -> Vec<Numbered> {
        let mut changes = Vec::new();
        let mut known = Vec::with_capacity(entries.len());
        for group in entries.chunk_by(|a, b| a.name == b.name) {
            let before: Vec<&Numbered> = self
                .known
                .iter()
                .filter(|numbered| numbered.reported.name == group[0].name)
                .collect();
            let old = |entry: &Reported| before.iter().find(|old| old.reported == *entry);
            let highest = before.iter().map(|old| old.seq_id).max();
            for (index, entry) in group.iter().enumerate() {
                let is_last = index + 1 == group.len();
                let number = old(entry)
                    .map(|old| old.seq_id)
                    .filter(|number| !is_last || highest == Some(*number));
                let seq_id = number.unwrap_or_else(|| {
                    self.last += 1;
                    self.last
                });
                let numbered = Numbered {
                    reported: entry.clone(),
                    seq_id,
                };
                if number.is_none() {
                    changes.push(numbered.clone());
                }
                known.push(numbered);
            }
        }
        self.known = known;
        changes
    }

    /// What to say when something was put in force that changes nothing: the backend waits to hear what holds after each
    /// change that it asked for, so what it can change is said again, under new numbers.
    pub(super) fn confirm(&mut self) -> Vec<Numbered> {
        let mut confirmed = Vec::new();
        for name in REMOTE.map(|name| name.setting().name) {
            let of_name = self.known.iter_mut();
            let last = of_name
                .filter(|numbered| numbered.reported.name == name)
                .max_by_key(|numbered| numbered.seq_id);
            if let Some(last) = last {
                self.last += 1;
                last.seq_id = self.last;
                confirmed.push(last.clone());
            }
        }
        confirmed
    }

    /// Everything in force, with the numbers that it was reported under.
    pub(super) fn all(&self) -> &[Numbered] {
        &self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;

    fn config(parts: &[&str]) -> Config {
        let environment = parts.iter().fold(
            MapEnvironment::new()
                .executable("shop")
                .variable("_DD_SC_LOCAL_FILE_OVERRIDE", "/local")
                .variable("_DD_SC_MANAGED_FILE_OVERRIDE", "/fleet"),
            |environment, part| match part.split_once(':') {
                Some(("local", text)) => environment.file("/local", text),
                Some(("fleet", text)) => environment.file("/fleet", text),
                _ => {
                    let (name, value) = part.split_once('=').unwrap();
                    environment.variable(name, value)
                }
            },
        );
        Config::builder().environment(&environment).build()
    }

    /// `origin=value`, `~` for null, `!` for an error, in the order of their numbers.
    fn shown(entries: &[Numbered], name: &str) -> Vec<String> {
        let mut found: Vec<_> = entries
            .iter()
            .filter(|entry| entry.reported.name == name)
            .collect();
        found.sort_by_key(|entry| entry.seq_id);
        let show = |entry: &&Numbered| {
            let reported = &entry.reported;
            let value = reported.value.as_deref().unwrap_or("~");
            let error = if reported.error.is_some() { "!" } else { "" };
            let id = reported
                .config_id
                .as_ref()
                .map_or(String::new(), |id| format!("#{id}"));
            format!("{}={value}{error}{id}", reported.origin)
        };
        found.iter().map(show).collect()
    }

    fn reported(parts: &[&str], name: &str) -> Vec<String> {
        let mut ledger = Ledger::default();
        ledger.report(entries(&config(parts)));
        shown(ledger.all(), name)
    }

    #[test]
    fn every_source_is_reported_and_the_one_that_counts_last() {
        let cases: &[(&[&str], &str, &[&str])] = &[
            // G6 and G7 of the vectors.
            (
                &["DD_SERVICE=s"],
                "DD_SERVICE",
                &["default=shop", "env_var=s"],
            ),
            (&[], "DD_ENV", &["default=~"]),
            (&[], "DD_SERVICE", &["default=shop"]),
            (
                &[
                    "DD_SERVICE=e",
                    "OTEL_SERVICE_NAME=o",
                    "local:apm_configuration_default: {DD_SERVICE: l}",
                    "fleet:config_id: c1\napm_configuration_default: {DD_SERVICE: f}",
                ],
                "DD_SERVICE",
                &[
                    "default=shop",
                    "local_stable_config=l",
                    "otel_env_var=o",
                    "env_var=e",
                    "fleet_stable_config=f#c1",
                ],
            ),
            // Booleans and numbers have one form.
            (
                &["DD_TRACE_ENABLED=TRUE"],
                "DD_TRACE_ENABLED",
                &["default=true", "env_var=true"],
            ),
            (
                &["DD_TRACE_ENABLED=0"],
                "DD_TRACE_ENABLED",
                &["default=true", "env_var=false"],
            ),
            (
                &["DD_TRACE_RATE_LIMIT= 10 "],
                "DD_TRACE_RATE_LIMIT",
                &["default=100", "env_var=10"],
            ),
            // Lists and maps: empty where unset.
            (&[], "DD_TAGS", &["default="]),
            (&[], "DD_TRACE_HEADER_TAGS", &["default="]),
            (
                &["DD_TAGS=team:apm, component:web"],
                "DD_TAGS",
                &["default=", "env_var=team:apm,component:web"],
            ),
            (
                &["DD_TRACE_HEADER_TAGS=User-Agent:my-user-agent,Content-Type."],
                "DD_TRACE_HEADER_TAGS",
                &["default=", "env_var=User-Agent:my-user-agent,Content-Type."],
            ),
            (
                &["DD_TRACE_HTTP_SERVER_ERROR_STATUSES=250-200"],
                "DD_TRACE_HTTP_SERVER_ERROR_STATUSES",
                &["default=500-599", "env_var=250-200"],
            ),
            // What is unusable keeps its text and has not the last word.
            (
                &["DD_TRACE_RATE_LIMIT=abc"],
                "DD_TRACE_RATE_LIMIT",
                &["env_var=abc!", "default=100"],
            ),
            (
                &["DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=0"],
                "DD_TRACE_PARTIAL_FLUSH_MIN_SPANS",
                &["default=300", "env_var=0!"],
            ),
            // What OpenTelemetry's variables mean.
            (
                &[
                    "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
                    "OTEL_TRACES_SAMPLER_ARG=0.25",
                ],
                "DD_TRACE_SAMPLING_RULES",
                &["default=[]", r#"otel_env_var=[{"sample_rate":0.25}]"#],
            ),
            // What follows from other settings.
            (
                &["DD_AGENT_HOST=h"],
                "DD_TRACE_AGENT_URL",
                &["default=~", "calculated=http://h:8126"],
            ),
            (
                &["DD_TRACE_PROPAGATION_STYLE=b3"],
                "DD_TRACE_PROPAGATION_STYLE_EXTRACT",
                &["default=~", "calculated=b3"],
            ),
            (&[], "instrumentation_source", &["default=manual"]),
            // Products whose crates may not be there.
            (&[], "DD_PROFILING_ENABLED", &["default=false"]),
            (
                &["DD_APPSEC_SCA_ENABLED=1"],
                "DD_APPSEC_SCA_ENABLED",
                &["default=~", "env_var=true"],
            ),
            (
                &["DD_INJECTION_ENABLED=service_test,profiler,false"],
                "DD_INJECTION_ENABLED",
                &["default=~", "env_var=service_test,profiler,false"],
            ),
        ];
        for (parts, name, expected) in cases {
            assert_eq!(reported(parts, name), *expected, "{parts:?}");
        }
    }

    #[test]
    fn secrets_are_not_reported() {
        let config = config(&[
            "DD_API_KEY=0123456789abcdef0123456789abcdef",
            "DD_PROXY_HTTPS=http://u:hunter2@p",
            "DD_TRACE_AGENT_URL=http://user:hunter2@h:1",
            "DD_GIT_REPOSITORY_URL=https://user:hunter2@git.example/r.git",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS=api-key=hunter2",
        ]);
        let text = serde_json::to_string(&entries(&config)).unwrap();
        for hidden in [
            "cdef",
            "hunter2",
            "DD_API_KEY",
            "DD_PROXY_HTTPS",
            "OTLP_TRACES_HEADERS",
        ] {
            assert!(!text.contains(hidden), "{hidden} in {text}");
        }
    }

    #[test]
    fn numbers_rise_over_all_entries() {
        let mut ledger = Ledger::default();
        let first = ledger.report(entries(&config(&["DD_SERVICE=s"])));
        let numbers: Vec<u64> = first.iter().map(|entry| entry.seq_id).collect();
        assert_eq!(numbers, (1..=first.len() as u64).collect::<Vec<_>>());
    }

    #[test]
    fn a_change_and_its_revert_are_reported_and_nothing_else() {
        let local = config(&["DD_TAGS=a:1"]);
        let mut ledger = Ledger::default();
        let count = ledger.report(entries(&local)).len() as u64;
        assert!(ledger.report(entries(&local)).is_empty());

        // G9 of the vectors.
        let values = [(Name::DD_TAGS, "t1:v1,t2:v2".to_owned())];
        let remote = local.with_remote(&values, Some("rc-1"));
        let changes = ledger.report(entries(&remote));
        assert_eq!(
            shown(&changes, "DD_TAGS"),
            ["remote_config=t1:v1,t2:v2#rc-1"]
        );
        assert_eq!((changes.len(), changes[0].seq_id), (1, count + 1));

        let changes = ledger.report(entries(&local));
        assert_eq!(shown(&changes, "DD_TAGS"), ["env_var=a:1"]);
        assert_eq!((changes.len(), changes[0].seq_id), (1, count + 2));
        assert_eq!(shown(ledger.all(), "DD_TAGS"), ["default=", "env_var=a:1"]);
        assert_eq!(ledger.all().len() as u64, count);
    }

    #[test]
    fn what_changes_nothing_is_confirmed_under_new_numbers() {
        let mut ledger = Ledger::default();
        let count = ledger.report(entries(&config(&["DD_TAGS=a:1"]))).len() as u64;
        let confirmed = ledger.confirm();
        assert_eq!(shown(&confirmed, "DD_TAGS"), ["env_var=a:1"]);
        assert_eq!(shown(&confirmed, "DD_TRACE_ENABLED"), ["default=true"]);
        let numbers: Vec<u64> = confirmed.iter().map(|entry| entry.seq_id).collect();
        assert_eq!(numbers, (count + 1..=count + 6).collect::<Vec<_>>());
        assert!(ledger.report(entries(&config(&["DD_TAGS=a:1"]))).is_empty());
    }

    #[test]
    fn an_entry_has_the_fields_of_the_wire() {
        let mut ledger = Ledger::default();
        let entries = ledger.report(entries(&config(&["DD_TRACE_RATE_LIMIT=abc"])));
        let entry = entries
            .iter()
            .find(|entry| entry.reported.error.is_some())
            .unwrap();
        let json = serde_json::to_value(entry).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"name": "DD_TRACE_RATE_LIMIT", "value": "abc", "origin": "env_var",
                "error": {"code": 0, "message": "expected a whole number"}, "seq_id": entry.seq_id})
        );
    }
}
