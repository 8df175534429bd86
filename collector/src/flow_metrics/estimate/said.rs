//! What was said of how many series there will be: the sentence of an estimate at the end of a message, read back, and
//! whether another one tells more.

use std::time::Duration;

/// What each sentence of an estimate has, and no other.
pub(super) const FROM: &str = ", estimated from ";
/// What each sentence has that there is none.
pub(super) const CANNOT: &str = "cannot be estimated";
/// How a sentence ends that rests on less than a day because no more is stored.
pub(super) const ALL_STORED: &str = ", all that are stored";

/// A sentence about how many series there will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said<'m> {
    /// The sentence.
    pub sentence: &'m str,
    /// How much it tells.
    pub telling: Telling,
}

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// No number.
    Nothing,
    /// One that rests on so much time, since no more is stored; another will tell more.
    Young(Duration),
    /// As much as there will be.
    Enough,
}

impl Telling {
    /// Whether it is worth to be told after `before`. Of two that rest on about as much, neither is.
    pub fn is_more_than(self, before: Self) -> bool {
        match (before, self) {
            (Self::Nothing, Self::Young(_)) | (Self::Nothing | Self::Young(_), Self::Enough) => true,
            (Self::Young(before), Self::Young(now)) => now >= before * 2,
            (_, Self::Nothing) | (Self::Enough, _) => false,
        }
    }
}

/// The sentence about an estimate that stands at the end of a message.
pub fn said_in(message: &str) -> Option<Said<'_>> {
    let sentence = message.rsplit(". ").next()?;
    let telling = match sentence.split_once(FROM) {
        Some((_, from)) => match from.strip_suffix(ALL_STORED) {
            Some(span) => Telling::Young(read_span(span).unwrap_or_default()),
            None => Telling::Enough,
        },
        None if sentence.contains(CANNOT) => Telling::Nothing,
        None => return None,
    };
    Some(Said { sentence, telling })
}

/// Units of time, each with its seconds.
const UNITS: [(&str, u32); 3] = [("s", 1), ("min", 60), ("h", 3_600)];

/// Rounded to what one would say.
pub(super) fn in_words(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    let [second, minute, hour] = UNITS;
    let (word, unit) = match seconds {
        0.0..90.0 => second,
        90.0..5_400.0 => minute,
        _ => hour,
    };
    format!("{:.0} {word}", (seconds / f64::from(unit)).max(1.0))
}

/// The time at the beginning of a text.
fn read_span(text: &str) -> Option<Duration> {
    let mut words = text.split(' ');
    let number: u32 = words.next()?.parse().ok()?;
    let word = words.next()?;
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == word)?;
    Some(Duration::from_secs(u64::from(number) * u64::from(*unit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// As it was said, so that the next look tells no more than it was.
        #[test]
        fn a_time_in_words_is_read_as_it_was_said(seconds in 0..200_000_u64) {
            let span = Duration::from_secs(seconds);
            let read = read_span(&in_words(span)).unwrap();
            let rounding = Duration::from_secs(1).max(span / 2);
            proptest::prop_assert!(read.abs_diff(span) <= rounding, "{span:?} {read:?}");
            let young = Telling::Young;
            proptest::prop_assert!(!young(span).is_more_than(young(read)) || seconds == 0);
            proptest::prop_assert!(young(4 * span).is_more_than(young(read)) || seconds == 0);
        }
    }
}
