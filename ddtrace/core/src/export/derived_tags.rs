//! Tags that follow from other tags of a span: its peer's service, and what kind of endpoint it answered for.
//!
//! Source: dd-trace-py, `ddtrace/internal/peer_service` and `ddtrace/_trace/processor/resource_renaming.py`; `core.md` §10.2,
//! §11.2.

use std::borrow::Cow;

use super::finished::FinishedSpan;
use crate::config::Config;
use crate::http::endpoint;

const PEER_SERVICE: &str = "peer.service";

/// Where the name of a peer may be, best first; at last what the resources of a cloud are called.
const PEER_SOURCES: [&str; 13] = [
    "messaging.kafka.bootstrap.servers",
    "db.name",
    "mongodb.db",
    "rpc.service",
    "out.host",
    "queuename",
    "topicname",
    "streamname",
    "tablename",
    "bucketname",
    "rulename",
    "functionname",
    "statemachinearn",
];

/// Adds what follows.
#[inline]
pub(super) fn add<'a>(span: &mut FinishedSpan<'a>, config: &'a Config) {
    add_peer_service(span, config);
    if config.resource_renaming {
        add_endpoint(span, config);
    }
}

/// `peer.service`: as the user set it, else from what clients and producers say about their peer; mapped by
/// `DD_TRACE_PEER_SERVICE_MAPPING`.
fn add_peer_service<'a>(span: &mut FinishedSpan<'a>, config: &'a Config) {
    let find = |span: &FinishedSpan<'a>, key: &str| -> Option<Cow<'a, str>> {
        let (_, value) = span.meta.iter().find(|(name, _)| *name == key)?;
        (!value.is_empty()).then(|| value.clone())
    };
    // A span that has it, or may get it, is rare: one look over the keys settles most.
    let (peer, source) = match find(span, PEER_SERVICE) {
        Some(peer) => (peer, PEER_SERVICE),
        None if config.peer_service_defaults && is_outgoing(span) => {
            let found = PEER_SOURCES
                .iter()
                .find_map(|key| Some((find(span, key)?, *key)));
            let Some((peer, source)) = found else {
                return;
            };
            span.set_meta(PEER_SERVICE, peer.clone());
            (peer, source)
        }
        None => return,
    };
    span.set_meta("_dd.peer.service.source", source);
    if let Some(name) = config.peer_service_mapping.get(&*peer) {
        span.set_meta("_dd.peer.service.remapped_from", peer);
        span.set_meta(PEER_SERVICE, &**name);
    }
}

fn is_outgoing(span: &FinishedSpan<'_>) -> bool {
    matches!(span.meta("span.kind"), Some("client" | "producer"))
}

/// `http.endpoint`, for servers whose framework does not say which route a request matched. What an integration wrote, which knows
/// more than the URL, stays.
fn add_endpoint(span: &mut FinishedSpan<'_>, config: &Config) {
    let is_server = matches!(span.span_type, "web" | "http" | "serverless")
        && span.metric("_dd.top_level") == Some(1.0);
    if !is_server
        || span.meta("http.endpoint").is_some()
        || span.meta("http.status_code") == Some("404")
    {
        return;
    }
    let has_route = span
        .meta("http.route")
        .is_some_and(|route| !route.is_empty());
    if !has_route || config.resource_renaming_always {
        let endpoint = endpoint(span.meta("http.url").unwrap_or_default());
        span.set_meta("http.endpoint", endpoint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;

    fn config(variables: &[(&str, &str)]) -> Config {
        let environment = variables
            .iter()
            .fold(MapEnvironment::new(), |environment, (name, value)| {
                environment.variable(*name, *value)
            });
        Config::builder().environment(&environment).build()
    }

    type Tags = &'static [(&'static str, &'static str)];

    /// The tags that are there afterwards and were not before, or changed.
    fn added(
        variables: Tags,
        tags: Tags,
        change: fn(&mut FinishedSpan<'static>),
    ) -> Vec<(String, String)> {
        let config = config(variables);
        let mut span = FinishedSpan::default();
        for (key, value) in tags {
            span.set_meta(key, *value);
        }
        change(&mut span);
        let mut span = span.to_data();
        let before = span.meta.clone();
        let mut finished = span.as_finished();
        add(&mut finished, &config);
        span = finished.to_data();
        span.meta.retain(|tag| !before.contains(tag));
        span.meta.sort_unstable();
        span.meta
    }

    /// I24, and the rules of the reference.
    #[test]
    fn peers_are_named_after_what_clients_say_about_them() {
        const DEFAULTS: Tags = &[("DD_TRACE_PEER_SERVICE_DEFAULTS_ENABLED", "true")];
        const MAPPED: Tags = &[
            ("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1"),
            ("DD_TRACE_PEER_SERVICE_MAPPING", "d:dd"),
        ];
        let cases: [(Tags, Tags, Tags); 10] = [
            (
                MAPPED,
                &[("span.kind", "client"), ("db.name", "d")],
                &[
                    ("_dd.peer.service.remapped_from", "d"),
                    ("_dd.peer.service.source", "db.name"),
                    ("peer.service", "dd"),
                ],
            ),
            (
                DEFAULTS,
                &[
                    ("span.kind", "producer"),
                    ("out.host", "h"),
                    ("rpc.service", "r"),
                ],
                &[
                    ("_dd.peer.service.source", "rpc.service"),
                    ("peer.service", "r"),
                ],
            ),
            (
                DEFAULTS,
                &[("span.kind", "client"), ("db.name", ""), ("out.host", "h")],
                &[
                    ("_dd.peer.service.source", "out.host"),
                    ("peer.service", "h"),
                ],
            ),
            (
                DEFAULTS,
                &[("span.kind", "client"), ("queuename", "q")],
                &[
                    ("_dd.peer.service.source", "queuename"),
                    ("peer.service", "q"),
                ],
            ),
            (DEFAULTS, &[("span.kind", "client")], &[]),
            (DEFAULTS, &[("span.kind", "server"), ("db.name", "d")], &[]),
            (DEFAULTS, &[("db.name", "d")], &[]),
            (&[], &[("span.kind", "client"), ("db.name", "d")], &[]),
            // What the user set is the peer, whatever the settings.
            (
                &[],
                &[("peer.service", "mine")],
                &[("_dd.peer.service.source", "peer.service")],
            ),
            (
                &[("DD_TRACE_PEER_SERVICE_MAPPING", "mine:yours")],
                &[("peer.service", "mine"), ("db.name", "d")],
                &[
                    ("_dd.peer.service.remapped_from", "mine"),
                    ("_dd.peer.service.source", "peer.service"),
                    ("peer.service", "yours"),
                ],
            ),
        ];
        for (variables, tags, expected) in cases {
            let expected: Vec<_> = expected
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect();
            assert_eq!(
                added(variables, tags, |_| {}),
                expected,
                "{variables:?} {tags:?}"
            );
        }
    }

    #[test]
    fn servers_without_a_route_get_an_endpoint() {
        const ON: Tags = &[("DD_TRACE_RESOURCE_RENAMING_ENABLED", "true")];
        const ALWAYS: Tags = &[
            ("DD_TRACE_RESOURCE_RENAMING_ENABLED", "true"),
            (
                "DD_TRACE_RESOURCE_RENAMING_ALWAYS_SIMPLIFIED_ENDPOINT",
                "true",
            ),
        ];
        const URL: (&str, &str) = ("http.url", "http://h/users/123?x=1");
        let server: fn(&mut FinishedSpan<'static>) = |span| {
            span.span_type = "web";
            span.set_metric("_dd.top_level", 1.0);
        };
        let cases: [(Tags, Tags, Option<&str>); 8] = [
            (ON, &[URL], Some("/users/{param:int}")),
            (ON, &[], Some("/")),
            (ON, &[URL, ("http.route", "")], Some("/users/{param:int}")),
            (ON, &[URL, ("http.route", "/users/{id}")], None),
            (
                ALWAYS,
                &[URL, ("http.route", "/users/{id}")],
                Some("/users/{param:int}"),
            ),
            (ALWAYS, &[URL, ("http.status_code", "404")], None),
            (ON, &[URL, ("http.endpoint", "/known")], None),
            (&[], &[URL], None),
        ];
        for (variables, tags, expected) in cases {
            let added = added(variables, tags, server);
            let expected = expected.map(|value| ("http.endpoint".to_owned(), value.to_owned()));
            assert_eq!(added, Vec::from_iter(expected), "{variables:?} {tags:?}");
        }
        assert_eq!(
            added(ON, &[URL], |span| span.span_type = "web"),
            [],
            "not top-level"
        );
        let client = |span: &mut FinishedSpan<'static>| span.set_metric("_dd.top_level", 1.0);
        assert_eq!(added(ON, &[URL], client), [], "of no such type");
    }
}
