//! What a query sees: the segments and the rows in memory of one moment.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::book::Book;
use crate::catalog::{Catalog, Unreadable};
use crate::identities::Identities;
use crate::name::Tier;
use crate::range::TimeRange;
use crate::segment::Segment;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be read.
    #[error("the store {path} cannot be read: {error}")]
    Read {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Reads a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader {
    snapshot: Arc<Snapshot>,
}

/// A store that nobody writes, or its state when it was opened.
#[derive(Debug)]
struct Snapshot {
    catalog: Catalog,
    memory: Vec<(RecordBatch, TimeRange)>,
    identities: Arc<Identities>,
}

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
    /// Raw rows that are in no segment yet. Batches have the columns of
    /// [`crate::schema::facts`] that have a value ([`crate::schema::conform`]).
    pub memory: Vec<RecordBatch>,
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

impl View {
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
}

/// Those whose heads no coarser segment has. Heads of different tiers are the
/// same, within each other, or apart (see [`crate::name`]).
fn outside(segments: &[Arc<Segment>], coarser: &[Arc<Segment>]) -> Vec<Arc<Segment>> {
    let covered = |s: &Segment| coarser.iter().any(|c| c.heads.contains(s.heads.start()));
    segments.iter().filter(|s| !covered(s)).cloned().collect()
}

/// How a store is.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Segments and octets of each tier, in the order of [`Tier::ALL`].
    pub tiers: [TierStatus; Tier::ALL.len()],
    /// Files that are skipped.
    pub unreadable: Vec<Unreadable>,
}

/// How much a tier has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierStatus {
    /// Segments.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// Octets that they take, identities included.
    pub bytes: u64,
    /// The earliest and latest time in them.
    pub time: Option<TimeRange>,
}

impl Reader {
    /// Reads a directory as it is now, whether a server runs on it or not.
    ///
    /// # Errors
    /// The directory cannot be read. A file that cannot be read is no error: it
    /// is skipped and named in the status.
    pub fn open_dir(path: &Path) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Read {
            path: path.to_owned(),
            error,
        };
        let mut catalog = Catalog::load(path).map_err(failed)?;
        let mut book = Book::default();
        learn(&mut catalog, &mut book);
        let snapshot = Snapshot {
            identities: book.all(),
            memory: Vec::new(),
            catalog,
        };
        Ok(Self {
            snapshot: Arc::new(snapshot),
        })
    }

    /// What there is of a range.
    pub fn view(&self, range: TimeRange) -> View {
        let Snapshot {
            catalog,
            memory,
            identities,
        } = &*self.snapshot;
        let within = |tier| catalog.within(tier, &range);
        let memory = memory.iter().filter(|(_, time)| time.overlaps(&range));
        View {
            raw: within(Tier::Raw),
            minute: within(Tier::Minute),
            hour: within(Tier::Hour),
            memory: memory.map(|(batch, _)| batch.clone()).collect(),
            identities: Arc::clone(identities),
            oldest: [None; 3],
            unreadable: catalog.unreadable.clone(),
        }
    }

    /// How the store is.
    pub fn status(&self) -> Status {
        status(&self.snapshot.catalog)
    }
}

/// Takes in the identities of all segments; a segment without is skipped.
pub(crate) fn learn(catalog: &mut Catalog, book: &mut Book) {
    let segments: Vec<_> = catalog.all().cloned().collect();
    for segment in segments {
        match segment.identities() {
            Ok(table) => book.learn(&table, *segment.heads.end()),
            Err(error) => {
                catalog.remove(&segment);
                catalog.skip(segment.path.clone(), &error);
            }
        }
    }
}

pub(crate) fn status(catalog: &Catalog) -> Status {
    let mut status = Status {
        unreadable: catalog.unreadable.clone(),
        ..Status::default()
    };
    for segment in catalog.all() {
        let tier = &mut status.tiers[segment.tier as usize];
        tier.segments += 1;
        tier.rows += segment.rows;
        tier.bytes += segment.bytes;
        tier.time = Some(tier.time.map_or(segment.time, |t| t.union(&segment.time)));
    }
    status
}
