//! Who may ask what.

use cargo_ddtrace::agent::Options;
use cargo_ddtrace::security::Policy;
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;

use crate::client::{TestAgent, read_answer};
use crate::payload::{HEADERS, trace, v04};

fn status(agent: &TestAgent, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let body: &[u8] = if method == "GET" { b"" } else { b"{}" };
    agent.send(method, path, headers, body).status
}

#[test]
fn the_host_must_be_this_machine() {
    let agent = TestAgent::new();
    for path in [
        "/",
        "/api/status",
        "/info",
        "/v0.4/traces",
        "/assets/app.js",
    ] {
        for host in [
            "localhost",
            "127.0.0.1:9",
            "[::1]:8126",
            "shop.localhost:8126",
        ] {
            assert_ne!(
                status(&agent, "GET", path, &[("host", host)]),
                421,
                "{path} {host}"
            );
        }
        for host in [
            "evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1:8126",
            "host.docker.internal",
        ] {
            assert_eq!(
                status(&agent, "GET", path, &[("host", host)]),
                421,
                "{path} {host}"
            );
        }
    }
    let answer = agent.send(
        "GET",
        "/info",
        &[("host", "host.docker.internal:8126")],
        b"",
    );
    assert!(
        answer.json()["error"]
            .as_str()
            .unwrap()
            .contains("--allow-host"),
        "{answer:?}"
    );
    // Two of them, one of which may be meant for us.
    let mut stream = TcpStream::connect(agent.address()).unwrap();
    stream.write_all(b"GET /info HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n\r\n").unwrap();
    assert_ne!(read_answer(&mut stream).unwrap().status, 200);
}

#[test]
fn an_allowed_host_is_for_intake_only() {
    let policy = Policy {
        allow_host: vec!["host.docker.internal".into()],
        ..Policy::default()
    };
    let agent = TestAgent::start(Options {
        policy,
        ..Options::default()
    });
    let host = [("host", "host.docker.internal:8126")];
    assert_eq!(status(&agent, "GET", "/info", &host), 200);
    assert_eq!(status(&agent, "GET", "/api/status", &host), 421);
    assert_eq!(status(&agent, "GET", "/", &host), 421);
}

#[test]
fn other_origins_and_sites_are_refused_everywhere() {
    let agent = TestAgent::new();
    let link = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    let frame = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "iframe"),
    ];
    let cases: [(&[(&str, &str)], bool); 9] = [
        (&[("origin", "http://localhost:8126")], true),
        (&[("origin", "http://localhost:3000")], false),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "none")], true),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&frame, false),
    ];
    for path in ["/", "/trace/1", "/api/status", "/info"] {
        for (headers, passes) in cases {
            let expected = if passes { 200 } else { 403 };
            assert_eq!(
                status(&agent, "GET", path, headers),
                expected,
                "{path} {headers:?}"
            );
        }
    }
    // A link on another site may lead to the page, and nowhere else.
    assert_eq!(status(&agent, "GET", "/", &link), 200);
    assert_eq!(status(&agent, "GET", "/trace/1", &link), 200);
    assert_eq!(status(&agent, "GET", "/info", &link), 403);
    assert_eq!(status(&agent, "GET", "/api/status", &link), 403);
    // A form or a beacon of another site is no tracer.
    let foreign = [
        ("content-type", "text/plain"),
        ("origin", "https://evil.example"),
    ];
    assert_eq!(status(&agent, "POST", "/v0.4/traces", &foreign), 403);
    assert_eq!(agent.json("/api/requests")["total"], 0);
    let answer = agent.send(
        "OPTIONS",
        "/api/status",
        &[("origin", "https://evil.example")],
        b"",
    );
    assert_eq!(answer.status, 403);
    assert!(
        answer
            .headers
            .iter()
            .all(|(name, _)| !name.starts_with("access-control"))
    );
}

#[test]
fn changing_calls_need_type_and_token() {
    let agent = TestAgent::new();
    let token = agent.agent.shared().token().to_owned();
    let other = "0".repeat(32);
    for (method, path) in [
        ("PUT", "/api/faults"),
        ("PUT", "/api/rates"),
        ("POST", "/api/clear"),
    ] {
        let json_type = ("content-type", "application/json");
        assert_eq!(status(&agent, method, path, &[json_type]), 403, "{path}");
        assert_eq!(
            status(
                &agent,
                method,
                path,
                &[json_type, ("x-ddtrace-token", &other)]
            ),
            403,
            "{path}"
        );
        assert_eq!(
            status(
                &agent,
                method,
                path,
                &[("content-type", "text/plain"), ("x-ddtrace-token", &token)]
            ),
            403
        );
        let cookie = format!("ddtrace_token={token}");
        assert_eq!(
            status(&agent, method, path, &[json_type, ("cookie", &cookie)]),
            403,
            "{path}"
        );
        assert_ne!(
            status(
                &agent,
                method,
                path,
                &[json_type, ("x-ddtrace-token", &token)]
            ),
            403,
            "{path}"
        );
    }
    let answer = agent.send(
        "POST",
        "/api/clear",
        &[("content-type", "application/json")],
        b"{}",
    );
    assert_eq!(answer.json()["code"], "token_required");
    // The page has it, and nobody else tells it.
    assert!(String::from_utf8_lossy(&agent.get("/").body).contains(&token));
    assert!(!String::from_utf8_lossy(&agent.get("/api/status").body).contains(&token));
}

#[test]
fn a_private_agent_asks_for_the_token_to_read() {
    let policy = Policy {
        private: true,
        ..Policy::default()
    };
    let agent = TestAgent::start(Options {
        policy,
        ..Options::default()
    });
    let token = agent.agent.shared().token().to_owned();
    for path in [
        "/",
        "/map",
        "/trace/1",
        "/requests/1",
        "/api/status",
        "/api/traces",
    ] {
        assert_eq!(status(&agent, "GET", path, &[]), 403, "{path}");
        assert_eq!(
            status(&agent, "GET", path, &[("x-ddtrace-token", &token)]),
            200,
            "{path}"
        );
    }
    // Programs go on sending.
    assert_eq!(agent.put_traces(&[trace(1)]).status, 200);
    assert_eq!(
        status(&agent, "GET", &format!("/?token={}", "0".repeat(32)), &[]),
        403
    );
    let opened = agent.get(&format!("/?token={token}"));
    assert_eq!((opened.status, opened.header("location")), (303, Some("/")));
    let deep = agent.get(&format!("/trace/1?token={token}"));
    assert_eq!(
        (deep.status, deep.header("location")),
        (303, Some("/trace/1"))
    );
    let cookie = opened.header("set-cookie").unwrap();
    assert!(
        cookie.contains("SameSite=Strict") && cookie.contains("HttpOnly"),
        "{cookie}"
    );
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(
        status(&agent, "GET", "/api/status", &[("cookie", cookie)]),
        200
    );
}

#[test]
fn answers_are_dressed() {
    let agent = TestAgent::new();
    for path in ["/", "/map", "/api/status", "/api/no-such-route"] {
        let answer = agent.get(path);
        let csp = answer.header("content-security-policy").unwrap();
        assert!(
            csp.starts_with("default-src 'none'; script-src 'self';") && !csp.contains("unsafe"),
            "{path}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(
            answer.header("cross-origin-opener-policy"),
            Some("same-origin")
        );
    }
}

#[test]
fn credentials_of_requests_are_not_kept() {
    let agent = TestAgent::new();
    let mut headers = HEADERS.to_vec();
    let secrets = [
        ("dd-api-key", "secret-1"),
        ("authorization", "secret-2"),
        ("cookie", "secret-3"),
        ("dd-application-key", "secret-4"),
    ];
    headers.extend(secrets);
    headers.push(("x-datadog-trace-count", "1"));
    agent.send("PUT", "/v0.4/traces", &headers, &v04(&[trace(1)]));
    let request = agent.json("/api/requests/1");
    assert!(!request.to_string().contains("secret-"), "{request}");
    assert_eq!(request["headers"]["dd-api-key"], "<removed>");
    assert_eq!(request["headers"]["datadog-meta-lang"], "rust");
}

#[test]
fn limits_of_headers_and_bodies_hold() {
    let agent = TestAgent::new();
    let long = "x".repeat(40 << 10);
    assert_eq!(
        agent.send("GET", "/info", &[("x-long", &long)], b"").status,
        431
    );
    // An announced length over the limit is refused before the body is sent.
    let mut stream = TcpStream::connect(agent.address()).unwrap();
    let head = "PUT /v0.4/traces HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 60000000\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 413);
    let big = json!({"faults": [], "filler": "x".repeat(2 << 20)});
    assert_eq!(agent.change("PUT", "/api/faults", &big).status, 413);
}

#[test]
fn the_socket_is_for_its_user_only() {
    let folder =
        std::env::temp_dir().join(format!("ddtrace-test-{}-{}", std::process::id(), line!()));
    let path = folder.join("apm.socket");
    let agent = TestAgent::start(Options {
        socket: Some(path.clone()),
        ..Options::default()
    });
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    // Over the socket any name is fine: who can connect is the same user.
    stream
        .write_all(b"GET /api/status HTTP/1.1\r\nhost: anything\r\nconnection: close\r\n\r\n")
        .unwrap();
    let answer = read_answer(&mut stream).unwrap();
    assert_eq!(answer.json()["socket"], path.display().to_string());
    drop(agent);
    assert!(!path.exists() && !folder.exists());
}

#[test]
fn a_live_socket_is_not_taken_over_and_a_dead_one_is() {
    let path = std::env::temp_dir().join(format!(
        "ddtrace-test-{}-{}.socket",
        std::process::id(),
        line!()
    ));
    let options = || Options {
        port: Some(0),
        socket: Some(path.clone()),
        ..Options::default()
    };
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let agent = TestAgent::start(options());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let error = runtime
        .block_on(cargo_ddtrace::agent::Agent::start(options()))
        .unwrap_err();
    assert!(
        error.to_string().contains("cannot listen on unix://"),
        "{error}"
    );
    drop(agent);
}

#[test]
fn connections_are_bounded() {
    let agent = TestAgent::new();
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(TcpStream::connect(agent.address()).unwrap());
    }
    crate::client::eventually("256 connections", || agent.agent.connections() == 256);
    let mut one_more = TcpStream::connect(agent.address()).unwrap();
    // It is closed without an answer.
    assert_eq!(one_more.read(&mut [0; 1]).unwrap_or(0), 0);
    open.truncate(200);
    crate::client::eventually("a free place", || agent.agent.connections() < 256);
    assert_eq!(agent.get("/info").status, 200);
}
