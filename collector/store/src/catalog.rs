//! Which segments there are. Owns how a directory is read and which of its files
//! count; a file that cannot be read is named and left where it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use arrow::datatypes::SchemaRef;

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

impl Unreadable {
    /// This file, and what is wrong with it.
    pub fn new(path: PathBuf, error: &SegmentError) -> Self {
        Self {
            path,
            kind: error.kind(),
            reason: error.to_string(),
        }
    }
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
        for (path, opened) in open_all(directory, owned)? {
            match opened {
                Ok(segment) => found.push(segment),
                Err(error) => catalog.skip(path, &error),
            }
        }
        // The widest first, so that what a crash left of a merge's parts is seen as such.
        found.sort_by_key(|s| (*s.heads.end(), std::cmp::Reverse(*s.heads.start())));
        let store = found.last().map(|s| s.store.clone()).unwrap_or_default();
        let mut schemas = Vec::new();
        for mut segment in found.into_iter().rev() {
            segment.schema = shared(&mut schemas, &segment.schema);
            if segment.store == store {
                catalog.add(segment);
            } else {
                catalog.skip(segment.path.clone(), &SegmentError::OtherStore);
            }
        }
        Ok(catalog)
    }

    pub fn skip(&mut self, path: PathBuf, error: &SegmentError) {
        self.name(Unreadable::new(path, error));
    }

    fn name(&mut self, file: Unreadable) {
        tracing::warn!(path = %file.path.display(), reason = file.reason, "a segment is skipped");
        self.unreadable.push(file);
    }

    /// Takes the segment of this file out; the file stays.
    pub fn put_aside_file(&mut self, file: Unreadable) {
        let segment = self.all().find(|segment| segment.path == file.path).cloned();
        if let Some(segment) = segment {
            self.remove(&segment);
            self.name(file);
        }
    }

    /// The last head that a file which is skipped says it has: its number is not
    /// to be given again, for another version may read it.
    pub fn last_unreadable(&self) -> u64 {
        let heads = self.unreadable_heads().into_iter();
        heads.map(|heads| *heads.end()).max().unwrap_or(0)
    }

    /// The heads that files which are skipped say they have, of whatever tier.
    pub fn unreadable_heads(&self) -> Vec<RangeInclusive<u64>> {
        let heads = self.unreadable.iter().filter_map(|file| {
            let name = file.path.file_name()?.to_str()?.strip_suffix(FLOWS)?;
            Some(SegmentName::parse(name)?.heads)
        });
        heads.collect()
    }

    /// The store that the segments are of, when there is one.
    pub fn store(&self) -> Option<&str> {
        self.all().next().map(|s| s.store.as_str())
    }

    /// Takes a segment out that cannot be read; its file stays.
    pub fn put_aside(&mut self, segment: &Segment, error: &SegmentError) {
        if self.remove(segment).is_some() {
            self.skip(segment.path.clone(), error);
        }
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

    pub fn all(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.tiers.iter().flat_map(BTreeMap::values)
    }

    /// Those of a tier that have something of the range.
    pub fn within(&self, tier: Tier, range: &TimeRange) -> Vec<Arc<Segment>> {
        let within = self.tier(tier).filter(|s| rows(s).overlaps(range));
        within.cloned().collect()
    }

    /// The segments whose identities together are those of all rows of the range, of
    /// whatever tier, as long as sums are read for whole buckets alone. Sums name whom
    /// the records name that they are of: theirs are wanted where records are gone.
    /// Of a coarser segment's rows of long ago nobody asks for identities.
    pub fn naming(&self, range: &TimeRange) -> Vec<Arc<Segment>> {
        let [raw, minute, hour, _] = &self.tiers;
        let mut naming = self.within(Tier::Raw, range);
        let minutes = self.within(Tier::Minute, range);
        naming.extend(minutes.into_iter().filter(|s| !has_heads(raw, &s.heads)));
        let hours = self.within(Tier::Hour, range);
        let hours = hours.into_iter().filter(|s| !has_heads(raw, &s.heads));
        naming.extend(hours.filter(|s| !has_heads(minute, &s.heads)));
        let finer = [raw, minute, hour];
        let edges = self.within(Tier::Edges, range).into_iter();
        naming.extend(edges.filter(|s| !finer.iter().any(|tier| has_heads(tier, &s.heads))));
        naming
    }

    /// The parts of a range of which there are sums of flows, but neither edges nor records.
    /// Each ends where records before and after it say so, since sums of many heads do not
    /// tell their times apart.
    pub fn without_edges(&self, range: &TimeRange) -> Vec<TimeRange> {
        let tiers = |tiers: [Tier; 2]| tiers.into_iter();
        let mut present: Vec<_> = tiers([Tier::Raw, Tier::Edges])
            .flat_map(|tier| self.tier(tier))
            .collect();
        present.sort_by_key(|segment| *segment.heads.start());
        let sums = tiers([Tier::Minute, Tier::Hour]).flat_map(|tier| self.within(tier, range));
        let gaps = sums.flat_map(|sums| gaps(&sums, &present));
        let mut gaps: Vec<_> = gaps
            .map(|gap| TimeRange {
                from: gap.from.max(range.from),
                until: gap.until.min(range.until),
            })
            .filter(|gap| gap.from < gap.until)
            .collect();
        gaps.sort_by_key(|gap| gap.from);
        gaps.dedup_by(|next, gap| {
            let adjoins = next.from <= gap.until;
            if adjoins {
                gap.until = gap.until.max(next.until);
            }
            adjoins
        });
        gaps
    }

    /// Segments of coarser tiers that have all heads of this one.
    pub fn coarser(&self, segment: &Segment) -> Vec<Arc<Segment>> {
        let coarser = segment.tier.coarser();
        let holders = coarser.filter_map(|tier| holder(&self.tiers[tier as usize], segment));
        holders.cloned().collect()
    }

    /// Takes a segment out.
    pub fn remove(&mut self, segment: &Segment) -> Option<Arc<Segment>> {
        self.tiers[segment.tier as usize].remove(segment.heads.start())
    }
}

/// The same schema, held once: most segments have one of a few.
fn shared(schemas: &mut Vec<SchemaRef>, schema: &SchemaRef) -> SchemaRef {
    if let Some(known) = schemas.iter().find(|known| *known == schema) {
        return Arc::clone(known);
    }
    schemas.push(Arc::clone(schema));
    Arc::clone(schema)
}

/// How often a directory is listed that another process writes, until it stays as it is.
const LISTINGS: usize = 16;

/// The segments of a directory. While they are opened another process may merge some:
/// then some are gone, or the one that has their rows was not there yet, and the
/// directory is listed again until nothing came or went meanwhile.
fn open_all(directory: &Path, owned: bool) -> io::Result<BTreeMap<PathBuf, Result<Segment, SegmentError>>> {
    let mut listed = list(directory)?;
    let mut opened = BTreeMap::new();
    for _ in 0..LISTINGS {
        let fresh: Vec<_> = listed.iter().filter(|path| !opened.contains_key(*path)).collect();
        opened.extend(open_each(&fresh));
        let now = if owned { listed.clone() } else { list(directory)? };
        if now == listed {
            break;
        }
        opened.retain(|path, _| now.contains(path));
        listed = now;
    }
    Ok(opened)
}

/// Opens files, as many at once as there are processors: most of the work is to decode
/// their footers.
fn open_each(paths: &[&PathBuf]) -> Vec<(PathBuf, Result<Segment, SegmentError>)> {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let share = paths.len().div_ceil(threads).max(1);
    let open = |paths: &[&PathBuf]| -> Vec<_> {
        let opened = paths.iter().map(|path| ((*path).clone(), Segment::open(path)));
        opened.collect()
    };
    thread::scope(|scope| {
        let mut shares = paths.chunks(share);
        let ours = shares.next().unwrap_or_default();
        let others: Vec<_> = shares
            .map(|share| (share, scope.spawn(move || open(share))))
            .collect();
        let mut opened = open(ours);
        for (share, other) in others {
            // What failed in a thread of its own may do without one.
            opened.extend(other.join().unwrap_or_else(|_| open(share)));
        }
        opened
    })
}

/// The files of rows in a directory.
fn list(directory: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if name::ends_with(&path, FLOWS) {
            files.insert(path);
        }
    }
    Ok(files)
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

/// The times of those heads of a segment that none of these has, given by their first heads.
fn gaps(segment: &Segment, present: &[&Arc<Segment>]) -> Vec<TimeRange> {
    let (mut gaps, mut next) = (Vec::new(), *segment.heads.start());
    let mut from = segment.time.from;
    let mut gap = |from: i64, until: i64| {
        let until = until.min(segment.time.until);
        gaps.extend((from < until).then_some(TimeRange { from, until }));
    };
    for other in present {
        if other.heads.start() > segment.heads.end() {
            break;
        }
        if *other.heads.start() > next {
            gap(from, other.time.from);
        }
        if *other.heads.end() >= next {
            next = other.heads.end().saturating_add(1);
        }
        from = from.max(other.time.until);
    }
    if next <= *segment.heads.end() {
        let after = present.iter().find(|other| *other.heads.start() >= next);
        gap(from, after.map_or(i64::MAX, |other| other.time.from));
    }
    gaps
}

/// Whether each of these heads is in a segment of the tier.
fn has_heads(tier: &BTreeMap<u64, Arc<Segment>>, heads: &RangeInclusive<u64>) -> bool {
    let first = tier.range(..=heads.start()).next_back();
    let mut next = *heads.start();
    for (start, segment) in tier.range(first.map_or(next, |(start, _)| *start)..=*heads.end()) {
        if *start > next {
            return false;
        }
        next = next.max(segment.heads.end().saturating_add(1));
    }
    next > *heads.end()
}

/// Whether it has all the rows of the other.
fn covers(segment: &Segment, other: &Segment) -> bool {
    segment.heads.contains(other.heads.start()) && segment.heads.contains(other.heads.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(segments: &[(Tier, u64, u64)]) -> Catalog {
        let mut catalog = Catalog::default();
        for &(tier, first, last) in segments {
            let mut segment = Segment::of_test(TimeRange::spanning(first as i64, last as i64), first);
            segment.heads = first..=last;
            segment.tier = tier;
            segment.path = format!("{tier:?} {first}").into();
            catalog.add(segment);
        }
        catalog
    }

    fn naming(catalog: &Catalog, from: i64, to: i64) -> Vec<(Tier, u64)> {
        let naming = catalog.naming(&TimeRange::spanning(from, to));
        naming.iter().map(|s| (s.tier, *s.heads.start())).collect()
    }

    #[test]
    fn what_sums_have_and_neither_edges_nor_records_is_told() {
        use Tier::{Edges, Hour, Minute, Raw};
        let gaps = |segments: &[(Tier, u64, u64)], from, to| {
            let gaps = catalog(segments).without_edges(&TimeRange::spanning(from, to));
            gaps.iter().map(|gap| (gap.from, gap.until)).collect::<Vec<_>>()
        };
        let whole = [(Raw, 8, 9), (Edges, 1, 7), (Minute, 1, 9), (Hour, 1, 9)];
        assert_eq!(gaps(&whole, 1, 9), []);
        let of_an_older_version = [(Raw, 6, 9), (Edges, 8, 9), (Minute, 1, 9), (Hour, 1, 9)];
        assert_eq!(gaps(&of_an_older_version, 0, 20), [(1, 6)]);
        assert_eq!(gaps(&of_an_older_version, 3, 20), [(3, 6)]);
        assert_eq!(gaps(&of_an_older_version, 6, 20), []);
        let in_the_middle = [
            (Raw, 9, 9),
            (Edges, 1, 2),
            (Edges, 6, 7),
            (Minute, 5, 9),
            (Hour, 1, 4),
        ];
        assert_eq!(gaps(&in_the_middle, 0, 20), [(3, 6), (8, 9)]);
        assert_eq!(gaps(&[(Hour, 1, 9)], 0, 20), [(1, 10)], "there are none at all");
    }

    #[test]
    fn identities_are_those_of_the_records_in_the_range_and_of_sums_whose_records_are_gone() {
        use Tier::{Hour, Minute, Raw};
        let young = catalog(&[
            (Raw, 1, 1),
            (Raw, 2, 2),
            (Raw, 3, 9),
            (Minute, 1, 2),
            (Hour, 1, 9),
        ]);
        assert_eq!(naming(&young, 3, 4), [(Raw, 3)]);
        assert_eq!(naming(&young, 2, 2), [(Raw, 2)]);
        let old = catalog(&[(Raw, 3, 9), (Minute, 1, 2), (Minute, 3, 9), (Hour, 1, 9)]);
        assert_eq!(naming(&old, 1, 2), [(Minute, 1)]);
        assert_eq!(naming(&old, 2, 4), [(Raw, 3), (Minute, 1)]);
        let older = catalog(&[(Raw, 4, 9), (Minute, 3, 9), (Hour, 1, 9)]);
        assert_eq!(
            naming(&older, 8, 9),
            [(Raw, 4), (Minute, 3), (Hour, 1)],
            "what is gone may be of then"
        );
    }
}
