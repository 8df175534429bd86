//! An earlier range that is counted in the buckets of a later one: how much earlier it is,
//! which of its own time is counted in which bucket.

use std::sync::Arc;

use weir_store::{Tier, TimeRange};

use crate::QueryError;
use crate::bucket::{Buckets, Calendar};
use crate::compare::Compare;

/// Where rows of a range are counted.
#[derive(Debug, Clone)]
pub(crate) enum Shift {
    /// So many microseconds later than they are.
    Later(i64),
    /// In the same days of the calendar, so many days later: when each of their own buckets
    /// begins, the last one's end behind it, and the bucket of the question for each.
    Days { own: Arc<[i64]>, counted: Arc<[i64]> },
}

impl Shift {
    /// Where they are.
    pub(crate) const NONE: Self = Self::Later(0);

    /// The range that `range` is compared with, and where it is counted. Of buckets of the
    /// calendar it is earlier by days of that, if it is by whole days.
    ///
    /// # Errors
    /// It is in no calendar.
    pub(crate) fn of(
        compare: Compare,
        range: TimeRange,
        buckets: Option<&Buckets>,
    ) -> Result<(TimeRange, Self), QueryError> {
        if let Some(Buckets::Calendar(calendar)) = buckets
            && let Some(days) = compare.days(range, calendar)
        {
            return Self::days(calendar, range, days);
        }
        let later = compare.earlier(range);
        let earlier = TimeRange {
            from: range.from.saturating_sub(later),
            until: range.until.saturating_sub(later),
        };
        Ok((earlier, Self::Later(later)))
    }

    fn days(calendar: &Calendar, range: TimeRange, days: i64) -> Result<(TimeRange, Self), QueryError> {
        let earlier = TimeRange {
            from: calendar.earlier(range.from, days)?,
            until: calendar.earlier(range.until, days)?,
        };
        let own = calendar.starts.iter().map(|start| calendar.earlier(*start, days));
        let shift = Self::Days {
            own: own.collect::<Result<_, _>>()?,
            counted: calendar.starts.as_slice().into(),
        };
        Ok((earlier, shift))
    }

    /// The start of the bucket that a row of this time is counted in.
    pub(crate) fn start(&self, time: i64, buckets: Option<&Buckets>) -> i64 {
        match self {
            Self::Later(later) => {
                let time = time.saturating_add(*later);
                buckets.map_or(time, |buckets| buckets.start(time))
            }
            Self::Days { own, counted } => counted.get(place(own, time)).copied().unwrap_or(time),
        }
    }

    /// The time whose rows are counted in the bucket that begins then.
    pub(crate) fn own(&self, start: i64, buckets: &Buckets) -> TimeRange {
        match self {
            Self::Later(later) => TimeRange {
                from: start.saturating_sub(*later),
                until: buckets.end(start).saturating_sub(*later),
            },
            Self::Days { own, counted } => {
                let at = place(counted, start);
                TimeRange {
                    from: own.get(at).copied().unwrap_or(i64::MIN),
                    until: own.get(at + 1).copied().unwrap_or(i64::MAX),
                }
            }
        }
    }

    /// How much later the intervals of peaks are counted. Days move them not at all: clocks
    /// go on by whole minutes.
    pub(crate) const fn of_intervals(&self) -> i64 {
        match self {
            Self::Later(later) => *later,
            Self::Days { .. } => 0,
        }
    }

    /// Each bucket begins where sums of this tier do.
    pub(crate) fn fits(&self, buckets: &Buckets, tier: Tier) -> bool {
        match self {
            Self::Later(later) => buckets.fit(tier, *later),
            Self::Days { own, .. } => own.iter().all(|start| start % tier.bucket().unwrap_or(1) == 0),
        }
    }
}

/// The last of these that is not after a time.
fn place(starts: &[i64], time: i64) -> usize {
    starts.partition_point(|start| *start <= time).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Question;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn micros(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    fn shifted(compare: &str, bucket: &str, since: &str, until: &str) -> (Vec<String>, Shift, Buckets) {
        let question = Question {
            bucket: Some(bucket.parse().unwrap()),
            zone: bucket.ends_with('d').then(|| BERLIN.parse().unwrap()),
            ..Question::default()
        };
        let range = TimeRange {
            from: micros(since),
            until: micros(until),
        };
        let buckets = Buckets::of(&question, range).unwrap().unwrap();
        let (earlier, shift) = Shift::of(compare.parse().unwrap(), range, Some(&buckets)).unwrap();
        let text = |time| Timestamp::from_microsecond(time).unwrap().to_string();
        ([earlier.from, earlier.until].map(text).into(), shift, buckets)
    }

    #[test]
    fn days_of_the_calendar_are_compared_with_days_though_one_of_them_is_longer() {
        // The night to 25 October 2026 has an hour twice.
        let (since, until) = ("2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z");
        for compare in ["1d", "previous"] {
            let (earlier, shift, buckets) = shifted(compare, "1d", since, until);
            assert_eq!(
                earlier,
                ["2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"],
                "{compare}"
            );
            for hour in 0..25 {
                let time = micros("2026-10-24T22:00:00Z") + hour * 3_600_000_000;
                assert_eq!(
                    shift.start(time, Some(&buckets)),
                    micros(since),
                    "{compare} {hour}"
                );
            }
            let own = shift.own(micros(since), &buckets);
            assert_eq!(own.until - own.from, 25 * 3_600_000_000);
            assert!(shift.fits(&buckets, Tier::Hour));
        }
        let (earlier, ..) = shifted("1w", "1d", "2026-10-26T09:30:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(earlier, ["2026-10-19T08:30:00Z", "2026-10-19T11:00:00Z"]);
    }

    #[test]
    fn what_is_no_day_of_the_calendar_is_as_long_as_it_says() {
        let (since, until) = ("2026-10-25T23:00:00Z", "2026-10-26T23:00:00Z");
        let (earlier, ..) = shifted("24h", "1d", since, until);
        assert_eq!(earlier, ["2026-10-24T23:00:00Z", "2026-10-25T23:00:00Z"]);
        let (earlier, shift, buckets) = shifted("1d", "1h", since, until);
        assert_eq!(earlier, ["2026-10-24T23:00:00Z", "2026-10-25T23:00:00Z"]);
        assert_eq!(
            shift.start(micros("2026-10-24T23:10:00Z"), Some(&buckets)),
            micros(since)
        );
        let (earlier, ..) = shifted("previous", "1d", "2026-10-26T00:00:00Z", "2026-10-26T12:00:00Z");
        assert_eq!(earlier, ["2026-10-25T12:00:00Z", "2026-10-26T00:00:00Z"]);
    }
}
