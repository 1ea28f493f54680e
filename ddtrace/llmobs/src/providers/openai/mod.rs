//! OpenAI's API, which most others speak as well: chat, completions, responses, embeddings.

pub(super) mod chat;
mod chat_stream;
pub(super) mod completions;
pub(super) mod embeddings;
mod parts;
mod prompt;
pub(super) mod responses;
mod responses_items;
mod tools;
mod usage;

/// Parameters that every operation takes.
const COMMON: [&str; 4] = ["stream", "temperature", "top_p", "user"];

/// The event with which a stream says that it is over.
const DONE: &str = "[DONE]";
