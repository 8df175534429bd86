//! The thread that makes segments of full heads, one after the other.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::maintenance;
use crate::memtable::FullMemtable;
use crate::name::{SegmentName, Tier};
use crate::range::TimeRange;
use crate::schema;
use crate::seal::{self, Origin};
use crate::segment::SegmentError;
use crate::sorted::Sorted;
use crate::space;
use crate::state::{Shared, Stage};
use crate::status::Trouble;
use crate::wal;

/// Frames of sealed heads may take that part of the memory until they are in the log.
const UNLOGGED: usize = 4;

/// How often it is looked whether the log thread is done with a head.
const LOOKS: usize = 100;

/// Until the disk is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// Seals heads in their order until the store ends.
pub(crate) fn run(shared: &Shared) {
    loop {
        let mut state = shared.lock();
        let head = match (state.full.front(), state.stage) {
            (_, Stage::Ending) => return,
            (None, Stage::Sealing) => return,
            (None, Stage::Running) => {
                drop(shared.wait(&shared.seal, state, PAUSE));
                continue;
            }
            (Some(head), _) => Arc::clone(head),
        };
        let next_id = state.ids.next();
        state.counts.seal_attempts += 1;
        drop(state);
        let origin = Origin {
            store: &shared.store,
            next_id,
        };
        if let Err(error) = seal(shared, &head, &origin) {
            let trouble = Trouble::segment("seal", &error);
            if trouble.full_disk && space::make(shared, head.bytes as u64) {
                continue;
            }
            let mut state = shared.lock();
            state.note("seal", Err(trouble));
            if state.stage == Stage::Sealing {
                // What is not sealed is in the log, or lost with the disk.
                state.stage = Stage::Ending;
            }
            shared.seal.notify_all();
            shared.log.notify_all();
            drop(shared.wait(&shared.seal, state, PAUSE));
        }
    }
}

fn seal(shared: &Shared, head: &FullMemtable, origin: &Origin<'_>) -> Result<(), SegmentError> {
    let started = Instant::now();
    let directory = &shared.settings.directory;
    sync_log(shared, head.number);
    let batches = head.batches.iter().map(|(batch, _)| batch.clone());
    let rows = Sorted::new_sorted(batches.collect(), &schema::facts());
    let name = SegmentName {
        tier: Tier::Raw,
        time: time_of(&head.batches),
        heads: head.number..=head.number,
    };
    let identities = head.identities.table();
    let segment = seal::write(directory, &name, origin, &rows, &identities)?;
    let mut state = shared.lock();
    state.sealed(head, segment);
    let skipped = state.bound_unlogged(shared.settings.max_memory / UNLOGGED);
    state.counts.sealed += 1;
    state.counts.sealed_rows += rows.len() as u64;
    state.counts.seal_ns += u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
    state.note("seal", Ok(()));
    drop(state);
    if skipped > 0 {
        tracing::warn!(
            rows = skipped,
            "the disk is too slow for the log: readers with a cursor are not shown all, see `lost`"
        );
    }
    shared.log.notify_all();
    shared.seal.notify_all();
    maintenance::roll_up(shared, &name, origin, &rows, &identities);
    Ok(())
}

/// Brings the log of a head to the disk before its segment, where somebody reads it from a
/// cursor: so a head that is in a segment has its whole log, whatever crashes. Where the disk
/// does not take the log, the segment goes first, and readers are told of what they lack.
fn sync_log(shared: &Shared, head: u64) {
    if !shared.readers.has_cursors() {
        return;
    }
    let mut state = shared.lock();
    for _ in 0..LOOKS {
        let is_waiting = state.logging > 0 || state.unlogged.iter().any(|frame| frame.cursor.head == head);
        if !is_waiting || state.troubles.iter().any(|trouble| trouble.part == "log") {
            break;
        }
        state = shared.wait(&shared.seal, state, shared.settings.write_age / 4);
    }
    drop(state);
    let synced = File::open(wal::path(&shared.settings.directory, head)).and_then(|log| log.sync_all());
    if let Err(error) = synced {
        tracing::debug!(head, %error, "the log of a head is not synced before its segment");
    }
}

fn time_of(batches: &[(Batch, TimeRange)]) -> TimeRange {
    let times = batches.iter().map(|(_, time)| *time);
    times
        .reduce(|all, time| all.union(&time))
        .unwrap_or(TimeRange::spanning(0, 0))
}
