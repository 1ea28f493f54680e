//! Runtime metrics: how the process does, with `DD_RUNTIME_METRICS_ENABLED`.
//!
//! Every ten seconds over [DogStatsD](crate::dogstatsd), as distributions, or as gauges if `DD_TRACE_EXPERIMENTAL_FEATURES_ENABLED`
//! lists `DD_RUNTIME_METRICS_ENABLED`. Remote configuration may switch them on and off while the program runs.
//!
//! | source | metrics, after `runtime.rust.` |
//! |---|---|
//! | the process | `cpu.time.sys`, `cpu.time.user` (seconds since the last time), `cpu.percent` (of one core), `cpu.ctx_switch.voluntary`, `cpu.ctx_switch.involuntary` (since the last time), `mem.rss` (bytes), `thread_count` |
//! | tokio, for each runtime that is [watched](watch_tokio) | `tokio.workers`, `tokio.alive_tasks`, `tokio.global_queue_depth`, `tokio.worker.busy_ratio` (0 to 1, over all workers), `tokio.worker.park_count` (since the last time); with the tag `tokio_runtime` |
//! | the allocator, if one is [watched](watch_allocator) | `mem.allocator.allocated`, `mem.allocator.active`, `mem.allocator.resident` (bytes) |
//!
//! Tags: `lang`, `lang_interpreter`, `lang_version`, `tracer_version`, `env`, `version`, one `service` for every service that
//! the program has used, the tags of the process, and `runtime-id` with `DD_TRACE_EXPERIMENTAL_RUNTIME_ID_ENABLED`.
//!
//! Of tokio's metrics these are the stable ones; the unstable ones need a compiler flag that a library can't set. The runtime that
//! `init()` is called in is watched without being asked for.

mod allocator;
mod process;
mod tokio;

use std::time::Duration;

pub use allocator::{AllocatorStats, watch_allocator};
pub use tokio::watch_tokio;

use crate::config::Config;
use crate::dogstatsd::{self, Client, Metric};
use crate::export::agent::{RUSTC_VERSION, TRACER_VERSION};
use crate::process_tags::ProcessTags;
use crate::trace::service;
use crate::worker::task::{TaskContext, TaskFuture, Turn};

pub(crate) use tokio::watch_current;

/// How often they are sent.
const INTERVAL: Duration = Duration::from_secs(10);

/// What the name of every runtime metric begins with.
const PREFIX: &str = "runtime.rust.";

/// The most `service` tags.
const MAX_SERVICES: usize = 100;

/// The task that sends them. It runs even while they are off, for they may be switched on.
pub(crate) fn start(context: TaskContext) -> Option<TaskFuture> {
    let client = dogstatsd::client()?;
    Some(Box::pin(run(context, client, Sampler::new())))
}

async fn run(mut context: TaskContext, client: Client, mut sampler: Sampler) {
    let mut due = context.now() + INTERVAL;
    loop {
        match context.turn(due).await {
            Turn::Due => due += INTERVAL,
            Turn::Flush(_) => continue,
            Turn::Stop => return,
        }
        let config = context.config();
        if config.runtime_metrics {
            let tags = tags(&config, context.runtime_id());
            sampler.report(&client, &tags, config.runtime_metrics_as_gauges);
        } else {
            sampler.skip();
        }
    }
}

/// The tags of all runtime metrics, besides those that the client adds.
fn tags(config: &Config, runtime_id: &str) -> Vec<String> {
    let mut tags = vec![
        "lang:rust".to_owned(),
        "lang_interpreter:rustc".to_owned(),
        format!("lang_version:{RUSTC_VERSION}"),
        format!("tracer_version:{TRACER_VERSION}"),
    ];
    if config.service_is_inferred {
        tags.push(format!("service:{}", config.service));
    }
    let others = service::all();
    let others = others.iter().filter(|name| ***name != *config.service);
    tags.extend(
        others
            .take(MAX_SERVICES)
            .map(|name| format!("service:{name}")),
    );
    tags.extend(ProcessTags::of(config).iter().map(str::to_owned));
    if config.runtime_metrics_runtime_id {
        tags.push(format!("runtime-id:{runtime_id}"));
    }
    tags
}

/// The values of one moment, by their name and, if there may be several, a tag.
struct Values(Vec<(String, f64, Option<String>)>);

impl Values {
    fn push(&mut self, name: impl Into<String>, value: impl IntoMetric) {
        self.0.push((name.into(), value.into_metric(), None));
    }

    fn push_tagged(&mut self, name: &str, value: impl IntoMetric, tag: &str) {
        self.0
            .push((name.to_owned(), value.into_metric(), Some(tag.to_owned())));
    }
}

/// Numbers as the protocol has them. Those beyond 2^53 lose their last digits, which a metric has no use for.
trait IntoMetric {
    fn into_metric(self) -> f64;
}

impl IntoMetric for f64 {
    fn into_metric(self) -> f64 {
        self
    }
}

impl IntoMetric for u64 {
    fn into_metric(self) -> f64 {
        self as f64
    }
}

impl IntoMetric for usize {
    fn into_metric(self) -> f64 {
        self as f64
    }
}

/// What can be said at this moment without a moment before it, for a flare.
pub(crate) fn snapshot() -> std::collections::BTreeMap<String, f64> {
    let values = Sampler::new().values().0.into_iter();
    let values = values.filter(|(name, ..)| !name.starts_with("cpu."));
    let named = |(name, value, tag): (String, f64, Option<String>)| match tag {
        Some(tag) => (format!("{name} {tag}"), value),
        None => (name, value),
    };
    values.map(named).collect()
}

/// What was read the last time, for values that are differences.
struct Sampler {
    process: process::Sampler,
    tokio: tokio::Sampler,
}

impl Sampler {
    fn new() -> Self {
        Self {
            process: process::Sampler::new(),
            tokio: tokio::Sampler::default(),
        }
    }

    fn values(&mut self) -> Values {
        let mut values = Values(Vec::new());
        self.process.read(&mut values);
        self.tokio.read(&mut values);
        allocator::read(&mut values);
        values
    }

    /// Begins the interval anew without sending anything.
    fn skip(&mut self) {
        self.process = process::Sampler::new();
        self.tokio = tokio::Sampler::default();
    }

    fn report(&mut self, client: &Client, tags: &[String], as_gauges: bool) {
        for (name, value, tag) in self.values().0 {
            let name = format!("{PREFIX}{name}");
            let tags: Vec<_> = tags.iter().chain(&tag).map(String::as_str).collect();
            let metric = if as_gauges {
                Metric::gauge(&name, value)
            } else {
                Metric::distribution(&name, value)
            };
            client.send(metric.tags(&tags));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;

    fn config(variables: &[(&str, &str)]) -> Config {
        let mut environment = MapEnvironment::new()
            .executable("kettle")
            .variable("DD_ORIGIN_DETECTION_ENABLED", "false");
        for (name, value) in variables {
            environment = environment.variable(*name, *value);
        }
        Config::builder().environment(&environment).build()
    }

    fn report(config: &Config) -> Vec<String> {
        let client = Client::new(config);
        Sampler::new().report(
            &client,
            &tags(config, "an-id"),
            config.runtime_metrics_as_gauges,
        );
        client.lines()
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_seven_metrics_of_the_process_carry_the_tags() {
        // G28.
        let config = config(&[
            ("DD_ENV", "prod"),
            ("DD_SERVICE", "shop"),
            ("DD_VERSION", "1.2"),
            ("DD_TRACE_EXPERIMENTAL_RUNTIME_ID_ENABLED", "true"),
        ]);
        let lines = report(&config);
        for name in [
            "cpu.time.sys",
            "cpu.time.user",
            "cpu.percent",
            "cpu.ctx_switch.voluntary",
            "cpu.ctx_switch.involuntary",
            "mem.rss",
            "thread_count",
        ] {
            let line = lines
                .iter()
                .find(|line| line.starts_with(&format!("runtime.rust.{name}:")))
                .unwrap_or_else(|| panic!("no {name} in {lines:?}"));
            assert!(line.contains("|d|#env:prod,service:shop,version:1.2,lang:rust,lang_interpreter:rustc,lang_version:"), "{line}");
            assert!(line.contains(",tracer_version:"), "{line}");
            assert!(line.ends_with(",runtime-id:an-id"), "{line}");
        }
    }

    #[test]
    fn a_service_that_nobody_named_is_said_and_so_are_the_others() {
        let _ = service::intern("runtime-metrics-test");
        let tags = tags(&config(&[]), "an-id");
        assert!(tags.contains(&"service:kettle".to_owned()), "{tags:?}");
        assert!(
            tags.contains(&"service:runtime-metrics-test".to_owned()),
            "{tags:?}"
        );
        assert!(
            tags.iter().all(|tag| !tag.starts_with("runtime-id")),
            "{tags:?}"
        );
    }

    #[test]
    fn tags_of_the_process_are_among_them_unless_switched_off() {
        let name = |switch: &str| {
            let config = config(&[("DD_EXPERIMENTAL_PROPAGATE_PROCESS_TAGS_ENABLED", switch)]);
            let tags = tags(&config, "an-id");
            tags.iter().any(|tag| tag.starts_with("entrypoint.name:"))
        };
        assert_eq!((name("true"), name("false")), (true, false));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn gauges_are_an_experiment() {
        let experiment = [(
            "DD_TRACE_EXPERIMENTAL_FEATURES_ENABLED",
            "A,DD_RUNTIME_METRICS_ENABLED",
        )];
        for (variables, kind) in [(&experiment[..0], "|d|"), (&experiment, "|g|")] {
            let lines = report(&config(variables));
            assert!(lines.iter().all(|line| line.contains(kind)), "{lines:?}");
        }
    }
}
