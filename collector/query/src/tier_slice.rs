//! Which rows of a view answer which part of the range: records, or rollups
//! where they say the same.

use std::sync::Arc;

use weir_flow::Rfc3339;
use weir_store::{Cover, Reader, Segment, Tier, TimeRange, View};

use crate::answer::{Note, NoteKind, Part};
use crate::plan::SegmentScan;

/// A part of the range, and where each of its records is once.
#[derive(Debug)]
pub(crate) struct TierSlice {
    pub(crate) tier: Tier,
    pub(crate) range: TimeRange,
    cover: Cover,
    memory: Vec<weir_store::Batch>,
}

/// What is read together.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    pub(crate) rows: SegmentScan,
    /// They are sums, not records.
    pub(crate) sums: bool,
    /// Some of them are outside of this range.
    pub(crate) bounds: Option<TimeRange>,
}

impl Batch {
    /// Nothing to read.
    pub(crate) fn empty() -> Self {
        Self {
            rows: SegmentScan::facts(Vec::new(), Vec::new()),
            sums: false,
            bounds: None,
        }
    }
}

/// Cuts the range at the edges of buckets: the coarsest tier up to `finest` in
/// the middle, finer ones towards the edges.
pub(crate) fn slices(view: &View, range: TimeRange, coarsest: Tier) -> Vec<TierSlice> {
    let mut parts = Vec::new();
    cut(range, coarsest, &mut parts);
    parts.retain(|(part, _)| part.from < part.until);
    parts.sort_by_key(|(part, _)| part.from);
    parts
        .into_iter()
        .map(|(part, tier)| slice(view, part, tier))
        .collect()
}

fn cut(range: TimeRange, tier: Tier, parts: &mut Vec<(TimeRange, Tier)>) {
    let finer = match tier {
        Tier::Raw => return parts.push((range, Tier::Raw)),
        Tier::Minute => Tier::Raw,
        Tier::Hour | Tier::Edges => Tier::Minute,
    };
    let bucket = tier.bucket().unwrap_or(1);
    let from = range
        .from
        .saturating_add(bucket - 1)
        .div_euclid(bucket)
        .saturating_mul(bucket);
    let until = range.until.div_euclid(bucket).saturating_mul(bucket);
    if from >= until {
        return cut(range, finer, parts);
    }
    cut(TimeRange { until: from, ..range }, finer, parts);
    parts.push((TimeRange { from, until }, tier));
    cut(TimeRange { from: until, ..range }, finer, parts);
}

fn slice(view: &View, range: TimeRange, tier: Tier) -> TierSlice {
    let mut cover = view.cover(tier);
    for segments in [&mut cover.raw, &mut cover.minute, &mut cover.hour] {
        segments.retain(|segment| segment.time.overlaps(&range));
    }
    let memory = view.memory.iter().filter(|rows| rows.time().overlaps(&range));
    TierSlice {
        tier,
        range,
        cover,
        memory: memory.cloned().collect(),
    }
}

/// The range as a part that is answered out of records, wherever they are.
pub(crate) fn raw(range: TimeRange) -> [TierSlice; 1] {
    [TierSlice {
        tier: Tier::Raw,
        range,
        cover: Cover::default(),
        memory: Vec::new(),
    }]
}

/// All of it is inside.
pub(crate) fn is_inside(time: TimeRange, range: TimeRange) -> bool {
    range.from <= time.from && time.until <= range.until
}

impl TierSlice {
    /// What to read. What is wholly inside needs no look at the time.
    pub(crate) fn batches(&self) -> Vec<Batch> {
        let sums = [self.cover.hour.as_slice(), self.cover.minute.as_slice()].concat();
        let (whole, cut) = self.split(&self.cover.raw);
        let (whole_sums, cut_sums) = self.split(&sums);
        let memory = self.memory.iter().cloned();
        let (in_memory, cut_memory): (Vec<_>, Vec<_>) =
            memory.partition(|rows| is_inside(rows.time(), self.range));
        let bounds = Some(self.range);
        let batch = |rows, sums, bounds| Batch { rows, sums, bounds };
        let batches = [
            batch(SegmentScan::facts(whole, in_memory), false, None),
            batch(SegmentScan::facts(cut, cut_memory), false, bounds),
            batch(SegmentScan::sums(whole_sums), true, None),
            batch(SegmentScan::sums(cut_sums), true, bounds),
        ];
        batches
            .into_iter()
            .filter(|batch| !batch.rows.is_empty())
            .collect()
    }

    fn split(&self, segments: &[Arc<Segment>]) -> (Vec<Arc<Segment>>, Vec<Arc<Segment>>) {
        let segments = segments.iter().cloned();
        segments.partition(|segment| is_inside(segment.time, self.range))
    }

    pub(crate) fn segments(&self) -> usize {
        self.cover.raw.len() + self.cover.minute.len() + self.cover.hour.len()
    }

    /// It uses sums.
    pub(crate) fn uses_rollups(&self) -> bool {
        self.cover.minute.len() + self.cover.hour.len() > 0
    }

    pub(crate) fn explained(&self) -> Part {
        Part {
            tier: self.tier.as_str().to_owned(),
            since: rfc3339(self.range.from),
            until: rfc3339(self.range.until),
            segments: self.segments(),
            rows_in_memory: self.memory.iter().map(weir_store::Batch::num_rows).sum(),
        }
    }
}

/// What one should know about an answer from these slices.
pub(crate) fn notes(reader: &Reader, view: &View, slices: &[TierSlice]) -> Vec<Note> {
    let gaps = expired(reader, view, slices).into_iter();
    let mut notes: Vec<Note> = gaps
        .map(|(from, until)| {
            let (from, until) = (rfc3339(from), rfc3339(until));
            let message = format!("what was from {from} to {until} has expired");
            Note::of_part(NoteKind::Expired, message, (from, until))
        })
        .collect();
    let mut note = |kind, message| notes.push(Note::new(kind, message));
    for slice in slices.iter().filter(|slice| slice.uses_rollups()) {
        let (from, until) = (rfc3339(slice.range.from), rfc3339(slice.range.until));
        let message = format!(
            "from {from} to {until} answered out of sums by the {}",
            slice.tier.as_str()
        );
        note(NoteKind::Rollup, message);
    }
    for file in &view.unreadable {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        note(
            NoteKind::Unreadable,
            format!("{name} was left out: {}", file.reason),
        );
    }
    notes
}

/// Where something was kept once, from and until, those that adjoin as one.
fn expired(reader: &Reader, view: &View, slices: &[TierSlice]) -> Vec<(i64, i64)> {
    let mut gaps: Vec<(i64, i64)> = Vec::new();
    for slice in slices {
        // What a coarser tier has, its finer tiers may have lost.
        let tiers = Tier::FLOWS.into_iter().filter(|tier| *tier <= slice.tier);
        let oldest = tiers.filter_map(|tier| view.oldest[tier as usize]).min();
        let Some(oldest) = oldest.filter(|oldest| *oldest > slice.range.from) else {
            continue;
        };
        let until = oldest.min(slice.range.until);
        match gaps.last_mut() {
            Some(last) if last.1 == slice.range.from => last.1 = until,
            _ if reader.begins_at(oldest, slice.tier) => {}
            _ => gaps.push((slice.range.from, until)),
        }
    }
    gaps
}

/// A time as notes say it.
pub(crate) fn rfc3339(micros: i64) -> String {
    let ns = u64::try_from(micros).unwrap_or_default().saturating_mul(1_000);
    Rfc3339(ns).to_string()
}
