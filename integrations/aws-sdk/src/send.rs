//! Messages that are about to be sent: context goes into them, and whoever listens is told.
//!
//! A request is rewritten once, after it was serialised and before the first attempt, so that attempts send the same.
//! What cannot be read as expected is left as it is.

use std::collections::BTreeMap;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddtrace_core::events::{self, MessageHeaders, MessageProduce};
use ddtrace_core::trace::Span;
use serde_json::json;
use serde_json::value::to_raw_value;

use crate::form::{Form, encoded};
use crate::json::{Members, size_of};
use crate::subject::queue;

/// What a message carries of ours, by name.
pub(crate) type Carried = BTreeMap<String, String>;

/// The attribute, or member, of a message that holds it.
const DATADOG: &str = "_datadog";

/// The most attributes that a message of SQS or SNS may have and still get ours.
const MAX_ATTRIBUTES: usize = 10;
/// The most that messages of one request of SQS or SNS may weigh with ours, and a detail of EventBridge.
const MAX_MESSAGE_BYTES: u64 = 256 * 1024;
/// The most that a record of Kinesis may weigh with ours.
const MAX_RECORD_BYTES: usize = 1024 * 1024;
/// The most that a client context of Lambda may weigh.
const MAX_CLIENT_CONTEXT_BYTES: usize = 3_583;

/// Puts context into the messages of a request, if it has any.
pub(crate) fn into_messages(
    span: &mut Span,
    service: &str,
    operation: &str,
    is_carrying: bool,
    request: &mut HttpRequest,
) -> Option<()> {
    let mut sender = Sender::new(span, is_carrying);
    let body = request.body().bytes()?;
    let body = match (service, operation) {
        ("sqs", "SendMessage") => sender.queue_message(Members::parse(body)?)?,
        ("sqs", "SendMessageBatch") => sender.queue_batch(Members::parse(body)?)?,
        ("sqs", "ReceiveMessage") if is_carrying => asking(Members::parse(body)?)?,
        ("sns", "Publish" | "PublishBatch") => sender.notification(body)?,
        ("kinesis", "PutRecord") => sender.record(Members::parse(body)?)?,
        ("kinesis", "PutRecords") => sender.records(Members::parse(body)?)?,
        ("events", "PutEvents") => sender.events(Members::parse(body)?)?,
        ("states", "StartExecution" | "StartSyncExecution") if is_carrying => {
            sender.execution(Members::parse(body)?)?
        }
        ("lambda", "Invoke") if is_carrying => return sender.invocation(request),
        _ => return None,
    };
    if request.headers().contains_key("content-length") {
        let length = body.len().to_string();
        request.headers_mut().insert("content-length", length);
    }
    *request.body_mut() = SdkBody::from(body);
    Some(())
}

struct Sender<'a> {
    span: &'a mut Span,
    /// The context of the span; empty if none is to be carried.
    context: Carried,
    is_carrying: bool,
}

/// A message, as far as those who listen are concerned.
struct Message<'a> {
    system: &'a str,
    destination: Option<&'a str>,
    details: &'a [(&'a str, &'a str)],
    /// Bytes of it without ours.
    size: u64,
    /// Bytes of what holds ours, without that.
    holder: u64,
}

impl<'a> Sender<'a> {
    fn new(span: &'a mut Span, is_carrying: bool) -> Self {
        let mut context = Carried::new();
        if is_carrying {
            // With tracing off, what came in with the request that is being served goes on from here.
            let _active = span.enter();
            ddtrace_core::trace::inject(&mut context);
        }
        Self {
            span,
            context,
            is_carrying,
        }
    }

    /// Tells of a message, and gives what it is to carry. Nothing if there is no room, or nothing to carry.
    fn offer(&mut self, message: &Message<'_>, has_room: bool) -> Option<Carried> {
        let mut carried = self.context.clone();
        let has_room = has_room && self.is_carrying;
        let ours = message.holder + weight(&carried);
        events::dispatch::<MessageProduce<'_>>(|| {
            let mut event = MessageProduce::new(self.span, message.system, message.destination);
            event.details = message.details;
            event.size = message.size + if has_room { ours } else { 0 };
            event.headers = has_room.then_some(&mut carried as &mut dyn MessageHeaders);
            event
        });
        (has_room && !carried.is_empty()).then_some(carried)
    }

    fn queue_message(&mut self, mut message: Members<'_>) -> Option<String> {
        let url = message.text("QueueUrl")?;
        self.queue_entry(queue(&url).0, &mut message, &mut 0)?;
        message.to_text()
    }

    fn queue_batch(&mut self, mut batch: Members<'_>) -> Option<String> {
        let url = batch.text("QueueUrl")?;
        let mut entries: Vec<Members<'_>> = batch.list("Entries")?;
        let mut total = entries.iter().map(queue_size).sum();
        for entry in &mut entries {
            let _ = self.queue_entry(queue(&url).0, entry, &mut total);
        }
        let entries = to_raw_value(&entries).ok()?;
        batch.set("Entries", &entries)?;
        batch.to_text()
    }

    /// `total` is what the other messages of the request weigh, and this one.
    fn queue_entry(
        &mut self,
        queue: &str,
        message: &mut Members<'_>,
        total: &mut u64,
    ) -> Option<()> {
        let size = queue_size(message);
        let attributes = message.members("MessageAttributes").unwrap_or_default();
        let holder = (DATADOG.len() + "DataTypeStringStringValue".len()) as u64;
        let before = (*total).max(size);
        let after = before + holder + weight(&self.context);
        let has_room = (attributes.len() < MAX_ATTRIBUTES || attributes.get(DATADOG).is_some())
            && after <= MAX_MESSAGE_BYTES;
        let carried = self.offer(
            &Message {
                system: "sqs",
                destination: Some(queue),
                details: &[],
                size,
                holder,
            },
            has_room,
        )?;
        let mut attributes = attributes;
        let text = serde_json::to_string(&carried).ok()?;
        attributes.set(
            DATADOG,
            &json!({ "DataType": "String", "StringValue": text }),
        )?;
        let attributes = to_raw_value(&attributes).ok()?;
        *total = after;
        message.set("MessageAttributes", &attributes)
    }

    fn notification(&mut self, body: &[u8]) -> Option<String> {
        let form = Form::parse(body)?;
        let topic = form.get("TopicArn")?;
        let batch = "PublishBatchRequestEntries.member.";
        let prefixes: Vec<String> = match form.highest(batch) {
            0 => vec![String::new()],
            highest => (1..=highest.min(MAX_BATCH))
                .map(|number| format!("{batch}{number}."))
                .collect(),
        };
        let mut total: u64 = prefixes
            .iter()
            .map(|prefix| topic_size(&form, prefix))
            .sum();
        let mut text = std::str::from_utf8(body).ok()?.to_owned();
        for prefix in prefixes {
            let list = format!("{prefix}MessageAttributes.entry.");
            let count = form.highest(&list);
            let has_ours = form
                .under(&list)
                .any(|(name, value)| name.ends_with(".Name") && value == DATADOG);
            let holder = (DATADOG.len() + "DataTypeBinaryBinaryValue".len()) as u64;
            let after = total + holder + weight(&self.context);
            let carried = self.offer(
                &Message {
                    system: "sns",
                    destination: Some(topic),
                    details: &[],
                    size: topic_size(&form, &prefix),
                    holder,
                },
                count < MAX_ATTRIBUTES && !has_ours && after <= MAX_MESSAGE_BYTES,
            );
            let Some(carried) = carried else { continue };
            total = after;
            let value = STANDARD.encode(serde_json::to_vec(&carried).ok()?);
            for (name, value) in [
                ("Name", DATADOG),
                ("Value.DataType", "Binary"),
                ("Value.BinaryValue", &value),
            ] {
                text.push('&');
                text.push_str(&format!("{list}{}.{name}={}", count + 1, encoded(value)));
            }
        }
        Some(text)
    }

    fn record(&mut self, mut record: Members<'_>) -> Option<String> {
        let stream = stream(&record)?;
        self.stream_entry(&stream, &mut record)?;
        record.to_text()
    }

    fn records(&mut self, mut request: Members<'_>) -> Option<String> {
        let stream = stream(&request)?;
        let mut records: Vec<Members<'_>> = request.list("Records")?;
        for record in &mut records {
            let _ = self.stream_entry(&stream, record);
        }
        let records = to_raw_value(&records).ok()?;
        request.set("Records", &records)?;
        request.to_text()
    }

    fn stream_entry(&mut self, stream: &str, record: &mut Members<'_>) -> Option<()> {
        let data = STANDARD.decode(record.text("Data")?).ok()?;
        let object = Members::parse(&data)?;
        let keys = size_of(record, "ExplicitHashKey") + size_of(record, "PartitionKey");
        let carried = self.offer(
            &Message {
                system: "kinesis",
                destination: Some(stream),
                details: &[],
                size: data.len() as u64 + keys,
                holder: DATADOG.len() as u64,
            },
            true,
        )?;
        let mut text = with_ours(object, &carried)?;
        if data.ends_with(b"\n") {
            text.push('\n');
        }
        if text.len() >= MAX_RECORD_BYTES {
            return None;
        }
        record.set("Data", &STANDARD.encode(text))
    }

    fn events(&mut self, mut request: Members<'_>) -> Option<String> {
        let mut entries: Vec<Members<'_>> = request.list("Entries")?;
        for entry in &mut entries {
            let _ = self.event(entry);
        }
        let entries = to_raw_value(&entries).ok()?;
        request.set("Entries", &entries)?;
        request.to_text()
    }

    fn event(&mut self, entry: &mut Members<'_>) -> Option<()> {
        let detail = entry.text("Detail");
        let object = match &detail {
            Some(detail) => Members::parse(detail.as_bytes())?,
            None => Members::default(),
        };
        let bus = entry.text("EventBusName");
        let kind = entry.text("DetailType").unwrap_or_default();
        let size = serde_json::to_value(&*entry).ok()?;
        let carried = self.offer(
            &Message {
                system: "eventbridge",
                destination: Some(&kind),
                details: &[("exchange", bus.as_deref().unwrap_or("default"))],
                size: crate::json::size(&size),
                holder: DATADOG.len() as u64,
            },
            true,
        )?;
        let text = with_ours(object, &carried)?;
        if text.len() as u64 >= MAX_MESSAGE_BYTES {
            return None;
        }
        entry.set("Detail", &text)
    }

    fn execution(&mut self, mut request: Members<'_>) -> Option<String> {
        let input = request.text("input")?;
        let object = Members::parse(input.as_bytes())?;
        if object.get(DATADOG).is_some() || self.context.is_empty() {
            return None;
        }
        let input = with_ours(object, &self.context)?;
        request.set("input", &input)?;
        request.to_text()
    }

    fn invocation(&mut self, request: &mut HttpRequest) -> Option<()> {
        const HEADER: &str = "x-amz-client-context";
        let before = match request.headers().get(HEADER) {
            Some(before) => STANDARD.decode(before).ok()?,
            None => b"{}".to_vec(),
        };
        let mut context = Members::parse(&before)?;
        let custom = {
            let mut custom = context.members("custom").unwrap_or_default();
            for (name, value) in &self.context {
                custom.set(name, value)?;
            }
            to_raw_value(&custom).ok()?
        };
        context.set("custom", &custom)?;
        let after = STANDARD.encode(context.to_text()?);
        if after.len() <= MAX_CLIENT_CONTEXT_BYTES && !self.context.is_empty() {
            request.headers_mut().insert(HEADER, after);
        }
        Some(())
    }
}

/// More than SNS takes at once.
const MAX_BATCH: usize = 10;

/// Asks for the attribute with ours, besides what was asked for.
fn asking(mut request: Members<'_>) -> Option<String> {
    let mut names: Vec<String> = request.list("MessageAttributeNames").unwrap_or_default();
    if names
        .iter()
        .any(|name| [DATADOG, "All", ".*"].contains(&name.as_str()))
    {
        return None;
    }
    names.push(DATADOG.to_owned());
    request.set("MessageAttributeNames", &names)?;
    request.to_text()
}

/// An object with ours among its members.
fn with_ours(mut object: Members<'_>, carried: &Carried) -> Option<String> {
    object.set(DATADOG, carried)?;
    object.to_text()
}

fn stream(request: &Members<'_>) -> Option<String> {
    request
        .text("StreamARN")
        .or_else(|| request.text("StreamName"))
}

/// Bytes of what is carried.
fn weight(carried: &Carried) -> u64 {
    let bytes = carried.iter().map(|(key, value)| key.len() + value.len());
    bytes.sum::<usize>() as u64
}

/// Bytes of a message of SQS.
fn queue_size(message: &Members<'_>) -> u64 {
    [
        "MessageBody",
        "MessageAttributes",
        "MessageSystemAttributes",
        "MessageGroupId",
    ]
    .iter()
    .map(|name| size_of(message, name))
    .sum()
}

/// Bytes of a message of SNS.
fn topic_size(form: &Form, prefix: &str) -> u64 {
    let parts = ["Message", "Subject", "MessageGroupId"];
    let parts = parts
        .iter()
        .filter_map(|part| form.get(&format!("{prefix}{part}")));
    let list = format!("{prefix}MessageAttributes.entry.");
    let attributes = form.under(&list).map(|(name, value)| {
        let name = name.rsplit('.').next().unwrap_or(name);
        // The name of an attribute is a key, and not one that has a value besides.
        value.len() + if name == "Name" { 0 } else { name.len() }
    });
    (parts.map(str::len).sum::<usize>() + attributes.sum::<usize>()) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(service: &str, operation: &str, body: &str) -> String {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request
            .headers_mut()
            .insert("content-length", body.len().to_string());
        let mut span = Span::off();
        let _ = rewrite_with(&mut span, service, operation, &mut request);
        let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
        assert_eq!(
            request.headers().get("content-length"),
            Some(body.len().to_string().as_str())
        );
        body
    }

    /// The same as [`into_messages`] with a context that does not depend on a tracer.
    fn rewrite_with(
        span: &mut Span,
        service: &str,
        operation: &str,
        request: &mut HttpRequest,
    ) -> Option<()> {
        let baggage = ddtrace_core::test_support::Recorder::new();
        let mut context = ddtrace_core::trace::Context::current();
        context.set_baggage("k", "v");
        let _attached = context.attach();
        let done = into_messages(span, service, operation, true, request);
        drop(baggage);
        done
    }

    /// Attributes by number, as SQS has them.
    fn attributes(count: usize) -> String {
        let all: Vec<_> = (0..count)
            .map(|number| format!(r#""a{number}":{{"DataType":"String","StringValue":"v"}}"#))
            .collect();
        format!("{{{}}}", all.join(","))
    }

    #[test]
    fn messages_of_queues_get_an_attribute_if_there_is_room() {
        let message = |attributes: &str, body: &str| {
            format!(
                r#"{{"QueueUrl":"http://q/1/cups","MessageBody":"{body}","MessageAttributes":{attributes}}}"#
            )
        };
        let ours = r#""_datadog":{"DataType":"String","StringValue":"{\"baggage\":\"k=v\"}"}"#;
        let plain = r#"{"QueueUrl":"http://q/1/cups","MessageBody":"tea"}"#;
        assert_eq!(
            rewritten("sqs", "SendMessage", plain),
            format!(
                r#"{{"QueueUrl":"http://q/1/cups","MessageBody":"tea","MessageAttributes":{{{ours}}}}}"#
            )
        );
        let nine = rewritten("sqs", "SendMessage", &message(&attributes(9), "tea"));
        assert!(nine.contains(ours), "{nine}");
        for full in [
            message(&attributes(10), "tea"),
            message("{}", &"x".repeat(256 * 1024 - 20)),
        ] {
            assert_eq!(rewritten("sqs", "SendMessage", &full), full);
        }
        for broken in ["", "{", "[]", r#"{"QueueUrl":7}"#] {
            assert_eq!(rewritten("sqs", "SendMessage", broken), broken);
        }
        // Of a batch, only as many as fit.
        let half = "x".repeat(128 * 1024 - 100);
        let entry = |id| format!(r#"{{"Id":"{id}","MessageBody":"{half}"}}"#);
        let batch = format!(
            r#"{{"QueueUrl":"u/q","Entries":[{},{}]}}"#,
            entry("a"),
            entry("b")
        );
        let found = rewritten("sqs", "SendMessageBatch", &batch);
        assert_eq!(found.matches(ours).count(), 2);
        let three = format!(
            r#"{{"QueueUrl":"u/q","Entries":[{},{},{{"Id":"c","MessageBody":"{}"}}]}}"#,
            entry("a"),
            entry("b"),
            "y".repeat(120)
        );
        assert_eq!(
            rewritten("sqs", "SendMessageBatch", &three)
                .matches(ours)
                .count(),
            1
        );
    }

    #[test]
    fn receivers_ask_for_the_attribute_besides_what_they_asked_for() {
        for (names, expected) in [
            ("", r#","MessageAttributeNames":["_datadog"]"#),
            (
                r#","MessageAttributeNames":["who"]"#,
                r#","MessageAttributeNames":["who","_datadog"]"#,
            ),
            (
                r#","MessageAttributeNames":["All"]"#,
                r#","MessageAttributeNames":["All"]"#,
            ),
        ] {
            let body = |names| format!(r#"{{"QueueUrl":"u"{names}}}"#);
            assert_eq!(
                rewritten("sqs", "ReceiveMessage", &body(names)),
                body(expected)
            );
        }
    }

    #[test]
    fn notifications_get_a_binary_attribute_behind_theirs() {
        let ours = |prefix: &str, number: usize| {
            let entry = format!("{prefix}MessageAttributes.entry.{number}");
            let value = encoded(&STANDARD.encode(r#"{"baggage":"k=v"}"#));
            format!(
                "&{entry}.Name=_datadog&{entry}.Value.DataType=Binary&{entry}.Value.BinaryValue={value}"
            )
        };
        let theirs = "&MessageAttributes.entry.1.Name=who&MessageAttributes.entry.1.Value.DataType=String&MessageAttributes.entry.1.Value.StringValue=ada";
        let publish = "Action=Publish&TopicArn=arn%3Aaws%3Asns%3Ax%3A1%3Acups&Message=tea";
        let one = format!("{publish}{theirs}");
        assert_eq!(
            rewritten("sns", "Publish", &one),
            format!("{one}{}", ours("", 2))
        );
        let member = "PublishBatchRequestEntries.member";
        let batch = format!(
            "Action=PublishBatch&TopicArn=arn&{member}.1.Id=a&{member}.1.Message=x&{member}.2.Id=b&{member}.2.Message=y"
        );
        let (first, second) = (format!("{member}.1."), format!("{member}.2."));
        assert_eq!(
            rewritten("sns", "PublishBatch", &batch),
            format!("{batch}{}{}", ours(&first, 1), ours(&second, 1))
        );
        // A text message to a telephone has no topic.
        let sms = "Action=Publish&PhoneNumber=%2B49&Message=tea";
        assert_eq!(rewritten("sns", "Publish", sms), sms);
    }

    #[test]
    fn records_and_events_get_a_member_if_they_are_objects() {
        let record = |data: &str| {
            format!(
                r#"{{"StreamName":"s","Data":"{}","PartitionKey":"k"}}"#,
                STANDARD.encode(data)
            )
        };
        let with_ours = r#"{"a":1,"_datadog":{"baggage":"k=v"}}"#;
        assert_eq!(
            rewritten("kinesis", "PutRecord", &record(r#"{"a":1}"#)),
            record(with_ours)
        );
        assert_eq!(
            rewritten("kinesis", "PutRecord", &record("{\"a\":1}\n")),
            record(&format!("{with_ours}\n"))
        );
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(1024 * 1024 - 20));
        for left in [record("tea"), record("[1]"), record(&large)] {
            assert_eq!(rewritten("kinesis", "PutRecord", &left), left);
        }
        let records = |data: &str| {
            format!(
                r#"{{"Records":[{{"Data":"{}"}},{{"Data":"dGVh"}}],"StreamName":"s"}}"#,
                STANDARD.encode(data)
            )
        };
        assert_eq!(
            rewritten("kinesis", "PutRecords", &records(r#"{"a":1}"#)),
            records(with_ours)
        );
        let event = |detail: &str| {
            format!(
                r#"{{"Entries":[{{"DetailType":"t","Detail":{}}}]}}"#,
                json!(detail)
            )
        };
        assert_eq!(
            rewritten("events", "PutEvents", &event(r#"{"a":1}"#)),
            event(with_ours)
        );
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(256 * 1024 - 20));
        for left in [event("tea"), event("[1]"), event(&large)] {
            assert_eq!(rewritten("events", "PutEvents", &left), left);
        }
        let input = |input: &str| format!(r#"{{"input":{},"stateMachineArn":"m"}}"#, json!(input));
        assert_eq!(
            rewritten("states", "StartExecution", &input(r#"{"a":1}"#)),
            input(with_ours)
        );
        for left in [input("7"), input(r#"{"_datadog":{}}"#)] {
            assert_eq!(rewritten("states", "StartExecution", &left), left);
        }
    }

    #[test]
    fn invocations_keep_what_their_context_says() {
        let context = |before: Option<&str>| {
            let mut request = HttpRequest::new(SdkBody::from("payload"));
            if let Some(before) = before {
                request
                    .headers_mut()
                    .insert("x-amz-client-context", before.to_owned());
            }
            let mut span = Span::off();
            let _ = rewrite_with(&mut span, "lambda", "Invoke", &mut request);
            let after = request.headers().get("x-amz-client-context").unwrap();
            let decoded = STANDARD
                .decode(after)
                .map(|it| String::from_utf8(it).unwrap());
            decoded.unwrap_or_else(|_| after.to_owned())
        };
        assert_eq!(context(None), r#"{"custom":{"baggage":"k=v"}}"#);
        let theirs = STANDARD.encode(r#"{"client":{"n":1},"custom":{"a":"b"}}"#);
        assert_eq!(
            context(Some(&theirs)),
            r#"{"client":{"n":1},"custom":{"a":"b","baggage":"k=v"}}"#
        );
        assert_eq!(context(Some("?")), "?");
    }
}
