//! Raw profiles, which an instrumented process writes when it ends.
//!
//! A file is one or several parts, one for each binary of the process: header, ids of the binary,
//! a record for each function, its counters, names. Records point at their counters relative to
//! themselves. Source: LLVM, `llvm/include/llvm/ProfileData/InstrProfData.inc`.

use std::collections::HashMap;

use super::CoverageError;
use super::reader::Reader;

const MAGIC: u64 = 0xff6c_7072_6f66_7281;

/// The upper bits of the version say how the program was instrumented.
const VERSION_MASK: u64 = 0x00ff_ffff_ffff_ffff;

/// The counters of a function.
pub type Counts = Vec<u64>;

/// What a process counted: by name hash and structural hash of the functions that it ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    pub(super) functions: HashMap<(u64, u64), Counts>,
}

/// What of a layout depends on its version.
struct Layout {
    /// Words of the header.
    header: usize,
    /// Bytes of a record.
    record: usize,
    /// Where in a record the number of counters stands.
    count_at: u64,
    has_bitmaps: bool,
}

fn layout(version: u64) -> Result<Layout, CoverageError> {
    let (header, record, count_at, has_bitmaps) = match version {
        8 => (11, 48, 40, false),
        9 => (14, 64, 48, true),
        10 => (16, 64, 48, true),
        found => {
            return Err(CoverageError::Version {
                what: "profile",
                known: "8 to 10",
                found,
            });
        }
    };
    Ok(Layout {
        header,
        record,
        count_at,
        has_bitmaps,
    })
}

impl Profile {
    /// Reads a profile.
    pub fn parse(bytes: &[u8]) -> Result<Profile, CoverageError> {
        let mut profile = Profile::default();
        let mut reader = Reader::new(bytes);
        while reader.left() > 0 {
            profile.add_part(&mut reader)?;
        }
        Ok(profile)
    }

    /// Adds what another process counted, such as one that the test started.
    pub fn merge(&mut self, other: &Profile) {
        for (key, counts) in &other.functions {
            self.add(*key, counts);
        }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    fn add(&mut self, key: (u64, u64), counts: &[u64]) {
        let mine = self.functions.entry(key).or_default();
        if mine.len() < counts.len() {
            mine.resize(counts.len(), 0);
        }
        for (mine, theirs) in mine.iter_mut().zip(counts) {
            *mine = mine.saturating_add(*theirs);
        }
    }

    fn add_part(&mut self, reader: &mut Reader<'_>) -> Result<(), CoverageError> {
        if reader.u64()? != MAGIC {
            return Err(CoverageError::Expected(
                "a raw profile of 64 bits, little-endian",
            ));
        }
        let layout = layout(reader.u64()? & VERSION_MASK)?;
        let words = (2..layout.header).map(|_| reader.u64());
        let words: Vec<u64> = words.collect::<Result<_, _>>()?;
        // Sizes of what follows, in its order; the two deltas stand after them.
        let mut words = words.into_iter();
        let mut next = || words.next().unwrap_or(0);
        let (ids, records, before_counters, counters, after_counters) =
            (next(), next(), next(), next(), next());
        let bitmaps = if layout.has_bitmaps {
            (next(), next())
        } else {
            (0, 0)
        };
        let (names, counters_delta) = (next(), next());
        reader.skip(ids)?;
        let records = usize::try_from(records)
            .ok()
            .filter(|records| *records <= reader.left() / layout.record)
            .ok_or(CoverageError::Expected("as many records as are said"))?;
        let data = reader.take(records * layout.record)?;
        reader.skip(before_counters)?;
        let counters = usize::try_from(counters)
            .ok()
            .filter(|counters| *counters <= reader.left() / 8)
            .ok_or(CoverageError::Expected("as many counters as are said"))?;
        let counters = reader.take(counters * 8)?;
        reader.skip(after_counters)?;
        reader.skip(bitmaps.0)?;
        reader.skip(bitmaps.1)?;
        reader.skip(names)?;
        reader.align(8);
        for (index, record) in data.chunks_exact(layout.record).enumerate() {
            let mut fields = Reader::new(record);
            let key = (fields.u64()?, fields.u64()?);
            let pointer = fields.u64()?;
            fields.skip(layout.count_at - 24)?;
            let count = fields.u32()? as usize;
            let moved = (index * layout.record) as u64;
            let at = pointer.wrapping_sub(counters_delta.wrapping_sub(moved));
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let end = count.checked_mul(8).and_then(|size| at.checked_add(size));
            let bytes = end.and_then(|end| counters.get(at..end));
            let bytes = bytes.ok_or(CoverageError::Expected("counters inside of the profile"))?;
            // A test runs few of the functions that there are.
            if bytes.iter().all(|byte| *byte == 0) {
                continue;
            }
            let mut reader = Reader::new(bytes);
            let counts = (0..count).map(|_| reader.u64());
            let counts: Counts = counts.collect::<Result<_, _>>()?;
            self.add(key, &counts);
        }
        Ok(())
    }
}
