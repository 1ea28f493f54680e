//! Whether a session has too many new tests to believe that they are new.

/// Counts new tests against known ones (`spec/ci-visibility.md` §7.5).
///
/// Modules come one after the other, so a session may turn out to be faulty late. It then stays so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultySession {
    new: u64,
    is_faulty: bool,
}

impl FaultySession {
    /// Counts tests that are new, among these many known ones.
    pub fn observe(&mut self, new: u64, known: u64, threshold: u32) {
        self.new += new;
        let threshold = u64::from(threshold);
        let percentage_is_high = 100 * self.new > threshold * (self.new + known);
        self.is_faulty |= self.new > threshold && percentage_is_high;
    }

    /// Whether new tests are not to be repeated.
    pub fn is_faulty(&self) -> bool {
        self.is_faulty
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_the_number_and_the_share_have_to_be_high() {
        for (new, known, threshold, expected) in [
            (30, 0, 30, false),
            (31, 0, 30, true),
            (31, 72, 30, true),
            (31, 73, 30, false),
            (1, 0, 0, true),
            (0, 0, 0, false),
        ] {
            let mut session = FaultySession::default();
            session.observe(new, known, threshold);
            assert_eq!(session.is_faulty(), expected, "{new} {known} {threshold}");
        }
    }

    #[test]
    fn a_session_stays_faulty() {
        let mut session = FaultySession::default();
        session.observe(31, 0, 30);
        session.observe(0, 10_000, 30);
        assert!(session.is_faulty());
    }
}
