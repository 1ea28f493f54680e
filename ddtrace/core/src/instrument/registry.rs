//! The registry: which products and integrations are linked into this program.
//!
//! Nobody passes lists of integrations around. A crate says once, in a static, that it exists, and `init()` finds it,
//! because [`inventory`] gathers such statics from every crate that the linker takes in. So core and the facade's `init`
//! name no library and no product, and a program pays for what it links.
//!
//! # Adding an integration
//!
//! 1. A crate in `integrations/<library>`, named `ddtrace-<library>`, which depends on `ddtrace-core` and, with
//!    `default-features = false`, on the library. One crate for each incompatible line of the library.
//! 2. Its descriptor, once, anywhere in the crate:
//!
//!    ```
//!    use ddtrace_core::instrument::{Integration, inventory};
//!
//!    inventory::submit! {
//!        Integration::new("kettle", "kettle", "0.3")
//!    }
//!    # fn main() {}
//!    ```
//!
//!    The name is what users know from the settings and from the tag `component`: `DD_TRACE_KETTLE_ENABLED`,
//!    `DD_KETTLE_SERVICE`.
//! 3. The code that makes spans. The static [`Site`](crate::trace::Site) of each kind of span is declared with
//!    [`site!`](crate::site). A static [`Settings`](super::Settings) says, per span, whether the integration is on and
//!    what the user has set for it; [`Span`](crate::trace::Span) is the span; an [event](crate::events) tells
//!    products of it. What many libraries have in common is here already: [`HttpRules`](super::HttpRules) for
//!    servers and clients of HTTP, [`sql`](crate::sql) for databases, [`propagation`](crate::propagation) for headers.
//!
//!    ```
//!    use ddtrace_core::instrument::Settings;
//!    use ddtrace_core::trace::{Site, Span, SpanKind, extract};
//!
//!    static SETTINGS: Settings = Settings::of("kettle");
//!
//!    ddtrace_core::site! {
//!        static BOIL: Site = Site::new("kettle.boil", "boil", module_path!(), file!(), line!())
//!            .with_kind(SpanKind::Server)
//!            .with_component("kettle");
//!    }
//!
//!    fn boil(order: &http::HeaderMap) {
//!        let Some(settings) = SETTINGS.get() else {
//!            return; // off: do what the library does, and nothing else
//!        };
//!        let mut span = Span::start_from(&BOIL, extract(order));
//!        settings.set_service(&mut span, None);
//!        let _active = span.enter();
//!        // what the library does
//!    }
//!    # boil(&http::HeaderMap::new());
//!    ```
//!
//!    An integration never changes what the library returns, never names a product, and never panics. What it has to do
//!    before its first span, and few have, goes into the function given to [`Integration::starting_with`].
//! 4. In the facade, a feature and a re-export (`pub use ddtrace_kettle as kettle;`). A crate that is listed in a
//!    manifest but never named in code is not linked, and its descriptor is missing: the re-export is what names it.
//!
//! An integration is on unless `DD_TRACE_<NAME>_ENABLED` says otherwise.
//!
//! # Adding a product
//!
//! The same, with a [`Product`], whose start function is the place to subscribe to [events](crate::events):
//!
//! ```
//! use ddtrace_core::events::{self, HandledError, Phase};
//! use ddtrace_core::instrument::{Product, inventory};
//!
//! fn start() {
//!     events::on::<HandledError<'_>>(Phase::Product, "worries", |event| {
//!         let _ = event.error;
//!     });
//! }
//!
//! inventory::submit! {
//!     Product::new("worries", start)
//! }
//! # fn main() {}
//! ```
//!
//! A product obeys its own switch, whose default is the product's business; it may be started and find itself off.

use std::panic::catch_unwind;

use crate::diagnostics;
use crate::telemetry::{self, Namespace};

/// A library that this program can be watched through.
#[derive(Clone, Copy, Debug)]
pub struct Integration {
    name: &'static str,
    library: &'static str,
    supported: &'static str,
    start: fn(),
}

/// A part of Datadog that this program takes part in: a listener to events with a switch of its own.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    name: &'static str,
    start: fn(),
}

inventory::collect!(Integration);
inventory::collect!(Product);

impl Integration {
    /// Describes an integration: its name in settings and tags, the crate that it instruments, and the versions of that
    /// crate it supports, as a version requirement.
    pub const fn new(name: &'static str, library: &'static str, supported: &'static str) -> Self {
        Self {
            name,
            library,
            supported,
            start: || {},
        }
    }

    /// Gives it something to do when `init()` finds it enabled.
    pub const fn starting_with(mut self, start: fn()) -> Self {
        self.start = start;
        self
    }

    /// Its name in settings (`DD_TRACE_<NAME>_ENABLED`) and in the tag `component`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The crate that it instruments.
    pub fn library(&self) -> &'static str {
        self.library
    }

    /// The versions of that crate which it supports.
    pub fn supported(&self) -> &'static str {
        self.supported
    }
}

impl Product {
    /// Describes a product: its name, and what `init()` calls.
    pub const fn new(name: &'static str, start: fn()) -> Self {
        Self { name, start }
    }

    /// Its name, the one that it subscribes to events with.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// What is linked into the program, sorted by name, since the linker's order means nothing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Linked {
    /// Every integration, whether enabled or not.
    pub integrations: Vec<&'static Integration>,
    /// Every product, whether enabled or not.
    pub products: Vec<&'static Product>,
}

/// Lists what is linked into the program.
pub fn linked() -> Linked {
    let mut integrations: Vec<_> = inventory::iter::<Integration>.into_iter().collect();
    integrations.sort_by_key(|integration| (integration.name, integration.supported));
    let mut products: Vec<_> = inventory::iter::<Product>.into_iter().collect();
    products.sort_by_key(|product| product.name);
    Linked {
        integrations,
        products,
    }
}

/// Starts every product, then every integration that `is_enabled` (asked by name) lets through: the part of `init()`
/// that walks the registry.
///
/// Products come first, so that no integration dispatches to a product that has not subscribed yet. One that panics is
/// reported and left out; the rest of the program does not notice.
pub fn start(is_enabled: impl Fn(&str) -> bool) {
    let Linked {
        integrations,
        products,
    } = linked();
    for product in products {
        guarded(product.name, product.start);
    }
    for integration in integrations {
        if is_enabled(integration.name) && !guarded(integration.name, integration.start) {
            let tags = [
                ("integration_name", integration.name),
                ("error_type", "panic"),
            ];
            telemetry::count(Namespace::Tracers, "integration_errors", &tags, 1);
        }
    }
}

/// False if it panicked.
fn guarded(name: &str, start: fn()) -> bool {
    let is_started = catch_unwind(start).is_ok();
    if !is_started {
        diagnostics::error(format_args!(
            "{name} panicked while it was started and is left out"
        ));
    }
    is_started
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    static STARTED: Mutex<Vec<&str>> = Mutex::new(Vec::new());

    inventory::submit! { Integration::new("zither", "zither", "1").starting_with(|| STARTED.lock().unwrap().push("zither")) }
    inventory::submit! { Integration::new("banjo", "banjo", "0.2").starting_with(|| STARTED.lock().unwrap().push("banjo")) }
    inventory::submit! { Integration::new("broken", "broken", "0.1").starting_with(|| panic!("by design")) }
    inventory::submit! { Product::new("orchestra", || STARTED.lock().unwrap().push("orchestra")) }

    #[test]
    fn what_is_linked_is_listed_by_name() {
        let linked = linked();
        let names: Vec<_> = linked
            .integrations
            .iter()
            .map(|integration| integration.name())
            .collect();
        assert_eq!(names, ["banjo", "broken", "zither"]);
        assert_eq!(linked.products[0].name(), "orchestra");
        assert_eq!(linked.integrations[0].library(), "banjo");
        assert_eq!(linked.integrations[0].supported(), "0.2");
    }

    #[test]
    fn products_start_first_and_neither_a_switch_nor_a_panic_stops_the_others() {
        start(|name| name != "banjo");
        assert_eq!(*STARTED.lock().unwrap(), ["orchestra", "zither"]);
    }
}
