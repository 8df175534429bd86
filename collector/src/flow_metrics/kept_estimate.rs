//! What is estimated of one metric, and when it is estimated again: as long as it may tell more, in growing pauses.
//! Pure.

use std::time::{Duration, Instant};

use super::Estimate;

/// Pause after the first estimate; each is twice the one before.
pub const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);

/// An estimate, and when it is to be made again.
#[derive(Debug, Clone)]
pub struct KeptEstimate {
    /// As it was made last, or before if since then there was none.
    pub estimate: Estimate,
    /// `None`: it tells all that there is to tell.
    again: Option<Instant>,
    pause: Duration,
}

impl KeptEstimate {
    /// Takes an estimate that was made now, after this one.
    pub fn after(before: Option<Self>, estimate: Estimate, now: Instant) -> Self {
        let pause = before
            .as_ref()
            .map_or(FIRST_PAUSE, |before| (before.pause * 2).min(LONGEST_PAUSE));
        let estimate = match (before.map(|before| before.estimate), estimate) {
            (Some(known @ Estimate::Series(_)), Estimate::Unknown(_)) => known,
            (_, estimate) => estimate,
        };
        let again = (!estimate.is_final()).then(|| now + pause);
        Self {
            estimate,
            again,
            pause,
        }
    }

    /// Whether it is to be made again by now.
    pub fn is_due(&self, now: Instant) -> bool {
        self.again.is_some_and(|again| again <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SeriesEstimate, Unknown};
    use super::*;

    fn series(is_young: bool) -> Estimate {
        Estimate::Series(SeriesEstimate {
            series: 3,
            is_bounded: false,
            is_part: false,
            is_young,
            flows: 9,
            span: Duration::from_secs(4),
        })
    }

    #[test]
    fn what_may_tell_more_is_estimated_again_in_growing_pauses_until_it_tells_all() {
        let start = Instant::now();
        for little in [
            Estimate::Unknown(Unknown::NoFlows),
            Estimate::Unknown(Unknown::Unread),
            series(true),
        ] {
            let mut kept = KeptEstimate::after(None, little.clone(), start);
            let (mut now, mut pauses) = (start, Vec::new());
            for _ in 0..10 {
                let next = now + kept.pause;
                assert!(!kept.is_due(now) && !kept.is_due(next - Duration::from_millis(1)));
                assert!(kept.is_due(next));
                pauses.push(next - now);
                now = next;
                kept = KeptEstimate::after(Some(kept), little.clone(), now);
            }
            assert!(pauses.is_sorted() && pauses[1] == 2 * pauses[0], "{pauses:?}");
            assert_eq!((pauses[0], pauses[9]), (FIRST_PAUSE, LONGEST_PAUSE));
            for all in [series(false), Estimate::Unknown(Unknown::NothingStored)] {
                let last = KeptEstimate::after(None, all, now);
                assert!(!last.is_due(now + 100 * LONGEST_PAUSE));
            }
        }
    }

    #[test]
    fn a_number_stays_where_a_later_look_fails_and_is_asked_for_again() {
        let start = Instant::now();
        let kept = KeptEstimate::after(None, series(true), start);
        let failed = KeptEstimate::after(Some(kept), Estimate::Unknown(Unknown::Unread), start);
        assert_eq!(failed.estimate, series(true));
        assert!(failed.is_due(start + 2 * FIRST_PAUSE));
    }
}
