//! What there is of a range of time at one moment, and which parts of it have each record
//! once.

use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::batch::Batch;
use crate::catalog::Unreadable;
use crate::edges::{self, Crowds, EdgeBuilder};
use crate::identities::Identities;
use crate::name::{self, Tier};
use crate::schema;
use crate::segment::Segment;
use crate::sorted::Sorted;

/// What there is of a range of time. Rows outside of it are among them: whole
/// segments and batches that have at least one row in it.
#[derive(Debug, Clone)]
pub struct View {
    /// Records as they came, the oldest first.
    pub raw: Vec<Arc<Segment>>,
    /// Their sums by minute.
    pub minute: Vec<Arc<Segment>>,
    /// Their sums by hour.
    pub hour: Vec<Arc<Segment>>,
    /// Who called whom, by hour.
    pub edges: Vec<Arc<Segment>>,
    /// Raw rows that are in no segment yet.
    pub memory: Vec<Batch>,
    /// Everybody whom the rows name.
    pub identities: Arc<Identities>,
    /// The time of the oldest row that each tier has, in the order of
    /// [`Tier::ALL`]: before it, records expired or never were. `None`: the tier
    /// has no row. That of [`Tier::Raw`] counts rows in memory.
    pub oldest: [Option<i64>; Tier::ALL.len()],
    /// Files that were skipped, whatever their time.
    pub unreadable: Vec<Unreadable>,
}

/// Segments that together have each record of a view once, where expiry has
/// left it.
#[derive(Debug, Clone, Default)]
pub struct Cover {
    /// Sums by hour.
    pub hour: Vec<Arc<Segment>>,
    /// Sums by minute of records that are not in `hour`.
    pub minute: Vec<Arc<Segment>>,
    /// Records that are in neither.
    pub raw: Vec<Arc<Segment>>,
}

/// A segment that a view is without, and why.
pub(crate) type LeftOut = (Arc<Segment>, Unreadable);

/// Whether it has rows of one that is left out: those of another tier would name people
/// whom nobody knows.
pub(crate) fn is_left_out(segment: &Segment, left_out: &[LeftOut]) -> bool {
    left_out
        .iter()
        .any(|(other, _)| name::heads_meet(&segment.heads, &other.heads))
}

impl View {
    pub(crate) fn leave_out(&mut self, left_out: &[LeftOut]) {
        for tier in [&mut self.raw, &mut self.minute, &mut self.hour, &mut self.edges] {
            tier.retain(|segment| !is_left_out(segment, left_out));
        }
        let named = left_out.iter().map(|(_, unreadable)| unreadable.clone());
        self.unreadable.extend(named);
    }

    /// The coarsest segments up to `tier` that have each record once. Rows in
    /// memory are in none of them. This holds for any part of the time that
    /// starts and ends on a bucket of `tier`: sums of records before and after
    /// are rows of other buckets.
    pub fn cover(&self, tier: Tier) -> Cover {
        let mut cover = Cover::default();
        if tier >= Tier::Hour {
            cover.hour.clone_from(&self.hour);
        }
        if tier >= Tier::Minute {
            cover.minute = outside(&self.minute, &cover.hour);
        }
        let coarser = [&cover.hour[..], &cover.minute[..]].concat();
        cover.raw = outside(&self.raw, &coarser);
        cover
    }

    /// Segments of records of which there are no edges, the oldest first: with those of
    /// edges they have each record of a view once. Rows in memory are in none of them.
    pub fn raw_without_edges(&self) -> Vec<Arc<Segment>> {
        outside(&self.raw, &self.edges)
    }

    /// Hands on the edges of the rows in memory, of the schema [`crate::schema::edges`], a
    /// part at a time: made of `records` records together, or of a batch more. `go_on` is
    /// asked before each step.
    ///
    /// # Errors
    /// Those of `go_on` and `each`.
    pub fn edges_in_memory<E>(
        &self,
        records: usize,
        mut go_on: impl FnMut() -> Result<(), E>,
        mut each: impl FnMut(RecordBatch) -> Result<(), E>,
    ) -> Result<(), E> {
        let crowds = Crowds::of(self.identities.batch());
        let mut builder = EdgeBuilder::default();
        for batch in &self.memory {
            go_on()?;
            builder.add(&Sorted::unsorted(vec![batch.clone()], &schema::facts()));
            if builder.len() >= records {
                let full = std::mem::take(&mut builder);
                each(edges::table_of(&full.finish(&crowds).rows))?;
            }
        }
        go_on()?;
        each(edges::table_of(&builder.finish(&crowds).rows))
    }
}

/// Those that no coarser segment holds. One that does not hold them has none of
/// their heads (see [`crate::merge`]).
fn outside(segments: &[Arc<Segment>], coarser: &[Arc<Segment>]) -> Vec<Arc<Segment>> {
    let covered = |s: &Segment| {
        coarser
            .iter()
            .any(|c| c.heads.contains(s.heads.start()) && c.heads.contains(s.heads.end()))
    };
    segments.iter().filter(|s| !covered(s)).cloned().collect()
}
