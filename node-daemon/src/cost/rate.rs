//! How fast counters grew between two samples. Pure.

use super::Sample;

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
        let rate = |before: Option<u64>, after: Option<u64>| {
            let grown = after?.checked_sub(before?)?;
            (seconds > 0.0).then(|| grown as f64 / seconds)
        };
        Self {
            datagrams: rate(before.datagrams, after.datagrams),
            send_errors: rate(before.send_errors, after.send_errors),
            lost: rate(before.lost, after.lost),
            // Milliseconds a second are thousandths of a processor.
            millicores: rate(before.cpu_ms, after.cpu_ms),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn sample(at: Instant, datagrams: u64, cpu_ms: Option<u64>) -> Sample {
        Sample {
            at,
            datagrams: Some(datagrams),
            send_errors: Some(0),
            lost: None,
            cpu_ms,
        }
    }

    #[test]
    fn growth_is_told_a_second_and_what_is_not_known_is_not() {
        let start = Instant::now();
        let later = start + Duration::from_secs(10);
        let rates = Rates::between(&sample(start, 100, Some(500)), &sample(later, 350, Some(1_500)));
        assert_eq!((rates.datagrams, rates.millicores), (Some(25.0), Some(100.0)));
        assert_eq!((rates.send_errors, rates.lost), (Some(0.0), None));
    }

    #[test]
    fn a_counter_that_began_anew_and_no_time_at_all_tell_nothing() {
        let start = Instant::now();
        let later = start + Duration::from_secs(10);
        let rates = Rates::between(&sample(start, 100, None), &sample(later, 3, Some(7)));
        assert_eq!((rates.datagrams, rates.millicores), (None, None));
        let same = sample(start, 100, None);
        assert_eq!(Rates::between(&same, &same).datagrams, None);
    }
}
