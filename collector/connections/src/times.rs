//! Times of records that cannot be, made right where they come in: all that follows may
//! rely on a start, and an end that is not before it.

use crate::observation::{Micros, Observation};

/// 2000-01-01: what is before it was said by a clock that had not been set, or is no time.
const FIRST: Micros = 946_684_800_000_000;

/// The observation with times that can be, where its own cannot. A missing one is the
/// other one; where both are missing it is when the log took it. Of an end before its
/// start the one is believed that is not ahead of that.
pub(crate) fn mended(observation: &Observation, now: Micros, tolerance: u64) -> Option<Observation> {
    let (start, end) = (observation.start, observation.end);
    if FIRST <= start && start <= end {
        return None;
    }
    let is_ahead = start > now.saturating_add(tolerance);
    let (start, end) = match (start >= FIRST, end >= FIRST) {
        (true, true) if is_ahead => (end, end),
        (true, _) => (start, start),
        (false, true) => (end, end),
        (false, false) => (now, now),
    };
    Some(Observation {
        start,
        end,
        ..observation.clone()
    })
}
