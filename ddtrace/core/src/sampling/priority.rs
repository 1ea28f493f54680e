//! What was decided about a trace, and who decided it.

use std::fmt;

/// Whether a trace is kept: −1 and 0 drop it, 1 and 2 keep it.
///
/// The number comes from other services as well, so any integer is possible; greater than 0 keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SamplingPriority(i32);

impl SamplingPriority {
    /// Dropped by a user: a rule, the rate limiter, or `manual.drop`.
    pub const USER_REJECT: Self = Self(-1);
    /// Dropped by the default or an agent's rate.
    pub const AUTO_REJECT: Self = Self(0);
    /// Kept by the default or an agent's rate.
    pub const AUTO_KEEP: Self = Self(1);
    /// Kept by a user: a rule or `manual.keep`.
    pub const USER_KEEP: Self = Self(2);

    /// Takes a priority as another service wrote it.
    pub const fn new(priority: i32) -> Self {
        Self(priority)
    }

    /// The bare number, as in `x-datadog-sampling-priority` and `_sampling_priority_v1`.
    pub const fn get(self) -> i32 {
        self.0
    }

    /// Whether the trace is kept.
    pub const fn is_kept(self) -> bool {
        self.0 > 0
    }
}

impl fmt::Display for SamplingPriority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What made the decision; `_dd.p.dm` is its number with a dash in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SamplingMechanism {
    /// No rule and no agent rate applied.
    Default,
    /// A rate from the agent's last answer.
    AgentRate,
    /// A rule of this process.
    LocalRule,
    /// `manual.keep`, `manual.drop`.
    Manual,
    /// Application security kept the trace.
    AppSec,
    /// A rule set by remote configuration, by the customer.
    RemoteRuleCustomer,
    /// A rule set by remote configuration, computed by Datadog.
    RemoteRuleDynamic,
    /// The guard of AI conversations kept the trace.
    AiGuard,
}

impl SamplingMechanism {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Default => 0,
            Self::AgentRate => 1,
            Self::LocalRule => 3,
            Self::Manual => 4,
            Self::AppSec => 5,
            Self::RemoteRuleCustomer => 11,
            Self::RemoteRuleDynamic => 12,
            Self::AiGuard => 13,
        }
    }

    /// The value of `_dd.p.dm`.
    pub const fn decision_maker(self) -> &'static str {
        match self {
            Self::Default => "-0",
            Self::AgentRate => "-1",
            Self::LocalRule => "-3",
            Self::Manual => "-4",
            Self::AppSec => "-5",
            Self::RemoteRuleCustomer => "-11",
            Self::RemoteRuleDynamic => "-12",
            Self::AiGuard => "-13",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decision_maker_is_the_number_with_a_dash() {
        for mechanism in [
            SamplingMechanism::Default,
            SamplingMechanism::AgentRate,
            SamplingMechanism::LocalRule,
            SamplingMechanism::Manual,
            SamplingMechanism::AppSec,
            SamplingMechanism::RemoteRuleCustomer,
            SamplingMechanism::RemoteRuleDynamic,
            SamplingMechanism::AiGuard,
        ] {
            assert_eq!(
                mechanism.decision_maker(),
                format!("-{}", mechanism.number())
            );
        }
    }
}
