//! Rows as they come, for those who watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;

use crate::batch::Batch;
use crate::identities::Identities;
use crate::memory_identities::MemoryIdentities;

/// Batches that wait for one who watches; what comes beyond is not shown.
const WAITING: usize = 64;

/// Every row from now on. Rows that come faster than they are taken are left
/// out and counted.
#[derive(Debug)]
pub struct Tail {
    batches: Receiver<TailBatch>,
    missed: Arc<AtomicU64>,
}

/// Rows that came at one time, and whom they name.
#[derive(Debug, Clone)]
pub struct TailBatch {
    batch: Batch,
    identities: Arc<MemoryIdentities>,
}

impl TailBatch {
    /// The rows, in the order of a segment: for a look at some of their columns.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The rows in the order in which they came, of the columns of
    /// [`crate::schema::facts`] that have a value.
    pub fn rows(&self) -> RecordBatch {
        by_time(&self.batch.widen())
    }

    /// The same of those that are chosen: a row of `chosen` is that of [`Self::batch`].
    ///
    /// # Errors
    /// `chosen` is of more rows than there are.
    pub fn chosen_rows(&self, chosen: &BooleanArray) -> Result<RecordBatch, ArrowError> {
        Ok(by_time(&self.batch.filter(chosen)?.widen()))
    }

    /// Those who were named since the cursor was here last, in this batch and those before
    /// it of the same memtable.
    pub fn fresh_identities(&self, cursor: &mut IdentityCursor) -> FreshIdentities {
        let is_of = |of: &Arc<MemoryIdentities>| Arc::ptr_eq(of, &self.identities);
        let is_of_another_memtable = !cursor.of.as_ref().is_some_and(is_of);
        if is_of_another_memtable {
            *cursor = IdentityCursor {
                of: Some(Arc::clone(&self.identities)),
                seen: 0,
            };
        }
        let tables = self.identities.tables_from(cursor.seen);
        cursor.seen += tables.len();
        FreshIdentities {
            is_of_another_memtable,
            tables,
        }
    }

    /// Everybody whom the rows name, and others. Made once for all who watch.
    pub fn identities(&self) -> Arc<Identities> {
        self.identities.all()
    }
}

/// How many of those whom batches name somebody has seen.
#[derive(Debug, Default)]
pub struct IdentityCursor {
    of: Option<Arc<MemoryIdentities>>,
    /// Tables of them.
    seen: usize,
}

/// Those who were named for the first time.
#[derive(Debug)]
pub struct FreshIdentities {
    /// Those seen before were of another memtable: each names all again whom its rows name.
    pub is_of_another_memtable: bool,
    /// Tables of the schema [`crate::schema::identities`].
    pub tables: Vec<RecordBatch>,
}

/// The store was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

impl Tail {
    /// The next batch; `None` when there was none in that time.
    ///
    /// # Errors
    /// The store was closed and all was taken.
    pub fn next_batch(&self, within: Duration) -> Result<Option<TailBatch>, Closed> {
        match self.batches.recv_timeout(within) {
            Ok(batch) => Ok(Some(batch)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Closed),
        }
    }

    /// Rows that were left out so far.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

fn by_time(rows: &RecordBatch) -> RecordBatch {
    let times = rows
        .column_by_name("time")
        .map(|c| c.as_primitive::<TimestampMicrosecondType>().values());
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    if let Some(times) = times {
        order.sort_by_key(|row| times[*row as usize]);
    }
    take_record_batch(rows, &UInt32Array::from(order)).expect("the order has each row of the batch once")
}

/// All who watch.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<(SyncSender<TailBatch>, Arc<AtomicU64>)>);

impl Watchers {
    pub fn join(&mut self) -> Tail {
        let (sender, batches) = sync_channel(WAITING);
        let missed = Arc::new(AtomicU64::new(0));
        self.0.push((sender, Arc::clone(&missed)));
        Tail { batches, missed }
    }

    pub fn show(&mut self, batch: &Batch, identities: &Arc<MemoryIdentities>) {
        let shown = || TailBatch {
            batch: batch.clone(),
            identities: Arc::clone(identities),
        };
        self.0.retain(|(sender, missed)| match sender.try_send(shown()) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(_)) => {
                missed.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
                true
            }
        });
    }

    pub fn close(&mut self) {
        self.0.clear();
    }
}
