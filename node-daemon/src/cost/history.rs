//! What export costs and what rest costs, one after the other. Rows that are gone for a
//! moment, as when OVS or its bridges are made anew, change no spec, and so do not change what
//! it cost before. Pure.

use std::time::Instant;

use weir_api::export::ExportCost;

use super::model::WINDOW;
use super::{CostModel, Rates, Sample};

/// The figures of export, and those of the rest since.
#[derive(Debug, Default)]
pub struct CostHistory {
    model: CostModel,
    /// What ovs-vswitchd takes while nothing of ours is exported, and since when that is.
    rest: Option<(Instant, CostModel)>,
}

impl CostHistory {
    /// Begins with the figures of the daemon before.
    pub fn beginning_with(reported: Option<ExportCost>) -> Self {
        Self {
            model: CostModel::beginning_with(reported),
            rest: None,
        }
    }

    /// There are rows of ours, of this generation of the spec.
    pub fn exports(&mut self, generation: Option<i64>, sample: Sample) {
        if let Some((since, idle)) = self.rest.take() {
            let rested = sample.at.saturating_duration_since(since);
            let known = self.model.generation();
            if known.is_some() && known == generation || known.is_none() && rested < WINDOW {
                self.model.resume();
            } else {
                self.model = CostModel::beginning_after(idle.cost().filter(|_| rested >= WINDOW));
            }
        }
        self.model.asked(generation);
        self.model.add(sample);
    }

    /// There is none. `asks`: the spec asks for some.
    pub fn rests(&mut self, generation: Option<i64>, asks: bool, sample: Sample) {
        let (since, idle) = self.rest.get_or_insert_with(|| (sample.at, CostModel::default()));
        let rested = sample.at.saturating_duration_since(*since);
        idle.add(sample);
        let known = self.model.generation();
        if !asks {
            self.model = CostModel::default();
        } else if rested >= WINDOW || known.is_some() && known != generation {
            self.model.end();
        }
    }

    /// What to tell.
    pub fn cost(&self) -> Option<ExportCost> {
        self.model.cost()
    }

    /// Between the last two samples.
    pub fn latest(&self) -> Rates {
        match self.rest {
            Some(_) => Rates::default(),
            None => self.model.latest(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cost::ProcessorTime;
    use weir_api::export::CostFigures;

    /// ovs-vswitchd takes so many thousandths of a processor each second since the start.
    fn sample(start: Instant, second: u64, millicores: u64) -> Sample {
        Sample {
            at: start + Duration::from_secs(second),
            ipfix: [].into(),
            lost: None,
            processor: Some(ProcessorTime {
                used_ms: second * millicores,
                uptime_ms: second * 1_000,
            }),
        }
    }

    /// What it costs and cost before, after: 120 s of generation 1, a rest of so long under
    /// that generation, 30 s of this one.
    fn after_rest(rest: u64, asks: bool, rest_generation: i64, generation: i64) -> [Option<Option<u32>>; 2] {
        let start = Instant::now();
        let before = Some(CostFigures {
            vswitchd_millicores: Some(7),
            ..CostFigures::default()
        });
        let mut history = CostHistory::beginning_with(Some(ExportCost {
            before,
            ..ExportCost::default()
        }));
        for second in (0..=120).step_by(5) {
            history.exports(Some(1), sample(start, second, 100));
        }
        for second in (125..125 + rest).step_by(5) {
            history.rests(Some(rest_generation), asks, sample(start, second, 20));
        }
        let resting = history.cost().map(|cost| cost.vswitchd_millicores);
        for second in (125 + rest..155 + rest).step_by(5) {
            history.exports(Some(generation), sample(start, second, 100));
        }
        let before = history.cost().and_then(|cost| cost.before);
        [resting, before.map(|before| before.vswitchd_millicores)]
    }

    #[test]
    fn rows_that_are_gone_for_a_while_change_nothing_of_what_it_cost_before_the_spec_changed() {
        let (told, kept, idle) = (Some(Some(100)), Some(Some(7)), Some(Some(20)));
        for (what, rest, asks, generations, expected) in [
            ("the bridge is made anew", 10, true, (1, 1), [told, kept]),
            ("it stays away", 300, true, (1, 1), [None, kept]),
            (
                "export was switched off for a while",
                300,
                false,
                (2, 3),
                [None, idle],
            ),
            ("and for a moment", 10, false, (2, 3), [None, None]),
            ("the spec changes meanwhile", 300, true, (1, 2), [None, idle]),
        ] {
            assert_eq!(
                after_rest(rest, asks, generations.0, generations.1),
                expected,
                "{what}"
            );
        }
    }
}
