//! The vectors D1 to D36 of `spec/core-vectors.md`, and the rules around them.

use super::*;

const LOCAL: &str = "/local.yaml";
const FLEET: &str = "/fleet.yaml";

/// An environment from `NAME=value` texts; `local:` and `fleet:` give the files.
fn environment(parts: &[&str]) -> MapEnvironment {
    let start = MapEnvironment::new()
        .variable("_DD_SC_LOCAL_FILE_OVERRIDE", LOCAL)
        .variable("_DD_SC_MANAGED_FILE_OVERRIDE", FLEET);
    parts.iter().fold(start, |environment, part| {
        if let Some(text) = part.strip_prefix("local:") {
            environment.file(LOCAL, text)
        } else if let Some(text) = part.strip_prefix("fleet:") {
            environment.file(FLEET, text)
        } else {
            let (name, value) = part.split_once('=').expect("NAME=value");
            environment.variable(name, value)
        }
    })
}

fn config(parts: &[&str]) -> Config {
    Config::builder().environment(&environment(parts)).build()
}

fn pairs(pairs: &[(String, String)]) -> String {
    pairs
        .iter()
        .map(|(key, value)| format!("{key}:{value}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// The named fields of a configuration, as the vectors write them.
fn shown(config: &Config, field: &str) -> String {
    let some = |text: &Option<String>| text.clone().unwrap_or_else(|| "null".to_owned());
    match field {
        "service" if config.service_is_inferred => "null".to_owned(),
        "service" => config.service.clone(),
        "env" => some(&config.env),
        "version" => some(&config.version),
        "tags" => pairs(&config.tags),
        "url" => config.agent_url.to_string(),
        "dsd" => config.dogstatsd.to_string(),
        "inject" => config.propagation_inject.join(","),
        "extract" => config.propagation_extract.join(","),
        "rules" => config.sampling_rules.clone(),
        "debug" => config.debug.to_string(),
        "rt" => config.runtime_metrics.to_string(),
        "enabled" => config.trace_enabled.to_string(),
        "tagsmax" => config.x_datadog_tags_max_length.to_string(),
        "hdr" => pairs(&config.header_tags),
        "poll" => config.remote_config_poll_interval.as_secs_f64().to_string(),
        "api" => format!("{:?}", config.api_version),
        "limit" => config.rate_limit.to_string(),
        "otlp" => format!("{:?}", config.trace_exporter),
        "pf" => format!(
            "{} {}",
            config.partial_flush, config.partial_flush_min_spans
        ),
        _ => panic!("no field {field}"),
    }
}

/// A name, the environment, fields with what they show, and how many warnings there are.
type Case<'a> = (&'a str, &'a [&'a str], &'a [(&'a str, &'a str)], usize);

#[test]
fn vectors_hold() {
    let local = "local:apm_configuration_default:\n  DD_SERVICE: local\n  DD_ENV: localenv";
    let java = "local:rules:\n- selectors:\n  - origin: language\n    operator: equals\n    matches: [java]\n  configuration:\n    DD_SERVICE: matched\napm_configuration_default:\n  DD_SERVICE: dflt";
    let twelve =
        "OTEL_RESOURCE_ATTRIBUTES=k0=v,k1=v,k2=v,k3=v,k4=v,k5=v,k6=v,k7=v,k8=v,k9=v,k10=v,k11=v";
    let cases: &[Case<'_>] = &[
        (
            "D1",
            &["DD_TAGS=service:s,env:e,version:v,team:x"],
            &[
                ("service", "s"),
                ("env", "e"),
                ("version", "v"),
                ("tags", "env:e,team:x"),
            ],
            0,
        ),
        ("D2", &["DD_TAGS=a:1,b:2"], &[("tags", "a:1,b:2")], 0),
        ("D3", &["DD_TAGS=a:1, b:2"], &[("tags", "a:1,b:2")], 0),
        ("D4", &["DD_TAGS=a"], &[("tags", "a:")], 0),
        ("D5", &["DD_TAGS=  a : 1 , b:2 "], &[("tags", "a:1,b:2")], 0),
        ("D6", &["DD_TAGS=a:1  b:2"], &[("tags", "a:1,b:2")], 0),
        ("D7", &["DD_AGENT_HOST=h"], &[("url", "http://h:8126")], 0),
        (
            "D8",
            &["DD_AGENT_HOST=h", "DD_TRACE_AGENT_PORT=99"],
            &[("url", "http://h:99")],
            0,
        ),
        (
            "D9",
            &["DD_TRACE_AGENT_URL=unix:///x.sock", "DD_AGENT_HOST=h"],
            &[("url", "unix:///x.sock")],
            0,
        ),
        (
            "D10",
            &["DD_DOGSTATSD_HOST=h"],
            &[("dsd", "udp://h:8125")],
            0,
        ),
        ("D11", &["DD_AGENT_HOST=h"], &[("dsd", "udp://h:8125")], 0),
        (
            "D12",
            &["DD_TRACE_PROPAGATION_STYLE=b3"],
            &[("inject", "b3"), ("extract", "b3")],
            0,
        ),
        (
            "D13",
            &["DD_TRACE_PROPAGATION_STYLE=none"],
            &[("inject", ""), ("extract", "")],
            0,
        ),
        (
            "D14",
            &["OTEL_PROPAGATORS=b3", "DD_TRACE_PROPAGATION_STYLE=datadog"],
            &[("inject", "datadog"), ("extract", "datadog")],
            0,
        ),
        (
            "D15",
            &["DD_TRACE_PROPAGATION_STYLE=B3Multi , TraceContext"],
            &[
                ("inject", "b3multi,tracecontext"),
                ("extract", "b3multi,tracecontext"),
            ],
            0,
        ),
        (
            "D16",
            &["OTEL_SERVICE_NAME=o", "DD_SERVICE=d"],
            &[("service", "d")],
            0,
        ),
        (
            "D17",
            &[twelve],
            &[("tags", "k0:v,k1:v,k2:v,k3:v,k4:v,k5:v,k6:v,k7:v,k8:v,k9:v")],
            1,
        ),
        (
            "D18",
            &[
                "OTEL_TRACES_SAMPLER=parentbased_traceidratio",
                "OTEL_TRACES_SAMPLER_ARG=0.25",
            ],
            &[("rules", r#"[{"sample_rate":0.25}]"#)],
            0,
        ),
        ("D19", &["OTEL_LOG_LEVEL=debug"], &[("debug", "true")], 0),
        (
            "D20",
            &[
                "OTEL_METRICS_EXPORTER=none",
                "DD_RUNTIME_METRICS_ENABLED=true",
            ],
            &[("rt", "false")],
            0,
        ),
        (
            // The reference shows `grpc`; ours defaults to protobuf over HTTP (`spec/integrations.md` §5.2).
            "D21",
            &[
                "OTEL_TRACES_EXPORTER=otlp",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:1/x",
            ],
            &[(
                "otlp",
                r#"Otlp { endpoint: "http://c:1/x", protocol: "http/protobuf", timeout: 10s }"#,
            )],
            0,
        ),
        ("D22", &["DD_TRACE_ENABLED=true"], &[("enabled", "true")], 0),
        ("D23", &["DD_TRACE_ENABLED=yes"], &[("enabled", "false")], 0),
        (
            "D24",
            &["DD_TRACE_ENABLED=false"],
            &[("enabled", "false")],
            0,
        ),
        ("D25", &["DD_TRACE_ENABLED="], &[("enabled", "false")], 0),
        (
            "D26",
            &["DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH=-1"],
            &[("tagsmax", "0")],
            1,
        ),
        (
            "D27",
            &["DD_TRACE_HEADER_TAGS=X-A:b,Host"],
            &[("hdr", "x-a:b,host:")],
            0,
        ),
        (
            "D28",
            &[
                "DD_REMOTE_CONFIG_POLL_INTERVAL_SECONDS=9",
                "DD_REMOTECONFIG_POLL_SECONDS=7",
            ],
            &[("poll", "9")],
            0,
        ),
        ("D29", &["DD_TRACE_API_VERSION=v0.4"], &[("api", "V04")], 0),
        ("D30", &["DD_APPSEC_ENABLED=true"], &[("api", "V04")], 0),
        (
            "D31",
            &[local],
            &[("service", "local"), ("env", "localenv")],
            0,
        ),
        (
            "D32",
            &[
                "DD_SERVICE=envv",
                local,
                "fleet:config_id: abc\napm_configuration_default:\n  DD_SERVICE: fleet",
            ],
            &[("service", "fleet"), ("env", "localenv")],
            0,
        ),
        ("D33", &["local:not: [valid"], &[("service", "null")], 0),
        ("D34", &[java], &[("service", "dflt")], 0),
        ("D35", &["DD_TRACE_RATE_LIMIT=abc"], &[("limit", "100")], 1),
        (
            "D36",
            &["DD_SERVICE=", "OTEL_SERVICE_NAME=o"],
            &[("service", "o")],
            0,
        ),
        // Beyond the vectors: the table of §1.4.
        (
            "defaults",
            &[],
            &[
                ("url", "http://localhost:8126"),
                ("api", "V04"),
                ("pf", "true 300"),
                ("otlp", "Agent"),
            ],
            0,
        ),
        ("v0.5", &["DD_TRACE_API_VERSION=v0.5"], &[("api", "V05")], 0),
        (
            "v0.5 with AppSec",
            &["DD_TRACE_API_VERSION=v0.5", "DD_APPSEC_ENABLED=1"],
            &[("api", "V04")],
            1,
        ),
        (
            "unknown version",
            &["DD_TRACE_API_VERSION=v9"],
            &[("api", "V04")],
            1,
        ),
        (
            "partial flush",
            &["DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=0"],
            &[("pf", "true 1")],
            1,
        ),
        (
            "directions",
            &[
                "DD_TRACE_PROPAGATION_STYLE=b3",
                "DD_TRACE_PROPAGATION_STYLE_EXTRACT=datadog",
            ],
            &[("inject", "b3"), ("extract", "datadog")],
            0,
        ),
        (
            "unknown style",
            &["DD_TRACE_PROPAGATION_STYLE=x"],
            &[("inject", "datadog,tracecontext,baggage")],
            1,
        ),
        (
            "alias",
            &["DD_TRACE_AGENT_HOSTNAME=t"],
            &[("url", "http://t:8126")],
            0,
        ),
        (
            "bare IPv6",
            &["DD_AGENT_HOST=::1"],
            &[("url", "http://[::1]:8126")],
            0,
        ),
        (
            "bad URL falls to host",
            &["DD_TRACE_AGENT_URL=h:1", "DD_AGENT_HOST=h"],
            &[("url", "http://h:8126")],
            1,
        ),
        (
            "an agent's format beats OTLP",
            &["OTEL_TRACES_EXPORTER=otlp", "DD_TRACE_API_VERSION=v0.4"],
            &[("otlp", "Agent")],
            1,
        ),
        (
            "no exporter",
            &["OTEL_TRACES_EXPORTER=none"],
            &[("enabled", "false")],
            0,
        ),
        (
            "agentless without key",
            &["DD_AGENTLESS_ENABLED=1"],
            &[("enabled", "false")],
            1,
        ),
        (
            "agentless",
            &["DD_AGENTLESS_ENABLED=1", "DD_API_KEY=k"],
            &[("enabled", "true")],
            0,
        ),
        (
            "removed",
            &["DD_TRACE_SAMPLE_RATE=0.5"],
            &[("rules", "[]")],
            1,
        ),
        (
            "unified wins",
            &["DD_TAGS=service:t", "DD_SERVICE=s"],
            &[("service", "s"), ("tags", "")],
            0,
        ),
        (
            "bad fleet value falls to the environment",
            &[
                "DD_TRACE_RATE_LIMIT=7",
                "fleet:apm_configuration_default: {DD_TRACE_RATE_LIMIT: x}",
            ],
            &[("limit", "7")],
            1,
        ),
    ];
    for (name, parts, expected, warnings) in cases {
        let config = config(parts);
        for (field, value) in *expected {
            assert_eq!(shown(&config, field), *value, "{name}: {field}");
        }
        let loud: Vec<_> = config
            .problems()
            .iter()
            .filter(|problem| problem.level <= crate::diagnostics::Level::Warn)
            .collect();
        assert_eq!(loud.len(), *warnings, "{name}: {loud:?}");
    }
}

#[test]
fn a_bad_value_gives_one_line_with_name_value_expectation_and_replacement() {
    let cases: &[(&[&str], &str)] = &[
        (
            &["DD_TRACE_RATE_LIMIT=abc"],
            "DD_TRACE_RATE_LIMIT=abc: expected a whole number, using 100",
        ),
        (
            &["DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH=-1"],
            "DD_TRACE_X_DATADOG_TAGS_MAX_LENGTH=-1: expected a whole number from 0, using 0",
        ),
        (
            &["DD_TRACE_AGENT_URL=http://user:secret@/"],
            "DD_TRACE_AGENT_URL=http:///: expected http://host:port, https://host:port or unix:///path, using nothing",
        ),
        (
            &["DD_TRACE_SAMPLING_RULES={\n}"],
            r#"DD_TRACE_SAMPLING_RULES="{\n}": expected a JSON array, using []"#,
        ),
        (
            &["DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP=(?=a)"],
            "DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP=(?=a): expected a regular expression without \
             look-around or back-references, using nothing, query strings are not tagged",
        ),
        (
            &["OTEL_TRACES_SAMPLER=always_on"],
            "OTEL_TRACES_SAMPLER=always_on: expected a parent-based sampler, the only sort there is, \
             using parentbased_always_on",
        ),
        (
            &["local:apm_configuration_default: {DD_TRACE_RATE_LIMIT: x}"],
            "DD_TRACE_RATE_LIMIT=x (configuration file): expected a whole number, using 100",
        ),
        (
            &["local:a: ["],
            "/local.yaml: expected a configuration file (line 1: expected a closing bracket), using nothing",
        ),
    ];
    for (parts, expected) in cases {
        let lines: Vec<String> = config(parts)
            .problems()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(lines, [*expected], "{parts:?}");
    }
}

#[test]
fn every_source_is_kept_lowest_first() {
    let environment = environment(&[
        "DD_SERVICE=env",
        "OTEL_SERVICE_NAME=otel",
        "local:apm_configuration_default: {DD_SERVICE: local}",
        "fleet:config_id: abc\napm_configuration_default: {DD_SERVICE: fleet}",
    ]);
    let config = Config::builder()
        .environment(&environment)
        .service("code")
        .build();
    let config = config.with_remote(&[(Name::DD_SERVICE, "remote".to_owned())], Some("rc-1"));
    let entries: Vec<_> = config
        .setting(Name::DD_SERVICE)
        .entries()
        .iter()
        .map(|entry| {
            (
                entry.origin.name(),
                entry.raw.as_deref(),
                entry.config_id.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        entries,
        [
            ("default", None, None),
            ("local_stable_config", Some("local"), None),
            ("otel_env_var", Some("otel"), None),
            ("env_var", Some("env"), None),
            ("fleet_stable_config", Some("fleet"), Some("abc")),
            ("code", Some("code"), None),
            ("remote_config", Some("remote"), Some("rc-1")),
        ]
    );
    assert_eq!(config.service, "remote");
    assert_eq!(config.with_remote(&[], None).service, "code");
}

#[test]
fn a_remote_configuration_has_the_problems_of_its_own_values_only() {
    let config = config(&["DD_AGENTLESS_ENABLED=1", "DD_TRACE_RATE_LIMIT=x"]);
    assert_eq!(config.problems().len(), 2);
    assert!(config.with_remote(&[], None).problems().is_empty());
    let bad = [(Name::DD_TRACE_SAMPLING_RULES, "{".to_owned())];
    let config = config.with_remote(&bad, None);
    let lines: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["DD_TRACE_SAMPLING_RULES={ (remote configuration): expected a JSON array, using []"]
    );
}

#[test]
fn entries_keep_what_was_wrong() {
    let config = config(&["DD_TRACE_RATE_LIMIT=abc"]);
    let entry = &config.setting(Name::DD_TRACE_RATE_LIMIT).entries()[1];
    assert_eq!(
        (entry.raw.as_deref(), entry.value.clone()),
        (Some("abc"), None)
    );
    assert_eq!(entry.error.as_deref(), Some("a whole number"));
}

#[test]
fn the_service_is_inferred_from_the_executable() {
    let environment = MapEnvironment::new().executable("shop");
    let named = Config::builder().environment(&environment).build();
    assert_eq!(
        (named.service.as_str(), named.service_is_inferred),
        ("shop", true)
    );
    assert_eq!(config(&[]).service, "unnamed-rust-service");
}

#[test]
fn sockets_of_the_agent_are_used_unless_told_otherwise() {
    let sockets = || {
        MapEnvironment::new()
            .socket("/var/run/datadog/apm.socket")
            .socket("/var/run/datadog/dsd.socket")
    };
    let addresses = |environment: MapEnvironment| {
        let config = Config::builder().environment(&environment).build();
        format!("{} {}", config.agent_url, config.dogstatsd)
    };
    let apm = "unix:///var/run/datadog/apm.socket";
    let dsd = "unix:///var/run/datadog/dsd.socket";
    assert_eq!(addresses(sockets()), format!("{apm} {dsd}"));
    assert_eq!(
        addresses(sockets().variable("DD_AGENT_HOST", "h")),
        "http://h:8126 udp://h:8125"
    );
    assert_eq!(
        addresses(sockets().variable("DD_TRACE_AGENT_PORT", "1")),
        format!("http://localhost:1 {dsd}")
    );
}

#[test]
fn obfuscation_fails_closed_and_can_be_switched_off() {
    let name = "DD_TRACE_OBFUSCATION_QUERY_STRING_REGEXP";
    let cases = [
        (None, QueryObfuscation::BuiltIn),
        (Some(""), QueryObfuscation::Off),
        (Some("a|b"), QueryObfuscation::Pattern("a|b".to_owned())),
        (Some("("), QueryObfuscation::Invalid),
    ];
    for (text, expected) in cases {
        let mut environment = MapEnvironment::new();
        if let Some(text) = text {
            environment = environment.variable(name, text);
        }
        let config = Config::builder().environment(&environment).build();
        assert_eq!(config.query_obfuscation, expected);
    }
}

#[test]
fn integrations_have_settings_under_their_own_names() {
    let config = config(&[
        "DD_TRACE_AXUM_ENABLED=false",
        "DD_SQLX_0_8_SERVICE_NAME=old",
        "DD_REQWEST_SERVICE=client",
        "DD_REQWEST_SERVICE_NAME=other",
        "DD_REQWEST_SPLIT_BY_DOMAIN=1",
        "DD_AXUM_DISTRIBUTED_TRACING=false",
        "local:apm_configuration_default: {DD_REQWEST_SERVICE: local, DD_TRACE_TONIC_ENABLED: false}",
    ]);
    let axum = config.integration("axum");
    assert!(!axum.enabled && !axum.distributed_tracing && !axum.split_by_domain);
    assert_eq!(
        config.integration("sqlx-0_8").service.as_deref(),
        Some("old")
    );
    let reqwest = config.integration("reqwest");
    assert!(reqwest.enabled && reqwest.split_by_domain);
    assert_eq!(reqwest.service.as_deref(), Some("client"));
    assert!(!config.integration("tonic").enabled);
    assert_eq!(
        config.integration("unheard-of"),
        IntegrationSettings::default()
    );
}

#[test]
fn nothing_secret_is_shown() {
    let key = "0123456789abcdef0123456789abcdef";
    let config = config(&[
        &format!("DD_API_KEY={key}"),
        "DD_TRACE_AGENT_URL=http://user:hunter2@h:1",
        "DD_GIT_REPOSITORY_URL=https://user:hunter2@git.example/r.git",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS=api-key=hunter2",
    ]);
    let shown = format!("{config:?} {:?} {:?}", config.settings(), config.api_key);
    assert!(
        !shown.contains(key) && !shown.contains("hunter2"),
        "{shown}"
    );
    assert_eq!(
        config.git_repository_url.as_deref(),
        Some("https://git.example/r.git")
    );
    assert_eq!(config.api_key.unwrap().reveal(), key);
}

/// The reference's `_use_log_writer`.
#[test]
fn a_function_without_an_agent_writes_lines() {
    let extension = "/opt/extensions/datadog-agent";
    let lambda = ("AWS_LAMBDA_FUNCTION_NAME", "f");
    let cases = [
        (vec![], false, false),
        (vec![lambda], false, true),
        (vec![("AWS_LAMBDA_FUNCTION_NAME", "")], false, false),
        (vec![lambda], true, false),
        (vec![lambda, ("DD_AGENT_HOST", "h")], false, false),
        (
            vec![lambda, ("DD_TRACE_AGENT_URL", "http://h:1")],
            false,
            false,
        ),
    ];
    for (variables, has_extension, expected) in cases {
        let mut environment = MapEnvironment::new();
        for (name, value) in &variables {
            environment = environment.variable(*name, *value);
        }
        if has_extension {
            environment = environment.file(extension, "a program");
        }
        let config = Config::builder().environment(&environment).build();
        assert_eq!(config.log_writer, expected, "{variables:?} {has_extension}");
    }
}

#[test]
fn the_repository_may_stand_among_the_tags() {
    let tags = "DD_TAGS=git.repository_url:https://user:hunter2@git.example/r.git,git.commit.sha:abc,team:x";
    let from_tags = config(&[tags]);
    assert_eq!(
        (
            from_tags.git_repository_url.as_deref(),
            from_tags.git_commit_sha.as_deref()
        ),
        (Some("https://git.example/r.git"), Some("abc"))
    );
    assert_eq!(from_tags.tags, [("team".to_owned(), "x".to_owned())]);
    let own = config(&[tags, "DD_GIT_COMMIT_SHA=def"]);
    assert_eq!(own.git_commit_sha.as_deref(), Some("def"));
}

#[test]
fn telemetry_can_count_otel_variables() {
    let config = config(&[
        "OTEL_SERVICE_NAME=o",
        "DD_SERVICE=d",
        "OTEL_LOG_LEVEL=loud",
        "OTEL_MOON=1",
        "OTEL_EXPORTER_OTLP_ENDPOINT=http://c",
    ]);
    let findings: Vec<_> = config
        .otel_findings()
        .iter()
        .map(|finding| (finding.kind, finding.otel.as_str()))
        .collect();
    assert_eq!(
        findings,
        [
            (OtelFindingKind::Hiding, "OTEL_SERVICE_NAME"),
            (OtelFindingKind::Invalid, "OTEL_LOG_LEVEL"),
            (OtelFindingKind::Unsupported, "OTEL_MOON"),
        ]
    );
}

#[test]
fn code_beats_the_environment_and_is_checked_too() {
    let environment = environment(&["DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=5", "DD_TAGS=a:1"]);
    let config = Config::builder()
        .environment(&environment)
        .partial_flush(Some(0))
        .tag("team", "x, y:z")
        .set("DD_TRACE_RATE_LIMIT", "9")
        .set("DD_NO_SUCH_SERVICE_X", "1")
        .agent_url("http://h:2")
        .build();
    assert_eq!(config.partial_flush_min_spans, 1);
    assert_eq!(pairs(&config.tags), "team:x, y:z");
    assert_eq!(
        (config.rate_limit, config.agent_url.to_string().as_str()),
        (9, "http://h:2")
    );
    let lines: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "DD_NO_SUCH_SERVICE_X (set by the program): expected the name of a setting, using nothing",
            "DD_TRACE_PARTIAL_FLUSH_MIN_SPANS=0 (set by the program): expected a whole number from 1, using 1",
        ]
    );
}
