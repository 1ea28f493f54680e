//! Messages of Protocol Buffers, out of the descriptors that every implementation can give: a serialised
//! `google.protobuf.FileDescriptorSet` (`google/protobuf/descriptor.proto`).
//!
//! Only what a description needs is read: names, types, labels, values of enumerations. Repeated fields are described as arrays, which
//! the reference forgets.

use std::collections::HashMap;

use super::openapi::{Begin, Definition, Property};

/// Messages within messages that are looked into.
const MAX_NESTING: usize = 32;

/// The name of a message without its package, and its description.
pub(super) fn define(descriptor_set: &[u8], message: &str) -> Option<(String, Definition)> {
    let mut files = Files::default();
    for (field, value) in Fields(descriptor_set) {
        if let (1, Value::Bytes(file)) = (field, value) {
            files.read_file(file);
        }
    }
    let root = files.messages.get(message)?;
    let mut definition = Definition::default();
    files.describe(root, &mut definition, 0);
    Some((root.name.clone(), definition))
}

#[derive(Default)]
struct Files {
    /// By full name, without the dot in front.
    messages: HashMap<String, Message>,
    enumerations: HashMap<String, Vec<String>>,
}

struct Message {
    name: String,
    fields: Vec<Field>,
}

#[derive(Default)]
struct Field {
    name: String,
    is_repeated: bool,
    kind: u64,
    /// Of a message or an enumeration, with the dot in front.
    type_name: String,
}

impl Files {
    fn read_file(&mut self, file: &[u8]) {
        let package = text_of(file, 2);
        for (field, value) in Fields(file) {
            match (field, value) {
                (4, Value::Bytes(message)) => self.read_message(message, &package, 0),
                (5, Value::Bytes(enumeration)) => self.read_enumeration(enumeration, &package),
                _ => {}
            }
        }
    }

    fn read_message(&mut self, bytes: &[u8], scope: &str, depth: usize) {
        if depth > MAX_NESTING {
            return;
        }
        let name = text_of(bytes, 1);
        let full = within(scope, &name);
        let mut message = Message {
            name,
            fields: Vec::new(),
        };
        for (field, value) in Fields(bytes) {
            match (field, value) {
                (2, Value::Bytes(field)) => message.fields.push(Field::read(field)),
                (3, Value::Bytes(nested)) => self.read_message(nested, &full, depth + 1),
                (4, Value::Bytes(enumeration)) => self.read_enumeration(enumeration, &full),
                _ => {}
            }
        }
        self.messages.insert(full, message);
    }

    fn read_enumeration(&mut self, bytes: &[u8], scope: &str) {
        let values = Fields(bytes).filter_map(|(field, value)| match (field, value) {
            (2, Value::Bytes(value)) => Some(text_of(value, 1)),
            _ => None,
        });
        let full = within(scope, &text_of(bytes, 1));
        self.enumerations.insert(full, values.collect());
    }

    /// False if the description is full.
    fn describe(&self, message: &Message, definition: &mut Definition, depth: usize) -> bool {
        match definition.begin(&message.name, depth + 1) {
            Begin::New => {}
            Begin::Known => return true,
            Begin::TooDeep => return false,
        }
        message.fields.iter().all(|field| {
            let type_name = field.type_name.trim_start_matches('.');
            let property = match field.kind {
                11 => {
                    // A message that is not in the set is still called by its name.
                    let short = type_name.rsplit('.').next().unwrap_or_default();
                    if let Some(other) = self.messages.get(type_name) {
                        if !self.describe(other, definition, depth + 1) {
                            return false;
                        }
                    }
                    Property::object(short)
                }
                14 => {
                    let values = self.enumerations.get(type_name);
                    Property::of("string")
                        .format("enum")
                        .values(values.into_iter().flatten())
                }
                kind => scalar(kind),
            };
            let property = match field.is_repeated {
                true => Property::list(property),
                false => property,
            };
            definition.add(&message.name, &field.name, property)
        })
    }
}

fn within(scope: &str, name: &str) -> String {
    match scope {
        "" => name.to_owned(),
        scope => format!("{scope}.{name}"),
    }
}

/// `FieldDescriptorProto.Type` in the words of OpenAPI.
fn scalar(kind: u64) -> Property {
    let (kind, format) = match kind {
        1 => ("number", "double"),
        2 => ("number", "float"),
        3 | 18 => ("integer", "int64"),
        4 => ("integer", "uint64"),
        5 | 17 => ("integer", "int32"),
        6 => ("integer", "fixed64"),
        7 => ("integer", "fixed32"),
        8 => return Property::of("boolean"),
        10 => ("object", "Group type"),
        12 => ("string", "byte"),
        13 => ("integer", "uint32"),
        15 => ("integer", "sfixed32"),
        16 => ("integer", "sfixed64"),
        _ => return Property::of("string"),
    };
    Property::of(kind).format(format)
}

impl Field {
    fn read(bytes: &[u8]) -> Self {
        const REPEATED: u64 = 3;
        let mut this = Self::default();
        for (field, value) in Fields(bytes) {
            match (field, value) {
                (1, Value::Bytes(name)) => this.name = text(name),
                (4, Value::Number(label)) => this.is_repeated = label == REPEATED,
                (5, Value::Number(kind)) => this.kind = kind,
                (6, Value::Bytes(name)) => this.type_name = text(name),
                _ => {}
            }
        }
        this
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The last value of a text, as the format has it; empty if there is none.
fn text_of(bytes: &[u8], number: u64) -> String {
    let of_number = Fields(bytes).filter_map(|(field, value)| match value {
        Value::Bytes(bytes) if field == number => Some(bytes),
        _ => None,
    });
    of_number.last().map(text).unwrap_or_default()
}

/// One value of a message on the wire.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Of a fixed width; none of those is needed here.
    Other,
}

/// The fields of a message on the wire; ends where the bytes make no sense.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            5 => self.skip(4)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn skip(&mut self, bytes: usize) -> Option<Value<'a>> {
        (_, self.0) = self.0.split_at_checked(bytes)?;
        Some(Value::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::schema::Schema;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits = hex.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.map(|pair| byte(pair).unwrap()).collect()
    }

    /// A set with every type, made by protobuf 6.33.6, and what dd-trace-py 4.16.0 says of the message in it.
    #[test]
    fn a_message_is_described_as_by_the_reference() {
        const SET: &str = "0a97030a07762e70726f746f120773686f702e763122dc020a054f72646572120d0a05726174696f180120012801120e0a06776569676874180220012802120a0a026964180320012803120d0a05636f756e74180420012804120e0a06706965636573180520012805120d0a056669786564180620012806120d0a05736d616c6c180720012807120c0a0470616964180820012808120c0a046e6f7465180920012809120b0a03726177180a2001280c120e0a066e756d626572180b2001280d12140a0c7366697865645f736d616c6c180c2001280f12120a0a7366697865645f626967180d20012810120d0a0564656c7461180e2001281112110a096269675f64656c7461180f20012812121f0a0673746174757318102001280e320f2e73686f702e76312e53746174757312210a046c696e6518112001280b32132e73686f702e76312e4f726465722e4c696e651a220a044c696e65120b0a03736b75180120012809120d0a056361665f781802200128052a1c0a0653746174757312080a044f50454e100012080a04504149441001620670726f746f33";
        const DEFINITION: &str = r##"{"openapi": "3.0.0", "components": {"schemas": {"Order": {"type": "object", "properties": {"ratio": {"type": "number", "format": "double"}, "weight": {"type": "number", "format": "float"}, "id": {"type": "integer", "format": "int64"}, "count": {"type": "integer", "format": "uint64"}, "pieces": {"type": "integer", "format": "int32"}, "fixed": {"type": "integer", "format": "fixed64"}, "small": {"type": "integer", "format": "fixed32"}, "paid": {"type": "boolean"}, "note": {"type": "string"}, "raw": {"type": "string", "format": "byte"}, "number": {"type": "integer", "format": "uint32"}, "sfixed_small": {"type": "integer", "format": "sfixed32"}, "sfixed_big": {"type": "integer", "format": "sfixed64"}, "delta": {"type": "integer", "format": "int32"}, "big_delta": {"type": "integer", "format": "int64"}, "status": {"type": "string", "format": "enum", "enum": ["OPEN", "PAID"]}, "line": {"$ref": "#/components/schemas/Line"}}}, "Line": {"type": "object", "properties": {"sku": {"type": "string"}, "caf_x": {"type": "integer", "format": "int32"}}}}}}"##;
        let schema = Schema::protobuf(&bytes(SET), "shop.v1.Order").unwrap();
        assert_eq!(schema.definition(), DEFINITION);
        assert_eq!(schema.id(), "9426220712258669210");
        assert!(Schema::protobuf(&bytes(SET), "shop.v1.Nothing").is_none());
    }

    /// One field of a message on the wire.
    fn field(number: u8, value: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, value.len() as u8], value].concat()
    }

    /// A field descriptor: name, label, type and type name.
    fn descriptor(name: &str, label: u8, kind: u8, type_name: &str) -> Vec<u8> {
        let numbers = [4 << 3, label, 5 << 3, kind];
        let bytes = [field(1, name.as_bytes()), numbers.to_vec()].concat();
        field(2, &[bytes, field(6, type_name.as_bytes())].concat())
    }

    #[test]
    fn repeated_fields_are_arrays_and_messages_that_hold_themselves_are_described_once() {
        let tree = [
            field(1, b"Tree"),
            descriptor("names", 3, 9, ""),
            descriptor("children", 3, 11, ".Tree"),
            descriptor("other", 1, 11, ".not.Here"),
        ];
        let set = field(1, &field(4, &tree.concat()));
        let schema = Schema::protobuf(&set, "Tree").unwrap();
        let expected = r##"{"openapi": "3.0.0", "components": {"schemas": {"Tree": {"type": "object", "properties": {"names": {"type": "array", "items": {"type": "string"}}, "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}, "other": {"$ref": "#/components/schemas/Here"}}}}}}"##;
        assert_eq!(schema.definition(), expected);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = define(&bytes, "");
        }
    }
}
