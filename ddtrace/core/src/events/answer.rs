//! What a product may answer to an event.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

/// The answer to an event that can be answered. Nothing is said until somebody blocks.
#[derive(Debug, Default)]
pub struct Verdict {
    block: Option<Block>,
}

impl Verdict {
    /// Answers that what is happening must not go on. The first answer wins; says whether this was it.
    pub fn block(&mut self, block: Block) -> bool {
        let first = self.block.is_none();
        if first {
            self.block = Some(block);
        }
        first
    }

    /// Whether somebody has blocked already: a listener may then save its work.
    pub fn is_blocked(&self) -> bool {
        self.block.is_some()
    }

    /// The response to give instead of going on, if somebody blocked.
    pub fn into_block(self) -> Option<Block> {
        self.block
    }
}

/// The response that a blocked request gets instead of the user's.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Block {
    /// Status of the response.
    pub status: StatusCode,
    /// Its headers: a content type, a location for a redirect.
    pub headers: HeaderMap,
    /// Its body, empty by default.
    pub body: Bytes,
}

impl Block {
    /// A response with a status and nothing else.
    pub fn new(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}
