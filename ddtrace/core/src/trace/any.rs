//! A span however it is held, for those who are handed one and do not care.

use std::sync::Arc;

use super::attachment::Attachment;
use super::context::Context;
use super::shared::SharedSpan;
use super::span::Span;
use crate::propagation::Baggage;

/// A span that somebody else holds, by itself or with others.
#[derive(Debug)]
pub struct AnySpan<'a>(Held<'a>);

#[derive(Debug)]
enum Held<'a> {
    Alone(&'a mut Span),
    Shared(&'a SharedSpan),
}

impl<'a> From<&'a mut Span> for AnySpan<'a> {
    fn from(span: &'a mut Span) -> Self {
        Self(Held::Alone(span))
    }
}

impl<'a> From<&'a SharedSpan> for AnySpan<'a> {
    fn from(span: &'a SharedSpan) -> Self {
        Self(Held::Shared(span))
    }
}

impl AnySpan<'_> {
    /// The same for a shorter time.
    pub fn reborrow(&mut self) -> AnySpan<'_> {
        match &mut self.0 {
            Held::Alone(span) => AnySpan(Held::Alone(span)),
            Held::Shared(span) => AnySpan(Held::Shared(span)),
        }
    }

    /// The span's place, to be carried elsewhere.
    pub fn context(&self) -> Context {
        match &self.0 {
            Held::Alone(span) => span.context(),
            Held::Shared(span) => span.context(),
        }
    }

    /// Sets its type.
    pub fn set_type(&mut self, span_type: &str) {
        match &mut self.0 {
            Held::Alone(span) => span.set_type(span_type),
            Held::Shared(span) => span.set_type(span_type),
        }
    }

    /// Attaches a product's record, as [`Span::attach`] does.
    pub fn attach(&mut self, attachment: Arc<dyn Attachment>) {
        match &mut self.0 {
            Held::Alone(span) => span.attach(attachment),
            Held::Shared(span) => span.attach(attachment),
        }
    }

    pub(super) fn change_baggage(self, change: impl FnOnce(&mut Baggage)) {
        match self.0 {
            Held::Alone(span) => span.change_baggage(change),
            Held::Shared(span) => span.change_baggage(change),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::Recorder;
    use crate::trace::Inherited;

    static NUMBER: Inherited<u32> = Inherited::new("number of any");

    #[test]
    fn what_it_is_given_is_handed_down_wherever_it_is() {
        let recorder = Recorder::new();
        let mut alone = Span::builder("alone").start();
        NUMBER.give(AnySpan::from(&mut alone).reborrow(), Arc::new(1));
        assert_eq!(NUMBER.of(&alone.context()).as_deref(), Some(&1));
        drop(alone);

        let shared = SharedSpan::new(Span::builder("shared").start());
        NUMBER.give(&shared, Arc::new(2));
        let entry = shared.enter();
        assert_eq!(NUMBER.get().as_deref(), Some(&2));
        NUMBER.give(&shared, Arc::new(3));
        assert_eq!(NUMBER.get().as_deref(), Some(&3));
        assert_eq!(
            NUMBER.of(&AnySpan::from(&shared).context()).as_deref(),
            Some(&3)
        );
        AnySpan::from(&shared).set_type("kettle");
        shared.leave(entry);
        assert_eq!(NUMBER.get(), None);
        drop(shared);
        let spans = recorder.take();
        let shared = spans.iter().find(|span| span.name == "shared");
        let shared = shared.expect("the span that was shared");
        assert_eq!(shared.span_type, "kettle", "{spans:#?}");
    }
}
