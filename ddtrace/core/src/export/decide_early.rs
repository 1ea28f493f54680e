//! The sampling decision on a local root that is not done yet, and what rules see of it.
//!
//! At the end of a segment the root is there as it ended, and the assembler asks the sampler about that. Before, at an
//! injection or a partial flush, it is known as far as the segment was told: service, name, resource, and its tags if a
//! rule looks at any.

use super::finished::FinishedSpan;
use crate::config::Config;
use crate::sampling::{Decision, SamplingSubject, TagLookup, TagValue};
use crate::trace::segment::Segment;
use crate::trace::service::ServiceId;
use crate::trace::{Tags, Value};

/// The sampler's decision while the local root is still open, for whoever needs it before: injection, partial flush.
pub(crate) fn decide_early(segment: &Segment, config: &Config) -> Decision {
    segment.with_root(|site, service, tags| {
        let rare = tags.and_then(|tags| tags.rare.as_deref());
        let service = rare
            .and_then(|rare| rare.service_id)
            .map_or(service, ServiceId);
        let interned = crate::trace::service::name(service);
        let text = rare.and_then(|rare| rare.service.as_deref());
        let own = text.or(interned.as_deref()).unwrap_or(&config.service);
        let name = rare
            .and_then(|rare| rare.name.as_deref())
            .unwrap_or(site.name());
        let resource = tags
            .and_then(Tags::resource)
            .or(site.resource())
            .unwrap_or(name);
        segment.tracer.sampler.decide(&SamplingSubject {
            trace_id_low: segment.trace_id.low(),
            service: config.service_mapping.get(own).map_or(own, |to| &**to),
            env: config.env.as_deref().unwrap_or_default(),
            name,
            resource,
            tags: &RootTags {
                tags,
                segment,
                config,
            },
        })
    })
}

/// The local root's tags for a rule that looks at them, before the root is done.
struct RootTags<'a> {
    tags: Option<&'a Tags>,
    segment: &'a Segment,
    config: &'a Config,
}

impl TagLookup for RootTags<'_> {
    fn tag(&self, key: &str) -> Option<TagValue<'_>> {
        match self.tags.and_then(|tags| tags.get(key)) {
            Some(Value::Static(text) | Value::Text(text)) => Some(TagValue::Text(text)),
            Some(Value::Number(number)) => Some(TagValue::Number(number)),
            Some(Value::Absent) | None => {
                let key = key.strip_prefix(BAGGAGE_PREFIX)?;
                let mut tags = baggage_tags(self.segment, self.config);
                let (_, value) = tags.find(|&(candidate, _)| candidate == key)?;
                Some(TagValue::Text(value))
            }
        }
    }
}

impl TagLookup for FinishedSpan<'_> {
    fn tag(&self, key: &str) -> Option<TagValue<'_>> {
        let text = self.meta(key).map(TagValue::Text);
        text.or_else(|| self.metric(key).map(TagValue::Number))
    }
}

/// What begins the key of a tag that is baggage.
pub(super) const BAGGAGE_PREFIX: &str = "baggage.";

/// The baggage that came with the trace, as far as the user wants it as tags of the local root. What was set later is none.
pub(super) fn baggage_tags<'a>(
    segment: &'a Segment,
    config: &'a Config,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let wanted = &config.baggage_tag_keys;
    segment
        .baggage()
        .iter()
        .filter(move |(key, _)| wanted.iter().any(|wanted| wanted == "*" || wanted == key))
}
