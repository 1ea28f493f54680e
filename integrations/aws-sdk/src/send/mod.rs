//! Messages that are about to be sent: context goes into them, and whoever listens is told.
//!
//! A request is rewritten once, after it was serialised and before the first attempt, so that attempts send the same.
//! What cannot be read as expected is left as it is. There is one file for each service, or kind of services.

mod bus;
mod call;
mod queue;
mod stream;
mod topic;

use std::collections::BTreeMap;

use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use ddtrace_core::events::{self, MessageHeaders, MessageProduce};
use ddtrace_core::trace::Span;

use crate::json::Members;

/// What a message carries of ours, by name.
pub(crate) type Carried = BTreeMap<String, String>;

/// The attribute, or member, of a message that holds it.
const DATADOG: &str = "_datadog";

/// The most attributes that a message of SQS or SNS may have and still get ours.
const MAX_ATTRIBUTES: usize = 10;
/// The most that messages of one request of SQS or SNS may weigh with ours, and a detail of EventBridge.
const MAX_MESSAGE_BYTES: u64 = 256 * 1024;

/// Puts context into the messages of a request, if it has any.
pub(crate) fn into_messages(
    span: &mut Span,
    service: &str,
    operation: &str,
    is_carrying: bool,
    request: &mut HttpRequest,
) -> Option<()> {
    let mut sender = Sender::new(span, is_carrying);
    let body = request.body().bytes()?;
    let body = match (service, operation) {
        ("sqs", "SendMessage") => sender.queue_message(Members::parse(body)?)?,
        ("sqs", "SendMessageBatch") => sender.queue_batch(Members::parse(body)?)?,
        ("sqs", "ReceiveMessage") if is_carrying => queue::asking(Members::parse(body)?)?,
        ("sns", "Publish" | "PublishBatch") => sender.notification(body)?,
        ("kinesis", "PutRecord") => sender.record(Members::parse(body)?)?,
        ("kinesis", "PutRecords") => sender.records(Members::parse(body)?)?,
        ("events", "PutEvents") => sender.events(Members::parse(body)?)?,
        ("states", "StartExecution" | "StartSyncExecution") if is_carrying => {
            sender.execution(Members::parse(body)?)?
        }
        ("lambda", "Invoke") if is_carrying => return sender.invocation(request),
        _ => return None,
    };
    if request.headers().contains_key("content-length") {
        let length = body.len().to_string();
        request.headers_mut().insert("content-length", length);
    }
    *request.body_mut() = SdkBody::from(body);
    Some(())
}

struct Sender<'a> {
    span: &'a mut Span,
    /// The context of the span; empty if none is to be carried.
    context: Carried,
    is_carrying: bool,
}

/// A message, as far as those who listen are concerned.
struct Message<'a> {
    system: &'a str,
    destination: Option<&'a str>,
    details: &'a [(&'a str, &'a str)],
    /// Bytes of it without ours.
    size: u64,
    /// Bytes of what holds ours, without that.
    holder: u64,
}

impl<'a> Sender<'a> {
    fn new(span: &'a mut Span, is_carrying: bool) -> Self {
        let mut context = Carried::new();
        if is_carrying {
            // With tracing off, what came in with the request that is being served goes on from here.
            let _active = span.enter();
            ddtrace_core::trace::inject(&mut context);
        }
        Self {
            span,
            context,
            is_carrying,
        }
    }

    /// Tells of a message, and gives what it is to carry. Nothing if there is no room, or nothing to carry.
    fn offer(&mut self, message: &Message<'_>, has_room: bool) -> Option<Carried> {
        let mut carried = self.context.clone();
        let has_room = has_room && self.is_carrying;
        let ours = message.holder + weight(&carried);
        events::dispatch::<MessageProduce<'_>>(|| {
            let mut event = MessageProduce::new(self.span, message.system, message.destination);
            event.details = message.details;
            event.size = message.size + if has_room { ours } else { 0 };
            event.headers = has_room.then_some(&mut carried as &mut dyn MessageHeaders);
            event
        });
        (has_room && !carried.is_empty()).then_some(carried)
    }
}

/// An object with ours among its members.
fn with_ours(mut object: Members<'_>, carried: &Carried) -> Option<String> {
    object.set(DATADOG, carried)?;
    object.to_text()
}

/// Bytes of what is carried.
fn weight(carried: &Carried) -> u64 {
    let bytes = carried.iter().map(|(key, value)| key.len() + value.len());
    bytes.sum::<usize>() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn rewritten(service: &str, operation: &str, body: &str) -> String {
        let mut request = HttpRequest::new(SdkBody::from(body));
        request
            .headers_mut()
            .insert("content-length", body.len().to_string());
        let mut span = Span::off();
        let _ = rewrite_with(&mut span, service, operation, &mut request);
        let body = String::from_utf8(request.body().bytes().unwrap().to_vec()).unwrap();
        assert_eq!(
            request.headers().get("content-length"),
            Some(body.len().to_string().as_str())
        );
        body
    }

    /// The same as [`into_messages`] with a context that does not depend on a tracer.
    pub(super) fn rewrite_with(
        span: &mut Span,
        service: &str,
        operation: &str,
        request: &mut HttpRequest,
    ) -> Option<()> {
        let baggage = ddtrace_core::test_support::Recorder::new();
        let mut context = ddtrace_core::trace::Context::current();
        context.set_baggage("k", "v");
        let _attached = context.attach();
        let done = into_messages(span, service, operation, true, request);
        drop(baggage);
        done
    }
}
