//! Which segments have to go. Pure.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{CALM, micros};
use crate::segment::Segment;
use crate::settings::Retention;

/// A row whose time is so far ahead of the clock came while the clock was wrong.
const AHEAD: i64 = micros_of_a_day();

const fn micros_of_a_day() -> i64 {
    24 * 3_600 * 1_000_000
}

/// The segments of a tier, given the oldest first, that may not be kept. By age
/// only those that are too old for a clock that has been steady as long as they
/// may live, or a day; by bytes the oldest of too many, but never the last.
pub(crate) fn expired(
    segments: &[Arc<Segment>],
    retention: Retention,
    now: i64,
    steady_for: Duration,
) -> Vec<Arc<Segment>> {
    let (mut total, mut following) = (0_u64, now);
    let mut expired = Vec::new();
    for (place, segment) in segments.iter().rev().enumerate() {
        total = total.saturating_add(segment.bytes);
        // What was written while the clock was ahead is as old as what came next.
        let ahead = segment.time.until > now.saturating_add(AHEAD);
        let until = if ahead { following } else { segment.time.until };
        following = until;
        let aged = retention
            .age
            .is_some_and(|age| steady_for >= age.min(CALM) && until.saturating_add(micros(age)) < now);
        let too_many = retention.bytes.is_some_and(|bytes| total > bytes) && place > 0;
        if aged || too_many {
            expired.push(Arc::clone(segment));
        }
    }
    expired
}

/// A tier that has all but a share of so many of its bytes is full.
const FULL: u64 = 16;

/// The first heads of those segments of a finer tier, given the oldest first, of which sums
/// of a coarser one come too late: they would be the first of it to go, and at once. By age
/// those that are older than the coarser tier is kept; by bytes those that are older than
/// all it has, where it has no room for another like its largest.
pub(crate) fn too_late(
    finer: &[Arc<Segment>],
    coarser: &[Arc<Segment>],
    retention: Retention,
    now: i64,
    steady_for: Duration,
) -> HashSet<u64> {
    let of_age = Retention {
        bytes: None,
        ..retention
    };
    let aged = expired(finer, of_age, now, steady_for);
    let total: u64 = coarser.iter().map(|segment| segment.bytes).sum();
    let largest = coarser.iter().map(|segment| segment.bytes).max().unwrap_or(0);
    let is_full = retention
        .bytes
        .is_some_and(|most| total.saturating_add(largest.max(most / FULL)) > most);
    let first = coarser.first().map(|segment| *segment.heads.start());
    let before = finer.iter().filter(|segment| {
        let is_older = first.is_some_and(|first| *segment.heads.end() < first);
        is_full && is_older
    });
    let late = aged.iter().chain(before);
    late.map(|segment| *segment.heads.start()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::TimeRange;

    const DAY: Duration = Duration::from_hours(24);

    /// Segments of a hundred bytes that end after so many days.
    fn days(ends: &[i64]) -> Vec<Arc<Segment>> {
        let segment = |(place, day): (usize, &i64)| {
            let end = day * AHEAD;
            Arc::new(Segment::of_test(
                TimeRange::spanning(end - 10, end - 1),
                place as u64,
            ))
        };
        ends.iter().enumerate().map(segment).collect()
    }

    fn places(expired: &[Arc<Segment>]) -> Vec<u64> {
        let mut places: Vec<_> = expired.iter().map(|s| *s.heads.start()).collect();
        places.sort_unstable();
        places
    }

    fn aged(ends: &[i64], now: i64, steady_for: Duration) -> Vec<u64> {
        let week = Retention {
            age: Some(DAY * 7),
            bytes: None,
        };
        places(&expired(&days(ends), week, now * AHEAD, steady_for))
    }

    #[test]
    fn what_is_older_than_may_be_goes() {
        assert_eq!(aged(&[1, 2, 3, 9], 10, Duration::MAX), [0, 1]);
    }

    #[test]
    fn nothing_goes_by_a_clock_that_has_just_jumped() {
        assert_eq!(aged(&[1, 2, 3, 9], 4_000, Duration::from_hours(23)), [0; 0]);
        assert_eq!(aged(&[1, 2, 3, 9], 4_000, DAY), [0, 1, 2, 3]);
    }

    #[test]
    fn what_came_while_the_clock_was_ahead_goes_with_what_came_next() {
        assert_eq!(aged(&[1, 4_000, 2, 9], 10, Duration::MAX), [0, 1, 2]);
        assert_eq!(aged(&[9, 4_000], 10, Duration::MAX), [0; 0]);
    }

    #[test]
    fn sums_that_would_go_at_once_are_not_made_again() {
        let kept = |age: Option<u32>, bytes| Retention {
            age: age.map(|days| DAY * days),
            bytes,
        };
        let late = |retention| {
            let records = days(&[1, 2, 3, 4, 5]);
            let late = too_late(&records, &records[3..], retention, 5 * AHEAD, Duration::MAX);
            let mut late: Vec<_> = late.into_iter().collect();
            late.sort_unstable();
            late
        };
        assert_eq!(late(kept(None, None)), [0; 0]);
        assert_eq!(late(kept(Some(2), None)), [0, 1], "too old");
        assert_eq!(late(kept(None, Some(300))), [0; 0], "there is room for one more");
        assert_eq!(late(kept(None, Some(299))), [0, 1, 2], "there is none");
    }

    #[test]
    fn the_oldest_of_too_many_bytes_go_but_never_the_last() {
        let bytes = |bytes| Retention {
            age: None,
            bytes: Some(bytes),
        };
        let left = |most| places(&expired(&days(&[1, 2, 3]), bytes(most), 0, Duration::ZERO));
        assert_eq!(left(300), [0; 0]);
        assert_eq!(left(299), [0]);
        assert_eq!(left(1), [0, 1]);
    }
}
