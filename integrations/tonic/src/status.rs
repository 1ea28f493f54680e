//! The status of a call: in trailers, in headers, in an error, or to be guessed from the status of HTTP.

use std::any::Any;
use std::error::Error;

use http::{HeaderMap, StatusCode};
use tonic::{Code, ConnectError, Status, TimeoutExpired};

/// The name of a code, as the specification spells it.
pub(crate) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// The status that headers or trailers have, with its message.
pub(crate) fn of_headers(headers: &HeaderMap) -> Option<(Code, String)> {
    let code = headers.get("grpc-status")?;
    let message = headers
        .get("grpc-message")
        .map(|message| percent_decoded(message.as_bytes()))
        .unwrap_or_default();
    Some((Code::from_bytes(code.as_bytes()), message))
}

/// What somebody means who answers without speaking gRPC ("HTTP to gRPC Status Code Mapping").
pub(crate) fn of_http(status: StatusCode) -> Code {
    match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The status that an error is or was made of, as a client of tonic will be told.
pub(crate) fn of_error(error: &dyn Any) -> (Code, String) {
    let Some(error) = known(error) else {
        return (Code::Unknown, String::new());
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(status) = error.downcast_ref::<Status>() {
            return (status.code(), status.message().to_owned());
        }
        let code = code_of(error);
        if let Some(code) = code {
            return (code, error.to_string());
        }
        cause = error.source();
    }
    (Code::Unknown, error.to_string())
}

fn code_of(error: &(dyn Error + 'static)) -> Option<Code> {
    if error.is::<TimeoutExpired>() {
        return Some(Code::Cancelled);
    }
    if error.is::<ConnectError>() {
        return Some(Code::Unavailable);
    }
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_timeout() {
        Some(Code::Unavailable)
    } else if error.is_canceled() {
        Some(Code::Cancelled)
    } else {
        None
    }
}

/// The error behind a type, for the types that tonic's services have.
fn known(error: &dyn Any) -> Option<&(dyn Error + 'static)> {
    if let Some(error) = error.downcast_ref::<Box<dyn Error + Send + Sync>>() {
        return Some(&**error);
    }
    if let Some(error) = error.downcast_ref::<tonic::transport::Error>() {
        return Some(error);
    }
    Some(error.downcast_ref::<Status>()?)
}

/// A message as it was before it was written into a header. Broken escapes stay as they are.
fn percent_decoded(text: &[u8]) -> String {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = (byte == b'%')
            .then(|| after.split_at_checked(2))
            .flatten()
            .and_then(|(digits, after)| {
                let digits = std::str::from_utf8(digits).ok()?;
                let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
                Some((byte, after))
            });
        let (byte, after) = escaped.unwrap_or((byte, after));
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_message_is_read_and_one_that_was_encoded_as_it_was(text in ".*", bytes: Vec<u8>) {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(percent_decoded(encoded.as_bytes()), text);
            let decoded = percent_decoded(&bytes);
            prop_assert!(decoded.len() <= bytes.len() * 3);
        }
    }

    #[test]
    fn messages_are_decoded_as_far_as_they_are_encoded() {
        for (text, expected) in [
            ("no tea", "no tea"),
            ("no%20tea%21", "no tea!"),
            ("%E8%8C%B6", "茶"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz%+1"),
            ("%FF", "\u{fffd}"),
        ] {
            assert_eq!(percent_decoded(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn an_error_is_the_status_that_it_stands_for() {
        let boxed = |error: Box<dyn Error + Send + Sync>| of_error(&error);
        let status = || Status::not_found("no tea");
        let expected = (Code::NotFound, String::from("no tea"));
        assert_eq!(of_error(&status()), expected);
        assert_eq!(boxed(status().into()), expected);
        assert_eq!(boxed(TimeoutExpired(()).into()).0, Code::Cancelled);
        let refused = ConnectError("refused".into());
        assert_eq!(boxed(refused.into()).0, Code::Unavailable);
        assert_eq!(boxed("odd".into()), (Code::Unknown, "odd".into()));
        assert_eq!(of_error(&7), (Code::Unknown, String::new()));
    }
}
