//! Switches of products among the settings of `APM_TRACING`, and lists.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;

use super::super::capabilities::Capabilities;
use crate::diagnostics;

type Handler = Box<dyn Fn(Option<&Said>) + Send + Sync>;

struct Switch {
    key: &'static str,
    capabilities: Capabilities,
    number: u64,
    handler: Handler,
}

/// What a file says under a key that belongs to a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Flag(bool),
    /// A list of flat objects, as JSON.
    List(String),
}

/// Replaced as a whole, so that neither the worker nor a forked child ever waits.
static SWITCHES: ArcSwapOption<Vec<Arc<Switch>>> = ArcSwapOption::const_empty();

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// Listens to a switch in the settings of `APM_TRACING` that belongs to a product, for example `data_streams_enabled`.
///
/// The handler is called on the worker's thread whenever the value is another one: `Some` while a file sets it, `None` when
/// none does any more and the product's own setting counts again. A program that is never told anything hears nothing. There
/// is one handler per key: a second one takes the place of the first.
///
/// ```
/// use ddtrace_core::remote_config::{self, Capabilities};
///
/// remote_config::on_switch("kettle_enabled", Capabilities::NONE, |value| match value {
///     Some(true) => println!("boil"),
///     Some(false) => println!("cool down"),
///     None => println!("as DD_KETTLE_ENABLED says"),
/// });
/// ```
pub fn on_switch(
    key: &'static str,
    capabilities: Capabilities,
    handler: impl Fn(Option<bool>) + Send + Sync + 'static,
) {
    add(key, capabilities, move |said| match said {
        Some(Said::Flag(value)) => handler(Some(*value)),
        _ => handler(None),
    });
}

/// The same for a list of flat objects, such as `data_streams_transaction_extractors`, whose key ends in `_extractors`. The handler
/// gets it as JSON: objects whose values are not all texts are left out.
///
/// ```
/// use ddtrace_core::remote_config::{self, Capabilities};
///
/// remote_config::on_list("kettle_extractors", Capabilities::NONE, |json| match json {
///     Some(json) => println!("{json}"),
///     None => println!("as DD_KETTLE_EXTRACTORS says"),
/// });
/// ```
pub fn on_list(
    key: &'static str,
    capabilities: Capabilities,
    handler: impl Fn(Option<&str>) + Send + Sync + 'static,
) {
    add(key, capabilities, move |said| match said {
        Some(Said::List(json)) => handler(Some(json)),
        _ => handler(None),
    });
}

fn add(
    key: &'static str,
    capabilities: Capabilities,
    handler: impl Fn(Option<&Said>) + Send + Sync + 'static,
) {
    let switch = Arc::new(Switch {
        key,
        capabilities,
        number: NUMBERS.fetch_add(1, Ordering::Relaxed),
        handler: Box::new(handler),
    });
    SWITCHES.rcu(|current| {
        let kept = current.iter().flat_map(|list| list.iter());
        let kept = kept.filter(|other| other.key != key);
        let list: Vec<_> = kept.chain([&switch]).cloned().collect();
        Some(Arc::new(list))
    });
    super::super::poll::hurry();
}

/// Texts in force, replaced as a whole.
static TEXTS: ArcSwapOption<BTreeMap<String, String>> = ArcSwapOption::const_empty();

/// What the settings of `APM_TRACING` say under a key that holds a text, for example `llmobs.ml_app_name`: for the handler of a
/// [switch](on_switch) beside it.
pub fn text(key: &str) -> Option<String> {
    TEXTS.load().as_deref()?.get(key).cloned()
}

pub(super) fn keep_texts(texts: BTreeMap<String, String>) {
    TEXTS.store((!texts.is_empty()).then(|| Arc::new(texts)));
}

fn switches() -> Vec<Arc<Switch>> {
    let list = SWITCHES.load();
    list.iter().flat_map(|list| list.iter()).cloned().collect()
}

/// What all switches need to be declared.
pub(super) fn capabilities() -> Capabilities {
    let all = switches().into_iter().map(|switch| switch.capabilities);
    all.fold(Capabilities::NONE, Capabilities::and)
}

/// What has been said to whom.
#[derive(Debug, Default)]
pub(super) struct Told(BTreeMap<u64, Said>);

impl Told {
    /// Tells every switch whose value is not the one that it knows.
    pub(super) fn tell(&mut self, values: BTreeMap<String, Said>) {
        for switch in switches() {
            let value = values.get(switch.key);
            let before = match value {
                Some(value) => self.0.insert(switch.number, value.clone()),
                None => self.0.remove(&switch.number),
            };
            if before.as_ref() != value
                && catch_unwind(AssertUnwindSafe(|| (switch.handler)(value))).is_err()
            {
                let key = switch.key;
                diagnostics::error(format_args!(
                    "remote configuration: the handler of {key} panicked"
                ));
            }
        }
    }
}
