//! `tracestate`: what vendors tell each other beyond `traceparent`, one member each.
//!
//! Datadog's member is `dd=` and a list of `key:value` joined by `;`:
//!
//! | key | meaning |
//! |---|---|
//! | `p` | the last Datadog span, 16 digits |
//! | `s` | sampling priority |
//! | `o` | origin |
//! | `t.<x>` | `_dd.p.<x>` |
//!
//! OpenTelemetry's member, `ot=`, is read and written as well, see [`probability`](super::probability).
//!
//! Values write `=` as `~`. Sizes, inward and outward: 32 members and 512 bytes in all, 256 bytes for Datadog's own. Where
//! something must go, members over 128 bytes go first, then those on the right; `dd` and `ot` (the probability of
//! OpenTelemetry) stay.

use super::datadog::is_decision_maker;
use super::probability::{self, Probabilities};
use super::span_context::InjectContext;
use super::tags::{PREFIX, PropagationTags};
use crate::sampling::SamplingPriority;
use crate::stack_text::StackText;
use crate::text::{split_ascii, split_once_ascii};
use crate::trace::SpanId;

const MAX_MEMBERS: usize = 32;
const MAX_BYTES: usize = 512;
/// A member that is longer gives way first.
const LONG_MEMBER_BYTES: usize = 128;
/// Datadog's member on its way out.
const MAX_DATADOG_BYTES: usize = 256;
/// Datadog's member on its way in: no tracer writes more than 256 bytes.
const MAX_INBOUND_DATADOG_BYTES: usize = 1024;
/// What an inbound `p` is cut off at; 16 digits are right, but anything is shown.
const MAX_LAST_PARENT_ID_BYTES: usize = 64;

const DATADOG: &str = "dd=";
const OPENTELEMETRY: &str = probability::PREFIX;
const USER_ID: &str = "_dd.p.usr.id";

/// The members of an inbound `tracestate`, told apart in one walk.
pub(super) struct Members<'a> {
    text: &'a str,
    /// The last of each, without its key.
    datadog: Option<&'a str>,
    opentelemetry: Option<&'a str>,
    /// How many are neither.
    others: usize,
}

impl<'a> Members<'a> {
    /// `None` if there is a character that no member may have, for then nothing can be trusted.
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        if !value.iter().all(|byte| matches!(byte, 0x20..=0x7e | b'\t')) {
            return None;
        }
        let has_tabs = value.contains(&b'\t');
        let mut read = Self {
            text: std::str::from_utf8(value).ok()?,
            datadog: None,
            opentelemetry: None,
            others: 0,
        };
        for member in all(read.text) {
            if has_tabs && member.contains('\t') {
                return None;
            }
            if let Some(member) = member.strip_prefix(DATADOG) {
                read.datadog = Some(member);
            } else if let Some(member) = member.strip_prefix(OPENTELEMETRY) {
                read.opentelemetry = Some(member);
            } else {
                read.others += 1;
            }
        }
        Some(read)
    }

    /// Datadog's member without `dd=`; the last if there are several.
    pub(super) fn datadog(&self) -> Option<&'a str> {
        self.datadog
            .filter(|member| member.len() <= MAX_INBOUND_DATADOG_BYTES)
    }

    /// What is worth keeping for the next service, Datadog's member first.
    pub(super) fn to_bounded_text(&self) -> Option<Box<str>> {
        let mut text = String::with_capacity(self.text.len().min(MAX_BYTES));
        if let Some(member) = self.datadog() {
            text.push_str(DATADOG);
            text.push_str(member);
        }
        let mut kept = usize::from(!text.is_empty());
        if let Some(member) = self.opentelemetry {
            let member = Probabilities::parse(member).member();
            if !member.is_empty() {
                if kept > 0 {
                    text.push(',');
                }
                text.push_str(member.as_str());
                kept += 1;
            }
        }
        if self.others > 0 {
            let is_other =
                |member: &&str| !member.starts_with(DATADOG) && !member.starts_with(OPENTELEMETRY);
            let budget = Budget {
                members: MAX_MEMBERS - kept,
                bytes: MAX_BYTES,
                used: text.len(),
            };
            budget.fill(
                || all(self.text).filter(is_other),
                |member| {
                    if !text.is_empty() {
                        text.push(',');
                    }
                    text.push_str(member);
                },
            );
        }
        (!text.is_empty()).then(|| text.into_boxed_str())
    }
}

/// Every member that has a key and a value.
fn all(text: &str) -> impl Iterator<Item = &str> {
    let is_blank = |character| character == ' ' || character == '\t';
    let members = split_ascii(text, b',').map(move |member| member.trim_matches(is_blank));
    members.filter(|member| {
        split_once_ascii(member, b'=')
            .is_some_and(|(key, value)| !key.is_empty() && !value.is_empty())
    })
}

/// How much of a header other vendors may have.
struct Budget {
    members: usize,
    bytes: usize,
    used: usize,
}

impl Budget {
    /// Hands on what fits, in order. Walks the members twice rather than remembering them.
    fn fill<'a, I: Iterator<Item = &'a str>>(
        mut self,
        members: impl Fn() -> I,
        mut keep: impl FnMut(&'a str),
    ) {
        let is_long = |member: &str| member.len() > LONG_MEMBER_BYTES;
        let mut excess = members().count().saturating_sub(self.members);
        for member in members() {
            if excess > 0 && is_long(member) {
                excess -= 1;
                continue;
            }
            if self.members == 0 {
                break;
            }
            let separator = usize::from(self.used > 0);
            if self.used + separator + member.len() <= self.bytes {
                self.used += separator + member.len();
                self.members -= 1;
                keep(member);
            } else if !is_long(member) {
                break;
            }
        }
    }
}

/// Datadog's member, read, apart from its tags.
#[derive(Default)]
pub(super) struct Member<'a> {
    text: &'a str,
    pub(super) priority: Option<SamplingPriority>,
    pub(super) last_parent_id: Option<&'a str>,
    /// As it is written, with `~` for `=`.
    origin: &'a str,
}

impl<'a> Member<'a> {
    /// `None` if any item is not `key:value` or the priority is not a number.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut member = Self {
            text,
            ..Self::default()
        };
        for item in split_ascii(text, b';') {
            let (key, value) = split_once_ascii(item, b':')?;
            match key {
                "s" => member.priority = Some(SamplingPriority::new(value.trim().parse().ok()?)),
                "o" => member.origin = value,
                "p" => {
                    member.last_parent_id = value.get(..value.len().min(MAX_LAST_PARENT_ID_BYTES))
                }
                _ => {}
            }
        }
        member.last_parent_id = member
            .last_parent_id
            .filter(|last_parent_id| !last_parent_id.is_empty());
        Some(member)
    }

    /// Whether the trace began in a browser, which leaves the decision to the first service.
    pub(super) fn is_from_browser(&self) -> bool {
        self.origin == "rum"
    }

    /// Where the trace began.
    pub(super) fn origin(&self) -> Option<Box<str>> {
        (!self.origin.is_empty()).then(|| self.origin.replace('~', "=").into())
    }

    /// The tags that travel.
    pub(super) fn tags(&self) -> PropagationTags {
        let items = self
            .text
            .split(';')
            .filter_map(|item| item.strip_prefix("t.")?.split_once(':'));
        // The upper half of the trace id is in `traceparent`, and that one holds.
        let pairs = items.filter(|&(name, value)| match name {
            "" | "tid" => false,
            "dm" => is_decision_maker(value),
            _ => !value.is_empty(),
        });
        let count = pairs.clone().count();
        if count == 0 {
            return PropagationTags::default();
        }
        let mut tags =
            PropagationTags::with_capacity(self.text.len() + count * PREFIX.len(), count);
        pairs.for_each(|(name, value)| tags.set_from_tracestate(name, value));
        tags
    }
}

/// The whole header for the next service; empty if there is nothing to say.
pub(super) fn build(context: &InjectContext<'_>, span_id: SpanId) -> StackText<MAX_BYTES> {
    let mut header = StackText::<MAX_BYTES>::new();
    write_member(&mut header, context, span_id);
    let mut fits = true;
    let mut rest = MAX_MEMBERS - usize::from(!header.is_empty());

    let members = || context.tracestate.unwrap_or_default().split(',');
    let inbound = if context.tracestate.is_some() {
        members()
            .find_map(|member| member.strip_prefix(OPENTELEMETRY))
            .map(Probabilities::parse)
            .unwrap_or_default()
    } else {
        Probabilities::default()
    };
    let probability = inbound.after(context.probability).member();
    // Both at their longest are a byte too long with the comma between them: then ours counts for more.
    let has_room = header.len() + ",".len() + probability.len() <= MAX_BYTES;
    if !probability.is_empty() && has_room {
        fits &= (header.is_empty() || header.push(",")) && header.push(probability.as_str());
        rest -= 1;
    }
    if context.tracestate.is_none() {
        return header;
    }
    let others = || {
        members().filter(|member| {
            let is_own = member.starts_with(DATADOG) || member.starts_with(OPENTELEMETRY);
            !member.is_empty() && !is_own
        })
    };
    let budget = Budget {
        members: rest,
        bytes: MAX_BYTES,
        used: header.len(),
    };
    budget.fill(others, |member| {
        fits &= (header.is_empty() || header.push(",")) && header.push(member);
    });
    debug_assert!(fits, "the budget is the size of the buffer");
    header
}

/// `dd=…` at the beginning of a header, or nothing. An item that does not fit is left out, a later and shorter one may still fit.
fn write_member(text: &mut StackText<MAX_BYTES>, context: &InjectContext<'_>, span_id: SpanId) {
    let mut member = Items { text };
    if !context.is_remote {
        member.push_hex("p", span_id.get());
    } else if let Some(last_parent_id) = context.last_parent_id.filter(|value| is_span_id(value)) {
        member.push("", "p", last_parent_id);
    }
    if let Some(priority) = context.priority {
        let priority = i64::from(priority.get());
        member.push_with("", "s", |text| {
            (priority >= 0 || text.push_ascii(b'-')) && text.push_decimal(priority.unsigned_abs())
        });
    }
    if let Some(origin) = context.origin.filter(|origin| !origin.is_empty()) {
        member.push("", "o", origin);
    }
    // The decision and the user matter more than the rest, should space run out.
    let is_first = |key: &str| key == PropagationTags::DECISION_MAKER || key == USER_ID;
    for first in [true, false] {
        context.for_each_tag(|key, value| {
            if is_first(key) == first {
                member.push("t.", key.strip_prefix(PREFIX).unwrap_or(key), value);
            }
        });
    }
    let high = context.trace_id_high();
    if high != 0 {
        member.push_hex("t.tid", high);
    }
}

fn is_span_id(value: &str) -> bool {
    value.len() == 16
        && value
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The items of Datadog's member while they are put together.
struct Items<'a> {
    text: &'a mut StackText<MAX_BYTES>,
}

impl Items<'_> {
    fn push(&mut self, prefix: &str, key: &str, value: &str) {
        self.push_with(prefix, key, |text| push_value(text, value));
    }

    fn push_hex(&mut self, key: &str, number: u64) {
        self.push_with("", key, |text| text.push_hex(number));
    }

    fn push_with(
        &mut self,
        prefix: &str,
        key: &str,
        push_value: impl FnOnce(&mut StackText<MAX_BYTES>) -> bool,
    ) {
        let before = self.text.len();
        let separator = if before == 0 { DATADOG } else { ";" };
        let fits = self.text.push(separator)
            && self.text.push(prefix)
            && push_key(self.text, key)
            && self.text.push_ascii(b':')
            && push_value(self.text)
            && self.text.len() <= MAX_DATADOG_BYTES;
        if !fits {
            self.text.truncate(before);
        }
    }
}

fn push_key(text: &mut StackText<MAX_BYTES>, key: &str) -> bool {
    push_mapped(text, key, |character| match character {
        ',' | ';' | ':' | '=' | '~' => b'_',
        '\x21'..='\x7e' => character as u8,
        _ => b'_',
    })
}

fn push_value(text: &mut StackText<MAX_BYTES>, value: &str) -> bool {
    push_mapped(text, value, |character| match character {
        '=' => b'~',
        ',' | ';' | '~' => b'_',
        '\x20'..='\x7e' => character as u8,
        _ => b'_',
    })
}

/// Appends every character as `map` writes it; at once if that changes nothing, as it mostly is.
fn push_mapped(text: &mut StackText<MAX_BYTES>, more: &str, map: impl Fn(char) -> u8) -> bool {
    if more.bytes().all(|byte| map(char::from(byte)) == byte) {
        text.push(more)
    } else {
        more.chars()
            .all(|character| text.push_ascii(map(character)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::TraceId;

    fn bounded(value: &str) -> Option<String> {
        Members::parse(value.as_bytes())?
            .to_bounded_text()
            .map(String::from)
    }

    fn rebuilt(tracestate: &str) -> String {
        let tags = PropagationTags::default();
        let mut context = InjectContext::new(TraceId::new(0, 1), SpanId::new(11), &tags);
        context.tracestate = Some(tracestate);
        build(&context, SpanId::new(11)).as_str().to_owned()
    }

    #[test]
    fn inbound_members_are_cleaned_and_ordered() {
        for (value, expected) in [
            ("foo=1 \t , \t bar=2, \t baz=3", Some("foo=1,bar=2,baz=3")),
            ("foo=1,dd=s:1,bar=2,dd=s:2", Some("dd=s:2,foo=1,bar=2")),
            (",,foo=1,", Some("foo=1")),
            ("foo,=1,bar=,baz=1", Some("baz=1")),
            // C37 to C39, and where the member stands.
            (
                "dd=s:1,ot=rv:not-hex;th:not-hex,congo=xyz",
                Some("dd=s:1,congo=xyz"),
            ),
            ("ot=rv:1234567890abcd;th:zz", Some("ot=rv:1234567890abcd")),
            ("dd=s:1", Some("dd=s:1")),
            ("a=1,ot=th:0,b=2,dd=s:1", Some("dd=s:1,ot=th:0,a=1,b=2")),
            (
                "ot=rv:1234567890abcd,ot=rv:00000000000000",
                Some("ot=rv:00000000000000"),
            ),
            ("foo=1,bar=\u{e9}", None),
            ("foo=1,bar=a\tb", None),
            ("", None),
            (" , ", None),
        ] {
            assert_eq!(bounded(value).as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn a_single_bad_item_loses_the_member() {
        for (member, is_read) in [
            ("s:1;o:rum;t.x:1", true),
            ("s:1;unknown:1", true),
            ("s:1;", false),
            ("s:1;x", false),
            ("s:one", false),
            ("", false),
        ] {
            assert_eq!(Member::parse(member).is_some(), is_read, "{member}");
        }
        let member =
            Member::parse("s:2;o:a~b;p:XX!X;t.usr.id:YQ~~;t.tid:1;t.dm:x;t.:1;t.url:http://a")
                .unwrap();
        assert_eq!(member.origin().as_deref(), Some("a=b"));
        assert_eq!(member.last_parent_id, Some("XX!X"));
        assert_eq!(
            member.tags().iter().collect::<Vec<_>>(),
            [("_dd.p.usr.id", "YQ=="), ("_dd.p.url", "http://a")]
        );
    }

    #[test]
    fn long_members_give_way_first_and_ot_stays_beside_dd() {
        let numbered = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>();
        // 31 others fit beside Datadog's.
        let header = rebuilt(&numbered(33).join(","));
        assert_eq!(header.split(',').count(), 32);
        assert!(
            header.starts_with("dd=p:000000000000000b,k0=v,") && header.ends_with(",k30=v"),
            "{header}"
        );

        let long = format!("long={}", "v".repeat(124));
        let header = rebuilt(&format!("{long},{}", numbered(31).join(",")));
        assert!(
            !header.contains("long") && header.ends_with(",k30=v"),
            "{header}"
        );
        let header = rebuilt(&format!("{long},{}", numbered(30).join(",")));
        assert!(
            header.contains("long") && header.ends_with(",k29=v"),
            "{header}"
        );

        let header = rebuilt(&format!(
            "foo=1,ot=rv:1234567890abcd;th:0,big={},small=1",
            "v".repeat(480)
        ));
        assert_eq!(
            header,
            "dd=p:000000000000000b,ot=rv:1234567890abcd;th:0,foo=1,small=1"
        );
        let header = rebuilt(&format!("foo=1,middle={},small=1", "v".repeat(100)));
        assert!(header.ends_with(",small=1"), "{header}");
        let many = vec![format!("m={}", "v".repeat(98)); 5].join(",");
        assert!(rebuilt(&many).len() <= MAX_BYTES);
    }

    #[test]
    fn outbound_items_are_escaped_and_bounded() {
        let mut tags = PropagationTags::default();
        tags.set("_dd.p.big", &"x".repeat(300));
        tags.set("_dd.p.a:b=c", "1;2~3=4,5\u{e9}");
        tags.set("_dd.p.usr.id", "YQ==");
        tags.set("_dd.p.dm", "-4");
        let mut context = InjectContext::new(TraceId::new(0, 1), SpanId::new(11), &tags);
        context.origin = Some("synthetics~;=web,z");
        let header = build(&context, SpanId::new(11));
        assert_eq!(
            header.as_str(),
            "dd=p:000000000000000b;o:synthetics__~web_z;t.usr.id:YQ~~;t.dm:-4;t.a_b_c:1_2_3~4_5_"
        );
    }
}
