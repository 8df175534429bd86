//! How the store is: what is in it, what went through it, what is wrong.

use std::io;

use crate::catalog::{Catalog, Unreadable};
use crate::name::Tier;
use crate::range::TimeRange;
use crate::segment::SegmentError;
use crate::space::DiskSpace;

/// Why records are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// They come faster than they can be sealed.
    Behind,
    /// The disk is full.
    DiskFull,
    /// The disk fails otherwise.
    DiskFailed,
}

impl Refusal {
    /// The word for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Behind => "store_behind",
            Self::DiskFull => "store_full",
            Self::DiskFailed => "store_failed",
        }
    }
}

/// What went through a store since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that were taken.
    pub stored: u64,
    /// Rows that were refused as [`Refusal::Behind`].
    pub refused_behind: u64,
    /// As [`Refusal::DiskFull`].
    pub refused_disk_full: u64,
    /// As [`Refusal::DiskFailed`].
    pub refused_disk_failed: u64,
    /// Bytes that were written to logs.
    pub log_bytes: u64,
    /// Segments of records that were written.
    pub sealed: u64,
    /// Rows in them.
    pub sealed_rows: u64,
    /// How often a segment of records was begun.
    pub seal_attempts: u64,
    /// Nanoseconds that writing them took.
    pub seal_ns: u64,
    /// Segments that were merged into greater ones.
    pub merged: u64,
    /// Ports of servers that were left out of edges: their client called more in an hour
    /// than is kept of a pair.
    pub folded_ports: u64,
    /// Rows of records that expired.
    pub expired_rows: u64,
    /// Rows of them that expired before their time, because the disk was short.
    pub expired_early_rows: u64,
    /// Segments of any tier that expired.
    pub expired_segments: u64,
}

impl Counts {
    pub(crate) fn refused(&mut self, reason: Refusal) -> &mut u64 {
        match reason {
            Refusal::Behind => &mut self.refused_behind,
            Refusal::DiskFull => &mut self.refused_disk_full,
            Refusal::DiskFailed => &mut self.refused_disk_failed,
        }
    }
}

/// Something that the store tries again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What does not go on: `log`, `sync`, `forget` (of logs), `seal`,
    /// `rollup`, `merge`, `clock`, `disk`, `readers` (of the log).
    pub part: &'static str,
    /// The reason.
    pub reason: String,
    /// The disk has no room.
    pub full_disk: bool,
}

impl Trouble {
    pub(crate) fn io(part: &'static str, error: &io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        Self {
            part,
            reason: error.to_string(),
            full_disk: matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge),
        }
    }

    pub(crate) fn segment(part: &'static str, error: &SegmentError) -> Self {
        match error {
            SegmentError::Read(error) => Self::io(part, error),
            other => Self {
                part,
                reason: other.to_string(),
                full_disk: false,
            },
        }
    }

    pub(crate) fn fault(part: &'static str) -> Self {
        Self {
            part,
            reason: "a fault of the program; the log of the process has it".to_owned(),
            full_disk: false,
        }
    }

    /// Rows have to wait in memory because of it.
    pub(crate) fn holds_rows(&self) -> bool {
        matches!(self.part, "log" | "seal")
    }
}

/// How a store is.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Segments and bytes of each tier, in the order of [`Tier::ALL`].
    pub tiers: [TierStatus; Tier::ALL.len()],
    /// Files that are skipped.
    pub unreadable: Vec<Unreadable>,
    /// Rows in memory that are in no segment yet.
    pub memory_rows: u64,
    /// Bytes of them.
    pub memory_bytes: u64,
    /// Rows of them that are not in the log yet.
    pub unlogged_rows: u64,
    /// Identities that are in memory, whose numbers would be given again.
    pub identities: u64,
    /// Room on the disk, where the store is being written and the system tells.
    pub disk: Option<DiskSpace>,
    /// What went through it.
    pub counts: Counts,
    /// What is wrong now; empty when all is well.
    pub troubles: Vec<Trouble>,
}

/// How much a tier has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TierStatus {
    /// Segments.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes that they take, identities included.
    pub bytes: u64,
    /// The earliest and latest time in them.
    pub time: Option<TimeRange>,
}

impl Status {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let mut status = Self {
            unreadable: catalog.unreadable.clone(),
            ..Self::default()
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
}
