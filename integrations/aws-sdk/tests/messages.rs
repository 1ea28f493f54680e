//! The SDK's own clients of SQS and SNS, against a queue and a topic in this process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_sns::types::PublishBatchRequestEntry;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{Credentials, Region};
use aws_sdk_sqs::types::{Message, MessageAttributeValue, SendMessageBatchRequestEntry};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddtrace_aws_sdk::context_of_message;
use ddtrace_core::events::{self, MessageConsume, MessageProduce, Phase};
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use ddtrace_core::trace::Span;
use serde_json::{Value, json};

const QUEUE: &str = "https://sqs.eu-central-1.amazonaws.com/123456789012/cups";
const TOPIC: &str = "arn:aws:sns:eu-central-1:123456789012:tea";

/// A queue, a topic that the queue is subscribed to, and whatever else is asked of the network.
#[derive(Clone, Debug, Default)]
struct Cloud(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    queue: Vec<Value>,
    /// Headers of the requests that arrived, with the names that were signed.
    requests: Vec<BTreeMap<String, String>>,
    /// What the next requests are answered with instead.
    trouble: Vec<Trouble>,
}

#[derive(Clone, Copy, Debug)]
enum Trouble {
    Status(u16, &'static str),
    Gone,
    Silence,
}

impl HttpClient for Cloud {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Cloud {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.0.lock().unwrap();
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        state.requests.push(headers.collect());
        if !state.trouble.is_empty() {
            match state.trouble.remove(0) {
                Trouble::Status(status, body) => {
                    return HttpConnectorFuture::ready(Ok(response(status, body.to_owned())));
                }
                Trouble::Gone => {
                    let error = std::io::Error::other("connection refused");
                    return HttpConnectorFuture::ready(Err(ConnectorError::io(error.into())));
                }
                Trouble::Silence => return HttpConnectorFuture::new(std::future::pending()),
            }
        }
        let body = request.body().bytes().unwrap();
        let length = request.headers().get("content-length").unwrap();
        assert_eq!(length.parse(), Ok(body.len()));
        let answer = match request.headers().get("x-amz-target") {
            Some(target) => {
                let body = serde_json::from_slice(body).unwrap();
                let operation = target.strip_prefix("AmazonSQS.").unwrap();
                queue(&mut state, operation, &body).to_string()
            }
            None => topic(&mut state, std::str::from_utf8(body).unwrap()),
        };
        HttpConnectorFuture::ready(Ok(response(200, answer)))
    }
}

fn response(status: u16, body: String) -> HttpResponse {
    let status = StatusCode::try_from(status).unwrap();
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("x-amzn-requestid", "r-1");
    response
}

fn queue(state: &mut State, operation: &str, request: &Value) -> Value {
    let mut send = |message: &Value| {
        let attributes = message.get("MessageAttributes").cloned();
        let attributes = attributes.unwrap_or_else(|| json!({}));
        let body = message["MessageBody"].clone();
        state
            .queue
            .push(json!({ "Body": body, "MessageAttributes": attributes }));
    };
    match operation {
        "SendMessage" => {
            send(request);
            json!({ "MessageId": "m-1" })
        }
        "SendMessageBatch" => {
            let entries = request["Entries"].as_array().unwrap();
            entries.iter().for_each(&mut send);
            let done = entries.iter().map(
                |entry| json!({ "Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": "" }),
            );
            json!({ "Successful": done.collect::<Vec<_>>(), "Failed": [] })
        }
        "ReceiveMessage" => {
            let names: Vec<&str> = request["MessageAttributeNames"]
                .as_array()
                .map(|names| names.iter().map(|name| name.as_str().unwrap()).collect())
                .unwrap_or_default();
            let mut messages = std::mem::take(&mut state.queue);
            for message in &mut messages {
                let attributes = message["MessageAttributes"].as_object_mut().unwrap();
                attributes.retain(|name, _| names.contains(&name.as_str()));
            }
            json!({ "Messages": messages })
        }
        operation => unreachable!("{operation}"),
    }
}

/// Delivers to the queue as SNS does: the message with its attributes is the body.
fn topic(state: &mut State, form: &str) -> String {
    let form: BTreeMap<String, String> = form
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), percent_decoded(value)))
        .collect();
    let action = form["Action"].as_str();
    let prefixes: Vec<String> = match action {
        "Publish" => vec![String::new()],
        _ => (1..)
            .map(|number| format!("PublishBatchRequestEntries.member.{number}."))
            .take_while(|prefix| form.contains_key(&format!("{prefix}Id")))
            .collect(),
    };
    let mut done = String::new();
    for prefix in prefixes {
        let mut attributes = json!({});
        for number in 1.. {
            let entry = format!("{prefix}MessageAttributes.entry.{number}.");
            let Some(name) = form.get(&format!("{entry}Name")) else {
                break;
            };
            let kind = &form[&format!("{entry}Value.DataType")];
            let value = &form[&format!("{entry}Value.{kind}Value")];
            attributes[name] = json!({ "Type": kind, "Value": value });
        }
        let notification = json!({
            "Type": "Notification",
            "Message": form[&format!("{prefix}Message")],
            "MessageAttributes": attributes,
        });
        let body = notification.to_string();
        state
            .queue
            .push(json!({ "Body": body, "MessageAttributes": {} }));
        let _ = write!(done, "<member><MessageId>m</MessageId></member>");
    }
    format!(
        "<{action}Response><{action}Result><MessageId>m</MessageId><Successful>{done}</Successful><Failed/></{action}Result></{action}Response>"
    )
}

fn percent_decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend(part[2..].bytes());
    }
    String::from_utf8(bytes).unwrap()
}

macro_rules! client {
    ($of:ident, $cloud:expr) => {{
        let retry = RetryConfig::standard().with_initial_backoff(Duration::from_millis(1));
        let config = $of::Config::builder()
            .behavior_version_latest()
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
            .retry_config(retry)
            .http_client($cloud.clone())
            .interceptor(ddtrace_aws_sdk::interceptor());
        $of::Client::from_conf(config.build())
    }};
}

fn only(recorder: &Recorder) -> SpanData {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.remove(0)
}

/// The id of the span that a message was sent by.
fn parent(message: &Message) -> Option<u64> {
    let attribute = message
        .message_attributes()
        .and_then(|all| all.get("_datadog"));
    let text = attribute.and_then(MessageAttributeValue::string_value);
    let context = context_of_message(text, message.body()).context?;
    context.span_id.map(|id| id.get())
}

#[tokio::test]
async fn a_message_carries_the_context_of_its_sending() {
    let recorder = Recorder::new();
    let cloud = Cloud::default();
    let sqs = client!(aws_sdk_sqs, cloud);
    let who = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("ada")
        .build()
        .unwrap();
    let send = sqs.send_message().queue_url(QUEUE).message_body("tea");
    send.message_attributes("who", who).send().await.unwrap();
    let sent = only(&recorder);
    assert_eq!(sent.name, "sqs.command");
    assert_eq!(sent.service, "aws.sqs");
    assert_eq!(sent.resource, "sqs.sendmessage");
    assert_eq!(sent.span_type, "http");
    assert!(!sent.error);
    assert_eq!(sent.metric("retry_attempts"), Some(0.0));
    for (tag, value) in [
        ("aws.service", "sqs"),
        ("aws.operation", "SendMessage"),
        ("aws.region", "eu-central-1"),
        ("aws.partition", "aws"),
        ("aws.agent", "aws-sdk-rust"),
        ("aws.request_id", "r-1"),
        ("http.status_code", "200"),
        ("queuename", "cups"),
        ("aws.sqs.queue_name", "cups"),
        ("aws_account", "123456789012"),
        ("component", "aws-sdk"),
        ("span.kind", "client"),
        ("_dd.svc_src", "aws-sdk"),
    ] {
        assert_eq!(sent.meta(tag), Some(value), "{tag}");
    }
    // In headers too, and these are signed.
    let headers = cloud.0.lock().unwrap().requests.remove(0);
    assert_eq!(headers["x-datadog-parent-id"], sent.span_id.to_string());
    let signed = headers["authorization"]
        .split("SignedHeaders=")
        .nth(1)
        .unwrap();
    let signed = signed.split(',').next().unwrap();
    for name in ["x-datadog-trace-id", "traceparent"] {
        assert!(signed.split(';').any(|one| one == name), "{signed}");
    }

    let received = sqs.receive_message().queue_url(QUEUE).send().await.unwrap();
    let [message] = received.messages() else {
        panic!("{received:?}")
    };
    assert_eq!(message.body(), Some("tea"));
    // It asked for ours alone.
    let attributes = message.message_attributes().unwrap();
    assert_eq!(attributes.keys().collect::<Vec<_>>(), ["_datadog"]);
    assert_eq!(parent(message), Some(sent.span_id));
    let received = only(&recorder);
    assert_eq!(received.resource, "sqs.receivemessage");
    let targets = received.links.iter().map(|link| link.target.span_id.get());
    assert_eq!(targets.collect::<Vec<_>>(), [sent.span_id]);

    let context = context_of_message(attributes["_datadog"].string_value(), None);
    Span::builder("process")
        .continuing(context)
        .start()
        .finish();
    let process = only(&recorder);
    assert_eq!(
        (process.trace_id, process.parent_id),
        (sent.trace_id, sent.span_id)
    );
}

#[tokio::test]
async fn messages_of_batches_and_of_topics_carry_it_as_well() {
    let recorder = Recorder::new();
    let cloud = Cloud::default();
    let (sqs, sns) = (client!(aws_sdk_sqs, cloud), client!(aws_sdk_sns, cloud));
    let entry = |id: &str| {
        let entry = SendMessageBatchRequestEntry::builder().id(id);
        entry.message_body(id).build().unwrap()
    };
    let batch = sqs.send_message_batch().queue_url(QUEUE);
    batch
        .entries(entry("a"))
        .entries(entry("b"))
        .send()
        .await
        .unwrap();
    let by_queue = only(&recorder);
    sns.publish()
        .topic_arn(TOPIC)
        .message("c & d")
        .send()
        .await
        .unwrap();
    let by_topic = only(&recorder);
    assert_eq!(by_topic.resource, "sns.publish");
    assert_eq!(by_topic.service, "aws.sns");
    assert_eq!(by_topic.meta("topicname"), Some("tea"));
    assert_eq!(by_topic.meta("aws.sns.topic_arn"), Some(TOPIC));
    assert_eq!(by_topic.meta("aws_account"), Some("123456789012"));
    let entry = |id: &str| {
        let entry = PublishBatchRequestEntry::builder().id(id);
        entry.message(id).build().unwrap()
    };
    let batch = sns.publish_batch().topic_arn(TOPIC);
    let batch = batch.publish_batch_request_entries(entry("e"));
    batch
        .publish_batch_request_entries(entry("f"))
        .send()
        .await
        .unwrap();
    let by_topic_batch = only(&recorder);

    let received = sqs.receive_message().queue_url(QUEUE).send().await.unwrap();
    let parents: Vec<_> = received.messages().iter().map(parent).collect();
    let ids = [
        &by_queue,
        &by_queue,
        &by_topic,
        &by_topic_batch,
        &by_topic_batch,
    ];
    assert_eq!(parents, ids.map(|span| Some(span.span_id)));
    let body: Value = serde_json::from_str(received.messages()[2].body().unwrap()).unwrap();
    assert_eq!(body["Message"], "c & d");
    // The attribute is JSON of texts.
    let attribute = body["MessageAttributes"]["_datadog"]["Value"]
        .as_str()
        .unwrap();
    let carried: BTreeMap<String, String> =
        serde_json::from_slice(&STANDARD.decode(attribute).unwrap()).unwrap();
    assert!(carried.contains_key("traceparent"));
}

#[tokio::test]
async fn data_streams_learns_of_every_message_on_both_sides() {
    type Seen = Arc<Mutex<Vec<(String, String, u64)>>>;
    let (produced, consumed) = (Seen::default(), Seen::default());
    let seen = Arc::clone(&produced);
    events::on::<MessageProduce<'_>>(Phase::Product, "test", move |event| {
        let place = event.destination.unwrap_or_default().to_owned();
        if !place.starts_with("streams") && !place.ends_with(":streams") {
            return;
        }
        seen.lock()
            .unwrap()
            .push((event.system.to_owned(), place, event.size));
        let headers = event.headers.as_mut().unwrap();
        headers
            .as_carrier_mut()
            .set("dd-pathway-ctx-base64", b"cGF0aHdheQ==");
    });
    let seen = Arc::clone(&consumed);
    events::on::<MessageConsume<'_>>(Phase::Product, "test", move |event| {
        if event.source == "streams" {
            let pathway = event.headers.get("dd-pathway-ctx-base64").unwrap();
            let pathway = String::from_utf8(pathway.to_vec()).unwrap();
            seen.lock()
                .unwrap()
                .push((event.system.to_owned(), pathway, event.size));
        }
    });
    let recorder = Recorder::new();
    let cloud = Cloud::default();
    let (sqs, sns) = (client!(aws_sdk_sqs, cloud), client!(aws_sdk_sns, cloud));
    let url = QUEUE.replace("cups", "streams");
    let topic = TOPIC.replace(":tea", ":streams");
    sqs.send_message()
        .queue_url(&url)
        .message_body("tea")
        .send()
        .await
        .unwrap();
    sns.publish()
        .topic_arn(&topic)
        .message("tea")
        .subject("s")
        .send()
        .await
        .unwrap();
    sqs.receive_message().queue_url(&url).send().await.unwrap();
    drop(recorder);

    let produced = produced.lock().unwrap();
    let places: Vec<_> = produced
        .iter()
        .map(|(system, place, _)| (system.as_str(), place.as_str()))
        .collect();
    assert_eq!(places, [("sqs", "streams"), ("sns", topic.as_str())]);
    let consumed = consumed.lock().unwrap();
    let pathways: Vec<_> = consumed
        .iter()
        .map(|(system, pathway, _)| (system.as_str(), pathway.as_str()))
        .collect();
    assert_eq!(pathways, [("sqs", "cGF0aHdheQ=="); 2]);
}

#[tokio::test]
async fn sizes_are_those_of_the_reference() {
    // `calculate_sqs_payload_size` of dd-trace-py: body, attributes, group, and ours as it is about to be added.
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&sizes);
    events::on::<MessageProduce<'_>>(Phase::Security, "sizes", move |event| {
        if event.destination == Some("sized") {
            seen.lock().unwrap().push(event.size);
        }
    });
    let recorder = Recorder::with_variables(&[("DD_AWS_SDK_DISTRIBUTED_TRACING", "false")]);
    let cloud = Cloud::default();
    let sqs = client!(aws_sdk_sqs, cloud);
    let who = MessageAttributeValue::builder()
        .data_type("String")
        .string_value("ada")
        .build()
        .unwrap();
    let send = sqs.send_message().queue_url(QUEUE.replace("cups", "sized"));
    let send = send.message_body("tea").message_group_id("g1");
    send.message_attributes("who", who).send().await.unwrap();
    drop(recorder);
    // tea, g1, who, DataType, String, StringValue, ada.
    assert_eq!(*sizes.lock().unwrap(), [3 + 2 + 3 + 8 + 6 + 11 + 3]);
    // Without distributed tracing nothing is added.
    let message = cloud.0.lock().unwrap().queue.remove(0);
    assert_eq!(message["MessageAttributes"].as_object().unwrap().len(), 1);
    let headers = cloud.0.lock().unwrap().requests.remove(0);
    assert!(!headers.contains_key("traceparent"));
}

#[tokio::test]
async fn trouble_reaches_the_caller_and_marks_the_span() {
    let missing = r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}"#;
    let broken = r#"{"__type":"InternalFailure","message":"out of tea"}"#;
    // What happens, the error's type and message, status, attempts after the first.
    type Case<'a> = (
        &'a [Trouble],
        Option<&'a str>,
        &'a str,
        Option<&'a str>,
        f64,
    );
    let cases: [Case<'_>; 4] = [
        // A client's mistake marks no span, by the statuses that are set.
        (&[Trouble::Status(400, missing)], None, "", Some("400"), 0.0),
        (
            &[Trouble::Status(500, broken); 3],
            Some("InternalFailure"),
            "out of tea",
            Some("500"),
            2.0,
        ),
        (
            &[Trouble::Status(503, ""), Trouble::Gone],
            None,
            "",
            Some("200"),
            2.0,
        ),
        (
            &[Trouble::Gone; 3],
            Some("connect"),
            "connection refused",
            None,
            2.0,
        ),
    ];
    for (trouble, kind, message, status, attempts) in cases {
        let recorder = Recorder::new();
        let cloud = Cloud::default();
        cloud.0.lock().unwrap().trouble = trouble.to_vec();
        let sqs = client!(aws_sdk_sqs, cloud);
        let sent = sqs
            .send_message()
            .queue_url(QUEUE)
            .message_body("tea")
            .send()
            .await;
        assert_eq!(sent.is_ok(), status == Some("200"), "{sent:?}");
        let span = only(&recorder);
        assert_eq!(span.error, kind.is_some(), "{span:#?}");
        assert_eq!(span.meta("error.type"), kind);
        assert!(
            span.meta("error.message")
                .unwrap_or_default()
                .contains(message)
        );
        assert_eq!(span.meta("http.status_code"), status);
        assert_eq!(span.metric("retry_attempts"), Some(attempts));
        // Attempts send the same, and context once.
        let requests = std::mem::take(&mut cloud.0.lock().unwrap().requests);
        assert_eq!(requests.len() as f64, attempts + 1.0);
        for headers in requests {
            assert_eq!(headers["x-datadog-parent-id"], span.span_id.to_string());
        }
    }
}

#[tokio::test]
async fn an_operation_that_takes_too_long_or_is_given_up_ends_its_span() {
    let recorder = Recorder::new();
    let cloud = Cloud::default();
    cloud.0.lock().unwrap().trouble = vec![Trouble::Silence; 2];
    let sqs = client!(aws_sdk_sqs, cloud);
    let send = || sqs.send_message().queue_url(QUEUE).message_body("tea");
    let timeout = TimeoutConfig::builder().operation_timeout(Duration::from_millis(100));
    let config = aws_sdk_sqs::Config::builder().timeout_config(timeout.build());
    let result = send().customize().config_override(config).send().await;
    assert!(result.is_err());
    let span = only(&recorder);
    assert!(span.error, "{result:?} {span:#?}");
    assert_eq!(span.meta("error.type"), Some("timeout"));

    let given_up = tokio::time::timeout(Duration::from_millis(100), send().send()).await;
    assert!(given_up.is_err());
    let span = only(&recorder);
    assert!(!span.error);
    assert_eq!(span.meta("ddtrace.cancelled"), Some("true"));
    assert_eq!(span.resource, "sqs.sendmessage");
}

#[tokio::test]
async fn settings_name_the_service_and_switch_it_off() {
    for (variables, expected) in [
        (
            &[("DD_AWS_SDK_SERVICE", "cloud")][..],
            Some(("sqs.command", "cloud.sqs")),
        ),
        (
            &[("DD_TRACE_SPAN_ATTRIBUTE_SCHEMA", "v1")],
            Some(("aws.sqs.send", "test")),
        ),
        (&[("DD_TRACE_AWS_SDK_ENABLED", "false")], None),
    ] {
        let recorder = Recorder::with_variables(variables);
        let cloud = Cloud::default();
        let sqs = client!(aws_sdk_sqs, cloud);
        sqs.send_message()
            .queue_url(QUEUE)
            .message_body("tea")
            .send()
            .await
            .unwrap();
        let message = cloud.0.lock().unwrap().queue.remove(0);
        match expected {
            Some((name, service)) => {
                let span = only(&recorder);
                assert_eq!((span.name.as_ref(), span.service.as_ref()), (name, service));
            }
            None => {
                assert!(recorder.take().is_empty());
                assert_eq!(message["MessageAttributes"], json!({}));
            }
        }
    }
}
