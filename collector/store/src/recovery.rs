//! Taking up a store where the last process left it, however that ended.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{max, min};
use arrow::datatypes::{TimestampMicrosecondType, UInt32Type};

use crate::catalog::Catalog;
use crate::disk;
use crate::identities;
use crate::identity_ids::IdentityIds;
use crate::log_readers::{self, LogReaders};
use crate::memory_identities::NamedIdentities;
use crate::memtable::{self, FullMemtable, Memtable};
use crate::name::{self, Tier, UNFINISHED};
use crate::range::TimeRange;
use crate::schema::{DST_ID, SRC_ID};
use crate::segment::{Segment, next_id_of};
use crate::state::State;
use crate::wal::{self, Logged};

/// What opening a store found in its log. All zero after a close in peace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Rows that were in no segment and came back.
    pub rows: u64,
    /// Bytes at the ends of logs that were being written when the process died.
    pub torn_bytes: u64,
    /// Parts of logs whose checksum is wrong: the disk changed them.
    pub damaged_frames: u64,
    /// Rows that are known to be lost with either. What the process had not
    /// written yet, the last fraction of a second, nobody knows.
    pub lost_rows: u64,
    /// The latest time among the rows that came back.
    pub until: Option<i64>,
}

pub(crate) struct Recovered {
    pub store: String,
    pub state: State,
    pub recovery: Recovery,
    /// The heads whose logs are on disk.
    pub logs: Vec<u64>,
}

/// Removes files that were being written.
pub(crate) fn clear(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if name::ends_with(&path, UNFINISHED) {
            disk::remove(&path)?;
        }
    }
    Ok(())
}

/// Reads the segments and logs of a directory. `owned`: this process writes it,
/// and may remove what is superseded.
///
/// # Errors
/// The directory or a log cannot be read.
pub(crate) fn recover(directory: &Path, owned: bool) -> io::Result<Recovered> {
    // Logs first: one that goes in between has a segment by then.
    let logs = wal::list(directory)?;
    let contents: Vec<_> = logs
        .iter()
        .map(|(head, path)| (*head, path, wal::read(path, None)))
        .collect();
    let catalog = Catalog::load(directory, owned)?;
    let mut ids = IdentityIds::default();
    if owned {
        take_up(&catalog, &mut ids);
    }
    // Heads are sealed in their order: what is up to the last segment is in one.
    let sealed = catalog.all().map(|s| *s.heads.end()).max().unwrap_or(0);
    let mut store = catalog.store().map(str::to_owned);
    let mut state = State::new(ids, catalog, memtable::FIRST);
    let (mut recovery, mut on_disk) = (Recovery::default(), Vec::new());
    let mut last = sealed.max(state.catalog.last_unreadable());
    for (head, path, content) in contents {
        last = last.max(head);
        match content {
            Ok((_, of)) if store.as_ref().is_some_and(|store| *store != of && !of.is_empty()) => {
                let error = wal::ReadError::OtherStore;
                state.foreign_logs.push((path.clone(), error.to_string()));
            }
            Ok((read, of)) => {
                if !of.is_empty() {
                    store.get_or_insert(of);
                }
                on_disk.push(head);
                if head > sealed {
                    recovery.take(&read);
                    restore(&mut state, head, read.frames);
                }
            }
            Err(wal::ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => state.foreign_logs.push((path.clone(), error.to_string())),
        }
    }
    recovery.rows = state.in_memory().map(|(batch, _)| batch.num_rows() as u64).sum();
    recovery.until = state.newest;
    let store = store.or_else(|| log_readers::store_of(directory));
    let store = store.unwrap_or_else(name_store);
    if owned {
        let readers = LogReaders::take_up(directory, &store, sealed, |from| {
            rows_by_head(&state.catalog, from)
        })?;
        // Where logs and segments were taken away, no place is given again all the same.
        last = last
            .max(readers.last_head())
            .max(log_readers::last_kept(directory)?);
        state.readers = Arc::new(readers);
    }
    state.open = Memtable::new(last + 1);
    (state.sealed, state.rolled) = (sealed, sealed);
    let segments = state.catalog.all().map(|s| s.time.until.saturating_sub(1)).max();
    state.newest = state.newest.max(segments);
    Ok(Recovered {
        store,
        state,
        recovery,
        logs: on_disk,
    })
}

/// Heads of whose rows it is told how many they are, at most.
const COUNTED_HEADS: usize = 1 << 17;

/// How many rows each head has in segments, from one on. Heads that were merged into one
/// segment have an even share of it: nobody knows any more.
fn rows_by_head(catalog: &Catalog, from: u64) -> BTreeMap<u64, u64> {
    let of_segment = |segment: &Arc<Segment>| {
        let (first, last) = (*segment.heads.start(), *segment.heads.end());
        let count = (last - first).saturating_add(1);
        let (rows, first) = (segment.rows, first.max(from));
        // The last of them have one more, where it does not come out even.
        let share = move |nth: u64| rows / count + u64::from(nth < rows % count);
        (first..=last).map(move |head| (head, share(last - head)))
    };
    let heads = catalog.tier(Tier::Raw).rev().flat_map(of_segment);
    heads.take(COUNTED_HEADS).collect()
}

/// Identities that are taken up, so that who was active keeps its id.
const TAKEN_UP: usize = 1 << 15;

/// No id is given again that a segment names, and those whom the newest segments
/// name have theirs again.
fn take_up(catalog: &Catalog, ids: &mut IdentityIds) {
    for segment in catalog.all() {
        ids.reserve(segment.next_id());
    }
    for file in &catalog.unreadable {
        ids.reserve(next_id_of(&file.path));
    }
    let mut rows = 0;
    for segment in catalog.tier(Tier::Raw).rev() {
        // Who asks for its rows hears that it cannot be read.
        let Ok(table) = segment.identities() else {
            continue;
        };
        let some = table.slice(0, table.num_rows().min(TAKEN_UP - rows));
        ids.learn(&identities::conform(&some), *segment.heads.end());
        rows += some.num_rows();
        if rows >= TAKEN_UP {
            return;
        }
    }
}

impl Recovery {
    fn take(&mut self, read: &wal::Read) {
        self.torn_bytes += read.torn;
        self.damaged_frames += read.damaged;
        self.lost_rows += read.lost;
    }
}

/// The rows of a log are a full head again.
fn restore(state: &mut State, number: u64, frames: Vec<Logged>) {
    let mut head = FullMemtable {
        number,
        batches: Vec::new(),
        bytes: 0,
        identities: Arc::default(),
    };
    let mut known = HashSet::from([0]);
    for frame in frames {
        if let Some(table) = &frame.identities {
            let named = NamedIdentities::of_table(table);
            state.ids.learn(named.table(), number);
            known.extend(identities::ids(table));
            head.identities.push(Arc::new(named));
        }
        let batch = frame.batch;
        if let Some(time) = time_of(batch.rows()).filter(|_| named(&known, batch.rows())) {
            head.bytes += batch.memory_size();
            state.newest = state.newest.max(Some(time.until.saturating_sub(1)));
            head.batches.push((batch, time));
        }
    }
    if !head.batches.is_empty() {
        state.memory.fetch_add(head.bytes, Ordering::Relaxed);
        state.full.push_back(Arc::new(head));
    }
}

/// A damaged frame may have taken identities with it that later ones name.
pub(crate) fn named(known: &HashSet<u32>, rows: &RecordBatch) -> bool {
    [SRC_ID, DST_ID].into_iter().all(|side| {
        let ids = rows
            .column_by_name(side)
            .and_then(|c| c.as_primitive_opt::<UInt32Type>());
        ids.is_some_and(|ids| ids.values().iter().all(|id| known.contains(id)))
    })
}

fn time_of(rows: &RecordBatch) -> Option<TimeRange> {
    let times = rows
        .column_by_name("time")?
        .as_primitive_opt::<TimestampMicrosecondType>()?;
    (times.null_count() == 0).then_some(())?;
    Some(TimeRange::spanning(min(times)?, max(times)?))
}

/// A name that no other store has.
pub(crate) fn name_store() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}
