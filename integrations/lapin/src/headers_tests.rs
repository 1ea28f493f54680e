use super::*;

use lapin::types::{ByteArray, FieldArray};
use proptest::prelude::*;

fn long(text: &[u8]) -> AMQPValue {
    AMQPValue::LongString(text.to_vec().into())
}

fn properties(pairs: Vec<(&str, AMQPValue)>) -> BasicProperties {
    let table: Table = pairs
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect();
    BasicProperties::default().with_headers(table.into())
}

/// Tables in tables, so many.
fn nested(depth: usize) -> AMQPValue {
    (0..depth).fold(long(b"core"), |inner, _| {
        let table = Table::from([("t".into(), inner)]);
        AMQPValue::FieldTable(table.into())
    })
}

#[test]
fn whatever_holds_bytes_is_read_in_any_spelling_and_nothing_else() {
    let properties = properties(vec![
        ("Traceparent", long(b"other spelling")),
        ("traceparent", long(b"asked for")),
        ("X-Datadog-Trace-Id", AMQPValue::ShortString("7".into())),
        (
            "x-bytes",
            AMQPValue::ByteArray(ByteArray::from(&b"\xff\x00"[..])),
        ),
        ("x-datadog-parent-id", AMQPValue::LongLongInt(9)),
        ("x-nested", nested(3)),
        ("x-void", AMQPValue::Void),
    ]);
    let headers = Incoming::of(&properties);
    for (name, expected) in [
        ("traceparent", Some(&b"asked for"[..])),
        ("x-datadog-trace-id", Some(b"7")),
        ("x-bytes", Some(b"\xff\x00")),
        ("x-datadog-parent-id", None),
        ("x-nested", None),
        ("x-void", None),
        ("missing", None),
    ] {
        assert_eq!(headers.get(name), expected, "{name}");
    }
    let mut names = Vec::new();
    headers.keys(&mut |name| names.push(name));
    let with_bytes = [
        "Traceparent",
        "X-Datadog-Trace-Id",
        "traceparent",
        "x-bytes",
    ];
    assert_eq!(names, with_bytes);
    let none = BasicProperties::default();
    assert_eq!(Incoming::of(&none).get("traceparent"), None);
    assert_eq!(Incoming::of(&none).size(), 0);
}

/// dd-trace-py, `_calculate_byte_size`: texts, bytes, and names and values of maps; lists and numbers are nothing.
#[test]
fn sizes_are_those_of_the_reference() {
    let list = FieldArray::from(vec![long(b"not counted")]);
    for (value, expected) in [
        (long("你".as_bytes()), 3),
        (AMQPValue::ByteArray(ByteArray::from(&b"ab"[..])), 2),
        (AMQPValue::LongLongInt(123_456), 0),
        (AMQPValue::Boolean(true), 0),
        (AMQPValue::FieldArray(list), 0),
        (nested(2), 1 + 1 + 4),
    ] {
        let properties = properties(vec![("name", value)]);
        assert_eq!(Incoming::of(&properties).size(), 4 + expected);
    }
}

#[test]
fn what_is_written_replaces_every_spelling_and_keeps_the_rest() {
    let before = properties(vec![
        ("mine", AMQPValue::LongInt(1)),
        ("TraceParent", long(b"old")),
        ("traceparent", AMQPValue::Boolean(true)),
    ])
    .with_content_type("text/plain".into());
    let after = write_headers(before, |headers| {
        headers.set("traceparent", b"new");
        headers.set(&"x".repeat(LONGEST_NAME + 1), b"too long a name");
        headers.set("other", b"\xff");
    });
    let expected = properties(vec![
        ("mine", AMQPValue::LongInt(1)),
        ("other", long(b"\xff")),
        ("traceparent", long(b"new")),
    ])
    .with_content_type("text/plain".into());
    assert_eq!(after, expected);

    // The same in a table by itself.
    let mut by_itself = FieldTable::default();
    by_itself.insert("TraceParent".into(), long(b"old"));
    by_itself.insert("mine".into(), AMQPValue::LongInt(1));
    let mut carrier = table(&mut by_itself);
    carrier.set("traceparent", b"new");
    carrier.set("other", b"\xff");
    assert_eq!(carrier.get("traceparent"), Some(&b"new"[..]));
    let mut names = Vec::new();
    carrier.keys(&mut |name| names.push(name.to_owned()));
    assert_eq!(names, ["mine", "other", "traceparent"]);
    drop(carrier);
    assert_eq!(Some(by_itself), *expected.headers());
}

#[test]
fn a_message_is_left_as_it_was_where_the_peer_would_not_take_more() {
    let before = properties(vec![("mine", long(b"1"))]);
    let write = |takes: bool| {
        let mut headers = Outgoing::of(&before);
        headers.set("traceparent", b"new");
        headers.write_to(before.clone(), |_| takes)
    };
    assert_eq!(write(false), before);
    assert_ne!(write(true), before);
    // Of what is deeper than is looked, the size is not known.
    let deep = properties(vec![("deep", nested(DEPTH as usize))]);
    let mut headers = Outgoing::of(&deep);
    headers.set("traceparent", b"new");
    assert_eq!(headers.write_to(deep.clone(), |_| true), deep);
    // Nothing written, nothing changed.
    let none = BasicProperties::default();
    assert_eq!(write_headers(none.clone(), |_| {}), none);
}

fn values() -> impl Strategy<Value = AMQPValue> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..300);
    let leaf = prop_oneof![
        Just(AMQPValue::Void),
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<f32>().prop_map(AMQPValue::Float),
        any::<f64>().prop_map(AMQPValue::Double),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        bytes().prop_map(|bytes| long(&bytes)),
        bytes().prop_map(|bytes| AMQPValue::ByteArray(bytes.into())),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        let array = prop::collection::vec(inner.clone(), 0..6);
        let table = prop::collection::btree_map("[a-z-]{0,20}", inner, 0..6);
        prop_oneof![
            array.prop_map(|values| AMQPValue::FieldArray(values.into())),
            table.prop_map(|table| {
                let table: Table = table
                    .into_iter()
                    .map(|(name, value)| (name.as_str().into(), value))
                    .collect();
                AMQPValue::FieldTable(table.into())
            }),
        ]
    })
}

proptest! {
    /// The library's own encoder says how many bytes a table takes.
    #[test]
    fn tables_take_as_many_bytes_as_the_library_writes(
        table in prop::collection::btree_map("[a-z0-9-]{0,40}", values(), 0..8),
    ) {
        let table: Table = table
            .into_iter()
            .map(|(name, value)| (name.as_str().into(), value))
            .collect();
        let written = lapin::types::generation::gen_field_table;
        let table = FieldTable::from(table);
        let (_, size) = cookie_factory::r#gen(written(&table), Vec::new()).unwrap();
        prop_assert_eq!(encoded(table.inner(), DEPTH), Some(size as usize));
        // Whatever a sender may write can be read.
        let properties = BasicProperties::default().with_headers(table.clone());
        let headers = Incoming::of(&properties);
        for (name, value) in &table {
            prop_assert_eq!(headers.get(name.as_str()), bytes(value));
        }
    }
}
