//! Rows in memory: those that came since the last sealing, and those that wait to be
//! sealed. In the names of files its number is that of a head.

use std::sync::Arc;
use std::time::Instant;

use crate::batch::Batch;
use crate::identities::Content;
use crate::memory_identities::MemoryIdentities;
use crate::range::TimeRange;
use crate::rows::Rows;

/// The number of the first that a store ever has.
pub(crate) const FIRST: u64 = 1;

/// The rows that came since the last sealing.
#[derive(Debug)]
pub(crate) struct Memtable {
    pub number: u64,
    pub rows: Rows,
    /// When the first of `rows` came.
    pub since: Option<Instant>,
    /// When the first row of the head came.
    pub opened: Option<Instant>,
    pub batches: Vec<(Batch, TimeRange)>,
    pub count: usize,
    pub bytes: usize,
    /// Whom `rows` name for the first time in the head.
    pub fresh: Vec<(u32, Content)>,
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
            rows: Rows::default(),
            since: None,
            opened: None,
            batches: Vec::new(),
            count: 0,
            bytes: 0,
            fresh: Vec::new(),
            identities: Arc::default(),
        }
    }

    /// Rows that are in no batch yet.
    pub fn gathered(&self) -> u64 {
        self.rows.len() as u64
    }
}
