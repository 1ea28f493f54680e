//! What goes over the wire: signatures that cover our headers, messages that are full already, and exchanges that are followed.

mod answers;
mod tapped;

use std::fmt::Write as _;

use answers::{Answers, Asked, QUEUE};
use aws_sdk_sqs::types::MessageAttributeValue;
use ddtrace_core::export::SpanData;
use ddtrace_core::test_support::Recorder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const SENT: &str = r#"{"MessageId":"m-1"}"#;
const BUSY: &str =
    r#"{"__type":"com.amazon.coral.service#ThrottlingException","message":"too many cups"}"#;

fn only(recorder: &Recorder) -> SpanData {
    let mut spans = recorder.take();
    assert_eq!(spans.len(), 1, "{spans:#?}");
    spans.remove(0)
}

fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// RFC 2104, for keys of at most a block.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = [0; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(text)
        .finalize();
    let outer = Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c));
    outer.chain_update(inner).finalize().to_vec()
}

/// The signature that a request has, and the one that it should have by "Create a signed AWS API request"; with the names that it covers.
fn signatures(request: &Asked) -> (String, String, Vec<String>) {
    let part = |name: &str| {
        let rest = request.headers["authorization"].split_once(name).unwrap().1;
        rest.split([',', ' ']).next().unwrap().to_owned()
    };
    let (names, scope) = (part("SignedHeaders="), part("Credential=AKID/"));
    let [date, region, service, _] = scope.split('/').collect::<Vec<_>>()[..] else {
        panic!("{scope}")
    };
    let (_, after_scheme) = request.uri.split_once("://").unwrap();
    let (host, path) = after_scheme.split_once('/').unwrap();
    assert!(!path.contains('?'), "a query would have to be sorted");
    let mut canonical = format!("{}\n/{path}\n\n", request.method);
    for name in names.split(';') {
        let value = match request.headers.get(name) {
            Some(value) => value.trim(),
            None => host,
        };
        assert!(name != "authorization");
        writeln!(canonical, "{name}:{value}").unwrap();
    }
    write!(
        canonical,
        "\n{names}\n{}",
        hex(Sha256::digest(&request.body))
    )
    .unwrap();
    let text = format!(
        "AWS4-HMAC-SHA256\n{}\n{scope}\n{}",
        request.headers["x-amz-date"],
        hex(Sha256::digest(canonical))
    );
    let key = [date, region, service, "aws4_request"]
        .iter()
        .fold(b"AWS4secret".to_vec(), |key, part| hmac(&key, part));
    let names = names.split(';').map(str::to_owned).collect();
    (part("Signature="), hex(hmac(&key, &text)), names)
}

#[tokio::test]
async fn signatures_cover_the_headers_and_the_message_that_are_sent() {
    let recorder = Recorder::new();
    // Two attempts, each signed by itself.
    let answers = Answers::new(&[Some((503, "")), Some((200, SENT))]);
    let send = answers.sqs().send_message();
    send.queue_url(QUEUE)
        .message_body("tea")
        .send()
        .await
        .unwrap();
    let span = only(&recorder);
    let asked = answers.asked();
    assert_eq!(asked.len(), 2);
    for request in asked {
        let (found, expected, names) = signatures(&request);
        assert_eq!(found, expected, "{request:#?}");
        let mut ours = 0;
        for name in [
            "x-datadog-trace-id",
            "x-datadog-parent-id",
            "traceparent",
            "tracestate",
        ] {
            if request.headers.contains_key(name) {
                assert!(names.contains(&name.to_owned()), "{name} is not signed");
                ours += 1;
            }
        }
        assert_eq!(ours, 4);
        assert_eq!(
            request.headers["x-datadog-parent-id"],
            span.span_id.to_string()
        );
        // The message that was signed is the one with ours in it.
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let carried = &body["MessageAttributes"]["_datadog"]["StringValue"];
        let carried: Value = serde_json::from_str(carried.as_str().unwrap()).unwrap();
        assert_eq!(carried["x-datadog-parent-id"], span.span_id.to_string());
    }
}

#[tokio::test]
async fn throttled_operations_are_repeated_and_counted() {
    // Answers, whether the operation succeeds, its last status, attempts after the first.
    type Case<'a> = (&'a [Option<(u16, &'a str)>], bool, &'a str, f64);
    let cases: [Case<'_>; 4] = [
        (&[Some((200, SENT))], true, "200", 0.0),
        (&[Some((400, BUSY)), Some((200, SENT))], true, "200", 1.0),
        (
            &[None, Some((400, BUSY)), Some((200, SENT))],
            true,
            "200",
            2.0,
        ),
        (&[Some((400, BUSY)); 3], false, "400", 2.0),
    ];
    for (told, is_done, status, attempts) in cases {
        let recorder = Recorder::new();
        let answers = Answers::new(told);
        let send = answers.sqs().send_message().queue_url(QUEUE);
        let sent = send.message_body("tea").send().await;
        assert_eq!(sent.is_ok(), is_done, "{sent:?}");
        let span = only(&recorder);
        assert_eq!(span.metric("retry_attempts"), Some(attempts));
        assert_eq!(span.meta("http.status_code"), Some(status));
        // By the statuses that are errors; those of clients are none.
        assert!(!span.error, "{span:#?}");
        assert_eq!(answers.asked().len(), told.len());
    }
}

#[tokio::test]
async fn throttling_is_an_error_where_its_status_is_set_to_be_one() {
    let recorder = Recorder::with_variables(&[("DD_TRACE_HTTP_SERVER_ERROR_STATUSES", "400-599")]);
    let answers = Answers::new(&[Some((400, BUSY)); 3]);
    let send = answers.sqs().send_message().queue_url(QUEUE);
    send.message_body("tea").send().await.unwrap_err();
    let span = only(&recorder);
    assert_eq!(span.meta("error.type"), Some("ThrottlingException"));
    assert_eq!(span.meta("error.message"), Some("too many cups"));
}

#[tokio::test]
async fn messages_that_are_full_are_sent_as_they_are() {
    // Attributes and bytes of a message, and whether ours goes along.
    for (attributes, bytes, is_carried) in [
        (9, 3, true),
        (10, 3, false),
        (0, 200 * 1024, true),
        (0, 256 * 1024 - 16, false),
        (0, 1024 * 1024, false),
    ] {
        let recorder = Recorder::new();
        let answers = Answers::new(&[Some((200, SENT))]);
        let mut send = answers.sqs().send_message().queue_url(QUEUE);
        for number in 0..attributes {
            let value = MessageAttributeValue::builder().data_type("String");
            let value = value.string_value("v").build().unwrap();
            send = send.message_attributes(format!("a{number}"), value);
        }
        let text = "x".repeat(bytes);
        send.message_body(&text).send().await.unwrap();
        assert!(!only(&recorder).error);
        let asked = answers.asked().remove(0);
        let (found, expected, _) = signatures(&asked);
        assert_eq!(found, expected);
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!(body["MessageBody"], text);
        let sent = body["MessageAttributes"].as_object();
        let count = sent.map_or(0, |sent| sent.len());
        assert_eq!(
            count,
            attributes + usize::from(is_carried),
            "{attributes} {bytes}"
        );
        // Headers have no such limit.
        assert!(asked.headers.contains_key("traceparent"));
    }
}
