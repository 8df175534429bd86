use super::*;
use crate::fixture::{bridge, spec};
use weir_api::Protocol;

struct Bench {
    governor: Governor,
    spec: NodeFlowExportSpec,
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
        let spec = spec(vec![bridge("br-int", &Protocol::ALL, "192.0.2.9:1")]);
        Self {
            governor: Governor::default(),
            spec: NodeFlowExportSpec {
                budget: Some(budget),
                ..spec
            },
            now: Instant::now(),
        }
    }

    /// Looks of 5 s each; the factor after the last.
    fn measure(&mut self, times: u32, millicores: f64, lost: f64) -> u32 {
        let rates = Rates {
            millicores: Some(millicores),
            lost: Some(lost),
            ..Rates::default()
        };
        self.look(times, rates)
    }

    fn look(&mut self, times: u32, rates: Rates) -> u32 {
        let measurement = Measurement {
            look: Look::Taken,
            cost: None,
            rates,
        };
        for _ in 0..times {
            self.now += Duration::from_secs(5);
            self.governor.measure(&self.spec, &measurement, self.now);
        }
        self.governor.factor()
    }
}

#[test]
fn what_stays_over_the_budget_is_sampled_twice_as_coarsely_each_time() {
    let mut bench = Bench::new(BudgetAction::Throttle);
    assert_eq!(bench.measure(2, 800.0, 0.0), 1, "that may be a moment");
    assert_eq!(bench.governor.verdict().excess(), None);
    assert_eq!(bench.measure(1, 800.0, 0.0), 2);
    assert_eq!(bench.governor.cause(), Some(BudgetFigure::Processor));
    assert_eq!(bench.measure(2, 800.0, 0.0), 2, "what was done is given time");
    assert_eq!(bench.measure(1, 800.0, 0.0), 4);
    assert_eq!(
        bench.measure(20, 300.0, 0.0),
        4,
        "within the budget, and not at rest"
    );
    assert_eq!(bench.governor.verdict().excess(), None);
}

#[test]
fn what_is_far_over_the_budget_is_sampled_much_more_coarsely_at_the_second_look() {
    let mut bench = Bench::new(BudgetAction::Throttle);
    assert_eq!(bench.measure(1, 1_001.0, 0.0), 1, "that may be a moment");
    assert_eq!(bench.measure(1, 1_001.0, 0.0), 8);
    assert_eq!(bench.governor.cause(), Some(BudgetFigure::Processor));
    assert_eq!(bench.measure(1, 1_001.0, 0.0), 8, "what was done is given time");
    let mut bench = Bench::new(BudgetAction::Throttle);
    bench.measure(1, 1_001.0, 0.0);
    bench.measure(1, 400.0, 0.0);
    assert_eq!(bench.measure(1, 1_001.0, 0.0), 1, "twice, not in a row");
    assert_eq!(bench.measure(1, 800.0, 0.0), 1, "over, and not far");
}

#[test]
fn lost_packets_end_a_storm_within_twenty_seconds() {
    let mut bench = Bench::new(BudgetAction::Throttle);
    assert_eq!(bench.measure(4, 5_000.0, 1_000.0), 250, "the floor of 100,000");
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
    assert_eq!(bench.governor.verdict().excess(), Some(BudgetFigure::Lost));
    let mut bench = Bench::new(BudgetAction::Throttle);
    bench.measure(5, 800.0, 99.0);
    bench.spec.budget = None;
    bench.measure(1, 800.0, 99.0);
    assert_eq!(bench.governor, Governor::default());
}

#[test]
fn a_processor_over_a_budget_that_is_only_reported_is_told_from_the_third_look_on() {
    let mut bench = Bench::new(BudgetAction::Report);
    bench.measure(2, 800.0, 0.0);
    assert_eq!(bench.governor.verdict().excess(), None);
    for _ in 0..9 {
        bench.measure(1, 800.0, 0.0);
        assert_eq!(bench.governor.verdict().excess(), Some(BudgetFigure::Processor));
    }
}

#[test]
fn a_look_without_a_figure_is_neither_too_much_nor_calm_and_breaks_no_row() {
    let mut bench = Bench::new(BudgetAction::Throttle);
    bench.measure(3, 800.0, 0.0);
    bench.look(1_000, Rates::default());
    assert_eq!(bench.governor.factor(), 2);
    bench.measure(2, 800.0, 0.0);
    bench.look(1, Rates::default());
    assert_eq!(bench.measure(1, 800.0, 0.0), 4, "three that were over");
}

#[test]
fn the_factor_ends_where_the_floor_is_reached() {
    let mut bench = Bench::new(BudgetAction::Throttle);
    bench.spec.budget.as_mut().unwrap().floor = Some(1_000);
    bench.spec.bridges[0].net_flow = None;
    assert_eq!(bench.measure(4, 5_000.0, 1_000.0), 3, "1,200 is beyond the floor");
    bench.spec.budget.as_mut().unwrap().floor = Some(400);
    assert_eq!(bench.measure(4, 5_000.0, 1_000.0), 1, "it is as coarse already");
    assert_eq!(bench.governor.cause(), None);
}

#[test]
fn netflow_alone_is_suspended_for_one_calm_time_however_much_was_lost() {
    let mut bench = Bench::new(BudgetAction::Throttle);
    bench.spec.bridges[0].s_flow = None;
    bench.spec.bridges[0].ipfix = None;
    assert_eq!(bench.measure(4, 5_000.0, 1_000.0), 2);
    assert_eq!(bench.measure(120, 100.0, 0.0), 2);
    assert_eq!(bench.measure(1, 100.0, 0.0), 1);
}

#[test]
fn sampling_gets_coarser_to_the_floor_and_never_finer_and_netflow_is_suspended() {
    let mut bench = Bench::new(BudgetAction::Throttle);
    bench.measure(3, 800.0, 0.0);
    let mut asked = bench.spec.clone();
    let throttled = bench.governor.throttle(&asked).bridges.remove(0);
    assert_eq!(throttled.net_flow, None);
    assert_eq!(throttled.ipfix.as_ref().unwrap().sampling, Some(800));
    assert_eq!(throttled.s_flow.unwrap().sampling, Some(800), "of OVS's own 400");
    asked.budget.as_mut().unwrap().floor = Some(100);
    let throttled = bench.governor.throttle(&asked).bridges.remove(0);
    assert_eq!(
        throttled.ipfix.unwrap().sampling,
        Some(400),
        "coarser than the floor already"
    );
    assert_eq!(Governor::default().throttle(&asked), asked);
}
