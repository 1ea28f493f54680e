//! Stable configuration files: settings for a whole host, by an administrator or by the fleet.
//!
//! A file holds defaults (`apm_configuration_default`), and `apm_configuration_rules`, or `rules` for short, that apply to the
//! processes that all their selectors match; the first matching rule goes over the defaults. Values may hold
//! templates: `{{environment_variables[X]}}`, with the key in quotes or not. The format is that of `spec/core.md` §1.3; the
//! long name of the rules and the quotes are those of system-tests, `tests/parametric/test_config_consistency.py`.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::Path;

use super::environment::Environment;
use super::yaml::{self, Yaml};

/// The largest file that is read.
const MAX_FILE_SIZE: u64 = 1 << 20;

/// The longest value that templates may make, in bytes: a few bytes of template can stand for a lot of text.
const MAX_RENDERED: usize = 64 << 10;

/// Where the files are on this system.
#[cfg(target_os = "macos")]
mod paths {
    pub(super) const LOCAL: &str = "/opt/datadog-agent/etc/application_monitoring.yaml";
    pub(super) const FLEET: &str = "/opt/datadog-agent/etc/stable/application_monitoring.yaml";
}
#[cfg(windows)]
mod paths {
    pub(super) const LOCAL: &str = r"C:\ProgramData\Datadog\application_monitoring.yaml";
    pub(super) const FLEET: &str =
        r"C:\ProgramData\Datadog\managed\datadog-agent\stable\application_monitoring.yaml";
}
#[cfg(not(any(target_os = "macos", windows)))]
mod paths {
    pub(super) const LOCAL: &str = "/etc/datadog-agent/application_monitoring.yaml";
    pub(super) const FLEET: &str =
        "/etc/datadog-agent/managed/datadog-agent/stable/application_monitoring.yaml";
}

/// The administrator's file.
pub(super) const LOCAL_PATH: &str = paths::LOCAL;
/// The fleet's file.
pub(super) const FLEET_PATH: &str = paths::FLEET;

/// What a file says for this process.
#[derive(Debug, Default, PartialEq)]
pub(super) struct StableConfig {
    pub(super) config_id: Option<String>,
    pub(super) values: BTreeMap<String, String>,
}

/// What selectors and templates look at.
pub(super) struct Process {
    pub(super) arguments: Vec<String>,
    pub(super) variables: BTreeMap<String, String>,
}

impl Process {
    /// The value of an argument written `key=value`; of several the last counts.
    fn argument(&self, key: &str) -> Option<&str> {
        let pairs = self
            .arguments
            .iter()
            .rev()
            .filter_map(|argument| argument.split_once('='));
        pairs
            .into_iter()
            .find(|(known, _)| *known == key)
            .map(|(_, value)| value)
    }
}

/// Reads a file. `Ok(None)` if there is none; `Err` says in one sentence why it is ignored.
pub(super) fn read(
    environment: &dyn Environment,
    path: &Path,
    process: &Process,
) -> Result<Option<StableConfig>, String> {
    let bytes = match environment.read(path, MAX_FILE_SIZE) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("cannot be read: {error}")),
    };
    let text = String::from_utf8(bytes).map_err(|_| "expected UTF-8".to_owned())?;
    let document =
        yaml::parse(&text).map_err(|error| format!("line {}: {}", error.line, error.message))?;
    interpret(&document, process)
        .map(Some)
        .map_err(str::to_owned)
}

fn interpret(document: &Yaml, process: &Process) -> Result<StableConfig, &'static str> {
    if !matches!(document, Yaml::Map(_) | Yaml::Null) {
        return Err("expected a map at the top");
    }
    let tags = match document.get("tags") {
        None | Some(Yaml::Null) => BTreeMap::new(),
        Some(tags) => scalars(tags).ok_or("expected a map under tags")?,
    };
    let mut values = match document.get("apm_configuration_default") {
        None | Some(Yaml::Null) => BTreeMap::new(),
        Some(map) => scalars(map).ok_or("expected a map under apm_configuration_default")?,
    };
    // All rules are read before one is chosen: a file with a wrong rule is wrong on every host.
    let mut rules = Vec::new();
    for key in ["apm_configuration_rules", "rules"] {
        match document.get(key) {
            None | Some(Yaml::Null) => {}
            Some(Yaml::List(list)) => {
                for rule in list {
                    rules.push(Rule::read(rule)?);
                }
            }
            Some(_) => return Err("expected a list under rules"),
        }
    }
    let matching = rules.into_iter().find(|rule| rule.matches(process, &tags));
    values.extend(matching.map(|rule| rule.configuration).unwrap_or_default());
    for value in values.values_mut() {
        *value = render(value, process, &tags)?;
    }
    let config_id = document
        .get("config_id")
        .and_then(Yaml::scalar)
        .map(str::to_owned);
    Ok(StableConfig { config_id, values })
}

/// The scalar entries of a map; others are passed over, so that later formats do not break us.
fn scalars(node: &Yaml) -> Option<BTreeMap<String, String>> {
    let Yaml::Map(entries) = node else {
        return None;
    };
    let scalars = entries
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.scalar()?.to_owned())));
    Some(scalars.collect())
}

struct Rule {
    selectors: Vec<Selector>,
    configuration: BTreeMap<String, String>,
}

impl Rule {
    fn read(node: &Yaml) -> Result<Rule, &'static str> {
        let selectors = match node.get("selectors") {
            Some(Yaml::List(selectors)) => selectors
                .iter()
                .map(Selector::read)
                .collect::<Result<_, _>>()?,
            _ => return Err("expected a list of selectors in the rule"),
        };
        let configuration = node
            .get("configuration")
            .and_then(scalars)
            .ok_or("expected a map under configuration in the rule")?;
        Ok(Rule {
            selectors,
            configuration,
        })
    }

    fn matches(&self, process: &Process, tags: &BTreeMap<String, String>) -> bool {
        self.selectors
            .iter()
            .all(|selector| selector.matches(process, tags))
    }
}

enum Origin {
    Language,
    ProcessArguments,
    EnvironmentVariables,
    Tags,
}

enum Operator {
    Exists,
    Equals,
    PrefixMatches,
    SuffixMatches,
}

struct Selector {
    origin: Origin,
    key: Option<String>,
    operator: Operator,
    matches: Vec<String>,
}

impl Selector {
    fn read(node: &Yaml) -> Result<Selector, &'static str> {
        let origin = match node.get("origin").and_then(Yaml::scalar) {
            Some("language") => Origin::Language,
            Some("process_arguments") => Origin::ProcessArguments,
            Some("environment_variables") => Origin::EnvironmentVariables,
            Some("tags") => Origin::Tags,
            _ => return Err("expected a known origin in the selector"),
        };
        let operator = match node.get("operator").and_then(Yaml::scalar) {
            Some("exists") => Operator::Exists,
            Some("equals") => Operator::Equals,
            Some("prefix_matches") => Operator::PrefixMatches,
            Some("suffix_matches") => Operator::SuffixMatches,
            _ => return Err("expected a known operator in the selector"),
        };
        let matches = match node.get("matches") {
            Some(Yaml::List(items)) => items
                .iter()
                .filter_map(Yaml::scalar)
                .map(str::to_owned)
                .collect(),
            _ if matches!(operator, Operator::Exists) => Vec::new(),
            _ => return Err("expected a list under matches in the selector"),
        };
        let key = node.get("key").and_then(Yaml::scalar).map(str::to_owned);
        Ok(Selector {
            origin,
            key,
            operator,
            matches,
        })
    }

    fn matches(&self, process: &Process, tags: &BTreeMap<String, String>) -> bool {
        let known = |value: Option<&str>| value.is_some_and(|value| self.accepts(value));
        match (&self.origin, self.key.as_deref()) {
            (Origin::Language, _) => self.accepts("rust"),
            (Origin::ProcessArguments, Some(key)) => known(process.argument(key)),
            (Origin::ProcessArguments, None) => process
                .arguments
                .iter()
                .any(|argument| self.accepts(argument)),
            (Origin::EnvironmentVariables, Some(key)) => {
                known(process.variables.get(key).map(String::as_str))
            }
            (Origin::EnvironmentVariables, None) => {
                let mut pairs = process.variables.iter();
                pairs.any(|(name, value)| self.accepts(&format!("{name}={value}")))
            }
            (Origin::Tags, Some(key)) => known(tags.get(key).map(String::as_str)),
            (Origin::Tags, None) => false,
        }
    }

    fn accepts(&self, value: &str) -> bool {
        let mut matches = self.matches.iter().map(String::as_str);
        match self.operator {
            Operator::Exists => true,
            Operator::Equals => matches.any(|text| value == text),
            Operator::PrefixMatches => matches.any(|text| value.starts_with(text)),
            Operator::SuffixMatches => matches.any(|text| value.ends_with(text)),
        }
    }
}

/// A key without the quotes that it may stand in.
fn unquoted(key: &str) -> &str {
    let key = key.trim();
    let quoted = ['\'', '"'].iter().find_map(|quote| {
        let inside = key.strip_prefix(*quote)?;
        inside.strip_suffix(*quote)
    });
    quoted.unwrap_or(key)
}

/// Replaces the templates in a value. What they produce is not looked at again.
fn render(
    value: &str,
    process: &Process,
    tags: &BTreeMap<String, String>,
) -> Result<String, &'static str> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((head, after)) = rest.split_once("{{") {
        let (template, tail) = after
            .split_once("}}")
            .ok_or("expected }} after {{ in a value")?;
        let (origin, key) = match template.split_once('[') {
            Some((origin, key)) => (origin, key.split(']').next().map(unquoted)),
            None => (template, None),
        };
        let found = match (origin.trim(), key) {
            ("language", _) => Some("rust"),
            ("environment_variables", Some(key)) => process.variables.get(key).map(String::as_str),
            ("process_arguments", Some(key)) => process.argument(key),
            ("tags", Some(key)) => tags.get(key).map(String::as_str),
            _ => None,
        };
        out.push_str(head);
        out.push_str(found.unwrap_or("UNDEFINED"));
        if out.len() > MAX_RENDERED {
            return Err("expected values of at most 64 KiB");
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;
    use proptest::prelude::*;

    fn values(text: &str) -> Result<String, String> {
        let process = Process {
            arguments: ["shop", "--mode=fast", "verbose"]
                .map(str::to_owned)
                .to_vec(),
            variables: [("TIER".to_owned(), "gold".to_owned())].into(),
        };
        let environment = MapEnvironment::new().file("f", text);
        let config = read(&environment, Path::new("f"), &process)?.unwrap_or_default();
        let values = config
            .values
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        Ok(config
            .config_id
            .into_iter()
            .chain(values)
            .collect::<Vec<_>>()
            .join(" "))
    }

    fn with_selector(selector: &str) -> String {
        let text = format!(
            "tags: {{cluster: blue}}\nrules:\n- selectors:\n  - {{{selector}}}\n  configuration: {{K: yes}}\n"
        );
        values(&text).unwrap_or_else(|error| format!("error: {error}"))
    }

    #[test]
    fn selectors_choose_processes() {
        let cases = [
            (
                "origin: language, operator: equals, matches: [java, rust]",
                "K=yes",
            ),
            ("origin: language, operator: equals, matches: [java]", ""),
            ("origin: language, operator: exists", "K=yes"),
            (
                "origin: process_arguments, operator: equals, matches: [verbose]",
                "K=yes",
            ),
            (
                "origin: process_arguments, key: --mode, operator: prefix_matches, matches: [fa]",
                "K=yes",
            ),
            (
                "origin: process_arguments, key: verbose, operator: exists",
                "",
            ),
            (
                "origin: environment_variables, key: TIER, operator: suffix_matches, matches: [ld]",
                "K=yes",
            ),
            (
                "origin: environment_variables, key: NONE, operator: exists",
                "",
            ),
            (
                "origin: environment_variables, operator: equals, matches: ['TIER=gold']",
                "K=yes",
            ),
            (
                "origin: tags, key: cluster, operator: equals, matches: [blue]",
                "K=yes",
            ),
            ("origin: tags, operator: exists", ""),
            (
                "origin: moon, operator: exists",
                "error: expected a known origin in the selector",
            ),
            (
                "origin: tags, operator: near",
                "error: expected a known operator in the selector",
            ),
            (
                "origin: tags, operator: equals",
                "error: expected a list under matches in the selector",
            ),
        ];
        for (selector, expected) in cases {
            assert_eq!(with_selector(selector), expected, "{selector}");
        }
    }

    #[test]
    fn selectors_are_anded_and_the_first_matching_rule_goes_over_the_defaults() {
        let text = "
config_id: abc
unknown: {x: [1]}
apm_configuration_default: {A: default, B: default}
rules:
- selectors:
  - {origin: language, operator: equals, matches: [rust]}
  - {origin: language, operator: equals, matches: [java]}
  configuration: {A: both}
- selectors: [{origin: language, operator: equals, matches: [rust]}]
  configuration: {A: first}
- selectors: []
  configuration: {A: second, B: second}
";
        assert_eq!(values(text).unwrap(), "abc A=first B=default");
    }

    #[test]
    fn rules_have_two_names_and_the_long_one_comes_first() {
        let rule = |key: &str, value: &str| {
            format!("{key}:\n- selectors: []\n  configuration: {{A: {value}}}\n")
        };
        let (long, short) = (
            rule("apm_configuration_rules", "long"),
            rule("rules", "short"),
        );
        assert_eq!(values(&short).unwrap(), "A=short");
        assert_eq!(values(&long).unwrap(), "A=long");
        assert_eq!(values(&format!("{short}{long}")).unwrap(), "A=long");
        assert_eq!(
            values("apm_configuration_rules: x").unwrap_err(),
            "expected a list under rules"
        );
    }

    #[test]
    fn what_system_tests_write_is_read() {
        let text = "apm_configuration_rules:\n- configuration:\n    DD_SERVICE: \"{{process_arguments['--mode']}}\"\n  \
                    selectors:\n  - key: --mode\n    matches:\n    - fast\n    operator: equals\n    origin: process_arguments\n";
        assert_eq!(values(text).unwrap(), "DD_SERVICE=fast");
        assert!(values("?? ??; ??\t\n\n --- `??").is_err());
    }

    #[test]
    fn templates_are_rendered() {
        let long = "x".repeat(1000);
        let cases = [
            ("x-{{language}}", Ok("x-rust")),
            (
                "{{ environment_variables[TIER] }}/{{tags[c]}}",
                Ok("gold/blue"),
            ),
            ("{{process_arguments[--mode]}}", Ok("fast")),
            ("{{process_arguments['--mode']}}", Ok("fast")),
            ("{{environment_variables[ 'TIER' ]}}", Ok("gold")),
            ("{{tags['c]}}", Ok("UNDEFINED")),
            (
                "{{process_arguments[verbose]}} {{moon}} {{tags}}",
                Ok("UNDEFINED UNDEFINED UNDEFINED"),
            ),
            ("{{language", Err("expected }} after {{ in a value")),
            ("}} {", Ok("}} {")),
            (
                &"{{tags[long]}}".repeat(100),
                Err("expected values of at most 64 KiB"),
            ),
        ];
        for (template, expected) in cases {
            let text = format!(
                "tags: {{c: blue, long: {long}}}\napm_configuration_default:\n  K: \"{template}\""
            );
            let expected = expected
                .map(|value| format!("K={value}"))
                .map_err(str::to_owned);
            assert_eq!(values(&text), expected, "{template}");
        }
    }

    proptest! {
        #[test]
        fn no_file_panics(
            value in "[{} a-z\\[\\]]{0,20}",
            origin in "(language|tags|process_arguments|environment_variables|[a-z:]{0,5})",
            rest in "[-a-c: \n#'\"]{0,40}",
        ) {
            let text = format!(
                "tags: {{a: b}}\nrules:\n- selectors: [{{origin: {origin}, operator: exists}}]\n  \
                 configuration:\n    K: '{value}'\n{rest}"
            );
            let _ = values(&text);
        }
    }

    #[test]
    fn unusable_files_say_why() {
        assert_eq!(
            values("not: [valid").unwrap_err(),
            "line 1: expected a closing bracket"
        );
        assert_eq!(values("- a").unwrap_err(), "expected a map at the top");
        assert_eq!(
            values("rules: 1").unwrap_err(),
            "expected a list under rules"
        );
        assert!(
            values(&"#".repeat(1 << 21))
                .unwrap_err()
                .starts_with("cannot be read: ")
        );
        assert_eq!(values("").unwrap(), "");
    }
}
