//! What went wrong with the tags that travel, as the backend wants to be told.

use std::borrow::Cow;

/// The value of `_dd.propagation_error` on the local root.
///
/// None of these stops a request or loses the trace: the tags are lost, ids and priority stay.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PropagationError {
    /// The inbound `x-datadog-tags` were longer than allowed.
    ExtractMaxSize,
    /// The inbound `x-datadog-tags` could not be read, or their decision maker is none.
    Decoding,
    /// The inbound `_dd.p.tid`, kept here, is not 16 lower-case hexadecimal digits or all zero.
    MalformedTraceIdHigh(Box<str>),
    /// The outbound `x-datadog-tags` would be longer than allowed.
    InjectMaxSize,
    /// An outbound tag has characters that the header cannot carry.
    Encoding,
    /// There were tags to send, but the header is switched off.
    Disabled,
}

impl PropagationError {
    /// The key of the tag.
    pub const TAG: &'static str = "_dd.propagation_error";

    /// The value of the tag.
    pub fn tag_value(&self) -> Cow<'static, str> {
        match self {
            Self::ExtractMaxSize => "extract_max_size".into(),
            Self::Decoding => "decoding_error".into(),
            Self::MalformedTraceIdHigh(value) => format!("malformed_tid {value}").into(),
            Self::InjectMaxSize => "inject_max_size".into(),
            Self::Encoding => "encoding_error".into(),
            Self::Disabled => "disabled".into(),
        }
    }
}
