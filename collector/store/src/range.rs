//! A stretch of the store's axis: `time`, when a record reached the collector.

/// From `from` to before `until`, both microseconds since the epoch UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The first microsecond in it.
    pub from: i64,
    /// The first microsecond after it.
    pub until: i64,
}

impl TimeRange {
    /// All of time.
    pub const ALL: Self = Self {
        from: i64::MIN,
        until: i64::MAX,
    };

    /// From the earliest to the latest, both in it.
    pub const fn spanning(earliest: i64, latest: i64) -> Self {
        Self {
            from: earliest,
            until: latest.saturating_add(1),
        }
    }

    /// Whether they have a microsecond in common.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.from < other.until && other.from < self.until
    }

    /// Whether all of the other is in it.
    pub const fn contains(&self, other: &Self) -> bool {
        self.from <= other.from && other.until <= self.until
    }

    /// The smallest that has both in it.
    pub fn union(&self, other: &Self) -> Self {
        Self {
            from: self.from.min(other.from),
            until: self.until.max(other.until),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_not_in_a_range() {
        let range = TimeRange::spanning(10, 19);
        assert!(range.overlaps(&TimeRange::spanning(19, 30)));
        assert!(!range.overlaps(&TimeRange::spanning(20, 30)));
        assert!(!TimeRange::spanning(20, 30).overlaps(&range));
        assert!(TimeRange::ALL.contains(&range));
        assert_eq!(
            range.union(&TimeRange::spanning(30, 31)),
            TimeRange::spanning(10, 31)
        );
    }
}
