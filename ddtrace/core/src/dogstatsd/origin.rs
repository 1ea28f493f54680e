//! What every line says about where it comes from.

use super::line;
use crate::config::Config;

/// The parts that all lines of a client share, ready to be appended.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// `env:prod,service:shop`, without a comma at either end.
    pub(super) tags: String,
    /// `|c:ci-…|e:…`, or empty.
    pub(super) fields: String,
}

impl Origin {
    /// `container` is what the agent calls the entity: `ci-<container id>` or `in-<inode>`.
    pub(super) fn new(config: &Config, container: Option<&str>) -> Self {
        let mut tags = Vec::new();
        // An inferred service is a guess, which belongs on spans only.
        let service = (!config.service_is_inferred).then_some(&config.service);
        let identity = [
            ("env", config.env.as_ref()),
            ("service", service),
            ("version", config.version.as_ref()),
            ("dd.internal.entity_id", config.entity_id.as_ref()),
        ];
        for (key, value) in identity {
            if let Some(value) = value {
                let mut tag = format!("{key}:");
                line::text(&mut tag, value);
                tags.push(tag);
            }
        }
        let mut fields = String::new();
        let container = container.filter(|_| config.origin_detection && config.entity_id.is_none());
        if let Some(container) = container {
            fields.push_str("|c:");
            line::text(&mut fields, container);
        }
        if let Some(external) = &config.external_env {
            fields.push_str("|e:");
            // Commas belong to it.
            fields.extend(external.chars().map(|c| match c {
                '|' | '#' | '@' => '_',
                c if c.is_control() => '_',
                c => c,
            }));
        }
        Self {
            tags: tags.join(","),
            fields,
        }
    }
}
