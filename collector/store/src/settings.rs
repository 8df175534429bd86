//! What a store is told.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::Clock;
use crate::name::Tier;
use crate::space::Disk;

/// How a store is kept.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it lies. Made if it is not there.
    pub directory: PathBuf,
    /// Rows that make a segment.
    pub seal_rows: usize,
    /// How long rows wait for others before they make a segment.
    pub seal_age: Duration,
    /// How long a row waits before it is written to the log.
    pub write_age: Duration,
    /// How long what was written waits for an fsync.
    pub sync_age: Duration,
    /// Bytes of rows in memory, those of segments that are being written
    /// included. What comes beyond is refused.
    pub max_memory: usize,
    /// How long each tier is kept, in the order of [`Tier::ALL`].
    pub retention: [Retention; Tier::ALL.len()],
    /// Bytes of the disk that stay free: where fewer are, the oldest records expire
    /// before their time. `None`: 1 GiB, and not more than a twentieth of the disk;
    /// 0: none, and nothing expires for it.
    pub min_free: Option<u64>,
    /// How much room there is.
    pub disk: Disk,
    /// By which records grow old. It has to be the one that gave them their `time`.
    pub clock: Clock,
}

/// How much of a tier is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Rows may be as old; `None`: as old as they like.
    pub age: Option<Duration>,
    /// Bytes of all segments; `None`: no bound.
    pub bytes: Option<u64>,
}

const DAY: Duration = Duration::from_hours(24);

impl Settings {
    /// Those of a store in this directory: records are kept for 7 days and
    /// within 50 GiB, sums by minute for 30 days and 10 GiB, sums by hour for a
    /// year and 10 GiB, edges for 400 days and 10 GiB.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let kept = |days: u32, gib: u64| Retention {
            age: Some(DAY * days),
            bytes: Some(gib << 30),
        };
        Self {
            directory: directory.into(),
            seal_rows: 1 << 20,
            seal_age: Duration::from_secs(300),
            write_age: Duration::from_millis(200),
            sync_age: Duration::from_secs(1),
            max_memory: 1 << 30,
            retention: [kept(7, 50), kept(30, 10), kept(365, 10), kept(400, 10)],
            min_free: None,
            disk: Disk::default(),
            clock: Clock::default(),
        }
    }
}
