//! Operations that a product follows.

use std::sync::{Arc, Mutex};

use crate::answers::{Answers, QUEUE};
use ddtrace_core::events::{self, End, HttpClientExchange, Phase, Tap};
use ddtrace_core::test_support::Recorder;
use http::{HeaderMap, StatusCode};

type Log = Arc<Mutex<Vec<String>>>;

struct Writer(Log);

impl Tap for Writer {
    fn head(&mut self, status: StatusCode, _: &HeaderMap) {
        self.0.lock().unwrap().push(status.as_u16().to_string());
    }

    fn chunk(&mut self, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        self.0.lock().unwrap().push(text);
    }

    fn end(self: Box<Self>, end: End<'_>) {
        self.0.lock().unwrap().push(match end {
            End::Failed { kind, .. } => format!("Failed {kind}"),
            other => format!("{other:?}"),
        });
    }
}

#[tokio::test]
async fn an_operation_is_one_exchange_however_often_it_is_attempted() {
    const SENT: &str = r#"{"MessageId":"m-1"}"#;
    const GONE: &str = r#"{"__type":"QueueDoesNotExist","message":"no such queue"}"#;
    let log = Log::default();
    let seen = Arc::clone(&log);
    events::on::<HttpClientExchange<'_>>(Phase::Product, "tests", move |exchange| {
        let body = String::from_utf8_lossy(exchange.body.unwrap());
        if !body.contains("followed") {
            return;
        }
        assert_eq!(exchange.method, "POST");
        assert_eq!(exchange.headers["x-amz-target"], "AmazonSQS.SendMessage");
        assert!(!exchange.headers.contains_key("authorization"));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let mut log = seen.lock().unwrap();
        log.push(format!("{} {}", exchange.url, body["MessageBody"]));
        drop(log);
        exchange.tap(Box::new(Writer(Arc::clone(&seen))));
    });
    // Answers, and what the tap sees besides the request.
    type Case<'a> = (&'a [Option<(u16, &'a str)>], &'a [&'a str]);
    let cases: [Case<'_>; 4] = [
        (&[Some((200, SENT))], &["200", SENT, "Complete"]),
        (
            &[Some((500, "{}")), None, Some((200, SENT))],
            &["200", SENT, "Complete"],
        ),
        (&[Some((400, GONE))], &["400", GONE, "Complete"]),
        (&[None, None, None], &["Failed connect"]),
    ];
    for (told, expected) in cases {
        let recorder = Recorder::new();
        let sqs = Answers::new(told).sqs();
        let send = sqs.send_message().queue_url(QUEUE).message_body("followed");
        let sent = send.send().await;
        assert_eq!(sent.is_ok(), expected.contains(&"200"));
        if let Ok(sent) = sent {
            assert_eq!(sent.message_id(), Some("m-1"));
        }
        let log = std::mem::take(&mut *log.lock().unwrap());
        assert_eq!(
            log[0],
            "https://sqs.eu-central-1.amazonaws.com/ \"followed\""
        );
        assert_eq!(log[1..], *expected, "{told:?}");
        assert_eq!(recorder.take().len(), 1);
    }
}
