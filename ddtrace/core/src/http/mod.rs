//! What HTTP means to a trace, for servers and clients alike.
//!
//! Which statuses are errors, how a URL is written into a tag without the secrets in it, whose address a request came
//! from, which headers become tags, and what kind of endpoint a path is. The integrations know their library's requests
//! and responses; the rules are here, once. All of them are functions of their arguments: settings are parsed into a
//! value at the start ([`ErrorStatuses`], [`QueryTagging`], [`ClientIp`], [`HeaderTags`]) and asked per request.

mod client_ip;
mod endpoint;
mod header_tags;
mod query;
mod status;
mod url;

pub use client_ip::ClientIp;
pub use endpoint::endpoint;
pub(crate) use endpoint::{MAX_PARTS, endpoint_parts};
pub use header_tags::HeaderTags;
pub use query::{InvalidExpression, QueryTagging};
pub use status::{ErrorStatuses, InvalidStatuses};
pub(crate) use url::Peer;
pub use url::{UrlParts, hostname, sanitize_url, without_urls};
