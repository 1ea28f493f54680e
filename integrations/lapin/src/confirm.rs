//! [`PublisherConfirm`].

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ddtrace_core::trace::Span;
use lapin::message::BasicReturnMessage;
use lapin::{Confirmation, Result};

use crate::settings::number;

/// [`lapin::PublisherConfirm`] that ends the span of its message: when the broker has answered, or when it is dropped.
///
/// A message that the broker refuses, or sends back, is an error of the span.
///
/// Dropping it without waiting leaves the confirmation to the channel's `wait_for_confirms`, as in lapin.
#[derive(Debug)]
pub struct PublisherConfirm {
    inner: lapin::PublisherConfirm,
    /// Nothing where nothing is confirmed, or where it has been.
    span: Option<Span>,
}

impl PublisherConfirm {
    pub(crate) fn new(inner: lapin::PublisherConfirm, span: Option<Span>) -> Self {
        Self { inner, span }
    }
}

impl Future for PublisherConfirm {
    type Output = Result<Confirmation>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.inner).poll(cx));
        if let Some(mut span) = self.span.take() {
            observe(&mut span, &result);
        }
        Poll::Ready(result)
    }
}

fn observe(span: &mut Span, result: &Result<Confirmation>) {
    match result {
        Err(error) => span.set_error(error),
        Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message))) => {
            say_why_it_came_back(span, message);
        }
        Ok(Confirmation::Nack(None)) => span.set_error_message(
            "basic.nack",
            "the broker did not take responsibility for the message",
            None,
        ),
        Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => {}
    }
}

fn say_why_it_came_back(span: &mut Span, message: &BasicReturnMessage) {
    let code = f64::from(message.reply_code);
    span.set_tags(&[number("amqp.reply_code", Some(code))]);
    match message.error() {
        Some(error) => span.set_error(&error),
        None => span.set_error_message("basic.return", message.reply_text.as_str(), None),
    }
}
