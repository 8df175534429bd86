//! How the metrics fare, in numbers that do not grow with them.

use weir_flowmetrics::Registry;

/// Figures over all metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Metrics that are counted.
    pub metrics: usize,
    /// Resources that are refused.
    pub bad: usize,
    /// Series of all metrics.
    pub series: usize,
    /// Counts that were refused because they needed one series too many.
    pub refused: u64,
    /// Series that ended because nothing was counted in them any more.
    pub expired: u64,
}

impl Figures {
    /// Changes which metrics there are: what those counted that go stays in the sums.
    pub(super) fn keep<T>(&mut self, registry: &mut Registry, change: impl FnOnce(&mut Registry) -> T) -> T {
        let before = sums(registry);
        let outcome = change(registry);
        let after = sums(registry);
        self.refused += before.0.saturating_sub(after.0);
        self.expired += before.1.saturating_sub(after.1);
        outcome
    }

    pub(super) fn now(self, registry: &Registry, bad: usize) -> Self {
        let (refused, expired) = sums(registry);
        Self {
            metrics: registry.stats().len(),
            bad,
            series: registry.stats().map(|metric| metric.series).sum(),
            refused: self.refused + refused,
            expired: self.expired + expired,
        }
    }
}

fn sums(registry: &Registry) -> (u64, u64) {
    let sum = |(refused, expired), metric: weir_flowmetrics::MetricStats<'_>| {
        (refused + metric.refused, expired + metric.expired)
    };
    registry.stats().fold((0, 0), sum)
}
