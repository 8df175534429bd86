//! How much room the disk has, and what goes when there is too little: the oldest
//! records, before new ones are refused. Their sums stay as long as there are records,
//! and those by hour always.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::name::Tier;
use crate::segment::Segment;
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
        expire(shared, &[Tier::Raw], short);
    }
}

/// Lets the oldest records go for that many bytes that the disk has just not taken, and
/// where there are no more of them, sums by minute. False: nothing went, and trying
/// again is of no use yet.
///
/// Not every file system has the room of a file back at once, and a snapshot or a reader
/// may hold it: where the disk has no more than before, nothing else goes for now.
pub(crate) fn make(shared: &Shared, bytes: u64) -> bool {
    if shared.settings.min_free == Some(0) {
        return false;
    }
    let settings = &shared.settings;
    let free = || {
        settings
            .disk
            .space(&settings.directory)
            .ok()
            .map(|space| space.free)
    };
    let before = free();
    let is_freed = || before.zip(free()).is_none_or(|(before, now)| now > before);
    expire(shared, &[Tier::Raw, Tier::Minute], bytes.max(1)) && soon(is_freed)
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
    let mut state = shared.lock();
    let expired = oldest(&mut state, tiers, bytes);
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
fn oldest(state: &mut State, tiers: &[Tier], bytes: u64) -> Vec<Arc<Segment>> {
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
        // Records whose sums are not made yet go last: nothing would be left of them.
        let (without_sums, summed): (Vec<&Arc<Segment>>, Vec<&Arc<Segment>>) = may_go
            .copied()
            .partition(|segment| state.catalog.lacks_sums(segment));
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
    use super::*;

    #[test]
    fn a_gibibyte_stays_free_but_no_more_than_a_twentieth_unless_asked() {
        assert_eq!(min_free(None, 1 << 40), 1 << 30);
        assert_eq!(min_free(None, 2_000), 100);
        assert_eq!(min_free(Some(500), 2_000), 500);
        assert_eq!(min_free(Some(0), 1 << 40), 0);
    }

    #[test]
    fn the_system_says_how_much_room_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let space = Disk::default().space(directory.path()).unwrap();
        assert!(space.free <= space.total && space.total > 0, "{space:?}");
    }
}
