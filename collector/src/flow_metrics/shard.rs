//! A registry that threads count in, and the numbers of identities that it reads by.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use weir_flow::{FlowRecord, Identity};
use weir_flowmetrics::{Identities, IdentityNumbers, Limits, Registry};

use super::first_records::FirstRecords;
use super::record::CountedRecord;

/// A registry behind a lock.
#[derive(Debug)]
pub struct Shard(Mutex<Counting>);

/// What is behind the lock.
#[derive(Debug)]
pub struct Counting {
    /// Series since they were gathered.
    pub registry: Registry,
    /// Which metrics it has.
    pub generation: u64,
    numbers: IdentityNumbers<Identity>,
}

/// What a shard had counted.
#[derive(Debug)]
pub struct Counted {
    /// The series.
    pub registry: Registry,
    /// Which metrics it has.
    pub generation: u64,
}

/// Of a registry whose counting met a fault.
pub const SPOILT: u64 = u64::MAX;

impl Default for Shard {
    fn default() -> Self {
        Self(Mutex::new(Counting {
            registry: Registry::new(Limits::default()),
            generation: 0,
            numbers: IdentityNumbers::default(),
        }))
    }
}

impl Shard {
    /// Puts an empty registry in the place of the one that was counted in.
    pub fn swap(&self, empty: Registry, generation: u64) -> Counted {
        let mut counting = self.lock();
        Counted {
            registry: std::mem::replace(&mut counting.registry, empty),
            generation: std::mem::replace(&mut counting.generation, generation),
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, Counting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// If nobody else has it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, Counting>> {
        match self.0.try_lock() {
            Ok(counting) => Some(counting),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

impl Counting {
    /// Counts these records. A fault of the counting costs what this shard counted since it was
    /// gathered, and no thread.
    pub fn observe(&mut self, records: &[FlowRecord], first_records: &mut FirstRecords) {
        let Self {
            registry, numbers, ..
        } = self;
        let reads_starts = registry.reads_connection_starts();
        let count = || {
            for record in records {
                let identities = registry.reads_identities().then(|| Identities {
                    src: numbers.number(record.src.identity.shared()),
                    dst: numbers.number(record.dst.identity.shared()),
                });
                let is_first = reads_starts && first_records.is_first(record);
                let counted = CountedRecord::new(record, identities, is_first);
                registry.observe(&counted, record.time_ns / 1_000_000);
            }
        };
        if catch_unwind(AssertUnwindSafe(count)).is_err() {
            tracing::error!("counting FlowMetrics met a fault; please report it with what stands before");
            self.registry = Registry::new(Limits::default());
            self.generation = SPOILT;
        }
    }
}
