//! Points in time as people say them: `10:00`, `yesterday`, `2026-11-29 10:00`, `-5m`.
//! Which moment is meant depends on now and on the time zone, which
//! [`SpokenTime::resolve`] is given: nothing here reads a clock.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use jiff::civil::{self, Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use weir_query::{Moment, Since, Until, span};

/// From when until when, and the time zone of what is said and shown.
#[derive(Debug, Clone, Args)]
pub struct TimeArgs {
    /// From when on: how long ago (5m, 1h30m, 2d), a time of day (10:00: the last time
    /// that it was so late), a day (yesterday, 2026-11-29), or both (2026-11-29 10:00)
    /// [default: 1h]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<SpokenTime>,
    /// Until when, likewise
    #[arg(
        long,
        value_name = "TIME",
        default_value = "now",
        hide_default_value = true,
        allow_hyphen_values = true
    )]
    pub until: SpokenTime,
    /// Read and show times in UTC, not in the zone of this host or of $TZ
    #[arg(long)]
    pub utc: bool,
}

impl TimeArgs {
    /// The zone in which times are read and shown.
    pub fn zone(&self) -> TimeZone {
        zone(self.utc)
    }

    /// Nothing was said of the end.
    pub fn ends_now(&self) -> bool {
        self.until == SpokenTime::Ago(Duration::ZERO)
    }

    /// The range that is meant now.
    ///
    /// # Errors
    /// A time does not exist.
    pub fn range(&self) -> Result<(Since, Until)> {
        let now = Zoned::now().with_time_zone(self.zone());
        let since = match &self.since {
            Some(since) => since.resolve(&now).context("--since")?,
            None => Since::default().0,
        };
        let until = self.until.resolve(&now).context("--until")?;
        Ok((Since(since), Until(until)))
    }
}

/// UTC, or the zone of this host, which `TZ` may name.
pub fn zone(utc: bool) -> TimeZone {
    if utc { TimeZone::UTC } else { TimeZone::system() }
}

/// A point in time as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpokenTime {
    /// So long before now.
    Ago(Duration),
    /// Its zone was said, too.
    At(Timestamp),
    /// A time of day: the last time that it was so late.
    Clock(Time),
    /// A time of day so many days before today.
    DaysAgo(i32, Time),
    /// A day of the last year: month, day and time of day.
    MonthDay(i8, i8, Time),
    /// A day and a time of day.
    Civil(civil::DateTime),
}

impl SpokenTime {
    /// The moment that is meant when it is `now`, in the zone of `now`.
    ///
    /// # Errors
    /// It is outside of what a calendar knows.
    pub fn resolve(&self, now: &Zoned) -> Result<Moment> {
        let in_zone = |date: Date, time: Time| date.to_datetime(time).to_zoned(now.time_zone().clone());
        let then = match self {
            Self::Ago(span) => return Ok(Moment::Ago(*span)),
            Self::At(then) => return Ok(Moment::At(*then)),
            Self::Clock(time) => match in_zone(now.date(), *time)? {
                today if today > *now => in_zone(now.date().yesterday()?, *time)?,
                today => today,
            },
            Self::DaysAgo(days, time) => {
                let date = now.date().checked_sub(jiff::Span::new().days(*days))?;
                in_zone(date, *time)?
            }
            Self::MonthDay(month, day, time) => last_such_day(*month, *day, *time, now)?,
            Self::Civil(at) => at.to_zoned(now.time_zone().clone())?,
        };
        Ok(Moment::At(then.timestamp()))
    }
}

/// The last 29 February may be eight years ago.
fn last_such_day(month: i8, day: i8, time: Time, now: &Zoned) -> Result<Zoned> {
    let years = (0..=8).filter_map(|back| Date::new(now.year().checked_sub(back)?, month, day).ok());
    let days = years.filter_map(|date| date.to_datetime(time).to_zoned(now.time_zone().clone()).ok());
    let past = days.into_iter().find(|day| day <= now);
    past.with_context(|| format!("there is no day {month:02}-{day:02}"))
}

/// This says no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time that is understood. Write how long ago (5m, 1h30m, 2d), a time of day (10:00), a day \
     (today, yesterday, 2026-11-29), both (yesterday 10:00, 2026-11-29 10:00), or a time of RFC 3339 \
     (2026-11-29T10:00:00Z)"
)]
pub struct UnknownTime(String);

impl FromStr for SpokenTime {
    type Err = UnknownTime;

    fn from_str(text: &str) -> Result<Self, UnknownTime> {
        let said = text.trim();
        let forms = [now, ago, exact, clock, day, month_day, date];
        let found = forms.iter().find_map(|form| form(said));
        found.ok_or_else(|| UnknownTime(text.to_owned()))
    }
}

fn now(said: &str) -> Option<SpokenTime> {
    said.eq_ignore_ascii_case("now")
        .then_some(SpokenTime::Ago(Duration::ZERO))
}

/// `5m`, `-5m`, `1h30m ago`.
fn ago(said: &str) -> Option<SpokenTime> {
    let span = said.strip_suffix("ago").map_or(said, str::trim_end);
    let span = span.strip_prefix('-').unwrap_or(span);
    span::parse_duration(span).map(SpokenTime::Ago)
}

/// With `Z`, `UTC`, an offset or the name of a zone in brackets.
fn exact(said: &str) -> Option<SpokenTime> {
    let universal = said
        .len()
        .checked_sub(3)
        .and_then(|at| said.split_at_checked(at))
        .filter(|(_, zone)| zone.eq_ignore_ascii_case("utc"))
        .map(|(at, _)| format!("{}Z", at.trim_end()));
    let said = universal.as_deref().unwrap_or(said);
    let zoned = || said.parse::<Zoned>().map(|at| at.timestamp());
    said.parse().or_else(|_| zoned()).ok().map(SpokenTime::At)
}

fn clock(said: &str) -> Option<SpokenTime> {
    time_of_day(said).map(SpokenTime::Clock)
}

/// `9:00`, `09:00:30`, `09:00:30.5`.
fn time_of_day(said: &str) -> Option<Time> {
    let (hour, _) = said.split_once(':')?;
    match hour.len() {
        1 => format!("0{said}").parse().ok(),
        2 => said.parse().ok(),
        _ => None,
    }
}

/// `today`, `yesterday`, `yesterday 10:00`.
fn day(said: &str) -> Option<SpokenTime> {
    let (day, time) = said.split_once(char::is_whitespace).unwrap_or((said, ""));
    let days = match day.to_ascii_lowercase().as_str() {
        "today" => 0,
        "yesterday" => 1,
        _ => return None,
    };
    Some(SpokenTime::DaysAgo(days, time_or_midnight(time)?))
}

/// `11-29 10:00:00`, as narrow tables show it.
fn month_day(said: &str) -> Option<SpokenTime> {
    let (date, time) = said.split_once([' ', 'T']).unwrap_or((said, ""));
    let (month, day) = date.split_once('-')?;
    let number = |text: &str| text.parse().ok().filter(|_| text.len() == 2);
    let (month, day) = (number(month)?, number(day)?);
    // A year that has all days.
    Date::new(2000, month, day).ok()?;
    Some(SpokenTime::MonthDay(month, day, time_or_midnight(time)?))
}

/// `2026-11-29`, `2026-11-29 10:00`.
fn date(said: &str) -> Option<SpokenTime> {
    let (date, time) = said.split_once([' ', 'T']).unwrap_or((said, ""));
    let date: Date = date.parse().ok().filter(|_| date.len() == 10)?;
    Some(SpokenTime::Civil(date.to_datetime(time_or_midnight(time)?)))
}

fn time_or_midnight(said: &str) -> Option<Time> {
    match said.trim() {
        "" => Some(Time::midnight()),
        said => time_of_day(said),
    }
}

#[cfg(test)]
mod tests;
