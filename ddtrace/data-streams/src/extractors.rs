//! Transactions whose ids stand in headers: the user names the header, and every message or request that has it passes a
//! checkpoint.
//!
//! `DD_DATA_STREAMS_TRANSACTION_EXTRACTORS` is a JSON list of objects `{"name", "type", "value"}`: the checkpoint, the place where
//! headers are looked at, and the header. Remote configuration says the same under
//! `data_streams_transaction_extractors` and takes the place of the whole list. Source: dd-trace-java, PR 9899 and
//! `DataStreamsTransactionExtractor`.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use ddtrace_core::diagnostics;
use ddtrace_core::propagation::Carrier;
use ddtrace_core::trace::Span;
use serde::Deserialize;

use crate::offset::track_transaction;

/// More are not looked for: each is a search through the headers of every message.
const MAX: usize = 32;
/// Bytes of an id; a record holds no more.
const MAX_ID: usize = 255;

/// Where headers are looked at.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Place {
    #[serde(rename = "HTTP_IN_HEADERS")]
    HttpIn,
    #[serde(rename = "HTTP_OUT_HEADERS")]
    HttpOut,
    #[serde(rename = "KAFKA_CONSUME_HEADERS")]
    KafkaConsume,
    #[serde(rename = "KAFKA_PRODUCE_HEADERS")]
    KafkaProduce,
    /// One of a newer tracer's.
    #[serde(other)]
    Unknown,
}

/// One header of one place.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
struct Extractor {
    /// The checkpoint that is passed.
    name: String,
    #[serde(rename = "type")]
    place: Place,
    /// The header, in lower case.
    value: String,
}

static IN_FORCE: ArcSwapOption<Vec<Extractor>> = ArcSwapOption::const_empty();

/// Puts a list in force. Entries that cannot be read are left out.
pub(crate) fn set(json: Option<&str>) {
    let list = parse(json);
    IN_FORCE.store((!list.is_empty()).then(|| Arc::new(list)));
}

fn parse(json: Option<&str>) -> Vec<Extractor> {
    let Some(json) = json else {
        return Vec::new();
    };
    let entries = serde_json::from_str::<Vec<serde_json::Value>>(json);
    let is_list = entries.is_ok();
    let entries = entries.unwrap_or_default();
    let given = entries.len();
    let list: Vec<Extractor> = entries
        .into_iter()
        .filter_map(|entry| serde_json::from_value(entry).ok())
        .collect();
    if list.len() < given || !is_list {
        diagnostics::warn(format_args!(
            "DD_DATA_STREAMS_TRANSACTION_EXTRACTORS: expected a list of objects with the texts name, type and value, found {} of them \
             among {given} entries; nothing else is used",
            list.len()
        ));
    }
    if list.len() > MAX {
        diagnostics::warn(format_args!(
            "DD_DATA_STREAMS_TRANSACTION_EXTRACTORS: only the first {MAX} of {} are used",
            list.len()
        ));
    }
    list.into_iter()
        .take(MAX)
        .filter(|extractor| extractor.place != Place::Unknown && !extractor.value.is_empty())
        .map(|mut extractor| {
            extractor.value.make_ascii_lowercase();
            extractor
        })
        .collect()
}

/// Lets the transactions that these headers name pass their checkpoints.
pub(crate) fn track(place: Place, headers: &dyn Carrier, span: &mut Span) {
    let list = IN_FORCE.load();
    let here = list.iter().flat_map(|list| list.iter());
    for extractor in here.filter(|extractor| extractor.place == place) {
        let Some(id) = headers.get(&extractor.value).filter(|id| !id.is_empty()) else {
            continue;
        };
        let id = String::from_utf8_lossy(&id[..id.len().min(MAX_ID)]);
        track_transaction(&id, &extractor.name);
        span.set_tag("dsm.transaction.id", &*id);
        span.set_tag("dsm.transaction.checkpoint", extractor.name.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: Option<&str>) -> Vec<(String, Place, String)> {
        parse(json)
            .into_iter()
            .map(|it| (it.name, it.place, it.value))
            .collect()
    }

    #[test]
    fn what_is_set_is_read_bounded_and_what_cannot_be_read_is_nothing() {
        let list = r#"[{"name": "paid", "type": "KAFKA_CONSUME_HEADERS", "value": "X-Order-Id", "more": 1},
            {"name": "later", "type": "PULSAR_HEADERS", "value": "x"},
            {"name": "asked", "type": "HTTP_IN_HEADERS", "value": "x-id"}]"#;
        let expected = [
            (
                "paid".to_owned(),
                Place::KafkaConsume,
                "x-order-id".to_owned(),
            ),
            ("asked".to_owned(), Place::HttpIn, "x-id".to_owned()),
        ];
        assert_eq!(read(Some(list)), expected);
        for wrong in [r#"[{"name": 1}]"#, "{}", "[", r#"["a"]"#] {
            assert_eq!(read(Some(wrong)), [], "{wrong}");
        }
        let one = r#"{"name": "n", "type": "HTTP_OUT_HEADERS", "value": "h"}"#;
        assert_eq!(read(Some(&format!("[{}]", [one; 40].join(",")))).len(), MAX);
        assert_eq!(read(None), []);
    }
}
