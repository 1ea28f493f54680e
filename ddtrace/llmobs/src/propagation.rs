//! The trace of this product across services.
//!
//! What a service that is called has to know goes along as `_dd.p.*` tags of the trace: in `x-datadog-tags` and in `tracestate`,
//! wherever core injects, without a header of its own. Trace ids are written in decimal, because older readers expect that.
//!
//! All tags of a trace share one budget, and a set that is over it is lost as a whole. So the name of the agent, the only text that a user
//! chooses freely and nobody needs to go on, is cut to what is left.

use ddtrace_core::propagation::{Baggage, PropagationTags};
use ddtrace_core::trace::Context;

use crate::current;
use crate::node::{Attribution, NO_PARENT, Node};
use crate::sampling::Decision;

const PARENT_ID: &str = "_dd.p.llmobs_parent_id";
const TRACE_ID: &str = "_dd.p.llmobs_trace_id";
const ML_APP: &str = "_dd.p.llmobs_ml_app";
const SESSION_ID: &str = "_dd.p.llmobs_sid";
const SAMPLE_RATE: &str = "_dd.p.llmobs_sr";
const DECISION: &str = "_dd.p.llmobs_sd";
const AGENT_ID: &str = "_dd.p.llmobs_pagent_span_id";
const AGENT_NAME: &str = "_dd.p.llmobs_pagent_name";

/// Bytes of all tags together: 512, less what `_dd.p.tid` needs.
const BUDGET: usize = 485;

/// What came from the service that called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remote {
    pub(crate) parent_id: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) ml_app: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) decision: Option<Decision>,
    pub(crate) agent: Option<Attribution>,
}

impl Remote {
    /// What a context brings, if it brings anything of this product.
    pub(crate) fn of(context: &Context) -> Option<Self> {
        let tag = |key| context.remote_tag(key);
        let is_named = [PARENT_ID, TRACE_ID, ML_APP, SESSION_ID]
            .into_iter()
            .any(|key| tag(key).is_some());
        if !is_named {
            return None;
        }
        let parent_id = tag(PARENT_ID).filter(|id| *id != NO_PARENT);
        let parent_id = parent_id.filter(|id| {
            let is_id = id.parse::<u64>().is_ok_and(|id| id != 0);
            if !is_id {
                ddtrace_core::diagnostics::warn(format_args!(
                    "expected a decimal span id in {PARENT_ID}: the span has no parent"
                ));
            }
            is_id
        });
        let owned = |key| tag(key).filter(|text| !text.is_empty()).map(str::to_owned);
        let agent = owned(AGENT_ID).map(|span_id| Attribution {
            name: owned(AGENT_NAME),
            span_id,
        });
        let trace_id = tag(TRACE_ID).and_then(stored_id);
        // An older sender says who called, and leaves the trace to be that of tracing.
        let fallback = parent_id.map(|_| context.trace_id().to_string());
        Some(Self {
            parent_id: parent_id.map(str::to_owned),
            trace_id: trace_id.or(fallback),
            ml_app: owned(ML_APP),
            session_id: owned(SESSION_ID),
            decision: owned(SAMPLE_RATE)
                .zip(tag(DECISION))
                .map(|(rate, word)| Decision {
                    rate,
                    is_kept: word == "1",
                }),
            agent,
        })
    }

    /// Whether a trace is continued, rather than begun with what is known about its surroundings.
    pub(crate) fn is_trace(&self) -> bool {
        self.trace_id.is_some()
    }
}

/// A trace id as it is kept: 32 hexadecimal digits if it can be told what it means.
pub(crate) fn stored_id(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex && (text.starts_with('0') || !is_decimal) {
        return Some(text.to_owned());
    }
    match text.parse::<u128>() {
        Ok(id) if is_decimal && id > u128::from(u64::MAX) => Some(format!("{id:032x}")),
        // Ids of 64 bits are written in decimal.
        Ok(id) if is_decimal => Some(id.to_string()),
        _ => Some(text.to_owned()),
    }
}

/// A kept trace id as it goes on.
pub(crate) fn sent_id(text: &str) -> String {
    let is_hex = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match u128::from_str_radix(text, 16) {
        Ok(id) if is_hex => id.to_string(),
        _ => text.to_owned(),
    }
}

/// Adds the tags of the span in force to those of a trace that leaves: what core calls at each injection.
pub(crate) fn contribute(baggage: &Baggage, tags: &PropagationTags) -> Option<PropagationTags> {
    let node = current::in_baggage(baggage)?;
    let mut tags = tags.clone();
    write(&node, &mut tags);
    Some(tags)
}

fn write(node: &Node, tags: &mut PropagationTags) {
    tags.set(PARENT_ID, &node.span_id.to_string());
    tags.set(TRACE_ID, &sent_id(&node.trace.id));
    let mut set = |key, value: Option<&str>| match value.filter(|value| is_sendable(value)) {
        Some(value) => tags.set(key, value),
        None => tags.remove(key),
    };
    set(ML_APP, Some(&node.ml_app()));
    let session = node
        .shared()
        .session_id
        .clone()
        .or_else(|| node.trace_session());
    set(SESSION_ID, session.as_deref());
    let decision = node.decision();
    set(SAMPLE_RATE, decision.map(|decision| &*decision.rate));
    set(DECISION, decision.map(|decision| decision.word()));
    attribute(tags, node.agent_for_children());
}

/// Whether a text can stand in the header at all.
fn is_sendable(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| (0x20..=0x7e).contains(&byte) && byte != b',')
}

/// Writes which agent the call is for, as far as there is room.
fn attribute(tags: &mut PropagationTags, agent: Option<Attribution>) {
    tags.remove(AGENT_NAME);
    tags.remove(AGENT_ID);
    let Some(agent) = agent else { return };
    tags.set(AGENT_ID, &agent.span_id);
    let used = length(tags);
    if used > BUDGET {
        return tags.remove(AGENT_ID);
    }
    let Some(name) = agent.name else { return };
    let room = BUDGET.saturating_sub(used + 1 + AGENT_NAME.len() + 1);
    let mut cut = room.min(name.len());
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    if is_sendable(&name[..cut]) {
        tags.set(AGENT_NAME, &name[..cut]);
    }
}

/// Bytes of the header.
fn length(tags: &PropagationTags) -> usize {
    let pairs = tags.iter().map(|(key, value)| key.len() + 1 + value.len());
    pairs.sum::<usize>() + tags.len().saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `spec/llmobs.md` §22.3.
    #[test]
    fn trace_ids_are_kept_and_sent_on_as_the_reference_does() {
        let cases = [
            (
                "6b04a32900000000977721a6efbe0a0f",
                "6b04a32900000000977721a6efbe0a0f",
                "142251474017540196029252651395401517583",
            ),
            (
                "142251474017540196029252651395401517583",
                "6b04a32900000000977721a6efbe0a0f",
                "142251474017540196029252651395401517583",
            ),
            (
                "01234567890123456789012345678901",
                "01234567890123456789012345678901",
                "1512366074997847608845025003895752961",
            ),
            ("abc", "abc", "abc"),
            ("123", "123", "123"),
        ];
        for (received, stored, sent) in cases {
            assert_eq!(stored_id(received).as_deref(), Some(stored));
            assert_eq!(sent_id(stored), sent);
        }
        let ambiguous = stored_id("12345678901234567890123456789012");
        assert_eq!(
            ambiguous.as_deref(),
            Some("0000009bd30a3c645943dd1690a03a14")
        );
        assert_eq!(stored_id(""), None);
    }

    fn typical(ml_app: &str) -> PropagationTags {
        let mut tags = PropagationTags::default();
        for (key, value) in [
            ("_dd.p.dm", "-1"),
            (PARENT_ID, "1234567890123456789"),
            (TRACE_ID, "142251474017540196029252651395401517583"),
            (ML_APP, ml_app),
            (SAMPLE_RATE, "1"),
            (DECISION, "1"),
        ] {
            tags.set(key, value);
        }
        tags
    }

    #[test]
    fn an_agent_is_named_as_far_as_there_is_room() {
        let attributed = |ml_app: &str, name: &str| {
            let mut tags = typical(ml_app);
            let agent = Attribution {
                name: Some(name.to_owned()),
                span_id: "1234567890123456789".to_owned(),
            };
            attribute(&mut tags, Some(agent));
            let length = length(&tags);
            let name = tags.get(AGENT_NAME).map(str::to_owned);
            (tags.get(AGENT_ID).is_some(), name, length)
        };
        assert_eq!(attributed("myapp", "planner").1.as_deref(), Some("planner"));
        let (has_id, name, length) = attributed("myapp", &"n".repeat(400));
        assert!(has_id && length == BUDGET, "{length}");
        assert!(name.is_some_and(|name| name.len() < 400));
        for name in ["a,b", "né"] {
            assert_eq!(
                attributed("myapp", name),
                (true, None, attributed("myapp", "").2)
            );
        }
        let (has_id, name, length) = attributed(&"a".repeat(300), "planner");
        assert!(!has_id && name.is_none(), "{length}");
    }
}
