//! Kafka for tests: the brokers that `KAFKA_BROKERS` names, or one that librdkafka plays for the test alone.
//!
//! `tests/long/kafka` names a real one, which is there for one run: tests share it, so each has topics of its own.

use std::env;
use std::thread;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

/// Long enough for anything on a loaded machine; reached only by a failing test.
const PATIENCE: Duration = Duration::from_secs(60);

/// Brokers that librdkafka plays in this process.
pub type Played = MockCluster<'static, DefaultProducerContext>;

/// Brokers to talk to.
pub struct Brokers {
    servers: String,
    played: Option<Played>,
}

impl Brokers {
    /// Real ones if the environment names any.
    pub fn find() -> Self {
        env::var("KAFKA_BROKERS").map_or_else(|_| Self::played(), |servers| Self::at(&servers))
    }

    /// One that is played, whatever the environment says: for tests that steer it.
    pub fn played() -> Self {
        let played = MockCluster::new(1).expect("a cluster");
        Self {
            servers: played.bootstrap_servers(),
            played: Some(played),
        }
    }

    /// Real ones.
    pub fn at(servers: &str) -> Self {
        Self {
            servers: servers.to_owned(),
            played: None,
        }
    }

    /// Where they are, as clients are told.
    pub fn servers(&self) -> &str {
        &self.servers
    }

    /// What steers them, if they are played.
    pub fn steering(&self) -> Option<&Played> {
        self.played.as_ref()
    }

    /// Makes a topic, which must not be there.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        match &self.played {
            Some(played) => played.create_topic(name, partitions, 1).expect("a topic"),
            None => create_topic(&self.servers, name, partitions),
        }
    }
}

/// By the brokers' own interface. The caller may be a task, in which nothing may block on another: hence the thread.
fn create_topic(servers: &str, name: &str, partitions: i32) {
    let ask = async {
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .create()
            .expect("a client");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().request_timeout(Some(PATIENCE));
        let answers = admin.create_topics([&topic], &options).await;
        for answer in answers.expect("the brokers answer") {
            answer.unwrap_or_else(|(topic, error)| panic!("{topic}: {error}"));
        }
    };
    thread::scope(|scope| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        scope.spawn(move || runtime.expect("a runtime").block_on(ask));
    });
}
