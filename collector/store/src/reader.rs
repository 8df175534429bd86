//! What a query sees: the segments and the rows in memory of one moment.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::batch::Batch;
use crate::book::Book;
use crate::catalog::{Catalog, Unreadable};
use crate::identities::Identities;
use crate::name::Tier;
use crate::range::TimeRange;
use crate::recovery;
use crate::segment::Segment;
use crate::state::{Shared, State};
use crate::status::Status;
use crate::tail::Tail;
use crate::writer::OpenError;

/// Reads a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Reader(Source);

#[derive(Debug, Clone)]
enum Source {
    /// A store that this process writes.
    Running(Arc<Shared>),
    /// A directory as it was when it was opened.
    Snapshot(Arc<Mutex<State>>),
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

impl Reader {
    pub(crate) fn running(shared: Arc<Shared>) -> Self {
        Self(Source::Running(shared))
    }

    /// Reads a directory as it is now, whether a server runs on it or not.
    ///
    /// # Errors
    /// The directory cannot be read. A file that cannot be read is no error: it
    /// is skipped and named in the status.
    pub fn open_dir(path: &Path) -> Result<Self, OpenError> {
        let directory = std::fs::canonicalize(path);
        let recovered = directory.and_then(|directory| recovery::recover(&directory, false));
        let recovered = recovered.map_err(|error| OpenError::Read {
            path: path.to_owned(),
            error,
        })?;
        Ok(Self(Source::Snapshot(Arc::new(Mutex::new(recovered.state)))))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        match &self.0 {
            Source::Running(shared) => shared.lock(),
            Source::Snapshot(state) => state.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// What there is of a range.
    pub fn view(&self, range: TimeRange) -> View {
        let mut state = self.lock();
        let within = |tier| state.catalog.within(tier, &range);
        let memory = state.in_memory().filter(|(_, time)| time.overlaps(&range));
        View {
            raw: within(Tier::Raw),
            minute: within(Tier::Minute),
            hour: within(Tier::Hour),
            memory: memory.map(|(batch, _)| batch.clone()).collect(),
            oldest: oldest(&state),
            unreadable: unreadable(&state),
            identities: state.book.all(),
        }
    }

    /// Everybody whom a row names that was shown until now.
    pub fn identities(&self) -> Arc<Identities> {
        self.lock().book.all()
    }

    /// How the store is.
    pub fn status(&self) -> Status {
        let disk = match &self.0 {
            Source::Running(shared) => shared.settings.disk.space(&shared.settings.directory).ok(),
            Source::Snapshot(_) => None,
        };
        let state = self.lock();
        Status {
            disk,
            unreadable: unreadable(&state),
            memory_rows: state.in_memory().map(|(batch, _)| batch.num_rows() as u64).sum(),
            memory_bytes: state.memory as u64,
            unlogged_rows: state.unlogged_rows(),
            identities: state.book.len(),
            counts: state.counts,
            troubles: state.troubles.clone(),
            ..Status::of(&state.catalog)
        }
    }

    /// Every row from now on. There are none of a directory that was only read.
    pub fn tail(&self) -> Tail {
        self.lock().watchers.join()
    }
}

fn oldest(state: &State) -> [Option<i64>; Tier::ALL.len()] {
    Tier::ALL.map(|tier| {
        let segments = state.catalog.tier(tier).map(|s| s.time.from);
        let memory = state.in_memory().map(|(_, time)| time.from);
        match tier {
            Tier::Raw => segments.chain(memory).min(),
            Tier::Minute | Tier::Hour => segments.min(),
        }
    })
}

fn unreadable(state: &State) -> Vec<Unreadable> {
    let logs = state.foreign_logs.iter().map(|(path, reason)| Unreadable {
        path: path.clone(),
        kind: "foreign",
        reason: reason.clone(),
    });
    state.catalog.unreadable.iter().cloned().chain(logs).collect()
}

/// Takes in the identities of all segments. Those of a coarser segment are those of
/// the finer ones that it was made from, and fewer files: they come first, and
/// finer ones are read only where there is no coarser. A segment whose identities
/// nobody has is skipped.
pub(crate) fn learn(catalog: &mut Catalog, book: &mut Book) {
    for (tier, coarser) in [
        (Tier::Hour, &[][..]),
        (Tier::Minute, &[Tier::Hour]),
        (Tier::Raw, &[Tier::Minute, Tier::Hour]),
    ] {
        let mut segments: Vec<_> = catalog.tier(tier).cloned().collect();
        segments.retain(|s| !coarser.iter().any(|coarser| catalog.holds(*coarser, s)));
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
}
