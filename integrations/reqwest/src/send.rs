//! A request on its way out.

use std::future::Future;

use ddtrace_core::trace::{Span, instrument_with};
use reqwest::{Client, Error, Request, RequestBuilder, Response};

use crate::request::{self, SETTINGS};
use crate::tap;

/// Sends what a [`RequestBuilder`] builds, in a span.
pub trait RequestBuilderExt {
    /// Like [`RequestBuilder::send`], in a span of its own. The span begins when the future is first polled.
    ///
    /// # Errors
    ///
    /// Those of [`RequestBuilder::send`].
    fn send_traced(self) -> impl Future<Output = Result<Response, Error>> + Send;
}

impl RequestBuilderExt for RequestBuilder {
    async fn send_traced(self) -> Result<Response, Error> {
        let (client, request) = self.build_split();
        send(&client, request?).await
    }
}

/// Sends a request that was built before, in a span.
pub trait ClientExt {
    /// Like [`Client::execute`], in a span of its own. The span begins when the future is first polled.
    ///
    /// # Errors
    ///
    /// Those of [`Client::execute`].
    fn execute_traced(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Response, Error>> + Send;
}

impl ClientExt for Client {
    fn execute_traced(
        &self,
        request: Request,
    ) -> impl Future<Output = Result<Response, Error>> + Send {
        send(self, request)
    }
}

async fn send(client: &Client, mut request: Request) -> Result<Response, Error> {
    let Some(settings) = SETTINGS.get() else {
        return client.execute(request).await;
    };
    let taps = tap::offer(&request);
    let mut span = request::open(
        &settings,
        taps.context().as_ref(),
        request.method(),
        request.url(),
        request.headers(),
    );
    request::inject(&settings, &mut span, request.headers_mut());
    let observe = move |result: &Result<Response, Error>, span: &mut Span| match result {
        Ok(response) => request::answered(span, &settings, response.status(), response.headers()),
        Err(error) => request::failed(span, error),
    };
    match instrument_with(span, client.execute(request), observe).await {
        Ok(response) => Ok(tap::lay(response, taps)),
        Err(error) => {
            tap::failed(taps, &error);
            Err(error)
        }
    }
}
