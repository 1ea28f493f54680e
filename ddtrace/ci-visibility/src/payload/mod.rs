//! What is sent, byte for byte: one file per wire object (`spec/ci-visibility.md` §4, §6.7–6.9, §7.12).
//!
//! Items (events, coverages, logs) are written when they come, so that a writer holds bytes and
//! knows their size; a [`Shape`] puts a batch of them into a body. The same items are written as
//! MessagePack for the network and as JSON for files.

pub mod cicovreprt;
pub mod cireport;
mod citestcov;
mod citestcycle;
mod event;
mod logs;
pub mod multipart;
mod shape;
mod span;

pub use citestcov::{Coverage, FileCoverage};
pub use citestcycle::Metadata;
pub use event::{Configuration, Event, EventKind, ModuleEnd, SessionEnd, SuiteEnd, attempt_event};
pub use logs::LogRecord;
pub use shape::Shape;
pub use span::TestSpan;

/// The longest text in tags, in characters.
pub const MAX_TEXT: usize = 5000;

/// The largest body before compression; only a single item that is larger alone goes beyond.
pub const MAX_BODY: usize = 4_718_592;

/// A text of at most [`MAX_TEXT`] characters.
pub(crate) fn cut(text: &str) -> &str {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

#[cfg(test)]
mod payload_tests;
