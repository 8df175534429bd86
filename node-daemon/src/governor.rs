//! Keeps the export within its budget: how much coarser than asked it samples. A state
//! machine without a clock: rates of the last few seconds come in with the time, a factor
//! comes out, which is an input of the desired rows.
//!
//! - Over the processor's budget for [`WINDOWS`] measurements in a row: twice as coarse.
//! - Packets lost beyond the budget: [`STEEP`] times as coarse at once, since a switch that
//!   loses packets can no longer set flows up.
//! - Below half of the budget for [`CALM`]: half as coarse, down to what was asked for.
//!
//! NetFlow cannot be sampled: it is suspended while anything is throttled.

use std::time::{Duration, Instant};

use weir_api::export::{Budget, BudgetAction};
use weir_api::{BridgeExport, NodeFlowExportSpec};

use crate::cost::Rates;

/// Measurements in a row that are over the budget before anything is done.
pub const WINDOWS: u32 = 3;

/// Factor for lost packets.
pub const STEEP: u32 = 8;

/// Rest before the export may be finer again.
pub const CALM: Duration = Duration::from_secs(600);

/// OVS's own, where the spec asks for none.
const DEFAULT_SAMPLING: u32 = 400;

/// What is over its budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excess {
    /// The processor time of ovs-vswitchd.
    Processor,
    /// Packets that the switch lost.
    Lost,
}

/// The memory of the governor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Governor {
    factor: u32,
    windows: u32,
    calm_since: Option<Instant>,
    excess: Option<Excess>,
    cause: Option<Excess>,
}

impl Default for Governor {
    /// Nothing is throttled.
    fn default() -> Self {
        Self {
            factor: 1,
            windows: 0,
            calm_since: None,
            excess: None,
            cause: None,
        }
    }
}

impl Governor {
    /// Takes the rates since the last measurement in. Without a budget all is forgotten.
    pub fn measure(&mut self, budget: Option<&Budget>, rates: &Rates, now: Instant) {
        let Some(budget) = budget else {
            *self = Self::default();
            return;
        };
        let found = excess(budget, rates);
        self.windows = match found {
            Some(_) => self.windows.saturating_add(1),
            None => 0,
        };
        // One bad measurement of the processor is not told yet. What is done about it begins
        // the count anew, so this comes first.
        self.excess =
            found.filter(|e| *e == Excess::Lost || self.windows >= WINDOWS || self.excess.is_some());
        match found {
            Some(Excess::Lost) => self.raise(budget, STEEP, Excess::Lost),
            Some(Excess::Processor) if self.windows >= WINDOWS => self.raise(budget, 2, Excess::Processor),
            _ => {}
        }
        self.rest(is_calm(budget, rates), now);
        if budget.action == BudgetAction::Report {
            self.factor = 1;
        }
    }

    fn raise(&mut self, budget: &Budget, factor: u32, cause: Excess) {
        self.windows = 0;
        if budget.action == BudgetAction::Throttle {
            self.factor = self.factor.saturating_mul(factor).min(budget.floor());
            self.cause = Some(cause);
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

    /// What is over its budget now.
    pub fn excess(&self) -> Option<Excess> {
        self.excess
    }

    /// Why it is throttled, if it is.
    pub fn cause(&self) -> Option<Excess> {
        self.cause.filter(|_| self.factor > 1)
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

fn excess(budget: &Budget, rates: &Rates) -> Option<Excess> {
    let over =
        |rate: Option<f64>, most: Option<u32>| matches!((rate, most), (Some(r), Some(m)) if r > f64::from(m));
    if over(rates.lost, budget.lost_per_second) {
        Some(Excess::Lost)
    } else if over(rates.millicores, budget.vswitchd_millicores) {
        Some(Excess::Processor)
    } else {
        None
    }
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
mod tests {
    use super::*;
    use crate::fixture::{bridge, spec};
    use weir_api::Protocol;

    struct Bench {
        governor: Governor,
        budget: Budget,
        now: Instant,
    }

    impl Bench {
        fn new(action: BudgetAction) -> Self {
            let budget = Budget {
                vswitchd_millicores: Some(500),
                lost_per_second: Some(10),
                action,
                floor: Some(100_000),
            };
            Self {
                governor: Governor::default(),
                budget,
                now: Instant::now(),
            }
        }

        /// Measurements of 5 s each; the factor after the last.
        fn measure(&mut self, times: u32, millicores: f64, lost: f64) -> u32 {
            for _ in 0..times {
                self.now += Duration::from_secs(5);
                let rates = Rates {
                    millicores: Some(millicores),
                    lost: Some(lost),
                    ..Rates::default()
                };
                self.governor.measure(Some(&self.budget), &rates, self.now);
            }
            self.governor.factor()
        }
    }

    #[test]
    fn what_stays_over_the_budget_is_sampled_twice_as_coarsely_each_time() {
        let mut bench = Bench::new(BudgetAction::Throttle);
        assert_eq!(bench.measure(2, 800.0, 0.0), 1, "that may be a moment");
        assert_eq!(bench.governor.excess(), None);
        assert_eq!(bench.measure(1, 800.0, 0.0), 2);
        assert_eq!(bench.governor.cause(), Some(Excess::Processor));
        assert_eq!(bench.measure(2, 800.0, 0.0), 2, "what was done is given time");
        assert_eq!(bench.measure(1, 800.0, 0.0), 4);
        assert_eq!(
            bench.measure(20, 300.0, 0.0),
            4,
            "within the budget, and not at rest"
        );
        assert_eq!(bench.governor.excess(), None);
    }

    #[test]
    fn lost_packets_end_a_storm_within_twenty_seconds() {
        let mut bench = Bench::new(BudgetAction::Throttle);
        assert_eq!(bench.measure(4, 5_000.0, 1_000.0), STEEP.pow(4));
        assert_eq!(bench.measure(4, 5_000.0, 1_000.0), 100_000, "the floor");
    }

    #[test]
    fn after_ten_calm_minutes_it_is_half_as_coarse_until_it_is_as_asked() {
        let mut bench = Bench::new(BudgetAction::Throttle);
        bench.measure(6, 800.0, 0.0);
        assert_eq!(bench.measure(120, 250.0, 0.0), 4);
        assert_eq!(bench.measure(1, 250.0, 0.0), 2);
        assert_eq!(bench.measure(60, 250.0, 0.0), 2);
        bench.measure(1, 251.0, 0.0);
        assert_eq!(bench.measure(120, 250.0, 0.0), 2, "the rest was broken");
        assert_eq!(bench.measure(1, 250.0, 0.0), 1);
        assert_eq!(bench.governor.cause(), None);
    }

    #[test]
    fn a_budget_that_is_only_reported_throttles_nothing_and_none_forgets_all() {
        let mut bench = Bench::new(BudgetAction::Report);
        assert_eq!(bench.measure(5, 800.0, 99.0), 1);
        assert_eq!(bench.governor.excess(), Some(Excess::Lost));
        let mut bench = Bench::new(BudgetAction::Throttle);
        bench.measure(5, 800.0, 99.0);
        bench.governor.measure(None, &Rates::default(), bench.now);
        assert_eq!(bench.governor, Governor::default());
    }

    #[test]
    fn a_processor_over_a_budget_that_is_only_reported_is_told_from_the_third_look_on() {
        let mut bench = Bench::new(BudgetAction::Report);
        bench.measure(2, 800.0, 0.0);
        assert_eq!(bench.governor.excess(), None);
        for _ in 0..9 {
            bench.measure(1, 800.0, 0.0);
            assert_eq!(bench.governor.excess(), Some(Excess::Processor));
        }
    }

    #[test]
    fn what_is_not_known_is_neither_too_much_nor_calm() {
        let mut bench = Bench::new(BudgetAction::Throttle);
        bench.measure(3, 800.0, 0.0);
        for _ in 0..1_000 {
            bench.now += Duration::from_secs(5);
            bench
                .governor
                .measure(Some(&bench.budget), &Rates::default(), bench.now);
        }
        assert_eq!(bench.governor.factor(), 2);
    }

    #[test]
    fn sampling_gets_coarser_to_the_floor_and_never_finer_and_netflow_is_suspended() {
        let mut bench = Bench::new(BudgetAction::Throttle);
        bench.measure(3, 800.0, 0.0);
        let mut asked = spec(vec![bridge("br-int", &Protocol::ALL, "192.0.2.9:1")]);
        asked.budget = Some(bench.budget);
        let throttled = bench.governor.throttle(&asked).bridges.remove(0);
        assert_eq!(throttled.net_flow, None);
        assert_eq!(throttled.ipfix.as_ref().unwrap().sampling, Some(800));
        assert_eq!(throttled.s_flow.unwrap().sampling, Some(800), "of OVS's own 400");
        asked.budget = Some(Budget {
            floor: Some(100),
            ..bench.budget
        });
        let throttled = bench.governor.throttle(&asked).bridges.remove(0);
        assert_eq!(
            throttled.ipfix.unwrap().sampling,
            Some(400),
            "coarser than the floor already"
        );
        assert_eq!(Governor::default().throttle(&asked), asked);
    }
}
