//! `ddapm-test-agent`, with all of its checks on.

use crate::http::{self, Response};
use crate::process::Process;
use crate::{service, wait};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

/// Every check that version 1.69.1 has.
const CHECKS: &str = "trace_count_header,meta_tracer_version_header,trace_content_length,trace_stall,\
    trace_peer_service,meta_events_is_valid_json,trace_dd_service";

/// A test agent on a free loopback port, for one test.
pub struct TestAgent {
    process: Process,
    address: SocketAddr,
    socket: PathBuf,
}

impl Drop for TestAgent {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl TestAgent {
    /// Starts one; `None` if it is not installed and need not be.
    #[track_caller]
    pub fn start() -> Option<TestAgent> {
        let program = service::named("DDAPM_TEST_AGENT")?;
        let mut last = None;
        // Somebody else may take a port between the question and the start.
        for _ in 0..5 {
            let [port, otlp_http, otlp_grpc] = free_ports();
            let mut command = Command::new(&program);
            let socket = std::env::temp_dir().join(format!("ddtrace-tests-{port}.socket"));
            let option = |name: &str, value: &dyn std::fmt::Display| {
                [format!("--{name}"), value.to_string()]
            };
            command
                // The option of the same name fails on any value.
                .env("ENABLED_CHECKS", CHECKS)
                .args(option("host", &"127.0.0.1"))
                .args(option("log-level", &"ERROR"))
                .args(option("pool-trace-check-failures", &"true"))
                .args(option("port", &port))
                .args(option("trace-uds-socket", &socket.display()))
                .args(option("otlp-http-port", &otlp_http))
                .args(option("otlp-grpc-port", &otlp_grpc))
                .args(option("snapshot-dir", &std::env::temp_dir().display()));
            let mut process = Process::start(&mut command);
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let up = wait::until("the test agent answers", || {
                match http::get(address, "/info") {
                    Ok(response) if response.status == 200 => Some(true),
                    _ => (!process.runs()).then_some(false),
                }
            });
            if up {
                return Some(TestAgent {
                    process,
                    address,
                    socket,
                });
            }
            last = Some(process.end());
        }
        panic!("the test agent did not start: {last:#?}");
    }

    /// The value of `DD_TRACE_AGENT_URL` for the agent's Unix socket.
    pub fn socket_url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The value of `DD_TRACE_AGENT_URL`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All traces that it took, decoded by it: a list of lists of spans.
    #[track_caller]
    pub fn traces(&self) -> Vec<Vec<Value>> {
        let traces = self.get("/test/session/traces").json();
        serde_json::from_value(traces).expect("lists of spans")
    }

    /// All statistics that it took, decoded by it: payload by payload.
    #[track_caller]
    pub fn statistics(&self) -> Vec<Value> {
        serde_json::from_value(self.get("/test/session/stats").json()).expect("a list of payloads")
    }

    /// The requests that came in, headers included.
    #[track_caller]
    pub fn requests(&self) -> Vec<Value> {
        serde_json::from_value(self.get("/test/session/requests").json())
            .expect("a list of requests")
    }

    /// The telemetry requests that it took, decoded by it.
    #[track_caller]
    pub fn telemetry(&self) -> Vec<Value> {
        let events = self.get("/test/session/apmtelemetry").json();
        serde_json::from_value(events).expect("a list of events")
    }

    /// Fails the test unless every check passed on everything that came in.
    #[track_caller]
    pub fn assert_checks_passed(&self) {
        let failures = self.get("/test/trace_check/failures?return_all=true");
        assert_eq!(failures.status, 200, "{}", failures.body);
        let summary = self.get("/test/trace_check/summary?return_all=true").json();
        let checks = summary.as_object().expect("a check each");
        let failed: u64 = checks
            .values()
            .map(|check| count(check, "Failed_Checks"))
            .sum();
        assert_eq!(failed, 0, "{summary:#}");
    }

    /// How often a check was applied and passed.
    #[track_caller]
    pub fn passed(&self, check: &str) -> u64 {
        count(
            &self.get("/test/trace_check/summary?return_all=true").json()[check],
            "Passed_Checks",
        )
    }

    /// Makes it answer trace payloads with these sampling rates, keyed as the agent does (`service:web,env:prod`).
    #[track_caller]
    pub fn answer_rates(&self, rates: &[(&str, f64)]) {
        let rates: serde_json::Map<_, _> = rates
            .iter()
            .map(|(key, rate)| ((*key).to_owned(), (*rate).into()))
            .collect();
        let text = Value::Object(rates).to_string();
        // The session holds the rates, and its start reads them from the query.
        let query: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let response = self.get(&format!(
            "/test/session/start?agent_sample_rate_by_service={query}"
        ));
        assert_eq!(response.status, 200, "{response:?}");
    }

    /// Makes it answer questions for remote configuration with one file.
    #[track_caller]
    pub fn configure(&self, path: &str, content: &Value) {
        let body = serde_json::json!({ "path": path, "msg": content }).to_string();
        let response = http::request(
            self.address,
            "POST",
            "/test/session/responses/config/path",
            &[],
            body.as_bytes(),
        );
        let response = response.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(response.status, 202, "{response:?}");
    }

    /// Waits until a program says that it has applied a file of a product.
    #[track_caller]
    pub fn wait_until_applied(&self, product: &str, config_id: &str) {
        wait::until(&format!("{product} {config_id} is applied"), || {
            self.requests().iter().rev().find_map(|request| {
                let url = request["url"].as_str()?;
                if !url.ends_with("/v0.7/config") {
                    return None;
                }
                let body: Value = serde_json::from_slice(&body(request)).ok()?;
                let states = body["client"]["state"]["config_states"].as_array()?.clone();
                let is_applied = |state: &Value| {
                    state["product"] == product
                        && state["id"] == config_id
                        && state["apply_state"] == 2
                };
                states.iter().any(is_applied).then_some(())
            })
        });
    }

    /// The flares that it took, in no particular order: the fields of the form, the file in base64.
    #[track_caller]
    pub fn flares(&self) -> Vec<Value> {
        let flares = self.get("/test/session/tracerflares").json();
        serde_json::from_value(flares).expect("a list of forms")
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.process.runs()
    }

    #[track_caller]
    fn get(&self, path: &str) -> Response {
        http::get(self.address, path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

fn count(check: &Value, key: &str) -> u64 {
    check[key].as_u64().unwrap_or(0)
}

/// The body of one of the [requests](TestAgent::requests), which the agent keeps as base64.
#[track_caller]
pub fn body(request: &Value) -> Vec<u8> {
    let text = request["body"].as_str().expect("a body");
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => panic!("not base64: {text}"),
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners =
        [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("it is bound").port())
}
