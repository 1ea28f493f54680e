//! Metrics and logs that wait to be sent, bounded.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::message::{Message, RequestType};
use super::metric::{Metric, MetricKind, Namespace};
use super::shards::{Series, Value as Reported};
use super::{LogLevel, MAX_ITEMS, cut};

/// The longest message of a log, in bytes.
const MAX_MESSAGE: usize = 4096;

/// The longest backtrace, in bytes.
const MAX_STACK: usize = 16_384;

/// A metric with tags as they go out.
type Key = (Namespace, &'static str, Vec<String>);

/// Points of metrics since they were sent last.
#[derive(Debug, Default)]
pub(super) struct MetricStore {
    /// Time and value of each window.
    points: BTreeMap<Key, (MetricKind, Vec<(u64, f64)>)>,
    /// Values of distributions, which have no time.
    values: BTreeMap<Key, Vec<f64>>,
    items: usize,
}

impl MetricStore {
    /// Closes a window of `interval` seconds. Gives the number of points and values that found no room.
    pub(super) fn close_window(&mut self, series: Vec<Series>, time: u64, interval: u64) -> u64 {
        let mut lost = 0;
        for Series {
            metric,
            tags,
            value,
        } in series
        {
            let Metric {
                namespace,
                name,
                kind,
            } = *metric;
            let tags = tags.iter().map(|(key, value)| format!("{key}:{value}"));
            let key = (namespace, name, tags.collect());
            let room = MAX_ITEMS - self.items;
            match value {
                Reported::All(mut values) => {
                    lost += values.len().saturating_sub(room) as u64;
                    values.truncate(room);
                    self.items += values.len();
                    self.values.entry(key).or_default().extend(values);
                }
                Reported::Sum(value) | Reported::Last(value) => {
                    if kind != MetricKind::Gauge && value <= 0.0 {
                        continue;
                    }
                    if room == 0 {
                        lost += 1;
                        continue;
                    }
                    let value = match kind {
                        MetricKind::Rate => value / interval.max(1) as f64,
                        _ => value,
                    };
                    let (_, points) = self.points.entry(key).or_insert((kind, Vec::new()));
                    points.push((time, value));
                    self.items += 1;
                }
            }
        }
        lost
    }

    /// Everything as messages, one for each namespace.
    pub(super) fn take(&mut self, interval: u64) -> Vec<Message> {
        let Self { points, values, .. } = std::mem::take(self);
        let mut series: BTreeMap<Namespace, Vec<Value>> = BTreeMap::new();
        for ((namespace, metric, tags), (kind, points)) in points {
            series.entry(namespace).or_default().push(json!({
                "metric": metric,
                "points": points,
                "type": kind.name(),
                "tags": tags,
                "common": true,
                "namespace": namespace,
                "interval": interval,
            }));
        }
        let mut distributions: BTreeMap<Namespace, Vec<Value>> = BTreeMap::new();
        for ((namespace, metric, tags), points) in values {
            distributions.entry(namespace).or_default().push(json!({
                "metric": metric,
                "points": points,
                "tags": tags,
                "common": true,
                "namespace": namespace,
            }));
        }
        let message = |kind| {
            move |(namespace, series): (Namespace, Vec<Value>)| {
                Message::new(kind, &json!({"namespace": namespace, "series": series}))
            }
        };
        let series = series
            .into_iter()
            .map(message(RequestType::GenerateMetrics));
        let distributions = distributions
            .into_iter()
            .map(message(RequestType::Distributions));
        series.chain(distributions).collect()
    }
}

/// One log message, however often it was said.
#[derive(Debug, Serialize)]
struct Log {
    message: String,
    level: LogLevel,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack_trace: Option<String>,
    tracer_time: u64,
}

/// Logs since they were sent last, equal ones merged.
#[derive(Debug, Default)]
pub(super) struct LogStore {
    logs: BTreeMap<(LogLevel, String, Option<String>), Log>,
}

impl LogStore {
    /// False if there was no room.
    pub(super) fn add(
        &mut self,
        level: LogLevel,
        message: &str,
        stack: Option<&str>,
        count: u64,
        time: u64,
    ) -> bool {
        let message = cut(message, MAX_MESSAGE).to_owned();
        let stack = stack.map(|stack| cut(stack, MAX_STACK).to_owned());
        let is_full = self.logs.len() >= MAX_ITEMS;
        let key = (level, message, stack);
        if let Some(log) = self.logs.get_mut(&key) {
            log.count += count;
            return true;
        }
        if is_full {
            return false;
        }
        let (_, message, stack_trace) = key.clone();
        self.logs.insert(
            key,
            Log {
                message,
                level,
                count,
                stack_trace,
                tracer_time: time,
            },
        );
        true
    }

    pub(super) fn take(&mut self) -> Option<Message> {
        let logs: Vec<Log> = std::mem::take(&mut self.logs).into_values().collect();
        (!logs.is_empty()).then(|| Message::new(RequestType::Logs, &json!({"logs": logs})))
    }
}

#[cfg(test)]
mod tests {
    use super::super::metric::find;
    use super::*;

    fn series(name: &str, value: Reported) -> Series {
        Series {
            metric: find(Namespace::Tracers, name).unwrap(),
            tags: vec![("k", "v".into())],
            value,
        }
    }

    fn payloads(messages: Vec<Message>) -> Value {
        let envelope = super::super::message::Envelope {
            runtime_id: String::new(),
            application: json!({}),
            host: json!({}),
            debug: false,
        };
        let mut messages = messages;
        messages.push(Message::empty(RequestType::AppHeartbeat));
        messages.push(Message::empty(RequestType::AppHeartbeat));
        let request = envelope.wrap(&mut messages, 1, 0).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let mut batch = body["payload"].as_array().unwrap().clone();
        batch.truncate(batch.len() - 2);
        batch.into()
    }

    #[test]
    fn windows_become_points_and_distributions_values() {
        let mut store = MetricStore::default();
        let first = vec![
            series("spans_created", Reported::Sum(3.0)),
            series("spans_finished", Reported::Sum(0.0)),
            series("trace_api.bytes", Reported::All(vec![10.0, 20.0])),
        ];
        assert_eq!(store.close_window(first, 100, 10), 0);
        let second = vec![
            series("spans_created", Reported::Sum(4.0)),
            series("trace_api.bytes", Reported::All(vec![30.0])),
        ];
        assert_eq!(store.close_window(second, 110, 10), 0);
        // G12 of the vectors.
        assert_eq!(
            payloads(store.take(10)),
            json!([
                {"request_type": "generate-metrics", "payload": {"namespace": "tracers", "series": [
                    {"metric": "spans_created", "points": [[100, 3.0], [110, 4.0]], "type": "count", "tags": ["k:v"],
                        "common": true, "namespace": "tracers", "interval": 10}]}},
                {"request_type": "distributions", "payload": {"namespace": "tracers", "series": [
                    {"metric": "trace_api.bytes", "points": [10.0, 20.0, 30.0], "tags": ["k:v"], "common": true,
                        "namespace": "tracers"}]}},
            ])
        );
        assert!(store.take(10).is_empty());
    }

    #[test]
    fn points_are_bounded_and_what_is_beyond_is_counted() {
        let mut store = MetricStore::default();
        let mut lost = 0;
        for window in 0..6000 {
            lost += store.close_window(
                vec![series("spans_created", Reported::Sum(1.0))],
                window,
                10,
            );
        }
        assert_eq!((store.items, lost), (MAX_ITEMS, 1000));
        let values = Reported::All(vec![1.0; 7]);
        assert_eq!(
            store.close_window(vec![series("trace_api.bytes", values)], 0, 10),
            7
        );
    }

    #[test]
    fn equal_logs_are_counted_and_sent_once() {
        let mut store = LogStore::default();
        for (message, stack) in [("a", None), ("a", None), ("a", Some("f")), ("b", None)] {
            assert!(store.add(LogLevel::Error, message, stack, 1, 5));
        }
        let sent = payloads(store.take().into_iter().collect());
        assert_eq!(
            sent[0]["payload"]["logs"],
            json!([
                {"message": "a", "level": "ERROR", "count": 2, "tracer_time": 5},
                {"message": "a", "level": "ERROR", "count": 1, "stack_trace": "f", "tracer_time": 5},
                {"message": "b", "level": "ERROR", "count": 1, "tracer_time": 5},
            ])
        );
        assert!(store.take().is_none());
        let added = (0..6000)
            .filter(|n| store.add(LogLevel::Warn, &n.to_string(), None, 1, 0))
            .count();
        assert_eq!(added, MAX_ITEMS);
        assert!(
            store.add(LogLevel::Warn, "7", None, 1, 0),
            "a known one has room"
        );
    }
}
