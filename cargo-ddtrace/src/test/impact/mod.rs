//! Which tests a change touches, out of what earlier runs reached (`spec/ci-visibility.md` §7.4).
//!
//! ```text
//! before cargo:   snapshot   every file of the repository: hash, and outline of Rust sources
//! a binary lists: unit       what all of its tests depend on, as one hash; bodies that its map can see
//!                 decide     memory: same hash, same bodies as those that the test entered ─▶ it is skipped
//! a test ran:     remember   the bodies that it entered
//! after cargo:    memory     written whole, unless sources changed meanwhile
//! ```
//!
//! A test is skipped only if it passed when it ran last, and nothing has changed since but bodies of functions that it did not enter.
//! Everything else that may decide an outcome belongs to all tests of a binary:
//!
//! * skeletons of the sources of its package and of the members that this depends on: types, constants, macros, signatures, attributes;
//! * bodies that no counter sees, and all of what runs while compiling: build scripts, procedural macros and members that these use;
//! * every file that is no Rust source, wherever in the repository: tests read them, sources include them, cargo obeys them;
//! * Rust sources outside of members; what the compiler's dep-info names besides (generated files, variables);
//! * the compiler, cargo's configuration, flags; features and profile, by the name that cargo gives to the binary.
//!
//! What cannot be known is not guessed: a test that may compile something or read sources always runs, and so does one that starts programs of
//! which none counted. Where the repository can't be seen whole (a path dependency outside of it, too many files) nothing is skipped at all.

mod memory;
mod outline;
mod snapshot;
mod unit;

use snapshot::Snapshot;
pub(crate) use unit::{Members, Reached, Unit, dep_infos, plain};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ddtrace_ci_visibility::model::TestIdentity;

use memory::{Memory, Record};

/// What is known at the beginning of a session, and what it learns.
#[derive(Debug)]
pub(crate) struct Impact {
    pub(super) snapshot: Snapshot,
    memory: Memory,
    learnt: Mutex<Learnt>,
    /// Whether tests are skipped, or only watched.
    skips: bool,
    /// Where the memory lies.
    data: PathBuf,
}

#[derive(Debug, Default)]
struct Learnt {
    /// By module and test; `None` forgets what was known.
    records: BTreeMap<(String, String), Option<Record>>,
}

impl Impact {
    /// Looks at the repository and at what is remembered of it. The line says why nothing can be skipped.
    pub(crate) fn begin(root: &Path, data: &Path, skips: bool) -> Result<Impact, String> {
        Ok(Impact {
            snapshot: Snapshot::take(root)?,
            memory: Memory::read(data),
            learnt: Mutex::default(),
            skips,
            data: data.to_owned(),
        })
    }

    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing that the test depends on has changed since it passed.
    pub(crate) fn is_untouched(&self, unit: &Unit, test: &TestIdentity) -> bool {
        let record = self.memory.get(&test.module, &key(test));
        self.skips && record.is_some_and(|record| unit.holds(record))
    }

    /// Takes note of a test that has run for the last time; `reached` is there if it passed each time and what it entered is known.
    pub(crate) fn remember(&self, unit: &Unit, test: &TestIdentity, reached: Option<&Reached>) {
        let record = reached.and_then(|reached| unit.record(reached));
        let name = (test.module.clone(), key(test));
        self.learnt().records.insert(name, record);
    }

    /// Writes what was learnt; gives a line if nothing could be.
    pub(crate) fn end(&self) -> Option<String> {
        let learnt = std::mem::take(&mut *self.learnt());
        if learnt.records.is_empty() {
            return None;
        }
        let changed = self.snapshot.changed();
        let mut memory = self.memory.clone();
        for ((module, test), record) in learnt.records {
            memory.set(&module, &test, record.filter(|_| changed.is_none()));
        }
        if let Err(error) = memory.write(&self.data) {
            return Some(format!(
                "what tests reached is not kept: {}: {error}",
                self.data.display()
            ));
        }
        changed.map(|file| {
            format!("{file} changed while the tests ran: what they reached is not kept")
        })
    }
}

/// A test of a module by one text.
fn key(test: &TestIdentity) -> String {
    let parameters = test.parameters.as_deref().unwrap_or_default();
    format!("{}\n{}\n{parameters}", test.suite, test.name)
}
