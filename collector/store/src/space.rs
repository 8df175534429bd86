//! How much room the disk has, and what goes when there is too little: the oldest
//! records, before new ones are refused. Their sums stay as long as there are records,
//! and those by hour always.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::logging;
use crate::name::Tier;
use crate::segment::Segment;
use crate::settings::Retention;
use crate::state::{Shared, State};
use crate::status::Trouble;

/// What stays free unless asked otherwise, in bytes.
const MIN_FREE: u64 = 1 << 30;
/// And not more than one part in so many of the disk.
const SHARE: u64 = 20;

/// Room on a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// What the store may still write.
    pub free: u64,
    /// All there is.
    pub total: u64,
}

/// Says how much room there is where a directory lies.
#[derive(Clone)]
pub struct Disk(Arc<SpaceOf>);

type SpaceOf = dyn Fn(&Path) -> io::Result<DiskSpace> + Send + Sync;

impl Disk {
    /// One that says what the function says.
    pub fn new(space: impl Fn(&Path) -> io::Result<DiskSpace> + Send + Sync + 'static) -> Self {
        Self(Arc::new(space))
    }

    pub(crate) fn space(&self, directory: &Path) -> io::Result<DiskSpace> {
        (self.0)(directory)
    }
}

/// The system's word (statvfs(3)): what one without privileges may write.
impl Default for Disk {
    fn default() -> Self {
        Self::new(|directory| {
            let told = rustix::fs::statvfs(directory)?;
            Ok(DiskSpace {
                free: told.f_bavail.saturating_mul(told.f_frsize),
                total: told.f_blocks.saturating_mul(told.f_frsize),
            })
        })
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

/// Bytes that stay free on a disk of that size.
pub(crate) fn min_free(asked: Option<u64>, total: u64) -> u64 {
    asked.unwrap_or_else(|| MIN_FREE.min(total / SHARE))
}

/// Looks at the disk: where less than is to stay free is, the oldest records go.
pub(crate) fn keep_free(shared: &Shared) {
    let settings = &shared.settings;
    let Ok(space) = settings.disk.space(&settings.directory) else {
        return;
    };
    let short = min_free(settings.min_free, space.total).saturating_sub(space.free);
    let outcome = match short {
        0 => Ok(()),
        _ => Err(Trouble {
            part: "disk",
            reason: format!(
                "{} of {} bytes are free; the oldest records expire before their time so that new ones fit",
                space.free, space.total
            ),
            full_disk: true,
        }),
    };
    shared.lock().note("disk", outcome);
    if short > 0 {
        let freed = give_up_logs(shared, short);
        expire(shared, &[Tier::Raw], short.saturating_sub(freed));
    }
}

/// Lets logs go that are kept for readers alone: their rows are in segments, so that they
/// go before any record. Returns the bytes that it took from the disk.
fn give_up_logs(shared: &Shared, bytes: u64) -> u64 {
    let given_up = shared.readers.give_up_logs(bytes);
    if given_up.bytes > 0 {
        tracing::warn!(
            bytes = given_up.bytes,
            "the disk is short: readers of the log that lag are not shown all"
        );
        // First the cursors, so that what is given up is counted whatever crashes. A disk that
        // has no room for them either gets it first: then it is counted as lost.
        if !logging::save_cursors(shared) {
            shared.readers.let_go(given_up.through);
        }
    }
    match logging::remove_kept(shared) {
        Ok(freed) => freed,
        Err(error) => {
            tracing::warn!(%error, "logs that nobody reads cannot be removed");
            0
        }
    }
}

/// Lets the oldest records go for that many bytes that the disk has just not taken, and
/// where there are no more of them, sums by minute; logs that are kept for readers before
/// either, and those alone with a `min_free` of 0. False: nothing went, and trying
/// again is of no use yet.
///
/// Not every file system has the room of a file back at once, and a snapshot or a reader
/// may hold it: where the disk has no more than before, nothing else goes for now.
pub(crate) fn make(shared: &Shared, bytes: u64) -> bool {
    let settings = &shared.settings;
    let may_expire = settings.min_free != Some(0);
    let free = || {
        settings
            .disk
            .space(&settings.directory)
            .ok()
            .map(|space| space.free)
    };
    let before = free();
    let freed = give_up_logs(shared, bytes);
    let is_freed = || before.zip(free()).is_none_or(|(before, now)| now > before);
    (freed > 0 || may_expire && expire(shared, &[Tier::Raw, Tier::Minute], bytes.max(1))) && soon(is_freed)
}

/// Whether it comes true within a tenth of a second.
fn soon(comes_true: impl Fn() -> bool) -> bool {
    (0..10).any(|_| {
        let is_true = comes_true();
        if !is_true {
            thread::sleep(Duration::from_millis(10));
        }
        is_true
    })
}

fn expire(shared: &Shared, tiers: &[Tier], bytes: u64) -> bool {
    let now = shared.settings.clock.now();
    let mut state = shared.lock();
    let expired = oldest(&mut state, tiers, bytes, &shared.settings.retention, now);
    for segment in &expired {
        state.expire(segment);
        if segment.tier == Tier::Raw {
            state.counts.expired_early_rows += segment.rows;
        }
        state.leaving.push(Arc::downgrade(segment));
    }
    drop(state);
    for segment in &expired {
        tracing::warn!(path = %segment.path.display(), rows = segment.rows,
            "the disk is short: records expired before their time");
    }
    !expired.is_empty()
}

/// The oldest segments of these tiers, one after the other, that have so many bytes, but
/// never the last of a tier. What has expired and is still being read counts: its file
/// is about to go.
fn oldest(
    state: &mut State,
    tiers: &[Tier],
    bytes: u64,
    retention: &[Retention; Tier::ALL.len()],
    now: i64,
) -> Vec<Arc<Segment>> {
    state.leaving.retain(|segment| segment.strong_count() > 0);
    let leaving = state.leaving.iter().filter_map(|segment| segment.upgrade());
    let mut freed: u64 = leaving.map(|segment| segment.bytes).sum();
    let mut oldest = Vec::new();
    // The log of a segment has to be gone before the segment goes.
    let forgotten = state.forgotten;
    for tier in tiers {
        let segments: Vec<_> = state.catalog.tier(*tier).collect();
        let all_but_last = segments.iter().take(segments.len().saturating_sub(1));
        let may_go = all_but_last.take_while(|segment| *segment.heads.end() <= forgotten);
        // Records whose sums are not made yet go last: nothing would be left of them. Edges
        // do not count: what has none yet is old, as a rule, and there are sums of it.
        let sums = Tier::FLOWS.into_iter().find(|sums| sums.source() == Some(*tier));
        let lacking = sums.map_or_else(Vec::new, |sums| {
            // The clock decides an order here, and no loss: it is believed.
            state.lacking_by(*tier, sums, retention[sums as usize], (now, Duration::MAX))
        });
        let (without_sums, summed): (Vec<&Arc<Segment>>, Vec<&Arc<Segment>>) = may_go
            .copied()
            .partition(|segment| lacking.iter().any(|other| Arc::ptr_eq(other, segment)));
        for segment in summed.into_iter().chain(without_sums) {
            if freed >= bytes {
                return oldest;
            }
            freed = freed.saturating_add(segment.bytes);
            oldest.push(Arc::clone(segment));
        }
    }
    oldest
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;
    use crate::catalog::Catalog;
    use crate::identity_ids::IdentityIds;
    use crate::lock::Lock;
    use crate::log_frame::Cursor;
    use crate::log_readers::Bounds;
    use crate::range::TimeRange;
    use crate::settings::Settings;

    const DAY: i64 = 24 * 3_600 * 1_000_000;

    /// A store of these heads, one a day, a hundred bytes each, on the evening of day 7.
    fn stored(tiers: &[(Tier, std::ops::RangeInclusive<u64>)]) -> State {
        let mut catalog = Catalog::default();
        for (tier, heads) in tiers {
            for head in heads.clone() {
                let day = head as i64 * DAY;
                let mut segment = Segment::of_test(TimeRange::spanning(day, day + 1), head);
                segment.tier = *tier;
                segment.path = format!("{tier:?} {head}").into();
                catalog.add(segment);
            }
        }
        let mut state = State::new(IdentityIds::default(), catalog, 8);
        (state.forgotten, state.rolled, state.steady_for) = (7, 7, Duration::MAX);
        state
    }

    /// The heads of records that go for so many segments, where tiers are kept for so many days.
    fn first_to_go(tiers: &[(Tier, std::ops::RangeInclusive<u64>)], days: [u32; 4], count: u64) -> Vec<u64> {
        let kept = days.map(|days| Retention {
            age: Some(Duration::from_hours(24) * days),
            bytes: None,
        });
        let now = 7 * DAY + DAY / 2;
        let first = |steady_for| {
            let mut state = stored(tiers);
            state.steady_for = steady_for;
            let gone = oldest(&mut state, &[Tier::Raw], 100 * count, &kept, now);
            gone.iter()
                .map(|segment| *segment.heads.start())
                .collect::<Vec<_>>()
        };
        let heads = first(Duration::MAX);
        assert_eq!(first(Duration::ZERO), heads, "as after an outage");
        heads
    }

    #[test]
    fn a_short_disk_takes_the_oldest_records_first_whatever_of_their_sums_expired() {
        use Tier::{Edges, Minute, Raw};
        let shorter_edges = [(Raw, 1..=7), (Minute, 1..=7), (Edges, 5..=7)];
        assert_eq!(first_to_go(&shorter_edges, [7, 30, 365, 3], 3), [1, 2, 3]);
        let shorter_minutes = [(Raw, 1..=7), (Minute, 5..=7), (Edges, 1..=7)];
        assert_eq!(first_to_go(&shorter_minutes, [7, 3, 365, 400], 3), [1, 2, 3]);
        let of_an_older_version = [(Raw, 1..=7), (Minute, 1..=7), (Edges, 7..=7)];
        assert_eq!(first_to_go(&of_an_older_version, [7, 30, 365, 400], 3), [1, 2, 3]);
    }

    #[test]
    fn records_whose_sums_can_still_be_made_go_last() {
        use Tier::{Minute, Raw};
        let unmade = [(Raw, 1..=7), (Minute, 3..=7)];
        assert_eq!(first_to_go(&unmade, [7, 30, 365, 400], 5), [3, 4, 5, 6, 1]);
    }

    #[test]
    fn what_expired_before_its_records_is_not_made_again_after_a_restart() {
        use Tier::{Edges, Minute, Raw};
        let state = stored(&[(Raw, 1..=7), (Minute, 1..=7), (Edges, 5..=7)]);
        let to_make = |age: Option<u32>, bytes| {
            let kept = Retention {
                age: age.map(|days| Duration::from_hours(24) * days),
                bytes,
            };
            let without = state.without_sums(Raw, Edges, kept, 7 * DAY + DAY / 2);
            without
                .iter()
                .map(|segment| *segment.heads.start())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            to_make(Some(400), Some(1_000)),
            [1, 2, 3, 4],
            "an older version made none"
        );
        assert_eq!(to_make(Some(3), None), [0; 0], "too old");
        assert_eq!(to_make(None, Some(350)), [0; 0], "there is no room");
    }

    #[test]
    fn a_gibibyte_stays_free_but_no_more_than_a_twentieth_unless_asked() {
        assert_eq!(min_free(None, 1 << 40), 1 << 30);
        assert_eq!(min_free(None, 2_000), 100);
        assert_eq!(min_free(Some(500), 2_000), 500);
        assert_eq!(min_free(Some(0), 1 << 40), 0);
    }

    #[test]
    fn kept_logs_go_for_new_rows_where_no_record_may() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept-1");
        std::fs::write(&kept, "a log").unwrap();
        let file = kept.clone();
        let settings = Settings {
            min_free: Some(0),
            disk: Disk::new(move |_| {
                let free = if file.exists() { 0 } else { 5 };
                Ok(DiskSpace { free, total: 100 })
            }),
            ..Settings::new(directory.path())
        };
        let state = State::new(IdentityIds::default(), Catalog::default(), 2);
        let shared = Shared::new(settings, "a store".to_owned(), state, Weak::new());
        let [first, end] = [0, 1].map(|frame| Cursor { head: 1, frame });
        let bounds = Bounds {
            bytes: 100,
            age: None,
        };
        let joined = shared.readers.attach("sink", bounds, first).unwrap();
        let lock = Arc::new(Lock::take(directory.path(), "lock").unwrap());
        let log = joined.begin(directory.path(), "a store", lock).unwrap();
        shared.readers.logged(first, 10, 5);
        shared.readers.sealed(1);
        assert!(make(&shared, 1));
        assert!(!kept.exists());
        assert_eq!((log.status().dropped.disk_short, log.status().cursor), (10, end));
        assert!(!make(&shared, 1), "there is nothing more");
    }

    #[test]
    fn the_system_says_how_much_room_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let space = Disk::default().space(directory.path()).unwrap();
        assert!(space.free <= space.total && space.total > 0, "{space:?}");
    }
}
