//! Keeping house: sums by minute and hour, edges, expiry, merging.

use std::time::{Duration, Instant};

use arrow::array::RecordBatch;

use crate::batch::Batch;
use crate::clock::{CALM, ClockSteadiness};
use crate::edges::{self, Crowds, Made};
use crate::expiry;
use crate::merge;
use crate::name::{SegmentName, Tier};
use crate::orphans;
use crate::rollup;
use crate::seal::{self, Origin};
use crate::segment::{Segment, SegmentError};
use crate::sorted::Sorted;
use crate::space;
use crate::state::{Shared, Stage};
use crate::status::Trouble;

/// How often the house is looked after without a call.
const PERIOD: Duration = Duration::from_secs(10);

/// Looks after the house until the store ends. `newest`: the time of the last row
/// of the runs before.
pub(crate) fn run(shared: &Shared, newest: Option<i64>) {
    let clock = &shared.settings.clock;
    let mut too_many = merge::TooMany::new();
    let mut trust = ClockSteadiness::new(clock.now(), Instant::now(), newest);
    loop {
        trust.look(clock.now(), Instant::now());
        shared.lock().steady_for = trust.steady_for();
        let outcome = missing(shared).map_err(|error| Trouble::segment("rollup", &error));
        shared.lock().note("rollup", outcome);
        trust.look(clock.now(), Instant::now());
        expire(shared, &trust);
        space::keep_free(shared);
        merge(shared, &mut too_many);
        let state = shared.lock();
        if state.stage != Stage::Running {
            return;
        }
        let state = shared.wait(&shared.keep, state, PERIOD);
        if state.stage != Stage::Running {
            return;
        }
    }
}

/// Makes the sums of a segment that was just written.
pub(crate) fn roll_up(
    shared: &Shared,
    raw: &SegmentName,
    origin: &Origin<'_>,
    rows: &Sorted,
    identities: &RecordBatch,
) {
    let minute = sums(rows, Tier::Minute, identities);
    let outcome = write(shared, raw, Tier::Minute, origin, &minute, identities)
        .and_then(|()| {
            let hour = sums(&minute.rows, Tier::Hour, identities);
            write(shared, raw, Tier::Hour, origin, &hour, identities)
        })
        .and_then(|()| {
            let edges = sums(rows, Tier::Edges, identities);
            write(shared, raw, Tier::Edges, origin, &edges, identities)
        })
        .map_err(|error| Trouble::segment("rollup", &error));
    let mut state = shared.lock();
    state.rolled = state.rolled.max(*raw.heads.end());
    state.note("rollup", outcome);
}

/// The rows of a tier, made of those of its source.
pub(crate) fn sums(rows: &Sorted, tier: Tier, identities: &RecordBatch) -> Made {
    match tier {
        Tier::Edges => edges::of_records(rows, &Crowds::of(identities)),
        _ => Made::of(rollup::roll_up(rows, tier.bucket().unwrap_or(1))),
    }
}

/// Writes the sums of a finer segment under the same heads and time.
fn write(
    shared: &Shared,
    finer: &SegmentName,
    tier: Tier,
    origin: &Origin<'_>,
    sums: &Made,
    identities: &RecordBatch,
) -> Result<(), SegmentError> {
    let name = SegmentName {
        tier,
        ..finer.clone()
    };
    let segment = seal::write(&shared.settings.directory, &name, origin, &sums.rows, identities)?;
    let mut state = shared.lock();
    state.catalog.add(segment);
    state.counts.folded_ports += sums.folded_ports;
    Ok(())
}

/// Makes the sums that a crash, a full disk or an older version left out. The rest of the
/// house does not wait for it: what is not made within a period is made in the next.
fn missing(shared: &Shared) -> Result<(), SegmentError> {
    let (started, settings) = (Instant::now(), &shared.settings);
    let mut refused = None;
    let made = Tier::ALL
        .into_iter()
        .filter_map(|tier| Some((tier.source()?, tier)));
    for (finer, tier) in made {
        let (kept, now) = (settings.retention[tier as usize], settings.clock.now());
        let without = shared.lock().without_sums(finer, tier, kept, now);
        for segment in without {
            if shared.lock().stage != Stage::Running {
                return Ok(());
            }
            if started.elapsed() >= PERIOD {
                return refused.map_or(Ok(()), Err);
            }
            let name = SegmentName {
                tier: finer,
                time: segment.time,
                heads: segment.heads.clone(),
            };
            match segment.read().and_then(|rows| Ok((rows, segment.identities()?))) {
                Ok((rows, identities)) => {
                    let schema = rows.schema();
                    let rows = Sorted::new_sorted(vec![Batch::of_rows(rows)], &schema);
                    let origin = Origin {
                        store: &shared.store,
                        next_id: segment.next_id_beside(&identities),
                    };
                    let sums = sums(&rows, tier, &identities);
                    write(shared, &name, tier, &origin, &sums, &identities)?;
                }
                Err(error) if error.is_passing() => {
                    refused.get_or_insert(error);
                }
                Err(error) => set_aside(shared, &segment, &error),
            }
        }
    }
    refused.map_or(Ok(()), Err)
}

/// A segment whose end was whole and whose middle is not.
fn set_aside(shared: &Shared, segment: &Segment, error: &SegmentError) {
    shared.lock().catalog.put_aside(segment, error);
}

/// Makes one of many small segments; they can be read as they are if that fails.
fn merge(shared: &Shared, too_many: &mut merge::TooMany) {
    let outcome = merge::run(shared, too_many).map_err(|(segment, error)| {
        if matches!(error, SegmentError::Parquet(_)) && !error.is_passing() {
            set_aside(shared, &segment, &error);
        }
        Trouble::segment("merge", &error)
    });
    shared.lock().note("merge", outcome);
}

fn expire(shared: &Shared, trust: &ClockSteadiness) {
    let (now, steady_for) = (shared.settings.clock.now(), trust.steady_for());
    let mut state = shared.lock();
    state.note("clock", doubt(steady_for));
    let mut expired = Vec::new();
    for (tier, retention) in Tier::ALL.into_iter().zip(shared.settings.retention) {
        let mut segments: Vec<_> = state.catalog.tier(tier).cloned().collect();
        // The log of a segment has to be gone before the segment goes.
        segments.retain(|segment| *segment.heads.end() <= state.forgotten);
        for segment in expiry::expired(&segments, retention, now, steady_for) {
            state.expire(&segment);
            expired.push(segment);
        }
    }
    let settled = state.sealed.min(state.rolled);
    drop(state);
    for segment in &expired {
        tracing::info!(path = %segment.path.display(), rows = segment.rows, "a segment expired");
    }
    // Their files go when nobody reads them any more: now, as a rule.
    let any = !expired.is_empty();
    drop(expired);
    if any && let Err(error) = orphans::remove(&shared.settings.directory, settled) {
        tracing::warn!(%error, "identities without rows cannot be removed");
    }
}

fn doubt(steady_for: Duration) -> Result<(), Trouble> {
    if steady_for >= CALM {
        return Ok(());
    }
    Err(Trouble {
        part: "clock",
        reason: "the clock is far from where records and the time gone by put it; \
                 until it has been steady for a day, what may be old is kept"
            .to_owned(),
        full_disk: false,
    })
}
