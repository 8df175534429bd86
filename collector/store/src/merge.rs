//! Small segments of the past become one. Owns which ones; pure but for [`run`].
//!
//! Heads are merged in blocks of 8, 64, 512 … that start at a multiple of their
//! size, and a block of a finer tier only within one segment of each coarser
//! tier. So segments of different tiers always hold each other or are apart, and
//! a query can take the one for the other.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::clock::micros;
use crate::edges::{self, Made};
use crate::identities;
use crate::name::{SegmentName, Tier, heads_meet};
use crate::range::TimeRange;
use crate::rollup;
use crate::schema;
use crate::seal::{self, Origin};
use crate::segment::{Segment, SegmentError};
use crate::sorted::Sorted;
use crate::state::{Shared, Stage};

/// Segments of a block.
const FAN: u64 = 8;
/// Blocks of 8 to 32,768 heads.
const LEVELS: u32 = 5;
/// The age of a tier that has none, for its segments' length.
const LONG: Duration = Duration::from_hours(24 * 365);

/// Identities of a segment at most: to read or to merge one takes a kilobyte for each.
const IDENTITIES: usize = 1 << 18;

/// Heads whose segments turned out to have too many identities together.
pub(crate) type TooMany = Vec<(Tier, RangeInclusive<u64>)>;

/// What merged segments may be.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    rows: u64,
    /// Microseconds from the earliest to the latest row: segments expire whole.
    span: i64,
    /// The last head that takes part.
    last: u64,
}

/// Merges what can be, until there is nothing left or the store ends.
///
/// # Errors
/// A segment cannot be read or written.
pub(crate) fn run(shared: &Shared, too_many: &mut TooMany) -> Result<(), (Arc<Segment>, SegmentError)> {
    for tier in [Tier::Edges, Tier::Hour, Tier::Minute, Tier::Raw] {
        while let Some(parts) = next(shared, tier, too_many) {
            if !merge(shared, tier, &parts, IDENTITIES)? {
                too_many.push((tier, heads(&parts)));
            }
        }
    }
    Ok(())
}

/// The next segments of a tier to be merged, the coarser tiers being so already.
fn next(shared: &Shared, tier: Tier, too_many: &mut TooMany) -> Option<Vec<Arc<Segment>>> {
    let state = shared.lock();
    let age = shared.settings.retention[tier as usize].age.unwrap_or(LONG);
    let bounds = Bounds {
        rows: shared.settings.seal_rows as u64,
        span: micros(age / 10),
        last: state.rolled.min(state.forgotten),
    };
    if state.stage != Stage::Running {
        return None;
    }
    let segments: Vec<_> = state.catalog.tier(tier).cloned().collect();
    let coarser: Vec<_> = tier
        .coarser()
        .flat_map(|other| state.catalog.tier(other).cloned())
        .collect();
    // A file that is skipped now may be read another time: what has its heads would be
    // taken for the same rows.
    let skipped = state.catalog.unreadable_heads();
    drop(state);
    // What expired in part is another block.
    let oldest = segments
        .first()
        .map_or(u64::MAX, |segment| *segment.heads.start());
    too_many.retain(|(of, heads)| *of != tier || *heads.start() >= oldest);
    choose(&segments, &coarser, bounds, |heads| {
        let is_too_many = too_many.iter().any(|(of, many)| *of == tier && many == heads);
        is_too_many || skipped.iter().any(|skipped| heads_meet(heads, skipped))
    })
}

/// The first block that may be merged and is not to be left as it is.
fn choose(
    segments: &[Arc<Segment>],
    coarser: &[Arc<Segment>],
    bounds: Bounds,
    left: impl Fn(&RangeInclusive<u64>) -> bool,
) -> Option<Vec<Arc<Segment>>> {
    for level in 1..=LEVELS {
        let size = FAN.pow(level);
        let block = |s: &Arc<Segment>| s.heads.start() / size;
        let blocks = segments.chunk_by(|one, other| block(one) == block(other));
        let fits = |parts: &&[Arc<Segment>]| {
            parts.len() > 1
                && parts.iter().all(|s| s.heads.end() / size == block(&parts[0]))
                && (block(&parts[0]) + 1) * size - 1 <= bounds.last
                && within(parts, bounds)
                && nests(&heads(parts), coarser)
                && !left(&heads(parts))
        };
        if let Some(parts) = blocks.into_iter().find(fits) {
            return Some(parts.to_vec());
        }
    }
    None
}

fn within(parts: &[Arc<Segment>], bounds: Bounds) -> bool {
    let rows: u64 = parts.iter().map(|s| s.rows).sum();
    let time = time(parts);
    let ours = parts.iter().all(|s| known(s));
    ours && rows <= bounds.rows && time.until.saturating_sub(time.from) <= bounds.span
}

/// Columns of a newer version would be lost.
fn known(segment: &Segment) -> bool {
    let known = schema::of_tier(segment.tier);
    segment
        .schema
        .fields()
        .iter()
        .all(|f| known.field_with_name(f.name()).is_ok())
}

fn nests(heads: &RangeInclusive<u64>, coarser: &[Arc<Segment>]) -> bool {
    let holds = |c: &Segment| c.heads.contains(heads.start()) && c.heads.contains(heads.end());
    coarser.iter().all(|c| !heads_meet(&c.heads, heads) || holds(c))
}

fn heads(parts: &[Arc<Segment>]) -> RangeInclusive<u64> {
    let first = parts.iter().map(|s| *s.heads.start()).min().unwrap_or(0);
    first..=parts.iter().map(|s| *s.heads.end()).max().unwrap_or(0)
}

fn time(parts: &[Arc<Segment>]) -> TimeRange {
    let times = parts.iter().map(|s| s.time);
    times
        .reduce(|all, time| all.union(&time))
        .unwrap_or(TimeRange::spanning(0, 0))
}

/// Makes one of the parts; false where they have more than so many identities.
fn merge(
    shared: &Shared,
    tier: Tier,
    parts: &[Arc<Segment>],
    most: usize,
) -> Result<bool, (Arc<Segment>, SegmentError)> {
    let (mut identities, mut next_id) = (identities::Union::default(), 0);
    for part in parts {
        let table = part.identities().map_err(|error| (Arc::clone(part), error))?;
        next_id = next_id.max(part.next_id_beside(&table));
        identities.add(&identities::conform(&table));
        if identities.len() > most {
            return Ok(false);
        }
    }
    let identities = identities.finish();
    let mut rows = Vec::new();
    for part in parts {
        let batch = part.read().map_err(|error| (Arc::clone(part), error))?;
        rows.push(Batch::of_rows(batch));
    }
    let joined = joined(rows, tier);
    let name = SegmentName {
        tier,
        time: time(parts),
        heads: heads(parts),
    };
    let origin = Origin {
        store: &shared.store,
        next_id,
    };
    let written = seal::write(
        &shared.settings.directory,
        &name,
        &origin,
        &joined.rows,
        &identities,
    );
    let segment = written.map_err(|error| (Arc::clone(&parts[0]), error))?;
    let mut state = shared.lock();
    // Nothing of it expired meanwhile: the same thread does both.
    state.catalog.add(segment);
    state.counts.merged += parts.len() as u64;
    state.counts.folded_ports += joined.folded_ports;
    Ok(true)
}

/// Sums of one bucket in several parts are added up.
fn joined(rows: Vec<Batch>, tier: Tier) -> Made {
    let rows = Sorted::new_sorted(rows, &schema::of_tier(tier));
    match tier.bucket() {
        None => Made::of(rows),
        Some(_) if tier == Tier::Edges => edges::joined(&rows),
        Some(bucket) => Made::of(rollup::roll_up(&rows, bucket)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        rows: 100,
        span: 1_000,
        last: 1_000,
    };

    /// Segments of one row with these heads.
    fn segments(heads: &[(u64, u64)]) -> Vec<Arc<Segment>> {
        let segment = |&(first, last): &(u64, u64)| {
            let mut segment = Segment::of_test(TimeRange::spanning(first as i64, last as i64), first);
            segment.heads = first..=last;
            Arc::new(segment)
        };
        heads.iter().map(segment).collect()
    }

    fn chosen(fine: &[(u64, u64)], coarse: &[(u64, u64)], bounds: Bounds) -> Option<RangeInclusive<u64>> {
        choose(&segments(fine), &segments(coarse), bounds, |_| false).map(|parts| heads(&parts))
    }

    fn singles(range: std::ops::Range<u64>) -> Vec<(u64, u64)> {
        range.map(|head| (head, head)).collect()
    }

    #[test]
    fn a_whole_block_is_merged_and_then_blocks_of_blocks() {
        assert_eq!(chosen(&singles(1..12), &[], BOUNDS), Some(1..=7));
        assert_eq!(chosen(&[(1, 7), (8, 8), (9, 9)], &[], BOUNDS), Some(8..=9));
        let blocks: Vec<_> = (0..8).map(|b| (b * 8, b * 8 + 7)).collect();
        assert_eq!(chosen(&blocks, &[], BOUNDS), Some(0..=63));
    }

    #[test]
    fn a_block_that_is_to_be_left_does_not_hold_up_the_next() {
        let fine = segments(&singles(1..16));
        let parts = choose(&fine, &[], BOUNDS, |heads| *heads == (1..=7));
        assert_eq!(parts.map(|parts| heads(&parts)), Some(8..=15));
    }

    #[test]
    fn a_block_waits_for_its_last_head() {
        assert_eq!(chosen(&singles(1..7), &[], Bounds { last: 6, ..BOUNDS }), None);
        assert_eq!(
            chosen(&singles(1..8), &[], Bounds { last: 7, ..BOUNDS }),
            Some(1..=7)
        );
    }

    #[test]
    fn a_block_of_too_many_rows_or_too_long_stays_in_parts() {
        assert_eq!(chosen(&singles(1..8), &[], Bounds { rows: 6, ..BOUNDS }), None);
        assert_eq!(chosen(&singles(1..8), &[], Bounds { span: 6, ..BOUNDS }), None);
    }

    #[test]
    fn a_finer_block_waits_until_coarser_ones_hold_it() {
        assert_eq!(chosen(&singles(1..8), &singles(1..8), BOUNDS), None);
        assert_eq!(chosen(&singles(1..8), &[(1, 7)], BOUNDS), Some(1..=7));
        assert_eq!(chosen(&singles(1..8), &[(8, 15)], BOUNDS), Some(1..=7));
        assert_eq!(
            chosen(&singles(1..8), &[(1, 6)], BOUNDS),
            None,
            "the sums of one are missing"
        );
    }
}
