//! Coverage maps: which lines each counter of a function stands for.
//!
//! `__llvm_covmap` holds tables of file names, `__llvm_covfun` a record for each function: two
//! hashes, which table, and the regions. A region's count is a counter, or a sum or difference of
//! some. Source: LLVM, `llvm/docs/CoverageMappingFormat.rst`.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use flate2::read::ZlibDecoder;
use md5::{Digest, Md5};

use super::reader::Reader;
use super::{Bitmap, CoverageError, Profile, elf};
use crate::payload::FileCoverage;

/// The largest table of file names.
const MAX_NAMES: u64 = 256 * 1024 * 1024;

/// Versions as they are written, one less than people call them: 4 to 7.
const VERSIONS: std::ops::RangeInclusive<u32> = 3..=6;

/// From this version on the first name of a table is the folder that others are relative to.
const WITH_FOLDER: u32 = 5;

/// What counts a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counter {
    Zero,
    Index(usize),
    Expression(usize),
}

/// A sum or difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expression {
    left: Counter,
    right: Counter,
    is_sum: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    /// Which of the map's files.
    file: usize,
    first: u32,
    last: u32,
    counter: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Function {
    expressions: Vec<Expression>,
    regions: Vec<Region>,
}

/// The lines of a function in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Extent<'m> {
    /// The file, relative to the root.
    pub file: &'m str,
    /// The first line.
    pub first: u32,
    /// The last line.
    pub last: u32,
}

/// The functions of all binaries that were read, as far as they stand in files below one folder.
#[derive(Clone, Debug, Default)]
pub struct CoverageMap {
    root: PathBuf,
    /// Relative to the root.
    files: Vec<String>,
    file_numbers: HashMap<String, usize>,
    functions: HashMap<(u64, u64), Function>,
    /// Functions that stand in other files.
    elsewhere: HashSet<(u64, u64)>,
}

impl CoverageMap {
    /// An empty map for the files below this folder: the root of the repository.
    pub fn new(root: &Path) -> CoverageMap {
        CoverageMap {
            root: root.to_owned(),
            ..CoverageMap::default()
        }
    }

    /// Adds the functions of a binary. Says whether it is instrumented at all.
    pub fn add_binary(&mut self, path: &Path) -> Result<bool, CoverageError> {
        let [tables, functions] = elf::sections(path, ["__llvm_covmap", "__llvm_covfun"])?;
        if functions.is_empty() {
            return Ok(false);
        }
        self.add(&tables, &functions)?;
        Ok(true)
    }

    /// The files that have functions, and all lines of these.
    pub fn executable_lines(&self) -> BTreeMap<&str, Bitmap> {
        let mut all: BTreeMap<&str, Bitmap> = BTreeMap::new();
        for region in self
            .functions
            .values()
            .flat_map(|function| &function.regions)
        {
            let lines = all.entry(self.files[region.file].as_str()).or_default();
            lines.insert_range(region.first, region.last);
        }
        all
    }

    /// The lines that a process ran.
    pub fn lines_of(&self, profile: &Profile) -> Vec<FileCoverage> {
        let mut lines: BTreeMap<&str, Bitmap> = BTreeMap::new();
        for (key, counts) in &profile.functions {
            let Some(function) = self.functions.get(key) else {
                continue;
            };
            let mut values = Values::new(&function.expressions, counts);
            for region in &function.regions {
                if values.of(region.counter, 0) > 0 {
                    let lines = lines.entry(self.files[region.file].as_str()).or_default();
                    lines.insert_range(region.first, region.last);
                }
            }
        }
        lines
            .into_iter()
            .map(|(file, lines)| FileCoverage {
                file: file.to_owned(),
                lines,
            })
            .collect()
    }

    /// Where all functions stand.
    pub fn functions(&self) -> Vec<Extent<'_>> {
        let functions = self.functions.values();
        functions
            .flat_map(|function| self.extents(function))
            .collect()
    }

    /// Where the functions stand that a process entered, however it left them.
    ///
    /// Lines are computed from counters, some of which are sums and differences of others: a thread that is faster than another makes
    /// a difference wrong. Whether a function was entered at all is told by any counter of it that is not zero.
    pub fn functions_of(&self, profile: &Profile) -> Vec<Extent<'_>> {
        let functions = profile.functions.keys();
        let functions = functions.filter_map(|key| self.functions.get(key));
        functions
            .flat_map(|function| self.extents(function))
            .collect()
    }

    /// Whether every function that a process entered is one of the binaries that were read. If not, it ran another program.
    pub fn knows(&self, profile: &Profile) -> bool {
        let is_known = |key| self.functions.contains_key(key) || self.elsewhere.contains(key);
        profile.functions.keys().all(is_known)
    }

    /// One for each file that the function has regions in: macros may come from others.
    fn extents<'m>(&'m self, function: &Function) -> impl Iterator<Item = Extent<'m>> + use<'m> {
        let mut files: BTreeMap<usize, (u32, u32)> = BTreeMap::new();
        for region in &function.regions {
            let lines = files
                .entry(region.file)
                .or_insert((region.first, region.last));
            *lines = (lines.0.min(region.first), lines.1.max(region.last));
        }
        files.into_iter().map(|(file, (first, last))| Extent {
            file: &self.files[file],
            first,
            last,
        })
    }

    /// How many functions it has.
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    fn add(&mut self, tables: &[u8], functions: &[u8]) -> Result<(), CoverageError> {
        let tables = file_tables(tables)?;
        let mut numbers: HashMap<u64, Vec<Option<usize>>> = HashMap::new();
        let mut reader = Reader::new(functions);
        while reader.left() >= 28 {
            let name = reader.u64()?;
            let length = reader.u32()? as usize;
            let (hash, table) = (reader.u64()?, reader.u64()?);
            let data = reader.take(length)?;
            reader.align(8);
            let names = tables
                .get(&table)
                .ok_or(CoverageError::Expected("a table of file names"))?;
            let numbers = numbers.entry(table).or_insert_with(|| {
                let number = |name: &PathBuf| self.number(name);
                names.iter().map(number).collect()
            });
            let function = parse_function(data, numbers)?;
            if function.regions.is_empty() {
                self.elsewhere.insert((name, hash));
            } else {
                self.functions.entry((name, hash)).or_insert(function);
            }
        }
        Ok(())
    }

    /// The number of a file below the root.
    fn number(&mut self, path: &Path) -> Option<usize> {
        let path = plain(path);
        let relative = path.strip_prefix(&self.root).ok()?;
        let parts = relative
            .components()
            .map(|part| part.as_os_str().to_string_lossy());
        let name = parts.collect::<Vec<_>>().join("/");
        if name.is_empty() {
            return None;
        }
        let next = self.files.len();
        let number = *self.file_numbers.entry(name.clone()).or_insert(next);
        if number == next {
            self.files.push(name);
        }
        Some(number)
    }
}

/// A path without `.` and `..`, as text: what is named need not exist on this machine.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

/// The tables, by their hash.
fn file_tables(bytes: &[u8]) -> Result<HashMap<u64, Vec<PathBuf>>, CoverageError> {
    let mut tables = HashMap::new();
    let mut reader = Reader::new(bytes);
    while reader.left() >= 16 {
        let _ = reader.u32()?;
        let length = reader.u32()? as usize;
        let _ = reader.u32()?;
        let version = reader.u32()?;
        if !VERSIONS.contains(&version) {
            return Err(CoverageError::Version {
                what: "coverage map",
                known: "4 to 7",
                found: u64::from(version) + 1,
            });
        }
        let names = reader.take(length)?;
        reader.align(8);
        let digest = Md5::digest(names);
        let mut hash = [0; 8];
        hash.copy_from_slice(&digest[..8]);
        tables.insert(u64::from_le_bytes(hash), file_names(names, version)?);
    }
    Ok(tables)
}

fn file_names(bytes: &[u8], version: u32) -> Result<Vec<PathBuf>, CoverageError> {
    let mut reader = Reader::new(bytes);
    let count = reader.leb128()?;
    let plain_size = reader.leb128()?;
    let packed_size = reader.count()?;
    let mut unpacked = Vec::new();
    let plain = if packed_size == 0 {
        reader.take(reader.left())?
    } else {
        if plain_size > MAX_NAMES {
            return Err(CoverageError::Expected("file names of at most 256 MiB"));
        }
        let packed = reader.take(packed_size)?;
        ZlibDecoder::new(packed)
            .take(plain_size)
            .read_to_end(&mut unpacked)
            .map_err(|_| CoverageError::Expected("valid zlib data"))?;
        &unpacked[..]
    };
    let mut reader = Reader::new(plain);
    let mut names: Vec<PathBuf> = Vec::new();
    for _ in 0..count {
        let length = reader.count()?;
        let name = String::from_utf8_lossy(reader.take(length)?).into_owned();
        // Joining an absolute path gives that path.
        let name = match names.first() {
            Some(folder) if version >= WITH_FOLDER => folder.join(name),
            _ => PathBuf::from(name),
        };
        names.push(name);
    }
    Ok(names)
}

fn parse_function(data: &[u8], numbers: &[Option<usize>]) -> Result<Function, CoverageError> {
    let mut reader = Reader::new(data);
    let count = reader.count()?;
    let mut files = Vec::with_capacity(count);
    for _ in 0..count {
        let index = usize::try_from(reader.leb128()?).unwrap_or(usize::MAX);
        let number = numbers.get(index);
        files.push(*number.ok_or(CoverageError::Expected("a file of the table"))?);
    }
    let count = reader.count()?;
    // Whether an expression is a sum stands where it is used.
    let mut expressions = Vec::with_capacity(count);
    let mut pairs = Vec::with_capacity(count);
    for _ in 0..count {
        pairs.push((reader.leb128()?, reader.leb128()?));
        expressions.push(Expression {
            left: Counter::Zero,
            right: Counter::Zero,
            is_sum: false,
        });
    }
    for (index, (left, right)) in pairs.into_iter().enumerate() {
        let left = counter(left, &mut expressions)?;
        let right = counter(right, &mut expressions)?;
        (expressions[index].left, expressions[index].right) = (left, right);
    }
    let mut regions = Vec::new();
    for file in files {
        let count = reader.count()?;
        let mut line = 0_u32;
        for _ in 0..count {
            let region = region(&mut reader, &mut line, &mut expressions)?;
            if let (Some(file), Some((first, last, counter))) = (file, region) {
                regions.push(Region {
                    file,
                    first,
                    last,
                    counter,
                });
            }
        }
    }
    Ok(Function {
        expressions,
        regions,
    })
}

fn counter(value: u64, expressions: &mut [Expression]) -> Result<Counter, CoverageError> {
    let index = usize::try_from(value >> 2).unwrap_or(usize::MAX);
    Ok(match value & 3 {
        0 => Counter::Zero,
        1 => Counter::Index(index),
        kind => {
            let expression = expressions
                .get_mut(index)
                .ok_or(CoverageError::Expected("an expression of the function"))?;
            expression.is_sum = kind == 3;
            Counter::Expression(index)
        }
    })
}

type Lines = (u32, u32, Counter);

/// A region of code: first line, last line, counter. `None` for regions of other kinds.
fn region(
    reader: &mut Reader<'_>,
    line: &mut u32,
    expressions: &mut [Expression],
) -> Result<Option<Lines>, CoverageError> {
    let head = reader.leb128()?;
    let mut is_code = true;
    let mut count = Counter::Zero;
    if head & 3 != 0 {
        count = counter(head, expressions)?;
    } else if head & 4 != 0 {
        // The expansion of a macro, whose regions have a file of their own.
        is_code = false;
    } else {
        let more = match head >> 3 {
            0 => 0,
            // Skipped by the preprocessor.
            2 => {
                is_code = false;
                0
            }
            // Branches, decisions and conditions, whose code has a region besides.
            4 | 5 => {
                is_code = false;
                2
            }
            6 => {
                is_code = false;
                5
            }
            _ => return Err(CoverageError::Expected("a known kind of region")),
        };
        for _ in 0..more {
            reader.leb128()?;
        }
    }
    let small = |number: u64| {
        u32::try_from(number).map_err(|_| CoverageError::Expected("lines of at most 32 bits"))
    };
    let start = small(reader.leb128()?)?;
    let start_column = reader.leb128()?;
    let length = small(reader.leb128()?)?;
    let end_column = reader.leb128()?;
    *line = line.saturating_add(start);
    // What lies between two statements is no code.
    let is_gap = end_column & (1 << 31) != 0;
    let mut last = line.saturating_add(length);
    if end_column == 1 && start_column != 0 && length > 0 {
        // It ends before the first character of its last line.
        last -= 1;
    }
    Ok((is_code && !is_gap && *line > 0).then_some((*line, last, count)))
}

/// Values of expressions, each computed once.
struct Values<'a> {
    expressions: &'a [Expression],
    counts: &'a [u64],
    known: Vec<Option<i128>>,
}

/// How deep expressions may lie in each other: those of a function refer to earlier ones, mostly.
const MAX_DEPTH: usize = 2000;

impl<'a> Values<'a> {
    fn new(expressions: &'a [Expression], counts: &'a [u64]) -> Values<'a> {
        Values {
            expressions,
            counts,
            known: vec![None; expressions.len()],
        }
    }

    fn of(&mut self, counter: Counter, depth: usize) -> i128 {
        match counter {
            Counter::Zero => 0,
            Counter::Index(index) => self.counts.get(index).copied().unwrap_or(0).into(),
            Counter::Expression(index) => {
                if let Some(value) = self.known[index] {
                    return value;
                }
                if depth > MAX_DEPTH {
                    return 0;
                }
                // An expression in itself counts nothing.
                self.known[index] = Some(0);
                let Expression {
                    left,
                    right,
                    is_sum,
                } = self.expressions[index];
                let (left, right) = (self.of(left, depth + 1), self.of(right, depth + 1));
                let value = if is_sum {
                    left.saturating_add(right)
                } else {
                    left.saturating_sub(right)
                };
                self.known[index] = Some(value);
                value
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sums_and_differences_are_computed_and_circles_end() {
        let expression = |left, right, is_sum| Expression {
            left,
            right,
            is_sum,
        };
        let expressions = [
            expression(Counter::Index(0), Counter::Index(1), false),
            expression(Counter::Expression(0), Counter::Index(1), true),
            expression(Counter::Expression(2), Counter::Index(0), true),
        ];
        let mut values = Values::new(&expressions, &[5, 3]);
        let all = [0, 1, 2].map(|index| values.of(Counter::Expression(index), 0));
        assert_eq!(all, [2, 5, 5]);
        assert_eq!(values.of(Counter::Index(9), 0), 0);
    }

    #[test]
    fn paths_are_made_plain() {
        for (path, expected) in [("/a/./b/../c.rs", "/a/c.rs"), ("/../x", "/x")] {
            assert_eq!(plain(Path::new(path)), Path::new(expected));
        }
    }

    proptest! {
        #[test]
        fn any_sections_are_taken(tables: Vec<u8>, functions: Vec<u8>) {
            let mut map = CoverageMap::new(Path::new("/r"));
            let _ = map.add(&tables, &functions);
            let _ = parse_function(&functions, &[Some(0), None]);
        }
    }
}
