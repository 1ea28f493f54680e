//! A network that gives the answers it was told to, in their order, and keeps what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::{Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

pub(crate) const QUEUE: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/cups";

/// Status and body; none is a connection that breaks.
type Answer = Option<(u16, String)>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Answers {
    answers: Arc<Mutex<Vec<Answer>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request as it was about to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answers {
    pub(crate) fn new(answers: &[Option<(u16, &str)>]) -> Self {
        let owned = answers
            .iter()
            .map(|answer| answer.map(|(status, body)| (status, body.to_owned())));
        Self {
            answers: Arc::new(Mutex::new(owned.collect())),
            asked: Arc::default(),
        }
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// A client of SQS in this network, with the interceptor.
    pub(crate) fn sqs(&self) -> aws_sdk_sqs::Client {
        let retry = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version_latest()
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
            .retry_config(retry)
            .http_client(self.clone())
            .interceptor(ddtrace_aws_sdk::interceptor());
        aws_sdk_sqs::Client::from_conf(config.build())
    }
}

impl HttpClient for Answers {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Answers {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.asked.lock().unwrap().push(Asked {
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            headers: headers.collect(),
            body: request.body().bytes().unwrap_or_default().to_vec(),
        });
        let Some((status, body)) = self.answers.lock().unwrap().remove(0) else {
            let error = std::io::Error::other("connection reset");
            return HttpConnectorFuture::ready(Err(ConnectorError::io(error.into())));
        };
        let status = StatusCode::try_from(status).unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}
