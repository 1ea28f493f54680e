//! The kinds of methods, from the descriptors that protobuf's compiler writes: a serialised `FileDescriptorSet`
//! (`google/protobuf/descriptor.proto`), of which five fields are of interest.
//!
//! The bytes are part of the program. What is broken in them is left out, with whatever comes after it in the same message.

use std::collections::HashMap;
use std::sync::Arc;

use crate::method::Kind;

/// The kinds of methods by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Descriptors {
    kinds: Arc<HashMap<String, Kind>>,
}

/// Field numbers.
const SET_FILE: u64 = 1;
const FILE_PACKAGE: u64 = 2;
const FILE_SERVICE: u64 = 6;
const SERVICE_NAME: u64 = 1;
const SERVICE_METHOD: u64 = 2;
const METHOD_NAME: u64 = 1;
const METHOD_CLIENT_STREAMING: u64 = 5;
const METHOD_SERVER_STREAMING: u64 = 6;

impl Descriptors {
    pub(crate) fn add(&mut self, set: &[u8]) {
        let kinds = Arc::make_mut(&mut self.kinds);
        for (number, file) in Fields(set) {
            if let (SET_FILE, Field::Bytes(file)) = (number, file) {
                add_file(kinds, file);
            }
        }
    }

    pub(crate) fn kind_of(&self, path: &str) -> Option<Kind> {
        self.kinds.get(path).copied()
    }
}

fn add_file(kinds: &mut HashMap<String, Kind>, file: &[u8]) {
    let package = text(file, FILE_PACKAGE);
    for (number, service) in Fields(file) {
        let (FILE_SERVICE, Field::Bytes(service)) = (number, service) else {
            continue;
        };
        let name = text(service, SERVICE_NAME);
        for (number, method) in Fields(service) {
            let (SERVICE_METHOD, Field::Bytes(method)) = (number, method) else {
                continue;
            };
            let dot = if package.is_empty() { "" } else { "." };
            let path = format!("/{package}{dot}{name}/{}", text(method, METHOD_NAME));
            let streams = |side| {
                Fields(method).any(|(number, value)| number == side && value == Field::Varint(1))
            };
            let kind = Kind {
                client_streams: streams(METHOD_CLIENT_STREAMING),
                server_streams: streams(METHOD_SERVER_STREAMING),
            };
            kinds.insert(path, kind);
        }
    }
}

/// The text of a field, empty if it is missing.
fn text(message: &[u8], wanted: u64) -> &str {
    let found = Fields(message).find_map(|(number, value)| match value {
        Field::Bytes(bytes) if number == wanted => std::str::from_utf8(bytes).ok(),
        _ => None,
    });
    found.unwrap_or_default()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of a fixed width; none of these is of interest.
    Fixed,
}

/// The fields of a message with their numbers, up to its end or the first that is broken.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let length = usize::try_from(length).ok()?;
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Field<'a>);

    fn next(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Field::Varint(self.varint()?),
            1 => self.take(8).map(|_| Field::Fixed)?,
            2 => {
                let length = self.varint()?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Fixed)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(number: u8, value: &[u8]) -> Vec<u8> {
        let mut field = vec![number << 3 | 2];
        let (low, high) = (value.len() & 0x7f, value.len() >> 7);
        if high == 0 {
            field.push(u8::try_from(low).unwrap());
        } else {
            field.extend([low | 0x80, high].map(|byte| u8::try_from(byte).unwrap()));
        }
        field.extend_from_slice(value);
        field
    }

    fn method(name: &str, client: Option<u8>, server: Option<u8>) -> Vec<u8> {
        let mut method = bytes(1, name.as_bytes());
        // The types of the messages.
        method.extend(bytes(2, b".tea.Cup"));
        method.extend(bytes(3, b".tea.Cup"));
        for (number, streams) in [(5, client), (6, server)] {
            if let Some(streams) = streams {
                method.extend([number << 3, streams]);
            }
        }
        bytes(2, &method)
    }

    fn set(package: &str) -> Vec<u8> {
        let mut service = bytes(1, b"Kettle");
        service.extend(method("Boil", None, None));
        service.extend(method("Pour", None, Some(1)));
        service.extend(method("Fill", Some(1), Some(0)));
        service.extend(method("Chat", Some(1), Some(1)));
        let mut file = bytes(1, b"tea.proto");
        if !package.is_empty() {
            file.extend(bytes(2, package.as_bytes()));
        }
        file.extend(bytes(6, &service));
        bytes(1, &file)
    }

    #[test]
    fn methods_are_found_with_their_kinds() {
        for (package, prefix) in [("tea.v1", "/tea.v1.Kettle"), ("", "/Kettle")] {
            let mut descriptors = Descriptors::default();
            descriptors.add(&set(package));
            for (name, kind) in [
                ("Boil", Some("unary")),
                ("Pour", Some("server_streaming")),
                ("Fill", Some("client_streaming")),
                ("Chat", Some("bidi_streaming")),
                ("Clean", None),
            ] {
                let found = descriptors.kind_of(&format!("{prefix}/{name}"));
                assert_eq!(found.map(Kind::as_str), kind, "{package} {name}");
            }
        }
    }

    #[test]
    fn broken_descriptors_are_read_as_far_as_they_go() {
        let whole = set("tea");
        for length in 0..whole.len() {
            let mut descriptors = Descriptors::default();
            descriptors.add(&whole[..length]);
            assert!(descriptors.kind_of("/tea.Kettle/Boil").is_none());
        }
        Descriptors::default().add(&[0xff; 40]);
    }
}
