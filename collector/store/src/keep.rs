//! Keeping house: sums by minute and hour, expiry.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;

use crate::name::{SegmentName, Tier};
use crate::rollup;
use crate::schema;
use crate::seal;
use crate::segment::{Segment, SegmentError};
use crate::state::{Shared, Stage};
use crate::status::Trouble;

/// How often the house is looked after without a call.
const PERIOD: Duration = Duration::from_secs(10);

/// Looks after the house until the store ends.
pub(crate) fn run(shared: &Shared) {
    loop {
        let state = shared.lock();
        if state.stage != Stage::Running {
            return;
        }
        drop(shared.wait(&shared.keep, state, PERIOD));
        let outcome = missing(shared).map_err(|error| Trouble::segment("rollup", &error));
        shared.lock().note("rollup", outcome);
    }
}

/// Makes the sums of a segment that was just written.
pub(crate) fn roll_up(shared: &Shared, raw: &SegmentName, rows: &RecordBatch, identities: &RecordBatch) {
    let outcome = minute(shared, raw, rows, identities).and_then(|(name, minute)| {
        let hour = sums(&minute, Tier::Hour);
        write(shared, &name, Tier::Hour, &hour, identities)
    });
    let outcome = outcome.map_err(|error| Trouble::segment("rollup", &error));
    let mut state = shared.lock();
    state.rolled = state.rolled.max(*raw.heads.end());
    state.note("rollup", outcome);
}

fn minute(
    shared: &Shared,
    raw: &SegmentName,
    rows: &RecordBatch,
    identities: &RecordBatch,
) -> Result<(SegmentName, RecordBatch), SegmentError> {
    let minute = sums(rows, Tier::Minute);
    write(shared, raw, Tier::Minute, &minute, identities)?;
    Ok((raw.clone(), minute))
}

fn sums(rows: &RecordBatch, tier: Tier) -> RecordBatch {
    let sums = rollup::roll_up(rows, tier.bucket().unwrap_or(1));
    seal::sort(&[sums], &schema::rollup())
}

/// Writes the sums of a finer segment under the same heads and time.
fn write(
    shared: &Shared,
    finer: &SegmentName,
    tier: Tier,
    sums: &RecordBatch,
    identities: &RecordBatch,
) -> Result<(), SegmentError> {
    let name = SegmentName {
        tier,
        ..finer.clone()
    };
    let segment = seal::write(&shared.settings.directory, &name, &shared.store, sums, identities)?;
    shared.lock().catalog.add(segment);
    Ok(())
}

/// Makes the sums that a crash or a full disk left out.
fn missing(shared: &Shared) -> Result<(), SegmentError> {
    for (finer, tier) in [(Tier::Raw, Tier::Minute), (Tier::Minute, Tier::Hour)] {
        let state = shared.lock();
        let mut without: Vec<Arc<Segment>> = state.catalog.without(finer, tier);
        // Those of later heads are being made with their segment.
        without.retain(|segment| *segment.heads.end() <= state.rolled);
        drop(state);
        for segment in without {
            let (rows, identities) = (segment.read()?, segment.identities()?);
            let name = SegmentName {
                tier: finer,
                time: segment.time,
                heads: segment.heads.clone(),
            };
            write(shared, &name, tier, &sums(&rows, tier), &identities)?;
        }
    }
    Ok(())
}
