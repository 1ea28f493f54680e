//! The program's own look at every span before it is sent.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ddtrace_core::diagnostics;
use serde_json::{Map, Value};

use crate::json_text::text_of;
use crate::kind::Kind;
use crate::model::Message;
use crate::said::{Io, Said};
use crate::switch::Running;

/// A span as a processor sees it: what it may change, and what it may read.
///
/// Values and documents appear as messages without a role.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ProcessedSpan {
    /// What went in.
    pub input: Vec<Message>,
    /// What came out.
    pub output: Vec<Message>,
    /// What else was said.
    pub metadata: Map<String, Value>,
    tags: BTreeMap<String, String>,
}

impl ProcessedSpan {
    /// A tag of the span.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }
}

/// Gives back the span as it is to be sent, or nothing to leave it out.
pub type Processor = dyn Fn(ProcessedSpan) -> Option<ProcessedSpan> + Send + Sync;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send,
    Drop,
}

/// Shows a span to the program's processor, if there is one.
pub(crate) fn apply(
    running: &Running,
    kind: Kind,
    said: &mut Said,
    tags: &BTreeMap<String, String>,
) -> Verdict {
    let processor = running.processor.load();
    let Some(processor) = processor.as_ref() else {
        return Verdict::Send;
    };
    let mut metadata = said.metadata.clone();
    metadata.remove("_dd");
    let mut tags = tags.clone();
    tags.insert("span.kind".into(), kind.as_str().into());
    let shown = ProcessedSpan {
        input: shown(&said.input),
        output: shown(&said.output),
        metadata,
        tags,
    };
    let result = catch_unwind(AssertUnwindSafe(|| (processor.0)(shown)));
    crate::telemetry::processor_called(result.is_err());
    match result {
        Ok(Some(span)) => {
            said.metadata = span.metadata;
            fold(&mut said.input, span.input);
            fold(&mut said.output, span.output);
            Verdict::Send
        }
        Ok(None) => Verdict::Drop,
        Err(_) => {
            diagnostics::error(format_args!(
                "a span processor of LLM Observability panicked: the span is sent as it was"
            ));
            Verdict::Send
        }
    }
}

fn shown(io: &Io) -> Vec<Message> {
    match io {
        Io::Nothing | Io::Raw(_) => Vec::new(),
        Io::Value(value) => vec![Message::new("", text_of(value))],
        Io::Messages(messages) => messages.clone(),
        Io::Documents(documents) => documents
            .iter()
            .map(|document| Message::new("", &*document.text))
            .collect(),
    }
}

/// Takes over what the processor has made of it.
fn fold(io: &mut Io, messages: Vec<Message>) {
    match io {
        Io::Nothing | Io::Raw(_) => {}
        Io::Value(value) => {
            if let Some(message) = messages.into_iter().next() {
                *value = message.content.into();
            }
        }
        Io::Messages(before) => *before = messages,
        Io::Documents(documents) if messages.is_empty() => {
            documents.clear();
            *io = Io::Nothing;
        }
        Io::Documents(documents) => {
            documents.truncate(messages.len());
            for (document, message) in documents.iter_mut().zip(messages) {
                document.text = message.content;
            }
        }
    }
}
