//! Records of Kinesis: a member of their data, where that is a JSON object.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::to_raw_value;

use super::{DATADOG, Message, Sender, with_ours};
use crate::json::{Members, size_of};

/// The most that a record of Kinesis may weigh with ours.
const MAX_RECORD_BYTES: usize = 1024 * 1024;

impl Sender<'_> {
    pub(super) fn record(&mut self, mut record: Members<'_>) -> Option<String> {
        let stream = stream(&record)?;
        self.stream_entry(&stream, &mut record)?;
        record.to_text()
    }

    pub(super) fn records(&mut self, mut request: Members<'_>) -> Option<String> {
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
}

fn stream(request: &Members<'_>) -> Option<String> {
    request
        .text("StreamARN")
        .or_else(|| request.text("StreamName"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::rewritten;
    use super::*;

    #[test]
    fn records_get_a_member_if_they_are_objects() {
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
    }
}
