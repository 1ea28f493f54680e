//! Requests against a backend that behaves as badly as it is told to.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ddtrace_core::config::{Config, MapEnvironment};
use ddtrace_core::export::agent::{Deadline, deadline};
use serde_json::json;

use super::*;
use crate::ci::Variables;
use crate::mock::{Mock, Reply, SUBDOMAINS, run};
use crate::options::Options;

const PATH: &str = "/api/v2/question";
const AMPLE: Duration = Duration::from_secs(60);

async fn find(variables: &[(&str, &str)]) -> Result<(Route, Option<String>), Unavailable> {
    let mut environment = MapEnvironment::new();
    for (name, value) in variables {
        environment = environment.variable(*name, *value);
    }
    let config = Config::builder().environment(&environment).build();
    let options = Options::read(&config);
    Route::find(&config, &options, &Variables::of(&environment)).await
}

async fn by_agent(mock: &Mock) -> Transport {
    let (route, _) = find(&[("DD_TRACE_AGENT_URL", &mock.url())])
        .await
        .expect("a route");
    Transport::new(route, AMPLE)
}

async fn ask(transport: &Transport) -> Result<Answer, RequestError> {
    let call = Call::json(Subdomain::Api, PATH, &json!({"data": 1}));
    transport.post(&call, &mut Deadline::never()).await
}

#[test]
fn an_agent_is_asked_what_it_can_do() {
    run(async {
        let mock = Mock::start().await;
        let url = mock.url();
        let (route, env) = find(&[("_CI_DD_AGENT_URL", &url)]).await.expect("a route");
        assert_eq!(env.as_deref(), Some("of-the-agent"));
        assert!(matches!(
            route,
            Route::Agent {
                proxy: Proxy::V4,
                ..
            }
        ));
        let info = |endpoints: &[&str]| Reply::json(&json!({"endpoints": endpoints}));
        mock.on("/info", [info(&["/evp_proxy/v2/", "/evp_proxy/v3/"])]);
        let variables = [("DD_TRACE_AGENT_URL", url.as_str())];
        let (route, env) = find(&variables).await.expect("a route");
        assert_eq!(env, None);
        assert!(matches!(
            route,
            Route::Agent {
                proxy: Proxy::V2,
                ..
            }
        ));
        mock.on("/info", [info(&["/v0.4/traces"])]);
        let error = find(&variables).await.expect_err("no proxy");
        assert!(matches!(error, Unavailable::NoProxy { .. }), "{error}");
        // An agent may need a second to start.
        mock.on("/info", [Reply::status(503), info(&["/evp_proxy/v4/"])]);
        assert!(find(&variables).await.is_ok());
        for reply in [Reply::status(404), Reply::Close] {
            mock.on("/info", [reply]);
            let error = find(&variables).await.expect_err("no agent");
            assert!(matches!(error, Unavailable::NoAgent { .. }), "{error}");
        }
    });
}

#[test]
fn the_proxy_gets_subdomain_and_compression() {
    run(async {
        let mock = Mock::start().await;
        let transport = by_agent(&mock).await;
        for (subdomain, name) in SUBDOMAINS {
            let body = Bytes::from_static(b"0123456789");
            let call = Call::delivery(subdomain, PATH, "application/msgpack", body, true);
            let answer = transport
                .post(&call, &mut Deadline::never())
                .await
                .expect("taken");
            assert!(answer.sent_bytes > 0);
            let request = mock.requests(PATH).pop().expect("a request");
            assert_eq!(request.headers["x-datadog-evp-subdomain"], name);
            assert_eq!(request.headers["content-type"], "application/msgpack");
            assert_eq!(request.headers["accept-encoding"], "gzip");
            assert!(request.was_compressed && !request.headers.contains_key("dd-api-key"));
            assert_eq!(request.body, b"0123456789");
        }
        // The older proxy cannot decompress.
        let info = json!({"endpoints": ["/evp_proxy/v2/"]});
        mock.on("/info", [Reply::json(&info)]);
        let transport = by_agent(&mock).await;
        let body = Bytes::from_static(b"0123456789");
        let call = Call::delivery(Subdomain::TestCycle, PATH, "x/y", body, true);
        transport
            .post(&call, &mut Deadline::never())
            .await
            .expect("taken");
        let request = mock.requests(PATH).pop().expect("a request");
        assert!(!request.was_compressed && !request.headers.contains_key("accept-encoding"));
    });
}

#[test]
fn without_an_agent_the_key_goes_along() {
    run(async {
        let mock = Mock::start().await;
        let url = mock.url();
        let agentless = ("DD_CIVISIBILITY_AGENTLESS_ENABLED", "true");
        let to = ("DD_CIVISIBILITY_AGENTLESS_URL", url.as_str());
        assert_eq!(
            find(&[agentless, to]).await.err(),
            Some(Unavailable::NoApiKey)
        );
        let key = ("DD_API_KEY", "0123456789abcdef");
        let own = ("_CI_DD_API_KEY", "fedcba9876543210");
        for (variables, expected) in [
            (&[agentless, to, key][..], "0123456789abcdef"),
            (&[agentless, to, key, own], "fedcba9876543210"),
        ] {
            let (route, env) = find(variables).await.expect("a route");
            assert_eq!(env, None);
            assert!(!format!("{route:?}").contains("456789ab"));
            let transport = Transport::new(route, AMPLE);
            assert!(ask(&transport).await.is_ok());
            let request = mock.requests(PATH).pop().expect("a request");
            assert_eq!(request.headers["dd-api-key"], expected);
            assert!(!request.headers.contains_key("x-datadog-evp-subdomain"));
        }
        let bad = ("DD_CIVISIBILITY_AGENTLESS_URL", "unix:///x.sock");
        let error = find(&[agentless, key, bad])
            .await
            .expect_err("no such route");
        assert!(matches!(error, Unavailable::Settings(_)), "{error}");
        // The usual address needs TLS.
        let found = find(&[agentless, key]).await;
        assert_eq!(found.is_ok(), cfg!(feature = "agentless"));
    });
}

#[test]
fn a_try_that_may_help_is_made() {
    run(async {
        let mock = Mock::start().await;
        let good = Reply::json(&json!({"data": []}));
        let garbage = Reply::Answer(200, Vec::new(), b"{".to_vec());
        let header = vec![("X-RateLimit-Reset", "0".to_owned())];
        let limited = Reply::Answer(429, header, Vec::new());
        let mut zipped = super::gzip(br#"{"data": []}"#);
        let header = || vec![("Content-Encoding", "gzip".to_owned())];
        let compressed = Reply::Answer(200, header(), zipped.clone());
        zipped.truncate(20);
        let broken = Reply::Answer(200, header(), zipped);
        for (replies, expected, tries) in [
            (vec![good.clone()], Ok(()), 1),
            (vec![compressed], Ok(()), 1),
            (vec![Reply::status(500), good.clone()], Ok(()), 2),
            (vec![limited, good.clone()], Ok(()), 2),
            (vec![Reply::Close, good.clone()], Ok(()), 2),
            (vec![garbage, good.clone()], Ok(()), 2),
            (vec![broken, good], Ok(()), 2),
            (vec![Reply::status(403)], Err("status_code_4xx_response"), 1),
            (vec![Reply::status(302)], Err("unknown"), 1),
        ] {
            let before = mock.requests(PATH).len();
            let case = format!("{replies:?}");
            mock.on(PATH, replies);
            let result = ask(&by_agent(&mock).await).await;
            let result = result.map(|_| ()).map_err(|error| error.error_type());
            assert_eq!(result, expected, "{case}");
            assert_eq!(mock.requests(PATH).len() - before, tries, "{case}");
        }
    });
}

#[test]
fn tries_come_to_an_end() {
    run(async {
        let mock = Mock::start().await;
        mock.on(PATH, [Reply::status(503)]);
        let transport = by_agent(&mock).await;
        let error = ask(&transport).await.expect_err("it never gets better");
        assert_eq!(error, RequestError::Status(503));
        assert_eq!(mock.requests(PATH).len(), 5);
        // Each try had a connection of its own.
        assert!(mock.connections() > 5);
    });
}

#[test]
fn a_silent_peer_costs_no_more_than_the_deadline() {
    run(async {
        let mock = Mock::start().await;
        mock.on(PATH, [Reply::Hang]);
        let transport = by_agent(&mock).await;
        let (setter, mut limit) = deadline();
        setter.set((Instant::now() + Duration::from_millis(300)).into());
        let call = Call::json(Subdomain::Api, PATH, &json!({}));
        let error = transport
            .post(&call, &mut limit)
            .await
            .expect_err("silence");
        assert_eq!(error, RequestError::Interrupted);
        assert_eq!(mock.requests(PATH).len(), 1);
        // A try ends by itself, too.
        let route = transport.route().clone();
        let short = Transport::new(route, Duration::from_millis(100));
        mock.on(PATH, [Reply::Hang, Reply::json(&json!({}))]);
        assert!(ask(&short).await.is_ok());
        assert_eq!(mock.requests(PATH).len(), 3);
    });
}
