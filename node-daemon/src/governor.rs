//! Keeps the export within its budget: how much coarser than asked it samples. A state
//! machine without a clock: rates of the last few seconds come in with the time, a factor
//! comes out, which is an input of the desired rows.
//!
//! - Over the processor's budget for [`WINDOWS`] looks in a row: twice as coarse; over twice
//!   the budget for [`FAR_WINDOWS`]: [`STEEP`] times, since export that feeds itself takes
//!   all there is at once.
//! - Packets lost beyond the budget: [`STEEP`] times as coarse at once, since a switch that
//!   loses packets can no longer set flows up.
//! - Below half of the budget for [`CALM`]: half as coarse, down to what was asked for.
//!
//! NetFlow cannot be sampled: it is suspended while anything is throttled. A look that shows
//! nothing counts neither for nor against. What is told of it is in [`crate::verdict`].

use std::time::{Duration, Instant};

use weir_api::export::{Budget, BudgetAction};
use weir_api::plan::defaults::SAMPLING as DEFAULT_SAMPLING;
use weir_api::{BridgeExport, NodeFlowExportSpec};

use crate::cost::{Look, Measurement, Rates};
use crate::verdict::{BudgetFigure, Reading, Verdict};

/// Looks in a row that are over the budget before anything is done.
pub const WINDOWS: u32 = 3;

/// Looks in a row, the last one far over the budget, before much is done.
pub const FAR_WINDOWS: u32 = 2;

/// Factor for lost packets, and for what is far over the budget.
pub const STEEP: u32 = 8;

/// Rest before the export may be finer again.
pub const CALM: Duration = Duration::from_secs(600);

/// The memory of the governor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Governor {
    factor: u32,
    /// Looks that were over the processor's budget since the last that was not.
    windows: u32,
    calm_since: Option<Instant>,
    cause: Option<BudgetFigure>,
    verdict: Verdict,
}

impl Default for Governor {
    /// Nothing is throttled.
    fn default() -> Self {
        Self {
            factor: 1,
            windows: 0,
            calm_since: None,
            cause: None,
            verdict: Verdict::default(),
        }
    }
}

impl Governor {
    /// Takes a look in. Without a budget all is forgotten.
    pub fn measure(&mut self, spec: &NodeFlowExportSpec, measurement: &Measurement, now: Instant) {
        let Some(budget) = &spec.budget else {
            *self = Self::default();
            return;
        };
        let most = match budget.action {
            BudgetAction::Report => 1,
            BudgetAction::Throttle => most_factor(spec, budget.floor()),
        };
        let readings = readings(budget, measurement);
        self.verdict.look(budget, readings);
        if measurement.look == Look::Taken {
            self.raise(readings, is_far_over(budget, &measurement.rates), most);
        }
        self.factor = self.factor.min(most);
        self.rest(is_calm(budget, &measurement.rates), now);
    }

    fn raise(&mut self, [processor, lost]: [Reading; 2], is_far: bool, most: u32) {
        match processor {
            Reading::Over => self.windows = self.windows.saturating_add(1),
            Reading::Within => self.windows = 0,
            Reading::Unknown => {}
        }
        let (times, cause) = if lost == Reading::Over {
            (STEEP, BudgetFigure::Lost)
        } else if is_far && self.windows >= FAR_WINDOWS {
            (STEEP, BudgetFigure::Processor)
        } else if self.windows >= WINDOWS {
            (2, BudgetFigure::Processor)
        } else {
            return;
        };
        // What is done is given time.
        self.windows = 0;
        let factor = self.factor.saturating_mul(times).min(most);
        if factor > self.factor {
            (self.factor, self.cause) = (factor, Some(cause));
        }
    }

    fn rest(&mut self, calm: bool, now: Instant) {
        if !calm || self.factor == 1 {
            self.calm_since = None;
            return;
        }
        let since = *self.calm_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= CALM {
            self.factor = (self.factor / 2).max(1);
            self.calm_since = Some(now);
        }
    }

    /// How much coarser than asked; 1: as asked.
    pub fn factor(&self) -> u32 {
        self.factor
    }

    /// Why it is throttled, if it is.
    pub fn cause(&self) -> Option<BudgetFigure> {
        self.cause.filter(|_| self.factor > 1)
    }

    /// How the figures stand to the budget.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The spec as it may be carried out.
    pub fn throttle(&self, spec: &NodeFlowExportSpec) -> NodeFlowExportSpec {
        let mut spec = spec.clone();
        let floor = spec.budget.as_ref().map_or(u32::MAX, Budget::floor);
        if self.factor > 1 {
            let bridges = spec.bridges.iter_mut();
            bridges.for_each(|bridge| throttle_bridge(bridge, self.factor, floor));
        }
        spec
    }
}

/// The factor that takes the finest sampling to the floor; more would only take longer to
/// go back. NetFlow is suspended by the first step. 1: nothing can be throttled.
pub fn most_factor(spec: &NodeFlowExportSpec, floor: u32) -> u32 {
    let factors = spec.bridges.iter().flat_map(|bridge| {
        let s_flow = bridge.s_flow.as_ref().map(|s_flow| s_flow.sampling);
        let ipfix = bridge.ipfix.as_ref().map(|ipfix| ipfix.sampling);
        let sampled = [s_flow, ipfix].into_iter().flatten().map(move |sampling| {
            match sampling.unwrap_or(DEFAULT_SAMPLING) {
                0 => 1,
                asked => floor.div_ceil(asked),
            }
        });
        sampled.chain(bridge.net_flow.as_ref().map(|_| 2))
    });
    factors.max().unwrap_or(1).max(1)
}

fn throttle_bridge(bridge: &mut BridgeExport, factor: u32, floor: u32) {
    bridge.net_flow = None;
    let coarser = |sampling: &mut Option<u32>| {
        let asked = sampling.unwrap_or(DEFAULT_SAMPLING);
        // Never finer than asked, should the floor be.
        *sampling = Some(asked.saturating_mul(factor).min(floor.max(asked)));
    };
    if let Some(s_flow) = &mut bridge.s_flow {
        coarser(&mut s_flow.sampling);
    }
    if let Some(ipfix) = &mut bridge.ipfix {
        coarser(&mut ipfix.sampling);
    }
}

/// The processor's time and lost packets, against their bounds. What has none is within it,
/// as all is while nothing of ours is exported.
fn readings(budget: &Budget, measurement: &Measurement) -> [Reading; 2] {
    let rates = measurement.rates;
    let pairs = [
        (rates.millicores, budget.vswitchd_millicores),
        (rates.lost, budget.lost_per_second),
    ];
    pairs.map(|(rate, most)| match (rate, most) {
        (_, None) => Reading::Within,
        (_, Some(_)) if measurement.look == Look::Idle => Reading::Within,
        (None, Some(_)) => Reading::Unknown,
        (Some(rate), Some(most)) if rate > f64::from(most) => Reading::Over,
        (Some(_), Some(_)) => Reading::Within,
    })
}

/// Whether the processor's time is more than twice what it may be.
fn is_far_over(budget: &Budget, rates: &Rates) -> bool {
    let both = rates.millicores.zip(budget.vswitchd_millicores);
    both.is_some_and(|(rate, most)| rate > 2.0 * f64::from(most))
}

/// Whether all that is bounded is known, and below half of its bound.
fn is_calm(budget: &Budget, rates: &Rates) -> bool {
    let below = |rate: Option<f64>, most: Option<u32>| match (rate, most) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(rate), Some(most)) => rate <= f64::from(most) / 2.0,
    };
    below(rates.lost, budget.lost_per_second) && below(rates.millicores, budget.vswitchd_millicores)
}

#[cfg(test)]
mod tests;
