//! What all consumers do with a message that has arrived, and with what they tell the broker.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ddtrace_core::events::{self, Event as _, MessageCommit, MessageConsume, MessageWatermark};
use ddtrace_core::instrument::Enabled;
use ddtrace_core::trace::{Site, Span, SpanKind, Tag};
use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use smallvec::SmallVec;

use crate::cluster::Servers;
use crate::headers::Incoming;
use crate::process;
use crate::produce::{flag, key, number, text};
use crate::settings::{SERVICE, SETTINGS};
use crate::watermark;

ddtrace_core::site! {
    static CONSUME: Site = Site::new("kafka.consume", "consume", module_path!(), file!(), line!())
        .with_span_type("worker")
        .with_kind(SpanKind::Consumer)
        .with_component("rdkafka");
}

/// How often the end of one partition is reported.
const WATERMARK_PAUSE: Duration = Duration::from_secs(1);
/// Partitions whose reports are remembered; beyond it all are forgotten and reported anew.
const MAX_PARTITIONS: usize = 10_000;

/// Takes what is a hash already as its own.
#[derive(Clone, Copy, Debug, Default)]
struct AsItIs(u64);

impl BuildHasher for AsItIs {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What a consumer's configuration says.
#[derive(Debug)]
pub(crate) struct Consumer {
    servers: Servers,
    group: Option<Box<str>>,
    /// Whether the library tells the broker by itself, from time to time, what was read.
    commits_itself: bool,
    /// Whether what was read is what was handed out; otherwise it is what the user stores.
    stores_itself: bool,
    /// When the end of a partition was reported last, by a hash of topic and partition.
    reported: Mutex<HashMap<u64, Instant, AsItIs>>,
    hashing: RandomState,
}

impl Consumer {
    pub(crate) fn of(config: &ClientConfig) -> Arc<Self> {
        let is_on = |name| config.get(name).is_none_or(|value| !is_false(value));
        let group = config.get("group.id").filter(|group| !group.is_empty());
        Arc::new(Self {
            servers: Servers::of(config),
            group: group.map(Into::into),
            commits_itself: is_on("enable.auto.commit"),
            stores_itself: is_on("enable.auto.offset.store"),
            reported: Mutex::default(),
            hashing: RandomState::new(),
        })
    }

    pub(crate) fn group(&self) -> Option<&str> {
        self.group.as_deref()
    }

    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Lets `poll` look for a message, and says what came of it.
    pub(crate) fn watch<'a, C, T>(
        self: &Arc<Self>,
        client: &Client<C>,
        poll: impl FnOnce() -> T,
        look: impl FnOnce(&T) -> Seen<'_, 'a>,
    ) -> T
    where
        C: ConsumerContext,
    {
        let Some(settings) = SETTINGS.get() else {
            return poll();
        };
        let began = SystemTime::now();
        let result = poll();
        match look(&result) {
            Seen::Message(message) => self.received(&settings, client, began, message),
            Seen::Error(KafkaError::PartitionEOF(_)) | Seen::Nothing
                if settings.config.kafka_empty_poll =>
            {
                self.open(&settings, began, None);
            }
            Seen::Error(KafkaError::PartitionEOF(_)) | Seen::Nothing | Seen::NotYet => {}
            Seen::Error(error) => {
                let mut span = self.open(&settings, began, None);
                span.set_error(error);
            }
        }
        result
    }

    fn received<C: ClientContext>(
        self: &Arc<Self>,
        settings: &Enabled,
        client: &Client<C>,
        began: SystemTime,
        message: &BorrowedMessage<'_>,
    ) {
        process::remember(message.topic(), self);
        // Looking at the headers makes the library take the message apart.
        let is_read = CONSUME.is_on() || !MessageConsume::listeners().is_empty();
        let headers = Incoming::of(is_read.then(|| message.headers()).flatten());
        let mut span = self.open(settings, began, Some((message, &headers)));
        let cluster = self.servers.cluster_of_consumer();
        let details = [("kafka_cluster_id", cluster.unwrap_or_default())];
        events::dispatch::<MessageConsume<'_>>(|| {
            let size = headers.size() + message.payload_len() + message.key_len();
            let mut event = MessageConsume::new(&mut span, "kafka", message.topic(), &headers);
            event.group = Some(self.group().unwrap_or_default());
            event.details = if cluster.is_some() { &details } else { &[] };
            event.size = size as u64;
            event
        });
        if self.commits_itself && self.stores_itself {
            // The library will tell the broker some time soon.
            self.committed(message.topic(), message.partition(), message.offset() + 1);
        }
        self.report_watermark(client, message);
    }

    /// The span of a call that began a while ago: of a message, under the sender's span if headers say so, or of none.
    fn open(
        &self,
        settings: &Enabled,
        began: SystemTime,
        found: Option<(&BorrowedMessage<'_>, &Incoming<'_>)>,
    ) -> Span {
        // The span is over when the message is handed out: where none is made, nobody would go on from what the headers say.
        let headers = found
            .map(|(_, headers)| headers)
            .filter(|_| settings.own.distributed_tracing && CONSUME.is_on());
        let mut span = process::start(&CONSUME, headers);
        span.set_start_time(began);
        if span.is_recording() {
            settings.set_service(&mut span, Some(SERVICE));
            if settings.names_by_v1() {
                span.set_name("kafka.process");
            }
            let of_consumer = [
                text("messaging.system", Some("kafka")),
                text("kafka.group_id", self.group()),
                text("messaging.kafka.bootstrap.servers", self.servers.list()),
                number("_dd.measured", 1),
                flag("kafka.received_message", found.is_some()),
            ];
            match found {
                Some((message, _)) => {
                    let cluster = self.servers.cluster_of_consumer();
                    describe_message(&mut span, of_consumer, message, cluster);
                }
                None => span.set_tags(&of_consumer),
            }
        }
        span
    }

    /// The group is told to be at an offset: the next one that it will read.
    fn committed(&self, topic: &str, partition: i32, offset: i64) {
        let Some(group) = self.group() else {
            return;
        };
        events::dispatch::<MessageCommit<'_>>(|| {
            let mut event = MessageCommit::new("kafka", group, topic, partition, offset);
            event.cluster = self.servers.cluster_of_consumer();
            event
        });
    }

    /// The user has told the broker, or tried to.
    pub(crate) fn after_commit(&self, result: &KafkaResult<()>, offsets: &TopicPartitionList) {
        if result.is_err() || SETTINGS.get().is_none() || MessageCommit::listeners().is_empty() {
            return;
        }
        for element in offsets.elements() {
            let offset = match element.offset() {
                Offset::Offset(offset) => offset,
                // The library will find out itself, and does not say.
                _ => -1,
            };
            self.committed(element.topic(), element.partition(), offset);
        }
    }

    pub(crate) fn after_commit_of(
        &self,
        result: &KafkaResult<()>,
        topic: &str,
        partition: i32,
        read: i64,
    ) {
        if result.is_ok() && SETTINGS.get().is_some() {
            self.committed(topic, partition, read + 1);
        }
    }

    /// The user has said what was read, for the library to tell the broker.
    pub(crate) fn after_store_of(
        &self,
        result: &KafkaResult<()>,
        topic: &str,
        partition: i32,
        read: i64,
    ) {
        if self.commits_itself && !self.stores_itself {
            self.after_commit_of(result, topic, partition, read);
        }
    }

    pub(crate) fn after_store(&self, result: &KafkaResult<()>, offsets: &TopicPartitionList) {
        if self.commits_itself && !self.stores_itself {
            self.after_commit(result, offsets);
        }
    }

    fn report_watermark<C: ClientContext>(
        &self,
        client: &Client<C>,
        message: &BorrowedMessage<'_>,
    ) {
        if MessageWatermark::listeners().is_empty() {
            return;
        }
        let (topic, partition) = (message.topic(), message.partition());
        if !self.is_due(topic, partition) {
            return;
        }
        if let Some(offset) = watermark::high(client, topic, partition) {
            events::dispatch::<MessageWatermark<'_>>(|| {
                let mut event = MessageWatermark::new("kafka", topic, partition, offset);
                event.cluster = self.servers.cluster_of_consumer();
                event
            });
        }
    }

    /// Whether a partition's end was not reported lately.
    fn is_due(&self, topic: &str, partition: i32) -> bool {
        let place = self.hashing.hash_one((topic, partition));
        let now = Instant::now();
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported
            .get(&place)
            .is_some_and(|last| now.duration_since(*last) < WATERMARK_PAUSE)
        {
            return false;
        }
        if reported.len() >= MAX_PARTITIONS {
            reported.clear();
        }
        reported.insert(place, now);
        true
    }
}

/// What a look for a message has found.
pub(crate) enum Seen<'m, 'a> {
    Message(&'m BorrowedMessage<'a>),
    Error(&'m KafkaError),
    /// There was none within the time to wait.
    Nothing,
    /// Whoever asked is woken when there is one.
    NotYet,
}

impl<'m, 'a> Seen<'m, 'a> {
    pub(crate) fn in_result(result: &'m KafkaResult<BorrowedMessage<'a>>) -> Self {
        match result {
            Ok(message) => Self::Message(message),
            Err(error) => Self::Error(error),
        }
    }
}

/// What every span of a message says about it, after what else is to be said: written at once, since each writing costs.
pub(crate) fn describe_message<const OTHERS: usize>(
    span: &mut Span,
    others: [Tag<'_>; OTHERS],
    message: &impl rdkafka::Message,
    cluster: Option<&str>,
) {
    let topic = message.topic();
    let key = key(message.key());
    let mut tags = SmallVec::<[Tag<'_>; 12]>::from_slice(&others);
    tags.extend_from_slice(&[
        text("messaging.destination.name", Some(topic)),
        text("kafka.topic", Some(topic)),
        number("kafka.partition", message.partition()),
        number("kafka.message_offset", message.offset() as f64),
        text("kafka.message_key", key.as_deref()),
        flag("kafka.tombstone", message.payload().is_none()),
        text("kafka.cluster_id", cluster),
    ]);
    span.set_tags(&tags);
}

/// How librdkafka reads a boolean.
fn is_false(value: &str) -> bool {
    ["false", "f", "0", "no"]
        .iter()
        .any(|no| value.eq_ignore_ascii_case(no))
}
