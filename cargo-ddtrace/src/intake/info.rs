//! `GET /info`: what this Agent can do, as tracers ask before they choose a protocol.

use serde_json::{Value, json};

use super::sha256;

/// The version that is claimed: tracers compare it.
pub const AGENT_VERSION: &str = "7.90.0";

/// Paths that are served, in the Agent's spelling.
const ENDPOINTS: [&str; 13] = [
    "/v0.3/traces",
    "/v0.3/services",
    "/v0.4/traces",
    "/v0.4/services",
    "/v0.5/traces",
    "/v0.7/traces",
    "/v0.6/stats",
    "/v0.1/pipeline_stats",
    "/v0.7/config",
    "/telemetry/proxy/",
    "/evp_proxy/v2/",
    "/evp_proxy/v4/",
    "/v1.0/traces",
];

/// Accepted always, but listed only on demand: tracers choose by the list.
const UNLISTED: [&str; 1] = ["/v1.0/traces"];

/// What to say.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The TCP port, 0 if there is none.
    pub port: u16,
    /// The Unix socket.
    pub socket: String,
    /// Paths to list that are not listed by default, with or without the leading `/` and `/traces`.
    pub advertise: Vec<String>,
    /// Paths to take out, which then answer 404.
    pub hide: Vec<String>,
    /// Do not let tracers withhold what they sampled out.
    pub keep_all: bool,
    /// Where the page is.
    pub viewer: String,
}

impl Settings {
    /// Whether a path was taken out.
    pub fn hides(&self, path: &str) -> bool {
        self.hide.iter().any(|hidden| names(hidden, path))
    }
}

/// Whether somebody who wrote `name` means `path`: `v0.5`, `/v0.5/traces` and a beginning that ends in `/` all do.
fn names(name: &str, path: &str) -> bool {
    let (name, path) = (name.trim_start_matches('/'), path.trim_start_matches('/'));
    name == path
        || (name.ends_with('/') && path.starts_with(name))
        || path.strip_suffix("/traces") == Some(name)
}

/// The answer: its body, and the hash that goes into `Datadog-Agent-State`.
#[derive(Debug)]
pub struct Info {
    /// JSON.
    pub body: String,
    /// SHA-256 of the body, in hexadecimal.
    pub state: String,
}

impl Info {
    /// Makes the answer once; it does not change while the agent runs.
    pub fn new(settings: &Settings) -> Info {
        let listed = |path: &&str| {
            let wanted = settings.advertise.iter().any(|name| names(name, path));
            (wanted || !UNLISTED.contains(path)) && !settings.hides(path)
        };
        let endpoints: Vec<_> = ENDPOINTS.iter().copied().filter(listed).collect();
        let http = json!({"remove_query_string": false, "remove_path_digits": false});
        let off = json!({"Enabled": false, "KeepValues": null, "ObfuscateSQLValues": null});
        let body: Value = json!({
            "version": AGENT_VERSION,
            "git_commit": "",
            "endpoints": endpoints,
            "client_drop_p0s": !settings.keep_all,
            "span_meta_structs": true,
            "long_running_spans": true,
            "span_events": true,
            "evp_proxy_allowed_headers":
                ["Content-Type", "Accept-Encoding", "Content-Encoding", "User-Agent", "DD-CI-PROVIDER-NAME"],
            "peer_tags": [
                "_dd.base_service", "active_record.db.vendor", "amqp.destination", "amqp.exchange", "amqp.queue",
                "aws.queue.name", "aws.s3.bucket", "bucketname", "db.cassandra.contact.points", "db.couchbase.seed.nodes",
                "db.hostname", "db.instance", "db.name", "db.namespace", "db.system", "dns.hostname", "grpc.host", "hostname",
                "http.host", "http.server_name", "messaging.destination", "messaging.destination.name",
                "messaging.kafka.bootstrap.servers", "messaging.rabbitmq.exchange", "messaging.system", "mongodb.db",
                "msmq.queue.path", "net.peer.name", "network.destination.ip", "network.destination.name", "out.host",
                "peer.hostname", "peer.service", "queuename", "rpc.service", "rpc.system", "sequel.db.vendor",
                "server.address", "streamname", "tablename", "topicname",
            ],
            "span_kinds_stats_computed": ["client", "consumer", "producer", "server"],
            "obfuscation_version": 1,
            "config": {
                "default_env": "none",
                "target_tps": 10,
                "max_eps": 200,
                "receiver_port": settings.port,
                "receiver_socket": settings.socket,
                "connection_limit": 0,
                "receiver_timeout": 0,
                "max_request_bytes": 26_214_400,
                "statsd_port": 8125,
                "obfuscation": {
                    "elastic_search": off.clone(),
                    "mongo": off,
                    "sql_exec_plan": false,
                    "sql_exec_plan_normalize": false,
                    "http": http,
                    "remove_stack_traces": false,
                    "redis": {"Enabled": true, "RemoveAllArgs": false},
                    "memcached": {"Enabled": true, "KeepCommand": false},
                },
            },
            "ddtrace_local": {
                "version": env!("CARGO_PKG_VERSION"),
                "viewer": settings.viewer,
                "pid": std::process::id(),
            },
        });
        let body = body.to_string();
        let state = sha256::hex(body.as_bytes());
        Info { body, state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(settings: &Settings) -> Vec<String> {
        let body: Value = serde_json::from_str(&Info::new(settings).body).unwrap();
        body["endpoints"]
            .as_array()
            .unwrap()
            .iter()
            .map(|path| path.as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn paths_are_advertised_and_hidden() {
        let all = endpoints(&Settings::default());
        assert!(
            all.contains(&"/v0.5/traces".to_owned()) && !all.contains(&"/v1.0/traces".to_owned())
        );
        let settings = Settings {
            advertise: vec!["v1.0".into()],
            hide: vec!["/v0.5/traces".into()],
            ..Settings::default()
        };
        let some = endpoints(&settings);
        assert!(
            !some.contains(&"/v0.5/traces".to_owned()) && some.contains(&"/v1.0/traces".to_owned())
        );
        assert!(settings.hides("/v0.5/traces") && !settings.hides("/v0.4/traces"));
    }
}
