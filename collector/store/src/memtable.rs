//! Rows in memory: those that came since the last sealing, and those that wait to be
//! sealed. In the names of files its number is that of a head.

use std::sync::Arc;
use std::time::Instant;

use crate::batch::Batch;
use crate::memory_identities::MemoryIdentities;
use crate::range::TimeRange;
use crate::settings::Settings;

/// The number of the first that a store ever has.
pub(crate) const FIRST: u64 = 1;

/// The rows that came since the last sealing.
#[derive(Debug)]
pub(crate) struct Memtable {
    pub number: u64,
    /// When the first row of the head came.
    pub opened: Option<Instant>,
    pub batches: Vec<(Batch, TimeRange)>,
    /// How many batches it was given.
    pub frames: u64,
    pub count: usize,
    pub bytes: usize,
    /// Whom `batches` name.
    pub identities: Arc<MemoryIdentities>,
}

/// A head that takes no more rows.
#[derive(Debug)]
pub(crate) struct FullMemtable {
    pub number: u64,
    pub batches: Vec<(Batch, TimeRange)>,
    pub bytes: usize,
    /// Whom they name.
    pub identities: Arc<MemoryIdentities>,
}

impl Memtable {
    pub fn new(number: u64) -> Self {
        Self {
            number,
            opened: None,
            batches: Vec::new(),
            frames: 0,
            count: 0,
            bytes: 0,
            identities: Arc::default(),
        }
    }

    /// It has rows enough for a segment, or takes so much of the memory that no more rows
    /// might be taken in before it has.
    pub fn is_full(&self, settings: &Settings) -> bool {
        self.count >= settings.seal_rows || self.bytes >= settings.max_memory / 2
    }
}
