use super::*;

/// Sunday noon, an hour ahead of UTC; daylight saving ended on 25 October.
fn noon() -> Zoned {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let now: Timestamp = "2026-11-29T11:00:00Z".parse().unwrap();
    now.to_zoned(zone)
}

fn meant(text: &str) -> String {
    let spoken: SpokenTime = text.parse().unwrap_or_else(|error| panic!("{error}"));
    spoken.resolve(&noon()).unwrap().to_string()
}

#[test]
fn times_are_read_as_people_write_them_in_their_own_zone() {
    for (text, moment) in [
        ("now", "0h"),
        ("5m", "5m"),
        ("-5m", "5m"),
        ("1h30m", "90m"),
        ("5m ago", "5m"),
        ("10:00", "2026-11-29T09:00:00Z"),
        ("9:05", "2026-11-29T08:05:00Z"),
        ("09:05:30.5", "2026-11-29T08:05:30.5Z"),
        ("yesterday", "2026-11-27T23:00:00Z"),
        ("Yesterday 10:00", "2026-11-28T09:00:00Z"),
        ("today", "2026-11-28T23:00:00Z"),
        ("2026-11-29", "2026-11-28T23:00:00Z"),
        ("2026-11-29 10:00", "2026-11-29T09:00:00Z"),
        ("2026-11-29T10:00:30", "2026-11-29T09:00:30Z"),
        ("2026-07-01 10:00", "2026-07-01T08:00:00Z"),
        ("11-28 10:00:01", "2026-11-28T09:00:01Z"),
        ("2026-11-29T10:00:00Z", "2026-11-29T10:00:00Z"),
        ("2026-11-29 10:00 UTC", "2026-11-29T10:00:00Z"),
        ("2026-11-29T10:00:00+05:00", "2026-11-29T05:00:00Z"),
    ] {
        assert_eq!(meant(text), moment, "{text}");
    }
}

#[test]
fn a_time_of_day_is_the_last_one_and_a_day_without_a_year_the_last_one_too() {
    assert_eq!(meant("12:00"), "2026-11-29T11:00:00Z");
    assert_eq!(meant("12:01"), "2026-11-28T11:01:00Z");
    assert_eq!(meant("12-24"), "2025-12-23T23:00:00Z");
    assert_eq!(meant("02-29"), "2024-02-28T23:00:00Z");
}

#[test]
fn what_is_no_time_is_told_what_would_be() {
    for wrong in [
        "",
        "5",
        "m",
        "25:00",
        "10:0",
        "tomorrow",
        "2026-13-01",
        "2026-11-29 25:00",
        "11-31",
        "02-30",
        "10",
        "20261129",
        "yesterday noon",
        "2026-11-29 10",
        "-",
        "ago",
    ] {
        let error = wrong.parse::<SpokenTime>().expect_err(wrong).to_string();
        for form in ["5m", "10:00", "yesterday", "2026-11-29 10:00", "RFC 3339"] {
            assert!(error.contains(form), "{wrong}: {error}");
        }
    }
}

#[test]
fn a_time_that_the_clock_skipped_or_had_twice_is_still_one() {
    assert_eq!(meant("2026-03-29 02:30"), "2026-03-29T01:30:00Z");
    assert_eq!(meant("2026-10-25 02:30"), "2026-10-25T00:30:00Z");
}
