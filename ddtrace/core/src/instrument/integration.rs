//! What the user has set for one integration, at hand for every span it makes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;

use super::http::HttpRules;
use crate::config::{Config, IntegrationSettings};
use crate::trace::{ServiceId, Span, Tag, Value, current_config, current_config_number};

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
    /// The answer for a configuration, whose number it has.
    known: ArcSwapOption<Enabled>,
    /// The number of a configuration by which the integration is off, or 0.
    off: AtomicU64,
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
    number: u64,
    http: OnceLock<HttpRules>,
    /// The service that spans were given first, and its number.
    service: OnceLock<(Box<str>, ServiceId)>,
}

impl Settings {
    /// The settings of the integration called so (`axum` for `DD_AXUM_SERVICE`).
    pub const fn of(name: &'static str) -> Self {
        Self {
            name,
            known: ArcSwapOption::const_empty(),
            off: AtomicU64::new(0),
        }
    }

    /// What is set, for the tracer that the calling thread works for; nothing without one, or if the integration is off.
    ///
    /// Costs one atomic reference count, and a few loads if the answer is no. The first call after a change of configuration
    /// reads the settings.
    pub fn get(&self) -> Option<Arc<Enabled>> {
        let number = current_config_number()?;
        if self.off.load(Ordering::Relaxed) == number {
            return None;
        }
        let known = self.known.load_full();
        match known.filter(|known| known.number == number) {
            Some(known) => Some(known),
            None => self.read(number),
        }
    }

    /// What is read may belong to a later configuration than the number does: then the next call has another number, and reads again.
    #[cold]
    fn read(&self, number: u64) -> Option<Arc<Enabled>> {
        let config = current_config()?;
        let own = config.integration(self.name);
        if !own.enabled {
            self.off.store(number, Ordering::Relaxed);
            return None;
        }
        let enabled = Arc::new(Enabled {
            name: self.name,
            own,
            config,
            number,
            http: OnceLock::new(),
            service: OnceLock::new(),
        });
        self.known.store(Some(enabled.clone()));
        Some(enabled)
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
        let Some(service) = self.service_of(default) else {
            return;
        };
        // One and the same for almost every integration: its number is looked up once.
        let (name, id) = self
            .service
            .get_or_init(|| (service.into(), ServiceId::of(service)));
        if **name == *service {
            span.set_service_by_id(name, *id);
        } else {
            span.set_service(service);
        }
        span.set_tags(&[Tag {
            key: "_dd.svc_src",
            value: Value::Static(self.name),
        }]);
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
