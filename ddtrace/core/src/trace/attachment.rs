//! What a product hangs on a span while it runs, and turns into tags and structured data once the span has ended.
//!
//! Encoding what a program has said about a span costs more than the program's thread should pay, and where it goes may depend on
//! whether the trace is kept, which is known last. So a product gives the span an [`Attachment`], a value that it shares, and
//! the worker asks that value what the span is to carry, after the sampling decision and before anything is encoded.

use std::borrow::Cow;
use std::fmt;

use crate::export::FinishedSpan;

/// A product's own record of a span; set with [`Span::attach`](super::Span::attach) and its like.
pub trait Attachment: fmt::Debug + Send + Sync {
    /// Roughly the bytes held, for the bound on what waits for the worker.
    fn weight(&self) -> usize;

    /// Says what the span carries. Called on the worker for every way that the span's chunk takes, at least once unless
    /// the chunk was dropped because of a full queue, and possibly twice: the second answer is to be the first.
    ///
    /// `is_kept` is the sampling decision about the trace. With statistics computed here, a span that is not kept may not be sent.
    fn settle(&self, span: &FinishedSpan<'_>, is_kept: bool) -> &Settled;
}

/// What an [`Attachment`] adds to its span.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Settled {
    /// Structured data: key and msgpack.
    pub meta_struct: Option<(&'static str, Vec<u8>)>,
    /// Tags that are texts.
    pub meta: Vec<(&'static str, String)>,
    /// Tags that are numbers.
    pub metrics: Vec<(&'static str, f64)>,
    /// Marks the span as failed.
    pub is_failed: bool,
}

/// Lets a span's attachments write on it. One that panics writes nothing.
pub(crate) fn settle<'a>(
    attachments: &'a [std::sync::Arc<dyn Attachment>],
    span: &mut FinishedSpan<'a>,
    is_kept: bool,
) {
    for attachment in attachments {
        let Some(settled) = crate::text::guarded(|| attachment.settle(span, is_kept)) else {
            crate::diagnostics::error(format_args!(
                "a product panicked about a finished span; the span goes on without its data"
            ));
            continue;
        };
        if let Some((key, value)) = &settled.meta_struct {
            span.meta_struct.retain(|(other, _)| other != key);
            span.meta_struct.push((key, value));
        }
        span.error |= settled.is_failed;
        for (key, value) in &settled.meta {
            span.set_meta(key, Cow::Borrowed(&**value));
        }
        for (key, value) in &settled.metrics {
            span.set_metric(key, *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::test_support::Recorder;
    use crate::trace::Span;

    #[derive(Debug, Default)]
    struct Note {
        asked: AtomicUsize,
        settled: std::sync::OnceLock<Settled>,
    }

    impl Attachment for Note {
        fn weight(&self) -> usize {
            64
        }

        fn settle(&self, span: &FinishedSpan<'_>, is_kept: bool) -> &Settled {
            self.asked.fetch_add(1, Ordering::Relaxed);
            self.settled.get_or_init(|| Settled {
                meta_struct: Some(("note", vec![0x80])),
                meta: vec![("note.name", span.name.to_owned())],
                metrics: vec![("note.kept", f64::from(u8::from(is_kept)))],
                is_failed: true,
            })
        }
    }

    #[derive(Debug)]
    struct Broken;

    impl Attachment for Broken {
        fn weight(&self) -> usize {
            0
        }

        fn settle(&self, _: &FinishedSpan<'_>, _: bool) -> &Settled {
            panic!("by design")
        }
    }

    #[test]
    fn what_is_attached_is_asked_when_the_span_has_ended() {
        let recorder = Recorder::new();
        let note = Arc::new(Note::default());
        let mut span = Span::builder("work").start();
        span.attach(Arc::new(Broken));
        span.attach(Arc::clone(&note) as Arc<dyn Attachment>);
        span.set_name("renamed");
        assert_eq!(note.asked.load(Ordering::Relaxed), 0);
        span.finish();
        let spans = recorder.take();
        assert_eq!(spans[0].meta("note.name"), Some("renamed"));
        assert_eq!(spans[0].metric("note.kept"), Some(1.0));
        assert!(spans[0].error);
        assert_eq!(spans[0].meta_struct, [("note".to_owned(), vec![0x80])]);
    }

    #[test]
    fn a_span_of_a_rejected_trace_is_asked_too() {
        let recorder = Recorder::new();
        let note = Arc::new(Note::default());
        let mut span = Span::builder("work").start();
        span.attach(Arc::clone(&note) as Arc<dyn Attachment>);
        span.manual_drop();
        span.finish();
        let spans = recorder.take();
        assert!(note.asked.load(Ordering::Relaxed) > 0);
        assert!(
            spans
                .iter()
                .all(|span| span.metric("note.kept") == Some(0.0))
        );
    }
}
