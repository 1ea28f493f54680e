//! Spans for calls of models with async-openai 0.41.
//!
//! ```no_run
//! use async_openai::Client;
//! use ddtrace_async_openai::ClientExt as _;
//!
//! let client = Client::new().traced();
//! ```
//!
//! Types, answers, errors and retries stay async-openai's own. Every request is a client span (those of [`ddtrace_reqwest`], whose
//! settings hold here as well), every attempt one of its own. What was asked and answered, tokens and times are the business of LLM Observability, which listens: with
//! the feature `llmobs` calls are LLM spans, streams included, with nothing more to write.
//!
//! # How it gets in between
//!
//! async-openai sends through a `tower` service that can be replaced ([`Client::with_http_service`], its feature `middleware`). [`TracedService`]
//! is such a service, and [`traced`](ClientExt::traced) puts async-openai's usual retries around it. Whoever builds a stack of their
//! own puts it innermost:
//!
//! ```no_run
//! # use async_openai::{Client, middleware::retry::OpenAIRetryLayer};
//! # use ddtrace_async_openai::TracedService;
//! # use tower_layer::Layer as _;
//! let service = OpenAIRetryLayer::new(10).layer(TracedService::new(reqwest::Client::new()));
//! let client = Client::new().with_http_service(service);
//! ```
//!
//! A client keeps the `reqwest::Client` that it was given to itself, so one with settings of its own has to be
//! [named again](ClientExt::traced_with).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_openai::Client;
use async_openai::config::Config;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::middleware::retry::OpenAIRetryLayer;
use ddtrace_reqwest::ClientExt as _;
use reqwest::Response;
use tower_layer::Layer as _;
use tower_service::Service;

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("async-openai", "async-openai", "0.41")
}

/// Makes spans of what a client sends.
pub trait ClientExt: Sized {
    /// The client, with a `reqwest::Client` of the default settings, as it has by itself.
    #[must_use]
    fn traced(self) -> Self {
        self.traced_with(reqwest::Client::new())
    }

    /// The client, with this `reqwest::Client` to send with.
    #[must_use]
    fn traced_with(self, http: reqwest::Client) -> Self;
}

impl<C: Config> ClientExt for Client<C> {
    fn traced_with(self, http: reqwest::Client) -> Self {
        self.with_http_client(http.clone())
            .with_http_service(OpenAIRetryLayer::default().layer(TracedService::new(http)))
    }
}

/// Sends requests, each in a span.
#[derive(Clone, Debug, Default)]
pub struct TracedService {
    client: reqwest::Client,
}

impl TracedService {
    /// A service that sends with this client.
    pub fn new(client: reqwest::Client) -> Self {
        Self { client }
    }
}

impl Service<HttpRequestFactory> for TracedService {
    type Response = Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: HttpRequestFactory) -> Self::Future {
        let client = self.client.clone();
        Box::pin(async move {
            let request = request.build().await?;
            let sent = client.execute_traced(request);
            sent.await.map_err(OpenAIError::Reqwest)
        })
    }
}
