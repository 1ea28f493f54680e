//! What an answer says: its status, its request's id, and what went wrong.

use aws_smithy_runtime_api::client::interceptors::context::Error as OperationError;
use aws_smithy_runtime_api::client::orchestrator::{HttpResponse, OrchestratorError};

use crate::json::Members;

/// The id by which AWS knows a request.
pub(crate) fn request_id(response: &HttpResponse) -> Option<&str> {
    let headers = response.headers();
    ["x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id"]
        .iter()
        .find_map(|name| headers.get(name))
}

/// The code and the message of an error that a service answered with.
pub(crate) fn service_error(response: &HttpResponse) -> (Option<String>, String) {
    let headers = response.headers();
    let body = response.body().bytes().unwrap_or_default();
    let members = Members::parse(body).unwrap_or_default();
    let of_xml = |name| {
        std::str::from_utf8(body)
            .ok()
            .and_then(|body| element(body, name))
    };
    let code = headers
        .get("x-amzn-errortype")
        .map(str::to_owned)
        .or_else(|| members.text("__type"))
        .or_else(|| members.text("code"))
        .or_else(|| of_xml("Code").map(str::to_owned));
    let message = members
        .text("message")
        .or_else(|| members.text("Message"))
        .or_else(|| of_xml("Message").map(str::to_owned));
    (
        code.map(|code| bare(&code).to_owned()),
        message.unwrap_or_default(),
    )
}

/// A code without the name space before `#` and the link behind `:`.
fn bare(code: &str) -> &str {
    let code = code.rsplit('#').next().unwrap_or(code);
    code.split(':').next().unwrap_or(code)
}

/// The text of the first element of a name, as it stands.
pub(crate) fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let open = format!("<{name}>");
    let start = xml.find(&open)? + open.len();
    let length = xml[start..].find("</")?;
    Some(xml[start..start + length].trim())
}

/// What kind of error it is that no service answered with, and its causes.
pub(crate) fn other_error(error: &OrchestratorError<OperationError>) -> (&'static str, String) {
    let connector = error.as_connector_error();
    let kind = if error.is_timeout_error() || connector.is_some_and(|it| it.is_timeout()) {
        "timeout"
    } else if connector.is_some_and(|it| it.is_io()) {
        "connect"
    } else if connector.is_some() {
        "connector"
    } else if error.is_response_error() {
        "response"
    } else if error.is_interceptor_error() {
        "interceptor"
    } else {
        "construction"
    };
    let mut message = String::from("the operation failed");
    let mut cause = connector.map(|error| error as &(dyn std::error::Error + 'static));
    while let Some(error) = cause {
        message.push_str(": ");
        message.push_str(&error.to_string());
        cause = error.source();
    }
    (kind, message)
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    #[test]
    fn errors_are_found_in_every_protocol() {
        let answer = |header: Option<&'static str>, body: &'static str| {
            let status = StatusCode::try_from(400).unwrap();
            let mut response = HttpResponse::new(status, SdkBody::from(body));
            if let Some(header) = header {
                response.headers_mut().insert("x-amzn-errortype", header);
            }
            service_error(&response)
        };
        let found = |code: &str, message: &str| (Some(code.to_owned()), message.to_owned());
        let json = r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no tea"}"#;
        assert_eq!(answer(None, json), found("QueueDoesNotExist", "no tea"));
        let header = "ResourceNotFoundException:http://internal/coral/";
        let rest = r#"{"Message":"gone"}"#;
        assert_eq!(
            answer(Some(header), rest),
            found("ResourceNotFoundException", "gone")
        );
        let xml = "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code><Message>no topic</Message></Error></ErrorResponse>";
        assert_eq!(answer(None, xml), found("NotFound", "no topic"));
        assert_eq!(answer(None, "<html>"), (None, String::new()));
    }
}
