//! The three framings in which providers stream: server-sent events, JSON one after the other, and AWS event streams.
//!
//! All of them work on what was received as a whole, after the fact, and say of every frame where it ended: from that and
//! the arrival of the chunks the time to the first token is known. A frame that is not whole at the end is left out; bytes
//! that are not of the framing are skipped or end the reading, never a panic.

mod aws;
mod json_values;
mod sse;

pub(super) use aws::aws_frames;
pub(super) use json_values::json_values;
pub(super) use sse::sse_frames;

#[cfg(test)]
pub(super) use aws::tests::frame as aws_frame;
