//! The headers that say who sends, on every request to the agent (`spec/core.md` §6.5).

use http::{HeaderMap, HeaderName, HeaderValue};

use super::container::ContainerIdentity;
use crate::config::Config;

/// The compiler that built this crate.
pub const RUSTC_VERSION: &str = env!("DDTRACE_RUSTC_VERSION");
/// The version of this library.
pub const TRACER_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The headers for a configuration, in the container that the process runs in.
pub fn meta_headers(config: &Config) -> HeaderMap {
    for_identity(config, &ContainerIdentity::detect())
}

fn for_identity(config: &Config, identity: &ContainerIdentity) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut put = |name: &'static str, value: &str| {
        // A text that cannot stand in a header cannot have come from where it should.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("datadog-meta-lang", "rust");
    put("datadog-meta-lang-version", RUSTC_VERSION);
    put("datadog-meta-lang-interpreter", "rustc");
    put("datadog-meta-tracer-version", TRACER_VERSION);
    let optional = [
        ("datadog-container-id", &identity.container_id),
        ("datadog-entity-id", &identity.entity_id),
        ("datadog-external-env", &config.external_env),
        ("x-datadog-test-session-token", &config.test_session_token),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            put(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MapEnvironment;

    #[test]
    fn headers_say_who_sends() {
        let environment = MapEnvironment::new().variable("DD_EXTERNAL_ENV", "it-false,cn-x");
        let config = Config::builder().environment(&environment).build();
        let identity = ContainerIdentity {
            container_id: Some("c0ffee".to_owned()),
            entity_id: Some("ci-c0ffee".to_owned()),
        };
        let headers = for_identity(&config, &identity);
        for (name, value) in [
            ("datadog-meta-lang", "rust"),
            ("datadog-meta-lang-version", RUSTC_VERSION),
            ("datadog-meta-lang-interpreter", "rustc"),
            ("datadog-meta-tracer-version", TRACER_VERSION),
            ("datadog-container-id", "c0ffee"),
            ("datadog-entity-id", "ci-c0ffee"),
            ("datadog-external-env", "it-false,cn-x"),
        ] {
            assert_eq!(headers[name], value, "{name}");
        }
        assert_eq!(headers.len(), 7);
        assert!(RUSTC_VERSION.starts_with(|c: char| c.is_ascii_digit()));
    }

    #[test]
    fn a_text_that_would_split_the_headers_is_left_out() {
        let environment = MapEnvironment::new().variable("DD_EXTERNAL_ENV", "a\r\nX-Forged: 1");
        let config = Config::builder().environment(&environment).build();
        let headers = for_identity(&config, &ContainerIdentity::default());
        assert_eq!(headers.len(), 4);
    }
}
