//! `_dd.tracer_kr`: the share of traces that was not dropped, over the last flush windows.

/// How many windows are looked back on.
const WINDOWS: usize = 10;

/// A simple moving average.
#[derive(Debug, Default)]
pub(super) struct KeepRate {
    windows: [(u64, u64); WINDOWS],
    at: usize,
}

impl KeepRate {
    /// Counts traces into the window in hand.
    pub(super) fn count(&mut self, created: u64, dropped: u64) {
        self.windows[self.at].0 += created;
        self.windows[self.at].1 += dropped;
    }

    /// Begins the next window.
    pub(super) fn turn(&mut self) {
        self.at = (self.at + 1) % WINDOWS;
        self.windows[self.at] = (0, 0);
    }

    /// 1 where nothing was dropped.
    pub(super) fn rate(&self) -> f64 {
        let (created, dropped) = self
            .windows
            .iter()
            .fold((0, 0), |(created, dropped), window| {
                (created + window.0, dropped + window.1)
            });
        if dropped == 0 || created == 0 {
            1.0
        } else {
            1.0 - dropped.min(created) as f64 / created as f64
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_is_remembered_for_ten_windows() {
        let mut rate = KeepRate::default();
        assert_eq!(rate.rate(), 1.0);
        rate.count(4, 1);
        assert_eq!(rate.rate(), 0.75);
        for _ in 0..9 {
            rate.turn();
            assert_eq!(rate.rate(), 0.75);
        }
        rate.turn();
        assert_eq!(rate.rate(), 1.0);
    }
}
