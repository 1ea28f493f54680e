//! Messages of SNS: an attribute that is binary, in a form.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{DATADOG, MAX_ATTRIBUTES, MAX_MESSAGE_BYTES, Message, Sender, weight};
use crate::form::{Form, encoded};

/// More than SNS takes at once.
const MAX_BATCH: usize = 10;

impl Sender<'_> {
    pub(super) fn notification(&mut self, body: &[u8]) -> Option<String> {
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
    use super::super::tests::rewritten;
    use super::*;

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
}
