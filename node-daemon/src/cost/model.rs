//! From samples to the figures that are told: over a minute, with two digits, and steady
//! as long as they mean the same, since each figure that moves is a write to the API
//! server. Pure.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use weir_api::export::{CostFigures, ExportCost};

use super::{Rates, Sample};

/// What the figures are an average of.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// A processor time that was not written down anew for so long is not known any more. OVS
/// writes it every 5 s.
const STALE: Duration = Duration::from_secs(15);

/// How long nothing and next to nothing are one figure: a single packet stays in the
/// average for [`WINDOW`], and is no news twice.
const NEAR_NOTHING: Duration = Duration::from_secs(120);

/// The last minute, and what was told.
#[derive(Debug, Default)]
pub struct CostModel {
    samples: VecDeque<Sample>,
    told: Option<ExportCost>,
    /// What is told is of the daemon before this one.
    reported: bool,
    /// What it was before the last change.
    before: Option<CostFigures>,
    /// The generation of the spec that is in force.
    generation: Option<i64>,
    figures: [Steady; 4],
}

impl CostModel {
    /// Begins with the figures of the daemon before; they stay until there is a minute of
    /// our own.
    pub fn beginning_with(reported: Option<ExportCost>) -> Self {
        Self {
            told: reported,
            reported: reported.is_some(),
            before: reported.and_then(|cost| cost.before),
            ..Self::default()
        }
    }

    /// Begins where nothing was exported, which cost this much.
    pub fn beginning_after(idle: Option<ExportCost>) -> Self {
        Self {
            before: idle
                .map(CostFigures::from)
                .filter(|figures| *figures != CostFigures::default()),
            ..Self::default()
        }
    }

    /// The spec is of this generation. What was told of another is what it cost before; what
    /// the first was that is seen, nobody knows.
    pub fn asked(&mut self, generation: Option<i64>) {
        let known = std::mem::replace(&mut self.generation, generation);
        if known.is_some() && known != generation {
            self.before = self.told.map(CostFigures::from).or(self.before);
            if let Some(told) = &mut self.told {
                told.before = self.before;
            }
        }
    }

    /// The generation of the spec that its figures are of, if known.
    pub fn generation(&self) -> Option<i64> {
        self.generation
    }

    /// Rows are there again: counters began anew, and the figures stay until there is a
    /// minute of new ones.
    pub fn resume(&mut self) {
        self.samples.clear();
        self.reported = self.told.is_some();
    }

    /// Rows are gone for long: there are no figures, but what it cost before is known.
    pub fn end(&mut self) {
        self.samples.clear();
        (self.told, self.figures) = (None, [Steady::default(); 4]);
    }

    /// Takes the newest sample in.
    pub fn add(&mut self, sample: Sample) {
        let at = sample.at;
        self.samples.push_back(sample);
        // The oldest that is kept is as old as the window, or the last before it.
        while self.samples.len() > 2 && at.saturating_duration_since(self.samples[1].at) >= WINDOW {
            self.samples.pop_front();
        }
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return;
        };
        let age = last.at.saturating_duration_since(first.at);
        if age.is_zero() || (self.reported && age < WINDOW) {
            return;
        }
        self.reported = false;
        let rates = Rates::between(first, last);
        let told = self.told.unwrap_or_default();
        let [processor, datagrams, errors, lost] = &mut self.figures;
        self.told = Some(ExportCost {
            vswitchd_millicores: processor.tell(told.vswitchd_millicores, rates.millicores, at),
            datagrams_per_second: datagrams.tell(told.datagrams_per_second, rates.datagrams, at),
            send_errors_per_second: errors.tell(told.send_errors_per_second, rates.send_errors, at),
            lost_per_second: lost.tell(told.lost_per_second, rates.lost, at),
            before: self.before,
        });
    }

    /// Between the last two samples.
    pub fn latest(&self) -> Rates {
        let mut newest = self.samples.iter().rev();
        let rates = match (newest.next(), newest.next()) {
            (Some(last), Some(before)) => Rates::between(before, last),
            _ => Rates::default(),
        };
        Rates {
            millicores: self.millicores(),
            ..rates
        }
    }

    /// OVS writes its processor time down every 5 s, out of step with us: a look may find
    /// the same again. So the rate is that between the last two that differ, and holds until
    /// there ought to have been another.
    fn millicores(&self) -> Option<f64> {
        let last = self.samples.back()?;
        let mut fresh: Vec<&Sample> = self.samples.iter().collect();
        fresh.dedup_by_key(|sample| sample.processor);
        if last.at.saturating_duration_since(fresh.last()?.at) >= STALE {
            return None;
        }
        match fresh.as_slice() {
            [.., before, after] => Rates::between(before, after).millicores,
            _ => None,
        }
    }

    /// What to tell; nothing before there are two samples.
    pub fn cost(&self) -> Option<ExportCost> {
        self.told
    }
}

/// One figure, and since when it would be another.
#[derive(Debug, Clone, Copy, Default)]
struct Steady {
    differs_since: Option<Instant>,
}

impl Steady {
    /// The figure told before, unless the rate is more than a fifth away from it.
    fn tell(&mut self, told: Option<u32>, rate: Option<f64>, now: Instant) -> Option<u32> {
        let fresh = two_digits(rate?);
        let same = match (told, fresh) {
            (Some(0), 1) | (Some(1), 0) => {
                let since = *self.differs_since.get_or_insert(now);
                now.saturating_duration_since(since) < NEAR_NOTHING
            }
            (Some(told), fresh) => {
                self.differs_since = None;
                told == fresh || (told > 0 && fresh > 0 && fresh.abs_diff(told) <= (told / 5).max(1))
            }
            (None, _) => false,
        };
        if !same {
            self.differs_since = None;
        }
        told.filter(|_| same).or(Some(fresh))
    }
}

/// Two significant digits, rounded up: what is not nothing is not shown as nothing.
fn two_digits(rate: f64) -> u32 {
    let whole = rate.ceil().clamp(0.0, f64::from(u32::MAX)) as u32;
    let mut unit = 1;
    while whole / unit >= 100 {
        unit *= 10;
    }
    whole.div_ceil(unit).saturating_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{IpfixCounters, ProcessorTime};

    fn sample(at: Instant, sent: u64) -> Sample {
        let counters = IpfixCounters { sent, send_errors: 0 };
        Sample {
            at,
            ipfix: [("br-int".to_owned(), Some(counters))].into(),
            lost: None,
            processor: None,
        }
    }

    /// Samples of 15 s each, and the figure after each.
    fn told_by(mut model: CostModel, datagrams: &[u64]) -> Vec<Option<u32>> {
        let start = Instant::now();
        let mut told = |(i, sent): (usize, &u64)| {
            model.add(sample(start + Duration::from_secs(15 * i as u64), *sent));
            model.cost().and_then(|cost| cost.datagrams_per_second)
        };
        datagrams.iter().enumerate().map(&mut told).collect()
    }

    fn model_of(datagrams: &[u64]) -> Vec<Option<u32>> {
        told_by(CostModel::default(), datagrams)
    }

    #[test]
    fn one_sample_tells_nothing_and_two_a_rate() {
        assert_eq!(model_of(&[0, 1_500]), [None, Some(100)]);
    }

    #[test]
    fn a_rate_that_wavers_is_one_figure_and_one_that_doubles_is_another() {
        let wavering = [0, 1_500, 3_150, 4_500, 6_150, 7_500];
        assert!(model_of(&wavering)[1..].iter().all(|told| *told == Some(100)));
        let doubling = [0, 1_500, 3_000, 4_500, 6_000, 9_000, 12_000, 15_000, 18_000];
        let told = model_of(&doubling).pop().flatten();
        assert!(told.is_some_and(|told| (160..=240).contains(&told)), "{told:?}");
    }

    #[test]
    fn what_ends_is_nothing_a_minute_later_and_little_is_not_nothing() {
        let ended = [0, 1_500, 1_500, 1_500, 1_500, 1_500];
        assert_eq!(model_of(&ended).last(), Some(&Some(0)));
        assert_eq!(model_of(&[0, 1]), [None, Some(1)]);
    }

    #[test]
    fn a_packet_now_and_then_is_no_news_and_one_that_stays_is() {
        let seldom: Vec<u64> = (0..100).map(|i| i / 8).collect();
        assert!(
            model_of(&seldom)[1..].iter().all(|told| *told == Some(0)),
            "{seldom:?}"
        );
        let always: Vec<u64> = (0..100).map(|i| u64::saturating_sub(i, 8)).collect();
        let mut told = model_of(&always);
        told.dedup();
        assert_eq!(told, [None, Some(0), Some(1)]);
    }

    #[test]
    fn the_figures_of_the_daemon_before_stay_for_a_minute_and_while_they_are_near() {
        let before = ExportCost {
            datagrams_per_second: Some(110),
            ..ExportCost::default()
        };
        let model = || CostModel::beginning_with(Some(before));
        let told = told_by(model(), &[0, 9_000, 9_000, 9_000, 6_000 + 9]);
        assert_eq!(told[..4], [Some(110); 4]);
        let near = told_by(model(), &[0, 1_500, 3_000, 4_500, 6_000, 7_500]);
        assert_eq!(near, [Some(110); 6]);
        let far = told_by(model(), &[0, 150, 300, 450, 600, 750]);
        assert_eq!(far.last(), Some(&Some(10)));
    }

    #[test]
    fn a_processor_time_that_is_written_out_of_step_gives_an_even_rate_until_it_is_stale() {
        let start = Instant::now();
        let mut model = CostModel::default();
        let mut rates = Vec::new();
        let told = [0, 500, 500, 1_500, 2_000, 2_000, 2_000, 2_000];
        for (i, used_ms) in told.into_iter().enumerate() {
            model.add(Sample {
                processor: Some(ProcessorTime {
                    used_ms,
                    uptime_ms: used_ms * 10,
                }),
                ..sample(start + Duration::from_secs(5 * i as u64), 0)
            });
            rates.push(model.latest().millicores);
        }
        let even = Some(100.0);
        assert_eq!(rates, [None, even, even, even, even, even, even, None]);
    }

    #[test]
    fn a_switch_that_does_nothing_is_known_to_do_nothing() {
        let start = Instant::now();
        let mut model = CostModel::default();
        for i in 0..10_u64 {
            model.add(Sample {
                processor: Some(ProcessorTime {
                    used_ms: 500,
                    uptime_ms: 5_000 * i,
                }),
                ..sample(start + Duration::from_secs(5 * i), 0)
            });
        }
        assert_eq!(model.latest().millicores, Some(0.0));
    }

    #[test]
    fn what_it_was_before_the_last_change_is_told_beside_what_it_is() {
        let start = Instant::now();
        let mut model = CostModel::beginning_after(Some(ExportCost {
            vswitchd_millicores: Some(40),
            ..ExportCost::default()
        }));
        let tell = |model: &mut CostModel, generation, second: u64, sent| {
            model.asked(Some(generation));
            model.add(sample(start + Duration::from_secs(second), sent));
            let cost = model.cost();
            let before = cost.and_then(|cost| cost.before);
            (
                cost.and_then(|cost| cost.datagrams_per_second),
                before.map(|before| (before.vswitchd_millicores, before.datagrams_per_second)),
            )
        };
        tell(&mut model, 1, 0, 0);
        let idle = Some((Some(40), None));
        assert_eq!(tell(&mut model, 1, 30, 300), (Some(10), idle));
        let first = Some((None, Some(10)));
        assert_eq!(tell(&mut model, 2, 60, 600), (Some(10), first));
        assert_eq!(tell(&mut model, 2, 120, 6_600), (Some(100), first));
        assert_eq!(tell(&mut model, 3, 150, 9_600).1, Some((None, Some(100))));
        // The daemon after this one tells it on, and takes nothing it finds for a change.
        let mut next = CostModel::beginning_with(model.cost());
        assert_eq!(tell(&mut next, 4, 200, 0).1, Some((None, Some(100))));
        let unknown = CostModel::beginning_after(Some(ExportCost::default()));
        assert_eq!(unknown.before, None);
    }

    #[test]
    fn figures_have_two_digits() {
        for (rate, shown) in [(0.0, 0), (0.01, 1), (99.5, 100), (101.0, 110), (12_345.0, 13_000)] {
            assert_eq!(two_digits(rate), shown, "{rate}");
        }
        assert_eq!(two_digits(f64::MAX), u32::MAX);
    }
}
