//! The decision about a trace that begins here.
//!
//! In this order: the first rule that matches, and the rate limit for what it keeps; the agent's rate; keep. A trace that
//! came with a decision is not decided again, nor is one that a user kept or dropped by hand: for these the sampler is
//! not asked. The decision is made once, at the first injection or at the end of the segment, with the tags that the local
//! root has then.
//!
//! A *standalone* sampler is for programs that use other products but no tracing (`DD_APM_TRACING_ENABLED=false`): it keeps
//! one trace a minute, to show that the service is alive, and asks no agent. Whatever a product marks is kept beside that.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::agent_rates::AgentRates;
use super::hash::{RateText, SampleRate};
use super::limiter::RateLimiter;
use super::priority::{SamplingMechanism, SamplingPriority};
use super::probability::Probability;
use super::rules::{Rule, RuleSet, SamplingSubject};

/// Decides about traces; shared by all threads.
///
/// ```
/// use ddtrace_core::sampling::{RuleSet, Sampler, SamplingPriority, SamplingSubject};
///
/// let (rules, _) = RuleSet::parse(r#"[{"service": "health", "sample_rate": 0}]"#);
/// let sampler = Sampler::new(rules, 100);
/// let subject = SamplingSubject {
///     trace_id_low: 7,
///     service: "health",
///     env: "prod",
///     name: "http.request",
///     resource: "GET /",
///     tags: &(),
/// };
/// let decision = sampler.decide(&subject);
/// assert_eq!(decision.priority, SamplingPriority::USER_REJECT);
/// assert_eq!(decision.mechanism.decision_maker(), "-3");
/// assert_eq!(decision.rule_rate, Some(0.0));
/// ```
#[derive(Debug)]
pub struct Sampler {
    rules: ArcSwap<RuleSet>,
    /// What is to be known about the rules, beside them for those who ask often.
    has_rules: AtomicBool,
    needs_tags: AtomicBool,
    is_standalone: bool,
    limiter: RateLimiter,
    agent_rates: AgentRates,
    /// The beginning of the limiter's time.
    started: Instant,
}

/// What was decided, and what the local root is to say about it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// `_sampling_priority_v1` of the trace.
    pub priority: SamplingPriority,
    /// Who decided; `_dd.p.dm`, unless the trace came with one.
    pub mechanism: SamplingMechanism,
    /// `_dd.rule_psr`: the rate of the rule that matched.
    pub rule_rate: Option<f64>,
    /// `_dd.limit_psr`: the share that the limiter let through, if it was asked.
    pub limit_rate: Option<f64>,
    /// `_dd.agent_psr`: the agent's rate, if that decided.
    pub agent_rate: Option<f64>,
    /// `_dd.p.ksr`: the rate that decided, unless the trace came with one.
    pub keep_rate: Option<RateText>,
    /// Whether a dropped trace must not even be counted, and nothing of it that comes later either.
    pub discard: bool,
    /// What is said about a decision by a rate in `tracestate`, unless the trace came with it.
    pub probability: Option<Probability>,
}

impl Decision {
    /// What `manual.keep` and `manual.drop` decide; takes the place of any other decision, rates included.
    pub const fn manual(keep: bool) -> Self {
        let priority = if keep {
            SamplingPriority::USER_KEEP
        } else {
            SamplingPriority::USER_REJECT
        };
        Self::new(priority, SamplingMechanism::Manual)
    }

    const fn new(priority: SamplingPriority, mechanism: SamplingMechanism) -> Self {
        Self {
            priority,
            mechanism,
            rule_rate: None,
            limit_rate: None,
            agent_rate: None,
            keep_rate: None,
            discard: false,
            probability: None,
        }
    }
}

impl Sampler {
    /// The interval at which traces are sent, and rates of the agent may rise.
    const RAISE_INTERVAL: Duration = Duration::from_secs(1);

    /// A sampler with these rules, of which together at most `per_second` traces are kept (negative: any number).
    ///
    /// Without rules the limit means nothing.
    pub fn new(rules: RuleSet, per_second: i64) -> Self {
        Self::with_limiter(rules, RateLimiter::new(per_second), false)
    }

    /// A sampler for a program without tracing of its own, which keeps a trace a minute.
    pub fn standalone(rules: RuleSet) -> Self {
        let limiter = RateLimiter::per(1.0, Duration::from_secs(60));
        Self::with_limiter(rules, limiter, true)
    }

    fn with_limiter(rules: RuleSet, limiter: RateLimiter, is_standalone: bool) -> Self {
        Self {
            has_rules: AtomicBool::new(!rules.rules().is_empty()),
            needs_tags: AtomicBool::new(rules.needs_tags()),
            rules: ArcSwap::from_pointee(rules),
            is_standalone,
            limiter,
            agent_rates: AgentRates::new(Self::RAISE_INTERVAL),
            started: Instant::now(),
        }
    }

    /// Puts other rules in force. Decisions that are being made are made by the earlier ones; the limit goes on.
    pub fn set_rules(&self, rules: RuleSet) {
        // Names and tags are kept a little too long rather than not long enough.
        let (has_rules, needs_tags) = (!rules.rules().is_empty(), rules.needs_tags());
        self.has_rules.fetch_or(has_rules, Ordering::Relaxed);
        self.needs_tags.fetch_or(needs_tags, Ordering::Relaxed);
        self.rules.store(rules.into());
        self.has_rules.store(has_rules, Ordering::Relaxed);
        self.needs_tags.store(needs_tags, Ordering::Relaxed);
    }

    /// The rates of the agent, for the worker to replace.
    pub const fn agent_rates(&self) -> &AgentRates {
        &self.agent_rates
    }

    /// Whether it is for a program without tracing of its own.
    pub const fn is_standalone(&self) -> bool {
        self.is_standalone
    }

    /// Whether any rule looks at the resource or at tags: if not, a decision needs only what a span starts with.
    pub fn needs_tags(&self) -> bool {
        self.needs_tags.load(Ordering::Relaxed)
    }

    /// Whether there are any rules: if not, only service and environment count.
    pub fn has_rules(&self) -> bool {
        self.has_rules.load(Ordering::Relaxed)
    }

    /// Decides. Takes no lock and allocates nothing; without rules it is two look-ups and a multiplication (20 to 50 ns).
    pub fn decide(&self, subject: &SamplingSubject<'_>) -> Decision {
        self.decide_at(subject, || self.started.elapsed())
    }

    fn decide_at(&self, subject: &SamplingSubject<'_>, now: impl FnOnce() -> Duration) -> Decision {
        if let Some(rule) = self.rules.load().find(subject) {
            return self.by_rule(rule, subject.trace_id_low, now);
        }
        if self.is_standalone {
            return self.to_show_life(now());
        }
        let Some(rate) = self.agent_rates.rate(subject.service, subject.env) else {
            return Decision {
                probability: Probability::new(SampleRate::ALL, subject.trace_id_low, true),
                ..Decision::new(SamplingPriority::AUTO_KEEP, SamplingMechanism::Default)
            };
        };
        let is_kept = rate.keeps(subject.trace_id_low);
        Decision {
            agent_rate: Some(rate.get()),
            keep_rate: Some(rate.text()),
            probability: Probability::new(rate, subject.trace_id_low, is_kept),
            ..Decision::new(automatic(is_kept), SamplingMechanism::AgentRate)
        }
    }

    fn by_rule(&self, rule: &Rule, trace_id_low: u64, now: impl FnOnce() -> Duration) -> Decision {
        let by_rate = rule.sample_rate.keeps(trace_id_low);
        let admission = by_rate.then(|| self.limiter.admit(now()));
        let is_kept = admission.is_some_and(|admission| admission.is_allowed);
        let priority = if is_kept {
            SamplingPriority::USER_KEEP
        } else {
            SamplingPriority::USER_REJECT
        };
        let probability = Probability::new(rule.sample_rate, trace_id_low, is_kept);
        Decision {
            rule_rate: Some(rule.sample_rate.get()),
            limit_rate: admission.map(|admission| admission.effective_rate),
            keep_rate: Some(rule.sample_rate.text()),
            discard: rule.discard && !is_kept,
            // What the limiter took was not the rate's decision.
            probability: probability.filter(|_| by_rate == is_kept),
            ..Decision::new(priority, rule.provenance.mechanism())
        }
    }

    fn to_show_life(&self, now: Duration) -> Decision {
        let admission = self.limiter.admit(now);
        Decision {
            limit_rate: Some(admission.effective_rate),
            ..Decision::new(automatic(admission.is_allowed), SamplingMechanism::AppSec)
        }
    }
}

const fn automatic(is_kept: bool) -> SamplingPriority {
    if is_kept {
        SamplingPriority::AUTO_KEEP
    } else {
        SamplingPriority::AUTO_REJECT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(rules: &str, limit: i64) -> Sampler {
        Sampler::new(RuleSet::parse(rules).0, limit)
    }

    fn subject(service: &str) -> SamplingSubject<'_> {
        SamplingSubject {
            trace_id_low: 1,
            service,
            env: "prod",
            name: "n",
            resource: "r",
            tags: &(),
        }
    }

    /// A decision in the notation of the table.
    fn shown(decision: Decision) -> String {
        let mut shown = format!(
            "prio {}; dm {}",
            decision.priority,
            decision.mechanism.decision_maker()
        );
        for (name, rate) in [
            ("rule_psr", decision.rule_rate),
            ("limit_psr", decision.limit_rate),
            ("agent_psr", decision.agent_rate),
        ] {
            if let Some(rate) = rate {
                shown += &format!("; {name} {rate}");
            }
        }
        if let Some(text) = decision.keep_rate {
            shown += &format!("; ksr {}", text.as_str());
        }
        shown
    }

    /// Rows C13 to C19, and C23.
    #[test]
    fn rules_decide_as_the_table_says() {
        for (number, rules, limit, service, expected) in [
            (
                "C13",
                r#"[{"sample_rate":1}]"#,
                100,
                "a",
                "prio 2; dm -3; rule_psr 1; limit_psr 1; ksr 1",
            ),
            (
                "C14",
                r#"[{"sample_rate":0.1234567}]"#,
                100,
                "a",
                "prio 2; dm -3; rule_psr 0.1234567; limit_psr 1; ksr 0.123457",
            ),
            (
                "C15",
                r#"[{"service":"my-*","sample_rate":0.5}]"#,
                100,
                "other",
                "prio 1; dm -0",
            ),
            (
                "C17",
                r#"[{"service":"x"},{"sample_rate":1}]"#,
                100,
                "x",
                "prio 2; dm -3; rule_psr 1; limit_psr 1; ksr 1",
            ),
            ("C18", "nope", 100, "a", "prio 1; dm -0"),
            (
                "C19",
                r#"[{"sample_rate":0,"provenance":"dynamic"},{"sample_rate":1,"provenance":"customer"}]"#,
                100,
                "a",
                "prio 2; dm -11; rule_psr 1; limit_psr 1; ksr 1",
            ),
            (
                "C23",
                r#"[{"sample_rate":1}]"#,
                -1,
                "a",
                "prio 2; dm -3; rule_psr 1; limit_psr 1; ksr 1",
            ),
            (
                "a rate of 0",
                r#"[{"sample_rate":0}]"#,
                100,
                "a",
                "prio -1; dm -3; rule_psr 0; ksr 0",
            ),
            (
                "a limit of 0",
                r#"[{"sample_rate":1}]"#,
                0,
                "a",
                "prio -1; dm -3; rule_psr 1; limit_psr 0; ksr 1",
            ),
            (
                "dynamic",
                r#"[{"sample_rate":0,"provenance":"dynamic"}]"#,
                100,
                "a",
                "prio -1; dm -12; rule_psr 0; ksr 0",
            ),
        ] {
            assert_eq!(
                shown(sampler(rules, limit).decide(&subject(service))),
                expected,
                "{number}"
            );
        }
    }

    /// Row C20 in the deviation that the dossier states for ours, and the exact key before it.
    #[test]
    fn the_agents_default_rate_is_for_unknown_services() {
        let sampler = sampler("[]", 100);
        sampler.agent_rates().update(
            [("service:,env:", 0.5), ("service:web,env:prod", 0.0)],
            Instant::now(),
        );
        assert_eq!(
            shown(sampler.decide(&subject("zzz"))),
            "prio 1; dm -1; agent_psr 0.5; ksr 0.5",
            "C20"
        );
        assert_eq!(
            shown(sampler.decide(&subject("web"))),
            "prio 0; dm -1; agent_psr 0; ksr 0"
        );
    }

    /// Row C27, as far as the sampler goes.
    #[test]
    fn a_standalone_sampler_shows_life_once_a_minute() {
        let sampler = Sampler::standalone(RuleSet::default());
        sampler
            .agent_rates()
            .update([("service:,env:", 0.0)], Instant::now());
        let decide = |seconds| {
            let now = || Duration::from_secs(seconds);
            let decision = sampler.decide_at(&subject("a"), now);
            assert_eq!(decision.probability, None);
            shown(decision)
        };
        assert_eq!(
            [0, 0, 59, 60].map(decide),
            [
                "prio 1; dm -5; limit_psr 1",
                "prio 0; dm -5; limit_psr 0.5",
                "prio 0; dm -5; limit_psr 0.3333333333333333",
                "prio 1; dm -5; limit_psr 0.6666666666666666",
            ],
            "C27"
        );
    }

    #[test]
    fn only_a_rate_has_a_probability() {
        let probability = |sampler: Sampler| {
            sampler
                .decide_at(&subject("a"), || Duration::ZERO)
                .probability
        };
        assert!(probability(sampler("[]", 1)).is_some());
        assert!(probability(sampler(r#"[{"sample_rate":0.5}]"#, 1)).is_some());
        assert_eq!(probability(sampler(r#"[{"sample_rate":0.5}]"#, 0)), None);
        assert_eq!(probability(sampler(r#"[{"sample_rate":0}]"#, 1)), None);
        assert_eq!(Decision::manual(true).probability, None);
    }

    #[test]
    fn rules_can_be_replaced() {
        let sampler = sampler("[]", 100);
        assert!(!sampler.has_rules());
        for (rules, expected, needs_tags) in [
            (
                r#"[{"sample_rate":0,"service":"a"}]"#,
                "prio -1; dm -3; rule_psr 0; ksr 0",
                false,
            ),
            (
                r#"[{"sample_rate":0,"tags":{"t":"*"}}]"#,
                "prio 1; dm -0",
                true,
            ),
            (
                r#"[{"sample_rate":0,"resource":"r","provenance":"customer"}]"#,
                "prio -1; dm -11; rule_psr 0; ksr 0",
                true,
            ),
            ("[]", "prio 1; dm -0", false),
        ] {
            sampler.set_rules(RuleSet::parse(rules).0);
            assert_eq!(shown(sampler.decide(&subject("a"))), expected, "{rules}");
            assert_eq!(sampler.needs_tags(), needs_tags, "{rules}");
            assert_eq!(sampler.has_rules(), rules != "[]", "{rules}");
        }
    }

    /// Row C22: the sampler is not asked, and its rule leaves no trace.
    #[test]
    fn a_manual_decision_has_no_rates() {
        assert_eq!(shown(Decision::manual(true)), "prio 2; dm -4", "C22");
        assert_eq!(shown(Decision::manual(false)), "prio -1; dm -4");
    }

    /// Row C24, and the same three with a rule.
    #[test]
    fn the_limit_is_only_about_rules() {
        let now = || Duration::ZERO;
        let decide =
            |sampler: Sampler| [(); 3].map(|()| shown(sampler.decide_at(&subject("a"), now)));
        assert_eq!(decide(sampler("[]", 1)), ["prio 1; dm -0"; 3], "C24");
        assert_eq!(
            decide(sampler(r#"[{"sample_rate":1}]"#, 1)),
            [
                "prio 2; dm -3; rule_psr 1; limit_psr 1; ksr 1",
                "prio -1; dm -3; rule_psr 1; limit_psr 0.5; ksr 1",
                "prio -1; dm -3; rule_psr 1; limit_psr 0.3333333333333333; ksr 1",
            ]
        );
    }

    /// Row C33, as far as the sampler goes.
    #[test]
    fn a_rule_can_ask_that_what_it_drops_is_discarded() {
        for (rate, is_discarded) in [(0, true), (1, false)] {
            let sampler = sampler(
                &format!(r#"[{{"sample_rate":{rate},"discard":true}}]"#),
                100,
            );
            assert_eq!(sampler.decide(&subject("a")).discard, is_discarded, "C33");
        }
    }
}
