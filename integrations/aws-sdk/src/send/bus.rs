//! Events of EventBridge: a member of their detail, where that is a JSON object.

use serde_json::value::to_raw_value;

use super::{DATADOG, MAX_MESSAGE_BYTES, Message, Sender, with_ours};
use crate::json::Members;

impl Sender<'_> {
    pub(super) fn events(&mut self, mut request: Members<'_>) -> Option<String> {
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
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::rewritten;

    #[test]
    fn events_get_a_member_if_their_detail_is_an_object() {
        let with_ours = r#"{"a":1,"_datadog":{"baggage":"k=v"}}"#;
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
    }
}
