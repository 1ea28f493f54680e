//! Span pointers: at objects of S3 and items of DynamoDB that an operation has written.
//!
//! What identifies the thing is noted when the request goes out, or read from it, and the pointer is made when the answer says
//! that it was written. Source of the rules: dd-trace-py, `ddtrace/_trace/utils_botocore/span_pointers`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ddtrace_core::trace::{PointerDirection, Span, SpanLink};
use serde_json::{Map, Value};

/// The names of the members that make up the key of an item, by table.
pub(crate) type KeyNames = HashMap<String, BTreeSet<String>>;

/// What an operation writes, if it succeeds.
#[derive(Debug)]
pub(crate) enum Written {
    /// An object, by the name that the request has for it. The bucket is known from the endpoint.
    Object { key: String },
    /// Items of these tables.
    Items(Vec<Item>),
}

/// An item of a table with the members that are its key: one or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    table: String,
    key: BTreeMap<String, String>,
    /// The write as the request has it, for those that the answer gives back as not done.
    write: Value,
}

/// What a request of DynamoDB is about to write. Nothing if the key of any of it is not known.
pub(crate) fn items(operation: &str, request: &[u8], names: &KeyNames) -> Option<Vec<Item>> {
    let request: Value = serde_json::from_slice(request).ok()?;
    let keyed = |of: &Value| Item::new(of.get("TableName")?.as_str()?, of.get("Key")?.as_object()?);
    let put = |table: &str, item: &Value| Item::of_whole(table, item.as_object()?, names);
    match operation {
        "PutItem" => {
            let table = request.get("TableName")?.as_str()?;
            Some(vec![put(table, request.get("Item")?)?])
        }
        "UpdateItem" | "DeleteItem" => Some(vec![keyed(&request)?]),
        "BatchWriteItem" => {
            let mut items = Vec::new();
            for (table, writes) in request.get("RequestItems")?.as_object()? {
                for write in writes.as_array()? {
                    let mut item = match (write.get("PutRequest"), write.get("DeleteRequest")) {
                        (Some(request), _) => put(table, request.get("Item")?)?,
                        (_, Some(request)) => Item::new(table, request.get("Key")?.as_object()?)?,
                        _ => return None,
                    };
                    item.write = write.clone();
                    items.push(item);
                }
            }
            Some(items)
        }
        "TransactWriteItems" => {
            let mut items = Vec::new();
            for write in request.get("TransactItems")?.as_array()? {
                let (kind, of) = write.as_object()?.iter().next()?;
                match kind.as_str() {
                    "Put" => {
                        items.push(put(of.get("TableName")?.as_str()?, of.get("Item")?)?);
                    }
                    "Update" | "Delete" => items.push(keyed(of)?),
                    _ => {}
                }
            }
            Some(items)
        }
        _ => None,
    }
}

impl Item {
    fn new(table: &str, key: &Map<String, Value>) -> Option<Self> {
        if !(1..=2).contains(&key.len()) {
            return None;
        }
        let key = key
            .iter()
            .map(|(name, value)| Some((name.clone(), key_value(value)?)));
        Some(Self {
            table: table.to_owned(),
            key: key.collect::<Option<_>>()?,
            write: Value::Null,
        })
    }

    fn of_whole(table: &str, item: &Map<String, Value>, names: &KeyNames) -> Option<Self> {
        let names = names.get(table)?.iter();
        let key = names.map(|name| Some((name.clone(), item.get(name)?.clone())));
        Self::new(table, &key.collect::<Option<_>>()?)
    }

    fn pointer(&self) -> SpanLink {
        let mut parts = vec![self.table.as_str()];
        for (name, value) in &self.key {
            parts.extend([name.as_str(), value]);
        }
        parts.resize(5, "");
        SpanLink::pointer("aws.dynamodb.item", PointerDirection::Downstream, &parts)
    }
}

/// The value of a member that is part of a key: a text, a number, or bytes in base64.
fn key_value(value: &Value) -> Option<String> {
    let value = value.as_object().filter(|value| value.len() == 1)?;
    let (kind, value) = value.iter().next()?;
    let is_key = ["S", "N", "B"].contains(&kind.as_str());
    value.as_str().filter(|_| is_key).map(str::to_owned)
}

/// Points to what was written, as the answer has it.
pub(crate) fn point(
    span: &mut Span,
    written: &Written,
    bucket: Option<&str>,
    etag: Option<&str>,
    answer: &[u8],
) {
    match written {
        Written::Object { key } => {
            let etag = etag.map(|etag| etag.trim_matches('"'));
            if let (Some(bucket), Some(etag)) = (bucket, etag.filter(|it| !it.contains('"'))) {
                let parts = [bucket, key.as_str(), etag];
                span.add_link(SpanLink::pointer(
                    "aws.s3.object",
                    PointerDirection::Downstream,
                    &parts,
                ));
            }
        }
        Written::Items(items) => {
            let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
            for item in items {
                let left = answer["UnprocessedItems"][&item.table].as_array();
                if !left.is_some_and(|left| left.contains(&item.write)) {
                    span.add_link(item.pointer());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hashes(operation: &str, request: &str) -> Option<Vec<String>> {
        let names = KeyNames::from([
            ("some-table".into(), BTreeSet::from(["some-key".into()])),
            ("pairs".into(), BTreeSet::from(["b".into(), "a".into()])),
        ]);
        let items = items(operation, request.as_bytes(), &names)?;
        let hash = |item: &Item| {
            let pointer = item.pointer();
            let mut attributes = pointer.attributes.iter();
            let (_, hash) = attributes.find(|(key, _)| key == "ptr.hash").unwrap();
            hash.to_string()
        };
        Some(items.iter().map(hash).collect())
    }

    /// The reference's own vectors, `tests/tracer/utils_botocore/test_span_pointers.py`.
    #[test]
    fn items_are_identified_by_table_and_key() {
        let expected = Some(vec!["7f1aee721472bcb48701d45c7c7f7821".to_owned()]);
        let key = r#""some-key":{"S":"some-value"}"#;
        for (operation, request) in [
            (
                "PutItem",
                format!(r#"{{"TableName":"some-table","Item":{{{key},"x":{{"N":"1"}}}}}}"#),
            ),
            (
                "UpdateItem",
                format!(r#"{{"TableName":"some-table","Key":{{{key}}}}}"#),
            ),
            (
                "DeleteItem",
                format!(r#"{{"TableName":"other","Key":{{{key}}}}}"#),
            ),
            (
                "BatchWriteItem",
                format!(
                    r#"{{"RequestItems":{{"some-table":[{{"PutRequest":{{"Item":{{{key}}}}}}}]}}}}"#
                ),
            ),
            (
                "BatchWriteItem",
                format!(
                    r#"{{"RequestItems":{{"some-table":[{{"DeleteRequest":{{"Key":{{{key}}}}}}}]}}}}"#
                ),
            ),
            (
                "TransactWriteItems",
                format!(
                    r#"{{"TransactItems":[{{"Put":{{"TableName":"some-table","Item":{{{key}}}}}}},{{"ConditionCheck":{{"TableName":"t"}}}}]}}"#
                ),
            ),
        ] {
            let found = hashes(operation, &request);
            if request.contains("other") {
                assert_ne!(found, expected);
            } else {
                assert_eq!(found, expected, "{request}");
            }
        }
        // A table whose key is not known, a key of a kind that there is not, and none at all.
        for (operation, request) in [
            (
                "PutItem",
                r#"{"TableName":"unknown","Item":{"a":{"S":"b"}}}"#,
            ),
            (
                "UpdateItem",
                r#"{"TableName":"t","Key":{"a":{"BOOL":true}}}"#,
            ),
            ("UpdateItem", r#"{"TableName":"t","Key":{}}"#),
            ("GetItem", r#"{"TableName":"t","Key":{"a":{"S":"b"}}}"#),
            ("PutItem", "{"),
        ] {
            assert_eq!(hashes(operation, request), None, "{request}");
        }
    }

    #[test]
    fn keys_of_two_members_are_in_the_order_of_their_names() {
        let of = |key: &str| {
            hashes(
                "UpdateItem",
                &format!(r#"{{"TableName":"pairs","Key":{key}}}"#),
            )
        };
        let one = of(r#"{"a":{"S":"1"},"b":{"N":"2"}}"#);
        assert!(one.is_some());
        assert_eq!(one, of(r#"{"b":{"N":"2"},"a":{"S":"1"}}"#));
    }

    #[test]
    fn what_was_not_written_is_not_pointed_to() {
        let recorder = ddtrace_core::test_support::Recorder::new();
        let put = |value: &str| {
            format!(r#"{{"PutRequest":{{"Item":{{"some-key":{{"S":"{value}"}}}}}}}}"#)
        };
        let request = format!(
            r#"{{"RequestItems":{{"some-table":[{},{}]}}}}"#,
            put("a"),
            put("b")
        );
        let names = KeyNames::from([("some-table".into(), BTreeSet::from(["some-key".into()]))]);
        let written = Written::Items(items("BatchWriteItem", request.as_bytes(), &names).unwrap());
        for (answer, count) in [
            ("{}".to_owned(), 2),
            (
                format!(r#"{{"UnprocessedItems":{{"some-table":[{}]}}}}"#, put("b")),
                1,
            ),
        ] {
            let mut span = Span::builder("test").start();
            point(&mut span, &written, None, None, answer.as_bytes());
            drop(span);
            assert_eq!(recorder.take()[0].links.len(), count);
        }
    }
}
