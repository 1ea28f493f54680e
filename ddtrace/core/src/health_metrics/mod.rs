//! Health metrics: what the tracer says about itself, with `DD_TRACE_HEALTH_METRICS_ENABLED`.
//!
//! Every ten seconds, and when the tracer stops, as distributions over [DogStatsD](crate::dogstatsd). Names are those of the
//! reference tracer:
//!
//! | metric, after `datadog.tracer.` | what it counts |
//! |---|---|
//! | `heartbeat` | 1 each time |
//! | `writer.accepted.traces` | chunks that came out of the threads' queues |
//! | `buffer.accepted.traces`, `buffer.accepted.spans` | those that went into a payload |
//! | `buffer.dropped.traces`, `buffer.dropped.bytes` | those that did not: `reason:full`, `reason:t_too_big` |
//! | `http.requests` | tries to send a payload |
//! | `http.errors` | those that failed: `type:<status>`, `type:err` without an answer |
//! | `http.sent.bytes`, `http.sent.traces` | what the agent took |
//! | `http.dropped.bytes`, `http.dropped.traces` | what it did not, in the end |
//!
//! Bytes of chunks that found their thread's queue full are not known. `encoder.dropped.traces` does not exist here: the encoder
//! can not fail. All carry `lang`, `lang_version` and `tracer_version`.
//!
//! [`counters`] are raised where things happen, whether the metrics are on or not: an addition on the worker's thread per chunk
//! or request.

pub(crate) mod counters;

use std::time::Duration;

use crate::dogstatsd::{self, Client, Metric};
use crate::export::agent::{RUSTC_VERSION, TRACER_VERSION};
use crate::worker::task::{TaskContext, TaskFuture, Turn};
use counters::Since;

/// How often they are sent.
const INTERVAL: Duration = Duration::from_secs(10);

/// What the name of every health metric begins with.
const PREFIX: &str = "datadog.tracer.";

/// The task that sends them.
pub(crate) fn start(context: TaskContext) -> Option<TaskFuture> {
    if !context.config().health_metrics {
        return None;
    }
    let client = dogstatsd::client()?;
    // Before anything else runs on the worker, so that nothing is missed.
    let since = Since::now();
    Some(Box::pin(run(context, client, since)))
}

async fn run(mut context: TaskContext, client: Client, mut since: Since) {
    let mut due = context.now() + INTERVAL;
    loop {
        let turn = context.turn(due).await;
        match turn {
            Turn::Due => due += INTERVAL,
            Turn::Flush(_) => continue,
            Turn::Stop => {}
        }
        report(&client, &mut since);
        if matches!(turn, Turn::Stop) {
            return;
        }
    }
}

/// Sends what happened since the last time.
fn report(client: &Client, since: &mut Since) {
    let language = format!("lang_version:{RUSTC_VERSION}");
    let version = format!("tracer_version:{TRACER_VERSION}");
    let send = |name: &str, tag: Option<&str>, value: u64| {
        let name = format!("{PREFIX}{name}");
        let mut tags = vec!["lang:rust", &language, &version];
        tags.extend(tag);
        client.send(Metric::distribution(&name, value).tags(&tags));
    };
    send("heartbeat", None, 1);
    since.for_each(send);
}

#[cfg(test)]
mod tests {
    use super::counters::Counter;
    use super::*;
    use crate::config::{Config, MapEnvironment};

    #[test]
    fn what_happened_since_the_last_time_is_sent() {
        let environment = MapEnvironment::new().variable("DD_ORIGIN_DETECTION_ENABLED", "false");
        let client = Client::new(&Config::builder().environment(&environment).build());
        let mut since = Since::now();
        // Other tests of this process count, too: these are the least.
        counters::add(Counter::DroppedTooBigBytes, 1_000_000);
        counters::answered(418);
        report(&client, &mut since);
        let tags =
            format!("#lang:rust,lang_version:{RUSTC_VERSION},tracer_version:{TRACER_VERSION}");
        let lines = client.lines();
        let find = |name: &str, suffix: &str| {
            let line = lines
                .iter()
                .find(|line| {
                    line.starts_with(&format!("datadog.tracer.{name}:")) && line.ends_with(suffix)
                })
                .unwrap_or_else(|| panic!("no {name} {suffix} in {lines:?}"));
            let value = line
                .split([':', '|'])
                .nth(1)
                .unwrap()
                .parse::<u64>()
                .unwrap();
            assert!(line.contains(&format!("|d|{tags}")), "{line}");
            value
        };
        assert_eq!(find("heartbeat", TRACER_VERSION), 1);
        assert!(find("buffer.dropped.bytes", ",reason:t_too_big") >= 1_000_000);
        assert_eq!(find("http.errors", ",type:418"), 1);
        report(&client, &mut since);
        assert!(client.lines().iter().all(|line| !line.contains("type:418")));
    }
}
