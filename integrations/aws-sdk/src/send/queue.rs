//! Messages of SQS: an attribute that is a text.

use serde_json::json;
use serde_json::value::to_raw_value;

use super::{DATADOG, MAX_ATTRIBUTES, MAX_MESSAGE_BYTES, Message, Sender, weight};
use crate::json::{Members, size_of};
use crate::subject::queue;

impl Sender<'_> {
    pub(super) fn queue_message(&mut self, mut message: Members<'_>) -> Option<String> {
        let url = message.text("QueueUrl")?;
        self.queue_entry(queue(&url).0, &mut message, &mut 0)?;
        message.to_text()
    }

    pub(super) fn queue_batch(&mut self, mut batch: Members<'_>) -> Option<String> {
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
}

/// Asks for the attribute with ours, besides what was asked for.
pub(super) fn asking(mut request: Members<'_>) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten;

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
}
