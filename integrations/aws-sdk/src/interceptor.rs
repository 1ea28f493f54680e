//! The interceptor: what is done at which turn of an operation.

use std::borrow::Cow;
use std::time::Instant;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::Intercept;
use aws_smithy_runtime_api::client::interceptors::context::{
    BeforeDeserializationInterceptorContextMut, BeforeSerializationInterceptorContextMut,
    BeforeTransmitInterceptorContextMut, FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, Metadata};
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::Headers;
use aws_smithy_types::config_bag::ConfigBag;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::region::Region;
use ddtrace_core::events::Taps;
use ddtrace_core::instrument::Settings;
use ddtrace_core::propagation::CarrierMut;
use ddtrace_core::trace::{Site, Span, SpanKind};
use ddtrace_tower::client::Mark;

use crate::answer::{element, other_error, request_id, service_error};
use crate::call::{Call, InCall};
use crate::form::decoded;
use crate::pointers::{KeyNames, Written, items, point};
use crate::receive::{from_queue, from_stream};
use crate::send::into_messages;
use crate::subject::{bucket, describe, partition, path, service_name};
use crate::tap;

static SETTINGS: Settings = Settings::of("aws-sdk");

ddtrace_core::site! {
    static COMMAND: Site = Site::new("aws.command", "command", module_path!(), file!(), line!())
        .with_span_type("http")
        .with_kind(SpanKind::Client)
        .with_component("aws-sdk");
}

/// The name of what signs a request into its URL, instead of its headers.
const PRESIGNING: &str = "SigV4PresigningInterceptor";

/// Makes a span of every operation of a client. See the [crate] for where to put it.
pub fn interceptor() -> TraceInterceptor {
    TraceInterceptor::default()
}

/// An [`Intercept`] that makes a span of every operation; made by [`interceptor`].
#[derive(Clone, Debug, Default)]
pub struct TraceInterceptor {
    key_names: KeyNames,
}

impl TraceInterceptor {
    /// Says which members make up the key of a table of DynamoDB, one or two, so that a span that puts an item as a whole can point to it.
    #[must_use]
    pub fn with_dynamodb_keys<'a>(
        mut self,
        table: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let names = names.into_iter().map(str::to_owned).collect();
        self.key_names.insert(table.to_owned(), names);
        self
    }

    fn start(components: &RuntimeComponents, cfg: &ConfigBag) -> Option<Call> {
        let settings = SETTINGS.get()?;
        if components
            .interceptors()
            .any(|interceptor| interceptor.name() == PRESIGNING)
        {
            return None;
        }
        let metadata = cfg.load::<Metadata>()?;
        let (service, operation) = (service_name(metadata.service()), metadata.name());
        let mut span = Span::start(&COMMAND);
        if span.is_recording() {
            if let Some(owner) = settings.service_of(Some("aws")) {
                span.set_service(&format!("{owner}.{service}"));
                span.set_tag("_dd.svc_src", "aws-sdk");
            }
            let name = if settings.names_by_v1() {
                name_by_v1(&service, operation)
            } else {
                format!("{service}.command")
            };
            span.set_name(&name);
            span.set_resource(&format!("{service}.{}", operation.to_ascii_lowercase()));
            span.set_tag("_dd.measured", 1);
            span.set_tag("aws.agent", "aws-sdk-rust");
            span.set_tag("aws.service", service.as_str());
            span.set_tag("aws_service", service.as_str());
            span.set_tag("aws.operation", operation);
            if let Some(region) = cfg.load::<Region>() {
                span.set_tag("aws.region", region.as_ref());
                span.set_tag("region", region.as_ref());
                span.set_tag("aws.partition", partition(region.as_ref()));
            }
        }
        Some(Call {
            span,
            settings,
            service,
            operation: operation.to_owned(),
            source: None,
            written: None,
            bucket: None,
            taps: Taps::default(),
            is_offered: false,
            deadline: cfg
                .load::<TimeoutConfig>()
                .and_then(TimeoutConfig::operation_timeout)
                .and_then(|allowed| Instant::now().checked_add(allowed)),
        })
    }

    fn serialised(&self, call: &mut Call, request: &mut HttpRequest) {
        let Call {
            span,
            settings,
            service,
            operation,
            source,
            written,
            ..
        } = call;
        if span.is_recording() {
            describe(span, service, request);
            let body = request.body().bytes().unwrap_or_default();
            *source = read_from(service, operation, body);
            *written = match (service.as_str(), operation.as_str()) {
                ("s3", "PutObject" | "CopyObject" | "CompleteMultipartUpload") => {
                    let key = decoded_path(path(request.uri()));
                    Some(Written::Object { key })
                }
                ("dynamodb", _) => items(operation, body, &self.key_names).map(Written::Items),
                _ => None,
            };
        }
        let is_carrying = settings.own.distributed_tracing;
        // What cannot be read is sent as it is.
        let _ = into_messages(span, service, operation, is_carrying, request);
    }
}

impl Intercept for TraceInterceptor {
    fn name(&self) -> &'static str {
        "DatadogTraceInterceptor"
    }

    fn modify_before_serialization(
        &self,
        _: &mut BeforeSerializationInterceptorContextMut<'_>,
        components: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(call) = Self::start(components, cfg) {
            cfg.interceptor_state().store_put(InCall::new(call));
        }
        Ok(())
    }

    fn modify_before_retry_loop(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(call) = cfg.load::<InCall>() {
            call.with(|call| self.serialised(call, context.request_mut()));
        }
        Ok(())
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(call) = cfg.load::<InCall>() {
            call.with(|call| {
                let request = context.request_mut();
                request.add_extension(Mark::default());
                if call.service == "s3" && call.bucket.is_none() {
                    note_bucket(call, request);
                }
                if !std::mem::replace(&mut call.is_offered, true) {
                    let _active = call.span.enter();
                    call.taps = tap::offer(request);
                }
                if call.settings.own.distributed_tracing {
                    let _active = call.span.enter();
                    ddtrace_core::trace::inject(&mut HeadersCarrier(request.headers_mut()));
                }
            });
        }
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(call) = cfg.load::<InCall>() {
            call.with(|call| {
                if !call.taps.is_empty() {
                    let taps = std::mem::take(&mut call.taps);
                    call.taps = tap::lay(context.response_mut(), taps);
                }
            });
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        cfg: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let attempts = cfg.load::<RequestAttempts>().map(|it| it.attempts());
        if let Some(call) = cfg.load::<InCall>().and_then(InCall::end) {
            if call.span.is_recording() || !call.taps.is_empty() {
                ended(call, context, attempts);
            }
        }
        Ok(())
    }
}

/// The name of an operation by schema `v1`: messages are sent and received, functions invoked, everything else is a request.
fn name_by_v1(service: &str, operation: &str) -> String {
    let (called, verb) = match (service, operation) {
        ("sqs", "SendMessage" | "SendMessageBatch") => ("sqs", "send"),
        ("sqs", "ReceiveMessage") => ("sqs", "receive"),
        ("sns", "Publish" | "PublishBatch") => ("sns", "send"),
        ("kinesis", "PutRecord" | "PutRecords") => ("kinesis", "send"),
        ("events", "PutEvents") => ("eventbridge", "send"),
        ("states", "StartExecution" | "StartSyncExecution") => ("stepfunctions", "send"),
        ("lambda", "Invoke") => ("lambda", "invoke"),
        _ => (service, "request"),
    };
    format!("aws.{called}.{verb}")
}

/// The queue or the stream that an operation reads from.
fn read_from(service: &str, operation: &str, body: &[u8]) -> Option<String> {
    let body = crate::json::Members::parse(body)?;
    match (service, operation) {
        ("sqs", "ReceiveMessage") => body.text("QueueUrl"),
        ("kinesis", "GetRecords") => body.text("StreamARN").or_else(|| body.text("StreamName")),
        _ => None,
    }
}

/// The endpoint is resolved, and with it the bucket: in the path before the key, or in the host.
fn note_bucket(call: &mut Call, request: &HttpRequest) {
    let uri = request.uri();
    let whole = uri.split(['?', '#']).next().unwrap_or_default();
    let Some((_, rest)) = whole.split_once("://") else {
        return;
    };
    let host_end = whole.len() - rest.len() + rest.find('/').unwrap_or(rest.len());
    let (endpoint, path) = whole.split_at(host_end);
    let found = match bucket(endpoint) {
        Some(bucket) => Some(Cow::Borrowed(bucket)),
        None => {
            // Keys may have slashes: what is known of the key tells where it begins.
            let before = match &call.written {
                Some(Written::Object { key }) => {
                    let path = decoded_path(path);
                    let before = path.strip_suffix(key.as_str()).map(str::to_owned);
                    before.map(Cow::Owned)
                }
                _ => Some(Cow::Borrowed(
                    path.trim_start_matches('/')
                        .split('/')
                        .next()
                        .unwrap_or_default(),
                )),
            };
            before.and_then(|before| {
                let whole = format!("{endpoint}/{}", before.trim_matches('/'));
                bucket(&whole).map(|bucket| Cow::Owned(bucket.to_owned()))
            })
        }
    };
    if let Some(bucket) = found {
        call.span.set_tag("aws.s3.bucket_name", bucket.as_ref());
        call.span.set_tag("bucketname", bucket.as_ref());
        call.bucket = Some(bucket.into_owned());
    }
}

/// A path without the first slash and without escapes.
fn decoded_path(path: &str) -> String {
    // A plus is a plus in a path.
    decoded(&path.trim_start_matches('/').replace('+', "%2B"))
}

/// Says how it ended.
fn ended(mut call: Call, context: &FinalizerInterceptorContextRef<'_>, attempts: Option<u32>) {
    let span = &mut call.span;
    if let Some(attempts) = attempts {
        span.set_tag("retry_attempts", attempts.saturating_sub(1));
    }
    let response = context.response();
    let mut is_error_status = false;
    if let Some(response) = response {
        let status = response.status().as_u16();
        span.set_tag("http.status_code", status.to_string());
        is_error_status = call.settings.http().is_error(status);
        if let Some(id) = request_id(response) {
            span.set_tag("aws.request_id", id);
            span.set_tag("aws.requestid", id);
        }
    }
    match (context.output_or_error(), response) {
        (Some(Ok(_)), response) => {
            let body = response
                .and_then(|it| it.body().bytes())
                .unwrap_or_default();
            let is_linking = call.settings.own.distributed_tracing;
            if let Some(source) = &call.source {
                match call.service.as_str() {
                    "sqs" => from_queue(span, source, body, is_linking),
                    _ => from_stream(span, source, body, is_linking),
                }
            }
            if let Some(written) = &call.written {
                let header = response.and_then(|it| it.headers().get("etag"));
                let of_body = || {
                    let etag = element(std::str::from_utf8(body).ok()?, "ETag")?;
                    Some(etag.replace("&quot;", "\""))
                };
                let etag = header.map(str::to_owned).or_else(of_body);
                point(span, written, call.bucket.as_deref(), etag.as_deref(), body);
            }
            if is_error_status {
                span.set_error_flag(true);
            }
        }
        (Some(Err(error)), Some(answer)) if error.is_operation_error() => {
            if is_error_status {
                let (code, message) = service_error(answer);
                let code = code.as_deref().unwrap_or("unknown");
                span.set_error_message(code, &message, None);
            }
        }
        (Some(Err(error)), _) => {
            let (kind, message) = other_error(error);
            span.set_error_message(kind, &message, None);
            tap::ended(std::mem::take(&mut call.taps), None, kind, &message);
        }
        (None, _) => {}
    }
    tap::ended(call.taps, response, "operation", "the operation failed");
}

/// Headers of a request to write to.
struct HeadersCarrier<'a>(&'a mut Headers);

impl CarrierMut for HeadersCarrier<'_> {
    fn set(&mut self, name: &str, value: &[u8]) {
        if let Ok(value) = std::str::from_utf8(value) {
            // An error means that it is no header; then the context is lost, not the request.
            let _ = self.0.try_insert(name.to_owned(), value.to_owned());
        }
    }
}
