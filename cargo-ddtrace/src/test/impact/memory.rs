//! What tests entered when they passed last, kept over sessions.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};

use super::outline::Hash;

/// Bytes of the file, inflated.
const FILE: u64 = 512 << 20;
/// The layout of the file; another one is not read.
const LAYOUT: u32 = 1;
/// Tests that are remembered.
const TESTS: usize = 200_000;

/// What a test depended on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// With all tests of its binary.
    pub(super) global: Hash,
    /// The bodies that it entered: file and key, in their order.
    pub(super) bodies: Vec<String>,
    /// The hashes of these.
    pub(super) hash: Hash,
}

/// By module, then test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    modules: BTreeMap<String, BTreeMap<String, Record>>,
}

/// A record: bodies by the place of their names.
type Row = (Hash, Vec<u32>, Hash);

/// As it lies on disk: names of bodies stand once.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Written {
    layout: u32,
    names: Vec<String>,
    modules: BTreeMap<String, BTreeMap<String, Row>>,
}

fn path(data: &Path) -> PathBuf {
    data.join("impact.json.gz")
}

impl Memory {
    /// Reads what is there; what can't be read is as good as nothing.
    pub(super) fn read(data: &Path) -> Memory {
        let Some(written) = std::fs::File::open(path(data)).ok().and_then(|file| {
            let file = std::io::BufReader::new(GzDecoder::new(file).take(FILE));
            serde_json::from_reader::<_, Written>(file).ok()
        }) else {
            return Memory::default();
        };
        if written.layout != LAYOUT {
            return Memory::default();
        }
        let mut memory = Memory::default();
        for (module, tests) in written.modules {
            for (test, (global, bodies, hash)) in tests {
                let name = |at: &u32| written.names.get(*at as usize).cloned();
                let Some(bodies) = bodies.iter().map(name).collect() else {
                    continue;
                };
                memory.set(
                    &module,
                    &test,
                    Some(Record {
                        global,
                        bodies,
                        hash,
                    }),
                );
            }
        }
        memory
    }

    /// Writes it, whole or not at all.
    pub(super) fn write(&self, data: &Path) -> std::io::Result<()> {
        let mut written = Written {
            layout: LAYOUT,
            ..Written::default()
        };
        let mut places: BTreeMap<&str, u32> = BTreeMap::new();
        for (module, tests) in &self.modules {
            let into = written.modules.entry(module.clone()).or_default();
            for (test, record) in tests {
                let bodies = record.bodies.iter().map(|name| {
                    *places.entry(name).or_insert_with(|| {
                        written.names.push(name.clone());
                        (written.names.len() - 1) as u32
                    })
                });
                let bodies = bodies.collect();
                into.insert(
                    test.clone(),
                    (record.global.clone(), bodies, record.hash.clone()),
                );
            }
        }
        std::fs::create_dir_all(data)?;
        let hidden = data.join(format!(".impact.{}", std::process::id()));
        let done = (|| {
            let mut file = GzEncoder::new(std::fs::File::create(&hidden)?, Compression::fast());
            file.write_all(&serde_json::to_vec(&written)?)?;
            file.finish()?;
            std::fs::rename(&hidden, path(data))
        })();
        if done.is_err() {
            let _ = std::fs::remove_file(&hidden);
        }
        done
    }

    pub(super) fn get(&self, module: &str, test: &str) -> Option<&Record> {
        self.modules.get(module)?.get(test)
    }

    /// Remembers a test, or forgets it.
    pub(super) fn set(&mut self, module: &str, test: &str, record: Option<Record>) {
        match record {
            Some(record) => {
                let tests: usize = self.modules.values().map(BTreeMap::len).sum();
                if tests < TESTS {
                    let module = self.modules.entry(module.to_owned()).or_default();
                    module.insert(test.to_owned(), record);
                }
            }
            None => {
                if let Some(tests) = self.modules.get_mut(module) {
                    tests.remove(test);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let record = |bodies: &[&str]| Record {
            global: "g".into(),
            bodies: bodies.iter().map(|name| (*name).to_owned()).collect(),
            hash: "h".into(),
        };
        let mut memory = Memory::default();
        memory.set("m", "a", Some(record(&["x", "y"])));
        memory.set("m", "b", Some(record(&["y"])));
        memory.set("n", "a", Some(record(&[])));
        memory.set("n", "a", None);
        memory.write(folder.path()).unwrap();
        let read = Memory::read(folder.path());
        assert_eq!(read.get("m", "a"), Some(&record(&["x", "y"])));
        assert_eq!(read.get("m", "b"), Some(&record(&["y"])));
        assert_eq!(read.get("n", "a"), None);
        std::fs::write(path(folder.path()), b"no gzip").unwrap();
        assert_eq!(Memory::read(folder.path()), Memory::default());
    }
}
