//! From samples to the figures that are told: over a minute, with two digits, and steady
//! as long as they mean the same, since each figure that moves is a write to the API
//! server. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use weir_api::export::ExportCost;

use super::{Rates, Sample};

/// What the figures are an average of.
const WINDOW: Duration = Duration::from_secs(60);

/// A processor time that stayed the same for so long did not grow.
const STALE: Duration = Duration::from_secs(15);

/// The last minute, and what was told.
#[derive(Debug, Default)]
pub struct CostModel {
    samples: VecDeque<Sample>,
    told: Option<ExportCost>,
}

impl CostModel {
    /// Takes the newest sample in.
    pub fn add(&mut self, sample: Sample) {
        self.samples.push_back(sample);
        // The oldest that is kept is as old as the window, or the last before it.
        while self.samples.len() > 2 && sample.at.saturating_duration_since(self.samples[1].at) >= WINDOW {
            self.samples.pop_front();
        }
        let (Some(first), Some(last)) = (self.samples.front(), self.samples.back()) else {
            return;
        };
        if first.at == last.at {
            return;
        }
        let rates = Rates::between(first, last);
        let told = self.told.unwrap_or_default();
        self.told = Some(ExportCost {
            vswitchd_millicores: steady(told.vswitchd_millicores, rates.millicores),
            datagrams_per_second: steady(told.datagrams_per_second, rates.datagrams),
            send_errors_per_second: steady(told.send_errors_per_second, rates.send_errors),
            lost_per_second: steady(told.lost_per_second, rates.lost),
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
    /// the same number again, and the next one twice as much more. So the rate is that
    /// between two new numbers, and it holds until it is certain that there is none.
    fn millicores(&self) -> Option<f64> {
        let last = self.samples.back()?;
        let mut fresh: Vec<&Sample> = self.samples.iter().collect();
        fresh.dedup_by_key(|sample| sample.cpu_ms);
        if last.at.saturating_duration_since(fresh.last()?.at) >= STALE {
            return last.cpu_ms.map(|_| 0.0);
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

/// The figure told before, unless the rate is more than a fifth away from it.
fn steady(told: Option<u32>, rate: Option<f64>) -> Option<u32> {
    let fresh = two_digits(rate?);
    let near = |told: &u32| *told > 0 && fresh > 0 && fresh.abs_diff(*told) <= (*told / 5).max(1);
    Some(told.filter(near).unwrap_or(fresh))
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
    use std::time::Instant;

    fn model_of(datagrams: &[u64]) -> Vec<Option<u32>> {
        let start = Instant::now();
        let mut model = CostModel::default();
        let mut told = |(i, datagrams): (usize, &u64)| {
            model.add(Sample {
                at: start + Duration::from_secs(15 * i as u64),
                datagrams: Some(*datagrams),
                send_errors: None,
                lost: None,
                cpu_ms: None,
            });
            model.cost().and_then(|cost| cost.datagrams_per_second)
        };
        datagrams.iter().enumerate().map(&mut told).collect()
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
    fn a_processor_time_that_is_written_out_of_step_gives_an_even_rate() {
        let start = Instant::now();
        let mut model = CostModel::default();
        let mut rates = Vec::new();
        for (i, cpu_ms) in [0, 500, 500, 1_500, 2_000, 2_000, 2_000, 2_000]
            .into_iter()
            .enumerate()
        {
            model.add(Sample {
                at: start + Duration::from_secs(5 * i as u64),
                datagrams: None,
                send_errors: None,
                lost: None,
                cpu_ms: Some(cpu_ms),
            });
            rates.push(model.latest().millicores);
        }
        let even = Some(100.0);
        assert_eq!(rates, [None, even, even, even, even, even, even, Some(0.0)]);
    }

    #[test]
    fn figures_have_two_digits() {
        for (rate, shown) in [(0.0, 0), (0.01, 1), (99.5, 100), (101.0, 110), (12_345.0, 13_000)] {
            assert_eq!(two_digits(rate), shown, "{rate}");
        }
        assert_eq!(two_digits(f64::MAX), u32::MAX);
    }
}
