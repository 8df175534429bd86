//! How fast counters grew between two samples. Pure.

use super::{IpfixCounters, Sample};

/// Growth a second. A counter that went back began anew in between: nobody knows then.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Datagrams.
    pub datagrams: Option<f64>,
    /// Sends that failed.
    pub send_errors: Option<f64>,
    /// Packets lost.
    pub lost: Option<f64>,
    /// Thousandths of a processor.
    pub millicores: Option<f64>,
}

impl Rates {
    /// Between two samples, the earlier first; nothing where no time has passed.
    pub fn between(before: &Sample, after: &Sample) -> Self {
        let seconds = after.at.saturating_duration_since(before.at).as_secs_f64();
        let per_second = |grown: u64| (seconds > 0.0).then(|| grown as f64 / seconds);
        let lost = after.lost.zip(before.lost);
        let lost = lost.and_then(|(after, before)| after.checked_sub(before));
        Self {
            datagrams: growth(before, after, |c| c.sent).and_then(per_second),
            send_errors: growth(before, after, |c| c.send_errors).and_then(per_second),
            lost: lost.and_then(per_second),
            millicores: millicores(before, after),
        }
    }
}

/// Of all bridges together, each against itself. One that did not answer, or began anew, makes
/// the sum unknown: a part of it would be told as all. One that is new counts from now on.
fn growth(before: &Sample, after: &Sample, of: impl Fn(&IpfixCounters) -> u64) -> Option<u64> {
    let mut sum = None;
    for (bridge, counters) in &after.ipfix {
        let now = of(counters.as_ref()?);
        let Some(earlier) = before.ipfix.get(bridge) else {
            continue;
        };
        let grown = now.checked_sub(of(earlier.as_ref()?))?;
        sum = Some(sum.unwrap_or(0_u64).saturating_add(grown));
    }
    sum
}

/// Over the time that ovs-vswitchd says itself, which a look that comes late does not change.
fn millicores(before: &Sample, after: &Sample) -> Option<f64> {
    let (before, after) = (before.processor?, after.processor?);
    let used = after.used_ms.checked_sub(before.used_ms)?;
    let passed = after.uptime_ms.checked_sub(before.uptime_ms)?;
    (passed > 0).then(|| used as f64 * 1_000.0 / passed as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::ProcessorTime;
    use std::time::{Duration, Instant};

    fn counters(sent: u64) -> Option<IpfixCounters> {
        Some(IpfixCounters { sent, send_errors: 0 })
    }

    fn sample(at: Instant, bridges: &[(&str, Option<IpfixCounters>)]) -> Sample {
        let bridges = bridges
            .iter()
            .map(|(name, counters)| ((*name).to_owned(), *counters));
        Sample {
            at,
            ipfix: bridges.collect(),
            lost: None,
            processor: None,
        }
    }

    fn rates(before: &[(&str, Option<IpfixCounters>)], after: &[(&str, Option<IpfixCounters>)]) -> Rates {
        let start = Instant::now();
        let later = start + Duration::from_secs(10);
        Rates::between(&sample(start, before), &sample(later, after))
    }

    #[test]
    fn growth_is_told_a_second_and_what_is_not_known_is_not() {
        let rates = rates(&[("br-int", counters(100))], &[("br-int", counters(350))]);
        assert_eq!((rates.datagrams, rates.send_errors), (Some(25.0), Some(0.0)));
        assert_eq!((rates.lost, rates.millicores), (None, None));
    }

    #[test]
    fn processor_time_is_told_over_the_time_that_the_switch_says() {
        let start = Instant::now();
        let at = |used_ms, uptime_ms| Sample {
            processor: Some(ProcessorTime { used_ms, uptime_ms }),
            ..sample(start, &[])
        };
        let millicores = |before: &Sample, after: &Sample| Rates::between(before, after).millicores;
        assert_eq!(millicores(&at(500, 0), &at(1_500, 10_000)), Some(100.0));
        assert_eq!(millicores(&at(500, 0), &at(500, 5_000)), Some(0.0));
        assert_eq!(millicores(&at(500, 5_000), &at(500, 5_000)), None, "nothing new");
        assert_eq!(millicores(&at(500, 5_000), &at(0, 100)), None, "another process");
    }

    #[test]
    fn a_bridge_that_does_not_answer_makes_the_sum_unknown_and_its_return_no_leap() {
        let (both, one) = (
            [("br-ex", counters(1_000_000)), ("br-int", counters(100))],
            [("br-ex", None), ("br-int", counters(200))],
        );
        assert_eq!(rates(&both, &one).datagrams, None);
        let back = [("br-ex", counters(1_000_100)), ("br-int", counters(300))];
        assert_eq!(rates(&one, &back).datagrams, None);
        assert_eq!(rates(&both, &back).datagrams, Some(30.0));
        let without = [("br-int", counters(100))];
        assert_eq!(rates(&without, &back).datagrams, Some(20.0), "new: from now on");
    }

    #[test]
    fn a_counter_that_began_anew_and_no_time_at_all_tell_nothing() {
        assert_eq!(
            rates(&[("br-int", counters(100))], &[("br-int", counters(3))]).datagrams,
            None
        );
        let same = sample(Instant::now(), &[("br-int", counters(100))]);
        assert_eq!(Rates::between(&same, &same).datagrams, None);
    }
}
