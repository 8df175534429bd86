//! Which segments there are. Owns how a directory is read and which of its files
//! count; a file that cannot be read is named and left where it is.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::name::{self, FLOWS, SegmentName, Tier};
use crate::range::TimeRange;
use crate::segment::{Segment, SegmentError};

/// A file that is skipped.
#[derive(Debug, Clone)]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// One word for why: `foreign`, `unreadable`, `damaged`, `newer`, `schema`.
    pub kind: &'static str,
    /// The whole reason.
    pub reason: String,
}

/// The segments of each tier. Within a tier no head is in two.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    /// By tier, then by the first of their heads.
    tiers: [BTreeMap<u64, Arc<Segment>>; Tier::ALL.len()],
    pub unreadable: Vec<Unreadable>,
    /// This process may remove files.
    owned: bool,
}

impl Catalog {
    /// Reads the directory. The store is that of its newest segment.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn load(directory: &Path, owned: bool) -> io::Result<Self> {
        let mut catalog = Self {
            owned,
            ..Self::default()
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if name::ends_with(&path, FLOWS) {
                match Segment::open(&path) {
                    Ok(segment) => found.push(segment),
                    Err(error) => catalog.skip(path, &error),
                }
            }
        }
        // The widest first, so that what a crash left of a merge's parts is seen as such.
        found.sort_by_key(|s| (*s.heads.end(), std::cmp::Reverse(*s.heads.start())));
        let store = found.last().map(|s| s.store.clone()).unwrap_or_default();
        for segment in found.into_iter().rev() {
            if segment.store == store {
                catalog.add(segment);
            } else {
                catalog.skip(segment.path.clone(), &SegmentError::OtherStore);
            }
        }
        Ok(catalog)
    }

    pub fn skip(&mut self, path: PathBuf, error: &SegmentError) {
        tracing::warn!(path = %path.display(), %error, "a segment is skipped");
        self.unreadable.push(Unreadable {
            path,
            kind: error.kind(),
            reason: error.to_string(),
        });
    }

    /// The last head that a file which is skipped says it has: its number is not
    /// to be given again, for another version may read it.
    pub fn last_unreadable(&self) -> u64 {
        let names = self.unreadable.iter().filter_map(|file| {
            let name = file.path.file_name()?.to_str()?.strip_suffix(FLOWS)?;
            Some(*SegmentName::parse(name)?.heads.end())
        });
        names.max().unwrap_or(0)
    }

    /// The store that the segments are of, when there is one.
    pub fn store(&self) -> Option<&str> {
        self.all().next().map(|s| s.store.as_str())
    }

    /// Adds a segment. Those of its tier whose heads it has are given up.
    pub fn add(&mut self, segment: Segment) {
        let tier = &mut self.tiers[segment.tier as usize];
        if holder(tier, &segment).is_some_and(|other| other.path != segment.path) {
            if self.owned {
                segment.give_up();
            }
            return;
        }
        let parts = tier.range(segment.heads.clone());
        let parts: Vec<u64> = parts
            .filter(|(_, s)| covers(&segment, s))
            .map(|(head, _)| *head)
            .collect();
        for part in parts.iter().filter_map(|part| tier.remove(part)) {
            if self.owned && part.path != segment.path {
                part.give_up();
            }
        }
        tier.insert(*segment.heads.start(), Arc::new(segment));
    }

    /// The segments of a tier, the oldest first.
    pub fn tier(&self, tier: Tier) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        self.tiers[tier as usize].values()
    }

    /// The segments of a tier that lack one of a coarser tier.
    pub fn without(&self, finer: Tier, coarser: Tier) -> Vec<Arc<Segment>> {
        let coarser = &self.tiers[coarser as usize];
        self.tier(finer)
            .filter(|s| holder(coarser, s).is_none())
            .cloned()
            .collect()
    }

    /// Whether a segment of the tier has all heads of this one.
    pub fn holds(&self, tier: Tier, segment: &Segment) -> bool {
        holder(&self.tiers[tier as usize], segment).is_some()
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.tiers.iter().flat_map(BTreeMap::values)
    }

    /// Those of a tier that have something of the range.
    pub fn within(&self, tier: Tier, range: &TimeRange) -> Vec<Arc<Segment>> {
        let within = self.tier(tier).filter(|s| rows(s).overlaps(range));
        within.cloned().collect()
    }

    /// Takes a segment out.
    pub fn remove(&mut self, segment: &Segment) -> Option<Arc<Segment>> {
        self.tiers[segment.tier as usize].remove(segment.heads.start())
    }
}

/// When the rows of a segment are: those of a rollup are at their bucket's start.
fn rows(segment: &Segment) -> TimeRange {
    let bucket = segment.tier.bucket().unwrap_or(1);
    TimeRange {
        from: segment.time.from.div_euclid(bucket).saturating_mul(bucket),
        until: segment.time.until,
    }
}

/// The segment of a tier that has all heads of this one.
fn holder<'a>(tier: &'a BTreeMap<u64, Arc<Segment>>, segment: &Segment) -> Option<&'a Arc<Segment>> {
    let (_, before) = tier.range(..=segment.heads.start()).next_back()?;
    covers(before, segment).then_some(before)
}

/// Whether it has all the rows of the other.
fn covers(segment: &Segment, other: &Segment) -> bool {
    segment.heads.contains(other.heads.start()) && segment.heads.contains(other.heads.end())
}
