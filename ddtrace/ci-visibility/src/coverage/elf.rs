//! Sections of an ELF file by their names: 64 bits, little-endian.
//!
//! Only headers and the sections that are asked for are read: binaries are large.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::CoverageError;
use super::reader::Reader;

/// The largest section that is read.
const MAX_SECTION: u64 = 512 * 1024 * 1024;

const SECTION_HEADER: usize = 64;

/// Reads the sections of these names; one that is missing is empty.
pub(super) fn sections<const N: usize>(
    path: &Path,
    names: [&str; N],
) -> Result<[Vec<u8>; N], CoverageError> {
    let mut file = File::open(path).map_err(|error| failed(path, &error))?;
    let header = read(&mut file, path, 0, 64)?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return Err(CoverageError::Expected(
            "an ELF file of 64 bits, little-endian",
        ));
    }
    let mut fields = Reader::new(&header);
    fields.skip(0x28)?;
    let table = fields.u64()?;
    fields.skip(0x3a - 0x30)?;
    let size = usize::from(fields.u16()?);
    let count = usize::from(fields.u16()?);
    let names_at = usize::from(fields.u16()?);
    if size != SECTION_HEADER {
        return Err(CoverageError::Expected("section headers of 64 bytes"));
    }
    let table = read(&mut file, path, table, (count * SECTION_HEADER) as u64)?;
    let headers = table.chunks_exact(SECTION_HEADER).map(|header| {
        let mut fields = Reader::new(header);
        let name = fields.u32()?;
        fields.skip(0x18 - 4)?;
        Ok((name, fields.u64()?, fields.u64()?))
    });
    let headers: Vec<(u32, u64, u64)> = headers.collect::<Result<_, CoverageError>>()?;
    let &(_, at, length) = headers
        .get(names_at)
        .ok_or(CoverageError::Expected("a table of section names"))?;
    let texts = read(&mut file, path, at, length)?;
    let mut found = [const { Vec::new() }; N];
    for (name, at, length) in headers {
        let text = texts.get(name as usize..).unwrap_or_default();
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        if let Some(index) = names.iter().position(|name| name.as_bytes() == text) {
            found[index] = read(&mut file, path, at, length)?;
        }
    }
    Ok(found)
}

fn read(file: &mut File, path: &Path, at: u64, length: u64) -> Result<Vec<u8>, CoverageError> {
    if length > MAX_SECTION {
        return Err(CoverageError::Expected("sections of at most 512 MiB"));
    }
    file.seek(SeekFrom::Start(at))
        .map_err(|error| failed(path, &error))?;
    // What is said of the length is no reason to take that much memory.
    let mut bytes = Vec::new();
    let result = file.take(length).read_to_end(&mut bytes);
    result.map_err(|error| failed(path, &error))?;
    if bytes.len() as u64 == length {
        Ok(bytes)
    } else {
        Err(CoverageError::Expected("a whole file"))
    }
}

fn failed(path: &Path, error: &std::io::Error) -> CoverageError {
    CoverageError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}
