//! `APM_TRACING`: the settings of the tracer that can be changed while it runs.
//!
//! Any number of files may be in force at once, for a whole organisation, for a service, for an environment. What each says
//! is merged key by key, the most specific file first; what none of them sets comes from the next lower source, so that
//! removing a file brings back what was there before. The result becomes a [`Config`] that takes the place of the one in
//! force as a whole.
//!
//! Two things are not like other settings:
//!
//! * **Tracing can be switched off, never on.** A program that was told to stop stays stopped until it is started again.
//! * **A rate or rules take the place of all local rules.** The rate becomes a rule for everything at the end, with the
//!   provenance of local rules, for that is how all tracers report it.
//!
//! Keys that belong to a product are [switches](on_switch): the product says which one it wants to hear of.

mod file;
mod merge;
mod switch;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use switch::{on_list, on_switch, text};

use self::file::SettingsFile;
use super::capabilities::Capabilities;
use super::path::ConfigPath;
use super::subscription::{Batch, Outcomes};
use crate::config::Config;
use crate::trace::tracer::{self, TracerCore};

/// The name of the product.
pub(super) const PRODUCT: &str = "APM_TRACING";

/// Rate, log injection, header tags, custom tags, tracing on and off, rules, several files at once.
const OWN: Capabilities = Capabilities::of(&[12, 13, 14, 15, 19, 29, 45]);

/// What this program can be told, switches of products included.
pub(super) fn capabilities() -> Capabilities {
    OWN.and(switch::capabilities())
}

/// The files in force, and what they are put on top of.
pub(super) struct ApmTracing {
    /// The configuration without anything remote.
    local: Arc<Config>,
    files: BTreeMap<ConfigPath, Applied>,
    /// Whether tracing was switched off from afar.
    is_stopped: bool,
    switches: switch::Told,
}

struct Applied {
    version: u64,
    file: SettingsFile,
}

impl ApmTracing {
    pub(super) fn new(local: Arc<Config>) -> Self {
        Self {
            local,
            files: BTreeMap::new(),
            is_stopped: false,
            switches: switch::Told::default(),
        }
    }

    /// Takes over what has changed, and puts the outcome in force.
    pub(super) fn apply(&mut self, batch: &Batch<'_>, tracer: &Arc<TracerCore>) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for file in batch.changed() {
            match SettingsFile::parse(file.content()) {
                Ok(read) => {
                    let applied = Applied {
                        version: file.version(),
                        file: read,
                    };
                    self.files.insert(file.path().clone(), applied);
                }
                Err(error) => outcomes.fail(file.path(), error),
            }
        }
        for path in batch.removed() {
            self.files.remove(path);
        }
        let mut merged = merge::merge(self.for_us());
        self.is_stopped |= merged.says_stop();
        if self.is_stopped {
            merged.stop();
        }
        let config = Arc::new(self.local.with_remote_settings(&merged.settings()));
        config.report_problems();
        tracer.set_config(Arc::clone(&config));
        crate::telemetry::configuration_changed(&config);
        if self.is_stopped && tracer::is_global(tracer) {
            // From here on an annotated function costs one load.
            crate::instrument::switch_off();
        }
        switch::keep_texts(merged.texts);
        self.switches.tell(merged.switches);
        outcomes
    }

    /// Tells products that have begun to listen since the last time.
    pub(super) fn tell_newcomers(&mut self) {
        let merged = merge::merge(self.for_us());
        switch::keep_texts(merged.texts);
        self.switches.tell(merged.switches);
    }

    /// The files that are for this program. Others may be sent, for the agent asks on behalf of what the program was called
    /// once; they count for nothing, and are acknowledged.
    fn for_us(&self) -> impl Iterator<Item = merge::Source<'_>> {
        let env = self.local.env.as_deref().unwrap_or_default();
        self.files
            .iter()
            .filter(move |(_, applied)| applied.file.is_for(&self.local.service, env))
            .map(|(path, applied)| merge::Source {
                path,
                version: applied.version,
                file: &applied.file,
            })
    }
}

#[cfg(test)]
mod tests;
