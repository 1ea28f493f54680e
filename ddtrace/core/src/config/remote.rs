//! Values of remote configuration, the source on top of all others.

use super::effective::Config;
use super::sources::{CodeValue, Origin};
use super::table::Name;
use super::value::Value;

/// A value that remote configuration gives a setting.
#[derive(Clone, Debug)]
pub struct RemoteSetting {
    pub(super) name: Name,
    pub(super) value: CodeValue,
    pub(super) config_id: Option<String>,
}

impl RemoteSetting {
    /// A value that needs no parsing.
    pub fn new(name: Name, value: Value) -> Self {
        Self::of(name, CodeValue::Parsed(value))
    }

    /// A text, parsed as that of a variable would be.
    pub fn text(name: Name, text: impl Into<String>) -> Self {
        Self::of(name, CodeValue::Text(text.into()))
    }

    const fn of(name: Name, value: CodeValue) -> Self {
        Self {
            name,
            value,
            config_id: None,
        }
    }

    /// The id of the file that it stands in, for telemetry. An empty one is none.
    pub fn from_file(mut self, config_id: &str) -> Self {
        self.config_id = (!config_id.is_empty()).then(|| config_id.to_owned());
        self
    }
}

impl Config {
    /// The same configuration with these remote values on top, in place of earlier remote ones.
    ///
    /// Service, environment and version stay what they are even where they came from `DD_TAGS` and that is replaced: who a
    /// program is does not change while it runs. The problems are only those of the new values.
    pub fn with_remote_settings(&self, settings: &[RemoteSetting]) -> Config {
        let mut problems = Vec::new();
        let sources = self.sources.with_remote(settings, &mut problems);
        let mut config = Config::interpret(sources, self.facts.clone(), problems);
        let is_set = |name: Name| settings.iter().any(|setting| setting.name == name);
        if !is_set(Name::DD_SERVICE) && is_set(Name::DD_TAGS) {
            config.service.clone_from(&self.service);
            config.service_is_inferred = self.service_is_inferred;
        }
        if !is_set(Name::DD_ENV) && is_set(Name::DD_TAGS) {
            config.env.clone_from(&self.env);
        }
        if !is_set(Name::DD_VERSION) && is_set(Name::DD_TAGS) {
            config.version.clone_from(&self.version);
        }
        // What is wrong between settings that did not change was said before.
        config
            .problems
            .retain(|problem| problem.origin == Origin::RemoteConfig);
        config
    }

    /// As [`with_remote_settings`](Self::with_remote_settings), for texts of one file.
    pub fn with_remote(&self, values: &[(Name, String)], config_id: Option<&str>) -> Config {
        let id = config_id.unwrap_or_default();
        let setting =
            |(name, text): &(Name, String)| RemoteSetting::text(*name, text.clone()).from_file(id);
        self.with_remote_settings(&values.iter().map(setting).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, MapEnvironment, Name, RemoteSetting, Value};

    #[test]
    fn remote_tags_leave_a_program_who_it_is() {
        let environment = MapEnvironment::new()
            .executable("program")
            .variable("DD_TAGS", "service:shop,env:prod,version:7,team:a");
        let config = Config::builder().environment(&environment).build();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let tags = Value::Pairs(vec![pair("env", "other"), pair("with", "a,b c:d")]);
        let changed =
            config.with_remote_settings(&[RemoteSetting::new(Name::DD_TAGS, tags.clone())]);
        assert_eq!(changed.service, "shop");
        assert_eq!(changed.env.as_deref(), Some("prod"));
        assert_eq!(changed.version.as_deref(), Some("7"));
        assert_eq!(
            Value::Pairs(changed.tags.clone()),
            tags,
            "no text is taken apart twice"
        );
        assert_eq!(changed.with_remote_settings(&[]).tags, config.tags);
    }
}
