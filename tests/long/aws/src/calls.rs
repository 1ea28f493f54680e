//! What is called: state machines of Step Functions and functions of Lambda.

use super::*;

const MACHINE: &str = "arn:aws:states:eu-central-1:123456789012:stateMachine:brew";

#[tokio::test]
async fn executions_carry_context_in_their_input() {
    let recorder = Recorder::new();
    let answer = r#"{"executionArn":"e","startDate":1.5,"stopDate":2.5,"status":"SUCCEEDED"}"#;
    // Input, and whether there is a place for ours.
    for (input, is_carried) in [
        (r#"{"a":1}"#, true),
        ("{}", true),
        ("[1]", false),
        (r#"{"_datadog":{"mine":1}}"#, false),
    ] {
        for is_sync in [false, true] {
            let http = Recorded::new(answer);
            let sfn = aws_sdk_sfn::Client::from_conf(config!(aws_sdk_sfn, http).build());
            if is_sync {
                let start = sfn.start_sync_execution().state_machine_arn(MACHINE);
                start.input(input).send().await.unwrap();
            } else {
                let start = sfn.start_execution().state_machine_arn(MACHINE);
                start.input(input).send().await.unwrap();
            }
            let span = only(&recorder);
            assert_eq!(span.name, "states.command");
            assert_eq!(span.meta("statemachinearn"), Some(MACHINE));
            let sent = http.json()["input"].as_str().unwrap().to_owned();
            if is_carried {
                let sent: Value = serde_json::from_str(&sent).unwrap();
                let parent = &sent["_datadog"]["x-datadog-parent-id"];
                assert_eq!(*parent, span.span_id.to_string());
            } else {
                assert_eq!(sent, input);
            }
        }
    }
}

#[tokio::test]
async fn functions_are_called_with_context_in_that_of_the_client() {
    let recorder = Recorder::new();
    let theirs = |bytes: usize| {
        let filling = "x".repeat(bytes);
        base64::encode(json!({ "client": { "n": filling }, "custom": { "a": "b" } }).to_string())
    };
    for (given, is_carried) in [
        (None, true),
        (Some(theirs(10)), true),
        // Ours would come to exceed what Lambda takes.
        (Some(theirs(2400)), false),
    ] {
        let http = Recorded::new("brewed");
        let lambda = aws_sdk_lambda::Client::from_conf(config!(aws_sdk_lambda, http).build());
        let invoke = lambda
            .invoke()
            .function_name("brew")
            .payload(Blob::new("{}"));
        let invoke = invoke.set_client_context(given.clone());
        let answer = invoke.send().await.unwrap();
        assert_eq!(answer.payload().unwrap().as_ref(), b"brewed");
        let span = only(&recorder);
        assert_eq!(span.resource, "lambda.invoke");
        assert_eq!(span.meta("functionname"), Some("brew"));
        let asked = http.asked.lock().unwrap();
        let sent = &asked[0].headers["x-amz-client-context"];
        if is_carried {
            let context: Value = serde_json::from_slice(&base64::decode(sent).unwrap()).unwrap();
            let parent = &context["custom"]["x-datadog-parent-id"];
            assert_eq!(*parent, span.span_id.to_string());
            assert_eq!(given.is_some(), context["custom"]["a"] == "b");
        } else {
            assert_eq!(Some(sent), given.as_ref());
        }
        let authorization = &asked[0].headers["authorization"];
        assert!(
            authorization.contains("x-amz-client-context"),
            "{authorization}"
        );
        // What the function is given is the caller's.
        assert_eq!(asked[0].body, b"{}");
    }
}
