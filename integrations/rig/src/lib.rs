//! Spans for what rig 0.44 sends to providers of models.
//!
//! rig sends through any [`HttpClientExt`], and a provider's client takes one with `with_http`. [`Traced`] is one around another:
//!
//! ```
//! # fn example<C: rig_http::http_client::HttpClientExt>(client: C) {
//! use ddtrace_rig::Traced;
//!
//! let traced = Traced::new(client); // rig_reqwest::shared(), for instance
//! // let openai = openai::OpenAI::from_env()?.with_http(traced);
//! # let _ = traced;
//! # }
//! ```
//!
//! Every request is a client span: name `rig.request`, resource method and path with its ids taken out, the tags of HTTP clients, trace context
//! in the headers. What was asked and answered, tokens and times are the business of LLM Observability, which listens: with the
//! feature `llmobs` calls are LLM spans, streams included, with nothing more to write. rig's agents and tools write spans of `tracing`: with the layer for
//! that they are spans of the product too, and a call that rig describes and sends is one.
//!
//! Requests, answers, errors, chunks and their pace stay what they were. `DD_TRACE_RIG_ENABLED=false` switches the integration off, `DD_RIG_SERVICE`
//! names the service, `DD_RIG_DISTRIBUTED_TRACING=false` keeps trace context out of the headers.

mod exchange;
mod stream;

use std::future::Future;

use bytes::Bytes;
use ddtrace_core::instrument::Settings;
use rig_http::http_client::{
    HttpClientExt, LazyBody, MultipartForm, Request, Response, Result, StreamingResponse,
};

use exchange::Exchange;
use stream::TappedStream;

static SETTINGS: Settings = Settings::of("rig");

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("rig", "rig-core", "0.44")
}

/// A client that makes a span of every request which another one sends.
#[derive(Clone, Debug)]
pub struct Traced<C> {
    client: C,
}

impl<C: HttpClientExt> Traced<C> {
    /// A client around another one.
    pub fn new(client: C) -> Self {
        Self { client }
    }
}

impl<C: HttpClientExt> HttpClientExt for Traced<C> {
    fn send<T, U>(
        &self,
        request: Request<T>,
    ) -> impl Future<Output = Result<Response<LazyBody<U>>>> + Send + 'static
    where
        T: Into<Bytes> + Send,
        U: From<Bytes> + Send + 'static,
    {
        let mut request: Request<Bytes> = request.map(Into::into);
        let exchange = Exchange::begin(&mut request, Request::body);
        let sent = self.client.send::<Bytes, Bytes>(request);
        async move {
            let (response, taps) = exchange.send(sent).await?;
            Ok(response.map(|body| -> LazyBody<U> {
                Box::pin(async move {
                    let read = body.await;
                    taps.read(&read);
                    read.map(U::from)
                })
            }))
        }
    }

    fn send_multipart<U>(
        &self,
        mut request: Request<MultipartForm>,
    ) -> impl Future<Output = Result<Response<LazyBody<U>>>> + Send + 'static
    where
        U: From<Bytes> + Send + 'static,
    {
        let exchange = Exchange::begin(&mut request, |_| &[] as &[u8]);
        let sent = self.client.send_multipart::<U>(request);
        async move { exchange.send(sent).await.map(|(response, _)| response) }
    }

    fn send_streaming<T>(
        &self,
        request: Request<T>,
    ) -> impl Future<Output = Result<StreamingResponse>> + Send
    where
        T: Into<Bytes> + Send,
    {
        let mut request: Request<Bytes> = request.map(Into::into);
        let exchange = Exchange::begin(&mut request, Request::body);
        let sent = self.client.send_streaming::<Bytes>(request);
        async move {
            let (response, taps) = exchange.send(sent).await?;
            Ok(response.map(|chunks| TappedStream::around(chunks, taps)))
        }
    }
}
