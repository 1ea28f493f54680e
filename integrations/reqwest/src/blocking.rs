//! Spans for requests of reqwest's blocking client; with the feature `blocking`.
//!
//! ```no_run
//! # fn example(client: reqwest::blocking::Client) -> Result<(), reqwest::Error> {
//! use ddtrace_reqwest::blocking::RequestBuilderExt;
//!
//! let stock = client.get("http://warehouse/stock/kettle").send_traced()?;
//! # Ok(())
//! # }
//! ```
//!
//! The spans are those of the asynchronous client, see the [crate]. Bodies are not shown to products: a blocking response cannot be
//! put together again without losing its time limit.

use reqwest::Error;
use reqwest::blocking::{Client, Request, RequestBuilder, Response};

use crate::request::{self, SETTINGS};

/// Sends what a [`RequestBuilder`] builds, in a span.
pub trait RequestBuilderExt {
    /// Like [`RequestBuilder::send`], in a span of its own.
    ///
    /// # Errors
    ///
    /// Those of [`RequestBuilder::send`].
    fn send_traced(self) -> Result<Response, Error>;
}

impl RequestBuilderExt for RequestBuilder {
    fn send_traced(self) -> Result<Response, Error> {
        let (client, request) = self.build_split();
        send(&client, request?)
    }
}

/// Sends a request that was built before, in a span.
pub trait ClientExt {
    /// Like [`Client::execute`], in a span of its own.
    ///
    /// # Errors
    ///
    /// Those of [`Client::execute`].
    fn execute_traced(&self, request: Request) -> Result<Response, Error>;
}

impl ClientExt for Client {
    fn execute_traced(&self, request: Request) -> Result<Response, Error> {
        send(self, request)
    }
}

fn send(client: &Client, mut request: Request) -> Result<Response, Error> {
    let Some(settings) = SETTINGS.get() else {
        return client.execute(request);
    };
    let mut span = request::open(
        &settings,
        None,
        request.method(),
        request.url(),
        request.headers(),
    );
    request::inject(&settings, &mut span, request.headers_mut());
    let active = span.enter();
    let result = client.execute(request);
    drop(active);
    match &result {
        Ok(response) => {
            request::answered(&mut span, &settings, response.status(), response.headers());
        }
        Err(error) => request::failed(&mut span, error),
    }
    result
}
