//! AWS: messages that are sent, answers of every service, and messages that arrive.

use aws_smithy_runtime_api::client::interceptors::Intercept as _;
use aws_smithy_runtime_api::client::interceptors::context::{
    Error, Input, InterceptorContext, Output,
};
use aws_smithy_runtime_api::client::orchestrator::{
    HttpRequest, HttpResponse, Metadata, OrchestratorError,
};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{ConfigBag, Layer};
use ddtrace_core::test_support::Recorder;
use serde_json::Value;

/// The service, the operation and the address in a line; the status of the answer and the code of its error in a second one; the request's
/// body, a line of three dashes, and the answer's: what is sent is what was given, with ours or without.
pub fn aws_operation(data: &[u8]) {
    let mut lines = data.splitn(3, |byte| *byte == b'\n');
    let mut line = || String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (called, answered) = (line(), line());
    let bodies = lines.next().unwrap_or_default();
    let cut = bodies.windows(5).position(|five| five == b"\n---\n");
    let (body, answer) = match cut {
        Some(at) => (&bodies[..at], &bodies[at + 5..]),
        None => (bodies, &[][..]),
    };
    let mut words = called.splitn(3, ' ').map(str::to_owned);
    let (service, operation) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    let mut request = HttpRequest::new(SdkBody::from(body));
    if request.set_uri(words.next().unwrap_or_default()).is_err() {
        return;
    }
    let headers = request.headers_mut();
    headers.insert("content-length", body.len().to_string());

    let _recorder = Recorder::new();
    let interceptor = ddtrace_aws_sdk::interceptor().with_dynamodb_keys("cups", ["id"]);
    let components: RuntimeComponents = match RuntimeComponentsBuilder::for_tests().build() {
        Ok(components) => components,
        Err(error) => panic!("{error:?}"),
    };
    let mut layer = Layer::new("fuzz");
    layer.store_put(Metadata::new(operation.clone(), service.clone()));
    let mut cfg = ConfigBag::of_layers(vec![layer]);
    let mut context = InterceptorContext::new(Input::doesnt_matter());
    let went_on =
        interceptor.modify_before_serialization(&mut (&mut context).into(), &components, &mut cfg);
    assert!(went_on.is_ok());
    context.enter_serialization_phase();
    let _ = context.take_input();
    context.set_request(request);
    context.enter_before_transmit_phase();
    let went_on =
        interceptor.modify_before_retry_loop(&mut (&mut context).into(), &components, &mut cfg);
    assert!(went_on.is_ok());
    let went_on =
        interceptor.modify_before_signing(&mut (&mut context).into(), &components, &mut cfg);
    assert!(went_on.is_ok());

    context.enter_transmit_phase();
    let sent = context.take_request();
    if let Some(sent) = sent {
        let after = sent.body().bytes().unwrap_or_default();
        let length = sent.headers().get("content-length");
        assert_eq!(length, Some(after.len().to_string().as_str()));
        assert!(
            after.len() >= body.len() || service != "SNS",
            "nothing goes from a form"
        );
        if let Ok(before) = serde_json::from_slice::<Value>(body) {
            let Ok(after) = serde_json::from_slice::<Value>(after) else {
                panic!("no JSON any more: {}", String::from_utf8_lossy(after));
            };
            for member in [
                "MessageBody",
                "QueueUrl",
                "PartitionKey",
                "DetailType",
                "stateMachineArn",
            ] {
                assert_eq!(before.get(member), after.get(member), "{member}");
            }
        }
    }
    let mut words = answered.splitn(2, ' ');
    let status: u16 = words
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(200);
    let Ok(status) = StatusCode::try_from(status) else {
        return;
    };
    let is_done = status.is_success();
    let mut response = HttpResponse::new(status, SdkBody::from(answer));
    if let Some(code) = words.next() {
        let _ = response
            .headers_mut()
            .try_insert("x-amzn-errortype", code.to_owned());
    }
    context.set_response(response);
    context.enter_before_deserialization_phase();
    context.enter_deserialization_phase();
    context.set_output_or_error(if is_done {
        Ok(Output::erase(()))
    } else {
        Err(OrchestratorError::operation(Error::erase(
            std::io::Error::other("refused"),
        )))
    });
    context.enter_after_deserialization_phase();
    let went_on = interceptor.read_after_execution(&(&context).into(), &components, &mut cfg);
    assert!(went_on.is_ok());
}

/// The attribute of a message, a blank line, and its body: whatever they are, a context or none.
pub fn aws_message(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (attribute, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let _recorder = Recorder::new();
    for (attribute, body) in [
        (Some(attribute), Some(body)),
        (None, Some(body)),
        (Some(attribute), None),
        (None, Some(&*text)),
    ] {
        let extracted = ddtrace_aws_sdk::context_of_message(attribute, body);
        if let Some(context) = extracted.context {
            assert_ne!(context.trace_id.low(), 0);
        }
    }
}
