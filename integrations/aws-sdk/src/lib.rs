//! Spans for the AWS SDK, and trace context in the messages that it sends.
//!
//! ```
//! # use aws_sdk_sqs::config::{BehaviorVersion, Builder};
//! # let builder = Builder::new().behavior_version(BehaviorVersion::latest());
//! // aws_sdk_sqs::config::Builder::from(&sdk_config), or of any other service
//! let config = builder.interceptor(ddtrace_aws_sdk::interceptor()).build();
//! let client = aws_sdk_sqs::Client::from_conf(config);
//! # let _ = client;
//! ```
//!
//! # What a span says
//!
//! One span per operation, attempts included: name `sqs.command`, type `http`, kind `client`, resource `sqs.sendmessage`, service `aws.sqs`.
//! `aws.service`, `aws.operation`, `aws.region`, `aws.partition`, `aws.agent`, `aws.request_id`, `http.status_code`, `retry_attempts`,
//! and what the operation is about: `queuename`, `topicname`, `streamname`, `tablename`, `bucketname`, `rulename`, `functionname`,
//! `statemachinearn`. A status in `DD_TRACE_HTTP_SERVER_ERROR_STATUSES` marks the span as an error with the code and message of the answer,
//! and so does an error without an answer, with `error.type` `timeout`, `connect` and so on. A future that is dropped ends the span
//! with the tag `ddtrace.cancelled`. An HTTP client of ours further in makes no span.
//!
//! Presigning a request is no operation: it makes no span and signs no headers of ours.
//!
//! # Where context travels
//!
//! In headers of every request, which are signed; and in messages, so that whoever receives them finds it:
//!
//! | operation | where | left out if |
//! | --- | --- | --- |
//! | SQS `SendMessage`, `SendMessageBatch` | attribute `_datadog`, a string | the message has ten attributes already, or would come to exceed 256 KiB |
//! | SNS `Publish`, `PublishBatch` | attribute `_datadog`, binary | the same |
//! | Kinesis `PutRecord`, `PutRecords` | member `_datadog` of the data | the data is no JSON object, or would come to exceed 1 MiB |
//! | EventBridge `PutEvents` | member `_datadog` of the detail | the detail is no JSON object, or would come to exceed 256 KiB |
//! | Step Functions `StartExecution`, `StartSyncExecution` | member `_datadog` of the input | the input is no JSON object, or has one |
//! | Lambda `Invoke` | `custom` of the client context | the context would come to exceed 3,583 bytes |
//!
//! `ReceiveMessage` asks for the attribute, and its span links to the spans that sent. What processes a message continues
//! their trace by [`context_of_message`]. Data Streams learns of every message on both sides.
//!
//! `DD_AWS_SDK_DISTRIBUTED_TRACING=false` keeps context out of headers and messages, `DD_TRACE_AWS_SDK_ENABLED=false` switches all of it off,
//! `DD_AWS_SDK_SERVICE` takes the place of `aws` in the service.
//!
//! # Span pointers
//!
//! A span that has written an object of S3 (`PutObject`, `CopyObject`, `CompleteMultipartUpload`) or an item of DynamoDB (`PutItem`,
//! `UpdateItem`, `DeleteItem`, `BatchWriteItem`, `TransactWriteItems`) points to it. For items that are put as a whole, say which members are
//! the key: [`TraceInterceptor::with_dynamodb_keys`].
//!
//! # Bodies
//!
//! Products may follow an operation ([`HttpClientExchange`](ddtrace_core::events::HttpClientExchange)), so that a call of a model by Bedrock is
//! seen as one: the request as it was serialised, and the answer as it is read, event streams included.
//!
//! # How it works
//!
//! An [`Intercept`](aws_smithy_runtime_api::client::interceptors::Intercept) of the SDK's runtime, which is the same for all services: no service
//! crate is needed, and any version of them will do. The inputs of operations are opaque to it, so it reads and rewrites the
//! request as it was serialised, before it is signed: the wire formats of services do not change. Rewriting
//! copies everything else as it stands.

mod answer;
mod call;
mod form;
mod interceptor;
mod json;
mod pointers;
mod receive;
mod send;
mod subject;
mod tap;

pub use interceptor::{TraceInterceptor, interceptor};
pub use receive::{attribute, carrier_of_message, context_of_message};

ddtrace_core::instrument::inventory::submit! {
    ddtrace_core::instrument::Integration::new("aws-sdk", "aws-smithy-runtime-api", "1")
}
