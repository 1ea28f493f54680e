//! Which call of a tool was asked for by which call of a model, and which one read what it gave.
//!
//! A model's span that asks for a tool and was made by an integration is remembered, by the id of the call, or else by the tool's name and arguments. The
//! tool's span links to it; the first model's span that receives the result links to the tool's, and then all of it is forgotten.
//! All of that happens on the worker, where spans come in the order in which they ended.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::annotation::Link;
use crate::kind::Kind;
use crate::record::Record;
use crate::said::{Io, Said};

/// Calls that nobody has answered yet; beyond it the oldest is forgotten.
const OPEN_CALLS: usize = 10_000;

/// Remembers calls of tools.
#[derive(Debug, Default)]
pub(crate) struct LinkTracker(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    by_id: HashMap<String, Call>,
    by_content: HashMap<(String, String), String>,
    /// In the order in which they came; may name calls that are gone.
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Call {
    asked_by: Link,
    content: (String, String),
    version: Option<String>,
    /// The tool's span, once there is one.
    answered_by: Option<Link>,
}

impl LinkTracker {
    /// Looks at a span that has ended: adds links to it, and remembers what it asks for.
    pub(crate) fn note(&self, record: &Record, said: &mut Said) {
        let kind = record.node.kind;
        if kind != Kind::Llm && kind != Kind::Tool {
            return;
        }
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let here = Link {
            span_id: record.node.span_id.to_string(),
            trace_id: record.node.apm_trace_id.to_string(),
        };
        if kind == Kind::Tool {
            calls.answer(record, said, here);
        } else {
            calls.use_results(said);
            // As in the reference, where only what an integration has seen counts: what a program writes by hand may be an example.
            if record.integration.is_some() {
                calls.remember(said, &here);
            }
        }
    }
}

impl Calls {
    fn remember(&mut self, said: &Said, here: &Link) {
        let Io::Messages(messages) = &said.output else {
            return;
        };
        for call in messages.iter().flat_map(|message| &message.tool_calls) {
            let Some(id) = call.tool_id.as_ref().filter(|id| !id.is_empty()) else {
                continue;
            };
            let content = (call.name.clone(), call.arguments.to_string());
            if self.by_content.contains_key(&content) {
                continue;
            }
            let definition = said
                .tool_definitions
                .iter()
                .find(|tool| tool.name == call.name);
            let call = Call {
                asked_by: here.clone(),
                content: content.clone(),
                version: definition.and_then(|tool| tool.version.clone()),
                answered_by: None,
            };
            self.by_content.insert(content, id.clone());
            if self.by_id.insert(id.clone(), call).is_none() {
                self.order.push_back(id.clone());
            }
        }
        while self.by_id.len() > OPEN_CALLS {
            let Some(oldest) = self.order.pop_front() else {
                break;
            };
            self.forget(&oldest);
        }
        if self.order.len() > 2 * OPEN_CALLS {
            let by_id = &self.by_id;
            self.order.retain(|id| by_id.contains_key(id));
        }
    }

    fn answer(&mut self, record: &Record, said: &mut Said, here: Link) {
        let arguments = match &said.input {
            Io::Value(Value::String(text)) => match serde_json::from_str::<Value>(text) {
                Ok(value) => value.to_string(),
                Err(_) => text.clone(),
            },
            Io::Value(value) => value.to_string(),
            _ => String::new(),
        };
        let content = match &said.tool_call {
            Some((_, name)) if !name.is_empty() => (name.clone(), arguments),
            _ => (record.node.shared().name.clone(), arguments),
        };
        let named = said.tool_call.as_ref().map(|(id, _)| id.clone());
        let Some(id) = named.or_else(|| self.by_content.get(&content).cloned()) else {
            return;
        };
        let Some(call) = self.by_id.get_mut(&id) else {
            return;
        };
        said.links.push(call.asked_by.clone());
        if call.version.is_some() {
            said.tool_version.clone_from(&call.version);
        }
        call.answered_by = Some(here);
        self.by_content.remove(&call.content);
    }

    fn use_results(&mut self, said: &mut Said) {
        let Io::Messages(messages) = &said.input else {
            return;
        };
        let mut links = BTreeMap::new();
        for (index, result) in messages
            .iter()
            .flat_map(|message| &message.tool_results)
            .enumerate()
        {
            let Some(id) = &result.tool_id else { continue };
            if let Some(link) = self.forget(id).and_then(|call| call.answered_by) {
                links.insert(index, link);
            }
        }
        said.links.extend(links.into_values());
    }

    fn forget(&mut self, id: &str) -> Option<Call> {
        let call = self.by_id.remove(id)?;
        if self
            .by_content
            .get(&call.content)
            .is_some_and(|other| other == id)
        {
            self.by_content.remove(&call.content);
        }
        Some(call)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::testing::Fixture;
    use crate::{Annotation, Kind, LlmSpan, Message, ToolCall, ToolDefinition, ToolResult, span};

    fn llm() -> LlmSpan {
        span(Kind::Llm)
            .integration("openai", "openai.request")
            .start()
    }

    fn asks(id: &str, arguments: serde_json::Value) -> Annotation {
        let mut answer = Message::new("assistant", "");
        answer.tool_calls.push(ToolCall {
            name: "search".into(),
            arguments,
            tool_id: Some(id.into()),
            kind: None,
        });
        let tool = ToolDefinition {
            version: Some("v2".into()),
            ..ToolDefinition::new("search")
        };
        Annotation::new()
            .output(answer)
            .tool_definitions(vec![tool])
    }

    fn receives(id: &str) -> Annotation {
        let mut message = Message::new("tool", "");
        message.tool_results.push(ToolResult {
            result: "r".into(),
            tool_id: Some(id.into()),
            ..ToolResult::default()
        });
        Annotation::new().input(message)
    }

    #[test]
    fn a_tool_links_to_who_asked_for_it_and_the_first_reader_to_the_tool() {
        for is_named in [true, false] {
            let fixture = Fixture::new();
            let mut root = span(Kind::Workflow).start();
            let active = root.enter();
            let first = llm();
            first.annotate(asks("c1", json!({"q": "x"}))).unwrap();
            first.finish();
            let tool = span(Kind::Tool)
                .name(if is_named { "other" } else { "search" })
                .start();
            let mut said = Annotation::new().input(json!({"q": "x"}));
            if is_named {
                said = said.answers_tool_call("c1", "search");
            }
            tool.annotate(said).unwrap();
            tool.finish();
            for _ in 0..2 {
                let reader = llm();
                reader.annotate(receives("c1")).unwrap();
                reader.finish();
            }
            drop(active);
            root.finish();
            let mut spans = fixture.spans();
            spans.sort_by_key(|span| span.start);
            let [_, first, tool, second, third] = &spans[..] else {
                panic!("{spans:?}")
            };
            let data = |span| crate::testing::struct_of(span).unwrap();
            let link_to = |span: &ddtrace_core::export::SpanData| {
                json!([{
                    "span_id": span.span_id.to_string(), "trace_id": span.trace_id.to_string(),
                    "attributes": {"from": "output", "to": "input"},
                }])
            };
            assert_eq!(data(tool)["span_links"], link_to(first));
            assert_eq!(data(tool)["meta"]["tool"], json!({"version": "v2"}));
            assert_eq!(data(second)["span_links"], link_to(tool));
            assert!(data(third).get("span_links").is_none());
        }
    }

    #[test]
    fn what_was_written_by_hand_is_no_call() {
        let fixture = Fixture::new();
        let first = span(Kind::Llm).start();
        first.annotate(asks("c1", json!({}))).unwrap();
        first.finish();
        let tool = span(Kind::Tool).name("search").start();
        tool.annotate(Annotation::new().input(json!({}))).unwrap();
        tool.finish();
        assert!(fixture.structs()[1].get("span_links").is_none());
    }
}
