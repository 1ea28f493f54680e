//! One test per way in which an agent can behave.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};

use super::fake::{FakeAgent, Reply, answer, run};
use super::{AgentClient, AgentInfo, MAX_BODY, Response, SendError};
use crate::config::AgentUrl;

/// Far longer than anything that is meant to succeed takes.
const AMPLE: Duration = Duration::from_secs(30);
/// For what is meant to time out.
const SHORT: Duration = Duration::from_millis(100);

fn client(url: &AgentUrl, timeout: Duration) -> AgentClient {
    AgentClient::new(url.clone(), timeout, HeaderMap::new())
}

async fn post(client: &AgentClient) -> Result<Response, SendError> {
    client.post("/v0.4/traces", HeaderMap::new(), "body").await
}

/// The address of a port where nobody listens.
fn refusing() -> AgentUrl {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    AgentUrl::http("127.0.0.1", listener.local_addr().unwrap().port())
}

#[test]
fn a_request_has_its_length_the_host_and_all_headers() {
    run(async {
        let agent = FakeAgent::tcp([Reply::ok("{}")]).await;
        let mut own = HeaderMap::new();
        own.insert("datadog-meta-lang", HeaderValue::from_static("rust"));
        let client = AgentClient::new(agent.url.clone(), AMPLE, own);
        let mut headers = HeaderMap::new();
        headers.insert("x-one", HeaderValue::from_static("1"));
        let response = client
            .post("/v0.4/traces", headers, vec![7; 100_000])
            .await
            .unwrap();
        assert_eq!(
            (
                response.status.as_u16(),
                &response.body[..],
                response.is_complete
            ),
            (200, &b"{}"[..], true)
        );
        let request = &agent.requests()[0];
        assert_eq!(request.line(), "POST /v0.4/traces HTTP/1.1");
        assert_eq!(request.header("content-length"), Some("100000"));
        assert_eq!(request.header("transfer-encoding"), None);
        assert_eq!(request.header("datadog-meta-lang"), Some("rust"));
        assert_eq!(request.header("x-one"), Some("1"));
        assert_eq!(request.body, vec![7; 100_000]);
        let host = agent.url.to_string();
        assert_eq!(request.header("host"), host.strip_prefix("http://"));
    });
}

#[test]
fn an_empty_body_has_a_length_too() {
    run(async {
        let agent = FakeAgent::tcp([Reply::ok("")]).await;
        client(&agent.url, AMPLE)
            .post("/x", HeaderMap::new(), "")
            .await
            .unwrap();
        assert_eq!(agent.requests()[0].header("content-length"), Some("0"));
    });
}

#[test]
fn a_prefix_of_the_address_precedes_the_path() {
    run(async {
        let agent = FakeAgent::tcp([Reply::ok("")]).await;
        let url = AgentUrl::parse(&format!("{}/base/", agent.url)).unwrap();
        client(&url, AMPLE)
            .get("/info", HeaderMap::new())
            .await
            .unwrap();
        assert_eq!(agent.requests()[0].line(), "GET /base/info HTTP/1.1");
    });
}

#[test]
fn the_connection_is_kept() {
    run(async {
        let agent = FakeAgent::tcp([Reply::ok("{}")]).await;
        let client = client(&agent.url, AMPLE);
        for _ in 0..5 {
            post(&client).await.unwrap();
        }
        assert_eq!((agent.requests().len(), agent.connections()), (5, 1));
    });
}

#[test]
fn a_kept_connection_that_was_closed_is_dialled_anew() {
    run(async {
        let closing = Reply::BytesThenClose(answer(200, &[], "{}"));
        let agent = FakeAgent::tcp([closing.clone(), closing, Reply::ok("{}")]).await;
        let client = client(&agent.url, AMPLE);
        for _ in 0..3 {
            assert_eq!(post(&client).await.unwrap().status, 200);
        }
        assert_eq!((agent.requests().len(), agent.connections()), (3, 3));
    });
}

#[test]
fn a_kept_connection_that_closes_on_the_next_request_is_dialled_anew() {
    run(async {
        let agent = FakeAgent::tcp([Reply::ok("{}"), Reply::Close, Reply::ok("{}")]).await;
        let client = client(&agent.url, AMPLE);
        assert_eq!(post(&client).await.unwrap().status, 200);
        assert_eq!(post(&client).await.unwrap().status, 200);
        assert_eq!((agent.requests().len(), agent.connections()), (3, 2));
    });
}

#[test]
fn requests_at_the_same_time_do_not_wait_for_each_other() {
    run(async {
        let agent = FakeAgent::tcp([Reply::Hang, Reply::ok("{}")]).await;
        let client = std::sync::Arc::new(client(&agent.url, AMPLE));
        let stuck = std::sync::Arc::clone(&client);
        let stuck = tokio::spawn(async move { post(&stuck).await });
        while agent.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(post(&client).await.unwrap().status, 200);
        stuck.abort();
    });
}

#[test]
fn an_agent_that_refuses_is_an_error_to_retry() {
    run(async {
        let error = post(&client(&refusing(), AMPLE)).await.unwrap_err();
        assert!(
            matches!(error, SendError::Connect { .. }) && error.is_retryable(),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .starts_with("cannot connect to http://127.0.0.1:"),
            "{error}"
        );
    });
}

#[test]
fn a_host_that_does_not_exist_is_an_error_to_retry() {
    run(async {
        let url = AgentUrl::http("no-such-host.invalid", 8126);
        let error = post(&client(&url, AMPLE)).await.unwrap_err();
        assert!(matches!(error, SendError::Connect { .. }), "{error}");
    });
}

#[test]
fn an_agent_that_never_answers_costs_the_timeout_and_no_more() {
    run(async {
        let agent = FakeAgent::tcp([Reply::Hang, Reply::ok("{}")]).await;
        let client = client(&agent.url, SHORT);
        let error = post(&client).await.unwrap_err();
        assert!(
            matches!(error, SendError::Timeout { after: SHORT }) && error.is_retryable(),
            "{error}"
        );
        let after = AgentClient::new(agent.url.clone(), AMPLE, HeaderMap::new());
        assert_eq!(post(&after).await.unwrap().status, 200);
    });
}

#[test]
fn an_agent_that_hangs_up_without_an_answer_is_an_error_to_retry() {
    run(async {
        let agent = FakeAgent::tcp([Reply::Close]).await;
        let error = post(&client(&agent.url, AMPLE)).await.unwrap_err();
        assert!(
            matches!(error, SendError::Closed) && error.is_retryable(),
            "{error}"
        );
    });
}

#[test]
fn a_body_that_breaks_off_leaves_the_status_known() {
    run(async {
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
        let agent = FakeAgent::tcp([Reply::BytesThenClose(half), Reply::ok("{}")]).await;
        let client = client(&agent.url, AMPLE);
        let response = post(&client).await.unwrap();
        assert_eq!(
            (
                response.status.as_u16(),
                &response.body[..],
                response.is_complete
            ),
            (200, &b"half"[..], false)
        );
        assert!(post(&client).await.unwrap().is_complete);
        assert_eq!(agent.connections(), 2);
    });
}

#[test]
fn a_slow_answer_within_the_timeout_is_an_answer() {
    run(async {
        let slow = Reply::Slowly(answer(200, &[], "slow"), Duration::from_millis(1));
        let agent = FakeAgent::tcp([slow]).await;
        let response = post(&client(&agent.url, AMPLE)).await.unwrap();
        assert_eq!(
            (&response.body[..], response.is_complete),
            (&b"slow"[..], true)
        );
    });
}

#[test]
fn the_timeout_is_for_the_whole_head_not_for_each_byte() {
    run(async {
        let long = answer(200, &[("X-Padding", &"x".repeat(10_000))], "");
        let agent = FakeAgent::tcp([Reply::Slowly(long, Duration::from_millis(5))]).await;
        let error = post(&client(&agent.url, SHORT)).await.unwrap_err();
        assert!(matches!(error, SendError::Timeout { .. }), "{error}");
    });
}

#[test]
fn a_body_later_than_the_timeout_leaves_the_status_known() {
    run(async {
        let mut late = b"HTTP/1.1 202 Accepted\r\nContent-Length: 1000\r\n\r\n".to_vec();
        late.extend_from_slice(b"some");
        let agent = FakeAgent::tcp([Reply::Bytes(late)]).await;
        let response = post(&client(&agent.url, Duration::from_secs(1)))
            .await
            .unwrap();
        assert_eq!(
            (response.status.as_u16(), response.is_complete),
            (202, false)
        );
    });
}

#[test]
fn what_is_not_http_is_an_error() {
    run(async {
        for garbage in [
            "SSH-2.0-OpenSSH_9.6\r\n\r\n",
            "HTTP/1.1 abc\r\n\r\n",
            "\0\0\0\0\r\n\r\n",
        ] {
            let agent = FakeAgent::tcp([Reply::BytesThenClose(garbage.into())]).await;
            let error = post(&client(&agent.url, AMPLE)).await.unwrap_err();
            assert!(
                matches!(error, SendError::Protocol { .. }),
                "{garbage:?}: {error}"
            );
        }
    });
}

#[test]
fn a_head_without_end_is_an_error() {
    run(async {
        let endless = answer(200, &[("X-Padding", &"x".repeat(1 << 20))], "");
        let agent = FakeAgent::tcp([Reply::Bytes(endless)]).await;
        let error = post(&client(&agent.url, AMPLE)).await.unwrap_err();
        assert!(matches!(error, SendError::Protocol { .. }), "{error}");
    });
}

#[test]
fn a_huge_body_is_read_up_to_the_limit() {
    run(async {
        let agent = FakeAgent::tcp([Reply::ok(&"x".repeat(MAX_BODY + 1)), Reply::ok("{}")]).await;
        let client = client(&agent.url, AMPLE);
        let response = post(&client).await.unwrap();
        assert_eq!(
            (response.body.len(), response.is_complete),
            (MAX_BODY, false)
        );
        assert!(post(&client).await.unwrap().is_complete);
        assert_eq!(agent.connections(), 2);
    });
}

#[test]
fn a_body_of_exactly_the_limit_is_whole() {
    run(async {
        let agent = FakeAgent::tcp([Reply::ok(&"x".repeat(MAX_BODY))]).await;
        let response = post(&client(&agent.url, AMPLE)).await.unwrap();
        assert_eq!(
            (response.body.len(), response.is_complete),
            (MAX_BODY, true)
        );
    });
}

#[test]
fn a_chunked_body_is_put_together() {
    run(async {
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n";
        let agent = FakeAgent::tcp([Reply::Bytes(chunked.to_vec())]).await;
        let client = client(&agent.url, AMPLE);
        for _ in 0..2 {
            assert_eq!(&post(&client).await.unwrap().body[..], b"abcde");
        }
        assert_eq!(agent.connections(), 1);
    });
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    run(async {
        let open = b"HTTP/1.0 200 OK\r\n\r\nto the end".to_vec();
        let agent = FakeAgent::tcp([Reply::BytesThenClose(open)]).await;
        let response = post(&client(&agent.url, AMPLE)).await.unwrap();
        assert_eq!(
            (&response.body[..], response.is_complete),
            (&b"to the end"[..], true)
        );
    });
}

#[test]
fn every_status_is_an_answer() {
    run(async {
        for status in [200, 204, 301, 400, 404, 413, 429, 500, 503] {
            let body = if status == 204 { "" } else { "no" };
            let agent = FakeAgent::tcp([Reply::status(status, &[], body)]).await;
            assert_eq!(
                post(&client(&agent.url, AMPLE))
                    .await
                    .unwrap()
                    .status
                    .as_u16(),
                status
            );
        }
    });
}

#[cfg(unix)]
#[test]
fn a_unix_socket_may_appear_later() {
    run(async {
        let folder = super::fake::Folder::new("later");
        let path = folder.0.join("apm.socket");
        let client = client(&AgentUrl::Unix(path.clone()), AMPLE);
        let error = post(&client).await.unwrap_err();
        assert!(
            matches!(error, SendError::Connect { .. }) && error.is_retryable(),
            "{error}"
        );
        let agent = FakeAgent::unix(&path, [Reply::ok("{}")]).await;
        assert_eq!(post(&client).await.unwrap().status, 200);
        assert_eq!(agent.requests()[0].header("host"), Some("localhost"));
    });
}

#[test]
fn tls_is_said_to_be_missing() {
    run(async {
        let url = AgentUrl::parse("https://agent.example").unwrap();
        let error = post(&client(&url, AMPLE)).await.unwrap_err();
        assert!(
            matches!(error, SendError::Unsupported { .. }) && !error.is_retryable(),
            "{error}"
        );
    });
}

#[test]
fn a_path_that_cannot_stand_in_a_url_is_an_error() {
    run(async {
        let error = client(&refusing(), AMPLE)
            .get("/a b", HeaderMap::new())
            .await
            .unwrap_err();
        assert!(matches!(error, SendError::Unsupported { .. }), "{error}");
    });
}

#[test]
fn info_is_asked_for_and_everything_but_a_good_answer_is_no_info() {
    run(async {
        let good = Reply::status(
            200,
            &[("Datadog-Container-Tags-Hash", "abc")],
            r#"{"endpoints":["/v0.6/stats"],"client_drop_p0s":true}"#,
        );
        let bad = [
            Reply::status(404, &[], "404 page not found"),
            Reply::status(500, &[], "{}"),
            Reply::ok("<html>"),
            Reply::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_vec()),
        ];
        let count = bad.len();
        let agent = FakeAgent::tcp(std::iter::once(good).chain(bad)).await;
        let client = client(&agent.url, AMPLE);
        let info = AgentInfo::fetch(&client).await.unwrap().unwrap();
        assert!(info.client_drop_p0s && info.has_endpoint("/v0.6/stats"));
        assert_eq!(info.container_tags_hash.as_deref(), Some("abc"));
        for _ in 0..count {
            assert_eq!(AgentInfo::fetch(&client).await.unwrap(), None);
        }
        assert!(
            AgentInfo::fetch(&super::client_tests::client(&refusing(), AMPLE))
                .await
                .is_err()
        );
    });
}
