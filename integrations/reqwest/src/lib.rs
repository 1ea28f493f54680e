//! Spans for requests sent with reqwest 0.13, and trace context in their headers.
//!
//! ```no_run
//! # async fn example(client: reqwest::Client) -> Result<(), reqwest::Error> {
//! use ddtrace_reqwest::RequestBuilderExt;
//!
//! let stock = client.get("http://warehouse/stock/kettle").send_traced().await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`send_traced`](RequestBuilderExt::send_traced) takes the place of `send`, and
//! [`execute_traced`](ClientExt::execute_traced) that of `execute`, where the request was built before. Clients, requests,
//! responses and errors stay reqwest's own: it has no hook that sees requests (its connector layers see connections), so the call is the place.
//!
//! | client | feature | what to write |
//! | --- | --- | --- |
//! | `reqwest::Client` | | `request.send_traced().await` |
//! | `reqwest::blocking::Client` | `blocking` | `request.send_traced()`, by `ddtrace_reqwest::blocking::RequestBuilderExt` |
//! | `reqwest_middleware::ClientWithMiddleware` | `middleware` | `ClientBuilder::with(ddtrace_reqwest::middleware::layer())`, and `send` as ever |
//!
//! # What a span says
//!
//! Name `reqwest.request`, type `http`, kind `client`. Resource: method and path with its numbers and ids taken out
//! (`GET /stock/{param:int}`). `http.method`, `http.url` with its query string obfuscated, `http.status_code`, `out.host`,
//! `server.address`, `network.destination.port`. A status in
//! `DD_TRACE_HTTP_SERVER_ERROR_STATUSES` marks the span as an error, and so does an error of the transport, whose `error.type` is
//! `timeout`, `connect`, `redirect`, `body`, `decode`, `upgrade`, `builder` or `request`. The span ends when the head of the
//! response is there; redirects that the client follows are one span.
//!
//! The service is `reqwest`, or `DD_REQWEST_SERVICE`, or the host that is called with `DD_REQWEST_SPLIT_BY_DOMAIN=true`.
//! `DD_REQWEST_DISTRIBUTED_TRACING=false` keeps trace context out of the headers, `DD_TRACE_REQWEST_ENABLED=false` switches the
//! integration off. Headers of trace context that are there already are replaced, never doubled.
//!
//! # Bodies
//!
//! Products may follow an exchange ([`HttpClientExchange`](ddtrace_core::events::HttpClientExchange)): they see a request's body that is in
//! memory, and the chunks of the response as the program reads them, by whichever method. The program reads the same bytes in the same
//! chunks at its own pace. Without such a product, and for every exchange that none is interested in, bodies are not touched.

#[cfg(feature = "blocking")]
pub mod blocking;
#[cfg(feature = "middleware")]
pub mod middleware;
mod request;
mod send;
mod tap;

pub use send::{ClientExt, RequestBuilderExt};

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("reqwest", "reqwest", "0.13")
}
