//! A frame of the flow log, as readers get it: rows that came at one time, whom they
//! name, and where in the log they stand.

use std::fmt;
use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::TimestampMicrosecondType;
use arrow::error::ArrowError;

use crate::batch::Batch;
use crate::identities::Identities;
use crate::memory_identities::MemoryIdentities;

/// Where a frame stands in the log: its head, and which of the frames of the head it is,
/// from 0. Frames come in this order, and readers with a cursor are shown no two of a store
/// with the same place, however the process dies, so that they may name what they send on by
/// it. Readers in memory are shown frames that are in no log yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// The head.
    pub head: u64,
    /// The frame within it.
    pub frame: u64,
}

impl Cursor {
    /// The place behind it in the same head.
    pub(crate) const fn next(self) -> Self {
        Self {
            head: self.head,
            frame: self.frame + 1,
        }
    }
}

/// As a part of names: `HEAD-FRAME`.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.head, self.frame)
    }
}

/// Rows that came at one time, and whom they name. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogFrame {
    cursor: Cursor,
    batch: Batch,
    identities: Arc<MemoryIdentities>,
}

impl LogFrame {
    pub(crate) fn new(cursor: Cursor, batch: Batch, identities: Arc<MemoryIdentities>) -> Self {
        Self {
            cursor,
            batch,
            identities,
        }
    }

    /// Where it stands in the log.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

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
