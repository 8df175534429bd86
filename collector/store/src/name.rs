//! What the files of the store are called. A name says all that is needed to
//! choose a segment: its tier, its time, and which batches of appended rows it
//! holds.

use std::fmt;
use std::ops::RangeInclusive;
use std::path::Path;

use crate::range::TimeRange;

/// How fine the rows of a segment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tier {
    /// Records as they came.
    Raw,
    /// Sums over a minute of `time`.
    Minute,
    /// Sums over an hour.
    Hour,
    /// Who called whom on which port, over an hour.
    Edges,
}

impl Tier {
    /// All; of each the place is its number.
    pub const ALL: [Self; 4] = [Self::Raw, Self::Minute, Self::Hour, Self::Edges];
    /// Records and their sums, the finest first: a question about flows may take one for
    /// the other.
    pub const FLOWS: [Self; 3] = [Self::Raw, Self::Minute, Self::Hour];

    /// The word in the files' names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Edges => "edges",
        }
    }

    /// What its rows are made of.
    pub const fn source(self) -> Option<Self> {
        match self {
            Self::Raw => None,
            Self::Minute | Self::Edges => Some(Self::Raw),
            Self::Hour => Some(Self::Minute),
        }
    }

    /// Those whose rows are made of its rows, directly or not.
    pub fn coarser(self) -> impl Iterator<Item = Self> {
        let is_made_of = move |tier: &Self| {
            let mut sources = std::iter::successors(tier.source(), |source| source.source());
            sources.any(|source| source == self)
        };
        Self::ALL.into_iter().filter(is_made_of)
    }

    /// Microseconds of `time` in a bucket; `None`: rows keep their own.
    pub const fn bucket(self) -> Option<i64> {
        match self {
            Self::Raw => None,
            Self::Minute => Some(60_000_000),
            Self::Hour | Self::Edges => Some(3_600_000_000),
        }
    }
}

/// The end of a segment's name.
pub(crate) const FLOWS: &str = ".flows.parquet";
/// The end of the name of the identities of a segment.
pub(crate) const IDENTITIES: &str = ".identities.parquet";
/// The end of the name of a file that is being written.
pub(crate) const UNFINISHED: &str = ".unfinished";

/// Whether a file's name ends so, wherever it lies: the directory's name is any.
pub(crate) fn ends_with(path: &Path, end: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with(end))
}

/// A segment's name: `raw-1790000000000000-1790000059999999-7-7`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentName {
    pub tier: Tier,
    pub time: TimeRange,
    /// The numbers of the heads whose rows it has: each tier has a row once
    /// when the numbers of its segments do not overlap.
    pub heads: RangeInclusive<u64>,
}

/// Whether two ranges of heads have one in common.
pub(crate) fn heads_meet(one: &RangeInclusive<u64>, other: &RangeInclusive<u64>) -> bool {
    one.start() <= other.end() && other.start() <= one.end()
}

impl SegmentName {
    pub fn parse(stem: &str) -> Option<Self> {
        let (tier, rest) = stem.split_once('-')?;
        let tier = Tier::ALL.into_iter().find(|t| t.as_str() == tier)?;
        // A time before 1970 has a minus of its own.
        let (rest, last) = rest.rsplit_once('-')?;
        let (times, first) = rest.rsplit_once('-')?;
        let middle = times.char_indices().skip(1).find(|(_, c)| *c == '-')?.0;
        let (from, to) = (times.get(..middle)?, times.get(middle + 1..)?);
        let time = TimeRange::spanning(from.parse().ok()?, to.parse().ok()?);
        let heads = first.parse().ok()?..=last.parse().ok()?;
        (time.from < time.until && !heads.is_empty()).then_some(Self { tier, time, heads })
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, to) = (self.time.from, self.time.until.saturating_sub(1));
        let (first, last) = (self.heads.start(), self.heads.end());
        write!(f, "{}-{from}-{to}-{first}-{last}", self.tier.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_is_read_as() {
        for (from, to) in [
            (0, 0),
            (-5, -1),
            (-5, 5),
            (1_790_000_000_000_000, 1_790_000_059_999_999),
        ] {
            let name = SegmentName {
                tier: Tier::Minute,
                time: TimeRange::spanning(from, to),
                heads: 8..=15,
            };
            assert_eq!(SegmentName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn sums_are_made_of_minutes_and_edges_of_records() {
        use Tier::{Edges, Hour, Minute, Raw};
        let coarser = |tier: Tier| tier.coarser().collect::<Vec<_>>();
        assert_eq!(coarser(Raw), [Minute, Hour, Edges]);
        assert_eq!(coarser(Minute), [Hour]);
        assert_eq!((coarser(Hour), coarser(Edges)), (Vec::new(), Vec::new()));
        assert!(
            Tier::ALL
                .iter()
                .enumerate()
                .all(|(place, tier)| *tier as usize == place)
        );
    }

    #[test]
    fn what_is_no_name_is_not_read_as_one() {
        for text in [
            "",
            "raw",
            "raw-1-2-3",
            "day-1-2-3-3",
            "raw-2-1-3-3",
            "raw-1-2-4-3",
            "raw-1-2-3-x",
        ] {
            assert_eq!(SegmentName::parse(text), None, "{text}");
        }
    }
}
