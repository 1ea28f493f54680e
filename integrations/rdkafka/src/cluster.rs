//! The id of the cluster that a client talks to: a tag of spans, and part of what tells one pathway from another.
//!
//! librdkafka learns it with the metadata that it fetches for itself. A producer asks what is known already, with no
//! time to wait, so that nothing is sent and nobody waits for us; the first messages of a program may go without. Consumers
//! never ask their own handle: what is asked of it while partitions move has crashed programs (librdkafka issue 4214). They
//! take what a producer with the same list of servers has learnt, and go without otherwise.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext};

/// Lists of servers whose cluster is remembered.
const MAX_KNOWN: usize = 256;

static KNOWN: RwLock<Option<HashMap<Box<str>, Arc<str>>>> = RwLock::new(None);

/// Bytes of a message that the library takes unless its configuration says otherwise.
const LARGEST_MESSAGE: usize = 1_000_000;

/// What a client's configuration says about where it connects to, and how much it takes.
#[derive(Debug)]
pub(crate) struct Servers {
    /// The list as the user wrote it.
    list: Option<Box<str>>,
    cluster: OnceLock<Arc<str>>,
    /// Bytes.
    largest_message: usize,
}

impl Servers {
    pub(crate) fn of(config: &ClientConfig) -> Self {
        let list = config
            .get("bootstrap.servers")
            .or_else(|| config.get("metadata.broker.list"));
        let largest = config.get("message.max.bytes");
        Self {
            list: list.map(Into::into),
            cluster: OnceLock::new(),
            largest_message: largest
                .and_then(|bytes| bytes.trim().parse().ok())
                .unwrap_or(LARGEST_MESSAGE),
        }
    }

    /// Bytes of a message that the library takes.
    pub(crate) fn largest_message(&self) -> usize {
        self.largest_message
    }

    pub(crate) fn list(&self) -> Option<&str> {
        self.list.as_deref()
    }

    /// What is known without asking anybody.
    pub(crate) fn known_cluster(&self) -> Option<&str> {
        self.cluster.get().map(|cluster| &**cluster)
    }

    /// The cluster of a producer.
    pub(crate) fn cluster_of_producer<C: ClientContext>(&self, client: &Client<C>) -> Option<&str> {
        if self.cluster.get().is_none() {
            // Each answer is a text that rdkafka forgets to free, so it is asked until it is known and no more.
            let cluster: Arc<str> = client.fetch_cluster_id(Duration::ZERO)?.into();
            self.remember(&cluster);
            let _ = self.cluster.set(cluster);
        }
        self.known_cluster()
    }

    /// The cluster of a consumer.
    pub(crate) fn cluster_of_consumer(&self) -> Option<&str> {
        if self.cluster.get().is_none() {
            let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner);
            let cluster = known.as_ref()?.get(self.list()?)?;
            let _ = self.cluster.set(Arc::clone(cluster));
        }
        self.known_cluster()
    }

    fn remember(&self, cluster: &Arc<str>) {
        let Some(list) = self.list() else {
            return;
        };
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        let known = known.get_or_insert_default();
        if known.len() < MAX_KNOWN || known.contains_key(list) {
            known.insert(list.into(), Arc::clone(cluster));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(list: &str) -> Servers {
        Servers::of(ClientConfig::new().set("bootstrap.servers", list))
    }

    #[test]
    fn consumers_know_what_producers_with_the_same_servers_have_learnt() {
        let consumer = servers("here:1");
        assert_eq!(consumer.cluster_of_consumer(), None);
        servers("here:1").remember(&"c1".into());
        assert_eq!(consumer.cluster_of_consumer(), Some("c1"));
        assert_eq!(servers("there:1").cluster_of_consumer(), None);
        assert_eq!(
            Servers::of(&ClientConfig::new()).cluster_of_consumer(),
            None
        );
    }

    #[test]
    fn both_names_of_the_list_are_understood() {
        let mut config = ClientConfig::new();
        config.set("metadata.broker.list", "b:1");
        assert_eq!(Servers::of(&config).list(), Some("b:1"));
        assert_eq!(Servers::of(&config).largest_message(), LARGEST_MESSAGE);
        config.set("message.max.bytes", "4096");
        assert_eq!(Servers::of(&config).largest_message(), 4096);
    }
}
