//! Where values come from, and which one counts.
//!
//! A [`Resolved`] setting keeps what every source said, lowest to highest, so that telemetry can
//! report all of it; the effective value is that of the highest source whose text was usable. A
//! further source (remote configuration) is one more entry on top: nothing else changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::otel::{self, OtelFinding, OtelFindingKind};
use super::parse::{self, Note, Outcome};
use super::problem::Problem;
use super::remote::RemoteSetting;
use super::setting::Setting;
use super::stable_file::{self, Process, StableConfig};
use super::table::{NOT_READ, Name, SETTINGS};
use super::value::Value;
use crate::diagnostics::Level;

/// Where a value came from, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The table.
    Default,
    /// The configuration file of the host.
    LocalStableConfig,
    /// An `OTEL_` environment variable.
    OtelEnvironment,
    /// A `DD_` environment variable.
    Environment,
    /// The configuration file of the fleet.
    FleetStableConfig,
    /// The program.
    Code,
    /// Remote configuration.
    RemoteConfig,
}

impl Origin {
    /// The name in telemetry.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Default => "default",
            Origin::LocalStableConfig => "local_stable_config",
            Origin::OtelEnvironment => "otel_env_var",
            Origin::Environment => "env_var",
            Origin::FleetStableConfig => "fleet_stable_config",
            Origin::Code => "code",
            Origin::RemoteConfig => "remote_config",
        }
    }
}

/// What one source said about one setting.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Entry {
    /// The source.
    pub origin: Origin,
    /// The name under which it was found: canonical, an alias, or an OpenTelemetry variable.
    pub name: String,
    /// The text as it was found, secrets masked; `None` for an unset default.
    pub raw: Option<String>,
    /// What it meant; `None` for an unset default or an unusable text.
    pub value: Option<Value>,
    /// What would have been right, if the text was not quite that.
    pub error: Option<String>,
    /// The id of the file that it stood in.
    pub config_id: Option<String>,
    notes: Vec<Note>,
}

/// One setting with what every source said about it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resolved {
    /// The row of the table.
    pub setting: &'static Setting,
    /// Lowest source first; the first is the default.
    entries: Vec<Entry>,
}

impl Resolved {
    /// What every source said, lowest first.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry that counts.
    pub fn effective(&self) -> &Entry {
        let usable = self
            .entries
            .iter()
            .rev()
            .find(|entry| entry.value.is_some());
        // Without any value the default says so; there always is one.
        usable.unwrap_or(&self.entries[0])
    }

    fn new(setting: &'static Setting) -> Resolved {
        let value = setting
            .default
            .and_then(|text| parse::parse(&setting.kind, text).value);
        let entry = Entry {
            origin: Origin::Default,
            name: setting.name.to_owned(),
            raw: setting.default.map(str::to_owned),
            value,
            error: None,
            config_id: None,
            notes: Vec::new(),
        };
        Resolved {
            setting,
            entries: vec![entry],
        }
    }

    /// Adds what a source said; sources come lowest first.
    fn add(&mut self, origin: Origin, found: Found, outcome: Outcome) {
        self.entries.push(Entry {
            origin,
            name: found.name,
            raw: Some(parse::shown(&self.setting.kind, &found.raw)),
            value: outcome.value,
            error: outcome.notes.first().map(|note| note.expected.clone()),
            config_id: found.config_id,
            notes: outcome.notes,
        });
    }

    /// Parses and adds a text, if there is one.
    fn add_text(&mut self, origin: Origin, found: Option<Found>) {
        if let Some(found) = found {
            let outcome = parse::parse(&self.setting.kind, &found.raw);
            self.add(origin, found, outcome);
        }
    }

    /// Adds a value that did not stand under any name.
    fn add_value(&mut self, origin: Origin, value: &CodeValue, config_id: Option<String>) {
        let setting = self.setting;
        let (raw, outcome) = match value {
            CodeValue::Parsed(value) => (value.to_string(), Outcome::value(value.clone())),
            CodeValue::Text(text) => (text.clone(), parse::parse(&setting.kind, text)),
        };
        let found = Found {
            name: setting.name.to_owned(),
            raw,
            config_id,
        };
        self.add(origin, found, outcome);
    }

    /// What was wrong with the texts of the sources for which `asked` holds.
    fn problems(&self, asked: impl Fn(Origin) -> bool) -> impl Iterator<Item = Problem> {
        let effective = self.effective();
        let entries = self.entries.iter().filter(move |entry| asked(entry.origin));
        entries.flat_map(move |entry| {
            entry.notes.iter().map(move |note| {
                let counts = std::ptr::eq(entry, effective);
                let used = note.used.clone().filter(|_| counts);
                let effective = effective.value.as_ref().map(Value::to_string);
                Problem {
                    level: note.level,
                    origin: entry.origin,
                    name: entry.name.clone(),
                    value: entry.raw.clone(),
                    expected: note.expected.clone(),
                    used: used.or(effective).unwrap_or_else(|| "nothing".to_owned()),
                }
            })
        })
    }
}

/// A text and the name it was found under.
struct Found {
    name: String,
    raw: String,
    config_id: Option<String>,
}

/// A value that the program or remote configuration gives, or a text that is to be parsed.
#[derive(Clone, Debug)]
pub(super) enum CodeValue {
    Parsed(Value),
    Text(String),
}

/// Everything that sources said, before it is interpreted.
#[derive(Clone, Debug)]
pub(super) struct Sources {
    /// One per row of the table, in its order.
    pub(super) resolved: Vec<Resolved>,
    /// Names of the families that hold a library's name, highest source first.
    pub(super) families: Vec<BTreeMap<String, String>>,
    pub(super) findings: Vec<OtelFinding>,
}

impl Sources {
    /// Asks every source.
    pub(super) fn collect(
        environment: &dyn Environment,
        code: &BTreeMap<Name, CodeValue>,
        problems: &mut Vec<Problem>,
    ) -> Sources {
        let variables: BTreeMap<String, String> = environment.variables().into_iter().collect();
        let process = Process {
            arguments: environment.arguments(),
            variables,
        };
        let mut file = |place: Name, usual: &str| {
            let path = process
                .variables
                .get(place.setting().name)
                .filter(|path| !path.is_empty());
            let path = path.map_or_else(|| PathBuf::from(usual), PathBuf::from);
            read_file(environment, &path, &process, problems)
        };
        let local = file(Name::_DD_SC_LOCAL_FILE_OVERRIDE, stable_file::LOCAL_PATH);
        let fleet = file(Name::_DD_SC_MANAGED_FILE_OVERRIDE, stable_file::FLEET_PATH);
        let variables = &process.variables;

        let mut findings = Vec::new();
        let mut resolved = Vec::with_capacity(SETTINGS.len());
        for setting in SETTINGS {
            let mut one = Resolved::new(setting);
            one.add_text(
                Origin::LocalStableConfig,
                find(setting, &local.values, None),
            );
            let datadog = find(setting, variables, None);
            let is_set = datadog.is_some();
            if setting.otel_wins {
                one.add_text(Origin::Environment, datadog);
                add_otel(&mut one, variables, is_set, &mut findings);
            } else {
                add_otel(&mut one, variables, is_set, &mut findings);
                one.add_text(Origin::Environment, datadog);
            }
            let fleet_id = fleet.config_id.as_ref();
            one.add_text(
                Origin::FleetStableConfig,
                find(setting, &fleet.values, fleet_id),
            );
            if let Some(value) = code.get(&setting.id) {
                one.add_value(Origin::Code, value, None);
            }
            problems.extend(one.problems(|_| true));
            resolved.push(one);
        }
        for (name, value) in variables
            .iter()
            .filter(|(name, _)| name.starts_with("OTEL_"))
        {
            if otel::is_invalid_elsewhere(name, value) {
                findings.push(OtelFinding {
                    kind: OtelFindingKind::Invalid,
                    otel: name.clone(),
                    setting: None,
                });
            }
            if !otel::is_supported(name) {
                let kind = OtelFindingKind::Unsupported;
                findings.push(OtelFinding {
                    kind,
                    otel: name.clone(),
                    setting: None,
                });
            }
        }
        for (name, instead) in NOT_READ {
            if let Some(value) = variables.get(*name) {
                problems.push(Problem {
                    level: Level::Warn,
                    origin: Origin::Environment,
                    name: (*name).to_owned(),
                    value: Some(value.clone()),
                    expected: (*instead).to_owned(),
                    used: "nothing".to_owned(),
                });
            }
        }
        let families = [&fleet.values, variables, &local.values];
        let families = families.map(super::integration::of_families).to_vec();
        Sources {
            resolved,
            families,
            findings,
        }
    }

    /// Puts remote values on top, in place of earlier remote values.
    pub(super) fn with_remote(
        &self,
        settings: &[RemoteSetting],
        problems: &mut Vec<Problem>,
    ) -> Sources {
        let mut sources = self.clone();
        for one in &mut sources.resolved {
            one.entries
                .retain(|entry| entry.origin != Origin::RemoteConfig);
            let is_meant = |setting: &&RemoteSetting| setting.name == one.setting.id;
            for setting in settings.iter().filter(is_meant) {
                one.add_value(
                    Origin::RemoteConfig,
                    &setting.value,
                    setting.config_id.clone(),
                );
            }
            problems.extend(one.problems(|origin| origin == Origin::RemoteConfig));
        }
        sources
    }
}

fn read_file(
    environment: &dyn Environment,
    path: &Path,
    process: &Process,
    problems: &mut Vec<Problem>,
) -> StableConfig {
    match stable_file::read(environment, path, process) {
        Ok(config) => config.unwrap_or_default(),
        Err(why) => {
            problems.push(Problem {
                level: Level::Debug,
                origin: Origin::LocalStableConfig,
                name: path.display().to_string(),
                value: None,
                expected: format!("a configuration file ({why})"),
                used: "nothing".to_owned(),
            });
            StableConfig::default()
        }
    }
}

/// The text of a setting under its canonical name, or the first alias that has one.
fn find(
    setting: &Setting,
    values: &BTreeMap<String, String>,
    config_id: Option<&String>,
) -> Option<Found> {
    let names = std::iter::once(&setting.name).chain(setting.aliases);
    let mut texts = names.filter_map(|name| Some((*name, values.get(*name)?)));
    let (name, raw) = texts.find(|(_, raw)| setting.empty_is_value || !raw.trim().is_empty())?;
    Some(Found {
        name: name.to_owned(),
        raw: raw.clone(),
        config_id: config_id.cloned(),
    })
}

fn add_otel(
    one: &mut Resolved,
    variables: &BTreeMap<String, String>,
    is_set: bool,
    findings: &mut Vec<OtelFinding>,
) {
    let argument = variables.get("OTEL_TRACES_SAMPLER_ARG").map(String::as_str);
    for name in one.setting.otel {
        let Some(raw) = variables.get(*name).filter(|raw| !raw.trim().is_empty()) else {
            continue;
        };
        let Some(outcome) = otel::convert(name, raw, argument) else {
            continue;
        };
        let mut count = |kind| {
            let setting = Some(one.setting.name);
            findings.push(OtelFinding {
                kind,
                otel: (*name).to_owned(),
                setting,
            });
        };
        if is_set {
            count(OtelFindingKind::Hiding);
        } else if outcome.value.is_none() {
            count(OtelFindingKind::Invalid);
        }
        let found = Found {
            name: (*name).to_owned(),
            raw: raw.clone(),
            config_id: None,
        };
        one.add(Origin::OtelEnvironment, found, outcome);
    }
}
