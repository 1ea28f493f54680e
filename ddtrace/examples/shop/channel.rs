//! A channel within a process that carries context as a broker's messages do, written by hand: what to do for a
//! library that has no integration.

use std::collections::HashMap;

use ddtrace::data_streams as dsm;
use ddtrace::{Span, SpanKind, trace};
use tokio::sync::mpsc;

use crate::messages::Parcel;
use crate::service::Error;

struct Message {
    headers: HashMap<String, String>,
    body: String,
}

/// The end that sends.
#[derive(Clone)]
pub(crate) struct Sender {
    topic: &'static str,
    queue: mpsc::Sender<Message>,
}

/// The end that receives.
pub(crate) struct Receiver {
    topic: &'static str,
    queue: mpsc::Receiver<Message>,
}

/// Opens a channel. Whoever sends waits while it is full.
pub(crate) fn open(topic: &'static str) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::channel(256);
    let sender = Sender {
        topic,
        queue: sender,
    };
    let receiver = Receiver {
        topic,
        queue: receiver,
    };
    (sender, receiver)
}

impl Sender {
    #[trace(name = "channel.send", resource = self.topic, kind = producer)]
    pub(crate) async fn send(&self, parcel: &Parcel) -> Result<(), Error> {
        let body = serde_json::to_string(parcel)?;
        let mut headers = HashMap::new();
        ddtrace::inject(&mut headers);
        dsm::produce("channel", self.topic)
            .payload_size(body.len() as u64)
            .into(&mut headers);
        self.queue.send(Message { headers, body }).await?;
        Ok(())
    }
}

impl Receiver {
    /// The next message, and the span for the work on it.
    pub(crate) async fn next(&mut self) -> Option<(Parcel, Span)> {
        let Message { headers, body } = self.queue.recv().await?;
        let mut span = Span::builder("channel.receive")
            .resource(self.topic)
            .kind(SpanKind::Consumer)
            .continuing(ddtrace::extract(&headers))
            .start();
        let active = span.enter();
        dsm::consume("channel", self.topic)
            .group("shop")
            .payload_size(body.len() as u64)
            .from(&headers);
        drop(active);
        let parcel = serde_json::from_str(&body).ok()?;
        Some((parcel, span))
    }
}
