//! Which rows of a view answer which part of the range: records, or rollups
//! where they say the same.

use std::path::PathBuf;
use std::sync::Arc;

use weir_store::{Cover, Segment, Tier, TimeRange, Unreadable, View};

use crate::answer::{Note, NoteKind, Part};
use crate::scan::Rows;
use weir_flow::Rfc3339;

/// A part of the range, and the segments that have each of its records once.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) tier: Tier,
    pub(crate) range: TimeRange,
    cover: Cover,
}

/// Rows that are read together.
pub(crate) struct Batch {
    pub(crate) rows: Rows,
    /// They are sums, not records.
    pub(crate) sums: bool,
    /// Some of them are outside of this range.
    pub(crate) bounds: Option<TimeRange>,
}

/// Cuts the range at the edges of buckets: the coarsest tier up to `finest` in
/// the middle, finer ones towards the edges.
pub(crate) fn pieces(view: &View, range: TimeRange, coarsest: Tier) -> Vec<Piece> {
    let mut pieces = Vec::new();
    cut(view, range, coarsest, &mut pieces);
    pieces.retain(|piece| piece.range.from < piece.range.until);
    pieces.sort_by_key(|piece| piece.range.from);
    pieces
}

fn cut(view: &View, range: TimeRange, tier: Tier, pieces: &mut Vec<Piece>) {
    let finer = match tier {
        Tier::Raw => return pieces.push(piece(view, range, Tier::Raw)),
        Tier::Minute => Tier::Raw,
        Tier::Hour => Tier::Minute,
    };
    let bucket = tier.bucket().unwrap_or(1);
    let from = range
        .from
        .saturating_add(bucket - 1)
        .div_euclid(bucket)
        .saturating_mul(bucket);
    let until = range.until.div_euclid(bucket).saturating_mul(bucket);
    if from >= until {
        return cut(view, range, finer, pieces);
    }
    cut(
        view,
        TimeRange {
            from: range.from,
            until: from,
        },
        finer,
        pieces,
    );
    pieces.push(piece(view, TimeRange { from, until }, tier));
    cut(
        view,
        TimeRange {
            from: until,
            until: range.until,
        },
        finer,
        pieces,
    );
}

fn piece(view: &View, range: TimeRange, tier: Tier) -> Piece {
    let mut cover = view.cover(tier);
    for segments in [&mut cover.raw, &mut cover.minute, &mut cover.hour] {
        segments.retain(|segment| segment.time.overlaps(&range));
    }
    Piece { tier, range, cover }
}

impl Piece {
    /// What to read. Segments that are wholly inside need no look at the time.
    pub(crate) fn batches(&self, memory: &[weir_store::Batch]) -> Vec<Batch> {
        let sums = [self.cover.hour.as_slice(), self.cover.minute.as_slice()].concat();
        let (whole, cut) = self.split(&self.cover.raw);
        let (whole_sums, cut_sums) = self.split(&sums);
        let bounds = Some(self.range);
        let batches = [
            Batch {
                rows: Rows::facts(whole, &[]),
                sums: false,
                bounds: None,
            },
            Batch {
                rows: Rows::facts(cut, memory),
                sums: false,
                bounds,
            },
            Batch {
                rows: Rows::sums(whole_sums),
                sums: true,
                bounds: None,
            },
            Batch {
                rows: Rows::sums(cut_sums),
                sums: true,
                bounds,
            },
        ];
        batches
            .into_iter()
            .filter(|batch| !batch.rows.is_empty())
            .collect()
    }

    fn split(&self, segments: &[Arc<Segment>]) -> (Vec<Arc<Segment>>, Vec<Arc<Segment>>) {
        let inside = |s: &Arc<Segment>| self.range.from <= s.time.from && s.time.until <= self.range.until;
        segments.iter().cloned().partition(inside)
    }

    pub(crate) fn segments(&self) -> usize {
        self.cover.raw.len() + self.cover.minute.len() + self.cover.hour.len()
    }

    /// It uses sums.
    pub(crate) fn uses_rollups(&self) -> bool {
        self.cover.minute.len() + self.cover.hour.len() > 0
    }

    pub(crate) fn explained(&self, memory: &[weir_store::Batch]) -> Part {
        Part {
            tier: self.tier.as_str().to_owned(),
            since: rfc3339(self.range.from),
            until: rfc3339(self.range.until),
            segments: self.segments(),
            rows_in_memory: memory.iter().map(weir_store::Batch::num_rows).sum(),
        }
    }
}

/// Leaves out segments that cannot be read to their end, and says so in the
/// view; false if there is none. It reads all of them: for after a failure.
pub(crate) async fn leave_out_unreadable(pieces: &mut [Piece], view: &mut View) -> bool {
    let mut broken: Vec<PathBuf> = Vec::new();
    let all = pieces.iter().flat_map(|piece| {
        let Cover { raw, minute, hour } = &piece.cover;
        raw.iter().chain(minute).chain(hour).cloned()
    });
    for segment in all.collect::<Vec<_>>() {
        let path = segment.path.clone();
        let read = tokio::task::spawn_blocking(move || segment.read().map(drop)).await;
        if let Ok(Err(error)) = read
            && !broken.contains(&path)
        {
            view.unreadable.push(Unreadable {
                path: path.clone(),
                kind: error.kind(),
                reason: error.to_string(),
            });
            broken.push(path);
        }
    }
    for piece in pieces {
        let Cover { raw, minute, hour } = &mut piece.cover;
        for segments in [raw, minute, hour] {
            segments.retain(|segment| !broken.contains(&segment.path));
        }
    }
    !broken.is_empty()
}

/// What one should know about an answer from these pieces.
pub(crate) fn notes(view: &View, pieces: &[Piece]) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |kind, message| notes.push(Note { kind, message });
    for (from, until) in gaps(view, pieces) {
        let (from, until) = (rfc3339(from), rfc3339(until));
        let message = format!(
            "nothing is kept from {from} to {until} that answers this: it expired, or there was none"
        );
        note(NoteKind::Expired, message);
    }
    for piece in pieces.iter().filter(|piece| piece.uses_rollups()) {
        let (from, until) = (rfc3339(piece.range.from), rfc3339(piece.range.until));
        let message = format!(
            "from {from} to {until} answered out of sums by the {}",
            piece.tier.as_str()
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

/// Where nothing is kept, from and until, those that adjoin as one.
fn gaps(view: &View, pieces: &[Piece]) -> Vec<(i64, i64)> {
    let mut gaps: Vec<(i64, i64)> = Vec::new();
    for piece in pieces {
        // What a coarser tier has, its finer tiers may have lost.
        let tiers = Tier::ALL.into_iter().filter(|tier| *tier <= piece.tier);
        let oldest = tiers.filter_map(|tier| view.oldest[tier as usize]).min();
        let until = oldest.unwrap_or(i64::MAX).min(piece.range.until);
        match gaps.last_mut() {
            _ if until <= piece.range.from => {}
            Some(last) if last.1 == piece.range.from => last.1 = until,
            _ => gaps.push((piece.range.from, until)),
        }
    }
    gaps
}

fn rfc3339(micros: i64) -> String {
    let ns = u64::try_from(micros).unwrap_or_default().saturating_mul(1_000);
    Rfc3339(ns).to_string()
}
