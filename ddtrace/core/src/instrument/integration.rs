//! What the user has set for one integration, at hand for every span it makes.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use super::http::HttpRules;
use crate::config::{Config, IntegrationSettings};
use crate::trace::{Span, current_config};

/// The settings of one integration, read once per configuration. Lives in a static of the integration.
///
/// ```
/// use ddtrace_core::instrument::Settings;
///
/// static SETTINGS: Settings = Settings::of("kettle");
///
/// // Nothing is configured before `init()`: there is nothing to do.
/// assert!(SETTINGS.get().is_none());
/// ```
pub struct Settings {
    name: &'static str,
    /// The answer, with the configuration that it was read from.
    known: ArcSwapOption<Enabled>,
}

/// The settings of an integration that is switched on, with everything else that the user configured.
#[derive(Debug)]
#[non_exhaustive]
pub struct Enabled {
    name: &'static str,
    /// The integration's own settings.
    pub own: IntegrationSettings,
    /// The program's.
    pub config: Arc<Config>,
    http: OnceLock<HttpRules>,
}

impl Settings {
    /// The settings of the integration called so (`axum` for `DD_AXUM_SERVICE`).
    pub const fn of(name: &'static str) -> Self {
        Self {
            name,
            known: ArcSwapOption::const_empty(),
        }
    }

    /// What is set, for the tracer that the calling thread works for; nothing without one, or if the integration is off.
    ///
    /// Costs two atomic reference counts; the first call after a change of configuration reads the settings.
    pub fn get(&self) -> Option<Arc<Enabled>> {
        let config = current_config()?;
        let known = self.known.load_full();
        let known = match known.filter(|known| Arc::ptr_eq(&known.config, &config)) {
            Some(known) => known,
            None => self.read(config),
        };
        known.own.enabled.then_some(known)
    }

    #[cold]
    fn read(&self, config: Arc<Config>) -> Arc<Enabled> {
        let own = config.integration(self.name);
        let enabled = Arc::new(Enabled {
            name: self.name,
            own,
            config,
            http: OnceLock::new(),
        });
        self.known.store(Some(enabled.clone()));
        enabled
    }
}

impl Enabled {
    /// The service of the integration's spans: what the user has set, or else `default`, the library's usual one, unless
    /// the user wants none of those. Nothing means that they belong to the service that they are part of.
    pub fn service_of<'a>(&'a self, default: Option<&'a str>) -> Option<&'a str> {
        let default = default
            .filter(|_| !self.names_by_v1() && !self.config.remove_integration_service_names);
        self.own.service.as_deref().or(default)
    }

    /// Sets that service, and the tag that says where it comes from.
    pub fn set_service(&self, span: &mut Span, default: Option<&str>) {
        if let Some(service) = self.service_of(default) {
            span.set_service(service);
            span.set_tag("_dd.svc_src", self.name);
        }
    }

    /// Whether operations are named by schema `v1`, where names tell the kind of operation and not the library.
    pub fn names_by_v1(&self) -> bool {
        self.config.span_attribute_schema == 1
    }

    /// What spans of HTTP servers and clients are to say; set up by the first call.
    pub fn http(&self) -> &HttpRules {
        self.http.get_or_init(|| HttpRules::new(&self.config))
    }
}
