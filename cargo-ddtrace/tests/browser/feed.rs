//! What the tests send to the agent: traces as JSON of v0.4, which needs no encoder.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};

/// Text that would become an element if it were ever parsed as HTML.
pub(crate) const MARKUP: &str = "<img src=x onerror=\"document.title='owned'\">";

/// A span under construction.
pub(crate) struct Span(Value);

impl Span {
    pub(crate) fn new(
        trace: u64,
        id: u64,
        parent: u64,
        service: &str,
        name: &str,
        resource: &str,
    ) -> Span {
        Span(json!({
            "trace_id": trace, "span_id": id, "parent_id": parent, "service": service, "name": name, "resource": resource,
            "type": "", "start": now() - 1_000_000_000, "duration": 1_000_000, "error": 0, "meta": {"language": "rust"}, "metrics": {},
        }))
    }

    /// Start and length in microseconds; all spans of a trace need one origin, in ns.
    pub(crate) fn from(mut self, origin: i64, micros: i64, length: i64) -> Span {
        self.0["start"] = json!(origin + micros * 1_000);
        self.0["duration"] = json!(length * 1_000);
        self
    }

    pub(crate) fn tag(mut self, key: &str, value: &str) -> Span {
        self.0["meta"][key] = json!(value);
        self
    }

    pub(crate) fn number(mut self, key: &str, value: f64) -> Span {
        self.0["metrics"][key] = json!(value);
        self
    }

    pub(crate) fn kind(mut self, span_type: &str, kind: &str) -> Span {
        self.0["type"] = json!(span_type);
        self.tag("span.kind", kind)
    }

    pub(crate) fn error(mut self, name: &str, message: &str, stack: &str) -> Span {
        self.0["error"] = json!(1);
        self.tag("error.type", name)
            .tag("error.message", message)
            .tag("error.stack", stack)
    }

    /// The tags that the first span of a chunk carries.
    pub(crate) fn first(self) -> Span {
        let entry = self
            .number("_dd.top_level", 1.0)
            .number("_sampling_priority_v1", 1.0)
            .number("process_id", 4711.0);
        entry
            .tag("_dd.p.dm", "-0")
            .tag("runtime-id", "6f0c2b5e-0000-4000-8000-000000000001")
    }
}

pub(crate) fn now() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    i64::try_from(since.as_nanos()).expect("a clock before 2262")
}

/// An answer of the agent.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends traces as one payload: each inner list is a chunk.
pub(crate) fn send(address: &str, chunks: Vec<Vec<Span>>) -> Answer {
    let count = chunks.len();
    let body: Vec<Vec<Value>> = chunks
        .into_iter()
        .map(|chunk| chunk.into_iter().map(|span| span.0).collect())
        .collect();
    let body = serde_json::to_vec(&body).expect("JSON");
    post(address, "/v0.4/traces", "application/json", &body, count)
}

/// A request with the headers of a tracer that sends traces. `address` is `host:port`.
pub(crate) fn post(
    address: &str,
    path: &str,
    content_type: &str,
    body: &[u8],
    traces: usize,
) -> Answer {
    let traces = traces.to_string();
    let headers = [("X-Datadog-Trace-Count", traces.as_str())];
    request("PUT", address, path, content_type, &headers, body)
}

/// The same with POST and other headers.
pub(crate) fn post_with(
    address: &str,
    path: &str,
    content_type: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    request("POST", address, path, content_type, headers, body)
}

fn request(
    method: &str,
    address: &str,
    path: &str,
    content_type: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut stream = TcpStream::connect(address).expect("the agent listens");
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
         Datadog-Meta-Lang: rust\r\nDatadog-Meta-Lang-Version: 1.95.0\r\nDatadog-Meta-Tracer-Version: 0.1.0\r\n",
        body.len()
    );
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "\r\n";
    stream
        .write_all(head.as_bytes())
        .and_then(|()| stream.write_all(body))
        .expect("the agent reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the agent answers");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status line");
    let body = answer
        .split_once("\r\n\r\n")
        .map(|(_, body)| body.to_owned())
        .unwrap_or_default();
    Answer { status, body }
}

const STACK: &str = "   0: std::backtrace::Backtrace::create\n             at /rustc/59807616e1fa/library/std/src/backtrace.rs:331:13\n   \
    1: payments::gateway::charge\n             at /srv/shop/payments/src/gateway.rs:88:21\n   \
    2: payments::routes::charge::{{closure}}\n             at /srv/shop/payments/src/routes.rs:41:9\n   \
    3: tokio::runtime::task::core::poll\n             at /home/me/.cargo/registry/src/index/tokio-1.45.0/src/runtime/task/core.rs:331:9\n";

/// A checkout through three services: repeated queries, a charge that may fail, a task that outlives the request.
pub(crate) fn checkout(number: u64, fails: bool) -> Vec<Vec<Span>> {
    let (trace, origin) = (
        0x5000 + number,
        now() - 2_000_000_000 + i64::try_from(number).expect("small") * 7_000_000,
    );
    let id = |step: u64| trace * 1000 + step;
    let status = if fails { "500" } else { "200" };
    let root = Span::new(
        trace,
        id(1),
        0,
        "storefront",
        "axum.request",
        "POST /checkout/{cart}",
    );
    let mut root = root
        .from(origin, 0, 120_000)
        .kind("web", "server")
        .tag("component", "axum")
        .first();
    root = root
        .tag("http.method", "POST")
        .tag("http.status_code", status)
        .tag("http.route", "/checkout/{cart}");
    let price = Span::new(trace, id(2), id(1), "storefront", "cart.price", "price")
        .from(origin, 2_000, 30_000);
    let mut front = vec![root, price];
    for step in 0..12 {
        let query = Span::new(
            trace,
            id(10 + step),
            id(2),
            "storefront",
            "sqlite.query",
            "SELECT * FROM items WHERE id = ?",
        );
        let start = 3_000 + i64::try_from(step).expect("small") * 2_200;
        let query = query.from(origin, start, 1_900).kind("sql", "client");
        front.push(
            query
                .tag("component", "sqlx")
                .tag("db.system", "sqlite")
                .tag("db.name", "shop"),
        );
    }
    let call = Span::new(
        trace,
        id(3),
        id(1),
        "storefront",
        "reqwest.request",
        "POST /charge",
    )
    .from(origin, 40_000, 62_000);
    let call = call
        .kind("http", "client")
        .tag("component", "reqwest")
        .tag("http.method", "POST")
        .tag("http.status_code", status);
    front.push(if fails {
        call.error("StatusError", "the server answered 500", "")
    } else {
        call
    });
    front.push(
        Span::new(trace, id(4), id(1), "storefront", "receipt.mail", "mail")
            .from(origin, 110_000, 40_000),
    );
    if fails {
        front[0] = Span(front[0].0.clone()).error(
            "shop::CheckoutError",
            "payment failed: card declined",
            "",
        );
    }

    let entry = Span::new(
        trace,
        id(5),
        id(3),
        "payments",
        "axum.request",
        "POST /charge",
    )
    .from(origin, 42_000, 55_000);
    let entry = entry
        .kind("web", "server")
        .tag("component", "axum")
        .tag("http.method", "POST")
        .tag("http.status_code", status)
        .first();
    let entry = if fails {
        entry.error(
            "payments::Declined",
            "card declined: insufficient funds",
            STACK,
        )
    } else {
        entry
    };
    let reserve = Span::new(
        trace,
        id(6),
        id(5),
        "payments",
        "reqwest.request",
        "POST /reserve",
    )
    .from(origin, 46_000, 30_000);
    let charge = Span::new(trace, id(7), id(5), "payments", "gateway.charge", "charge")
        .from(origin, 80_000, 12_000);
    let payments = vec![entry, reserve.kind("http", "client"), charge];

    let entry = Span::new(
        trace,
        id(8),
        id(6),
        "warehouse",
        "axum.request",
        "POST /reserve",
    )
    .from(origin, 48_000, 25_000);
    let query = Span::new(
        trace,
        id(9),
        id(8),
        "warehouse",
        "sqlite.query",
        "UPDATE stock SET reserved = reserved + ? WHERE sku = ?",
    );
    let query = query
        .from(origin, 52_000, 14_000)
        .kind("sql", "client")
        .tag("db.system", "sqlite")
        .tag("db.name", "stock");
    vec![
        front,
        payments,
        vec![entry.kind("web", "server").first(), query],
    ]
}

/// A trace of many spans, in batches under a root.
pub(crate) fn wide(trace: u64, spans: u64) -> Vec<Span> {
    let origin = now() - 3_000_000_000;
    let length = i64::try_from(spans).expect("small") * 100;
    let mut all = vec![
        Span::new(trace, 1, 0, "importer", "import.run", "import everything")
            .from(origin, 0, length)
            .first(),
    ];
    for number in 1..spans {
        let batch = (number - 1) / 100 * 100 + 2;
        let parent = if number + 1 == batch { 1 } else { batch };
        let start = i64::try_from(number).expect("small") * 100;
        let (name, long) = if parent == 1 {
            ("import.batch", 9_900)
        } else {
            ("import.row", 90)
        };
        let span = Span::new(
            trace,
            number + 1,
            parent,
            "importer",
            name,
            &format!("{name} {}", number % 37),
        );
        all.push(span.from(origin, start, long.min(length - start)));
    }
    all
}

/// A span that carries markup wherever text can stand.
pub(crate) fn hostile(trace: u64) -> Vec<Span> {
    let span = Span::new(trace, trace * 10, 0, MARKUP, MARKUP, MARKUP)
        .first()
        .error(MARKUP, MARKUP, MARKUP);
    let span = span
        .tag(MARKUP, MARKUP)
        .tag("http.method", MARKUP)
        .tag("http.status_code", MARKUP)
        .tag("env", MARKUP)
        .tag("component", MARKUP);
    let mut span = span
        .tag("peer.service", MARKUP)
        .tag("direction", "\u{202e}txet desrever שלום");
    let mut attributes = Map::new();
    attributes.insert(MARKUP.to_owned(), json!(MARKUP));
    span = span.tag(
        "events",
        &json!([{"time_unix_nano": now(), "name": MARKUP, "attributes": attributes}]).to_string(),
    );
    span = span.tag("_dd.span_links", &json!([{"trace_id": "00000000000000000000000000000001", "span_id": "0000000000000001", "attributes": attributes}]).to_string());
    span.0["type"] = json!(MARKUP);
    vec![span]
}
