//! Clients of S3, DynamoDB, Kinesis, EventBridge, Step Functions, Lambda and Bedrock with the interceptor, against recorded answers.
#![cfg(test)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, PutRequest, TransactWriteItem, WriteRequest,
};
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use aws_sdk_s3::config::{Credentials, Region};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::{Blob, ByteStream};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::base64;
use aws_smithy_types::body::SdkBody;
use ddtrace_core::events::{self, MessageConsume, MessageProduce, Phase};
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use serde_json::{Value, json};

/// Answers every request the same, and keeps what it was asked.
#[derive(Clone, Debug, Default)]
struct Recorded {
    etag: Option<&'static str>,
    content_type: Option<&'static str>,
    body: Vec<u8>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Debug)]
struct Asked {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Recorded {
    fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            ..Self::default()
        }
    }

    /// The body of the only request, which is JSON.
    fn json(&self) -> Value {
        let asked = self.asked.lock().unwrap();
        assert_eq!(asked.len(), 1);
        serde_json::from_slice(&asked[0].body).unwrap()
    }
}

impl HttpClient for Recorded {
    fn http_connector(
        &self,
        _: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Recorded {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        self.asked.lock().unwrap().push(Asked {
            headers: headers.collect(),
            body: request.body().bytes().unwrap_or_default().to_vec(),
        });
        let status = StatusCode::try_from(200).unwrap();
        let mut response = HttpResponse::new(status, SdkBody::from(self.body.clone()));
        if let Some(etag) = self.etag {
            response.headers_mut().insert("etag", etag);
        }
        if let Some(content_type) = self.content_type {
            response.headers_mut().insert("content-type", content_type);
        }
        HttpConnectorFuture::ready(Ok(response))
    }
}

macro_rules! config {
    ($of:ident, $http:expr, $interceptor:expr) => {
        $of::Config::builder()
            .behavior_version_latest()
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("AKID", "secret", None, None, "test"))
            .http_client($http.clone())
            .interceptor($interceptor)
    };
    ($of:ident, $http:expr) => {
        config!($of, $http, ddtrace_aws_sdk::interceptor())
    };
}

mod calls;
mod models;

fn only(recorder: &Recorder) -> SpanData {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.remove(0)
}

/// The attributes of the only link.
fn pointer(span: &SpanData) -> BTreeMap<String, String> {
    assert_eq!(span.links.len(), 1, "{span:#?}");
    let attributes = span.links[0].attributes.iter();
    attributes
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect()
}

/// The hash of `some-bucket`, `some-key.data` and `ab12ef34`, by the reference's own tests.
const OBJECT: &str = "e721375466d4116ab551213fdea08413";
/// That of `some-table`, `some-key` and `some-value`.
const ITEM: &str = "7f1aee721472bcb48701d45c7c7f7821";

fn object_pointer() -> BTreeMap<String, String> {
    let pointer = [
        ("link.kind", "span-pointer"),
        ("ptr.dir", "d"),
        ("ptr.hash", OBJECT),
        ("ptr.kind", "aws.s3.object"),
    ];
    pointer
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[tokio::test]
async fn spans_point_to_the_objects_that_they_wrote() {
    let recorder = Recorder::new();
    for path_style in [false, true] {
        let client = |http: &Recorded| {
            let config = config!(aws_sdk_s3, http).force_path_style(path_style);
            aws_sdk_s3::Client::from_conf(config.build())
        };
        let mut http = Recorded::new("");
        http.etag = Some("\"ab12ef34\"");
        let s3 = client(&http);
        let put = s3.put_object().bucket("some-bucket").key("some-key.data");
        put.body(ByteStream::from_static(b"tea"))
            .send()
            .await
            .unwrap();
        let span = only(&recorder);
        assert_eq!(span.resource, "s3.putobject");
        assert_eq!(span.meta("bucketname"), Some("some-bucket"));
        assert_eq!(pointer(&span), object_pointer(), "path style: {path_style}");

        let http =
            Recorded::new("<CopyObjectResult><ETag>&quot;ab12ef34&quot;</ETag></CopyObjectResult>");
        let copy = client(&http)
            .copy_object()
            .bucket("some-bucket")
            .key("some-key.data");
        copy.copy_source("other/key").send().await.unwrap();
        assert_eq!(pointer(&only(&recorder)), object_pointer());

        let http = Recorded::new(
            "<CompleteMultipartUploadResult><ETag>\"ab12ef34\"</ETag></CompleteMultipartUploadResult>",
        );
        let complete = client(&http)
            .complete_multipart_upload()
            .bucket("some-bucket");
        complete
            .key("some-key.data")
            .upload_id("u")
            .send()
            .await
            .unwrap();
        assert_eq!(pointer(&only(&recorder)), object_pointer());
    }
}

#[tokio::test]
async fn presigning_is_no_operation_and_signs_no_headers_of_ours() {
    let recorder = Recorder::new();
    let http = Recorded::default();
    let s3 = aws_sdk_s3::Client::from_conf(config!(aws_sdk_s3, http).build());
    let config = PresigningConfig::expires_in(Duration::from_secs(60)).unwrap();
    let get = s3.get_object().bucket("some-bucket").key("k");
    let request = get.presigned(config).await.unwrap();
    assert!(
        request.uri().contains("X-Amz-SignedHeaders=host&"),
        "{}",
        request.uri()
    );
    assert_eq!(request.headers().count(), 0);
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn spans_point_to_the_items_that_they_wrote() {
    let recorder = Recorder::new();
    let http = Recorded::new("{}");
    let interceptor = ddtrace_aws_sdk::interceptor().with_dynamodb_keys("some-table", ["some-key"]);
    let config = config!(aws_sdk_dynamodb, http, interceptor);
    let dynamodb = aws_sdk_dynamodb::Client::from_conf(config.build());
    let value = || AttributeValue::S("some-value".into());
    let put = dynamodb.put_item().table_name("some-table");
    let put = put
        .item("some-key", value())
        .item("n", AttributeValue::N("1".into()));
    put.send().await.unwrap();
    let span = only(&recorder);
    assert_eq!(span.resource, "dynamodb.putitem");
    assert_eq!(span.meta("tablename"), Some("some-table"));
    assert_eq!(pointer(&span)["ptr.hash"], ITEM);
    assert_eq!(pointer(&span)["ptr.kind"], "aws.dynamodb.item");
    let update = dynamodb.update_item().table_name("some-table");
    update.key("some-key", value()).send().await.unwrap();
    assert_eq!(pointer(&only(&recorder))["ptr.hash"], ITEM);
}

#[tokio::test]
async fn batches_and_transactions_point_to_what_they_wrote() {
    let recorder = Recorder::new();
    let value = |text: &str| AttributeValue::S(text.into());
    let put = |text: &str| {
        let put = PutRequest::builder().item("some-key", value(text));
        WriteRequest::builder()
            .put_request(put.build().unwrap())
            .build()
    };
    let client = |answer: &str| {
        let interceptor =
            ddtrace_aws_sdk::interceptor().with_dynamodb_keys("some-table", ["some-key"]);
        let config = config!(aws_sdk_dynamodb, Recorded::new(answer), interceptor);
        aws_sdk_dynamodb::Client::from_conf(config.build())
    };
    // What was not written, as the service says it, and how many pointers there are.
    let left = json!({ "UnprocessedItems": { "some-table": [
        { "PutRequest": { "Item": { "some-key": { "S": "other-value" } } } }
    ] } });
    for (answer, count) in [("{}".to_owned(), 2), (left.to_string(), 1)] {
        let batch = client(&answer).batch_write_item();
        let writes = vec![put("some-value"), put("other-value")];
        batch
            .request_items("some-table", writes)
            .send()
            .await
            .unwrap();
        let span = only(&recorder);
        assert_eq!(span.links.len(), count, "{answer}");
        let attributes = span.links[0].attributes.iter();
        let hash = attributes.clone().find(|(key, _)| key == "ptr.hash");
        assert_eq!(hash.unwrap().1, ITEM);
    }
    let delete = Delete::builder().table_name("some-table");
    let delete = delete.key("some-key", value("some-value")).build().unwrap();
    let transact = client("{}").transact_write_items();
    let item = TransactWriteItem::builder().delete(delete).build();
    transact.transact_items(item).send().await.unwrap();
    assert_eq!(pointer(&only(&recorder))["ptr.hash"], ITEM);
    // A table whose key nobody told, and an operation that does not write.
    let unknown = client("{}").put_item().table_name("unknown");
    unknown.item("k", value("v")).send().await.unwrap();
    assert!(only(&recorder).links.is_empty());
    let get = client("{}").get_item().table_name("some-table");
    get.key("some-key", value("some-value"))
        .send()
        .await
        .unwrap();
    assert!(only(&recorder).links.is_empty());
}

#[tokio::test]
async fn records_and_events_carry_context() {
    type Places = Arc<Mutex<Vec<(String, String, Vec<String>)>>>;
    let places = Places::default();
    let seen = Arc::clone(&places);
    events::on::<MessageProduce<'_>>(Phase::Product, "test", move |event| {
        let place = event.destination.unwrap_or_default().to_owned();
        let details = event
            .details
            .iter()
            .map(|(key, value)| format!("{key}:{value}"));
        let details = details.collect();
        seen.lock()
            .unwrap()
            .push((event.system.to_owned(), place, details));
    });
    let recorder = Recorder::new();
    let http = Recorded::new(r#"{"ShardId":"s","SequenceNumber":"1"}"#);
    let kinesis = aws_sdk_kinesis::Client::from_conf(config!(aws_sdk_kinesis, http).build());
    let put = kinesis.put_record().stream_name("cups").partition_key("k");
    put.data(Blob::new(r#"{"a":1}"#)).send().await.unwrap();
    let span = only(&recorder);
    assert_eq!(span.meta("streamname"), Some("cups"));
    let data = base64::decode(http.json()["Data"].as_str().unwrap()).unwrap();
    let data: Value = serde_json::from_slice(&data).unwrap();
    assert_eq!(data["a"], 1);
    assert_eq!(
        data["_datadog"]["x-datadog-parent-id"],
        span.span_id.to_string()
    );

    let http = Recorded::new(r#"{"Entries":[{"EventId":"1"}],"FailedEntryCount":0}"#);
    let client = aws_sdk_eventbridge::Client::from_conf(config!(aws_sdk_eventbridge, http).build());
    let entry = PutEventsRequestEntry::builder()
        .source("shop")
        .detail_type("Brewed");
    let entry = entry.detail(r#"{"a":1}"#).event_bus_name("bus").build();
    client.put_events().entries(entry).send().await.unwrap();
    let span = only(&recorder);
    assert_eq!(span.resource, "events.putevents");
    let detail = http.json()["Entries"][0]["Detail"]
        .as_str()
        .unwrap()
        .to_owned();
    let detail: Value = serde_json::from_str(&detail).unwrap();
    assert_eq!(detail["a"], 1);
    assert_eq!(
        detail["_datadog"]["x-datadog-parent-id"],
        span.span_id.to_string()
    );
    let asked = http.asked.lock().unwrap();
    assert_eq!(
        asked[0].headers["x-datadog-parent-id"],
        span.span_id.to_string()
    );

    let text = str::to_owned;
    let expected = [
        (text("kinesis"), text("cups"), vec![]),
        (
            text("eventbridge"),
            text("Brewed"),
            vec![text("exchange:bus")],
        ),
    ];
    assert_eq!(*places.lock().unwrap(), expected);
}

#[tokio::test]
async fn records_that_arrive_tell_when_they_came_and_who_sent_them() {
    type Seen = Arc<Mutex<Vec<(String, Option<SystemTime>, u64)>>>;
    let arrived = Seen::default();
    let seen = Arc::clone(&arrived);
    events::on::<MessageConsume<'_>>(Phase::Product, "test", move |event| {
        let source = event.source.to_owned();
        seen.lock()
            .unwrap()
            .push((source, event.arrived_at, event.size));
    });
    let recorder = Recorder::new();
    let context = json!({ "x-datadog-trace-id": "7", "x-datadog-parent-id": "9" });
    let data = json!({ "a": 1, "_datadog": context }).to_string();
    let record = json!({
        "Data": base64::encode(&data),
        "PartitionKey": "key",
        "SequenceNumber": "1",
        "ApproximateArrivalTimestamp": 1_700_000_000.5,
    });
    let http = Recorded::new(json!({ "Records": [record] }).to_string());
    let kinesis = aws_sdk_kinesis::Client::from_conf(config!(aws_sdk_kinesis, http).build());
    let arn = "arn:aws:kinesis:eu-central-1:1:stream/cups";
    let get = kinesis.get_records().shard_iterator("i").stream_arn(arn);
    get.send().await.unwrap();
    let span = only(&recorder);
    let targets: Vec<_> = span
        .links
        .iter()
        .map(|link| link.target.span_id.get())
        .collect();
    assert_eq!(targets, [9]);
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_500);
    let size = (data.len() + 3) as u64;
    assert_eq!(*arrived.lock().unwrap(), [(arn.to_owned(), Some(at), size)]);
}
