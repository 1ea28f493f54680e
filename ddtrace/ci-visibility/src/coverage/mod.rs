//! Which lines a test ran, from what `-C instrument-coverage` leaves behind (`spec/ci-visibility.md` §2.5, §7.4).
//!
//! ```text
//!   binary ──> elf ──> map      functions: hash, regions of lines, each with a counter or a sum of some
//!   profile ─> profraw ──┐
//!                        └──> CoverageMap::lines_of ──> files with bitmaps ──> safety, report
//! ```
//!
//! A map is read once for each binary, a profile once for each test: its counters are looked up by
//! the function's two hashes over all binaries, since Rust's binaries have no build id. Both are
//! outside input: whatever cannot be understood is an error, and an error means no coverage, never
//! a wrong one.
//!
//! Lines see functions only. What else may change a test's outcome is in [`safety`].

mod bitmap;
mod elf;
mod map;
mod profraw;
mod reader;
mod report;
pub mod safety;

pub use bitmap::Bitmap;
pub use map::{CoverageMap, Extent};
pub use profraw::{Counts, Profile};
pub use report::Report;

/// Why a map or a profile cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoverageError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {reason}")]
    File {
        /// Its path.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// It is something else.
    #[error("expected {0}")]
    Expected(&'static str),
    /// Its version is not one that is known.
    #[error("expected a {what} of version {known}, found {found}")]
    Version {
        /// `profile` or `coverage map`.
        what: &'static str,
        /// The versions that are known.
        known: &'static str,
        /// The version that was found.
        found: u64,
    },
}

#[cfg(all(test, target_os = "linux"))]
mod coverage_tests;
