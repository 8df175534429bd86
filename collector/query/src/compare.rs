//! With what a range of time is compared: an earlier one of the same length.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use weir_store::TimeRange;

use crate::bucket::{Calendar, whole_days};
use crate::moment::{Moment, Since, Span, written_as_text};

/// The earlier range that one is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compare {
    /// The one that ends where this begins.
    Previous,
    /// The one that was so long before.
    Before(Span),
    /// The one that was so many days before: of the calendar, beside buckets of days or
    /// weeks, elsewhere of 24 hours.
    Days(u16),
    /// The same of weeks.
    Weeks(u16),
}

/// A day that has as many hours as most, in microseconds.
const DAY: i64 = 86_400_000_000;

impl Compare {
    /// How much earlier it is, in microseconds.
    pub(crate) fn earlier(self, range: TimeRange) -> i64 {
        match self {
            Self::Previous => range.until.saturating_sub(range.from),
            Self::Before(Span(length)) => i64::try_from(length.as_micros()).unwrap_or(i64::MAX),
            Self::Days(days) => i64::from(days) * DAY,
            Self::Weeks(weeks) => i64::from(weeks) * 7 * DAY,
        }
    }

    /// How many days of the calendar, where it is by whole ones.
    pub(crate) fn days(self, range: TimeRange, calendar: &Calendar) -> Option<i64> {
        match self {
            Self::Previous => calendar.whole_days(range),
            Self::Before(_) => None,
            Self::Days(days) => Some(days.into()),
            Self::Weeks(weeks) => Some(7 * i64::from(weeks)),
        }
    }
}

/// From when on a question sees flows, when it is now `now`. Days of a calendar may begin
/// some hours before that.
pub(crate) fn begins(
    range: TimeRange,
    compare: Option<Compare>,
    is_of_calendar: bool,
    since: Since,
) -> Since {
    let Some(compare) = compare else { return since };
    let slack = if is_of_calendar && !matches!(compare, Compare::Before(_)) {
        DAY
    } else {
        0
    };
    let from = range
        .from
        .saturating_sub(compare.earlier(range))
        .saturating_sub(slack);
    Timestamp::from_microsecond(from).map_or(since, |from| Since(Moment::At(from)))
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Previous => f.write_str("previous"),
            Self::Before(span) => span.fmt(f),
            Self::Days(days) => write!(f, "{days}d"),
            Self::Weeks(weeks) => write!(f, "{weeks}w"),
        }
    }
}

impl FromStr for Compare {
    type Err = NoCompare;

    fn from_str(text: &str) -> Result<Self, NoCompare> {
        if text == "previous" {
            return Ok(Self::Previous);
        }
        let wrong = || NoCompare(text.to_owned());
        match whole_days(text) {
            Some((0, _)) => Err(wrong()),
            Some((days, 'd')) => Ok(Self::Days(days)),
            Some((weeks, _)) => Ok(Self::Weeks(weeks)),
            None => {
                let span = text.parse().ok().filter(|Span(length)| length.as_micros() > 0);
                span.map(Self::Before).ok_or_else(wrong)
            }
        }
    }
}

/// This says no earlier range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no earlier range: write previous, or how much earlier it was (1h, 1d, 1w)")]
pub struct NoCompare(String);

written_as_text!(Compare);
crate::moment::text_in_documents!(Compare);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_range_is_the_previous_one_or_so_long_before() {
        let range = TimeRange {
            from: 100,
            until: 130,
        };
        assert_eq!("previous".parse::<Compare>().unwrap().earlier(range), 30);
        assert_eq!("1d".parse::<Compare>().unwrap().earlier(range), 86_400_000_000);
        for text in ["previous", "1h", "24h", "90s", "1d", "2w"] {
            assert_eq!(text.parse::<Compare>().unwrap().to_string(), text);
        }
        for wrong in ["", "yesterday", "0", "0s", "0d", "0w", "-1d"] {
            assert!(wrong.parse::<Compare>().is_err(), "{wrong}");
        }
    }
}
