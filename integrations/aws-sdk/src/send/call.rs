//! What is called and not sent to: state machines of Step Functions and functions of Lambda.

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::to_raw_value;

use super::{DATADOG, Sender, with_ours};
use crate::json::Members;

/// The most that a client context of Lambda may weigh.
const MAX_CLIENT_CONTEXT_BYTES: usize = 3_583;

impl Sender<'_> {
    pub(super) fn execution(&mut self, mut request: Members<'_>) -> Option<String> {
        let input = request.text("input")?;
        let object = Members::parse(input.as_bytes())?;
        if object.get(DATADOG).is_some() || self.context.is_empty() {
            return None;
        }
        let input = with_ours(object, &self.context)?;
        request.set("input", &input)?;
        request.to_text()
    }

    pub(super) fn invocation(&mut self, request: &mut HttpRequest) -> Option<()> {
        const HEADER: &str = "x-amz-client-context";
        let before = match request.headers().get(HEADER) {
            Some(before) => STANDARD.decode(before).ok()?,
            None => b"{}".to_vec(),
        };
        let mut context = Members::parse(&before)?;
        let custom = {
            let mut custom = context.members("custom").unwrap_or_default();
            for (name, value) in &self.context {
                custom.set(name, value)?;
            }
            to_raw_value(&custom).ok()?
        };
        context.set("custom", &custom)?;
        let after = STANDARD.encode(context.to_text()?);
        if after.len() <= MAX_CLIENT_CONTEXT_BYTES && !self.context.is_empty() {
            request.headers_mut().insert(HEADER, after);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;
    use ddtrace_core::trace::Span;
    use serde_json::json;

    use super::super::tests::{rewrite_with, rewritten};
    use super::*;

    #[test]
    fn invocations_keep_what_their_context_says() {
        let context = |before: Option<&str>| {
            let mut request = HttpRequest::new(SdkBody::from("payload"));
            if let Some(before) = before {
                request
                    .headers_mut()
                    .insert("x-amz-client-context", before.to_owned());
            }
            let mut span = Span::off();
            let _ = rewrite_with(&mut span, "lambda", "Invoke", &mut request);
            let after = request.headers().get("x-amz-client-context").unwrap();
            let decoded = STANDARD
                .decode(after)
                .map(|it| String::from_utf8(it).unwrap());
            decoded.unwrap_or_else(|_| after.to_owned())
        };
        assert_eq!(context(None), r#"{"custom":{"baggage":"k=v"}}"#);
        let theirs = STANDARD.encode(r#"{"client":{"n":1},"custom":{"a":"b"}}"#);
        assert_eq!(
            context(Some(&theirs)),
            r#"{"client":{"n":1},"custom":{"a":"b","baggage":"k=v"}}"#
        );
        assert_eq!(context(Some("?")), "?");
    }

    #[test]
    fn executions_get_a_member_if_their_input_is_an_object() {
        let with_ours = r#"{"a":1,"_datadog":{"baggage":"k=v"}}"#;
        let input = |input: &str| format!(r#"{{"input":{},"stateMachineArn":"m"}}"#, json!(input));
        assert_eq!(
            rewritten("states", "StartExecution", &input(r#"{"a":1}"#)),
            input(with_ours)
        );
        for left in [input("7"), input(r#"{"_datadog":{}}"#)] {
            assert_eq!(rewritten("states", "StartExecution", &left), left);
        }
    }
}
