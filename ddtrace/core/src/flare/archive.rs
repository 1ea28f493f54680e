//! Zip files, without compression (PKWARE's APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12 and 4.3.16).
//!
//! A crate for it would bring a deflate encoder, a checksum and six more crates into every program, for something that is asked for a few
//! times a year; the content is a few megabytes at most.

/// Version of the format that is needed to read it: 2.0, for folders and plain files.
const VERSION: u16 = 20;

/// Names are UTF-8 (APPNOTE 4.4.4, bit 11).
const UTF_8: u16 = 1 << 11;

/// 1 January 1980, the first day there is: times are in the files' content.
const DATE: u16 = 0x21;

/// A file of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) content: Vec<u8>,
}

/// Packs files. Together they have to stay below 4 GiB, and below 65,536 in number.
pub(super) fn zip(files: &[File]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for file in files {
        let offset = out.len() as u32;
        // What the file's head and its entry in the directory have in common.
        let mut common = Vec::new();
        put16(&mut common, VERSION);
        put16(&mut common, UTF_8);
        // Method: stored.
        put16(&mut common, 0);
        // Time.
        put16(&mut common, 0);
        put16(&mut common, DATE);
        put32(&mut common, crc32(&file.content));
        // Packed and unpacked.
        put32(&mut common, file.content.len() as u32);
        put32(&mut common, file.content.len() as u32);
        put16(&mut common, file.name.len() as u16);
        // No extra field.
        put16(&mut common, 0);

        out.extend_from_slice(b"PK\x03\x04");
        out.extend_from_slice(&common);
        out.extend_from_slice(file.name.as_bytes());
        out.extend_from_slice(&file.content);

        directory.extend_from_slice(b"PK\x01\x02");
        // Made by: the same version, on an unknown system.
        put16(&mut directory, VERSION);
        directory.extend_from_slice(&common);
        // Comment's length, disk, internal and external attributes.
        directory.extend_from_slice(&[0; 2 + 2 + 2 + 4]);
        put32(&mut directory, offset);
        directory.extend_from_slice(file.name.as_bytes());
    }
    let offset = out.len() as u32;
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06");
    // This disk, and that of the directory.
    out.extend_from_slice(&[0; 2 + 2]);
    // Entries on this disk, and in all.
    put16(&mut out, files.len() as u16);
    put16(&mut out, files.len() as u16);
    put32(&mut out, directory.len() as u32);
    put32(&mut out, offset);
    // Comment's length.
    put16(&mut out, 0);
    out
}

fn put16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// The checksum of ISO 3309, bits reversed.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(!0, |crc, byte| {
        TABLE[usize::from((crc as u8) ^ byte)] ^ (crc >> 8)
    })
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                0xedb8_8320 ^ (crc >> 1)
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        // The check value of CRC-32 in the catalogue of parametrised CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn the_directory_says_where_each_file_is() {
        let file = |name: &str, content: &[u8]| File {
            name: name.to_owned(),
            content: content.to_vec(),
        };
        let zip = zip(&[file("a.txt", b"hello"), file("b/ü.json", b"{}")]);
        let end = zip.len() - 22;
        assert_eq!(&zip[end..end + 4], b"PK\x05\x06");
        let number = |at: usize| u32::from_le_bytes(zip[at..at + 4].try_into().unwrap()) as usize;
        let short = |at: usize| u16::from_le_bytes(zip[at..at + 2].try_into().unwrap()) as usize;
        assert_eq!(short(end + 10), 2);
        let mut at = number(end + 16);
        let mut found = Vec::new();
        while at < end {
            assert_eq!(&zip[at..at + 4], b"PK\x01\x02");
            let (name, head) = (short(at + 28), number(at + 42));
            let content = head + 30 + name;
            assert_eq!(&zip[head..head + 4], b"PK\x03\x04");
            assert_eq!(&zip[head + 30..content], &zip[at + 46..at + 46 + name]);
            found.push(zip[content..content + number(at + 24)].to_vec());
            at += 46 + name;
        }
        assert_eq!(found, [b"hello".to_vec(), b"{}".to_vec()]);
    }
}
