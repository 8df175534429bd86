//! How tables show times: with their date, in the reader's zone, which the head names.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The zone of a table, and how long its times may be.
#[derive(Debug, Clone)]
pub struct TimeStyle {
    zone: TimeZone,
    /// What the zone is called now.
    name: String,
    /// Without year and fractions of a second.
    short: bool,
}

/// Below so many columns times are short.
const ROOM_FOR_LONG_TIMES: usize = 120;

impl TimeStyle {
    /// Times of this zone on a terminal so wide; none: on no terminal.
    pub fn new(zone: TimeZone, now: Timestamp, width: Option<usize>) -> Self {
        Self {
            name: name(&zone, now),
            zone,
            short: width.is_some_and(|width| width < ROOM_FOR_LONG_TIMES),
        }
    }

    /// What stands above times.
    pub fn head(&self, title: &str) -> String {
        format!("{title} ({})", self.name)
    }

    /// Columns that a time takes.
    pub const fn width(&self) -> usize {
        if self.short { 14 } else { 23 }
    }

    /// A time of RFC 3339 as people read it. The zone follows where it was called
    /// otherwise then than now: the hour that comes twice in autumn.
    pub fn show(&self, text: &str) -> String {
        text.parse()
            .map_or_else(|_| text.to_owned(), |at| self.show_at(at))
    }

    /// The same of a moment.
    pub fn show_at(&self, at: Timestamp) -> String {
        let form = if self.short { "%m-%d %H:%M:%S" } else { "%F %T%.3f" };
        let shown = at.to_zoned(self.zone.clone()).strftime(form).to_string();
        match name(&self.zone, at) {
            name if name == self.name => shown,
            name => format!("{shown} {name}"),
        }
    }
}

fn name(zone: &TimeZone, at: Timestamp) -> String {
    at.to_zoned(zone.clone()).strftime("%Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(width: Option<usize>) -> TimeStyle {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        TimeStyle::new(zone, "2026-11-29T11:00:00Z".parse().unwrap(), width)
    }

    #[test]
    fn a_time_has_its_date_and_the_head_its_zone() {
        let (long, short) = (style(None), style(Some(80)));
        assert_eq!(long.head("TIME"), "TIME (CET)");
        assert_eq!(
            long.show("2026-11-28T23:30:00.123456Z"),
            "2026-11-29 00:30:00.123"
        );
        assert_eq!(short.show("2026-11-28T23:30:00.123456Z"), "11-29 00:30:00");
        assert_eq!(long.show("2026-11-28T23:30:00Z").len(), long.width());
        assert_eq!(short.show("2026-11-28T23:30:00Z").len(), short.width());
        assert_eq!(long.show("(all)"), "(all)");
    }

    #[test]
    fn a_time_of_the_other_half_of_the_year_says_so() {
        let shown = style(None).show("2026-10-25T00:30:00Z");
        assert_eq!(shown, "2026-10-25 02:30:00.000 CEST");
        assert_eq!(
            style(None).show("2026-10-25T01:30:00Z"),
            "2026-10-25 02:30:00.000"
        );
    }

    #[test]
    fn without_a_zone_times_are_of_utc() {
        let style = TimeStyle::new(TimeZone::UTC, Timestamp::UNIX_EPOCH, None);
        assert_eq!(style.head("TIME"), "TIME (UTC)");
        assert_eq!(style.show("2026-11-29T10:00:00Z"), "2026-11-29 10:00:00.000");
    }
}
