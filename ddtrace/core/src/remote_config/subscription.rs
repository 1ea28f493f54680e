//! Who wants to be told of which product's files.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::capabilities::Capabilities;
use super::path::ConfigPath;
use crate::diagnostics;

/// What is said about a handler's panic.
const PANICKED: &str = "the handler panicked";

/// A file that remote configuration sent. Its content is well-formed JSON.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    pub(super) path: ConfigPath,
    pub(super) version: u64,
    pub(super) content: Bytes,
}

impl ConfigFile {
    /// Where it comes from and what it is called.
    pub fn path(&self) -> &ConfigPath {
        &self.path
    }

    /// Its version, which rises when it is changed.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What it says, as it was sent.
    pub fn content(&self) -> &Bytes {
        &self.content
    }

    /// What it says, read as JSON of a known shape.
    ///
    /// # Errors
    ///
    /// If it has another shape, or is nested more than 128 deep.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.content)
    }
}

/// What has changed for one product with one poll.
///
/// Removals and additions come together, so that a file that takes the place of another never leaves a moment without both.
#[derive(Debug)]
pub struct Batch<'a> {
    pub(super) changed: &'a [ConfigFile],
    pub(super) removed: &'a [ConfigPath],
    pub(super) is_complete: bool,
}

impl Batch<'_> {
    /// Files that were added or have another content.
    pub fn changed(&self) -> &[ConfigFile] {
        self.changed
    }

    /// Files that are no longer in force.
    pub fn removed(&self) -> &[ConfigPath] {
        self.removed
    }

    /// Whether these are all files of the product, so that any other that the handler knows is no longer in force. The first
    /// batch in the child of a fork is such a one: the handler knows what it was told in the parent.
    pub fn is_complete(&self) -> bool {
        self.is_complete
    }
}

/// What became of the files of a [`Batch`]: acknowledged, unless [`fail`](Outcomes::fail) says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    failed: Vec<(ConfigPath, String)>,
}

impl Outcomes {
    /// Says that a file could not be applied, and why. The text is shown to whoever set it; at most 1 kB of it is sent.
    pub fn fail(&mut self, path: &ConfigPath, why: impl Into<String>) {
        self.failed.push((path.clone(), why.into()));
    }

    /// The files that could not be applied.
    pub fn failed(&self) -> &[(ConfigPath, String)] {
        &self.failed
    }
}

pub(super) type Handler = Box<dyn Fn(&Batch<'_>) -> Outcomes + Send + Sync>;

/// A product's subscription, as the client sees it.
pub(super) struct Subscriber {
    pub(super) product: &'static str,
    pub(super) capabilities: Capabilities,
    /// Tells subscriptions apart, also those that follow each other for one product.
    pub(super) number: u64,
    /// Whether the handler was ever told of a file, by whatever client.
    knows_files: AtomicBool,
    handler: Handler,
}

impl Subscriber {
    pub(super) fn new(product: &'static str, capabilities: Capabilities, handler: Handler) -> Self {
        Self {
            product,
            capabilities,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            knows_files: AtomicBool::new(false),
            handler,
        }
    }

    /// Whether the handler may know of files, perhaps from the client of the process that this one was forked from.
    pub(super) fn may_know_files(&self) -> bool {
        self.knows_files.load(Ordering::Relaxed)
    }

    /// Calls the handler.
    pub(super) fn tell(&self, batch: &Batch<'_>) -> Outcomes {
        self.knows_files.store(true, Ordering::Relaxed);
        // A handler that panicked half way may leave its own state broken, never ours: the batch is only borrowed.
        match catch_unwind(AssertUnwindSafe(|| (self.handler)(batch))) {
            Ok(outcomes) => outcomes,
            Err(_) => {
                let product = self.product;
                diagnostics::error(format_args!(
                    "remote configuration: the handler of {product} panicked"
                ));
                let mut outcomes = Outcomes::default();
                for file in batch.changed {
                    outcomes.fail(&file.path, PANICKED);
                }
                outcomes
            }
        }
    }
}

/// The subscribers so far, one per product. Replaced as a whole, so that neither the worker nor a forked child ever waits.
static SUBSCRIBERS: ArcSwapOption<Vec<Arc<Subscriber>>> = ArcSwapOption::const_empty();

static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// The handle of a subscription. Dropping it changes nothing: most subscriptions last as long as the program.
#[derive(Clone, Debug)]
pub struct Subscription {
    number: u64,
}

impl Subscription {
    /// Ends the subscription. The handler is not told that its files are gone: it knows.
    pub fn unsubscribe(self) {
        replace(|subscriber| subscriber.number != self.number, None);
    }
}

/// Asks for the files of a product, from the next poll on.
///
/// The handler is called on the worker's thread, inside its tokio runtime, once per poll that changed something for the
/// product. It must not block. There is one handler per product: a second one takes the place of the first, and is told of
/// all files.
///
/// ```
/// use ddtrace_core::remote_config::{self, Capabilities, Outcomes};
///
/// # #[derive(serde::Deserialize)] struct Recipe { minutes: u32 }
/// let subscription = remote_config::subscribe("KETTLE", Capabilities::NONE, |batch| {
///     let mut outcomes = Outcomes::default();
///     for file in batch.changed() {
///         match file.json::<Recipe>() {
///             Ok(recipe) => println!("boil for {} minutes", recipe.minutes),
///             Err(error) => outcomes.fail(file.path(), error.to_string()),
///         }
///     }
///     outcomes
/// });
/// # subscription.unsubscribe();
/// ```
pub fn subscribe(
    product: &'static str,
    capabilities: Capabilities,
    handler: impl Fn(&Batch<'_>) -> Outcomes + Send + Sync + 'static,
) -> Subscription {
    let subscriber = Arc::new(Subscriber::new(product, capabilities, Box::new(handler)));
    replace(|other| other.product != product, Some(&subscriber));
    super::poll::hurry();
    Subscription {
        number: subscriber.number,
    }
}

fn replace(keep: impl Fn(&Subscriber) -> bool, added: Option<&Arc<Subscriber>>) {
    // `rcu` tries again when another thread was faster, so no subscription is lost.
    SUBSCRIBERS.rcu(|current| {
        let kept = current.iter().flat_map(|list| list.iter());
        let kept = kept.filter(|subscriber| keep(subscriber));
        let list: Vec<_> = kept.chain(added).cloned().collect();
        Some(Arc::new(list))
    });
}

/// Everybody who is to be told.
pub(super) fn subscribers() -> Vec<Arc<Subscriber>> {
    let list = SUBSCRIBERS.load();
    list.iter().flat_map(|list| list.iter()).cloned().collect()
}
