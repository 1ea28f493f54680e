//! What spans say: messages, documents, tools, prompts and agents, as they stand on the wire.

mod agent;
mod content;
mod message;
mod prompt;
mod tool;

pub use agent::{Agent, AgentTool};
pub use content::{Content, Document};
pub(crate) use content::{documents_of, messages_of};
pub use message::{Media, Message, ToolCall, ToolResult};
pub(crate) use prompt::Checked as CheckedPrompt;
pub use prompt::{ChatItem, PlaceholderType, Prompt};
pub use tool::ToolDefinition;
