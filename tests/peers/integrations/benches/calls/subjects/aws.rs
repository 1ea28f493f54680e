//! The AWS SDK: a message to a queue of SQS, answered inside the process. The SDK has its own spans at the level DEBUG; a crate that
//! makes such as the semantic conventions ask for does not exist.

use super::{Subject, Work, rooted, variants};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{Config, Credentials, Region};
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::types::MessageAttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use ddtrace_peers_integrations::tracers::Tracer;
use fastrace::future::FutureExt as _;
use std::collections::HashMap;
use tracing::Instrument as _;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const QUEUE: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/cups";
const BODY: &str = r#"{"order":42,"cups":3}"#;

pub(crate) static SUBJECTS: &[Subject] = &[Subject {
    name: "AWS SDK, SQS SendMessage",
    needs: None,
    burst: 300,
    spans: 1,
    rooted: true,
    variants: variants! { tracer:
        Bare, "" => rooted(tracer, client(None), async |client| send(message(client)).await);
        Off, "ddtrace::aws_sdk" => ours(tracer);
        Ddtrace, "ddtrace::aws_sdk" => ours(tracer);
        Otel, "by hand" => otel(tracer);
        Datadog, "by hand" => otel(tracer);
        Fastrace, "by hand" => rooted(tracer, client(None), async |client| {
            let span = fastrace::Span::enter_with_local_parent("SQS.SendMessage").with_properties(|| {
                [("rpc.system", "aws-api"), ("rpc.service", "SQS"), ("rpc.method", "SendMessage"), ("aws.sqs.queue.url", QUEUE)]
            });
            let context = fastrace::collector::SpanContext::from_span(&span).expect("a root is above");
            let message = message(client).message_attributes("traceparent", text(context.encode_w3c_traceparent()));
            send(message).in_span(span).await;
        });
    },
}];

fn client(interceptor: Option<ddtrace::aws_sdk::TraceInterceptor>) -> Client {
    let mut config = Config::builder()
        .behavior_version_latest()
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("AKID", "secret", None, None, "bench"))
        .http_client(Cloud);
    if let Some(interceptor) = interceptor {
        config = config.interceptor(interceptor);
    }
    Client::from_conf(config.build())
}

fn message(client: &Client) -> SendMessageFluentBuilder {
    client.send_message().queue_url(QUEUE).message_body(BODY)
}

async fn send(message: SendMessageFluentBuilder) {
    let sent = message.send().await.expect("the queue answers");
    assert_eq!(sent.message_id(), Some("m-1"));
}

fn ours(tracer: Tracer) -> Box<dyn Work> {
    let client = client(Some(ddtrace::aws_sdk::interceptor()));
    rooted(tracer, client, async |client| send(message(client)).await)
}

fn text(value: String) -> MessageAttributeValue {
    let value = MessageAttributeValue::builder()
        .data_type("String")
        .string_value(value);
    value.build().expect("a complete attribute")
}

fn otel(tracer: Tracer) -> Box<dyn Work> {
    rooted(tracer, client(None), async |client| {
        let span = tracing::info_span!(
            "SQS.SendMessage",
            otel.kind = "producer",
            rpc.system = "aws-api",
            rpc.service = "SQS",
            rpc.method = "SendMessage",
            cloud.region = "eu-central-1",
            aws.sqs.queue.url = QUEUE,
            messaging.system = "aws_sqs",
            messaging.operation.type = "send",
            messaging.destination.name = "cups",
            messaging.message.id = tracing::field::Empty,
        );
        let mut context = HashMap::new();
        let of_span = span.context();
        opentelemetry::global::get_text_map_propagator(|it| {
            it.inject_context(&of_span, &mut context)
        });
        let mut message = message(client);
        for (name, value) in context {
            if !value.is_empty() {
                message = message.message_attributes(name, text(value));
            }
        }
        send(message).instrument(span.clone()).await;
        span.record("messaging.message.id", "m-1");
    })
}

/// Answers every request as SQS would.
#[derive(Clone, Copy, Debug)]
struct Cloud;

impl HttpClient for Cloud {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(*self)
    }
}

impl HttpConnector for Cloud {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let status = StatusCode::try_from(200).expect("a status");
        let body = SdkBody::from(r#"{"MessageId":"m-1"}"#);
        let mut response = HttpResponse::new(status, body);
        response.headers_mut().insert("x-amzn-requestid", "r-1");
        HttpConnectorFuture::ready(Ok(response))
    }
}
