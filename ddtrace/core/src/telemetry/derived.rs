//! Metrics out of numbers that others count anyway: nothing is added on the way of a span for their sake.

use super::Namespace::Tracers;
use super::count;
use super::hub::Hub;
use crate::config::{Config, OtelFindingKind};
use crate::propagation::{StyleCounts, TruncationCounts, style_counts, truncation_counts};
use crate::trace::open::{Open, flags};

/// Integrations that are told apart; spans of further ones count as the program's own.
const MAX_COMPONENTS: usize = 64;

/// Spans and segments of one round of the worker.
#[derive(Debug, Default)]
pub(crate) struct SpanCounts {
    /// Spans of the program's own.
    manual: u64,
    /// Spans of integrations, which are few.
    components: Vec<(&'static str, u64)>,
    /// Segments that began a trace.
    begun: u64,
    /// Segments of traces that began elsewhere.
    continued: u64,
}

impl SpanCounts {
    /// Counts a span that has ended.
    #[inline]
    pub(crate) fn add(&mut self, span: &Open) {
        if span.flags & flags::ROOT != 0 {
            match span.parent {
                0 => self.begun += 1,
                _ => self.continued += 1,
            }
        }
        match span.site.component() {
            None => self.manual += 1,
            Some(component) => self.add_component(component),
        }
    }

    fn add_component(&mut self, component: &'static str) {
        let known = self
            .components
            .iter()
            .position(|(name, _)| *name == component);
        match known {
            Some(at) => self.components[at].1 += 1,
            None if self.components.len() < MAX_COMPONENTS => self.components.push((component, 1)),
            None => self.manual += 1,
        }
    }

    /// Reports what was counted, and begins anew. Spans are known to the worker when they are finished, so that those that
    /// were created and those that were finished are the same.
    pub(crate) fn report(&mut self) {
        let Self {
            manual,
            components,
            begun,
            continued,
        } = std::mem::take(self);
        for (name, n) in components.into_iter().chain([("datadog", manual)]) {
            let tags = [("integration_name", name)];
            count(Tracers, "spans_created", &tags, n);
            count(Tracers, "spans_finished", &tags, n);
        }
        for (value, n) in [("new", begun), ("continued", continued)] {
            count(
                Tracers,
                "trace_segments_created",
                &[("new_continued", value)],
                n,
            );
        }
        count(Tracers, "trace_segments_closed", &[], begun + continued);
    }
}

/// Headers that were read and written since the last look.
#[derive(Debug)]
pub(super) struct HeaderCounts {
    styles: Vec<StyleCounts>,
    truncations: TruncationCounts,
}

impl HeaderCounts {
    /// What was counted before this process, or this child, does not count.
    pub(super) fn new() -> Self {
        Self {
            styles: style_counts().to_vec(),
            truncations: truncation_counts(),
        }
    }

    pub(super) fn report(&mut self, hub: &Hub) {
        let now = Self::new();
        let add = |name, key, value: &str, before: u64, after: u64| {
            if after > before {
                hub.value(Tracers, name, &[(key, value)], (after - before) as f64);
            }
        };
        for (before, after) in self.styles.iter().zip(&now.styles) {
            let (key, style) = ("header_style", after.style.name());
            let name = "context_header_style.injected";
            add(name, key, style, before.injected, after.injected);
            let name = "context_header_style.extracted";
            add(name, key, style, before.extracted, after.extracted);
            let name = "context_header_style.malformed";
            add(name, key, style, before.malformed, after.malformed);
        }
        let (name, key) = ("context_header.truncated", "truncation_reason");
        let (before, after) = (self.truncations, now.truncations);
        let reason = "baggage_item_count_exceeded";
        add(
            name,
            key,
            reason,
            before.too_many_items,
            after.too_many_items,
        );
        let reason = "baggage_byte_count_exceeded";
        add(
            name,
            key,
            reason,
            before.too_many_bytes,
            after.too_many_bytes,
        );
        *self = now;
    }
}

/// What OpenTelemetry's variables were good for, counted once per process.
pub(super) fn report_otel_variables(hub: &Hub, config: &Config) {
    for finding in config.otel_findings() {
        let name = match finding.kind {
            OtelFindingKind::Hiding => "otel.env.hiding",
            OtelFindingKind::Invalid => "otel.env.invalid",
            OtelFindingKind::Unsupported => "otel.env.unsupported",
        };
        let otel = finding.otel.to_lowercase();
        let datadog = finding.setting.map(str::to_lowercase);
        let mut tags = vec![("config_opentelemetry", otel.as_str())];
        tags.extend(datadog.as_deref().map(|name| ("config_datadog", name)));
        hub.value(Tracers, name, &tags, 1.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::hub::Session;
    use super::super::shards::Value;
    use super::*;
    use crate::config::MapEnvironment;
    use crate::trace::Site;

    fn hub(config: &Config) -> std::sync::Arc<Hub> {
        let session = Session {
            id: String::new(),
            root: String::new(),
            parent: None,
        };
        Hub::open(config, session, 0).hub
    }

    fn shown(hub: &Hub) -> Vec<String> {
        let series = hub.shards().take().into_iter().map(|series| {
            let tags = series
                .tags
                .iter()
                .map(|(key, value)| format!(" {key}:{value}"));
            let Value::Sum(sum) = series.value else {
                panic!("{series:?}");
            };
            format!("{}{} {sum}", series.metric.name, tags.collect::<String>())
        });
        let mut series: Vec<_> = series.collect();
        series.sort();
        series
    }

    #[test]
    fn variables_of_opentelemetry_are_counted() {
        let environment = [
            ("OTEL_SERVICE_NAME", "o"),
            ("DD_SERVICE", "d"),
            ("OTEL_LOG_LEVEL", "loud"),
            ("OTEL_LOGS_EXPORTER", "foo"),
            ("OTEL_METRICS_EXPORTER", "none"),
            ("DD_RUNTIME_METRICS_ENABLED", "true"),
            ("OTEL_MOON", "1"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c"),
        ];
        let environment = environment
            .iter()
            .fold(MapEnvironment::new(), |all, (name, value)| {
                all.variable(*name, *value)
            });
        let config = Config::builder().environment(&environment).build();
        let hub = hub(&config);
        report_otel_variables(&hub, &config);
        assert_eq!(
            shown(&hub),
            [
                "otel.env.hiding config_opentelemetry:otel_metrics_exporter config_datadog:dd_runtime_metrics_enabled 1",
                "otel.env.hiding config_opentelemetry:otel_service_name config_datadog:dd_service 1",
                "otel.env.invalid config_opentelemetry:otel_log_level config_datadog:dd_trace_debug 1",
                "otel.env.invalid config_opentelemetry:otel_logs_exporter 1",
                "otel.env.unsupported config_opentelemetry:otel_moon 1",
            ]
        );
    }

    #[test]
    fn spans_are_counted_by_who_made_them() {
        static OWN: Site = Site::new("own", "own", "", "", 0);
        static WEB: Site = Site::new("web", "web", "", "", 0).with_component("axum");
        static SQL: Site = Site::new("sql", "sql", "", "", 0).with_component("sqlx");
        let mut counts = SpanCounts::default();
        for (site, parent, flags) in [
            (&OWN, 0, flags::ROOT),
            (&WEB, 7, flags::ROOT),
            (&SQL, 8, 0),
            (&SQL, 8, 0),
        ] {
            counts.add(&Open {
                site,
                parent,
                flags,
                ..Open::EMPTY
            });
        }
        assert_eq!((counts.manual, counts.begun, counts.continued), (1, 1, 1));
        assert_eq!(counts.components, [("axum", 1), ("sqlx", 2)]);
    }
}
