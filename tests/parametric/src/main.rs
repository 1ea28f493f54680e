//! The library behind HTTP, so that DataDog's `system-tests` (scenario *parametric*) can drive it.
//!
//! The suite starts this program once per test with an environment of the test's, calls its endpoints, and looks at what
//! reaches an agent. The program does nothing on the library's behalf: it calls `ddtrace::init()`, listens on
//! `APM_TEST_CLIENT_SERVER_PORT`, and turns each request into calls of the public interface, Datadog's or OpenTelemetry's.
//! Arguments are accepted and ignored; the library sees them as the process's.
//!
//! * [`http`]: a server that is not traced and blocks nobody;
//! * [`spans`]: what the endpoints refer to by id, and which span is active;
//! * [`datadog`], [`otel`], [`logs`], [`llmobs`]: the endpoints;
//! * [`effective`]: what the library says its configuration is;
//! * [`json`]: values in and out.
//!
//! Unknown paths answer 404 from the first moment: that is how the suite asks whether the program is ready.

mod datadog;
mod effective;
mod http;
mod json;
mod llmobs;
mod logs;
mod otel;
mod spans;

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Mutex, PoisonError};

use http::{Answer, Request};
use spans::Spans;

fn main() -> io::Result<()> {
    let _ddtrace = ddtrace::init();
    let port = std::env::var("APM_TEST_CLIENT_SERVER_PORT").unwrap_or_default();
    let port = port.parse().map_err(|_| {
        let message = "APM_TEST_CLIENT_SERVER_PORT has to name a port";
        io::Error::new(io::ErrorKind::InvalidInput, message)
    })?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    // For whoever asked for any free port.
    println!("listening {}", listener.local_addr()?);
    let spans = Mutex::new(Spans::default());
    http::serve(&listener, &|request| {
        let mut spans = spans.lock().unwrap_or_else(PoisonError::into_inner);
        answer(&mut spans, request)
    })
}

fn answer(spans: &mut Spans, request: &Request) -> Answer {
    let body = &request.body;
    match (&*request.method, &*request.path) {
        ("GET", "/trace/config") => effective::config(),
        ("GET", "/trace/crash") => crash(),
        (method, path) => datadog::answer(spans, method, path, body)
            .or_else(|| otel::answer(spans, method, path, body))
            .or_else(|| llmobs::answer(method, path, body))
            .or_else(|| logs::answer(spans, method, path, body))
            .unwrap_or(Answer::NotFound),
    }
}

/// Ends the process by a bad access.
fn crash() -> Answer {
    #[allow(unsafe_code, reason = "the suite asks for a real fault")]
    // SAFETY: none of it is sound, on purpose: the page at zero is not mapped, and the process ends here.
    unsafe {
        std::ptr::without_provenance_mut::<u8>(8).write_volatile(0);
    }
    Answer::NotFound
}
