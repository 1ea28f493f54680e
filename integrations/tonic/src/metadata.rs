//! Metadata as something that context is read from and written to by hand.

use http::HeaderMap;
use tonic::metadata::MetadataMap;

/// Metadata to read context from: for `ddtrace::extract`, or a checkpoint of data streams.
///
/// ```
/// # let mut request = tonic::Request::new(());
/// # request.metadata_mut().insert("x-datadog-trace-id", "7".parse().unwrap());
/// let context = ddtrace_core::trace::extract(ddtrace_tonic::metadata(request.metadata()));
/// # let _ = context;
/// ```
pub fn metadata(metadata: &MetadataMap) -> &HeaderMap {
    metadata.as_ref()
}

/// Metadata to write context to, for calls that are made without [`client`](crate::client) and messages in streams of calls.
///
/// ```
/// let mut request = tonic::Request::new(());
/// ddtrace_core::trace::inject(ddtrace_tonic::metadata_mut(request.metadata_mut()));
/// ```
pub fn metadata_mut(metadata: &mut MetadataMap) -> &mut HeaderMap {
    metadata.as_mut()
}
