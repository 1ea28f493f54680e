//! Messages that have arrived: what they carry, and who is told.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ddtrace_core::events::{self, MessageConsume};
use ddtrace_core::propagation::{Carrier, CarrierMut, Extracted};
use ddtrace_core::trace::Span;
use serde_json::Value;

use crate::json::{Members, size};
use crate::send::Carried;
use crate::subject::queue;

/// The context that a message of SQS was sent with: for the span of what processes it.
///
/// `attribute` is the text of the message's attribute `_datadog`; a message that came by way of SNS has it in its body instead.
///
/// ```
/// # use aws_sdk_sqs::types::Message;
/// # fn process(message: &Message) {
/// let attribute = message.message_attributes().and_then(|all| all.get("_datadog"));
/// let context = ddtrace_aws_sdk::context_of_message(
///     attribute.and_then(|attribute| attribute.string_value()),
///     message.body(),
/// );
/// let mut span = ddtrace_core::trace::Span::builder("sqs.process").continuing(context).start();
/// # let _ = &mut span;
/// # }
/// ```
pub fn context_of_message(attribute: Option<&str>, body: Option<&str>) -> Extracted {
    found(attribute, body)
        .map(|carried| ddtrace_core::trace::extract_for("aws-sdk", &carried))
        .unwrap_or_default()
}

/// What a message of SQS carries, by name, wherever [`context_of_message`] would look: for a checkpoint of data streams by hand.
///
/// ```
/// use ddtrace_core::propagation::Carrier as _;
///
/// let carrier = ddtrace_aws_sdk::carrier_of_message(Some(r#"{"x-order-id": "7"}"#), None);
/// assert_eq!(carrier.get("x-order-id"), Some(&b"7"[..]));
/// ```
pub fn carrier_of_message(
    attribute: Option<&str>,
    body: Option<&str>,
) -> impl Carrier + Send + Sync + 'static {
    found(attribute, body).unwrap_or_default()
}

/// The text of an attribute `_datadog` with what `write` puts into it, for messages that are sent without the
/// [interceptor](crate::interceptor). The attribute's type is `String`.
///
/// ```
/// # use aws_sdk_sqs::types::MessageAttributeValue;
/// let text = ddtrace_aws_sdk::attribute(|carrier| ddtrace_core::trace::inject(carrier));
/// let attribute = MessageAttributeValue::builder().data_type("String").string_value(text).build()?;
/// // client.send_message().message_attributes("_datadog", attribute)
/// # let _ = attribute;
/// # Ok::<(), aws_sdk_sqs::error::BuildError>(())
/// ```
pub fn attribute(write: impl FnOnce(&mut dyn CarrierMut)) -> String {
    let mut carried = Carried::new();
    write(&mut carried);
    serde_json::json!(carried).to_string()
}

fn found(attribute: Option<&str>, body: Option<&str>) -> Option<Carried> {
    attribute
        .and_then(|text| carried(text.as_bytes()))
        .or_else(|| of_notification(&serde_json::from_str(body?).ok()?))
}

/// The queue's answer: links the span to whoever sent, and tells of every message.
pub(crate) fn from_queue(span: &mut Span, url: &str, answer: &[u8], is_linking: bool) {
    let Some(answer) = Members::parse(answer) else {
        return;
    };
    let messages: Vec<Value> = answer.list("Messages").unwrap_or_default();
    let (queue, _) = queue(url);
    for message in &messages {
        let carried = of_message(message).unwrap_or_default();
        if is_linking {
            link(span, &carried);
        }
        let parts = ["Body", "MessageAttributes", "MessageSystemAttributes"];
        let sizes = parts.iter().filter_map(|part| message.get(part)).map(size);
        let bytes = sizes.sum();
        events::dispatch::<MessageConsume<'_>>(|| {
            let mut event = MessageConsume::new(span, "sqs", queue, &carried);
            event.size = bytes;
            event
        });
    }
}

/// The stream's answer, the same way. Data that is no JSON object carries nothing.
pub(crate) fn from_stream(span: &mut Span, stream: &str, answer: &[u8], is_linking: bool) {
    let Some(answer) = Members::parse(answer) else {
        return;
    };
    let records: Vec<Value> = answer.list("Records").unwrap_or_default();
    for record in &records {
        let data = record["Data"].as_str().unwrap_or_default();
        let data = STANDARD.decode(data).unwrap_or_default();
        let object: Option<Value> = serde_json::from_slice(&data).ok();
        let carried = object
            .and_then(|object| texts(object.get("_datadog")?))
            .unwrap_or_default();
        if is_linking {
            link(span, &carried);
        }
        let arrived_at = record["ApproximateArrivalTimestamp"]
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        let key = record["PartitionKey"].as_str().unwrap_or_default();
        events::dispatch::<MessageConsume<'_>>(|| {
            let mut event = MessageConsume::new(span, "kinesis", stream, &carried);
            event.size = (data.len() + key.len()) as u64;
            event.arrived_at = arrived_at;
            event
        });
    }
}

fn link(span: &mut Span, carried: &Carried) {
    if carried.is_empty() {
        return;
    }
    let extracted = ddtrace_core::trace::extract_for("aws-sdk", carried);
    if let Some(context) = &extracted.context {
        span.add_link(context.into());
    }
    for link in extracted.links {
        span.add_link(link.into());
    }
}

/// What a message of SQS carries: in its own attributes, or in those of the notification that its body is.
fn of_message(message: &Value) -> Option<Carried> {
    let attributes = ["MessageAttributes", "messageAttributes"]
        .iter()
        .find_map(|name| message.get(name)?.get("_datadog"));
    if let Some(attribute) = attributes {
        if let Some(text) = ["StringValue", "stringValue"]
            .iter()
            .find_map(|name| attribute.get(name)?.as_str())
        {
            return carried(text.as_bytes());
        }
        // A notification that was delivered raw.
        let binary = ["BinaryValue", "binaryValue"]
            .iter()
            .find_map(|name| attribute.get(name)?.as_str())?;
        return carried(&STANDARD.decode(binary).ok()?);
    }
    let body = message.get("Body").or_else(|| message.get("body"))?;
    of_notification(&serde_json::from_str(body.as_str()?).ok()?)
}

fn of_notification(notification: &Value) -> Option<Carried> {
    if notification.get("Type")? != "Notification" {
        return None;
    }
    let attribute = notification.get("MessageAttributes")?.get("_datadog")?;
    let value = attribute.get("Value")?.as_str()?;
    match attribute.get("Type")?.as_str()? {
        "Binary" => carried(&STANDARD.decode(value).ok()?),
        "String" => carried(value.as_bytes()),
        _ => None,
    }
}

fn carried(json: &[u8]) -> Option<Carried> {
    texts(&serde_json::from_slice(json).ok()?)
}

/// The members that are texts.
fn texts(object: &Value) -> Option<Carried> {
    let members = object.as_object()?.iter();
    let texts = members.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())));
    Some(texts.collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_by_hand_is_read_by_hand() {
        let text = attribute(|carrier| carrier.set("dd-pathway-ctx-base64", b"AA=="));
        let read = carrier_of_message(Some(&text), Some("tea"));
        assert_eq!(read.get("dd-pathway-ctx-base64"), Some(&b"AA=="[..]));
        let none = carrier_of_message(Some("[]"), Some("tea"));
        assert_eq!(none.get("dd-pathway-ctx-base64"), None);
    }

    #[test]
    fn contexts_are_found_wherever_they_arrive() {
        let context = r#"{"x-datadog-trace-id":"7","n":1}"#;
        let binary = STANDARD.encode(context);
        let notification = |kind: &str, value: &str| {
            let attribute = json!({ "Type": kind, "Value": value });
            let body =
                json!({ "Type": "Notification", "MessageAttributes": { "_datadog": attribute } });
            json!({ "Body": body.to_string() })
        };
        let attribute = |all: &str, name: &str, value: &str| {
            let datadog = json!({ name: value });
            json!({ all: { "_datadog": datadog }, "Body": "tea" })
        };
        for (message, is_found) in [
            (attribute("MessageAttributes", "StringValue", context), true),
            (attribute("messageAttributes", "stringValue", context), true),
            (attribute("MessageAttributes", "BinaryValue", &binary), true),
            (notification("Binary", &binary), true),
            (notification("String", context), true),
            (notification("Number", context), false),
            (attribute("MessageAttributes", "StringValue", "[]"), false),
            (attribute("MessageAttributes", "BinaryValue", "?"), false),
            (json!({ "Body": "tea" }), false),
            (json!({ "Body": "{}" }), false),
            (json!(7), false),
        ] {
            let found = of_message(&message);
            let expected = BTreeMap::from([("x-datadog-trace-id".into(), "7".into())]);
            assert_eq!(found, is_found.then_some(expected), "{message}");
        }
    }
}
