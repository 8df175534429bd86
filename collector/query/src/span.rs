//! Lengths of time and counts of octets as people write them: `90s`, `1h30m`,
//! `2d`, `10MiB`.

use std::time::Duration;

const TIMES: [(&str, u64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

const SIZES: [(&str, u64); 12] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("PiB", 1 << 50),
];

/// The length of time that `text` says: numbers with units, `1h30m`, `1.5s`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text, 0_u64);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let end = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
        let (_, unit) = TIMES.into_iter().find(|(name, _)| *name == &after[..end])?;
        total = total.checked_add(scaled(number, unit)?)?;
        rest = &after[end..];
    }
    (!text.is_empty()).then(|| Duration::from_nanos(total))
}

/// The octets that `text` says: `1500`, `10MiB`, `1.5 GB`.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    let (_, unit) = SIZES.into_iter().find(|(name, _)| *name == unit.trim())?;
    scaled(number, unit)
}

fn split_number(text: &str) -> Option<(&str, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut scaled = u128::from(whole) * u128::from(unit);
    if !fraction.is_empty() {
        let digits: u32 = fraction.len().try_into().ok().filter(|digits| *digits <= 18)?;
        scaled += u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit) / 10_u128.pow(digits);
    }
    scaled.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        for (text, ms) in [
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("250ms", 250),
            ("2d", 172_800_000),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(ms)), "{text}");
        }
        for wrong in ["", "5", "m", "5 m", "5x", "-5m", "1.2.3s", "99999999999w"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn counts_of_octets_are_read_as_people_write_them() {
        for (text, octets) in [
            ("1500", 1_500),
            ("10MiB", 10 << 20),
            ("1.5 GB", 1_500_000_000),
            ("64kB", 64_000),
            ("1B", 1),
        ] {
            assert_eq!(parse_size(text), Some(octets), "{text}");
        }
        for wrong in ["", "MiB", "10mib", "-1", "1e3", "99999999PiB"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
    }
}
